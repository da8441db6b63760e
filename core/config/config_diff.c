#include "core/config/config_diff.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/out.h>

#include "core/config/config_diff_option.h"

/* Where a change is being put together: memory that ran out once fails the whole. */
struct making {
    struct config_diff *diff;
    int r;
};

static char *copy(struct making *making, const char *text)
{
    char *copied = strdup(text);

    if (!copied)
        making->r = -ENOMEM;
    return copied;
}

static struct config_change *add_change(struct making *making, enum config_what what, const char *kind, const char *name)
{
    struct config_diff *diff = making->diff;

    if (diff->count == diff->capacity) {
        size_t capacity = diff->capacity ? diff->capacity * 2 : 8;
        struct config_change *more = reallocarray(diff->items, capacity, sizeof *more);
        if (!more) {
            making->r = -ENOMEM;
            return NULL;
        }
        diff->items = more;
        diff->capacity = capacity;
    }
    struct config_change *change = &diff->items[diff->count];
    *change = (struct config_change){.what = what, .kind = kind, .name = copy(making, name)};
    if (!change->name)
        return NULL;
    diff->count++;
    return change;
}

/* Compares one section of both files; what differs becomes one change. */
static void compare(struct making *making, const char *kind, const char *name, const void *running, const void *file)
{
    struct config_change change = {.what = CONFIG_CHANGED, .kind = kind};

    if (making->r < 0)
        return;
    making->r = config_diff_options(config_rules_of(kind), running, file, &change);
    if (making->r == 0 && strcmp(kind, "transport") == 0)
        making->r = config_diff_transport(running, file, &change);
    if (making->r == 0 && change.option_count) {
        struct config_change *added = add_change(making, CONFIG_CHANGED, kind, name);
        if (added) {
            char *own = added->name;
            *added = change;
            added->name = own;
            return;
        }
    }
    config_change_clear(&change);
}

/* One kind of titled sections: how many, how large, where the name stands (it is the first member of each). */
struct shelf {
    const char *kind;
    const void *items;
    size_t count, size;
};

static const void *at(const struct shelf *shelf, size_t index)
{
    return (const char *)shelf->items + index * shelf->size;
}

static const char *name_at(const struct shelf *shelf, size_t index)
{
    return *(char *const *)at(shelf, index);
}

static const void *find(const struct shelf *shelf, const char *name)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (strcmp(name_at(shelf, i), name) == 0)
            return at(shelf, i);
    return NULL;
}

/* A transport that the core made of a section of its own: the change shows there. */
static bool is_builtin(const struct shelf *shelf, size_t index)
{
    return strcmp(shelf->kind, "transport") == 0 && ((const struct config_transport *)at(shelf, index))->builtin;
}

static void compare_shelves(struct making *making, const struct shelf *running, const struct shelf *file)
{
    for (size_t i = 0; i < running->count && making->r == 0; i++) {
        const void *after = find(file, name_at(running, i));
        if (is_builtin(running, i))
            continue;
        if (after)
            compare(making, running->kind, name_at(running, i), at(running, i), after);
        else
            add_change(making, CONFIG_REMOVED, running->kind, name_at(running, i));
    }
    for (size_t i = 0; i < file->count && making->r == 0; i++)
        if (!find(running, name_at(file, i)) && !is_builtin(file, i))
            add_change(making, CONFIG_ADDED, file->kind, name_at(file, i));
}

static void shelves_of(const struct config *config, struct shelf shelves[3])
{
    _Static_assert(offsetof(struct config_upstream, name) == 0, "the name is the first member");
    _Static_assert(offsetof(struct config_app, name) == 0, "the name is the first member");
    _Static_assert(offsetof(struct config_transport, name) == 0, "the name is the first member");
    shelves[0] = (struct shelf){"upstream", config->upstreams, config->upstream_count, sizeof *config->upstreams};
    shelves[1] = (struct shelf){"app", config->apps, config->app_count, sizeof *config->apps};
    shelves[2] = (struct shelf){"transport", config->transports, config->transport_count, sizeof *config->transports};
}

int config_diff_make(const struct config *running, const struct config *file, struct config_diff *ret_diff)
{
    struct config_diff diff = {0};
    struct making making = {.diff = &diff};
    struct shelf before[3], after[3];
    size_t count;
    const struct config_section_rule *sections = config_sections(&count);

    for (size_t i = 0; i < count; i++)
        if (!sections[i].titled && !strchr(sections[i].name, '.'))
            compare(&making, sections[i].name, "", running, file);
    shelves_of(running, before);
    shelves_of(file, after);
    for (size_t i = 0; i < 3; i++)
        compare_shelves(&making, &before[i], &after[i]);
    if (making.r < 0) {
        config_diff_clear(&diff);
        return making.r;
    }
    *ret_diff = diff;
    return 0;
}

int config_diff_one_transport(const struct config_transport *running, const struct config_transport *file, bool *ret_changed,
                              enum config_effect *ret_effect)
{
    struct config_change change = {0};
    int r = config_diff_options(config_rules_of("transport"), running, file, &change);

    if (r == 0)
        r = config_diff_transport(running, file, &change);
    *ret_changed = change.option_count > 0;
    *ret_effect = change.effect;
    config_change_clear(&change);
    return r;
}

void config_change_clear(struct config_change *change)
{
    for (size_t i = 0; i < change->option_count; i++) {
        free(change->options[i].name);
        free(change->options[i].from);
        free(change->options[i].to);
    }
    free(change->options);
    free(change->name);
    *change = (struct config_change){0};
}

void config_diff_clear(struct config_diff *diff)
{
    for (size_t i = 0; i < diff->count; i++)
        config_change_clear(&diff->items[i]);
    free(diff->items);
    *diff = (struct config_diff){0};
}

const struct config_change *config_diff_find(const struct config_diff *diff, const char *kind, const char *name)
{
    for (size_t i = 0; i < diff->count; i++)
        if (strcmp(diff->items[i].kind, kind) == 0 && strcmp(diff->items[i].name, name) == 0)
            return &diff->items[i];
    return NULL;
}

enum config_effect config_diff_effect(const struct config_diff *diff)
{
    enum config_effect effect = CONFIG_EFFECT_LIVE;

    for (size_t i = 0; i < diff->count; i++)
        if (diff->items[i].effect > effect)
            effect = diff->items[i].effect;
    return effect;
}

void config_diff_keep(struct config *running, struct config *file)
{
    size_t count;
    const struct config_section_rule *sections = config_sections(&count);

    for (size_t i = 0; i < count; i++)
        if (!sections[i].titled && !strchr(sections[i].name, '.'))
            config_diff_exchange(config_rules_of(sections[i].name), running, file);
}

const char *config_what_text(enum config_what what)
{
    static const char *const texts[] = {"added", "changed", "removed"};

    return texts[what];
}

const char *config_effect_text(enum config_effect effect)
{
    static const char *const texts[] = {"live", "hosts", "restart"};

    return texts[effect];
}

static void put_member(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
    umbel_out_text(out, ",");
}

void config_diff_json(const struct config_diff *diff, struct umbel_out *out)
{
    umbel_out_text(out, "[");
    for (size_t i = 0; i < diff->count; i++) {
        const struct config_change *change = &diff->items[i];
        umbel_out_text(out, i ? ",{" : "{");
        put_member(out, "change", config_what_text(change->what));
        put_member(out, "section", change->kind);
        put_member(out, "name", change->name);
        put_member(out, "applies", config_effect_text(change->effect));
        umbel_out_text(out, "\"options\":[");
        for (size_t k = 0; k < change->option_count; k++) {
            const struct config_option_change *option = &change->options[k];
            umbel_out_text(out, k ? ",{" : "{");
            put_member(out, "name", option->name);
            put_member(out, "from", option->from);
            put_member(out, "to", option->to);
            umbel_out_printf(out, "\"applies\":\"%s\"}", config_effect_text(option->effect));
        }
        umbel_out_text(out, "]}");
    }
    umbel_out_text(out, "]");
}
