/* plugin-check/fake_services.c - the small calls of struct umbel_host: log, options, counters, what is kept. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/plugin-check/fake_host_internal.h"

static struct fake_host *of(const struct umbel_host *table)
{
    return table->context;
}

static void host_log(const struct umbel_host *table, uint32_t level, const char *stream, const char *format, ...)
{
    va_list list;

    (void)stream;
    if (level == UMBEL_LOG_ERROR)
        of(table)->stats.errors_logged++;
    if (!getenv("FAKE_HOST_LOG"))
        return;
    va_start(list, format);
    fprintf(stderr, "# %u ", level);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}

static int host_on_turn(const struct umbel_host *table, int (*turn)(void *), void *arg)
{
    struct fake_host *host = of(table);

    for (size_t i = 0; i < FAKE_TURNS; i++)
        if (!host->turn[i]) {
            host->turn[i] = turn;
            host->turn_arg[i] = arg;
            return 0;
        }
    return -ENOSPC;
}

static int host_listener(const struct umbel_host *table, uint32_t index)
{
    return index < FAKE_LISTENERS ? of(table)->listener[index] : -1;
}

static int host_admit(const struct umbel_host *table, const struct sockaddr *address)
{
    (void)address;
    return !of(table)->turn_away;
}

static const char *config_item(const struct umbel_config *config, const char *name, uint32_t index)
{
    list_for_each(link, spare, &config->values) {
        struct fake_value *value = list_entry(link, struct fake_value, link);
        if (!strcmp(value->name, name) && !index--)
            return value->value;
    }
    return NULL;
}

static const char *config_text(const struct umbel_config *config, const char *name)
{
    const char *value = config_item(config, name, 0);

    return value ? value : "";
}

static int64_t config_integer(const struct umbel_config *config, const char *name)
{
    const char *value = config_text(config, name);

    return !strcmp(value, "true") || !strcmp(value, "on") ? 1 : strtoll(value, NULL, 10);
}

static const struct umbel_config *config_section(const struct umbel_config *config, const char *name, uint32_t index)
{
    (void)config;
    (void)name;
    (void)index;
    return NULL; /* plugins with sections in their options are not driven by this library yet */
}

static const char *config_title(const struct umbel_config *config)
{
    (void)config;
    return "fake";
}

static void host_count(const struct umbel_host *table, const char *name, uint64_t add)
{
    struct fake_host *host = of(table);

    for (size_t i = 0; i < FAKE_COUNTERS; i++) {
        if (!*host->counter[i].name)
            snprintf(host->counter[i].name, sizeof host->counter[i].name, "%s", name);
        if (!strcmp(host->counter[i].name, name)) {
            host->counter[i].value += add;
            return;
        }
    }
}

static struct fake_kept *find_kept(struct fake_host *host, const char *key)
{
    list_for_each(link, spare, &host->kept) {
        struct fake_kept *kept = list_entry(link, struct fake_kept, link);
        if (!strcmp(kept->key, key))
            return kept;
    }
    return NULL;
}

static void kept_free(struct fake_kept *kept)
{
    list_remove(&kept->link);
    free(kept->key);
    free(kept->value);
    free(kept);
}

static int host_keep(const struct umbel_host *table, const char *key, const void *value, uint64_t size)
{
    struct fake_kept *kept = find_kept(of(table), key);

    if (!*key || strlen(key) > 255 || size > 4096)
        return -EINVAL;
    if (kept)
        kept_free(kept);
    if (!size)
        return 0;
    kept = fake_memory(sizeof *kept);
    kept->key = fake_copy(key);
    kept->value = fake_copy_bytes(value, size);
    kept->size = size;
    list_append(&of(table)->kept, &kept->link);
    return 0;
}

static void host_kept(const struct umbel_host *table, void (*visit)(void *arg, const char *key, const void *value, uint64_t size),
                      void *arg)
{
    list_for_each(link, spare, &of(table)->kept) {
        struct fake_kept *kept = list_entry(link, struct fake_kept, link);
        visit(arg, kept->key, kept->value, kept->size);
    }
}

static void host_reply(const struct umbel_host *table, uint64_t id, const char *error, const char *members)
{
    (void)table, (void)id, (void)error, (void)members; /* nobody asks */
}

static int host_stats(const struct umbel_host *table, const struct umbel_stats_visitor *visitor, void *arg)
{
    (void)table, (void)visitor, (void)arg;
    return -ENOENT; /* there is no core */
}

static void host_drained(const struct umbel_host *table)
{
    of(table)->stats.drained = true;
}

const char *fake_config_item(const struct umbel_config *config, const char *name, uint32_t index)
{
    return config_item(config, name, index);
}

void fake_kept_free_all(struct fake_host *host)
{
    while (!list_is_empty(&host->kept))
        kept_free(list_entry(host->kept.next, struct fake_kept, link));
}

void fake_services_fill(struct umbel_host *table)
{
    table->log = host_log;
    table->on_turn = host_on_turn;
    table->listener = host_listener;
    table->admit = host_admit;
    table->config_text = config_text;
    table->config_integer = config_integer;
    table->config_item = config_item;
    table->config_section = config_section;
    table->config_title = config_title;
    table->count = host_count;
    table->keep = host_keep;
    table->kept = host_kept;
    table->reply = host_reply;
    table->stats = host_stats;
    table->drained = host_drained;
}
