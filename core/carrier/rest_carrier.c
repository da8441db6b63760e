/* carrier/rest_carrier.c - opening and closing the carrier, one call from post to done. */
#include "core/carrier/rest_carrier.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SPARE_MAX 32u        /* handles kept for reuse: each keeps some buffers of curl's */
#define REPLY_FIRST 1024u    /* bytes allocated for a reply at first */

static size_t on_reply(char *data, size_t one, size_t size, void *arg)
{
    struct umbel_rest_call *call = arg;

    (void)one;
    if (size > call->rest->settings.max_reply - call->reply_size)
        return 0; /* ends the call: CURLE_WRITE_ERROR */
    if (call->reply_size + size + 1 > call->reply_room) {
        size_t room = call->reply_room ? call->reply_room : REPLY_FIRST;
        while (room < call->reply_size + size + 1)
            room *= 2;
        char *larger = realloc(call->reply, room);
        if (!larger)
            return 0;
        call->reply = larger;
        call->reply_room = room;
    }
    memcpy(call->reply + call->reply_size, data, size);
    call->reply_size += size;
    call->reply[call->reply_size] = 0;
    return size;
}

/* The body of a ONCE call: there is no way back to its beginning, so curl cannot send it again on another connection. */
static size_t on_read_body(char *data, size_t one, size_t room, void *arg)
{
    struct umbel_rest_call *call = arg;
    size_t left = call->size - call->sent, n = one * room < left ? one * room : left;

    memcpy(data, call->body + call->sent, n);
    call->sent += n;
    return n;
}

static int on_seek_body(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static struct umbel_rest_call *call_take(struct umbel_rest *rest)
{
    struct umbel_rest_call *call;

    if (!list_is_empty(&rest->spare)) {
        call = list_entry(rest->spare.next, struct umbel_rest_call, link);
        list_remove(&call->link);
        rest->spare_count--;
        return call;
    }
    call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->rest = rest;
    call->easy = curl_easy_init();
    if (!call->easy) {
        free(call);
        return NULL;
    }
    return call;
}

void rest_call_free(struct umbel_rest_call *call)
{
    list_remove(&call->link);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call->body);
    free(call->reply);
    free(call);
}

/* The call is over: its handle is emptied and kept, or freed when enough are kept. */
static void call_give_back(struct umbel_rest_call *call)
{
    struct umbel_rest *rest = call->rest;

    list_remove(&call->link);
    if (rest->spare_count == SPARE_MAX) {
        rest_call_free(call);
        return;
    }
    curl_easy_reset(call->easy);
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    free(call->body);
    call->body = NULL;
    call->size = call->sent = call->reply_size = 0;
    list_append(&rest->spare, &call->link);
    rest->spare_count++;
}

static uint32_t result_of(CURL *easy, CURLcode code)
{
    curl_off_t begun_us = 0;

    switch (code) {
    case CURLE_OK:
        return UMBEL_REST_REPLY;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return UMBEL_REST_REFUSED;
    default:
        /* Before this moment not a byte of the request was sent. */
        curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &begun_us);
        return begun_us > 0 ? UMBEL_REST_UNCLEAR : UMBEL_REST_REFUSED;
    }
}

void rest_call_finish(struct umbel_rest_call *call, CURLcode code)
{
    struct umbel_rest *rest = call->rest;
    long status = 0;
    curl_off_t took_us = 0, retry_after_s = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_TOTAL_TIME_T, &took_us);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    struct umbel_rest_outcome outcome = {.struct_size = sizeof outcome,
                                         .result = result_of(call->easy, code),
                                         .body = call->reply_size ? call->reply : "",
                                         .size = call->reply_size,
                                         .text = code == CURLE_OK ? "" : curl_easy_strerror(code),
                                         .took_us = (uint64_t)took_us};
    if (outcome.result == UMBEL_REST_REPLY) {
        outcome.status = (uint32_t)status;
        outcome.retry_after_s = retry_after_s > 0 && retry_after_s < 86400 ? (uint32_t)retry_after_s : 0;
    }
    rest->call_count--; /* before done(): it may use the room at once */
    call->done(call->arg, &outcome);
    call_give_back(call);
}

static void set_options(struct umbel_rest_call *call, const struct umbel_rest_request *request)
{
    const struct umbel_rest *rest = call->rest;
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)rest->settings.timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)rest->settings.connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, strncasecmp(request->url, "https:", 6) == 0 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, rest->agent);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers ? call->headers : rest->json_headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->size);
    if (*rest->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, rest->ca_file);
    if (request->flags & UMBEL_REST_ONCE) {
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, call);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek_body);
    } else {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
    }
}

/* "Expect:" keeps curl from asking for 100-continue before larger bodies. */
static struct curl_slist *make_headers(const char *content_type)
{
    char line[256];
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"), *longer;

    snprintf(line, sizeof line, "Content-Type: %s", content_type);
    longer = list ? curl_slist_append(list, line) : NULL;
    if (!longer)
        curl_slist_free_all(list);
    return longer;
}

static bool is_http(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

int umbel_rest_post(struct umbel_rest *rest, const struct umbel_rest_request *request,
                    void (*done)(void *arg, const struct umbel_rest_outcome *outcome), void *arg, struct umbel_rest_call **ret_call)
{
    if (!is_http(request->url))
        return -EINVAL;
    if (rest->call_count >= rest->settings.max_calls)
        return -EAGAIN;
    struct umbel_rest_call *call = call_take(rest);
    if (!call)
        return -ENOMEM;
    list_append(&rest->calls, &call->link);
    rest->call_count++;
    call->done = done;
    call->arg = arg;
    call->size = (size_t)request->size;
    call->body = malloc(call->size + 1);
    if (call->body && call->size)
        memcpy(call->body, request->body, call->size);
    if (request->content_type)
        call->headers = make_headers(request->content_type);
    int r = call->body && (call->headers || !request->content_type) ? 0 : -ENOMEM;
    if (r == 0 && curl_easy_setopt(call->easy, CURLOPT_URL, request->url) != CURLE_OK)
        r = -ENOMEM;
    if (r == 0) {
        set_options(call, request);
        r = curl_multi_add_handle(rest->multi, call->easy) == CURLM_OK ? 0 : -ENOMEM;
    }
    if (r < 0) {
        rest->call_count--;
        call_give_back(call);
        return r;
    }
    if (ret_call)
        *ret_call = call;
    return 0;
}

void umbel_rest_cancel(struct umbel_rest_call *call)
{
    curl_multi_remove_handle(call->rest->multi, call->easy);
    call->rest->call_count--;
    call_give_back(call);
}

uint32_t umbel_rest_calls(const struct umbel_rest *rest)
{
    return rest->call_count;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

int umbel_rest_open(const struct umbel_host *host, const struct umbel_rest_settings *settings, struct umbel_rest **ret_rest)
{
    struct umbel_rest *rest;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    rest = calloc(1, sizeof *rest);
    if (!rest) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    rest->host = host;
    list_init(&rest->calls);
    list_init(&rest->spare);
    rest->settings = *settings;
    rest->settings.max_calls = or_default(settings->max_calls, 128);
    rest->settings.max_connections = or_default(settings->max_connections, rest->settings.max_calls);
    rest->settings.connect_timeout_ms = or_default(settings->connect_timeout_ms, 3000);
    rest->settings.timeout_ms = or_default(settings->timeout_ms, 10000);
    rest->settings.max_reply = or_default(settings->max_reply, 65536);
    snprintf(rest->ca_file, sizeof rest->ca_file, "%s", settings->ca_file ? settings->ca_file : "");
    snprintf(rest->agent, sizeof rest->agent, "%s", settings->agent ? settings->agent : "umbel");
    rest->settings.ca_file = rest->ca_file;
    rest->settings.agent = rest->agent;
    rest->json_headers = make_headers("application/json");
    int r = rest_loop_open(rest);
    if (r < 0 || !rest->json_headers) {
        umbel_rest_close(rest);
        return -ENOMEM;
    }
    *ret_rest = rest;
    return 0;
}

void umbel_rest_close(struct umbel_rest *rest)
{
    if (!rest)
        return;
    list_for_each(link, next, &rest->calls) {
        struct umbel_rest_call *call = list_entry(link, struct umbel_rest_call, link);
        curl_multi_remove_handle(rest->multi, call->easy);
        rest_call_free(call);
    }
    list_for_each(spare_link, spare_next, &rest->spare)
        rest_call_free(list_entry(spare_link, struct umbel_rest_call, link));
    rest_loop_close(rest);
    curl_slist_free_all(rest->json_headers);
    free(rest);
    curl_global_cleanup();
}
