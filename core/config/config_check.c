/* What spans sections: names that must exist, addresses and keys that must not meet. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config/config_load.h"
#include "core/config/config_spell.h"
#include "core/config/config_value.h"

/* The section of the tree that became number index of its kind. */
static const struct config_node *node_of(const struct config_node *parent, const char *name, size_t index)
{
    for (size_t i = 0; i < parent->child_count; i++)
        if (strcmp(parent->children[i].name, name) == 0 && index-- == 0)
            return &parent->children[i];
    return NULL;
}

static const struct config_node *option_of(const struct config_node *section, const char *name)
{
    const struct config_node *option = config_node_find(section, name);

    return option ? option : section;
}

static bool list_has(const struct config_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

static const struct config_app *app_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->app_count; i++)
        if (strcmp(config->apps[i].name, name) == 0)
            return &config->apps[i];
    return NULL;
}

static const struct config_upstream *upstream_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (strcmp(config->upstreams[i].name, name) == 0)
            return &config->upstreams[i];
    return NULL;
}

/* kind: "upstream" or "app".  Lists what there is and the nearest spelling. */
static int fail_name(struct config_load *load, const struct config_node *at, const struct config_node *section, const char *kind,
                     const char *name)
{
    const struct config *config = load->config;
    struct config_spell spell;

    config_spell_begin(&spell, name);
    if (strcmp(kind, "app") == 0)
        for (size_t i = 0; i < config->app_count; i++)
            config_spell_offer(&spell, config->apps[i].name);
    else
        for (size_t i = 0; i < config->upstream_count; i++)
            config_spell_offer(&spell, config->upstreams[i].name);
    if (!spell.used)
        return config_fail(
            load->why, at, "%s names %s %s, expected one that exists, but there is none, write a section %s %s { ... }",
            config_label(section).text, kind, config_show(name).text, kind, config_is_name(name, strlen(name)) ? name : "NAME");
    return config_fail(load->why, at,
                       "%s names unknown %s %s%s, expected one of %s, write one of these or a section %s %s { ... }",
                       config_label(section).text, kind, config_show(name).text, config_spell_hint(&spell).text, spell.all, kind,
                       config_is_name(name, strlen(name)) ? name : "NAME");
}

/* No model of its own: the first one its first upstream lists.  A model of its own must be offered by someone. */
static int check_model(struct config_load *load, const struct config_node *node, struct config_app *app)
{
    const struct config_list *first = &upstream_find(load->config, app->upstreams.items[0])->models;
    struct config_spell spell;

    if (!app->model[0] && first->count > 0 && strcmp(first->items[0], "*") != 0) {
        free(app->model);
        return (app->model = strdup(first->items[0])) ? 0 : config_no_memory(load->why);
    }
    if (!app->model[0])
        return config_fail(load->why, option_of(node, "model"),
                           "%s has no model, and upstream %s lists no models, expected what to ask for, write model = NAME",
                           config_label(node).text, app->upstreams.items[0]);
    config_spell_begin(&spell, app->model);
    for (size_t i = 0; i < app->upstreams.count; i++) {
        const struct config_list *models = &upstream_find(load->config, app->upstreams.items[i])->models;
        if (models->count == 0 || list_has(models, app->model) || list_has(models, "*"))
            return 0;
        for (size_t k = 0; k < models->count; k++)
            config_spell_offer(&spell, models->items[k]);
    }
    return config_fail(load->why, option_of(node, "model"),
                       "none of the upstreams of %s lists model %s%s, expected one of %s, write one of these",
                       config_label(node).text, config_show(app->model).text, config_spell_hint(&spell).text, spell.all);
}

/* What each dialect puts behind base_url: written out, it would come twice. */
static const char *path_of_dialect(const char *dialect)
{
    static const char *const paths[][2] = {{"openai", "/chat/completions"},
                                           {"anthropic", "/messages"},
                                           {"ollama", "/api/chat"},
                                           {"dashscope", "/services/aigc/text-generation/generation"}};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(dialect, paths[i][0]) == 0)
            return paths[i][1];
    return NULL; /* gemini: there the model is part of it */
}

/* Two PEM files of one section that belong together; either may be "". */
static int check_pair(struct config_load *load, const struct config_node *node, const char *const files[2], const char *const names[2])
{
    if (!files[0][0] && !files[1][0])
        return 0;
    for (int i = 0; i < 2; i++) {
        if (!files[i][0])
            return config_fail(load->why, node, "%s has %s but no %s, expected both or neither, write %s = \"PATH\"",
                               config_label(node).text, names[!i], names[i], names[i]);
        if (access(files[i], R_OK) == -1)
            return config_fail(load->why, option_of(node, names[i]),
                               "%s: cannot read %s (%s), expected a PEM file, check its name and permissions", names[i], files[i],
                               strerror(errno));
    }
    return 0;
}

static int check_upstreams(struct config_load *load)
{
    for (size_t i = 0; i < load->config->upstream_count; i++) {
        const struct config_upstream *upstream = &load->config->upstreams[i];
        const struct config_node *node = node_of(&load->tree.root, "upstream", i);
        const char *added = path_of_dialect(upstream->dialect);
        size_t size = strlen(upstream->base_url), tail = added ? strlen(added) : 0;
        int r = check_pair(load, node, (const char *const[2]){upstream->client_cert, upstream->client_key},
                           (const char *const[2]){"client_cert", "client_key"});

        if (r < 0)
            return r;

        while (size > 0 && upstream->base_url[size - 1] == '/')
            size--;
        if (added && size > tail && memcmp(upstream->base_url + size - tail, added, tail) == 0)
            return config_fail(load->why, option_of(node, "base_url"), "base_url of %s ends in %s, expected it without, write base_url = %.*s",
                               config_label(node).text, added, (int)(size - tail), upstream->base_url);
    }
    return 0;
}

/* The section without its url would look like a guard and be none. */
static int check_authorize(struct config_load *load, const struct config_node *node, const struct config_app *app)
{
    const struct config_node *section = config_node_find(node, "authorize");

    if (!section || config_node_find(section, "url"))
        return 0;
    return config_fail(load->why, section, "authorize of %s has no url, expected where to ask, write url = \"https://HOST/PATH\"",
                       app->name);
}

static int check_apps(struct config_load *load)
{
    for (size_t i = 0; i < load->config->app_count; i++) {
        struct config_app *app = &load->config->apps[i];
        const struct config_node *node = node_of(&load->tree.root, "app", i);
        int r;

        for (size_t k = 0; k < app->upstreams.count; k++)
            if (!upstream_find(load->config, app->upstreams.items[k]))
                return fail_name(load, option_of(node, "upstreams"), node, "upstream", app->upstreams.items[k]);
        if ((r = check_model(load, node, app)) < 0 || (r = check_authorize(load, node, app)) < 0)
            return r;
    }
    return 0;
}

/* app_names keeps each name once; there is room for all apps there are. */
static int add_app(struct config_load *load, const struct config_node *at, const struct config_node *section, const char *name,
                   struct config_transport *transport)
{
    struct config_list *names = &transport->app_names;

    if (!app_find(load->config, name))
        return fail_name(load, at, section, "app", name);
    if (list_has(names, name))
        return 0;
    if (!(names->items[names->count] = strdup(name)))
        return config_no_memory(load->why);
    names->count++;
    return 0;
}

/* Options called app or anonymous_app, at any depth, let an app in as well. */
static int add_nested_apps(struct config_load *load, const struct config_node *node, const struct config_section *section,
                           struct config_transport *transport)
{
    int r;

    for (size_t i = 0; i < section->value_count; i++) {
        const struct config_value *value = &section->values[i];
        bool names_app = strcmp(value->name, "app") == 0 || strcmp(value->name, "anonymous_app") == 0;

        if (value->type == UMBEL_OPTION_TEXT && names_app && value->text[0] &&
            (r = add_app(load, option_of(node, value->name), node, value->text, transport)) < 0)
            return r;
        for (size_t k = 0; k < value->section_count; k++)
            if ((r = add_nested_apps(load, node_of(node, value->name, k), &value->sections[k], transport)) < 0)
                return r;
    }
    return 0;
}

static int check_tls(struct config_load *load, const struct config_node *node, const struct config_transport *transport)
{
    return check_pair(load, node, (const char *const[2]){transport->tls_cert, transport->tls_key},
                      (const char *const[2]){"tls_cert", "tls_key"});
}

static int check_transports(struct config_load *load)
{
    struct config *config = load->config;

    for (size_t i = 0; i < config->transport_count; i++) {
        struct config_transport *transport = &config->transports[i];
        const struct config_node *node = node_of(&load->tree.root, "transport", i);
        int r;

        if (!(transport->app_names.items = calloc(config->app_count + 1, sizeof(char *))))
            return config_no_memory(load->why);
        for (size_t k = 0; k < transport->apps.count; k++)
            if ((r = add_app(load, option_of(node, "apps"), node, transport->apps.items[k], transport)) < 0)
                return r;
        if ((r = add_nested_apps(load, node, &transport->options, transport)) < 0 || (r = check_tls(load, node, transport)) < 0)
            return r;
        if (transport->app_names.count == 0)
            return config_fail(load->why, option_of(node, "apps"),
                               "%s serves no app, expected at least one, write apps = { \"%s\" }", config_label(node).text,
                               config->app_count ? config->apps[0].name : "NAME");
    }
    return 0;
}

/* One address in use, for the search of two that meet. */
struct used {
    const struct config_listen *listen;
    const struct config_node *at, *section;
    int family; /* AF_UNIX, AF_INET, AF_INET6 */
    unsigned char bytes[sizeof(struct in6_addr)];
    bool any; /* 0.0.0.0 or [::] */
};

static struct used make_used(const struct config_listen *listen, const struct config_node *section)
{
    static const unsigned char zeros[sizeof(struct in6_addr)];
    struct used used = {.listen = listen, .at = option_of(section, "listen"), .section = section};

    used.family = listen->is_unix ? AF_UNIX : strchr(listen->host, ':') ? AF_INET6 : AF_INET;
    if (!listen->is_unix)
        inet_pton(used.family, listen->host, used.bytes);
    used.any = !listen->is_unix && memcmp(used.bytes, zeros, sizeof zeros) == 0;
    return used;
}

static bool used_meet(const struct used *a, const struct used *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == AF_UNIX)
        return strcmp(a->listen->host, b->listen->host) == 0;
    return a->listen->port == b->listen->port && (a->any || b->any || memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0);
}

static int add_used(struct config_load *load, const struct config_listen *listen, const struct config_node *section,
                    struct used *all, size_t *count)
{
    struct used now = make_used(listen, section);

    for (size_t i = 0; i < *count; i++) {
        if (!used_meet(&all[i], &now))
            continue;
        return config_fail(
            load->why, now.at,
            "%s listens on %s, which %s uses already (%s:%u: %s), expected an address of its own, write another port",
            config_label(section).text, config_show(listen->text).text, config_label(all[i].section).text, all[i].at->file->path,
            all[i].at->line, config_show(all[i].listen->text).text);
    }
    all[(*count)++] = now;
    return 0;
}

/* A single address option (metrics, playground) as if it were a transport's. */
static int add_single(struct config_load *load, const char *name, const char *text, struct config_single *single,
                      struct used *all, size_t *count)
{
    const struct config_node *section = config_node_find(&load->tree.root, name);
    int r;

    if (!text[0])
        return 0;
    single->line = option_of(section, "listen")->line;
    r = config_value_listen(load, option_of(section, "listen"), text, &single->at);
    return r < 0 ? r : add_used(load, &single->at, section, all, count);
}

static int check_addresses(struct config_load *load)
{
    struct config *config = load->config;
    size_t total = 2, count = 0;
    struct used *all;
    int r = 0;

    for (size_t i = 0; i < config->transport_count; i++)
        total += config->transports[i].listen_count;
    if (!(all = calloc(total, sizeof *all)))
        return config_no_memory(load->why);
    for (size_t i = 0; i < config->transport_count && r == 0; i++)
        for (size_t k = 0; k < config->transports[i].listen_count && r == 0; k++)
            r = add_used(load, &config->transports[i].listen[k], node_of(&load->tree.root, "transport", i), all, &count);
    if (r == 0)
        r = add_single(load, "metrics", config->metrics_listen, &config->metrics, all, &count);
    if (r == 0)
        r = add_single(load, "playground", config->playground_listen, &config->playground, all, &count);
    free(all);
    return r;
}

/* A key and the number of its app. */
struct owned_key {
    const char *key;
    size_t app;
};

static int compare_keys(const void *a, const void *b)
{
    const struct owned_key *left = a, *right = b;
    int order = strcmp(left->key, right->key);

    return order ? order : (left->app > right->app) - (left->app < right->app);
}

/* The same key in two apps would leave open whose client it is. */
static int check_keys(struct config_load *load)
{
    struct config *config = load->config;
    size_t total = 0, count = 0;
    struct owned_key *all;
    int r = 0;

    for (size_t i = 0; i < config->app_count; i++)
        total += config->apps[i].keys.count;
    if (!(all = calloc(total + 1, sizeof *all)))
        return config_no_memory(load->why);
    for (size_t i = 0; i < config->app_count; i++)
        for (size_t k = 0; k < config->apps[i].keys.count; k++)
            all[count++] = (struct owned_key){config->apps[i].keys.items[k], i};
    qsort(all, count, sizeof *all, compare_keys);
    for (size_t i = 1; i < count && r == 0; i++) {
        if (strcmp(all[i].key, all[i - 1].key) != 0 || all[i].app == all[i - 1].app)
            continue;
        const struct config_node *node = node_of(&load->tree.root, "app", all[i].app);
        r = config_fail(load->why, option_of(node, "keys"),
                        "%s has a key that app %s has too, expected a key to open one app, write another",
                        config_label(node).text, config->apps[all[i - 1].app].name);
    }
    free(all);
    return r;
}

int config_check(struct config_load *load)
{
    int r;

    if ((r = check_upstreams(load)) < 0 || (r = check_apps(load)) < 0 || (r = check_keys(load)) < 0 || (r = check_transports(load)) < 0)
        return r;
    return check_addresses(load);
}
