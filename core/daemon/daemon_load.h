/* daemon/daemon_load.h - the operator's file as this daemon wants it: loaded, checked, its built-in transports added. */
#ifndef DAEMON_LOAD_H
#define DAEMON_LOAD_H

#include "core/config/config.h"

/* daemon_load - blocks while plugins tell their manifests (host_program: path of umbel-host).  runtime_dir: the command line's, or NULL:
 * the file's.  Any thread, one at a time.  0; -EINVAL with FILE:LINE and words; -ENOMEM. */
int daemon_load(const char *path, const char *host_program, const char *runtime_dir, void (*warn)(void *owner, const char *line), void *owner,
                struct config **ret_config, struct why *why);

#endif
