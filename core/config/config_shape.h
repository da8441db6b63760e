/* config/config_shape.h - do the names in the tree exist, are they of the right form, is none said twice?  Values are not looked
 * at. */
#ifndef CONFIG_SHAPE_H
#define CONFIG_SHAPE_H

#include "core/base/why.h"
#include "core/config/config_options.h"
#include "core/config/config_tree.h"

/* config_shape_root - the top level: known sections, titles where they belong, no title twice. */
int config_shape_root(const struct config_tree *tree, struct why *why);

/* config_shape - one section against its table, nested sections too.  0 or -EINVAL with `FILE:LINE: ...`. */
int config_shape(const struct config_node *section, struct config_rules rules, struct why *why);

#endif
