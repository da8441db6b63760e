#include "core/upstream/upstream_conn.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define SEND_LIMIT ((size_t)24 << 20) /* the largest request, its TLS overhead, and a margin */

static const struct uring_socket_ops socket_ops;

static void conn_free(struct upstream_conn *conn)
{
    uring_timer_clear(conn->loop, &conn->timer);
    upstream_resolver_forget(&conn->lookup);
    upstream_dial_free(conn->dial);
    uring_socket_close(conn->socket);
    upstream_tunnel_free(conn->tunnel);
    tls_session_free(conn->tls);
    free(conn);
}

static void stop_connecting(struct upstream_conn *conn)
{
    upstream_resolver_forget(&conn->lookup);
    upstream_dial_free(conn->dial);
    conn->dial = NULL;
}

void upstream_conn_close(struct upstream_conn *conn)
{
    if (!conn || conn->doomed)
        return;
    if (list_is_linked(&conn->link))
        list_remove(&conn->link);
    conn->over = true;
    if (conn->inside == 0) {
        conn_free(conn);
        return;
    }
    /* The peer must notice now; the memory goes when the callback has returned. */
    conn->doomed = true;
    uring_timer_clear(conn->loop, &conn->timer);
    stop_connecting(conn);
    uring_socket_close(conn->socket);
    conn->socket = NULL;
}

static void enter(struct upstream_conn *conn)
{
    conn->inside++;
}

static void leave(struct upstream_conn *conn)
{
    if (--conn->inside == 0 && conn->doomed)
        conn_free(conn);
}

/* The one `closed`. */
static void tell_closed(struct upstream_conn *conn, int error, bool clean)
{
    unsigned status = conn->tunnel ? conn->tunnel->status : 0;
    struct upstream_end end = {error, status, clean, conn->ready, conn->why.text};

    if (conn->over)
        return;
    conn->over = true;
    uring_timer_clear(conn->loop, &conn->timer);
    stop_connecting(conn);
    uring_socket_close(conn->socket);
    conn->socket = NULL;
    conn->ops->closed(conn->owner, &end);
}

/* ---- becoming ready ---- */

static const struct upstream_dial_ops dial_ops;

/* Where the connection itself goes: the proxy, or the service. */
static const char *next_host(const struct upstream_conn *conn)
{
    return conn->route->proxy ? conn->route->proxy->host : conn->route->url->host;
}

static uint16_t next_port(const struct upstream_conn *conn)
{
    return conn->route->proxy ? conn->route->proxy->port : conn->route->url->port;
}

static void explain_connect(struct upstream_conn *conn, int error, const char *address)
{
    why_errno(&conn->why, -error, "cannot connect to %s%s port %u (%s)", conn->route->proxy ? "the proxy " : "", next_host(conn),
              (unsigned)next_port(conn), address);
}

/* 0 or -errno with words. */
static int start_dial(struct upstream_conn *conn, const struct upstream_answer *answer)
{
    char address[DIAL_TEXT_MAX];

    conn->times.resolved_ns = clock_now_ns();
    int r = upstream_dial_start(conn->loop, answer, next_port(conn), DIAL_STAGGER_NS, &dial_ops, conn, &conn->dial, address);

    if (r < 0)
        explain_connect(conn, r, address);
    return r;
}

static void found(struct upstream_lookup *lookup, const struct upstream_answer *answer)
{
    struct upstream_conn *conn = list_entry(lookup, struct upstream_conn, lookup);
    int r;

    enter(conn);
    if (answer->error != 0)
        r = why_set(&conn->why, -EHOSTUNREACH, "cannot look up %s%s: %s", conn->route->proxy ? "the proxy " : "", next_host(conn),
                    gai_strerror(answer->error));
    else
        r = start_dial(conn, answer);
    if (r < 0)
        tell_closed(conn, r, false);
    leave(conn);
}

/* What was being waited for when the time was up. */
static void explain_late(struct upstream_conn *conn)
{
    const char *host = conn->route->url->host;
    unsigned port = conn->route->url->port;

    if (conn->tunnel)
        why_set(&conn->why, -ETIMEDOUT, "the proxy %s did not open a way to %s port %u in time", conn->route->proxy->name, host,
                port);
    else if (conn->tls)
        why_set(&conn->why, -ETIMEDOUT, "no TLS handshake with %s port %u in time", host, port);
    else if (conn->route->proxy)
        why_set(&conn->why, -ETIMEDOUT, "no connection to the proxy %s in time", conn->route->proxy->name);
    else
        why_set(&conn->why, -ETIMEDOUT, "no connection to %s port %u in time", host, port);
}

static void timer_fired(struct uring_timer *timer)
{
    struct upstream_conn *conn = list_entry(timer, struct upstream_conn, timer);

    enter(conn);
    if (conn->begin_error == 0)
        explain_late(conn);
    tell_closed(conn, conn->begin_error < 0 ? conn->begin_error : -ETIMEDOUT, false);
    leave(conn);
}

static void become_ready(struct upstream_conn *conn)
{
    conn->times.ready_ns = clock_now_ns();
    conn->ready = true;
    uring_timer_clear(conn->loop, &conn->timer);
    conn->ops->ready(conn->owner);
}

/* ---- bytes ---- */

static void plain_came(void *owner, const char *bytes, size_t size)
{
    struct upstream_conn *conn = owner;

    if (!conn->ready && !conn->over) /* the peer's first bytes came together with the end of the handshake */
        become_ready(conn);
    if (!conn->over)
        conn->ops->received(conn->owner, bytes, size);
}

static int flush_tls(struct upstream_conn *conn)
{
    size_t size;
    const char *output = tls_session_output(conn->tls, &size);
    int r = 0;

    if (size > 0 && conn->socket)
        r = uring_socket_send(conn->socket, output, size);
    tls_session_sent(conn->tls);
    return r;
}

/* Gives TLS what came (nothing, to begin) and sends what it answers. */
static void feed_tls(struct upstream_conn *conn, const char *bytes, size_t size)
{
    int r = tls_session_feed(conn->tls, bytes, size, plain_came, conn, &conn->why), sent;

    if (conn->over)
        return;
    sent = flush_tls(conn); /* after an error too: an alert tells the peer why */
    if (r >= 0 && sent < 0)
        r = why_errno(&conn->why, -sent, "cannot send to %s", conn->route->url->host);
    if (r < 0) {
        /* The alert is worth a moment. */
        uring_socket_close_after_send(conn->socket);
        conn->socket = NULL;
        tell_closed(conn, r, false);
        return;
    }
    if (!conn->ready && tls_session_is_ready(conn->tls))
        become_ready(conn);
    if (r == 1 && !conn->over) {
        why_set(&conn->why, 0, "%s port %u closed the connection", conn->route->url->host, (unsigned)conn->route->url->port);
        tell_closed(conn, 0, true);
    }
}

/* The way to the service is open. */
static void begin_service(struct upstream_conn *conn)
{
    int r;

    conn->times.opened_ns = clock_now_ns();
    if (!conn->route->tls) {
        become_ready(conn);
        return;
    }
    r = tls_session_create(conn->route->tls, conn->route->url->host, &conn->tls, &conn->why);
    if (r < 0)
        tell_closed(conn, r, false);
    else
        feed_tls(conn, NULL, 0);
}

/* 0 or -errno with words. */
static int ask_proxy(struct upstream_conn *conn)
{
    struct umbel_out request = {0};
    int r = -ENOMEM;

    conn->tunnel = upstream_tunnel_create(conn->route->proxy, conn->route->url);
    if (conn->tunnel)
        r = upstream_tunnel_request(conn->tunnel, &request);
    if (r == 0)
        r = uring_socket_send(conn->socket, request.data, request.size);
    if (request.data)
        explicit_bzero(request.data, request.size);
    umbel_out_free(&request);
    return r < 0 ? why_errno(&conn->why, -r, "the proxy %s cannot be asked", conn->route->proxy->name) : 0;
}

static void deliver(struct upstream_conn *conn, const char *bytes, size_t size)
{
    if (conn->tls)
        feed_tls(conn, bytes, size);
    else
        conn->ops->received(conn->owner, bytes, size);
}

static void proxy_said(struct upstream_conn *conn, const char *bytes, size_t size)
{
    size_t consumed = 0;
    int r = upstream_tunnel_feed(conn->tunnel, bytes, size, &consumed, &conn->why);

    if (r < 0)
        tell_closed(conn, r, false);
    if (r != 1)
        return;
    upstream_tunnel_free(conn->tunnel);
    conn->tunnel = NULL;
    begin_service(conn);
    if (consumed < size && !conn->over) /* the service's first bytes, should it speak before it is spoken to */
        deliver(conn, bytes + consumed, size - consumed);
}

static void socket_received(void *owner, const char *bytes, size_t size)
{
    struct upstream_conn *conn = owner;

    enter(conn);
    if (conn->over)
        ;
    else if (conn->tunnel)
        proxy_said(conn, bytes, size);
    else
        deliver(conn, bytes, size);
    leave(conn);
}

static void explain_end(struct upstream_conn *conn, int error, bool clean)
{
    const char *words = error < 0 ? strerror(-error) : NULL;

    if (conn->tunnel)
        why_set(&conn->why, error, "the proxy %s %s before it answered", conn->route->proxy->name,
                words ? words : "closed the connection");
    else
        why_set(&conn->why, error, "%s port %u %s", conn->route->url->host, (unsigned)conn->route->url->port,
                words         ? words
                : conn->ready ? clean ? "closed the connection" : "closed the connection without TLS close_notify"
                              : "closed the connection during the TLS handshake");
}

static void socket_closed(void *owner, int error)
{
    struct upstream_conn *conn = owner;
    bool clean = error == 0 && (!conn->tls || tls_session_peer_closed(conn->tls));

    enter(conn);
    explain_end(conn, error, clean);
    tell_closed(conn, error == 0 && !conn->ready ? -ECONNRESET : error, clean);
    leave(conn);
}

static const struct uring_socket_ops socket_ops = {NULL, socket_received, NULL, socket_closed};

static void dialled(void *owner, struct uring_socket *socket, const struct upstream_address *better)
{
    struct upstream_conn *conn = owner;
    int r = 0;

    enter(conn);
    if (better)
        upstream_resolver_prefer(conn->resolver, next_host(conn), better);
    upstream_dial_free(conn->dial);
    conn->dial = NULL;
    conn->times.connected_ns = clock_now_ns();
    conn->socket = socket;
    uring_socket_set_owner(socket, &socket_ops, conn);
    uring_socket_set_send_limit(socket, SEND_LIMIT);
    if (!conn->route->proxy)
        begin_service(conn);
    else
        r = ask_proxy(conn);
    if (r < 0)
        tell_closed(conn, r, false);
    leave(conn);
}

static void not_dialled(void *owner, int error)
{
    struct upstream_conn *conn = owner;
    char address[DIAL_TEXT_MAX];

    enter(conn);
    upstream_dial_text(conn->dial, address);
    explain_connect(conn, error, address);
    tell_closed(conn, error, false);
    leave(conn);
}

static const struct upstream_dial_ops dial_ops = {dialled, not_dialled};

int upstream_conn_send(struct upstream_conn *conn, const void *bytes, size_t size)
{
    int r;

    if (!conn->ready || conn->over)
        return -EPIPE;
    if (!conn->tls)
        return uring_socket_send(conn->socket, bytes, size);
    r = tls_session_write(conn->tls, bytes, size, &conn->why);
    return r < 0 ? r : flush_tls(conn);
}

/* ---- life ---- */

int upstream_conn_open(struct uring_loop *loop, struct upstream_resolver *resolver, const struct upstream_route *route,
                       uint64_t timeout_ns, const struct upstream_conn_ops *ops, void *owner, struct upstream_conn **ret_conn)
{
    struct upstream_conn *conn = calloc(1, sizeof *conn);
    struct upstream_answer answer;
    int r;

    if (!conn)
        return -ENOMEM;
    *conn = (struct upstream_conn){
        .loop = loop, .resolver = resolver, .route = route, .ops = ops, .owner = owner, .times.begun_ns = clock_now_ns()};
    conn->timer.fired = timer_fired;
    conn->lookup.found = found;
    list_init(&conn->link);
    if (timeout_ns > 0)
        uring_timer_set(loop, &conn->timer, timeout_ns);
    r = upstream_resolver_ask(resolver, next_host(conn), &conn->lookup, &answer);
    if (r == 1)
        r = start_dial(conn, &answer);
    else if (r < 0)
        why_errno(&conn->why, -r, "cannot look up %s", next_host(conn));
    if (r < 0) {
        conn->begin_error = r;
        uring_timer_set(loop, &conn->timer, 0); /* `closed` must not come inside this function */
    }
    *ret_conn = conn;
    return 0;
}

void upstream_conn_pause(struct upstream_conn *conn, bool paused)
{
    if (conn->socket && conn->ready)
        uring_socket_pause(conn->socket, paused);
}

bool upstream_conn_is_quiet(const struct upstream_conn *conn)
{
    return conn->ready && !conn->over && conn->socket && uring_socket_unsent(conn->socket) == 0;
}

void upstream_conn_set_owner(struct upstream_conn *conn, const struct upstream_conn_ops *ops, void *owner)
{
    conn->ops = ops;
    conn->owner = owner;
}
