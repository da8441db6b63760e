/* config/config_diff_option.h - the options of one section in two configurations.  Inside this module only. */
#ifndef CONFIG_DIFF_OPTION_H
#define CONFIG_DIFF_OPTION_H

#include "core/config/config_diff.h"
#include "core/config/config_options.h"

/* config_diff_options - appends what differs between two structs of the section that rules describe.  0 or -ENOMEM. */
int config_diff_options(struct config_rules rules, const void *running, const void *file, struct config_change *change);

/* config_diff_transport - the same of what rules do not describe: addresses, the plugin's own options.  0 or -ENOMEM. */
int config_diff_transport(const struct config_transport *running, const struct config_transport *file, struct config_change *change);

/* config_diff_exchange - swaps the members whose change needs a restart. */
void config_diff_exchange(struct config_rules rules, void *running, void *file);

void config_change_clear(struct config_change *change);

#endif
