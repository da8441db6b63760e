/* daemon/daemon_apply.h - the step from one configuration to the next.  Owner: the core's loop thread. */
#ifndef DAEMON_APPLY_H
#define DAEMON_APPLY_H

#include "core/base/why.h"
#include "core/config/config_diff.h"

struct daemon;
struct converge;

/* daemon_apply - next becomes daemon->config, but for what needs a restart, which it takes over from the one before; upstreams, apps,
 * keys and log follow at once, transports by *ret_converge.  The one before is the caller's to free, once no transport uses it.
 * diff: from daemon->config to next.  0, or -errno with words: nothing has changed, next stays the caller's. */
int daemon_apply(struct daemon *daemon, struct config *next, const struct config_diff *diff, struct converge **ret_converge,
                 struct why *why);

#endif
