#include "core/daemon/daemon_apps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/daemon/daemon.h"

/* What one app of the file will put into its slot. */
struct next_app {
    uint32_t slot;
    const struct config_app *config;
    struct daemon_route *route; /* room for its members */
    const struct config_upstream **upstream_configs;
    uint32_t *key_numbers, last_key;
};

struct daemon_apps_change {
    const struct config *config;
    struct next_app *next;
    size_t next_count;
    uint32_t slots; /* in use afterwards */
    struct config_app **former; /* by slot: for those that are removed */
};

static int slot_of(const struct daemon *daemon, const char *name)
{
    for (uint32_t a = 0; a < daemon->app_count; a++)
        if (strcmp(daemon->apps[a].config->name, name) == 0)
            return (int)a;
    return -1;
}

static bool has_app(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->app_count; i++)
        if (strcmp(config->apps[i].name, name) == 0)
            return true;
    return false;
}

static int check_room(const struct daemon *daemon, const struct config *config, struct why *why)
{
    size_t wanted = daemon->app_count;

    for (size_t i = 0; i < config->app_count; i++)
        if (slot_of(daemon, config->apps[i].name) < 0 && ++wanted > DAEMON_APPS_MAX)
            return why_set(why, -ENOSPC,
                           "%s:%u: app %s is one name too many, expected at most %u names of apps in a daemon's life, start it again",
                           config->path, config->apps[i].line, config->apps[i].name, DAEMON_APPS_MAX);
    return 0;
}

/* A key's text and its number, to be looked up by the text. */
struct numbered_key {
    const char *text;
    uint32_t number;
};

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct numbered_key *)a)->text, ((const struct numbered_key *)b)->text);
}

/* Keys that were there keep their numbers, new ones get numbers that no key has had. */
static int number_keys(const struct daemon_app *app, struct next_app *next)
{
    const struct config_list *keys = &next->config->keys;
    size_t known = app ? app->config->keys.count : 0;
    struct numbered_key *sorted = calloc(known + 1, sizeof *sorted);

    next->key_numbers = calloc(keys->count + 1, sizeof *next->key_numbers);
    next->last_key = app ? app->last_key : 0;
    if (!sorted || !next->key_numbers) {
        free(sorted);
        return -ENOMEM;
    }
    for (size_t i = 0; i < known; i++)
        sorted[i] = (struct numbered_key){app->config->keys.items[i], app->key_numbers[i]};
    qsort(sorted, known, sizeof *sorted, compare_keys);
    for (size_t i = 0; i < keys->count; i++) {
        struct numbered_key wanted = {keys->items[i], 0};
        const struct numbered_key *found = bsearch(&wanted, sorted, known, sizeof *sorted, compare_keys);
        next->key_numbers[i] = found ? found->number : ++next->last_key;
    }
    free(sorted);
    return 0;
}

static int prepare_app(struct daemon *daemon, const struct config_app *config, struct daemon_apps_change *change)
{
    struct next_app *next = &change->next[change->next_count++];
    int slot = slot_of(daemon, config->name);
    size_t count = config->upstreams.count;

    *next = (struct next_app){.config = config, .slot = slot >= 0 ? (uint32_t)slot : change->slots++};
    next->route = daemon_route_new(daemon, count);
    next->upstream_configs = calloc(count + 1, sizeof(struct config_upstream *));
    if (!next->route || !next->upstream_configs)
        return -ENOMEM;
    return number_keys(slot >= 0 ? &daemon->apps[slot] : NULL, next);
}

static void free_former(struct config_app *former)
{
    if (!former)
        return;
    free(former->name);
    free(former->model);
    free(former->system);
    free(former->authorize.url);
    free(former->authorize.secret);
    free(former->authorize.ca_file);
    free(former);
}

/* What a removed app's last answers may still ask of its section. */
static struct config_app *make_former(const struct config_app *config)
{
    struct config_app *former = calloc(1, sizeof *former);

    if (!former)
        return NULL;
    former->name = strdup(config->name);
    former->model = strdup("");
    former->system = strdup("");
    former->on_orphan = config->on_orphan;
    former->orphan_grace_ms = config->orphan_grace_ms;
    former->history_sync_ms = config->history_sync_ms;
    former->history = config->history;
    former->authorize.url = strdup("");
    former->authorize.secret = strdup("");
    former->authorize.ca_file = strdup("");
    if (former->name && former->model && former->system && former->authorize.url && former->authorize.secret && former->authorize.ca_file)
        return former;
    free_former(former);
    return NULL;
}

void daemon_apps_discard(struct daemon_apps_change *change)
{
    if (!change)
        return;
    for (size_t i = 0; i < change->next_count; i++) {
        daemon_route_drop(change->next[i].route);
        free(change->next[i].upstream_configs);
        free(change->next[i].key_numbers);
    }
    for (uint32_t a = 0; change->former && a < DAEMON_APPS_MAX; a++)
        free_former(change->former[a]);
    free(change->next);
    free(change->former);
    free(change);
}

int daemon_apps_prepare(struct daemon *daemon, const struct config *config, struct daemon_apps_change **ret_change, struct why *why)
{
    struct daemon_apps_change *change = calloc(1, sizeof *change);
    int r = check_room(daemon, config, why);

    if (r < 0 || !change) {
        free(change);
        return r < 0 ? r : why_set(why, -ENOMEM, "no memory for the apps");
    }
    change->config = config;
    change->slots = daemon->app_count;
    change->next = calloc(config->app_count + 1, sizeof *change->next);
    change->former = calloc(DAEMON_APPS_MAX, sizeof(struct config_app *));
    if (!change->next || !change->former)
        r = -ENOMEM;
    for (size_t i = 0; i < config->app_count && r == 0; i++)
        r = prepare_app(daemon, &config->apps[i], change);
    for (uint32_t a = 0; a < daemon->app_count && r == 0; a++)
        if (!daemon->apps[a].removed && !has_app(config, daemon->apps[a].config->name) &&
            !(change->former[a] = make_former(daemon->apps[a].config)))
            r = -ENOMEM;
    if (r < 0) {
        daemon_apps_discard(change);
        return why_set(why, r, "no memory for the apps");
    }
    *ret_change = change;
    return 0;
}

/* Empties a slot but for its number and the count of its keys. */
static void clear_slot(struct daemon_app *app)
{
    daemon_route_drop(app->route);
    free(app->upstream_configs);
    free(app->key_numbers);
    free_former(app->former);
    *app = (struct daemon_app){.last_key = app->last_key};
}

static const struct config_upstream *section_of(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (strcmp(config->upstreams[i].name, name) == 0)
            return &config->upstreams[i];
    return NULL; /* cannot be: config_load has checked it */
}

static void take_slot(struct daemon *daemon, struct next_app *next)
{
    struct daemon_app *app = &daemon->apps[next->slot];

    clear_slot(app);
    *app = (struct daemon_app){.config = next->config,
                               .route = next->route,
                               .members = next->route->members,
                               .upstream_configs = next->upstream_configs,
                               .member_count = next->route->count,
                               .key_numbers = next->key_numbers,
                               .last_key = next->last_key};
    next->route = NULL;
    next->upstream_configs = NULL;
    next->key_numbers = NULL;
}

static void fill_slot(struct daemon *daemon, struct next_app *next, const struct config *config)
{
    for (size_t i = 0; i < next->config->upstreams.count; i++) {
        const char *name = next->config->upstreams.items[i];
        next->upstream_configs[i] = section_of(config, name);
        daemon_route_add(next->route, daemon_upstream_find(daemon, name));
    }
    take_slot(daemon, next);
}

void daemon_apps_commit(struct daemon *daemon, struct daemon_apps_change *change)
{
    daemon->app_count = change->slots;
    for (size_t i = 0; i < change->next_count; i++)
        fill_slot(daemon, &change->next[i], change->config);
    for (uint32_t a = 0; a < DAEMON_APPS_MAX; a++) {
        if (!change->former[a])
            continue;
        clear_slot(&daemon->apps[a]);
        daemon->apps[a].removed = true;
        daemon->apps[a].config = daemon->apps[a].former = change->former[a];
        change->former[a] = NULL;
    }
    daemon_apps_discard(change);
}

int daemon_apps_lend(struct daemon *daemon, struct config_app *config, struct daemon_upstream *const *upstreams, size_t count)
{
    int slot = slot_of(daemon, config->name);
    struct next_app next = {.config = config, .slot = slot >= 0 ? (uint32_t)slot : daemon->app_count};

    if (slot >= 0 && !daemon->apps[slot].removed)
        return -EEXIST;
    if (next.slot >= DAEMON_APPS_MAX)
        return -ENOSPC;
    next.route = daemon_route_new(daemon, count);
    next.upstream_configs = calloc(count + 1, sizeof(struct config_upstream *));
    next.last_key = slot >= 0 ? daemon->apps[slot].last_key : 0;
    next.key_numbers = calloc(2, sizeof *next.key_numbers);
    if (!next.route || !next.upstream_configs || !next.key_numbers) {
        free(next.route);
        free(next.upstream_configs);
        free(next.key_numbers);
        return -ENOMEM;
    }
    next.key_numbers[0] = ++next.last_key;
    for (size_t i = 0; i < count; i++) {
        next.upstream_configs[i] = upstreams[i]->config;
        daemon_route_add(next.route, upstreams[i]);
    }
    if (slot < 0)
        daemon->app_count++;
    take_slot(daemon, &next);
    daemon->apps[next.slot].lent = true;
    return 0;
}

void daemon_apps_end_loan(struct daemon *daemon, const char *name)
{
    int slot = slot_of(daemon, name);
    struct config_app *former;

    if (slot < 0 || !daemon->apps[slot].lent)
        return;
    former = make_former(daemon->apps[slot].config);
    const struct config_app *config = daemon->apps[slot].config;
    clear_slot(&daemon->apps[slot]);
    daemon->apps[slot].removed = true;
    daemon->apps[slot].former = former;
    daemon->apps[slot].config = former ? former : config; /* which lives on, too */
}

void daemon_apps_free(struct daemon *daemon)
{
    for (uint32_t a = 0; a < daemon->app_count; a++)
        clear_slot(&daemon->apps[a]);
    free(daemon->apps);
    daemon->apps = NULL;
    daemon->app_count = 0;
}

bool daemon_app_key(const struct daemon_app *app, uint32_t number, size_t *ret_index)
{
    for (size_t i = 0; !app->removed && i < app->config->keys.count; i++)
        if (app->key_numbers[i] == number) {
            *ret_index = i;
            return true;
        }
    return false;
}
