#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/config_bind.h"
#include "core/config/config_load.h"
#include "core/config/config_manifest.h"
#include "core/config/config_plugin.h"
#include "core/config/config_shape.h"
#include "core/config/config_value.h"

/* The word after `plugin =`, read before the options can be: it decides what they are. */
static int peek_plugin(struct config_load *load, const struct config_node *node, char **ret_plugin)
{
    const struct config_node *option = config_node_find(node, "plugin");
    const char *text;
    size_t size;

    if (!option)
        return config_fail(load->why, node,
                           "%s has no plugin, expected the protocol it speaks, write for example plugin = ws-bmob",
                           config_label(node).text);
    if (option->section || option->value_end == option->value_begin)
        return config_fail(load->why, option, "plugin has no name, expected one word, write for example plugin = ws-bmob");
    text = option->file->text + option->value_begin;
    size = option->value_end - option->value_begin;
    if (text[0] == '"' || text[0] == '\'') {
        text++;
        size -= 2;
    }
    *ret_plugin = strndup(text, size);
    if (!*ret_plugin)
        return config_no_memory(load->why);
    if (size > 0 && size <= CONFIG_TITLE_MAX && strspn(*ret_plugin, "abcdefghijklmnopqrstuvwxyz0123456789-") == size)
        return 0;
    free(*ret_plugin);
    return config_fail(load->why, option,
                       "plugin is not a plugin's name, expected letters a-z, digits and -, write for example ws-bmob");
}

/* Asks what the plugin is; its absence is told at the line that names it. */
static int find_plugin(struct config_load *load, const struct config_node *node, const char *plugin, char **ret_path,
                       struct config_manifest *ret_manifest)
{
    const struct config_node *at = config_node_find(node, "plugin");
    struct why why = {""};
    char *text = NULL;
    int r = load->lookup(load->owner, plugin, ret_path, &text, &why);

    if (r < 0)
        return config_fail(load->why, at, "plugin %s of %s cannot be used: %s", plugin, config_label(node).text,
                           why.text[0] ? why.text : strerror(-r));
    r = config_manifest_parse(plugin, text, ret_manifest, &why);
    free(text);
    if (r == -ENOMEM)
        return config_no_memory(load->why);
    return r < 0 ? config_fail(load->why, at, "%s", why.text) : 0;
}

static int fill_listen(struct config_load *load, const struct config_node *node, bool optional,
                       struct config_transport *transport)
{
    const struct config_node *option = config_node_find(node, "listen");
    size_t count = option ? option->value_count : 0;

    if (count == 0 && optional)
        return 0;
    if (count == 0)
        return config_fail(load->why, option ? option : node,
                           "%s listens nowhere, expected an address for its clients, write for example "
                           "listen = { \"127.0.0.1:8801\" }",
                           config_label(node).text);
    if (!(transport->listen = calloc(count, sizeof *transport->listen)))
        return config_no_memory(load->why);
    for (size_t i = 0; i < count; i++) {
        int r = config_value_listen(load, option, option->values[i], &transport->listen[i]);
        if (r < 0)
            return r;
        transport->listen_count++;
    }
    return 0;
}

static int fill_all(struct config_load *load, struct config_node *node, const struct config_manifest *manifest,
                    struct config_transport *transport)
{
    struct config_rules all = {manifest->rules, manifest->count};
    struct config_rules common = {manifest->rules, manifest->common};
    struct config_rules own = {manifest->rules + manifest->common, manifest->count - manifest->common};
    int r;

    transport->needs = manifest->needs;
    if ((r = config_shape(node, all, load->why)) < 0 || (r = config_bind(node, all, load->why)) < 0 ||
        (r = config_fill(load, node, node, common, transport)) < 0 ||
        (r = fill_listen(load, node, manifest->outbound, transport)) < 0)
        return r;
    return config_plugin_fill(load, node, node->title, own, &transport->options);
}

int config_fill_transport(struct config_load *load, struct config_node *node, struct config_transport *transport)
{
    struct config_manifest manifest = {0};
    char *plugin = NULL;
    int r = peek_plugin(load, node, &plugin);

    if (r < 0)
        return r;
    r = find_plugin(load, node, plugin, &transport->plugin_path, &manifest);
    if (r == 0)
        r = fill_all(load, node, &manifest, transport);
    config_manifest_clear(&manifest);
    free(plugin);
    return r;
}
