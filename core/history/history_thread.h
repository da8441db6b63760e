/* history/history_thread.h - internal to the module: the parts of the history's thread.  Everything here runs on it. */
#ifndef HISTORY_THREAD_H
#define HISTORY_THREAD_H

#include "core/history/history_shared.h"

struct history_thread {
    struct history_shared *shared;
    const struct history_options *options;
    struct history_store *store; /* NULL: closed */
    bool writable;               /* the last write succeeded */
    bool damaged;                /* `was` tells which file */
    struct stat was;
    int said;                    /* the error the log was told of; 0: that all is well; 1: nothing yet */
    uint64_t retry_ns;
    uint32_t retry_ms;
    struct list forgets;         /* history_ask: carried out, their bytes are being overwritten */
    bool purge, scrub, retire, vacuum;
    uint64_t chore_ns, age_ns, scrub_until_ns;
};

/* history_thread.c: the state and the writes.  failed closes the connection when trouble says so, sets the time of the next try, tells the
 * log once and whoever waits for a forget.  went_well: true when r >= 0; notes failure or success.  write_batch: what history_queue_take
 * has put into the batch; on failure it waits again.  measure: after the size has changed. */
void history_thread_failed(struct history_thread *thread, const struct history_trouble *trouble);
bool history_thread_went_well(struct history_thread *thread, int r, const struct history_trouble *trouble);
bool history_thread_write_batch(struct history_thread *thread);
void history_thread_measure(struct history_thread *thread);

/* history_thread_follow - before a batch: the operator may have taken the file away, then a new one is begun.  False: there is none. */
bool history_thread_follow(struct history_thread *thread);

/* history_usage.c.  due: when the oldest waiting usage is to be written, UINT64_MAX: nothing waits.  write: a batch of what is older
 * than before (an order of adds and asks); true when there was none or it is on disk. */
uint64_t history_usage_due_ns(struct history_shared *shared);
uint64_t history_usage_due_locked_ns(const struct history_shared *shared); /* with the lock held */
bool history_usage_write(struct history_thread *thread, uint64_t before);
bool history_usage_waits(struct history_shared *shared, uint64_t before); /* something older than before */

/* history_asks.c.  answer: a round of asks, in order.  next: takes the first one off the list, with only_forgets passing over the others;
 * NULL: none, or the loop has not taken its results.  forget: answered by end_forgets when the bytes are gone, at once when it fails. */
void history_asks_answer(struct history_thread *thread);
struct history_ask *history_asks_next(struct history_shared *shared, bool only_forgets);
void history_asks_forget(struct history_thread *thread, struct history_ask *ask);
void history_asks_end_forgets(struct history_thread *thread, int error, const char *text);

/* history_chores.c: one small step, so that asks and batches never wait long; sets chore_ns to when the next one is due. */
void history_chore_step(struct history_thread *thread, uint64_t now_ns);

#endif
