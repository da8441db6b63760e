#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/util.h>
#include <openssl/ssl.h>

#include "reply.h"
#include "route.h"
#include "server.h"
#include "stream.h"

static void on_linger(struct pacer_node *node)
{
    struct conn *conn = (struct conn *)(void *)((char *)node - offsetof(struct conn, linger));

    conn_free(conn, "complete");
}

static void request_forget(struct conn *conn)
{
    free(conn->head);
    conn->head = NULL;
    bytes_free(&conn->chunks.body);
    conn->chunks = (struct http_chunks){0};
}

/* A request that cannot be read ends the connection: where the next one would begin is unknown. */
static bool refuse(struct conn *conn, int status, const char *why)
{
    conn->keep_alive = false;
    conn->state = CONN_ANSWERING;
    conn->requests++;
    conn->sent = 0;
    route_refuse(conn, conn->head, (unsigned)status, why);
    return false;
}

/* Reads the head if it has come as a whole; false if it has not, or was refused. */
static bool head_read(struct conn *conn, struct evbuffer *input)
{
    struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
    const char *why;

    if (end.pos < 0 ? evbuffer_get_length(input) > HTTP_HEAD_MAX : (size_t)end.pos + 4 > HTTP_HEAD_MAX)
        return refuse(conn, 431, "the request head is too large");
    if (end.pos < 0)
        return false;
    size_t size = (size_t)end.pos + 4;
    int status = http_head_parse((char *)evbuffer_pullup(input, (ev_ssize_t)size), size, &conn->head, &why);
    if (status)
        return refuse(conn, status, why);
    evbuffer_drain(input, size);
    conn->keep_alive = conn->head->keep_alive;
    conn->head_only = !strcmp(conn->head->method, "HEAD");
    conn->minor0 = conn->head->minor == 0;
    if (conn->head->has_length && conn->head->length > HTTP_BODY_MAX)
        return refuse(conn, 413, "the request body is larger than 16 MiB");
    if (conn->head->expect_continue && (conn->head->chunked || conn->head->length))
        conn_send(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return true;
}

/* Reads what has come of a chunked body; true when it is whole. */
static bool chunks_read(struct conn *conn, struct evbuffer *input)
{
    int verdict = 0;

    while (!verdict && evbuffer_get_length(input)) {
        size_t left = evbuffer_get_length(input), size = left < CONN_INPUT_MAX ? left : CONN_INPUT_MAX, used;
        verdict = http_chunks_feed(&conn->chunks, (char *)evbuffer_pullup(input, (ev_ssize_t)size), size, &used);
        evbuffer_drain(input, used);
    }
    if (verdict > 1)
        return refuse(conn, verdict, verdict == 413 ? "the request body is larger than 16 MiB" : "the chunked body is malformed");
    return verdict == 1;
}

/* Takes one request out of the input and has it answered; false if there is none yet. */
static bool request_read(struct conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    const char *body;
    size_t size;

    if (!conn->head && !head_read(conn, input))
        return false;
    if (conn->head->chunked) {
        if (!chunks_read(conn, input))
            return false;
        body = conn->chunks.body.data;
        size = conn->chunks.body.len;
    } else {
        size = (size_t)conn->head->length;
        if (evbuffer_get_length(input) < size)
            return false;
        body = size ? (char *)evbuffer_pullup(input, (ev_ssize_t)size) : "";
    }
    conn->requests++;
    conn->state = CONN_ANSWERING;
    conn->sent = 0;
    bufferevent_setwatermark(conn->bev, EV_READ, 0, CONN_INPUT_MAX);
    bool chunked = conn->head->chunked;
    route_request(conn, conn->head, body ? body : "", size);
    if (!chunked)
        evbuffer_drain(input, size);
    request_forget(conn);
    return true;
}

/* Answers what is there.  A client that does not read its replies is not read from either. */
static void pump(struct conn *conn)
{
    while (conn->state == CONN_READING && conn->fate == CONN_OPEN && !conn_busy(conn) && request_read(conn))
        ;
}

static void on_read(struct bufferevent *bev, void *data)
{
    struct conn *conn = data;

    if (conn->state == CONN_LINGERING)
        evbuffer_drain(bufferevent_get_input(bev), SIZE_MAX);
    conn_settle(conn);
}

static void on_drained(struct bufferevent *bev, void *data)
{
    struct conn *conn = data;

    (void)bev;
    if (conn->stream)
        stream_resume(conn->stream);
    conn_settle(conn);
}

static void on_event(struct bufferevent *bev, short what, void *data)
{
    struct conn *conn = data;

    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        conn->fate = CONN_LOST;
    conn_settle(conn);
}

void conn_open(struct server *server, int fd, const struct sockaddr *peer)
{
    struct conn *conn = bytes_alloc(sizeof *conn);
    int on = 1;
    char host[46] = "?";

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* each send leaves at once */
    conn->server = server;
    conn->fd = fd;
    conn->linger.fire = on_linger;
    conn->id = ++server->connections;
    if (peer->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, peer, sizeof in);
        evutil_inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
        snprintf(conn->peer, sizeof conn->peer, "%s:%u", host, ntohs(in.sin_port));
    } else if (peer->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, peer, sizeof in);
        evutil_inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host);
        snprintf(conn->peer, sizeof conn->peer, "[%s]:%u", host, ntohs(in.sin6_port));
    }
    if (server->tls) {
        SSL *ssl = SSL_new(server->tls);
        conn->tls = true;
        if (ssl)
            conn->bev = bufferevent_openssl_socket_new(server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
        if (ssl && !conn->bev)
            SSL_free(ssl);
    } else {
        conn->bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    }
    if (!conn->bev) {
        close(fd);
        free(conn);
        return;
    }
    LIST_INSERT_HEAD(&server->conns, conn, link);
    bufferevent_setcb(conn->bev, on_read, on_drained, on_event, conn);
    bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
}

void conn_send(struct conn *conn, const char *data, size_t size)
{
    size_t done = 0;

    if (conn->fate == CONN_LOST || !size)
        return;
    conn->sent += size;
    if (!conn->tls && !conn_busy(conn)) {
        ssize_t sent = send(conn->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            conn->fate = CONN_LOST;
            return;
        }
        done = sent > 0 ? (size_t)sent : 0;
    }
    if (done < size && bufferevent_write(conn->bev, data + done, size - done) < 0)
        conn->fate = CONN_LOST;
}

bool conn_busy(const struct conn *conn)
{
    return evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0;
}

size_t conn_unsent(const struct conn *conn)
{
    int queued = 0;

    if (ioctl(conn->fd, SIOCOUTQ, &queued) < 0 || queued < 0)
        queued = 0;
    return (size_t)queued + evbuffer_get_length(bufferevent_get_output(conn->bev));
}

void conn_answered(struct conn *conn, bool reuse)
{
    if (conn->fate != CONN_OPEN)
        return;
    if (!reuse || !conn->keep_alive) {
        conn->fate = CONN_CLOSE;
        return;
    }
    conn->state = CONN_READING;
    bufferevent_setwatermark(conn->bev, EV_READ, 0, 0);
}

/* Sends our FIN and waits for the client's: closing with unread input would send a reset that can destroy the end
 * of our answer before the client reads it. */
static void linger(struct conn *conn)
{
    conn->state = CONN_LINGERING;
    if (conn->tls) {
        SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
        if (SSL_is_init_finished(ssl))
            SSL_shutdown(ssl);
    }
    shutdown(conn->fd, SHUT_WR);
    evbuffer_drain(bufferevent_get_input(conn->bev), SIZE_MAX);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, 0);
    pacer_set(&conn->server->pacer, &conn->linger, pacer_now_us() + CONN_LINGER_US);
}

void conn_settle(struct conn *conn)
{
    pump(conn);
    if (conn->fate == CONN_LOST) {
        conn_free(conn, "client_closed");
    } else if (conn->fate == CONN_RESET) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        conn_free(conn, "fault:reset");
    } else if (conn->fate == CONN_CLOSE && conn->state != CONN_LINGERING && !conn_busy(conn)) {
        linger(conn);
    }
}

void conn_free(struct conn *conn, const char *end)
{
    struct server *server = conn->server;

    if (conn->stream)
        stream_free(conn->stream, end);
    pacer_cancel(&server->pacer, &conn->linger);
    request_forget(conn);
    LIST_REMOVE(conn, link);
    bufferevent_free(conn->bev);
    free(conn);
    server_room(server);
}
