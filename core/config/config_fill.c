#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/config_load.h"
#include "core/config/config_value.h"

_Static_assert(sizeof(enum config_orphan) == sizeof(uint32_t), "CONFIG_INDEX stores enums as 32 bits");

/* One place to write to, and what to write. */
struct fill {
    struct config_load *load;
    const struct config_node *at; /* the option's node, or the section's when a default is read */
    const struct config_rule *rule;
    void *member;
};

static int fill_key(const struct fill *fill, const char *text, struct config_list *list)
{
    bool unset;
    char *key = NULL;
    int r = config_value_secret(fill->load, fill->at, fill->rule, text, true, &key, &unset);

    if (r < 0)
        return r;
    list->items[list->count++] = key;
    if (unset)
        return config_fail(fill->load->why, fill->at,
                           "%s: %s is empty or not set, expected a client key, write one or take it out", fill->rule->name,
                           text[0] ? config_show(text).text : "\"\"");
    if (strlen(key) < CONFIG_KEY_SHORT)
        config_load_warn(fill->load, fill->at,
                         "%s: key number %zu has fewer than %u characters, expected one that cannot be guessed, "
                         "write 16 or more",
                         fill->rule->name, list->count, CONFIG_KEY_SHORT);
    return 0;
}

static int fill_item(const struct fill *fill, const char *text, struct config_list *list)
{
    uint32_t index;
    int r;

    if (fill->rule->kind == CONFIG_KEYS)
        return fill_key(fill, text, list);
    if (fill->rule->choices && (r = config_value_choice(fill->load, fill->at, fill->rule, text, &index)) < 0)
        return r;
    if (!(list->items[list->count] = strdup(text)))
        return config_no_memory(fill->load->why);
    list->count++;
    return 0;
}

static int fill_list(const struct fill *fill, char **values, size_t count)
{
    struct config_list *list = fill->member;
    int r = 0;

    if (!(list->items = calloc(count ? count : 1, sizeof *list->items)))
        return config_no_memory(fill->load->why);
    for (size_t i = 0; i < count && r == 0; i++)
        r = fill_item(fill, values[i], list);
    return r;
}

static int fill_text(const struct fill *fill, const char *text)
{
    struct config_load *load = fill->load;
    char **to = fill->member;
    bool unset;
    uint32_t index;
    struct config_listen listen = {0};
    int r = 0;

    switch (fill->rule->kind) {
    case CONFIG_SECRET:
        return config_value_secret(load, fill->at, fill->rule, text, false, to, &unset);
    case CONFIG_SINK:
        if (strcmp(text, "-") == 0)
            break;
        return config_value_path(load, fill->at, text, to);
    case CONFIG_PATH:
        return config_value_path(load, fill->at, text, to);
    case CONFIG_URL:
    case CONFIG_PROXY:
        r = config_value_url(load, fill->at, fill->rule, text);
        break;
    case CONFIG_ADDRESS:
        if (text[0] && (r = config_value_listen(load, fill->at, text, &listen)) == 0) {
            free(listen.text);
            free(listen.host);
        }
        break;
    default:
        if (fill->rule->choices)
            r = config_value_choice(load, fill->at, fill->rule, text, &index);
    }
    if (r < 0)
        return r;
    return (*to = strdup(text)) ? 0 : config_no_memory(load->why);
}

static int fill_value(const struct fill *fill, const char *text)
{
    int64_t integer = 0;
    uint32_t index = 0;
    int r;

    switch (fill->rule->kind) {
    case CONFIG_INTEGER:
    case CONFIG_POWER:
        if ((r = config_value_integer(fill->load, fill->at, fill->rule, text, &integer)) == 0)
            *(uint32_t *)fill->member = (uint32_t)integer;
        return r;
    case CONFIG_BOOL:
        return config_value_bool(fill->load, fill->at, fill->rule, text, fill->member);
    case CONFIG_SWITCH:
        if ((r = config_value_choice(fill->load, fill->at, fill->rule, text, &index)) == 0)
            *(bool *)fill->member = index == 1;
        return r;
    case CONFIG_INDEX:
        if ((r = config_value_choice(fill->load, fill->at, fill->rule, text, &index)) == 0)
            memcpy(fill->member, &index, sizeof index);
        return r;
    default:
        return fill_text(fill, text);
    }
}

static int fill_missing(struct config_load *load, const struct config_node *at, const struct config_node *section,
                        const struct config_rule *rule)
{
    return config_fail(load->why, at, "%s has no %s, expected one: %s, write %s = %s", config_label(section ? section : at).text,
                       rule->name, rule->help, rule->name, config_kind_is_list(rule->kind) ? "{ \"NAME\" }" : "VALUE");
}

int config_fill(struct config_load *load, const struct config_node *section, const struct config_node *at,
                struct config_rules rules, void *object)
{
    for (size_t i = 0; i < rules.count; i++) {
        const struct config_rule *rule = &rules.items[i];
        const struct config_node *node = config_node_find(section, rule->name);
        struct fill fill = {load, node ? node : at, rule, (char *)object + rule->offset};
        bool list = config_kind_is_list(rule->kind), empty = !node || node->value_count == 0 || node->values[0][0] == '\0';
        int r;

        if (rule->kind == CONFIG_ADDRESSES)
            continue;
        if (rule->kind == CONFIG_BLOCK) {
            if ((r = config_fill(load, node, fill.at, config_rules_below(rule), fill.member)) < 0)
                return r;
            continue;
        }
        if ((rule->flags & UMBEL_OPTION_REQUIRED) && empty)
            return fill_missing(load, fill.at, section, rule);
        if (list)
            r = fill_list(&fill, node ? node->values : NULL, node ? node->value_count : 0);
        else
            r = fill_value(&fill, node ? node->values[0] : rule->otherwise);
        if (r < 0)
            return r;
    }
    return 0;
}
