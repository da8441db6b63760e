/* rules - what is to go wrong, with which calls. */
#include "mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : "";
}

static double number_of(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static bool is_known(const char *what)
{
    return (*what >= '0' && *what <= '9') || !strcmp(what, "disconnect") || !strcmp(what, "lost") || !strncmp(what, "http:", 5) ||
           !strncmp(what, "slow:", 5);
}

static void rule_clear(struct rule *rule)
{
    for (int k = 0; k < rule->what_count; k++)
        free(rule->what[k]);
    *rule = (struct rule){0};
}

const char *rules_add(struct mock *mock, const cJSON *json)
{
    struct rule *rule = NULL;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "what"), *what, *final = cJSON_GetObjectItemCaseSensitive(json, "final");

    for (int i = 0; i < RULES_MAX && !rule; i++)
        if (!mock->rules[i].used || mock->rules[i].count == 0)
            rule = &mock->rules[i];
    if (!rule)
        return "there are too many rules";
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > 64)
        return "what is not an array of 1 to 64";
    cJSON_ArrayForEach(what, list) if (!cJSON_IsString(what) || !is_known(what->valuestring)) return "an unknown word in what";
    rule_clear(rule);
    *rule = (struct rule){.used = true, .percent = number_of(json, "percent", 100), .count = (int64_t)number_of(json, "count", -1)};
    rule->final = cJSON_IsBool(final) ? cJSON_IsTrue(final) : -1;
    snprintf(rule->command, sizeof rule->command, "%s", text_of(json, "command"));
    snprintf(rule->user, sizeof rule->user, "%s", text_of(json, "user"));
    cJSON_ArrayForEach(what, list) rule->what[rule->what_count++] = strdup(what->valuestring);
    return NULL;
}

static void note(struct mock *mock, const char *command, const char *user, bool final, const char *what)
{
    if (cJSON_GetArraySize(mock->injected) >= INJECTED_MAX)
        return;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "command", command);
    cJSON_AddStringToObject(json, "user", user);
    cJSON_AddBoolToObject(json, "final", final);
    cJSON_AddStringToObject(json, "what", what);
    cJSON_AddItemToArray(mock->injected, json);
}

const char *rules_choose(struct mock *mock, const char *command, const char *user, bool final)
{
    for (int i = 0; i < RULES_MAX; i++) {
        struct rule *rule = &mock->rules[i];
        if (!rule->used || rule->count == 0 || (*rule->command && strcmp(rule->command, command) != 0) ||
            (*rule->user && strcmp(rule->user, user) != 0) || (rule->final >= 0 && rule->final != (int)final))
            continue;
        if ((double)(mock_random(mock) % 100000) >= rule->percent * 1000)
            continue;
        if (rule->count > 0)
            rule->count--;
        const char *what = rule->what[mock_random(mock) % (uint64_t)rule->what_count];
        note(mock, command, user, final, what);
        return what;
    }
    return NULL;
}

void rules_clear(struct mock *mock)
{
    for (int i = 0; i < RULES_MAX; i++)
        rule_clear(&mock->rules[i]);
}
