/* daemon/daemon_usage.h - limits and usage across answers: the accounts, what they had used before this start, the access log, what
 * operators ask.  Owner: the core's loop thread. */
#ifndef DAEMON_USAGE_H
#define DAEMON_USAGE_H

#include "core/daemon/daemon.h"

/* daemon_usage_create - after the history.  -errno with words when the access log cannot be opened. */
int daemon_usage_create(struct daemon *daemon, struct why *why);
void daemon_usage_free(struct daemon *daemon);

/* daemon_usage_start - calls ready(daemon) once the tokens of today are known from the database, or cannot be had: at once when no limit
 * needs them, at the latest after 2 s. */
void daemon_usage_start(struct daemon *daemon, void (*ready)(struct daemon *daemon));

void daemon_usage_tick(struct daemon *daemon);
void daemon_usage_admin(struct daemon *daemon); /* usage */

/* daemon_access_reopen - the access log's file is opened anew (logrotate): what ends from now on goes there. */
void daemon_access_reopen(struct daemon *daemon);

#endif
