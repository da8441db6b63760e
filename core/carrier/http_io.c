/* carrier/http_io.c - the socket of one connection, clear or TLS. */
#include "core/carrier/http_carrier.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* What OpenSSL's refusal means: 0 wait for the socket, -1 broken. */
static int tls_trouble(struct http_conn *conn, int r)
{
    switch (SSL_get_error(conn->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        event_add(&conn->write_event, NULL);
        return 0;
    default:
        return -1;
    }
}

int http_io_handshake(struct http_conn *conn)
{
    ERR_clear_error();
    int r = SSL_accept(conn->ssl);
    return r == 1 ? 1 : tls_trouble(conn, r);
}

long http_io_read(struct http_conn *conn, void *to, size_t size)
{
    if (conn->ssl) {
        size_t got;
        ERR_clear_error();
        int r = SSL_read_ex(conn->ssl, to, size, &got);
        if (r == 1)
            return (long)got;
        if (SSL_get_error(conn->ssl, r) == SSL_ERROR_ZERO_RETURN)
            return 0;
        return tls_trouble(conn, r) == 0 ? -EAGAIN : -EIO;
    }
    ssize_t got = recv(conn->fd, to, size, 0);
    if (got >= 0)
        return (long)got;
    return errno == EAGAIN || errno == EINTR ? -EAGAIN : -errno;
}

/* Bytes the socket took now; -1: broken. */
static long put(struct http_conn *conn, const char *bytes, size_t size)
{
    if (conn->ssl) {
        size_t sent;
        ERR_clear_error();
        int r = SSL_write_ex(conn->ssl, bytes, size, &sent);
        if (r == 1)
            return (long)sent;
        return tls_trouble(conn, r);
    }
    ssize_t sent = send(conn->fd, bytes, size, MSG_NOSIGNAL);
    if (sent >= 0)
        return (long)sent;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

/* As much as the socket takes.  SIZE_MAX: broken. */
static size_t put_all(struct http_conn *conn, const char *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        long sent = put(conn, bytes + done, size - done);
        if (sent < 0)
            return SIZE_MAX;
        if (sent == 0)
            break;
        done += (size_t)sent;
    }
    if (done)
        conn->sent_ns = conn->progress_ns = clock_now_ns();
    return done;
}

/* What the socket refused waits. */
static void keep(struct http_conn *conn, const char *bytes, size_t size)
{
    if (!http_io_is_full(conn)) {
        conn->progress_ns = clock_now_ns();
        conn->acked = http_io_acked(conn);
    }
    umbel_out_put(&conn->out, bytes, size);
    if (conn->out.failed || event_add(&conn->write_event, NULL) < 0) {
        http_conn_kill(conn);
        return;
    }
    http_time_arm(conn);
}

void http_io_settle(struct http_conn *conn)
{
    if (conn->sending)
        conn->http->host->send_now(conn->http->host);
}

static void on_sent(void *owner, const void *rest, size_t size, int error)
{
    struct http_conn *conn = owner;

    conn->sending = false;
    if (error < 0) {
        http_conn_kill(conn);
        return;
    }
    conn->sent_ns = conn->progress_ns = clock_now_ns();
    if (size > 0)
        keep(conn, rest, size);
}

/* Together with what goes to others, if this is a moment for that. */
static bool send_together(struct http_conn *conn, const void *bytes, size_t size)
{
    const struct umbel_host *host = conn->http->host;

    if (conn->ssl || host->struct_size < offsetof(struct umbel_host, send_now) + sizeof host->send_now || !host->send)
        return false;
    conn->sending = host->send(host, conn->fd, bytes, size, on_sent, conn);
    return conn->sending;
}

void http_io_send(struct http_conn *conn, const void *bytes, size_t size)
{
    size_t done = 0;

    http_io_settle(conn);
    if (conn->state == HTTP_DEAD || size == 0)
        return;
    if (!http_io_is_full(conn)) {
        if (send_together(conn, bytes, size))
            return;
        done = put_all(conn, bytes, size);
    }
    if (done == SIZE_MAX)
        http_conn_kill(conn);
    else if (done < size)
        keep(conn, (const char *)bytes + done, size - done);
}

void http_io_flush(struct http_conn *conn)
{
    size_t done = put_all(conn, conn->out.data + conn->out_at, conn->out.size - conn->out_at);

    if (done == SIZE_MAX) {
        http_conn_kill(conn);
        return;
    }
    conn->out_at += done;
    if (conn->out_at < conn->out.size) {
        event_add(&conn->write_event, NULL);
        return;
    }
    conn->out_at = 0;
    if (conn->out.capacity > HTTP_KEEP_BUFFER)
        umbel_out_free(&conn->out);
    else
        umbel_out_reset(&conn->out);
}

bool http_io_is_acked(const struct http_conn *conn)
{
    int waiting;

    return ioctl(conn->fd, SIOCOUTQ, &waiting) == -1 || waiting == 0;
}

uint64_t http_io_acked(const struct http_conn *conn)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_acked : 0;
}

void http_io_shut(struct http_conn *conn)
{
    http_io_settle(conn);
    if (conn->ssl) {
        ERR_clear_error();
        SSL_shutdown(conn->ssl);
    }
    shutdown(conn->fd, SHUT_WR);
}
