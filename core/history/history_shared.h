/* history/history_shared.h - internal to the module: what the loop and the history's thread share, and the asks that travel between them.
 *
 * Everything in struct history_shared is under its lock but path and options, which never change.  The last of the two to leave frees
 * it.  An ask belongs to the loop until it is asked, then to the thread, then (in `done`) to the loop again; `delivery` is the loop's
 * alone all the time. */
#ifndef HISTORY_SHARED_H
#define HISTORY_SHARED_H

#include <pthread.h>

#include "core/history/history_queue.h"
#include "core/history/history_usage.h"
#include "core/history/history_store.h"

#define HISTORY_DONE_BYTES_MAX 16777216u /* results the loop has not taken: over it no more asks are answered */
#define HISTORY_CLOSE_MS 5000u           /* writing what waits at the end */

enum history_ask_kind { HISTORY_LOAD, HISTORY_FIND, HISTORY_SHOW, HISTORY_LIST, HISTORY_FORGET, HISTORY_USAGE };

struct history_ask {
    struct list link;
    enum history_ask_kind kind;
    uint64_t order;
    char *app, *session; /* NULL: not named; one block each.  USAGE: session is the key's name, FIND: the answer's id */
    uint32_t limit;
    uint64_t since_ms;         /* USAGE */
    enum history_usage_by by;
    /* the result */
    int error;
    struct why why;
    struct history_turns turns;
    char *found_session; /* FIND */
    struct history_list_found found;
    struct history_sums_found sums;
    uint64_t forgotten;
    size_t bytes; /* of the result, as counted in done_bytes */
    struct {      /* the loop's */
        struct history *history;
        struct list open; /* in history.open from asking to delivery */
        void (*done)(void *owner, const struct history_reply *reply); /* NULL: cancelled or answered by the timer */
        void *owner;
        struct uring_timer timer;
    } delivery;
};

struct history_shared {
    pthread_mutex_t lock;
    pthread_cond_t work;  /* to the thread: something is due earlier than it thinks */
    pthread_cond_t ended; /* to history_close: has_ended */
    struct history_queue queue;
    struct list usage;    /* history_used, in order; the thread takes some out to write them */
    uint32_t usage_count; /* with those being written */
    struct list asks, done;
    size_t done_bytes;
    uint64_t order; /* of the newest add or ask */
    enum history_state state;
    struct why text;
    struct history_counts counts; /* waiting and the loads' are filled in when asked for */
    uint64_t stop_at_ns;          /* history_close waits no longer than this */
    bool stop, has_ended;
    int users;
    int eventfd;
    struct history_options options; /* with the defaults filled in */
    char *path;
};

void history_ask_free(struct history_ask *ask);

/* history_shared_create - with one user, the loop.  NULL: no memory or no descriptor. */
struct history_shared *history_shared_create(const char *path, const struct history_options *options);

/* history_shared_leave - called with the lock held, leaves without it. */
void history_shared_leave(struct history_shared *shared);

/* history_thread_main - argument: the struct history_shared.  Leaves it at the end. */
void *history_thread_main(void *argument);

#endif
