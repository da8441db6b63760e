/* daemon/daemon_auth.h - a client's credentials on their way to a grant.
 *
 *   CONTROL_AUTH -> a key of the configuration?            yes: AUTHED at once
 *                -> each credential in turn:
 *                     an app's name (anonymous)            AUTHED, unless a service has denied this client
 *                     the services of the transport's apps, in the order of its `apps`, until one allows
 *                -> nobody: AUTHED with the most telling refusal
 *
 * Owner: the core's loop thread.  Bounds: AUTHS_MAX clients of one worker and AUTH_BYTES_MAX wait for a service; more are told that
 * it cannot be checked now, and counted. */
#ifndef DAEMON_AUTH_H
#define DAEMON_AUTH_H

#include "core/daemon/daemon.h"

#define AUTHS_MAX 4096u
#define AUTH_BYTES_MAX (8u << 20)
#define DAEMON_AUTH_IP_MAX 46u /* bytes of an address as text with its zero */
#define DAEMON_AUTH_CANNOT_CHECK "It cannot be checked now who you are, try again later."

/* daemon_auth_take - CONTROL_AUTH.  0 or -EPROTO. */
int daemon_auth_take(struct daemon_host *h, uint64_t tag, struct control_in *in);
/* daemon_auth_forget - the process is gone: nobody is answered. */
void daemon_auth_forget(struct daemon_host *h);

const char *daemon_auth_kind(uint32_t kind); /* of UMBEL_CREDENTIAL_KEY and _PUBLIC_ID, as services are told */

#endif
