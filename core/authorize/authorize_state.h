/* authorize/authorize_state.h - what a service and its calls are made of: shared by the files of this folder.  Owner: the loop's thread. */
#ifndef AUTHORIZE_STATE_H
#define AUTHORIZE_STATE_H

#include "core/authorize/authorize.h"
#include "core/authorize/authorize_cache.h"
#include "core/authorize/authorize_thread.h"

#define AUTHORIZE_BUCKETS 256u

struct authorize {
    struct uring_loop *loop;
    struct authorize_thread *thread;
    struct uring_watch *watch;
    int eventfd;
    uint8_t key[32];
};

/* Where to call, and how many calls the thread has.  Outlives its service while it has any. */
struct authorize_place {
    struct authorize_target at;
    struct authorize_service *service; /* NULL: gone */
    uint32_t users, running;
};

/* A question on its way, and everybody who asks the same. */
struct authorize_call {
    struct authorize_exchange exchange; /* first: the thread hands this pointer back */
    struct authorize_place *place;
    struct authorize_service *service; /* NULL: nobody waits for it any more, it only has to come back */
    struct authorize_call *next;       /* bucket */
    struct list in_waiting;            /* linked until it is given to the thread */
    struct list asks;                  /* authorize_ask.link */
    struct uring_timer late;
    uint64_t deadline_ns;
    bool waited;                       /* for a place: what it lacked of its time went to the questions before it */
    uint8_t digest[AUTHORIZE_DIGEST];
};

struct authorize_service {
    struct authorize *authorize;
    struct authorize_place *place;
    char *app, *secret;
    uint32_t timeout_ms, cache_s, cache_entries;
    void (*took)(void *owner, uint64_t ns);
    void *owner;
    struct authorize_cache *cache;
    struct list waiting; /* authorize_call.in_waiting */
    uint32_t waiting_count;
    struct authorize_call *calls[AUTHORIZE_BUCKETS];
    struct authorize_counts counts;
    uint64_t complained_ns, complaints;
};

extern const struct authorize_verdict authorize_failed;
extern const struct authorize_verdict authorize_overload; /* it was not asked, or not in time: too many were before */

struct authorize_place *authorize_place_make(const struct authorize_options *options); /* NULL: no memory; users 1 */
void authorize_place_leave(struct authorize_place *place);                             /* NULL is fine */

/* authorize_call_find - the link that points to the call with this digest, or where it would go. */
struct authorize_call **authorize_call_find(struct authorize_service *service, const uint8_t digest[AUTHORIZE_DIGEST]);
/* authorize_call_start - makes the call and sends it, or has it wait for a place.  NULL: no memory. */
struct authorize_call *authorize_call_start(struct authorize_service *service, const struct authorize_question *question,
                                            const uint8_t digest[AUTHORIZE_DIGEST]);
/* authorize_call_drop - all who ask are told AUTHORIZE_FAILED; it is freed now, or when it comes back. */
void authorize_call_drop(struct authorize_call *call);
/* authorize_call_back - the thread has handed it back: its answer is told and kept, the next one begins, it is freed. */
void authorize_call_back(struct authorize_exchange *exchange);
void authorize_call_free(struct authorize_exchange *exchange);

/* authorize_complain - one line about a service that fails, then silence for a while.  why never holds a text of a client. */
void authorize_complain(struct authorize_service *service, const char *why);

#endif
