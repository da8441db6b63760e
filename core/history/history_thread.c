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
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/history/history_shared.h"

#define ASKS_A_ROUND 64          /* then writes get their turn */
#define RETRY_FIRST_MS 100u      /* doubled with each failure up to RETRY_LAST_MS */
#define RETRY_LAST_MS 5000u
#define LOOK_AGAIN_MS 1000u      /* whether a damaged file has been replaced */
#define AGE_CHECK_S 3600u        /* how often turns that have become too old are looked for */
#define SCRUB_RETRY_MS 250u      /* another program is reading the write-ahead log */
#define SCRUB_PATIENCE_MS 5000u  /* ... and who asked to forget is told so after this */
#define VACUUM_BYTES 1048576u    /* free pages inside the file are kept for use below this, and below an eighth of the file */
#define DAY_MS 86400000ull

struct thread {
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

/* ---- the state ---- */

static void note_state(struct thread *thread, enum history_state state, const char *text)
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

static void answer_forgets(struct thread *thread, int error, const char *text);

static void note_failure(struct thread *thread, const struct history_trouble *trouble)
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
    answer_forgets(thread, trouble->error, trouble->why.text);
}

static void note_success(struct thread *thread)
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
static bool went_well(struct thread *thread, int r, const struct history_trouble *trouble)
{
    if (r < 0)
        note_failure(thread, trouble);
    else
        note_success(thread);
    return r >= 0;
}

static void measure(struct thread *thread)
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

static void open_store(struct thread *thread)
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
        note_failure(thread, &trouble);
        return;
    }
    thread->purge = true; /* what a crash left */
    thread->age_ns = thread->chore_ns = 0;
    if (went_well(thread, history_store_probe(thread->store, &trouble), &trouble))
        measure(thread);
}

/* ---- writing ---- */

/* The batch that history_queue_take has filled. */
static bool write_batch(struct thread *thread)
{
    struct history_shared *shared = thread->shared;
    struct history_trouble trouble;
    uint64_t begun_ns = clock_now_ns(), turns = 0;
    struct list done;
    bool well;

    if (history_store_moved(thread->store)) { /* the operator took the file away: a new one is begun */
        history_store_scrub(thread->store, &trouble);
        history_store_close(thread->store, true);
        thread->store = NULL;
        thread->writable = false;
        log_warn("history: %s was moved away or deleted: a new one is begun", shared->path);
        open_store(thread);
    }
    well = thread->store && went_well(thread, history_store_append(thread->store, &shared->queue.batch, &trouble), &trouble);
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
        measure(thread);
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

static void write_what_is_due(struct thread *thread, uint64_t now_ns)
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
        write_batch(thread);
    else if (!thread->writable)
        went_well(thread, history_store_probe(thread->store, &trouble), &trouble);
}

/* ---- asks ---- */

static void hand_over(struct history_shared *shared, struct history_ask *ask)
{
    const uint64_t one = 1;

    history_turns_turn_round(&ask->turns);
    ask->bytes = sizeof *ask + ask->turns.bytes + ask->found.count * (2 * HISTORY_NAME_MAX);
    pthread_mutex_lock(&shared->lock);
    list_append(&shared->done, &ask->link);
    shared->done_bytes += ask->bytes;
    pthread_mutex_unlock(&shared->lock);
    if (write(shared->eventfd, &one, sizeof one) == -1)
        log_error("history: the loop cannot be woken: %s", strerror(errno));
}

static void blame(struct history_ask *ask, int error, const char *text)
{
    ask->error = error;
    why_set(&ask->why, 0, "%s", text);
}

static void answer_forgets(struct thread *thread, int error, const char *text)
{
    while (!list_is_empty(&thread->forgets)) {
        struct history_ask *ask = list_entry(thread->forgets.next, struct history_ask, link);

        list_remove(&ask->link);
        if (error)
            why_set(&ask->why, 0, "forgotten, but not overwritten on the disk yet, which is tried again: %s", text);
        ask->error = error;
        hand_over(thread->shared, ask);
    }
}

/* The database cannot be asked, for the reason that was given last. */
static void blame_state(struct thread *thread, struct history_ask *ask)
{
    pthread_mutex_lock(&thread->shared->lock);
    blame(ask, thread->damaged ? -EBADMSG : thread->said < 0 ? thread->said : -EAGAIN, thread->shared->text.text);
    pthread_mutex_unlock(&thread->shared->lock);
}

static void collect_turns(struct thread *thread, struct history_ask *ask)
{
    struct history_trouble trouble;

    pthread_mutex_lock(&thread->shared->lock);
    history_queue_collect(&thread->shared->queue, ask->app, ask->session, ask->order, &ask->turns);
    pthread_mutex_unlock(&thread->shared->lock);
    if (!thread->store) {
        blame_state(thread, ask);
    } else if (history_store_collect(thread->store, ask->app, ask->session, &ask->turns, &trouble) < 0) {
        blame(ask, trouble.error, trouble.why.text);
        note_failure(thread, &trouble);
    }
    if (ask->turns.failed)
        blame(ask, -ENOMEM, "no memory for the turns");
}

/* What waits is written first, so that the rows tell all. */
static void list_conversations(struct thread *thread, struct history_ask *ask)
{
    struct history_shared *shared = thread->shared;
    struct history_trouble trouble;
    bool some = true;

    while (thread->writable && some) {
        pthread_mutex_lock(&shared->lock);
        history_queue_take(&shared->queue, ask->order);
        some = !list_is_empty(&shared->queue.batch);
        pthread_mutex_unlock(&shared->lock);
        if (some && !write_batch(thread))
            break;
    }
    if (!thread->store) {
        blame_state(thread, ask);
    } else if (history_store_list(thread->store, ask->app, ask->limit, &ask->found, &trouble) < 0) {
        blame(ask, trouble.error, trouble.why.text);
        note_failure(thread, &trouble);
    }
}

/* Answered by a chore when the bytes are gone; at once when it fails. */
static void begin_forgetting(struct thread *thread, struct history_ask *ask)
{
    struct history_shared *shared = thread->shared;
    struct history_trouble trouble;
    struct list gone;
    uint64_t waiting;

    list_init(&gone);
    pthread_mutex_lock(&shared->lock);
    history_queue_forget(&shared->queue, ask->app, ask->session, ask->order, &gone);
    pthread_mutex_unlock(&shared->lock);
    waiting = !list_is_empty(&gone);
    history_queue_free(&gone);
    if (!thread->store) {
        blame_state(thread, ask);
    } else if (history_store_forget(thread->store, ask->app, ask->session, &ask->forgotten, &trouble) < 0) {
        blame(ask, trouble.error, trouble.why.text);
        note_failure(thread, &trouble);
    }
    if (ask->error) {
        struct why reason = ask->why;

        why_set(&ask->why, 0, "nothing but what waited was forgotten: %s", reason.text);
        hand_over(shared, ask);
        return;
    }
    ask->forgotten = ask->forgotten ? ask->forgotten : waiting; /* it may have had no row yet */
    list_append(&thread->forgets, &ask->link);
    thread->purge = true;
    thread->scrub_until_ns = clock_now_ns() + SCRUB_PATIENCE_MS * CLOCK_MS;
    thread->chore_ns = 0;
}

/* The next ask; with only_forgets the others are passed over.  NULL: none. */
static struct history_ask *next_ask(struct history_shared *shared, bool only_forgets)
{
    struct history_ask *found = NULL;

    pthread_mutex_lock(&shared->lock);
    if (only_forgets || shared->done_bytes < HISTORY_DONE_BYTES_MAX)
        list_for_each(link, spare, &shared->asks) {
            struct history_ask *ask = list_entry(link, struct history_ask, link);
            if (only_forgets && ask->kind != HISTORY_FORGET)
                continue;
            list_remove(&ask->link);
            found = ask;
            break;
        }
    pthread_mutex_unlock(&shared->lock);
    return found;
}

static void answer_asks(struct thread *thread)
{
    struct history_ask *ask;

    for (int i = 0; i < ASKS_A_ROUND && (ask = next_ask(thread->shared, false)); i++) {
        if (ask->kind == HISTORY_FORGET) {
            begin_forgetting(thread, ask);
            continue;
        }
        if (ask->kind == HISTORY_LIST)
            list_conversations(thread, ask);
        else
            collect_turns(thread, ask);
        hand_over(thread->shared, ask);
    }
}

/* ---- chores ---- */

static void scrub(struct thread *thread, uint64_t now_ns)
{
    struct history_trouble trouble;
    int r = history_store_scrub(thread->store, &trouble);

    if (r == -EBUSY) { /* another program reads; nothing is wrong */
        thread->chore_ns = now_ns + SCRUB_RETRY_MS * CLOCK_MS;
        if (now_ns >= thread->scrub_until_ns)
            answer_forgets(thread, -EBUSY, "another program holds the database open");
        return;
    }
    if (!went_well(thread, r, &trouble))
        return;
    thread->scrub = false;
    answer_forgets(thread, 0, "");
}

/* A step's worth of what is too old, or else too much. */
static void retire(struct thread *thread)
{
    struct history_trouble trouble;
    uint64_t now_ms = clock_wall_ms(), kept_ms = thread->options->retention_days * DAY_MS;
    struct history_size size;
    int r = history_store_size(thread->store, &size, &trouble);

    if (r == 0 && kept_ms && now_ms > kept_ms)
        r = history_store_retire(thread->store, now_ms - kept_ms, &trouble);
    if (r == 0 && thread->options->retention_mb && size.used > (uint64_t)thread->options->retention_mb << 20)
        r = history_store_retire(thread->store, UINT64_MAX, &trouble);
    if (!went_well(thread, r, &trouble))
        return;
    if (r == 0) {
        thread->retire = false; /* not measured again: the limit may be less than an empty database */
        return;
    }
    pthread_mutex_lock(&thread->shared->lock);
    thread->shared->counts.retired += (uint64_t)r;
    pthread_mutex_unlock(&thread->shared->lock);
    measure(thread);
}

/* One small step, so that asks and batches never wait long.  chore_ns says when the next one is due. */
static void do_chore(struct thread *thread, uint64_t now_ns)
{
    struct history_trouble trouble;
    int r;

    if (!thread->writable || now_ns < thread->chore_ns)
        return;
    if (now_ns >= thread->age_ns) {
        thread->age_ns = now_ns + AGE_CHECK_S * CLOCK_S;
        thread->retire = true;
    }
    if (thread->purge) {
        r = history_store_purge(thread->store, &trouble);
        if (!went_well(thread, r, &trouble))
            return;
        thread->purge = r > 0;
        thread->scrub = thread->scrub || r > 0 || !list_is_empty(&thread->forgets);
    } else if (thread->scrub) {
        scrub(thread, now_ns);
    } else if (thread->retire) {
        retire(thread);
    } else if (thread->vacuum) {
        r = history_store_vacuum(thread->store, &trouble);
        if (!went_well(thread, r, &trouble))
            return;
        thread->vacuum = false;
        if (r > 0)
            measure(thread); /* asks for another step if need be */
        thread->scrub = r > 0 && !thread->vacuum; /* the file shrinks when the log is moved into it */
    } else {
        thread->chore_ns = thread->age_ns;
    }
}

/* ---- the thread ---- */

/* Sleeps until something is due.  False: it is time to end. */
static bool rest(struct thread *thread)
{
    struct history_shared *shared = thread->shared;
    bool goes_on;

    pthread_mutex_lock(&shared->lock);
    while (!shared->stop && (list_is_empty(&shared->asks) || shared->done_bytes >= HISTORY_DONE_BYTES_MAX)) {
        bool idle = !thread->purge && !thread->scrub && !thread->retire && !thread->vacuum;
        uint64_t chore_ns = idle ? thread->age_ns : thread->chore_ns, at_ns = due_ns(shared);

        if (!list_is_empty(&shared->asks))
            at_ns = UINT64_MAX; /* the loop takes no results: it signals when it does */
        else if (!thread->writable)
            at_ns = thread->retry_ns;
        else if (chore_ns < at_ns)
            at_ns = chore_ns;
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
static void finish(struct thread *thread)
{
    struct history_shared *shared = thread->shared;
    struct history_ask *ask;
    bool some = true;

    if (!thread->store)
        open_store(thread);
    while ((ask = next_ask(shared, true)))
        begin_forgetting(thread, ask); /* touches no younger add */
    for (bool well = thread->store != NULL; well && some && clock_now_ns() < shared->stop_at_ns;) {
        pthread_mutex_lock(&shared->lock);
        history_queue_take(&shared->queue, UINT64_MAX);
        some = !list_is_empty(&shared->queue.batch);
        pthread_mutex_unlock(&shared->lock);
        well = !some || write_batch(thread) || (thread->store && thread->said == -EBUSY); /* a lock may be let go in time */
    }
    while (thread->writable && (thread->purge || thread->scrub) && clock_now_ns() < shared->stop_at_ns &&
           clock_now_ns() >= thread->chore_ns)
        do_chore(thread, clock_now_ns());
    history_store_close(thread->store, thread->damaged);
}

void *history_thread_main(void *argument)
{
    struct thread thread = {.shared = argument, .said = 1};
    struct history_shared *shared = argument;

    thread.options = &shared->options;
    list_init(&thread.forgets);
    open_store(&thread);
    while (rest(&thread)) {
        answer_asks(&thread);
        write_what_is_due(&thread, clock_now_ns());
        if (thread.store)
            do_chore(&thread, clock_now_ns());
    }
    finish(&thread);
    answer_forgets(&thread, -ECANCELED, "the history is closed");
    pthread_mutex_lock(&shared->lock);
    if (shared->queue.turns > 0)
        log_error("history: %llu turns could not be written", (unsigned long long)shared->queue.turns);
    shared->has_ended = true;
    pthread_cond_signal(&shared->ended);
    history_shared_leave(shared);
    return NULL;
}
