#include "core/config/config_diff_option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/out.h>

#include "core/config/config_tree.h"

#define NAME_MAX_BYTES 768 /* of names inside each other: config_manifest.h bounds both */
#define SECRET_THERE "(secret)"
#define SECRET_NONE "(none)"
#define SECRET_CHANGED "(secret changed)"

/* What the core takes over at once; everything else of a transport its processes were told at their start, and everything else
 * outside upstreams and apps was used up when the daemon started. */
static enum config_effect effect_of(const struct config_rule *rule)
{
    static const char *const live[][2] = {{"log", "level"},        {"log", "format"},     {"log", "access"},
                                          {"core", "linger_s"},    {"transport", "apps"}, {"transport", "drain_ms"},
                                          {"core", "coalesce_us"}, {"transport", "max_questions"}};

    for (size_t i = 0; i < sizeof live / sizeof *live; i++)
        if (strcmp(rule->section, live[i][0]) == 0 && strcmp(rule->name, live[i][1]) == 0)
            return CONFIG_EFFECT_LIVE;
    if (strcmp(rule->section, "transport") == 0 || strcmp(rule->section, "metrics") == 0 || strcmp(rule->section, "playground") == 0)
        return CONFIG_EFFECT_HOSTS;
    if (strcmp(rule->section, "app") == 0 && strcmp(rule->name, "history_sync_ms") == 0)
        return CONFIG_EFFECT_RESTART; /* the store has one pace, set when it was opened */
    if (strncmp(rule->section, "app", 3) == 0 || strcmp(rule->section, "upstream") == 0)
        return CONFIG_EFFECT_LIVE;
    return CONFIG_EFFECT_RESTART;
}

static int add(struct config_change *change, const char *name, const char *from, const char *to, enum config_effect effect)
{
    if (change->option_count == change->option_capacity) {
        size_t capacity = change->option_capacity ? change->option_capacity * 2 : 4;
        struct config_option_change *more = reallocarray(change->options, capacity, sizeof *more);
        if (!more)
            return -ENOMEM;
        change->options = more;
        change->option_capacity = capacity;
    }
    struct config_option_change *option = &change->options[change->option_count++];
    *option = (struct config_option_change){strdup(name), strdup(from), strdup(to), effect};
    if (effect > change->effect)
        change->effect = effect;
    return option->name && option->from && option->to ? 0 : -ENOMEM;
}

static int add_secret(struct config_change *change, const char *name, bool was, bool is, enum config_effect effect)
{
    return add(change, name, was ? SECRET_THERE : SECRET_NONE, was && is ? SECRET_CHANGED : is ? SECRET_THERE : SECRET_NONE, effect);
}

static int add_texts(struct config_change *change, const char *name, const char *from, const char *to, enum config_effect effect)
{
    bool password = strstr(from, "://") && strchr(from, '@'); /* http://USER:PASSWORD@HOST */

    password = password || (strstr(to, "://") && strchr(to, '@'));
    if (password)
        return add_secret(change, name, *from, *to, effect);
    return add(change, name, config_show(from).text, config_show(to).text, effect);
}

static bool lists_equal(const struct config_list *a, const struct config_list *b)
{
    bool equal = a->count == b->count;

    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->items[i], b->items[i]) == 0;
    return equal;
}

static struct config_shown show_list(const struct config_list *list)
{
    struct umbel_out out = {0};
    struct config_shown shown = {"{}"};

    for (size_t i = 0; i < list->count && out.size < sizeof shown.text; i++)
        umbel_out_printf(&out, "%s%s", i ? ", " : "", list->items[i]);
    umbel_out_put(&out, "", 1);
    if (!out.failed && list->count)
        shown = config_show(out.data);
    umbel_out_free(&out);
    return shown;
}

static struct config_shown show_integer(long long value)
{
    struct config_shown shown;

    snprintf(shown.text, sizeof shown.text, "%lld", value);
    return shown;
}

/* The index-th word of "a|b|c". */
static struct config_shown show_choice(const char *choices, uint32_t index)
{
    struct config_shown shown;

    while (index-- && strchr(choices, '|'))
        choices = strchr(choices, '|') + 1;
    snprintf(shown.text, sizeof shown.text, "%.*s", (int)strcspn(choices, "|"), choices);
    return shown;
}

static int diff_number(const struct config_rule *rule, const char *name, const void *a, const void *b, struct config_change *change)
{
    uint32_t from = 0, to = 0;
    bool word = rule->kind == CONFIG_BOOL || rule->kind == CONFIG_SWITCH;

    if (word) {
        from = *(const bool *)a;
        to = *(const bool *)b;
    } else {
        memcpy(&from, a, sizeof from);
        memcpy(&to, b, sizeof to);
    }
    if (from == to)
        return 0;
    if (rule->kind == CONFIG_BOOL)
        return add(change, name, from ? "on" : "off", to ? "on" : "off", effect_of(rule));
    if (rule->kind == CONFIG_SWITCH || rule->kind == CONFIG_INDEX)
        return add(change, name, show_choice(rule->choices, from).text, show_choice(rule->choices, to).text, effect_of(rule));
    return add(change, name, show_integer(from).text, show_integer(to).text, effect_of(rule));
}

static int diff_list(const struct config_rule *rule, const char *name, const void *a, const void *b, struct config_change *change)
{
    const struct config_list *from = a, *to = b;

    if (lists_equal(from, to))
        return 0;
    if (rule->kind == CONFIG_KEYS)
        return add_secret(change, name, from->count, to->count, effect_of(rule));
    return add(change, name, show_list(from).text, show_list(to).text, effect_of(rule));
}

static int diff_text(const struct config_rule *rule, const char *name, const void *a, const void *b, struct config_change *change)
{
    const char *from = *(char *const *)a, *to = *(char *const *)b;

    if (strcmp(from, to) == 0)
        return 0;
    if (rule->kind == CONFIG_SECRET)
        return add_secret(change, name, *from, *to, effect_of(rule));
    return add_texts(change, name, from, to, effect_of(rule));
}

static int diff_rules(struct config_rules rules, const char *prefix, const void *running, const void *file, struct config_change *change)
{
    int r = 0;

    for (size_t i = 0; i < rules.count && r == 0; i++) {
        const struct config_rule *rule = &rules.items[i];
        const void *a = (const char *)running + rule->offset, *b = (const char *)file + rule->offset;
        char name[NAME_MAX_BYTES];

        snprintf(name, sizeof name, "%s%s", prefix, rule->name);
        switch (rule->kind) {
        case CONFIG_ADDRESSES: /* config_diff_transport */
            break;
        case CONFIG_BLOCK:
            snprintf(name, sizeof name, "%s%s.", prefix, rule->name);
            r = diff_rules(config_rules_below(rule), name, a, b, change);
            break;
        case CONFIG_INTEGER:
        case CONFIG_POWER:
        case CONFIG_INDEX:
        case CONFIG_BOOL:
        case CONFIG_SWITCH:
            r = diff_number(rule, name, a, b, change);
            break;
        case CONFIG_LIST:
        case CONFIG_KEYS:
            r = diff_list(rule, name, a, b, change);
            break;
        default:
            r = diff_text(rule, name, a, b, change);
        }
    }
    return r;
}

int config_diff_options(struct config_rules rules, const void *running, const void *file, struct config_change *change)
{
    return diff_rules(rules, "", running, file, change);
}

static struct config_shown show_addresses(const struct config_transport *transport)
{
    struct umbel_out out = {0};
    struct config_shown shown = {"{}"};

    for (size_t i = 0; i < transport->listen_count && out.size < sizeof shown.text; i++)
        umbel_out_printf(&out, "%s%s", i ? ", " : "", transport->listen[i].text);
    umbel_out_put(&out, "", 1);
    if (!out.failed && transport->listen_count)
        shown = config_show(out.data);
    umbel_out_free(&out);
    return shown;
}

static bool addresses_equal(const struct config_transport *a, const struct config_transport *b)
{
    bool equal = a->listen_count == b->listen_count;

    for (size_t i = 0; equal && i < a->listen_count; i++)
        equal = strcmp(a->listen[i].text, b->listen[i].text) == 0;
    return equal;
}

static int diff_section(const struct config_section *a, const struct config_section *b, const char *prefix, struct config_change *change);

static const struct config_section *titled(const struct config_value *value, const char *title)
{
    for (size_t i = 0; i < value->section_count; i++)
        if (strcmp(value->sections[i].title, title) == 0)
            return &value->sections[i];
    return NULL;
}

static int diff_sections(const struct config_value *a, const struct config_value *b, const char *name, struct config_change *change)
{
    char inner[NAME_MAX_BYTES];
    int r = 0;

    for (size_t i = 0; i < a->section_count && r == 0; i++) {
        const struct config_section *before = &a->sections[i], *after = titled(b, before->title);
        snprintf(inner, sizeof inner, "%.600s.%.63s%s", name, before->title, after ? "." : "");
        r = after ? diff_section(before, after, inner, change) : add(change, inner, "(there)", "(removed)", CONFIG_EFFECT_HOSTS);
    }
    for (size_t i = 0; i < b->section_count && r == 0; i++) {
        if (titled(a, b->sections[i].title))
            continue;
        snprintf(inner, sizeof inner, "%.600s.%.63s", name, b->sections[i].title);
        r = add(change, inner, SECRET_NONE, "(added)", CONFIG_EFFECT_HOSTS);
    }
    return r;
}

static int diff_value(const struct config_value *a, const struct config_value *b, const char *name, struct config_change *change)
{
    switch (a->type) {
    case UMBEL_OPTION_INTEGER:
        return a->integer == b->integer
                   ? 0
                   : add(change, name, show_integer(a->integer).text, show_integer(b->integer).text, CONFIG_EFFECT_HOSTS);
    case UMBEL_OPTION_BOOL:
        return a->integer == b->integer ? 0
                                        : add(change, name, a->integer ? "on" : "off", b->integer ? "on" : "off", CONFIG_EFFECT_HOSTS);
    case UMBEL_OPTION_LIST:
        return lists_equal(&a->list, &b->list)
                   ? 0
                   : add(change, name, show_list(&a->list).text, show_list(&b->list).text, CONFIG_EFFECT_HOSTS);
    case UMBEL_OPTION_SECTION:
        return diff_sections(a, b, name, change);
    case UMBEL_OPTION_SECRET:
        return strcmp(a->text, b->text) == 0 ? 0 : add_secret(change, name, *a->text, *b->text, CONFIG_EFFECT_HOSTS);
    default:
        return strcmp(a->text, b->text) == 0 ? 0 : add_texts(change, name, a->text, b->text, CONFIG_EFFECT_HOSTS);
    }
}

/* Both of one plugin's table; a plugin that was replaced by another version may have other options. */
static int diff_section(const struct config_section *a, const struct config_section *b, const char *prefix, struct config_change *change)
{
    char name[NAME_MAX_BYTES];
    int r = 0;

    for (size_t i = 0; i < b->value_count && r == 0; i++) {
        const struct config_value *after = &b->values[i], *before = config_section_find(a, after->name);
        snprintf(name, sizeof name, "%.600s%.63s", prefix, after->name);
        if (before && before->type == after->type)
            r = diff_value(before, after, name, change);
        else
            r = add(change, name, SECRET_NONE, "(new in this plugin)", CONFIG_EFFECT_HOSTS);
    }
    return r;
}

int config_diff_transport(const struct config_transport *running, const struct config_transport *file, struct config_change *change)
{
    int r = 0;

    if (!addresses_equal(running, file))
        r = add(change, "listen", show_addresses(running).text, show_addresses(file).text, CONFIG_EFFECT_HOSTS);
    if (r == 0 && strcmp(running->plugin, file->plugin) == 0)
        r = diff_section(&running->options, &file->options, "", change);
    return r;
}

static size_t size_of(uint32_t kind)
{
    switch (kind) {
    case CONFIG_INTEGER:
    case CONFIG_POWER:
    case CONFIG_INDEX:
        return sizeof(uint32_t);
    case CONFIG_BOOL:
    case CONFIG_SWITCH:
        return sizeof(bool);
    case CONFIG_LIST:
        return sizeof(struct config_list);
    default:
        return sizeof(char *);
    }
}

void config_diff_exchange(struct config_rules rules, void *running, void *file)
{
    for (size_t i = 0; i < rules.count; i++) {
        char *a = (char *)running + rules.items[i].offset, *b = (char *)file + rules.items[i].offset;
        char kept[sizeof(struct config_list)];
        size_t size = size_of(rules.items[i].kind);

        if (effect_of(&rules.items[i]) != CONFIG_EFFECT_RESTART)
            continue;
        memcpy(kept, a, size);
        memcpy(a, b, size);
        memcpy(b, kept, size);
    }
}
