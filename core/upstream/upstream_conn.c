#include "core/upstream/upstream_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

#define SEND_LIMIT ((size_t)24 << 20)   /* the largest request, its TLS overhead, and a margin */
#define ATTEMPT_MIN_NS (250 * CLOCK_MS) /* an address gets at least so long before the next one is tried */

static const struct uring_socket_ops socket_ops;

static void conn_free(struct upstream_conn *conn)
{
    uring_timer_clear(conn->loop, &conn->timer);
    upstream_resolver_forget(&conn->lookup);
    uring_socket_close(conn->socket);
    tls_session_free(conn->tls);
    free(conn->answer);
    free(conn);
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
    struct upstream_end end = {error, clean, conn->ready, conn->why.text};

    if (conn->over)
        return;
    conn->over = true;
    uring_timer_clear(conn->loop, &conn->timer);
    uring_socket_close(conn->socket);
    conn->socket = NULL;
    conn->ops->closed(conn->owner, &end);
}

/* ---- becoming ready ---- */

static const char *address_text(const struct upstream_address *address, char text[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&address->address;
    const void *bytes = v4->sin_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;

    return inet_ntop(v4->sin_family, bytes, text, INET6_ADDRSTRLEN) ? text : "?";
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
}

/* The time that is left is shared by the addresses that are left, so that one that never answers leaves some for the next. */
static uint64_t attempt_limit_ns(const struct upstream_conn *conn)
{
    uint64_t now_ns = uring_loop_now_ns(conn->loop), share_ns;

    if (conn->ready_by_ns == 0 || conn->next_address + 1 == conn->answer->count)
        return 0; /* the last one has until the connection's own timer */
    share_ns = conn->ready_by_ns > now_ns ? (conn->ready_by_ns - now_ns) / (conn->answer->count - conn->next_address) : 0;
    return share_ns > ATTEMPT_MIN_NS ? share_ns : ATTEMPT_MIN_NS;
}

/* Begins with the next address whose attempt can be begun.  Returns 0 or the last -errno when there is none. */
static int try_next_address(struct upstream_conn *conn)
{
    int r = -EADDRNOTAVAIL;

    while (conn->next_address < conn->answer->count) {
        struct upstream_address *address = &conn->answer->address[conn->next_address];
        uint64_t limit_ns = attempt_limit_ns(conn);

        conn->next_address++;
        set_port(&address->address, conn->url->port);
        r = uring_socket_connect(conn->loop, (const struct sockaddr *)&address->address, address->size, limit_ns, &socket_ops,
                                 conn, &conn->socket);
        if (r == 0) {
            uring_socket_set_send_limit(conn->socket, SEND_LIMIT);
            return 0;
        }
    }
    return r;
}

static void explain_connect(struct upstream_conn *conn, int error)
{
    char text[INET6_ADDRSTRLEN];

    why_errno(&conn->why, -error, "cannot connect to %s port %u (%s)", conn->url->host, (unsigned)conn->url->port,
              address_text(&conn->answer->address[conn->next_address - 1], text));
}

static void found(struct upstream_lookup *lookup, const struct upstream_answer *answer)
{
    struct upstream_conn *conn = list_entry(lookup, struct upstream_conn, lookup);
    int r;

    enter(conn);
    if (answer->error != 0) {
        why_set(&conn->why, -EHOSTUNREACH, "cannot look up %s: %s", conn->url->host, gai_strerror(answer->error));
        tell_closed(conn, -EHOSTUNREACH, false);
    } else {
        *conn->answer = *answer;
        r = try_next_address(conn);
        if (r < 0) {
            explain_connect(conn, r);
            tell_closed(conn, r, false);
        }
    }
    leave(conn);
}

static void timer_fired(struct uring_timer *timer)
{
    struct upstream_conn *conn = list_entry(timer, struct upstream_conn, timer);

    enter(conn);
    if (conn->begin_error == 0)
        why_set(&conn->why, -ETIMEDOUT, "no connection to %s port %u in time", conn->url->host, (unsigned)conn->url->port);
    tell_closed(conn, conn->begin_error < 0 ? conn->begin_error : -ETIMEDOUT, false);
    leave(conn);
}

static void become_ready(struct upstream_conn *conn)
{
    conn->ready = true;
    uring_timer_clear(conn->loop, &conn->timer);
    free(conn->answer);
    conn->answer = NULL;
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
        r = why_errno(&conn->why, -sent, "cannot send to %s", conn->url->host);
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
        why_set(&conn->why, 0, "%s port %u closed the connection", conn->url->host, (unsigned)conn->url->port);
        tell_closed(conn, 0, true);
    }
}

static void socket_connected(void *owner)
{
    struct upstream_conn *conn = owner;
    int r;

    enter(conn);
    if (!conn->tls_context) {
        become_ready(conn);
    } else {
        r = tls_session_create(conn->tls_context, conn->url->host, &conn->tls, &conn->why);
        if (r < 0)
            tell_closed(conn, r, false);
        else
            feed_tls(conn, NULL, 0);
    }
    leave(conn);
}

static void socket_received(void *owner, const char *bytes, size_t size)
{
    struct upstream_conn *conn = owner;

    enter(conn);
    if (conn->over)
        ;
    else if (conn->tls)
        feed_tls(conn, bytes, size);
    else
        conn->ops->received(conn->owner, bytes, size);
    leave(conn);
}

/* An address did not answer: the next one, else the end. */
static void attempt_failed(struct upstream_conn *conn, int error)
{
    int r;

    explain_connect(conn, error);
    uring_socket_close(conn->socket);
    conn->socket = NULL;
    r = try_next_address(conn);
    if (r < 0)
        tell_closed(conn, error, false);
}

static void socket_closed(void *owner, int error)
{
    struct upstream_conn *conn = owner;
    bool connecting = conn->answer && !conn->tls;

    enter(conn);
    if (connecting) {
        attempt_failed(conn, error < 0 ? error : -ECONNRESET);
    } else {
        bool clean = error == 0 && (!conn->tls || tls_session_peer_closed(conn->tls));

        why_set(&conn->why, error, "%s port %u %s", conn->url->host, (unsigned)conn->url->port,
                error < 0     ? strerror(-error)
                : conn->ready ? clean ? "closed the connection" : "closed the connection without TLS close_notify"
                              : "closed the connection during the TLS handshake");
        tell_closed(conn, error == 0 && !conn->ready ? -ECONNRESET : error, clean);
    }
    leave(conn);
}

static const struct uring_socket_ops socket_ops = {socket_connected, socket_received, NULL, socket_closed};

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

int upstream_conn_open(struct uring_loop *loop, struct upstream_resolver *resolver, const struct upstream_url *url,
                       struct tls_context *tls_context, uint64_t timeout_ns, const struct upstream_conn_ops *ops, void *owner,
                       struct upstream_conn **ret_conn)
{
    struct upstream_conn *conn = calloc(1, sizeof *conn);
    struct upstream_answer *answer = calloc(1, sizeof *answer);
    int r;

    if (!conn || !answer) {
        free(conn);
        free(answer);
        return -ENOMEM;
    }
    *conn = (struct upstream_conn){
        .loop = loop, .url = url, .tls_context = tls_context, .ops = ops, .owner = owner, .answer = answer};
    conn->timer.fired = timer_fired;
    conn->lookup.found = found;
    list_init(&conn->link);
    if (timeout_ns > 0) {
        conn->ready_by_ns = uring_loop_now_ns(loop) + timeout_ns;
        uring_timer_set(loop, &conn->timer, timeout_ns);
    }
    r = upstream_resolver_ask(resolver, url->host, &conn->lookup, answer);
    if (r == 1) {
        r = try_next_address(conn);
        if (r < 0)
            explain_connect(conn, r);
    } else if (r < 0) {
        why_errno(&conn->why, -r, "cannot look up %s", url->host);
    }
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
