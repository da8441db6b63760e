#include "core/history/history_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void history_queue_init(struct history_queue *queue, uint32_t entries_max, size_t bytes_max)
{
    list_init(&queue->waiting);
    list_init(&queue->batch);
    queue->entries_max = entries_max;
    queue->bytes_max = bytes_max;
    for (uint32_t i = 0; i < HISTORY_QUEUE_BUCKETS; i++)
        list_init(&queue->bucket[i]);
}

/* FNV-1a over both names; a chain is never longer than the queue */
static uint32_t bucket_of(const char *app, const char *session)
{
    uint64_t hash = 14695981039346656037ull;

    for (; *app; app++)
        hash = (hash ^ (unsigned char)*app) * 1099511628211ull;
    hash = (hash ^ 0xff) * 1099511628211ull;
    for (; *session; session++)
        hash = (hash ^ (unsigned char)*session) * 1099511628211ull;
    return (uint32_t)(hash ^ hash >> 32) % HISTORY_QUEUE_BUCKETS;
}

static const char *append_bytes(char **end, const char *data, size_t size)
{
    char *begin = *end;

    memcpy(begin, data, size);
    begin[size] = '\0';
    *end += size + 1;
    return begin;
}

struct history_added *history_added_make(const char *app, const char *session, const struct history_turn *turns, size_t count)
{
    size_t bytes = sizeof(struct history_added) + count * sizeof *turns + strlen(app) + 1 + strlen(session) + 1;
    struct history_added *added;
    char *end;

    for (size_t i = 0; i < count; i++)
        bytes += turns[i].size + 1 + strlen(turns[i].stream) + 1 + strlen(history_turns_about(&turns[i])) + 1;
    added = malloc(bytes);
    if (!added)
        return NULL;
    memset(added, 0, sizeof *added);
    list_init(&added->link);
    list_init(&added->in_bucket);
    added->bytes = bytes;
    added->count = (uint32_t)count;
    end = (char *)(added->turns + count);
    added->app = append_bytes(&end, app, strlen(app));
    added->session = append_bytes(&end, session, strlen(session));
    for (size_t i = 0; i < count; i++) {
        added->turns[i] = turns[i];
        added->turns[i].message = append_bytes(&end, turns[i].message, turns[i].size);
        added->turns[i].stream = append_bytes(&end, turns[i].stream, strlen(turns[i].stream));
        added->turns[i].about = append_bytes(&end, history_turns_about(&turns[i]), strlen(history_turns_about(&turns[i])));
        added->message_bytes += turns[i].size;
    }
    return added;
}

/* Takes a waiting add out of everything. */
static void take_out(struct history_queue *queue, struct history_added *added, struct list *to)
{
    list_remove(&added->link);
    list_remove(&added->in_bucket);
    list_append(to, &added->link);
    queue->entries--;
    queue->bytes -= added->bytes;
    queue->turns -= added->count;
    queue->turns_waiting -= added->count;
}

int history_queue_put(struct history_queue *queue, struct history_added *added, struct list *ret_dropped)
{
    uint32_t batch_entries = 0;
    size_t batch_bytes = 0;

    list_for_each(link, spare, &queue->batch) { /* at most HISTORY_BATCH_TURNS_MAX */
        batch_entries++;
        batch_bytes += list_entry(link, struct history_added, link)->bytes;
    }
    /* asked first, so that nothing is dropped for an add that finds no room even then */
    if (batch_entries + 1 > queue->entries_max || added->bytes > queue->bytes_max || batch_bytes > queue->bytes_max - added->bytes)
        return -EMSGSIZE;
    while (queue->entries + 1 > queue->entries_max || queue->bytes + added->bytes > queue->bytes_max)
        take_out(queue, list_entry(queue->waiting.next, struct history_added, link), ret_dropped);
    list_append(&queue->waiting, &added->link);
    list_append(&queue->bucket[bucket_of(added->app, added->session)], &added->in_bucket);
    queue->entries++;
    queue->bytes += added->bytes;
    queue->turns += added->count;
    queue->turns_waiting += added->count;
    return 0;
}

void history_queue_take(struct history_queue *queue, uint64_t before)
{
    uint32_t turns = 0;
    size_t bytes = 0;

    list_for_each(link, spare, &queue->waiting) {
        struct history_added *added = list_entry(link, struct history_added, link);
        bool first = list_is_empty(&queue->batch);

        if (added->order >= before)
            break;
        if (!first && (turns + added->count > HISTORY_BATCH_TURNS_MAX || bytes + added->bytes > HISTORY_BATCH_BYTES_MAX))
            break;
        list_remove(&added->link);
        list_append(&queue->batch, &added->link);
        turns += added->count;
        bytes += added->bytes;
    }
    queue->turns_waiting -= turns;
}

void history_queue_give_back(struct history_queue *queue)
{
    while (!list_is_empty(&queue->batch)) {
        struct history_added *added = list_entry(queue->batch.prev, struct history_added, link);

        list_remove(&added->link);
        list_prepend(&queue->waiting, &added->link);
        queue->turns_waiting += added->count;
    }
}

void history_queue_done(struct history_queue *queue, struct list *ret_done)
{
    list_for_each(link, spare, &queue->batch) {
        struct history_added *added = list_entry(link, struct history_added, link);

        queue->turns_waiting += added->count; /* as take_out expects it */
        take_out(queue, added, ret_done);
    }
}

void history_queue_collect(const struct history_queue *queue, const char *app, const char *session, uint64_t before,
                           struct history_turns *turns)
{
    const struct list *head = &queue->bucket[bucket_of(app, session)];

    for (const struct list *link = head->prev; link != head; link = link->prev) {
        const struct history_added *added = list_entry(link, const struct history_added, in_bucket);

        if (added->order >= before || strcmp(added->app, app) != 0 || strcmp(added->session, session) != 0)
            continue;
        for (uint32_t i = added->count; i > 0; i--)
            if (!history_turns_take(turns, &added->turns[i - 1]))
                return;
    }
}

static const struct history_turn *find_in(const struct list *adds, const char *app, const char *stream, uint64_t before,
                                          const char **ret_session)
{
    for (const struct list *link = adds->next; link != adds; link = link->next) {
        const struct history_added *added = list_entry(link, const struct history_added, link);

        if (added->order >= before || strcmp(added->app, app) != 0)
            continue;
        for (uint32_t i = 0; i < added->count; i++)
            if (added->turns[i].role == HISTORY_ROLE_ASSISTANT && strcmp(added->turns[i].stream, stream) == 0) {
                *ret_session = added->session;
                return &added->turns[i];
            }
    }
    return NULL;
}

const struct history_turn *history_queue_find(const struct history_queue *queue, const char *app, const char *stream, uint64_t before,
                                              const char **ret_session)
{
    const struct history_turn *turn = find_in(&queue->batch, app, stream, before, ret_session);

    return turn ? turn : find_in(&queue->waiting, app, stream, before, ret_session);
}

void history_queue_forget(struct history_queue *queue, const char *app, const char *session, uint64_t before, struct list *ret_gone)
{
    list_for_each(link, spare, &queue->waiting) {
        struct history_added *added = list_entry(link, struct history_added, link);

        if (added->order >= before)
            return; /* the list is in order */
        if (strcmp(added->app, app) == 0 && (!session || strcmp(added->session, session) == 0))
            take_out(queue, added, ret_gone);
    }
}

void history_queue_free(struct list *adds)
{
    while (!list_is_empty(adds)) {
        struct history_added *added = list_entry(adds->next, struct history_added, link);

        list_remove(&added->link);
        free(added);
    }
}
