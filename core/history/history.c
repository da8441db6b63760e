/* The loop's side: adds into the queue, asks to the thread, answers back to their owners. */
#include "core/history/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/history/history_shared.h"

#define PATH_BYTES_MAX 4000u /* room for SQLite's suffixes */

struct history {
    struct uring_loop *loop;
    struct history_shared *shared;
    struct uring_watch *watch;
    pthread_t thread;
    struct list open;              /* history_ask.delivery.open: asked and not delivered */
    uint32_t asks;                 /* how many of them */
    uint64_t loads, load_timeouts;
    uint64_t refused;              /* turns that never came into the queue */
};

/* ---- answers ---- */

/* To its owner, who may cancel other asks or ask anew, then away with it. */
static void deliver(struct history *history, struct history_ask *ask)
{
    struct history_reply reply = {.error = ask->error,
                                  .text = ask->why.text,
                                  .turns = ask->turns.turns,
                                  .conversations = ask->found.conversations,
                                  .usage = ask->sums.sums,
                                  .count = ask->kind == HISTORY_LIST    ? ask->found.count
                                           : ask->kind == HISTORY_USAGE ? ask->sums.count
                                                                        : ask->turns.count,
                                  .session = ask->found_session ? ask->found_session : "",
                                  .forgotten = ask->forgotten};

    uring_timer_clear(history->loop, &ask->delivery.timer);
    list_remove(&ask->delivery.open);
    if (ask->delivery.done)
        ask->delivery.done(ask->delivery.owner, &reply);
    history_ask_free(ask);
    history->asks--;
}

static void answers_came(void *owner, int fd)
{
    struct history *history = owner;
    struct history_shared *shared = history->shared;
    struct list answers;
    uint64_t count;

    if (read(fd, &count, sizeof count) == -1)
        return;
    list_init(&answers);
    pthread_mutex_lock(&shared->lock);
    while (!list_is_empty(&shared->done)) {
        struct list *link = shared->done.next;

        list_remove(link);
        list_append(&answers, link);
    }
    if (shared->done_bytes >= HISTORY_DONE_BYTES_MAX)
        pthread_cond_signal(&shared->work);
    shared->done_bytes = 0;
    pthread_mutex_unlock(&shared->lock);
    while (!list_is_empty(&answers)) {
        struct history_ask *ask = list_entry(answers.next, struct history_ask, link);

        list_remove(&ask->link);
        deliver(history, ask);
    }
}

/* The disk is too slow for somebody who waits.  The ask itself comes back later and finds nobody. */
static void waited_enough(struct uring_timer *timer)
{
    struct history_ask *ask = list_entry(timer, struct history_ask, delivery.timer);
    struct history_reply reply = {.error = -ETIMEDOUT, .text = "the history did not answer in time"};
    void (*done)(void *owner, const struct history_reply *) = ask->delivery.done;

    ask->delivery.done = NULL;
    ask->delivery.history->load_timeouts++;
    done(ask->delivery.owner, &reply);
}

/* ---- asks ---- */

static bool name_fits(const char *name)
{
    size_t size = strnlen(name, HISTORY_NAME_MAX + 1);

    return size > 0 && size <= HISTORY_NAME_MAX;
}

static struct history_ask *make_ask(enum history_ask_kind kind, const char *app, const char *session)
{
    struct history_ask *ask = calloc(1, sizeof *ask);

    if (!ask)
        return NULL;
    list_init(&ask->link);
    ask->kind = kind;
    ask->app = app ? strdup(app) : NULL;
    ask->session = session ? strdup(session) : NULL;
    if ((app && !ask->app) || (session && !ask->session)) {
        history_ask_free(ask);
        return NULL;
    }
    return ask;
}

/* prepared: the names and the bounds of an ask. */
static int send_ask(struct history *history, const struct history_ask *prepared, void (*done)(void *, const struct history_reply *),
                    void *owner, struct history_ask **ret_ask)
{
    struct history_shared *shared = history->shared;
    struct history_ask *ask;

    if ((prepared->app && !name_fits(prepared->app)) || (prepared->session && !name_fits(prepared->session)))
        return -EINVAL;
    if (history->asks >= HISTORY_ASKS_MAX)
        return -EBUSY;
    ask = make_ask(prepared->kind, prepared->app, prepared->session);
    if (!ask)
        return -ENOMEM;
    ask->limit = prepared->limit;
    ask->since_ms = prepared->since_ms;
    ask->by = prepared->by;
    ask->turns = prepared->turns;
    ask->delivery.history = history;
    ask->delivery.done = done;
    ask->delivery.owner = owner;
    ask->delivery.timer.fired = waited_enough;
    if (ask->kind == HISTORY_LOAD || ask->kind == HISTORY_FIND) {
        history->loads++;
        uring_timer_set(history->loop, &ask->delivery.timer, shared->options.load_wait_ms * CLOCK_MS);
    }
    list_append(&history->open, &ask->delivery.open);
    history->asks++;
    if (ret_ask)
        *ret_ask = ask;
    pthread_mutex_lock(&shared->lock);
    ask->order = ++shared->order;
    list_append(&shared->asks, &ask->link);
    pthread_cond_signal(&shared->work);
    pthread_mutex_unlock(&shared->lock);
    return 0;
}

/* What is asked is only read by send_ask; the names stay the caller's. */
static char *borrowed(const char *name)
{
    return (char *)(uintptr_t)name;
}

int history_load(struct history *history, const char *app, const char *session, uint32_t max_turns, size_t max_bytes,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask)
{
    struct history_ask ask = {.kind = HISTORY_LOAD,
                              .app = borrowed(app),
                              .session = borrowed(session),
                              .turns = {.max = max_turns, .bytes_max = max_bytes, .full = max_turns == 0}};

    return send_ask(history, &ask, done, owner, ret_ask);
}

int history_find(struct history *history, const char *app, const char *stream,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask)
{
    struct history_ask ask = {.kind = HISTORY_FIND,
                              .app = borrowed(app),
                              .session = borrowed(stream),
                              .turns = {.max = 1, .bytes_max = HISTORY_FIND_BYTES_MAX, .past_first = true}};

    return send_ask(history, &ask, done, owner, ret_ask);
}

int history_show(struct history *history, const char *app, const char *session,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask)
{
    struct history_ask ask = {.kind = HISTORY_SHOW,
                              .app = borrowed(app),
                              .session = borrowed(session),
                              .turns = {.max = HISTORY_SHOW_TURNS_MAX, .bytes_max = HISTORY_SHOW_BYTES_MAX, .past_first = true}};

    return send_ask(history, &ask, done, owner, ret_ask);
}

int history_list(struct history *history, const char *app, uint32_t limit,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask)
{
    struct history_ask ask = {
        .kind = HISTORY_LIST, .app = borrowed(app), .limit = limit < HISTORY_LIST_MAX ? limit : HISTORY_LIST_MAX};

    return send_ask(history, &ask, done, owner, ret_ask);
}

int history_usage_sums(struct history *history, uint64_t since_ms, enum history_usage_by by, const char *app, const char *key, uint32_t limit,
                       void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask)
{
    struct history_ask ask = {.kind = HISTORY_USAGE,
                              .app = borrowed(app),
                              .session = borrowed(key),
                              .limit = limit < HISTORY_USAGE_ROWS_MAX ? limit : HISTORY_USAGE_ROWS_MAX,
                              .since_ms = since_ms,
                              .by = by};

    return send_ask(history, &ask, done, owner, ret_ask);
}

int history_forget(struct history *history, const char *app, const char *session,
                   void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask)
{
    struct history_ask ask = {.kind = HISTORY_FORGET, .app = borrowed(app), .session = borrowed(session)};

    return send_ask(history, &ask, done, owner, ret_ask);
}

void history_cancel(struct history_ask *ask)
{
    if (!ask)
        return;
    ask->delivery.done = NULL;
    uring_timer_clear(ask->delivery.history->loop, &ask->delivery.timer);
}

/* ---- adds ---- */

int history_add(struct history *history, const char *app, const char *session, const struct history_turn *turns, size_t count)
{
    struct history_shared *shared = history->shared;
    struct history_added *added;
    struct list dropped;
    uint64_t lost = 0;
    int r;

    if (count == 0 || count > HISTORY_ADD_TURNS_MAX || !name_fits(app) || !name_fits(session)) {
        history->refused += count;
        return -EINVAL;
    }
    added = history_added_make(app, session, turns, count);
    if (!added) {
        history->refused += count;
        return -ENOMEM;
    }
    added->queued_ns = clock_now_ns();
    list_init(&dropped);
    pthread_mutex_lock(&shared->lock);
    added->order = ++shared->order;
    bool first = list_is_empty(&shared->queue.waiting);
    r = history_queue_put(&shared->queue, added, &dropped);
    if (first || shared->queue.turns_waiting >= HISTORY_BATCH_TURNS)
        pthread_cond_signal(&shared->work);
    list_for_each(link, spare, &dropped)
        lost += list_entry(link, struct history_added, link)->count;
    shared->counts.dropped += lost;
    pthread_mutex_unlock(&shared->lock);
    history_queue_free(&dropped);
    if (r < 0) {
        history->refused += count;
        free(added);
    }
    return r;
}

int history_usage_add(struct history *history, const struct history_usage *usage)
{
    struct history_shared *shared = history->shared;
    struct history_used *used = history_used_make(usage);
    struct history_used *lost = NULL;

    pthread_mutex_lock(&shared->lock);
    if (!used) {
        shared->counts.usage_dropped++;
    } else {
        if (shared->usage_count >= HISTORY_USAGE_WAITING_MAX && !list_is_empty(&shared->usage)) {
            lost = list_entry(shared->usage.next, struct history_used, link);
            list_remove(&lost->link);
            shared->usage_count--;
            shared->counts.usage_dropped++;
        }
        used->order = ++shared->order;
        bool first = list_is_empty(&shared->usage);
        list_append(&shared->usage, &used->link);
        if (++shared->usage_count == HISTORY_USAGE_BATCH || first)
            pthread_cond_signal(&shared->work);
    }
    pthread_mutex_unlock(&shared->lock);
    free(lost);
    return used ? 0 : -ENOMEM;
}

/* ---- the whole ---- */

enum history_state history_state(struct history *history, struct why *ret_text)
{
    enum history_state state;

    pthread_mutex_lock(&history->shared->lock);
    state = history->shared->state;
    if (ret_text)
        *ret_text = history->shared->text;
    pthread_mutex_unlock(&history->shared->lock);
    return state;
}

void history_get_counts(struct history *history, struct history_counts *ret_counts)
{
    struct history_shared *shared = history->shared;

    pthread_mutex_lock(&shared->lock);
    *ret_counts = shared->counts;
    ret_counts->waiting = shared->queue.turns;
    ret_counts->waiting_bytes = shared->queue.bytes;
    ret_counts->usage_waiting = shared->usage_count;
    pthread_mutex_unlock(&shared->lock);
    ret_counts->dropped += history->refused;
    ret_counts->loads = history->loads;
    ret_counts->load_timeouts = history->load_timeouts;
}

int history_open(struct uring_loop *loop, const char *path, const struct history_options *options, struct history **ret_history,
                 struct why *why)
{
    struct history *history;
    int r;

    if (strlen(path) > PATH_BYTES_MAX)
        return why_set(why, -ENAMETOOLONG, "the history's path is longer than %u bytes", PATH_BYTES_MAX);
    history = calloc(1, sizeof *history);
    if (!history)
        return why_set(why, -ENOMEM, "no memory for the history");
    history->loop = loop;
    list_init(&history->open);
    history->shared = history_shared_create(path, options);
    if (!history->shared) {
        free(history);
        return why_set(why, -ENOMEM, "no memory or no descriptor for the history");
    }
    r = uring_watch_open(loop, history->shared->eventfd, answers_came, history, &history->watch);
    if (r < 0) {
        why_errno(why, -r, "the history's answers cannot be watched");
        goto fail;
    }
    history->shared->users = 2;
    r = -pthread_create(&history->thread, NULL, history_thread_main, history->shared);
    if (r < 0) {
        history->shared->users = 1;
        uring_watch_close(history->watch);
        why_errno(why, -r, "the history's thread cannot be started");
        goto fail;
    }
    *ret_history = history;
    return 0;
fail:
    pthread_mutex_lock(&history->shared->lock);
    history_shared_leave(history->shared);
    free(history);
    return r;
}

void history_close(struct history *history)
{
    struct history_shared *shared;
    struct timespec until;
    bool ended;

    if (!history)
        return;
    shared = history->shared;
    uring_watch_close(history->watch);
    list_for_each(link, spare, &history->open)
        history_cancel(list_entry(link, struct history_ask, delivery.open)); /* the timers leave the loop before their memory goes */
    pthread_mutex_lock(&shared->lock);
    shared->stop = true;
    shared->stop_at_ns = clock_now_ns() + HISTORY_CLOSE_MS * CLOCK_MS;
    until = (struct timespec){(time_t)(shared->stop_at_ns / CLOCK_S), (long)(shared->stop_at_ns % CLOCK_S)};
    pthread_cond_signal(&shared->work);
    while (!shared->has_ended && pthread_cond_timedwait(&shared->ended, &shared->lock, &until) == 0)
        continue;
    ended = shared->has_ended;
    if (!ended && shared->queue.turns > 0)
        log_error("%llu turns of conversations could not be written in time", (unsigned long long)shared->queue.turns);
    history_shared_leave(shared);
    if (ended)
        pthread_join(history->thread, NULL);
    else
        pthread_detach(history->thread); /* the disk holds it: it cleans up behind itself */
    free(history);
}
