/* daemon/daemon_ask.h - a short-lived program and what it says, while the daemon serves on.  Owner: the core's loop thread. */
#ifndef DAEMON_ASK_H
#define DAEMON_ASK_H

#include "core/daemon/daemon.h"

#define DAEMON_ASK_MAX (256u * 1024u) /* bytes that it may say, on both outputs together */
#define DAEMON_ASK_LIMIT_MS 20000u

/* r 0: it ended with status 0, and text (zero-terminated, borrowed) is what it said.  Else text is why not, in one line. */
typedef void daemon_ask_done(void *owner, int r, const char *text);

struct daemon_ask;

/* daemon_ask_begin - argv[0] is the program's path; its environment is a host's, or the daemon's own (a program that reads the
 * configuration).  done is called once, later.  0 or -errno: nothing was begun. */
int daemon_ask_begin(struct daemon *daemon, char *const argv[], bool own_environment, daemon_ask_done *done, void *owner,
                     struct daemon_ask **ret_ask, struct why *why);

/* daemon_ask_cancel - done is not called any more; NULL is fine. */
void daemon_ask_cancel(struct daemon_ask *ask);

#endif
