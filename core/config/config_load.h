/* config/config_load.h - what the steps of one load share.  Inside this module only; single-threaded. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "core/config/config.h"
#include "core/config/config_options.h"
#include "core/config/config_tree.h"

struct config_load {
    config_manifest_lookup *lookup;
    void *owner;
    void (*warn)(void *owner, const char *line);
    struct why *why;
    struct config *config; /* being filled */
    struct config_tree tree;
    bool warned_readable; /* once is enough */
};

/* config_load_warn - "FILE:LINE: words" to the caller's warn. */
void config_load_warn(struct config_load *load, const struct config_node *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* config_fill - reads every option of a section into object, defaults included.  section NULL: all defaults.  at: where to
 * complain of what is missing.  0; -EINVAL with words; -ENOMEM. */
int config_fill(struct config_load *load, const struct config_node *section, const struct config_node *at,
                struct config_rules rules, void *object);

/* config_fill_transport - the core's options of a transport, its listening addresses, then the plugin's own by its manifest. node
 * has no values yet: they are bound here, when the plugin is known. */
int config_fill_transport(struct config_load *load, struct config_node *node, struct config_transport *transport);

/* config_fill_key_names - what each key of an app is called, from the node of its section (app->keys is filled already). */
int config_fill_key_names(struct config_load *load, const struct config_node *node, struct config_app *app);

/* config_check - what spans sections: names that must exist, addresses and keys that must not meet. */
int config_check(struct config_load *load);

#endif
