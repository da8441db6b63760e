/* daemon/daemon_converge.h - brings the running transports to what a configuration says.
 *
 * Each transport of the file is one step:
 *   WAITING --not there--> added           --same, or only what the core itself uses--> DONE
 *      |    --its processes must change--> UNDER_WAY (daemon_handover.h) --> DONE or FAILED
 *      +-- an address or the transport is still busy: tried again each second, CONVERGE_WAIT_S long, then FAILED
 * A failed step leaves its transport as it was.  Transports that the file does not have any more drain.
 * Owner: the core's loop thread. */
#ifndef DAEMON_CONVERGE_H
#define DAEMON_CONVERGE_H

#include "core/config/config.h"

#define CONVERGE_WAIT_S 60u

struct daemon;
struct converge;

/* converge_check - can the addresses that the file adds be listened on?  0 or -errno with words; nothing has changed. */
int converge_check(struct daemon *daemon, const struct config *wanted, struct why *why);

/* converge_begin - before: the configuration until now; both stay as long as daemon_transports_use() says.  0 or -ENOMEM: nothing was
 * begun. */
int converge_begin(struct daemon *daemon, const struct config *before, const struct config *wanted, struct converge **ret_converge);

/* converge_tick - goes on.  True: every step is done or has failed. */
bool converge_tick(struct converge *converge);

/* converge_failure - the words of the index-th failed step, or NULL. */
const char *converge_failure(const struct converge *converge, size_t index);
void converge_free(struct converge *converge); /* NULL is fine */

/* converge_view - as what the transports run now, for comparison: a list to be freed by the caller, whose texts are the transports' own.
 * NULL: no memory. */
struct config_transport *converge_view(const struct daemon *daemon, size_t *ret_count);

#endif
