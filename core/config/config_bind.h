/* config/config_bind.h - libconfuse reads the values of one top-level option or section into the tree.  The only home of
 * libconfuse.
 *
 * libconfuse has one table per section name, and the options of a transport depend on its plugin: so each top-level item is
 * parsed by itself, out of its slice of the file, with a table of its own.  All values are read as text: numbers and words are
 * judged afterwards, where the message can say what to write.  libconfuse keeps its state in globals: one load at a time in a
 * process. */
#ifndef CONFIG_BIND_H
#define CONFIG_BIND_H

#include "core/base/why.h"
#include "core/config/config_options.h"
#include "core/config/config_tree.h"

/* config_bind - fills in values of node (a top-level item that config_shape approved) and everything below it.  rules: the
 * section's options, or for an option the table it is in.  0; -EINVAL with `FILE:LINE: ...`; -ENOMEM. */
int config_bind(struct config_node *node, struct config_rules rules, struct why *why);

#endif
