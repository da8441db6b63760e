/* Usage that waits: made on the loop, written by the thread a batch at a time. */
#include "core/history/history_usage.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/history/history_thread.h"

static const char *copy(char **end, const char *text)
{
    char *begin = *end;
    size_t size = strlen(text) + 1;

    memcpy(begin, text, size);
    *end += size;
    return begin;
}

struct history_used *history_used_make(const struct history_usage *usage)
{
    const char *texts[] = {usage->stream, usage->app, usage->key, usage->upstream, usage->model, usage->transport};
    size_t size = sizeof(struct history_used);

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        size += strlen(texts[i]) + 1;
    struct history_used *used = malloc(size);
    if (!used)
        return NULL;
    char *end = used->bytes;
    list_init(&used->link);
    used->order = 0;
    used->queued_ns = clock_now_ns();
    used->usage = *usage;
    used->usage.stream = copy(&end, usage->stream);
    used->usage.app = copy(&end, usage->app);
    used->usage.key = copy(&end, usage->key);
    used->usage.upstream = copy(&end, usage->upstream);
    used->usage.model = copy(&end, usage->model);
    used->usage.transport = copy(&end, usage->transport);
    return used;
}

void history_usage_free(struct list *used)
{
    while (!list_is_empty(used)) {
        struct history_used *one = list_entry(used->next, struct history_used, link);

        list_remove(&one->link);
        free(one);
    }
}

uint64_t history_usage_due_locked_ns(const struct history_shared *shared)
{
    if (list_is_empty(&shared->usage))
        return UINT64_MAX;
    if (shared->usage_count >= HISTORY_USAGE_BATCH)
        return 0;
    return list_entry(shared->usage.next, struct history_used, link)->queued_ns + shared->options.sync_ms * CLOCK_MS;
}

uint64_t history_usage_due_ns(struct history_shared *shared)
{
    uint64_t due_ns;

    pthread_mutex_lock(&shared->lock);
    due_ns = history_usage_due_locked_ns(shared);
    pthread_mutex_unlock(&shared->lock);
    return due_ns;
}

bool history_usage_waits(struct history_shared *shared, uint64_t before)
{
    bool waits;

    pthread_mutex_lock(&shared->lock);
    waits = !list_is_empty(&shared->usage) && list_entry(shared->usage.next, struct history_used, link)->order < before;
    pthread_mutex_unlock(&shared->lock);
    return waits;
}

/* Moves the oldest ones into the (empty) batch. */
static uint32_t take(struct history_shared *shared, uint64_t before, struct list *batch)
{
    uint32_t count = 0;

    pthread_mutex_lock(&shared->lock);
    list_for_each(link, spare, &shared->usage) {
        if (count == HISTORY_USAGE_BATCH || list_entry(link, struct history_used, link)->order >= before)
            break;
        list_remove(link);
        list_append(batch, link);
        count++;
    }
    pthread_mutex_unlock(&shared->lock);
    return count;
}

bool history_usage_write(struct history_thread *thread, uint64_t before)
{
    struct history_shared *shared = thread->shared;
    struct history_trouble trouble;
    struct list batch;
    uint32_t count;
    bool well;

    list_init(&batch);
    count = take(shared, before, &batch);
    if (count == 0)
        return true;
    well = history_thread_follow(thread) &&
           history_thread_went_well(thread, history_store_append_usage(thread->store, &batch, &trouble), &trouble);
    pthread_mutex_lock(&shared->lock);
    if (well) {
        shared->counts.usage_written += count;
        shared->usage_count -= count;
    } else {
        while (!list_is_empty(&batch)) { /* they wait again, before the others */
            struct list *last = batch.prev;
            list_remove(last);
            list_prepend(&shared->usage, last);
        }
    }
    pthread_mutex_unlock(&shared->lock);
    history_usage_free(&batch);
    if (well)
        history_thread_measure(thread);
    return well;
}
