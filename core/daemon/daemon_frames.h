/* daemon/daemon_frames.h - the core's side of the channel to a worker: frames of core/control, each checked before it is believed.
 * Owner: the core's loop thread. */
#ifndef DAEMON_FRAMES_H
#define DAEMON_FRAMES_H

#include "core/daemon/daemon.h"

/* daemon_frames_take - one frame (a host_ops.frame; owner is the daemon).  0, or -EPROTO: the process broke the rules and is killed. */
int daemon_frames_take(void *owner, struct host *host, uint32_t type, uint64_t tag, struct control_in *in);

/* daemon_frames_forget - the process has died: its questions that still wait are given up, nobody is answered. */
void daemon_frames_forget(struct daemon_host *h);

#endif
