/* The history's thread: asks first, then batches that are due, then one step of a chore, then rest until something is due.
 *
 *      closed --open--> writable --failure--> failing (turns wait, reads are still tried) --success--> writable
 *                          \------damaged file------> closed, until the file at the path is another one
 *
 * Order.  A batch takes no add that is younger than the oldest ask in the list, and an ask sees no add that is younger than itself; so the
 * result is as if everything had been done in the order it was asked, though asks do not wait for the disk's writes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/history/history_thread.h"

#define RETRY_FIRST_MS 100u      /* doubled with each failure up to RETRY_LAST_MS */
#define RETRY_LAST_MS 5000u
#define LOOK_AGAIN_MS 1000u      /* whether a damaged file has been replaced */
#define VACUUM_BYTES 1048576u    /* free pages inside the file are kept for use below this, and below an eighth of the file */

/* ---- the state ---- */

static void note_state(struct history_thread *thread, enum history_state state, const char *text)
{
    pthread_mutex_lock(&thread->shared->lock);
    thread->shared->state = state;
    why_set(&thread->shared->text, 0, "%s", text);
    thread->shared->counts.errors += state != HISTORY_OK;
    pthread_mutex_unlock(&thread->shared->lock);
}

/* Which file is there; all zero: none. */
static struct stat look(const char *path)
{
    struct stat status;

    if (stat(path, &status) == -1)
        memset(&status, 0, sizeof status);
    return status;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void history_thread_failed(struct history_thread *thread, const struct history_trouble *trouble)
{
    bool damaged = trouble->state == HISTORY_DAMAGED;

    if (trouble->reopen || damaged) {
        history_store_close(thread->store, damaged);
        thread->store = NULL;
    }
    thread->writable = false;
    thread->damaged = damaged;
    if (damaged)
        thread->was = look(thread->shared->path);
    thread->retry_ms = thread->retry_ms ? thread->retry_ms * 2 : RETRY_FIRST_MS;
    thread->retry_ms = thread->retry_ms < RETRY_LAST_MS ? thread->retry_ms : RETRY_LAST_MS;
    thread->retry_ns = clock_now_ns() + thread->retry_ms * CLOCK_MS;
    note_state(thread, trouble->state, trouble->why.text);
    if (thread->said != trouble->error)
        log_error("history: %s", trouble->why.text);
    thread->said = trouble->error;
    history_asks_end_forgets(thread, trouble->error, trouble->why.text);
}

static void note_success(struct history_thread *thread)
{
    if (thread->writable)
        return;
    thread->writable = true;
    thread->retry_ms = 0;
    note_state(thread, HISTORY_OK, "");
    log_info("history: conversations are %skept in %s", thread->said == 1 ? "" : "again ", thread->shared->path);
    thread->said = 0;
}

/* An operation's result: true when it succeeded. */
bool history_thread_went_well(struct history_thread *thread, int r, const struct history_trouble *trouble)
{
    if (r < 0)
        history_thread_failed(thread, trouble);
    else
        note_success(thread);
    return r >= 0;
}

void history_thread_measure(struct history_thread *thread)
{
    struct history_trouble trouble;
    struct history_size size;

    if (history_store_size(thread->store, &size, &trouble) < 0)
        return; /* the next operation will say why */
    thread->retire = thread->retire || (thread->options->retention_mb && size.used > (uint64_t)thread->options->retention_mb << 20);
    thread->vacuum = thread->vacuum || (size.free > VACUUM_BYTES && size.free > size.used / 8);
    if (thread->retire || thread->vacuum)
        thread->chore_ns = 0;
    pthread_mutex_lock(&thread->shared->lock);
    thread->shared->counts.bytes = size.used;
    pthread_mutex_unlock(&thread->shared->lock);
}

static void open_store(struct history_thread *thread)
{
    struct history_trouble trouble;
    struct stat is = look(thread->shared->path);

    if (thread->damaged && is_same_file(&is, &thread->was)) {
        thread->retry_ns = clock_now_ns() + LOOK_AGAIN_MS * CLOCK_MS;
        return;
    }
    thread->damaged = false;
    if (history_store_open(thread->shared->path, thread->options->full_sync, &thread->store, &trouble) < 0) {
        thread->store = NULL;
        history_thread_failed(thread, &trouble);
        return;
    }
    thread->purge = true; /* what a crash left */
    thread->age_ns = thread->chore_ns = 0;
    if (history_thread_went_well(thread, history_store_probe(thread->store, &trouble), &trouble))
        history_thread_measure(thread);
}

/* ---- writing ---- */

bool history_thread_follow(struct history_thread *thread)
{
    struct history_trouble trouble;

    if (!history_store_moved(thread->store))
        return true;
    history_store_scrub(thread->store, &trouble);
    history_store_close(thread->store, true);
    thread->store = NULL;
    thread->writable = false;
    log_warn("history: %s was moved away or deleted: a new one is begun", thread->shared->path);
    open_store(thread);
    return thread->store != NULL;
}

/* The batch that history_queue_take has filled. */
bool history_thread_write_batch(struct history_thread *thread)
{
    struct history_shared *shared = thread->shared;
    struct history_trouble trouble;
    uint64_t begun_ns = clock_now_ns(), turns = 0;
    struct list done;
    bool well = history_thread_follow(thread);

    well = well && history_thread_went_well(thread, history_store_append(thread->store, &shared->queue.batch, &trouble), &trouble);
    list_init(&done);
    pthread_mutex_lock(&shared->lock);
    if (well) {
        history_queue_done(&shared->queue, &done);
        list_for_each(link, spare, &done)
            turns += list_entry(link, struct history_added, link)->count;
        shared->counts.written += turns;
        shared->counts.batches++;
        shared->counts.last_commit_ms = clock_wall_ms();
        shared->counts.last_commit_us = (clock_now_ns() - begun_ns) / 1000;
    } else {
        history_queue_give_back(&shared->queue);
    }
    pthread_mutex_unlock(&shared->lock);
    history_queue_free(&done);
    if (well)
        history_thread_measure(thread);
    return well;
}

/* With the lock held: when the oldest waiting add is to be written; UINT64_MAX: nothing waits. */
static uint64_t due_ns(const struct history_shared *shared)
{
    const struct history_queue *queue = &shared->queue;

    if (list_is_empty(&queue->waiting))
        return UINT64_MAX;
    if (queue->turns_waiting >= HISTORY_BATCH_TURNS)
        return 0;
    return list_entry(queue->waiting.next, struct history_added, link)->queued_ns + shared->options.sync_ms * CLOCK_MS;
}

static void write_what_is_due(struct history_thread *thread, uint64_t now_ns)
{
    struct history_shared *shared = thread->shared;
    struct history_trouble trouble;
    bool some;

    if (!thread->writable) {
        if (now_ns < thread->retry_ns)
            return;
        if (!thread->store)
            open_store(thread);
        if (!thread->store)
            return;
    }
    pthread_mutex_lock(&shared->lock);
    if (!thread->writable || due_ns(shared) <= now_ns)
        history_queue_take(&shared->queue,
                           list_is_empty(&shared->asks) ? UINT64_MAX : list_entry(shared->asks.next, struct history_ask, link)->order);
    some = !list_is_empty(&shared->queue.batch);
    pthread_mutex_unlock(&shared->lock);
    if (some)
        history_thread_write_batch(thread);
    else if (!thread->writable)
        history_thread_went_well(thread, history_store_probe(thread->store, &trouble), &trouble);
    if (thread->writable && history_usage_due_ns(shared) <= now_ns)
        history_usage_write(thread, UINT64_MAX);
}

/* ---- the thread ---- */

/* Sleeps until something is due.  False: it is time to end. */
static bool rest(struct history_thread *thread)
{
    struct history_shared *shared = thread->shared;
    bool goes_on;

    pthread_mutex_lock(&shared->lock);
    while (!shared->stop && (list_is_empty(&shared->asks) || shared->done_bytes >= HISTORY_DONE_BYTES_MAX)) {
        bool idle = !thread->purge && !thread->scrub && !thread->retire && !thread->vacuum;
        uint64_t chore_ns = idle ? thread->age_ns : thread->chore_ns, at_ns = due_ns(shared);
        uint64_t usage_ns = list_is_empty(&shared->asks) ? history_usage_due_locked_ns(shared) : UINT64_MAX;

        if (!list_is_empty(&shared->asks))
            at_ns = UINT64_MAX; /* the loop takes no results: it signals when it does */
        else if (!thread->writable)
            at_ns = thread->retry_ns;
        else if (chore_ns < at_ns)
            at_ns = chore_ns;
        if (thread->writable && usage_ns < at_ns)
            at_ns = usage_ns;
        if (at_ns <= clock_now_ns())
            break;
        struct timespec until = {(time_t)(at_ns / CLOCK_S), (long)(at_ns % CLOCK_S)};
        pthread_cond_timedwait(&shared->work, &shared->lock, &until);
    }
    goes_on = !shared->stop;
    pthread_mutex_unlock(&shared->lock);
    return goes_on;
}

/* The end: forgets and adds are carried out in their order, who only asked gets no answer any more. */
static void finish(struct history_thread *thread)
{
    struct history_shared *shared = thread->shared;
    struct history_ask *ask;
    bool some = true;

    if (!thread->store)
        open_store(thread);
    while ((ask = history_asks_next(shared, true)))
        history_asks_forget(thread, ask); /* touches no younger add */
    for (bool well = thread->store != NULL; well && some && clock_now_ns() < shared->stop_at_ns;) {
        pthread_mutex_lock(&shared->lock);
        history_queue_take(&shared->queue, UINT64_MAX);
        some = !list_is_empty(&shared->queue.batch);
        pthread_mutex_unlock(&shared->lock);
        well = !some || history_thread_write_batch(thread) || (thread->store && thread->said == -EBUSY); /* a lock may be let go in time */
    }
    for (bool well = true; well && thread->store && history_usage_due_ns(shared) != UINT64_MAX && clock_now_ns() < shared->stop_at_ns;)
        well = history_usage_write(thread, UINT64_MAX) || (thread->store && thread->said == -EBUSY);
    while (thread->writable && (thread->purge || thread->scrub) && clock_now_ns() < shared->stop_at_ns &&
           clock_now_ns() >= thread->chore_ns)
        history_chore_step(thread, clock_now_ns());
    history_store_close(thread->store, thread->damaged);
}

void *history_thread_main(void *argument)
{
    struct history_thread thread = {.shared = argument, .said = 1};
    struct history_shared *shared = argument;

    thread.options = &shared->options;
    list_init(&thread.forgets);
    open_store(&thread);
    while (rest(&thread)) {
        history_asks_answer(&thread);
        write_what_is_due(&thread, clock_now_ns());
        if (thread.store)
            history_chore_step(&thread, clock_now_ns());
    }
    finish(&thread);
    history_asks_end_forgets(&thread, -ECANCELED, "the history is closed");
    pthread_mutex_lock(&shared->lock);
    if (shared->queue.turns > 0)
        log_error("history: %llu turns could not be written", (unsigned long long)shared->queue.turns);
    if (shared->usage_count > 0)
        log_error("history: the usage of %u answers could not be written", shared->usage_count);
    shared->has_ended = true;
    pthread_cond_signal(&shared->ended);
    history_shared_leave(shared);
    return NULL;
}
