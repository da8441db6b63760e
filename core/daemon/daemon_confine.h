/* daemon/daemon_confine.h - what the core decides about confinement.  Of its hosts: as whom they run, what is open to them, how much memory
 * and how much of the core's time they get; the confinement itself is core/sandbox, in the host.  And of itself. */
#ifndef DAEMON_CONFINE_H
#define DAEMON_CONFINE_H

#include "core/daemon/daemon.h"

/* daemon_confine_core - the core gives up what `sandbox` says, and the log tells what holds.  Before the first thread and the first socket. */
void daemon_confine_core(const struct config *config);

/* daemon_confine_create - whom hosts run as.  0, or -errno with words: the configured user cannot be had. */
int daemon_confine_create(struct daemon *daemon, struct why *why);

/* daemon_confine_spawn - fills in spawn->sandbox, which lives as long as h. */
void daemon_confine_spawn(struct daemon_host *h, struct host_spawn *spawn);

/* daemon_confine_told - CONTROL_CONFINED.  0 or -EPROTO. */
int daemon_confine_told(struct daemon_host *h, struct control_in *in);

/* daemon_confine_tick - once a second for a process that is there: its memory, and the pauses of its channel.  May kill it. */
void daemon_confine_tick(struct daemon_host *h);

#endif
