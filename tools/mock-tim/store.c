/* store - messages as the service keeps them. */
#include "mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DUPLICATE_S 120

static struct message *made(struct mock *mock, struct message *message)
{
    *mock->last = message;
    mock->last = &message->next;
    mock->message_count++;
    return message;
}

struct message *store_add(struct mock *mock, const char *from, const char *to, const char *group, uint32_t seq, uint32_t random, bool by_bot)
{
    struct message *message = calloc(1, sizeof *message);

    message->from = strdup(from);
    message->to = strdup(to);
    message->group = strdup(group);
    message->random = random;
    message->by_bot = by_bot;
    message->time_s = (uint64_t)time(NULL);
    message->made_ms = message->last_ms = mock_ms();
    message->seq = *group ? ++mock->next_seq : seq; /* in a group the service numbers */
    snprintf(message->key, sizeof message->key, "%" PRIu32 "_%" PRIu32 "_%" PRIu64, message->seq, random, message->time_s);
    message->history = cJSON_CreateArray();
    message->text = strdup("");
    return made(mock, message);
}

struct message *store_find(struct mock *mock, const char *key)
{
    for (struct message *m = mock->first; m; m = m->next)
        if (!*m->group && strcmp(m->key, key) == 0)
            return m;
    return NULL;
}

struct message *store_find_stream(struct mock *mock, const char *stream_id)
{
    for (struct message *m = mock->first; m; m = m->next)
        if (*m->stream_id && strcmp(m->stream_id, stream_id) == 0)
            return m;
    return NULL;
}

struct message *store_find_group(struct mock *mock, const char *group, uint64_t seq)
{
    for (struct message *m = mock->first; m; m = m->next)
        if (m->seq == seq && strcmp(m->group, group) == 0)
            return m;
    return NULL;
}

struct message *store_find_duplicate(struct mock *mock, const char *from, const char *to, const char *group, uint32_t seq, uint32_t random)
{
    uint64_t now_s = (uint64_t)time(NULL);

    for (struct message *m = mock->first; m; m = m->next)
        if (m->random == random && (*group || m->seq == seq) && now_s <= m->time_s + DUPLICATE_S && strcmp(m->from, from) == 0 &&
            strcmp(m->to, to) == 0 && strcmp(m->group, group) == 0)
            return m;
    return NULL;
}

void store_show(struct mock *mock, struct message *message, const struct seen *seen, const cJSON *body)
{
    size_t before = strlen(message->text);
    double now_ms = mock_ms();

    if (message->versions && strncmp(seen->text, message->text, before) != 0)
        mock_violation(mock, "%s: the text was changed, not only lengthened (%zu bytes, then %zu)", message->key, before, strlen(seen->text));
    if (message->finished && (!seen->finished || strcmp(seen->text, message->text) != 0))
        mock_violation(mock, "%s: changed after it was finished", message->key);
    free(message->text);
    message->text = strdup(seen->text);
    message->kind = seen->kind;
    message->src = seen->src;
    message->finished = seen->finished;
    cJSON_Delete(message->body);
    message->body = cJSON_Duplicate(body, 1);
    if (seen->data)
        cJSON_AddItemToArray(message->history, cJSON_CreateString(seen->data));
    if (message->versions < VERSIONS_MAX)
        message->version_ms[message->versions] = now_ms;
    message->versions++;
    message->last_ms = now_ms;
}

void store_clear(struct mock *mock)
{
    for (struct message *m = mock->first, *next; m; m = next) {
        next = m->next;
        free(m->from);
        free(m->to);
        free(m->group);
        free(m->text);
        cJSON_Delete(m->body);
        cJSON_Delete(m->history);
        free(m);
    }
    mock->generation++;
    mock->first = NULL;
    mock->last = &mock->first;
    mock->message_count = 0;
}
