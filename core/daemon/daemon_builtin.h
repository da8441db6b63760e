/* daemon/daemon_builtin.h - sections of the core's own that are served by a transport host: `metrics { listen }`.
 *
 * The core parses no HTTP from clients.  Such a section becomes a transport of the same name with a plugin that comes with umbel; it is
 * supervised like any other, shows in `umbelctl host list`, and harms nobody when it fails.  Its name is no user's to take. */
#ifndef DAEMON_BUILTIN_H
#define DAEMON_BUILTIN_H

#include "core/config/config.h"

/* daemon_builtin_add - checks that no transport of the file has a name of ours, then appends a transport for each such section that listens.
 * lookup: as for config_load.  Once a loaded configuration.  0; -EINVAL with FILE:LINE and words; -ENOMEM. */
int daemon_builtin_add(struct config *config, config_manifest_lookup *lookup, void *owner, struct why *why);

/* daemon_builtin_count - how many transports of config were appended. */
size_t daemon_builtin_count(const struct config *config);

#endif
