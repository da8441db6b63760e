/* upstream/upstream_conn.h - internal to the module: one connection to a service: look-up, connecting, TLS, then bytes in and
 * out.
 *
 *     open -> (looking up -> connecting -> the proxy's CONNECT -> TLS) -> ready -> received* -> closed
 *
 * The owner may close it at any time, also inside a callback; after that no callback comes.  `closed` comes at most once, and the
 * owner still has to close. */
#ifndef UPSTREAM_CONN_H
#define UPSTREAM_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/why.h"
#include "core/tls/tls_session.h"
#include "core/upstream/upstream_dial.h"
#include "core/upstream/upstream_resolver.h"
#include "core/upstream/upstream_trace.h"
#include "core/upstream/upstream_tunnel.h"
#include "core/upstream/upstream_url.h"
#include "core/uring/uring_loop.h"
#include "core/uring/uring_socket.h"

/* How a service is reached; the upstream's, which outlives its connections. */
struct upstream_route {
    const struct upstream_url *url;
    const struct upstream_proxy *proxy; /* NULL: directly */
    struct tls_context *tls;            /* NULL: clear text */
};

struct upstream_end {
    int error;        /* 0: end of file; -ETIMEDOUT: not ready in time; else -errno */
    unsigned refused; /* not 0: the HTTP status with which the proxy refused */
    bool clean;       /* error 0 and, with TLS, after close_notify: nobody has cut the connection */
    bool was_ready;
    const char *text; /* for the operator's log: what and where */
};

struct upstream_conn_ops {
    void (*ready)(void *owner);
    void (*received)(void *owner, const char *bytes, size_t size);
    void (*closed)(void *owner, const struct upstream_end *end);
};

struct upstream_conn {
    struct uring_loop *loop;
    struct upstream_resolver *resolver;
    const struct upstream_route *route;
    const struct upstream_conn_ops *ops;
    void *owner;
    struct list link;         /* in the pool while idle */
    struct uring_timer timer; /* the limit until it is ready; in the pool: how long it may idle */
    struct upstream_lookup lookup;
    struct upstream_dial *dial;     /* while connecting */
    struct uring_socket *socket;    /* from there on */
    struct upstream_tunnel *tunnel; /* while the proxy is asked */
    struct tls_session *tls;
    struct upstream_times times;
    struct why why;  /* of the last attempt */
    int begin_error; /* what upstream_conn_open could not begin, to be told later */
    bool ready, over;
    unsigned inside; /* callbacks of ours on the stack */
    bool doomed;     /* closed inside one of them */
};

/* upstream_conn_open - begins; everything that can go wrong but -ENOMEM is told by closed(), later.  timeout 0: none. */
int upstream_conn_open(struct uring_loop *loop, struct upstream_resolver *resolver, const struct upstream_route *route,
                       uint64_t timeout_ns, const struct upstream_conn_ops *ops, void *owner, struct upstream_conn **ret_conn);

/* upstream_conn_send - queues bytes; once it is ready.  0 or -errno: the connection is of no use any more. */
int upstream_conn_send(struct upstream_conn *conn, const void *bytes, size_t size);
void upstream_conn_pause(struct upstream_conn *conn, bool paused);
bool upstream_conn_is_quiet(const struct upstream_conn *conn); /* alive, and all that was sent is with the kernel */
void upstream_conn_set_owner(struct upstream_conn *conn, const struct upstream_conn_ops *ops, void *owner);
void upstream_conn_close(struct upstream_conn *conn); /* at once; NULL is fine */

#endif
