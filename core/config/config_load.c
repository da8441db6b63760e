#include "core/config/config_load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config/config_bind.h"
#include "core/config/config_scan.h"
#include "core/config/config_shape.h"

void config_load_warn(struct config_load *load, const struct config_node *at, const char *format, ...)
{
    char words[WHY_MAX], line[WHY_MAX + 256];
    va_list args;

    if (!load->warn)
        return;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s:%u: %s", at->file->path, at->line, words);
    load->warn(load->owner, line);
}

/* Top-level options and all sections but transports, whose options are not known before their plugin is. */
static int bind_core(struct config_load *load)
{
    for (size_t i = 0; i < load->tree.root.child_count; i++) {
        struct config_node *node = &load->tree.root.children[i];
        struct config_rules rules = config_rules_of(node->section ? node->name : "");
        int r;

        if (node->section && strcmp(node->name, "transport") == 0)
            continue;
        if (node->section && (r = config_shape(node, rules, load->why)) < 0)
            return r;
        if ((r = config_bind(node, rules, load->why)) < 0)
            return r;
    }
    return 0;
}

static size_t count_sections(const struct config_node *root, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < root->child_count; i++)
        count += strcmp(root->children[i].name, name) == 0;
    return count;
}

static int fill_upstream(struct config_load *load, struct config_node *node)
{
    struct config_upstream *upstream = &load->config->upstreams[load->config->upstream_count++];

    upstream->line = node->line;
    if (!(upstream->name = strdup(node->title)))
        return config_no_memory(load->why);
    return config_fill(load, node, node, config_rules_of("upstream"), upstream);
}

static int fill_app(struct config_load *load, struct config_node *node)
{
    struct config_app *app = &load->config->apps[load->config->app_count++];
    int r;

    app->line = node->line;
    if (!(app->name = strdup(node->title)))
        return config_no_memory(load->why);
    r = config_fill(load, node, node, config_rules_of("app"), app);
    return r < 0 ? r : config_fill_key_names(load, node, app);
}

static int fill_transport(struct config_load *load, struct config_node *node)
{
    struct config_transport *transport = &load->config->transports[load->config->transport_count++];

    transport->line = node->line;
    if (!(transport->name = strdup(node->title)))
        return config_no_memory(load->why);
    return config_fill_transport(load, node, transport);
}

/* Sections that may be there once: their values, or all their defaults. */
static int fill_single(struct config_load *load, const char *name)
{
    const struct config_node *node = name[0] ? config_node_find(&load->tree.root, name) : &load->tree.root;

    return config_fill(load, node, node ? node : &load->tree.root, config_rules_of(name), load->config);
}

static int fill_all(struct config_load *load)
{
    struct config_node *root = &load->tree.root;
    struct config *config = load->config;
    int r;

    config->upstreams = calloc(count_sections(root, "upstream") + 1, sizeof *config->upstreams);
    config->apps = calloc(count_sections(root, "app") + 1, sizeof *config->apps);
    config->transports = calloc(count_sections(root, "transport") + 1, sizeof *config->transports);
    if (!config->upstreams || !config->apps || !config->transports)
        return config_no_memory(load->why);
    if ((r = fill_single(load, "")) < 0 || (r = fill_single(load, "log")) < 0 || (r = fill_single(load, "core")) < 0 ||
        (r = fill_single(load, "metrics")) < 0 || (r = fill_single(load, "playground")) < 0)
        return r;
    for (size_t i = 0; i < root->child_count; i++) {
        struct config_node *node = &root->children[i];
        r = 0;
        if (strcmp(node->name, "upstream") == 0)
            r = fill_upstream(load, node);
        else if (strcmp(node->name, "app") == 0)
            r = fill_app(load, node);
        else if (strcmp(node->name, "transport") == 0)
            r = fill_transport(load, node);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Replaces an empty directory by what fits the user we run as. */
static int default_directory(struct config_load *load, char **directory, const char *for_root, const char *for_user)
{
    if ((*directory)[0])
        return 0;
    free(*directory);
    return (*directory = strdup(geteuid() == 0 ? for_root : for_user)) ? 0 : config_no_memory(load->why);
}

static int default_directories(struct config_load *load)
{
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    char user[512];
    int n = -1, r;

    if (xdg && xdg[0] == '/')
        n = snprintf(user, sizeof user, "%s/umbel", xdg);
    if (n < 0 || (size_t)n >= sizeof user)
        snprintf(user, sizeof user, "/tmp/umbel-%u", (unsigned)getuid());
    if ((r = default_directory(load, &load->config->runtime_dir, "/run/umbel", user)) < 0)
        return r;
    return default_directory(load, &load->config->state_dir, "/var/lib/umbel", load->config->runtime_dir);
}

static int load_all(struct config_load *load, const char *path)
{
    int r;

    if (!(load->config->path = strdup(path)))
        return config_no_memory(load->why);
    if ((r = config_scan_file(path, &load->tree, load->why)) < 0)
        return r;
    load->tree.root.file = load->tree.files[0];
    load->tree.root.line = 1;
    if ((r = config_shape_root(&load->tree, load->why)) < 0 || (r = bind_core(load)) < 0 || (r = fill_all(load)) < 0)
        return r;
    if ((r = default_directories(load)) < 0)
        return r;
    return config_check(load);
}

int config_load(const char *path, config_manifest_lookup *lookup, void *owner, void (*warn)(void *owner, const char *line),
                struct config **ret_config, struct why *why)
{
    struct config_load load = {.lookup = lookup, .owner = owner, .warn = warn, .why = why};
    int r;

    if (!(load.config = calloc(1, sizeof *load.config)))
        return config_no_memory(why);
    r = load_all(&load, path);
    config_tree_clear(&load.tree);
    if (r < 0) {
        config_free(load.config);
        return r;
    }
    *ret_config = load.config;
    return 0;
}
