/* history/history_queue.h - internal to the module: adds that are not on disk yet, in order, findable by conversation.
 *
 * Shared by the loop and the history's thread: every call under the module's lock.  An add is in `waiting`, or in `batch` while the thread
 * writes it; nobody but the thread touches the turns of a batch.  Bounds: entries and bytes of both together. */
#ifndef HISTORY_QUEUE_H
#define HISTORY_QUEUE_H

#include "core/base/list.h"
#include "core/history/history_turns.h"

#define HISTORY_QUEUE_BUCKETS 1024u
#define HISTORY_BATCH_TURNS 20u        /* so many waiting turns are written at once, without waiting for sync_ms */
#define HISTORY_BATCH_TURNS_MAX 256u   /* of a transaction when there is a backlog; one add is never divided */
#define HISTORY_BATCH_BYTES_MAX 1048576u

struct history_added {
    struct list link, in_bucket;
    uint64_t order;     /* of adds and asks together */
    uint64_t queued_ns; /* CLOCK_MONOTONIC */
    size_t bytes;       /* memory */
    uint64_t message_bytes;
    const char *app, *session;
    uint32_t count;
    struct history_turn turns[];
};

struct history_queue {
    struct list waiting, batch;
    uint32_t entries, entries_max, turns_waiting; /* turns_waiting: without the batch's */
    uint64_t turns;                               /* with them */
    size_t bytes, bytes_max;
    struct list bucket[HISTORY_QUEUE_BUCKETS]; /* history_added.in_bucket, oldest first */
};

void history_queue_init(struct history_queue *queue, uint32_t entries_max, size_t bytes_max);

/* history_added_make - one block with copies of all; no lock needed.  NULL: no memory. */
struct history_added *history_added_make(const char *app, const char *session, const struct history_turn *turns, size_t count);

/* history_queue_put - the queue owns added; the oldest waiting adds go to *ret_dropped (a list head, freed by the caller) when there is no
 * room.  -EMSGSIZE: there can be none; added stays the caller's. */
int history_queue_put(struct history_queue *queue, struct history_added *added, struct list *ret_dropped);

/* history_queue_take - moves adds older than before into the (empty) batch. */
void history_queue_take(struct history_queue *queue, uint64_t before);
void history_queue_give_back(struct history_queue *queue); /* the batch was not written: it waits again */

/* history_queue_done - the batch is on disk: moves it to *ret_done for the caller to free. */
void history_queue_done(struct history_queue *queue, struct list *ret_done);

/* history_queue_collect - the turns of a conversation in adds older than before, newest first. */
void history_queue_collect(const struct history_queue *queue, const char *app, const char *session, uint64_t before,
                           struct history_turns *turns);

/* history_queue_find - the turn of an answer in adds older than before: good while the lock is held.  NULL: none.  Looks at all of them. */
const struct history_turn *history_queue_find(const struct history_queue *queue, const char *app, const char *stream, uint64_t before,
                                              const char **ret_session);

/* history_queue_forget - moves waiting adds older than before to *ret_gone; session NULL: all of the app's. */
void history_queue_forget(struct history_queue *queue, const char *app, const char *session, uint64_t before, struct list *ret_gone);

void history_queue_free(struct list *adds); /* frees a list that was handed out */

#endif
