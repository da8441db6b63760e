/* view - what is seen, as JSON. */
#include "mock.h"

#include <string.h>

static cJSON *brief(const struct message *m)
{
    cJSON *json = cJSON_CreateObject();
    static const char *const kinds[] = {"text", "custom", "stream"};

    cJSON_AddStringToObject(json, "from", m->from);
    cJSON_AddStringToObject(json, "to", m->to);
    if (*m->group)
        cJSON_AddStringToObject(json, "group", m->group);
    cJSON_AddStringToObject(json, "flow", m->by_bot ? "in" : "out");
    cJSON_AddStringToObject(json, "kind", kinds[m->kind]);
    cJSON_AddStringToObject(json, "key", m->key);
    cJSON_AddNumberToObject(json, "src", m->src);
    cJSON_AddStringToObject(json, "text", m->text);
    cJSON_AddBoolToObject(json, "finished", m->finished);
    cJSON_AddNumberToObject(json, "versions", m->versions);
    cJSON_AddNumberToObject(json, "made_ms", m->made_ms);
    cJSON_AddNumberToObject(json, "last_ms", m->last_ms);
    return json;
}

static cJSON *whole(const struct message *m)
{
    cJSON *json = brief(m), *times = cJSON_AddArrayToObject(json, "version_ms");

    cJSON_AddNumberToObject(json, "seq", m->seq);
    cJSON_AddNumberToObject(json, "random", m->random);
    cJSON_AddNumberToObject(json, "time", (double)m->time_s);
    if (m->body)
        cJSON_AddItemToObject(json, "body", cJSON_Duplicate(m->body, 1));
    cJSON_AddItemToObject(json, "history", cJSON_Duplicate(m->history, 1));
    for (uint32_t i = 0; i < m->versions && i < VERSIONS_MAX; i++)
        cJSON_AddItemToArray(times, cJSON_CreateNumber(m->version_ms[i]));
    return json;
}

static bool is_between(const struct message *m, const char *user, const char *bot)
{
    const char *person = m->by_bot ? m->to : m->from, *robot = m->by_bot ? m->from : m->to;

    return !*m->group && strcmp(person, user) == 0 && (!bot || strcmp(robot, bot) == 0);
}

cJSON *view_chat(struct mock *mock, const char *user, const char *bot, const char *group)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "messages");

    for (const struct message *m = mock->first; m; m = m->next)
        if (group ? strcmp(m->group, group) == 0 : is_between(m, user, bot))
            cJSON_AddItemToArray(list, whole(m));
    return json;
}

cJSON *view_all(struct mock *mock)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "messages");

    for (const struct message *m = mock->first; m; m = m->next) {
        cJSON *one = brief(m), *times = cJSON_AddArrayToObject(one, "version_ms");
        for (uint32_t i = 0; i < m->versions && i < VERSIONS_MAX; i++)
            cJSON_AddItemToArray(times, cJSON_CreateNumber(m->version_ms[i]));
        cJSON_AddItemToArray(list, one);
    }
    return json;
}

cJSON *view_stats(struct mock *mock)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "calls", (double)mock->calls);
    cJSON_AddNumberToObject(json, "most_in_a_second", (double)mock->most_in_second);
    cJSON_AddNumberToObject(json, "most_body_bytes", (double)mock->most_body);
    cJSON_AddNumberToObject(json, "duplicates", (double)mock->duplicates);
    cJSON_AddNumberToObject(json, "limited", (double)mock->limited);
    cJSON_AddNumberToObject(json, "messages", mock->message_count);
    cJSON_AddNumberToObject(json, "violations_count", (double)mock->violations_count);
    cJSON_AddItemToObject(json, "violations", cJSON_Duplicate(mock->violations, 1));
    cJSON_AddItemToObject(json, "commands", cJSON_Duplicate(mock->commands_count, 1));
    cJSON_AddItemToObject(json, "codes", cJSON_Duplicate(mock->codes_count, 1));
    cJSON_AddItemToObject(json, "injected", cJSON_Duplicate(mock->injected, 1));
    return json;
}
