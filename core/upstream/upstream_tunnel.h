/* upstream/upstream_tunnel.h - internal to the module: asking an HTTP proxy for a way to a service (CONNECT), bytes in, bytes
 * out. Pure.  Bound: the head of the proxy's answer, HTTP_HEAD_MAX. */
#ifndef UPSTREAM_TUNNEL_H
#define UPSTREAM_TUNNEL_H

#include <stddef.h>
#include <umbel/out.h>

#include "core/base/why.h"
#include "core/http/http_response.h"
#include "core/upstream/upstream_proxy.h"
#include "core/upstream/upstream_url.h"

struct upstream_tunnel {
    const struct upstream_proxy *proxy;
    const struct upstream_url *url;
    unsigned status; /* of the proxy's answer; 0: not yet */
    struct http_response response;
};

/* upstream_tunnel_create - proxy and url are borrowed until it is freed.  NULL: no memory. */
struct upstream_tunnel *upstream_tunnel_create(const struct upstream_proxy *proxy, const struct upstream_url *url);
void upstream_tunnel_free(struct upstream_tunnel *tunnel); /* NULL is fine */

/* upstream_tunnel_request - appends the request.  It holds the login: wipe it.  0, -ENOMEM. */
int upstream_tunnel_request(const struct upstream_tunnel *tunnel, struct umbel_out *out);

/* upstream_tunnel_feed - bytes from the proxy.  0: more are needed; 1: the tunnel is open, and what follows the first
 * *ret_consumed bytes is the service's; -ECONNREFUSED: the proxy has refused, tunnel->status says how; -EPROTO: it does not speak
 * HTTP.  Words in why. */
int upstream_tunnel_feed(struct upstream_tunnel *tunnel, const char *bytes, size_t size, size_t *ret_consumed, struct why *why);

#endif
