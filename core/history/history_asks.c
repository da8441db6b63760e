/* What is asked: turns, lists, forgetting; the answers on their way back. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/history/history_thread.h"

#define ASKS_A_ROUND 64         /* then writes get their turn */
#define SCRUB_PATIENCE_MS 5000u  /* a reader keeps the log: who asked to forget is told so after this */

static void hand_over(struct history_shared *shared, struct history_ask *ask)
{
    const uint64_t one = 1;

    history_turns_turn_round(&ask->turns);
    ask->bytes = sizeof *ask + ask->turns.bytes + (ask->found.count + ask->sums.count) * (2 * HISTORY_NAME_MAX);
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

void history_asks_end_forgets(struct history_thread *thread, int error, const char *text)
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
static void blame_state(struct history_thread *thread, struct history_ask *ask)
{
    pthread_mutex_lock(&thread->shared->lock);
    blame(ask, thread->damaged ? -EBADMSG : thread->said < 0 ? thread->said : -EAGAIN, thread->shared->text.text);
    pthread_mutex_unlock(&thread->shared->lock);
}

static void collect_turns(struct history_thread *thread, struct history_ask *ask)
{
    struct history_trouble trouble;

    pthread_mutex_lock(&thread->shared->lock);
    history_queue_collect(&thread->shared->queue, ask->app, ask->session, ask->order, &ask->turns);
    pthread_mutex_unlock(&thread->shared->lock);
    if (!thread->store) {
        blame_state(thread, ask);
    } else if (history_store_collect(thread->store, ask->app, ask->session, &ask->turns, &trouble) < 0) {
        blame(ask, trouble.error, trouble.why.text);
        history_thread_failed(thread, &trouble);
    }
    if (ask->turns.failed)
        blame(ask, -ENOMEM, "no memory for the turns");
}

static void find_answer(struct history_thread *thread, struct history_ask *ask)
{
    struct history_trouble trouble;
    const char *session;

    pthread_mutex_lock(&thread->shared->lock);
    const struct history_turn *turn = history_queue_find(&thread->shared->queue, ask->app, ask->session, ask->order, &session);
    if (turn) {
        ask->found_session = strdup(session);
        ask->turns.failed = !ask->found_session;
        history_turns_take(&ask->turns, turn);
    }
    pthread_mutex_unlock(&thread->shared->lock);
    if (!turn && !thread->store) {
        blame_state(thread, ask);
    } else if (!turn && history_store_find(thread->store, ask->app, ask->session, &ask->turns, &ask->found_session, &trouble) < 0) {
        blame(ask, trouble.error, trouble.why.text);
        history_thread_failed(thread, &trouble);
    }
    if (ask->turns.failed)
        blame(ask, -ENOMEM, "no memory for the turn");
}

/* What waits is written first, so that the rows tell all. */
static void list_conversations(struct history_thread *thread, struct history_ask *ask)
{
    struct history_shared *shared = thread->shared;
    struct history_trouble trouble;
    bool some = true;

    while (thread->writable && some) {
        pthread_mutex_lock(&shared->lock);
        history_queue_take(&shared->queue, ask->order);
        some = !list_is_empty(&shared->queue.batch);
        pthread_mutex_unlock(&shared->lock);
        if (some && !history_thread_write_batch(thread))
            break;
    }
    if (!thread->store) {
        blame_state(thread, ask);
    } else if (history_store_list(thread->store, ask->app, ask->limit, &ask->found, &trouble) < 0) {
        blame(ask, trouble.error, trouble.why.text);
        history_thread_failed(thread, &trouble);
    }
}

static void sum_usage(struct history_thread *thread, struct history_ask *ask)
{
    struct history_trouble trouble;

    while (thread->writable && history_usage_waits(thread->shared, ask->order))
        if (!history_usage_write(thread, ask->order))
            break;
    if (!thread->store) {
        blame_state(thread, ask);
    } else if (history_store_usage_sums(thread->store, ask->since_ms, ask->by, ask->app, ask->session, ask->limit, &ask->sums,
                                        &trouble) < 0) {
        blame(ask, trouble.error, trouble.why.text);
        history_thread_failed(thread, &trouble);
    }
}

void history_asks_forget(struct history_thread *thread, struct history_ask *ask)
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
        history_thread_failed(thread, &trouble);
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

struct history_ask *history_asks_next(struct history_shared *shared, bool only_forgets)
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

void history_asks_answer(struct history_thread *thread)
{
    struct history_ask *ask;

    for (int i = 0; i < ASKS_A_ROUND && (ask = history_asks_next(thread->shared, false)); i++) {
        if (ask->kind == HISTORY_FORGET) {
            history_asks_forget(thread, ask);
            continue;
        }
        if (ask->kind == HISTORY_LIST)
            list_conversations(thread, ask);
        else if (ask->kind == HISTORY_USAGE)
            sum_usage(thread, ask);
        else if (ask->kind == HISTORY_FIND)
            find_answer(thread, ask);
        else
            collect_turns(thread, ask);
        hand_over(thread->shared, ask);
    }
}
