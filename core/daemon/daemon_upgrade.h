/* daemon/daemon_upgrade.h - plugin upgrade, plugin list, restart: an operator's commands over hand-overs (daemon_handover.h).
 * Owner: the core's loop thread. */
#ifndef DAEMON_UPGRADE_H
#define DAEMON_UPGRADE_H

#include "core/daemon/daemon.h"

void daemon_upgrade_admin(struct daemon *daemon);
void daemon_upgrade_end(struct daemon *daemon); /* at its end: those under way are forgotten */

#endif
