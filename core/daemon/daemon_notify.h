/* daemon/daemon_notify.h - the words with the service manager (sd_notify(3)): READY, RELOADING, STOPPING, STATUS, and WATCHDOG as long as
 * the loop turns.  Without NOTIFY_SOCKET nothing happens.  Owner: the core's loop thread. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "core/daemon/daemon.h"

void daemon_notify_open(struct daemon *daemon);  /* reads NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID */
void daemon_notify_close(struct daemon *daemon);
void daemon_notify_tick(struct daemon *daemon);      /* once a second: the first time that every process has started or failed is READY */
void daemon_notify_reloading(struct daemon *daemon); /* until daemon_notify_ready */
void daemon_notify_ready(struct daemon *daemon);
void daemon_notify_stopping(struct daemon *daemon);

#endif
