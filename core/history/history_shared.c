#include "core/history/history_shared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

void history_ask_free(struct history_ask *ask)
{
    history_turns_free(&ask->turns);
    history_list_free(&ask->found);
    history_sums_free(&ask->sums);
    free(ask->app);
    free(ask->session);
    free(ask->found_session);
    free(ask);
}

static void free_asks(struct list *asks)
{
    while (!list_is_empty(asks)) {
        struct history_ask *ask = list_entry(asks->next, struct history_ask, link);

        list_remove(&ask->link);
        history_ask_free(ask);
    }
}

static void shared_free(struct history_shared *shared)
{
    free_asks(&shared->asks);
    free_asks(&shared->done);
    history_queue_free(&shared->queue.waiting);
    history_queue_free(&shared->queue.batch);
    history_usage_free(&shared->usage);
    if (shared->eventfd != -1)
        close(shared->eventfd);
    pthread_cond_destroy(&shared->work);
    pthread_cond_destroy(&shared->ended);
    pthread_mutex_destroy(&shared->lock);
    free(shared->path);
    free(shared);
}

void history_shared_leave(struct history_shared *shared)
{
    bool last = --shared->users == 0;

    pthread_mutex_unlock(&shared->lock);
    if (last)
        shared_free(shared);
}

struct history_shared *history_shared_create(const char *path, const struct history_options *options)
{
    struct history_shared *shared = calloc(1, sizeof *shared);
    pthread_condattr_t monotonic;

    if (!shared)
        return NULL;
    if (options)
        shared->options = *options;
    shared->options.sync_ms = shared->options.sync_ms ? shared->options.sync_ms : 200;
    shared->options.queue_max = shared->options.queue_max ? shared->options.queue_max : 8192;
    shared->options.queue_bytes = shared->options.queue_bytes ? shared->options.queue_bytes : 64u << 20;
    shared->options.load_wait_ms = shared->options.load_wait_ms ? shared->options.load_wait_ms : 1000;
    pthread_mutex_init(&shared->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&shared->work, &monotonic);
    pthread_cond_init(&shared->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    history_queue_init(&shared->queue, shared->options.queue_max, shared->options.queue_bytes);
    list_init(&shared->usage);
    list_init(&shared->asks);
    list_init(&shared->done);
    why_set(&shared->text, 0, "%s is being opened", path);
    shared->users = 1;
    shared->path = strdup(path);
    shared->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!shared->path || shared->eventfd == -1) {
        shared_free(shared);
        return NULL;
    }
    return shared;
}
