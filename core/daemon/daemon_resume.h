/* daemon/daemon_resume.h - RESUME from a worker: an answer in memory at once, else what the history has of it, later.
 * Owner: the core's loop thread. */
#ifndef DAEMON_RESUME_H
#define DAEMON_RESUME_H

#include "core/daemon/daemon.h"

#define DAEMON_RESUMES_MAX 1024u /* of one worker that wait for the history; more are told that we are busy */

/* daemon_resume - answered by BEGAN, also when it is refused.  Ids that are unknown, or of another app, go the same way and are told the
 * same.  0, or -EPROTO. */
int daemon_resume(struct daemon_host *h, uint64_t tag, struct control_in *in);

/* daemon_resume_forget - the process has died: nobody waits any more. */
void daemon_resume_forget(struct daemon_host *h);

#endif
