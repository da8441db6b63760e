/* daemon/daemon_authorize.h - the authorize services of the apps: one for each app whose section has authorize { url }.
 * Owner: the core's loop thread. */
#ifndef DAEMON_AUTHORIZE_H
#define DAEMON_AUTHORIZE_H

#include "core/authorize/authorize.h"
#include "core/daemon/daemon.h"

/* daemon_authorize_follow - the configuration is new: services are made, kept with what they know, or dropped (who waits for one of these
 * is answered as by a service that fails).  What cannot be made is told in the log, and fails. */
void daemon_authorize_follow(struct daemon *daemon);
void daemon_authorize_free(struct daemon *daemon); /* after the hosts */
void daemon_authorize_tick(struct daemon *daemon); /* counters */

/* daemon_authorize_wanted - does this app have a service? */
bool daemon_authorize_wanted(const struct daemon *daemon, uint32_t app);
/* daemon_authorize_ask - authorize_ask of the app's service; 1 and AUTHORIZE_FAILED if that is not there. */
int daemon_authorize_ask(struct daemon *daemon, uint32_t app, const struct authorize_question *question, struct authorize_ask *ask,
                         struct authorize_verdict *ret_verdict);
/* daemon_authorize_error - a denial's code as UMBEL_ERROR_*. */
uint32_t daemon_authorize_error(const struct authorize_verdict *verdict);

#endif
