/* authorize/authorize.h - who is this?  The operator's own HTTP service is asked, and its answer is kept for a while.
 *
 *   authorize_ask -> kept answer?  yes: at once
 *                 -> is the same being asked?  then wait for that one answer
 *                 -> AUTHORIZE_CALLS_MAX run?  then wait for a place, AUTHORIZE_WAITING_MAX of them at most
 *                 -> the thread (authorize_thread.h): libcurl, keep-alive; back by an eventfd
 *
 * What is kept is found by a keyed hash (the key is made anew by every process): no credential outlives its call.  timeout_ms runs from
 * authorize_ask on, waiting included, and is kept by the loop: a thread that hangs in a name server delays nobody.
 * Owner: the loop's thread; nothing here blocks it.  What is on the wire: docs/authorize.md. */
#ifndef AUTHORIZE_H
#define AUTHORIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/authorize/authorize_reply.h"
#include "core/base/list.h"
#include "core/base/span.h"
#include "core/base/why.h"
#include "core/uring/uring_loop.h"

#define AUTHORIZE_CALLS_MAX 32u     /* calls of one service at once */
#define AUTHORIZE_WAITING_MAX 1024u /* more that wait for a place; beyond that the answer is AUTHORIZE_FAILED */
#define AUTHORIZE_CREDENTIAL_MAX 4096u

struct authorize;         /* the thread and the key of the hash */
struct authorize_service; /* one app's service: where it is, what it said lately */

enum authorize_result { AUTHORIZE_ALLOW, AUTHORIZE_DENY, AUTHORIZE_FAILED };

struct authorize_verdict {
    enum authorize_result result;
    int code;            /* DENY: -1, 101, 102, or anything else the service said; 0 if nothing */
    const char *message; /* DENY: one line for the client, "" if none */
    const char *user;    /* ALLOW: "" if it named none */
    struct authorize_limits limits; /* ALLOW */
    uint64_t until_ns;   /* CLOCK_MONOTONIC: not to be relied on any longer.  FAILED: 0 */
    bool overload;       /* FAILED: too many questions were before this one, it was asked too late or never: no reason to let anybody in */
};

/* Borrowed until authorize_ask returns. */
struct authorize_question {
    const char *app, *transport, *kind;
    const char *client_ip; /* "" = not known */
    struct span credential;
};

/* A question that waits.  Lives in its asker; zeroed with done set it is ready for use. */
struct authorize_ask {
    struct list link; /* private */
    /* exactly once unless forgotten; the verdict is borrowed; the ask may be freed or used again inside */
    void (*done)(struct authorize_ask *ask, const struct authorize_verdict *verdict);
};

struct authorize_options {
    const char *url, *secret /* "" = none */, *ca_file /* "" = the system's */;
    uint32_t timeout_ms, cache_s, cache_entries;
};

struct authorize_counts {
    uint64_t calls, cached, joined, failures; /* failures: answers AUTHORIZE_FAILED, full ones too */
    uint64_t full;
    uint32_t entries, running, waiting;
};

/* authorize_create - starts the thread.  0 or -errno with why. */
int authorize_create(struct uring_loop *loop, struct authorize **ret_authorize, struct why *why);
/* authorize_free - after its services; waits for the thread, which does not wait for the network.  NULL is fine. */
void authorize_free(struct authorize *authorize);

/* authorize_service_create - options are copied.  took: told how long each call took, NULL is fine.  0 or -ENOMEM. */
int authorize_service_create(struct authorize *authorize, const char *app, const struct authorize_options *options,
                             void (*took)(void *owner, uint64_t ns), void *owner, struct authorize_service **ret_service);
/* authorize_service_is - made with these very options? */
bool authorize_service_is(const struct authorize_service *service, const struct authorize_options *options);
/* authorize_service_free - who waits is told AUTHORIZE_FAILED inside.  NULL is fine. */
void authorize_service_free(struct authorize_service *service);

/* authorize_ask - 1 and the verdict (borrowed until the next call here): it was known, or nothing can be known now.  0: done is called. */
int authorize_ask(struct authorize_service *service, const struct authorize_question *question, struct authorize_ask *ask,
                  struct authorize_verdict *ret_verdict);
/* authorize_forget - done is not called any more; the call goes on and its answer is kept.  For an ask that does not wait: nothing. */
void authorize_forget(struct authorize_ask *ask);

void authorize_service_counts(const struct authorize_service *service, struct authorize_counts *ret_counts);

#endif
