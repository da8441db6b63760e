/* playground/ways.h - what the page is told: the transports it may connect to, under the name it was opened by.  Pure: no I/O. */
#ifndef PLAYGROUND_WAYS_H
#define PLAYGROUND_WAYS_H

#include <stdbool.h>
#include <stdint.h>

#include <umbel/out.h>

#define WAYS_MAX 32u      /* further ones are left out, with a warning */
#define WAYS_URL_MAX 512u /* bytes, with its zero */

/* One transport, borrowed texts.  The host of url may be *: that of the page. */
struct way {
    const char *name, *protocol, *url;
    const char *note; /* what the transport adds to an answer when its time is up, "" = nothing */
};

struct ways {
    struct way items[WAYS_MAX];
    uint32_t count;
    const char *app;     /* "" = not said */
    const char *im_view; /* where IM messages can be seen, "" = nowhere */
    bool im_mirrors;     /* a bot delivers what is asked elsewhere */
};

/* ways_url_ok - is url http:, https:, ws: or wss:, "//", a host name, IPv4 address, [::1] or *, perhaps a port, and a path of plain
 * characters?  Nothing else may stand in a policy header. */
bool ways_url_ok(const char *url);

/* ways_host_ok - is host what a Host header may say: a name or address, perhaps a port?  ways_host_is_loopback - and it means this machine,
 * whatever a name server says.  A page elsewhere that has its own name point here does not pass. */
bool ways_host_ok(const char *host);
bool ways_host_is_loopback(const char *host);
bool ways_peer_is_loopback(const char *peer); /* a numeric address */

/* ways_policy - appends the value of Content-Security-Policy: connections to the ways' origins alone.  host: a good one. */
void ways_policy(const struct ways *ways, const char *host, struct umbel_out *out);

/* ways_json - appends what /transports.json says.  key: the client key that is handed out, NULL = the visitor types one. */
void ways_json(const struct ways *ways, const char *host, const char *key, struct umbel_out *out);

#endif
