/* daemon/daemon_renew.h - core upgrade: the file umbeld came from is executed anew, in the same process, with the same listening sockets.
 *
 *   core upgrade --> the new file checks the configuration --bad--> nothing has changed
 *                        | good
 *                        v
 *   what will be lost is told -> the hosts end as in an upgrade, at most --wait s -> everything is closed -> execve
 * Meanwhile connections wait in the kernel.  Owner: the core's loop thread. */
#ifndef DAEMON_RENEW_H
#define DAEMON_RENEW_H

#include "core/daemon/daemon.h"

void daemon_renew_program(int argc, char *const argv[]); /* main: what to execute; argv stays the caller's */
void daemon_renew_admin(struct daemon *daemon);          /* core upgrade */
void daemon_renew_end(struct daemon *daemon);            /* one under way is forgotten */

/* daemon_renew_exec - after daemon_free: becomes the new umbeld if that was wanted; returns if not, or after having logged why. */
void daemon_renew_exec(void);

#endif
