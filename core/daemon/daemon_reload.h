/* daemon/daemon_reload.h - a changed file applied to the running daemon.
 *
 *   IDLE --SIGHUP, reload, config diff--> LOADING (a thread of its own: plugins are asked for their manifests)
 *      LOADING --the file is bad--> IDLE, nothing has changed and the reason is told
 *      LOADING --config diff--> IDLE, the differences are told
 *      LOADING --reload--> prepared (all that can fail) -> upstreams, apps, keys, log: applied in one go -> SETTLING (transports,
 *                          daemon_converge.h) --> IDLE, told what has changed and what has not
 * One at a time: a command that comes meanwhile is refused, a signal is remembered.
 * Earlier configurations live as long as a transport's process refers to them, at most RELOAD_FORMER_MAX; then reloads are refused.
 * Owner: the core's loop thread. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "core/admin/admin_server.h"
#include "core/base/why.h"

#define RELOAD_FORMER_MAX 16u

struct daemon;
struct daemon_reload;

int daemon_reload_create(struct daemon *daemon, struct why *why); /* daemon->reload */
void daemon_reload_free(struct daemon *daemon);                   /* waits for the thread; after the transports */

void daemon_reload_signal(struct daemon *daemon); /* SIGHUP */
void daemon_reload_tick(struct daemon *daemon);   /* once a second */
void daemon_reload_admin(struct daemon *daemon);  /* reload, config diff */

#endif
