/* show/show_client.h - one client of the show: a connection, and what came over it.  Owner: the one thread with the event base. */
#ifndef SHOW_CLIENT_H
#define SHOW_CLIENT_H

#include <event2/event.h>

#include "tools/show/show_protocol.h"
#include "tools/show/show_ws.h"

struct bufferevent;
struct event;
struct ssl_ctx_st;

#define SHOW_POLL_MS 50u /* between a reply and the next request of a polled protocol */

enum show_phase { SHOW_IDLE, SHOW_CONNECTING, SHOW_HEAD, SHOW_OPEN, SHOW_OVER };

struct show_client {
    const struct show_protocol *protocol;
    const char *host; /* "127.0.0.1:8801", of the command line */
    struct ssl_ctx_st *tls; /* NULL: clear text; borrowed */
    bool asks;
    struct bufferevent *connection;
    struct event *poll_timer; /* polled protocols only */
    enum show_phase phase;
    bool ready; /* is connected and has asked or is watching, or has failed */
    struct show_head head;
    struct show_body body;
    struct show_ws ws;
    char ws_key[SHOW_WS_KEY_SIZE];
    struct show_request request;
    struct show_decoder decoder;
    uint64_t bytes;         /* received, of the whole connection */
    uint64_t asked_ns;      /* when the question, or the wish to watch, was first sent; 0 = not yet */
    uint64_t first_text_ns; /* 0 = none yet */
    uint64_t ended_ns;
    void (*changed)(void *owner, struct show_client *client); /* something came, or it is over */
    void *owner;
};

/* show_client_start - connects and sends the request.  A failure is the client's answer: broken, with words. */
void show_client_start(struct show_client *client, struct event_base *base, const struct show_ask *ask);

/* show_client_compare - tells a protocol that needs it what the asking protocol has by now; others are left as they are. */
void show_client_compare(struct show_client *client, const struct show_answer *asked);

/* show_client_end - takes leave properly (a close frame) and frees everything. */
void show_client_end(struct show_client *client);

static inline bool show_client_settled(const struct show_client *client)
{
    return client->decoder.answer.state != SHOW_WAITING;
}

#endif
