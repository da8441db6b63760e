/* daemon/daemon_manifest.h - what a plugin's file says of itself now, asked from a short-lived umbel-host while the daemon serves on.
 * Owner: the core's loop thread. */
#ifndef DAEMON_MANIFEST_H
#define DAEMON_MANIFEST_H

#include "core/daemon/daemon.h"


/* r 0: manifest is its JSON, borrowed.  Else -errno, and words say why. */
typedef void daemon_manifest_done(void *owner, int r, const struct umbel_json *manifest, const char *words);

struct daemon_manifest;

/* daemon_manifest_ask - done is called once, later.  plugin: the name that it must have.  0 or -errno: nothing was begun. */
int daemon_manifest_ask(struct daemon *daemon, const char *plugin, const char *path, daemon_manifest_done *done, void *owner,
                        struct daemon_manifest **ret_manifest, struct why *why);

/* daemon_manifest_cancel - done is not called any more; NULL is fine. */
void daemon_manifest_cancel(struct daemon_manifest *manifest);

#endif
