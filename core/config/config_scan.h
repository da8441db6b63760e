/* config/config_scan.h - the operator's file and what it includes as a tree of places; checks the balance of braces and quotes.
 */
#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H

#include "core/base/why.h"
#include "core/config/config_tree.h"

/* config_scan_file - reads path and its includes (relative to the file that includes) into *tree, which must be zeroed; the
 * caller clears it in every case.  0; -EINVAL with `FILE:LINE: ...`; -ENOMEM. */
int config_scan_file(const char *path, struct config_tree *tree, struct why *why);

/* config_scan_text - the same for text at hand, called name in messages; directory is where relative paths start.  include() is
 * an error here. */
int config_scan_text(const char *name, const char *directory, const char *text, size_t size, struct config_tree *tree,
                     struct why *why);

#endif
