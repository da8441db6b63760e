/* config/config_plugin.h - the values of a plugin's own options, as struct config_section. */
#ifndef CONFIG_PLUGIN_H
#define CONFIG_PLUGIN_H

#include "core/config/config_load.h"

/* config_plugin_fill - one value for each rule, in their order, defaults included; secrets resolved.  node: the section, bound.
 * On an error *section holds what was read so far and is freed with the rest of the config.  0; -EINVAL with words; -ENOMEM. */
int config_plugin_fill(struct config_load *load, const struct config_node *node, const char *title, struct config_rules rules,
                       struct config_section *section);

#endif
