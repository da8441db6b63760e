/* daemon/daemon_frames.h - the core's side of the channel to a worker: frames of core/control, each checked before it is believed.
 * Owner: the core's loop thread. */
#ifndef DAEMON_FRAMES_H
#define DAEMON_FRAMES_H

#include "core/daemon/daemon.h"

/* daemon_frames_take - one frame (a host_ops.frame; owner is the daemon).  0, or -EPROTO: the process broke the rules and is killed. */
int daemon_frames_take(void *owner, struct host *host, uint32_t type, uint64_t tag, struct control_in *in);

/* daemon_frames_welcome - what a process that has said HELLO needs to open its plugin. */
void daemon_frames_welcome(struct daemon_host *h);

/* daemon_frames_forget - the process has died: its questions that still wait are given up, nobody is answered. */
void daemon_frames_forget(struct daemon_host *h);

/* daemon_frames_send - one frame, begun and filled; freed here. */
void daemon_frames_send(struct daemon_host *h, struct control_out *out);

/* daemon_frames_began - the outcome of an ASK or a RESUME: error 0 and the stream, or UMBEL_ERROR_* and a line for the client. */
void daemon_frames_began(struct daemon_host *h, uint64_t tag, uint32_t error, struct journal_ref ref, const char *text);

/* daemon_frames_again - a frame that daemon_grants_gate had kept: acted on now, or with refusal answered with that. */
struct daemon_refusal;
void daemon_frames_again(struct daemon_host *h, uint32_t type, uint64_t tag, struct control_in *in, const struct daemon_refusal *refusal);

#endif
