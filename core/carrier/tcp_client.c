/* carrier/tcp_client.c - one connection: bytes to lines, bytes to the socket. */
#include "core/carrier/tcp_carrier.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"

static void client_free(struct umbel_tcp_client *client)
{
    umbel_out_free(&client->in);
    umbel_out_free(&client->out);
    if (client->readable)
        event_free(client->readable);
    if (client->writable)
        event_free(client->writable);
    if (client->fd >= 0)
        close(client->fd);
    free(client);
}

void tcp_client_kill(struct umbel_tcp_client *client)
{
    struct umbel_tcp *tcp = client->tcp;

    if (client->gone)
        return;
    client->gone = true;
    tcp->connections--;
    event_del(client->readable);
    event_del(client->writable);
    close(client->fd);
    client->fd = -1;
    client->reader = NULL; /* client_close leaves it */
    tcp->host->client_close(client->client);
    list_remove(&client->due);
    list_remove(&client->link);
    list_append(&tcp->dead, &client->link);
    event_active(tcp->wake, 0, 0); /* so that the loop turns soon */
}

void tcp_client_due(struct umbel_tcp_client *client)
{
    if (client->gone || list_is_linked(&client->due))
        return;
    list_append(&client->tcp->due, &client->due);
    event_active(client->tcp->wake, 0, 0);
}

void tcp_client_settle(struct umbel_tcp_client *client)
{
    struct umbel_tcp *tcp = client->tcp;
    bool over = client->ending || (tcp->draining && !client->tag && client->access != TCP_ASKED);

    if (client->gone || client->shut_ns || !over || client->out.size > client->out_at)
        return;
    if (!client->ending && !client->in.size) {
        tcp_client_kill(client);
        return;
    }
    client->ending = true;
    shutdown(client->fd, SHUT_WR);
    client->shut_ns = clock_now_ns();
    event_add(client->readable, NULL);
}

void tcp_client_send(struct umbel_tcp_client *client)
{
    while (!client->gone && client->out_at < client->out.size) {
        ssize_t n = send(client->fd, client->out.data + client->out_at, client->out.size - client->out_at, MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EAGAIN) {
            event_add(client->writable, NULL);
            return;
        }
        if (n == -1) {
            tcp_client_kill(client);
            return;
        }
        client->out_at += (size_t)n;
        client->moved_ns = clock_now_ns();
    }
    if (client->gone)
        return;
    client->out_at = 0;
    if (client->out.capacity > TCP_OUT_FULL)
        umbel_out_free(&client->out); /* it was a large one: thousands of clients must not all keep that much */
    else
        umbel_out_reset(&client->out);
    client->moved_ns = clock_now_ns();
    if (client->full && client->reader) {
        client->full = false;
        client->tcp->host->reader_ready(client->reader);
    }
    tcp_client_settle(client);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    tcp_client_send(arg);
}

/* The codec is not asked again: what it says last goes out, then the connection ends. */
static void refuse_line(struct umbel_tcp_client *client)
{
    struct umbel_tcp *tcp = client->tcp;

    tcp->host->count(tcp->host, "tcp_lines_too_long", 1);
    if (tcp->codec->too_long)
        tcp->codec->too_long(tcp->self, client);
    umbel_tcp_end(client);
}

/* Hands out whole lines until one has to wait. */
static void hand_out(struct umbel_tcp_client *client)
{
    const struct umbel_tcp_codec *codec = client->tcp->codec;
    size_t at = 0;

    while (client->in.size > at && !client->gone && !client->ending && !client->tcp->draining && client->access != TCP_ASKED) {
        const char *line = client->in.data + at, *end = memchr(line, '\n', client->in.size - at);
        size_t size = end ? (size_t)(end - line) : client->in.size - at;
        size_t text = size && line[size - 1] == '\r' ? size - 1 : size; /* also without its LF, which may come next */
        if (text > client->tcp->max_line) {
            refuse_line(client);
            break;
        }
        if (!end || (codec->line(client->tcp->self, client, line, text) == UMBEL_TCP_LATER && client->tag))
            break;
        client->heard_ns = clock_now_ns();
        at += size + 1;
    }
    if (client->gone)
        return;
    client->in.size -= at;
    if (at && client->in.size)
        memmove(client->in.data, client->in.data + at, client->in.size);
    if (!client->in.size || client->ending) /* ending: read on, so that the end is no reset, and not used */
        umbel_out_free(&client->in);
    if (client->in.size > client->tcp->max_line + 1u)
        event_del(client->readable); /* the kernel holds the rest back */
    else
        event_add(client->readable, NULL);
    tcp_client_settle(client);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_tcp_client *client = arg;
    char *room = umbel_out_reserve(&client->in, TCP_READ);
    ssize_t n = room ? recv(fd, room, TCP_READ, 0) : 0;

    (void)what;
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        tcp_client_kill(client);
        return;
    }
    client->in.size += (size_t)n;
    hand_out(client);
}

void tcp_client_new(struct umbel_tcp *tcp, int fd, const char *peer)
{
    struct umbel_tcp_client *client = calloc(1, sizeof *client + tcp->codec->client_size);

    if (!client) {
        close(fd);
        return;
    }
    client->tcp = tcp;
    client->fd = fd;
    client->heard_ns = client->moved_ns = clock_now_ns();
    client->readable = event_new(tcp->host->base, fd, EV_READ | EV_PERSIST, on_readable, client);
    client->writable = event_new(tcp->host->base, fd, EV_WRITE, on_writable, client);
    if (client->readable && client->writable && event_add(client->readable, NULL) == 0)
        client->client = tcp->host->client_open(tcp->host, &tcp_host_codec, tcp, client, peer);
    if (!client->client) {
        client_free(client);
        return;
    }
    list_init(&client->due);
    list_append(&tcp->clients, &client->link);
    tcp->connections++;
}

int tcp_turn(void *arg)
{
    struct umbel_tcp *tcp = arg;

    while (!list_is_empty(&tcp->due)) {
        struct umbel_tcp_client *client = list_entry(tcp->due.next, struct umbel_tcp_client, due);
        list_remove(&client->due);
        tcp_answer_refusals(client);
        hand_out(client);
    }
    while (!list_is_empty(&tcp->dead)) {
        struct umbel_tcp_client *client = list_entry(tcp->dead.next, struct umbel_tcp_client, link);
        list_remove(&client->link);
        if (tcp->codec->closed)
            tcp->codec->closed(tcp->self, client);
        client_free(client);
    }
    if (tcp->draining && !tcp->drained && list_is_empty(&tcp->clients)) {
        tcp->drained = true;
        tcp->host->drained(tcp->host);
    }
    return -1;
}
