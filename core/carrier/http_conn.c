/* carrier/http_conn.c - one connection: its events, and its end. */
#include "core/carrier/http_carrier.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static char read_buffer[HTTP_READ_SIZE]; /* one thread */

/* How much may be read now; 0: not before the answer at hand is out. */
static size_t read_room(const struct http_conn *conn)
{
    if (conn->state != HTTP_BUSY)
        return sizeof read_buffer;
    return conn->in.size < HTTP_AHEAD_MAX ? HTTP_AHEAD_MAX - conn->in.size : 0;
}

static void read_more(struct http_conn *conn)
{
    do {
        size_t room = read_room(conn);
        if (room == 0) {
            /* It has sent far ahead.  Its going away is noticed when the next write fails. */
            conn->paused = true;
            event_del(&conn->read_event);
            return;
        }
        long got = http_io_read(conn, read_buffer, room);
        if (got == -EAGAIN)
            return;
        if (got <= 0) {
            http_conn_kill(conn);
            return;
        }
        if (conn->state != HTTP_LINGER)
            http_receive(conn, read_buffer, (size_t)got);
        explicit_bzero(read_buffer, (size_t)got);
    } while (conn->state != HTTP_DEAD && conn->ssl && SSL_pending(conn->ssl) > 0);
}

static bool shake_hands(struct http_conn *conn)
{
    int r = http_io_handshake(conn);

    if (r < 0) {
        http_count(conn->http, "http_tls_failed");
        http_conn_kill(conn);
    }
    if (r == 1)
        conn->state = HTTP_HEAD;
    return r == 1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *conn = arg;

    (void)fd;
    (void)what;
    if (conn->state == HTTP_HANDSHAKE && !shake_hands(conn))
        return;
    if (conn->ssl && http_io_is_full(conn)) /* a TLS write may have waited for the peer's word */
        http_io_flush(conn);
    if (conn->state != HTTP_DEAD)
        read_more(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *conn = arg;

    (void)fd;
    (void)what;
    if (conn->state == HTTP_HANDSHAKE) {
        if (shake_hands(conn))
            read_more(conn);
        return;
    }
    if (http_io_is_full(conn))
        http_io_flush(conn);
    if (conn->state == HTTP_DEAD || http_io_is_full(conn))
        return;
    if (conn->request)
        http_stream_go(conn->request);
    http_conn_later(conn);
}

struct http_conn *http_conn_new(struct umbel_http *http, int fd)
{
    struct http_conn *conn = calloc(1, sizeof *conn);

    if (!conn) {
        close(fd);
        return NULL;
    }
    conn->http = http;
    conn->fd = fd;
    conn->armed_ns = HTTP_NEVER;
    conn->state = http->tls ? HTTP_HANDSHAKE : HTTP_HEAD;
    list_init(&conn->later);
    list_append(&http->conns, &conn->link);
    http->connections++;
    event_assign(&conn->read_event, http->host->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    event_assign(&conn->write_event, http->host->base, fd, EV_WRITE, on_writable, conn);
    event_assign(&conn->timer, http->host->base, -1, 0, http_time_fired, conn);
    if (http->tls) {
        conn->ssl = SSL_new(http->tls);
        if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1) {
            http_conn_kill(conn);
            return NULL;
        }
    }
    if (event_add(&conn->read_event, NULL) < 0) {
        http_conn_kill(conn);
        return NULL;
    }
    http_conn_deadline(conn, HTTP_HEAD_MS);
    return conn;
}

void http_conn_deadline(struct http_conn *conn, uint64_t ms)
{
    conn->deadline_ns = clock_now_ns() + ms * CLOCK_MS;
    http_time_arm(conn);
}

void http_conn_later(struct http_conn *conn)
{
    if (list_is_linked(&conn->later))
        return;
    list_append(&conn->http->later, &conn->later);
    event_active(conn->http->settle, 0, 0);
}

void http_conn_kill(struct http_conn *conn)
{
    http_io_settle(conn);
    if (conn->state == HTTP_DEAD)
        return;
    conn->state = HTTP_DEAD;
    event_del(&conn->read_event);
    event_del(&conn->write_event);
    event_del(&conn->timer);
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    close(conn->fd);
    conn->fd = -1;
    http_conn_later(conn);
}

void http_conn_free(struct http_conn *conn)
{
    struct umbel_http *http = conn->http;

    http_conn_kill(conn);
    http_request_free(conn->request);
    list_remove(&conn->link);
    list_remove(&conn->later);
    http_wipe(&conn->in);
    umbel_out_free(&conn->out);
    free(conn);
    http->connections--;
}

void http_conn_finish(struct http_conn *conn)
{
    conn->state = HTTP_LINGER;
    http_wipe(&conn->in);
    http_io_shut(conn);
    http_conn_deadline(conn, HTTP_LINGER_MS);
    if (conn->paused) {
        conn->paused = false;
        event_add(&conn->read_event, NULL);
    }
}

/* The answer at hand is out: what comes next? */
static void end_request(struct http_conn *conn)
{
    bool close_now = conn->close_after || conn->http->draining;

    http_request_free(conn->request);
    conn->request = NULL;
    if (close_now) {
        http_conn_finish(conn);
        return;
    }
    conn->state = HTTP_HEAD;
    conn->served = true;
    conn->scanned = 0;
    if (conn->paused) {
        conn->paused = false;
        event_add(&conn->read_event, NULL);
    }
    if (conn->in.size == 0 && conn->in.capacity > 0)
        http_wipe(&conn->in);
    http_conn_deadline(conn, conn->in.size ? HTTP_HEAD_MS : HTTP_IDLE_MS);
    http_receive_next(conn);
    if (conn->state != HTTP_DEAD && conn->ssl && SSL_pending(conn->ssl) > 0)
        event_active(&conn->read_event, EV_READ, 0); /* OpenSSL has it already: the socket will not say so */
}

static void settle(struct http_conn *conn)
{
    if (conn->state == HTTP_DEAD)
        http_conn_free(conn);
    else if (conn->state == HTTP_BUSY && conn->request->done && !http_io_is_full(conn))
        end_request(conn);
    else if (conn->state == HTTP_HEAD && conn->http->draining && conn->in.size == 0)
        http_conn_finish(conn);
}

void http_conn_settle_all(struct umbel_http *http)
{
    struct list now;

    /* What is put on the list from here on waits for the loop's next round, so that no client can keep us here. */
    list_init(&now);
    while (!list_is_empty(&http->later)) {
        struct list *first = http->later.next;
        list_remove(first);
        list_append(&now, first);
    }
    while (!list_is_empty(&now)) {
        struct http_conn *conn = list_entry(now.next, struct http_conn, later);
        list_remove(&conn->later);
        settle(conn);
    }
    if ((http->draining || http->leaving) && !http->drained && http->connections == 0) {
        http->drained = true;
        http->host->drained(http->host);
    }
}
