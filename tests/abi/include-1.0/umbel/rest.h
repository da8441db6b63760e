/* umbel/rest.h - the outbound carrier: HTTP calls to a service, for protocols in which we are the one who calls.
 *
 * libcurl's multi interface on the host's loop: kept connections, HTTP/2 where the service speaks it over TLS, verified certificates, time
 * limits, bounded replies.  The carrier repeats nothing and queues nothing: how often and when to call is the codec's business, and it is told
 * honestly whether a call that failed can have had an effect.  Addresses and bodies may hold secrets: the carrier never logs them.
 * All calls [loop].  libumbel-rest; link it from the plugin, and say UMBEL_NEEDS_OUTBOUND in the manifest.  History: 1.0 first. */
#ifndef UMBEL_REST_H
#define UMBEL_REST_H

#include <umbel/host.h>
#include <umbel/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct umbel_rest;      /* one carrier: a pool of connections */
struct umbel_rest_call; /* one call on its way; gone once done() has been called */

/* Zero means the default given. */
struct umbel_rest_settings {
    uint32_t struct_size;
    uint32_t max_calls;          /* under way at once; more are refused with -EAGAIN.  128 */
    uint32_t max_connections;    /* to one host.  As max_calls, so that no call waits inside the carrier */
    uint32_t connect_timeout_ms; /* name, connection, TLS.  3000 */
    uint32_t timeout_ms;         /* the whole call.  10000 */
    uint32_t max_reply;          /* bytes of a reply's body; a longer one ends the call as UNCLEAR.  65536 */
    const char *ca_file;         /* certificates to trust, PEM; NULL or "" = the system's */
    const char *agent;           /* User-Agent; NULL = "umbel" */
};

/* umbel_rest_request.flags */
#define UMBEL_REST_ONCE 1u /* the bytes of the body leave this process at most once, also when a kept connection turns out to be dead */

/* Borrowed until umbel_rest_post returns. */
struct umbel_rest_request {
    uint32_t struct_size;
    uint32_t flags;           /* UMBEL_REST_* */
    const char *url;          /* http:// or https:// */
    const char *content_type; /* NULL: application/json */
    const void *body;
    uint64_t size;
};

/* umbel_rest_outcome.result */
#define UMBEL_REST_REPLY 1u   /* the service has answered: status, body */
#define UMBEL_REST_REFUSED 2u /* the request cannot have arrived: no name, no connection, no trust */
#define UMBEL_REST_UNCLEAR 3u /* it may have arrived: time limit, broken connection, unreadable reply */

/* Valid during done(). */
struct umbel_rest_outcome {
    uint32_t struct_size;
    uint32_t result;        /* UMBEL_REST_* */
    uint32_t status;        /* HTTP, REPLY only */
    uint32_t retry_after_s; /* of a Retry-After header in seconds, else 0 */
    const char *body;       /* never NULL, zero-terminated for convenience */
    uint64_t size;
    const char *text;       /* one line for the log when it is no REPLY; never holds the address */
    uint64_t took_us;
};

/* umbel_rest_open - a carrier on host's loop.  Returns 0, or -ENOMEM.  host is borrowed until close. */
UMBEL_EXPORT int umbel_rest_open(const struct umbel_host *host, const struct umbel_rest_settings *settings, struct umbel_rest **ret_rest);

/* umbel_rest_close - drops every call without calling done().  NULL is fine. */
UMBEL_EXPORT void umbel_rest_close(struct umbel_rest *rest);

/* umbel_rest_post - starts one POST.  done(arg, outcome) is called exactly once, from the loop, never during this call, unless the call is
 * cancelled.  Returns 0 and the call (ret_call may be NULL), or -EAGAIN (max_calls), -EINVAL (the address), -ENOMEM: then nothing happens. */
UMBEL_EXPORT int umbel_rest_post(struct umbel_rest *rest, const struct umbel_rest_request *request,
                                 void (*done)(void *arg, const struct umbel_rest_outcome *outcome), void *arg,
                                 struct umbel_rest_call **ret_call);

/* umbel_rest_cancel - drops a call that is not done; whether it has arrived is unknown. */
UMBEL_EXPORT void umbel_rest_cancel(struct umbel_rest_call *call);

UMBEL_EXPORT uint32_t umbel_rest_calls(const struct umbel_rest *rest); /* under way now */

#ifdef __cplusplus
}
#endif
#endif
