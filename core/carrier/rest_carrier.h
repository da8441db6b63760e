/* carrier/rest_carrier.h - the inside of the rest carrier.
 *
 *   umbel_rest_post -> rest_call (an easy handle) -> rest_loop: curl's sockets and its timer as events -> rest_call_finish -> done()
 * curl forbids curl_multi_socket_action inside its own callbacks: those only change events, all driving is done from the loop. */
#ifndef REST_CARRIER_H
#define REST_CARRIER_H

#include <stdbool.h>

#include <curl/curl.h>
#include <event2/event.h>

#include <umbel/rest.h>

#include "core/base/list.h"

struct umbel_rest {
    const struct umbel_host *host;
    CURLM *multi;
    struct event *timer;
    struct list calls, spare; /* under way; kept for reuse */
    struct list sockets;      /* curl's, each with an event */
    uint32_t call_count, spare_count;
    struct umbel_rest_settings settings;
    char ca_file[4096], agent[128];
    struct curl_slist *json_headers;
};

struct umbel_rest_call {
    struct list link;
    struct umbel_rest *rest;
    CURL *easy;
    void (*done)(void *arg, const struct umbel_rest_outcome *outcome);
    void *arg;
    char *body; /* owned; curl reads it until the call is done */
    size_t size, sent;
    char *reply;
    size_t reply_size, reply_room;
    struct curl_slist *headers; /* NULL: rest->json_headers */
    char error[CURL_ERROR_SIZE];
};

int rest_loop_open(struct umbel_rest *rest);
void rest_loop_close(struct umbel_rest *rest);

void rest_call_finish(struct umbel_rest_call *call, CURLcode code); /* tells done(), gives the handle back */
void rest_call_free(struct umbel_rest_call *call);                  /* out of its list, handle and all */

#endif
