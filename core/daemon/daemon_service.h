/* daemon/daemon_service.h - drain, start: a transport out of service on purpose, and back.
 *
 * drain: its addresses refuse from now on (a load balancer sees it), idle clients are told to go, begun answers end within drain_ms; its
 * processes are "drained" then, until start, restart, or the next start of the daemon.  A reload keeps it out.
 * Owner: the core's loop thread. */
#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H

#include "core/daemon/daemon.h"

void daemon_service_admin(struct daemon *daemon); /* drain, start */
void daemon_service_changed(struct daemon_host *h); /* its state has changed: who waits for a drain is told */

#endif
