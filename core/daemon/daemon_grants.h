/* daemon/daemon_grants.h - what clients were granted by an authorize service: user, limits, and until when it may be believed.
 *
 * A grant for a key of the configuration is two numbers and needs no place (daemon_entry.c).  A grant of a service has an entry here, of
 * the worker whose client it is, until that client or the worker is gone.  Its number says so (CONTROL_GRANT_HELD) and is never given twice
 * within 2^31 uses of a place.
 *
 *      frame with the grant -> still believed?  yes: on it goes
 *                           -> no: the service is asked again, the frame waits -> allowed: on it goes; denied: refused with its words
 *
 * For asking again the entry keeps the credential; it is wiped with it.
 * Owner: the core's loop thread.  Bounds: a worker's connections and GRANTS_SPARE; bytes of frames that wait: GRANTS_WAITING_BYTES. */
#ifndef DAEMON_GRANTS_H
#define DAEMON_GRANTS_H

#include "core/authorize/authorize.h"
#include "core/daemon/daemon.h"
#include "core/policy/policy.h"

#define GRANTS_SPARE 4096u                /* of a worker, beyond its connections: clients that left meanwhile */
#define GRANTS_WAITING_BYTES (16u << 20)  /* frames of one worker that wait for a service; more are told that we are busy */
#define GRANTS_OPEN_S 10u                 /* on_failure = open: so long the service is not asked again for this client */
#define GRANTS_FIRST_S 10u                /* a new grant's first frame comes within so long, whatever cache_s says */

struct daemon_grant_owner {
    uint32_t app, kind;
    struct span credential;
    const char *client_ip;
};

/* daemon_grants_add - verdict: ALLOW, or FAILED where the app's on_failure is open.  Returns the grant, or 0: no place, counted. */
uint64_t daemon_grants_add(struct daemon_host *h, const struct daemon_grant_owner *of, const struct authorize_verdict *verdict);
void daemon_grants_leave(struct daemon_host *h, uint64_t grant);      /* its client is gone */
void daemon_grants_forget(struct daemon_host *h);                     /* the process is gone */
void daemon_grants_free(struct daemon *daemon);

/* What a held grant says.  user: "user:NAME", "open", or "" if the service named none; borrowed. */
struct daemon_grant_view {
    const struct daemon_host *host;
    uint32_t app;
    const char *user;
    const struct policy_limits *limits;
};
bool daemon_grants_view(const struct daemon *daemon, uint64_t grant, struct daemon_grant_view *ret_view);

struct daemon_refusal {
    uint32_t error; /* UMBEL_ERROR_* */
    const char *text;
};
enum grant_gate { GRANT_GOES, GRANT_WAITS, GRANT_REFUSED };

/* daemon_grants_gate - may this frame, which begins with a grant, be acted on now?  WAITS: a copy of it comes back later, through
 * daemon_frames_again.  in is not moved. */
enum grant_gate daemon_grants_gate(struct daemon_host *h, uint32_t type, uint64_t tag, const struct control_in *in,
                                   struct daemon_refusal *ret_refusal);

#endif
