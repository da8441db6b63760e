#include "tools/show/show_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>

#include "core/base/clock.h"

static void over(struct show_client *client)
{
    client->phase = SHOW_OVER;
    client->ready = true;
    if (client->connection)
        bufferevent_disable(client->connection, EV_READ);
}

static void broke(struct show_client *client, const char *reason)
{
    show_answer_break(&client->decoder.answer, "%s", reason);
    over(client);
}

static void send_out(struct show_client *client, struct umbel_out *out)
{
    if (out->failed)
        broke(client, "no memory for a request");
    else if (out->size > 0)
        bufferevent_write(client->connection, out->data, out->size);
    umbel_out_free(out);
}

/* ---- what comes in ---- */

/* Notes when the first text and the end came. */
static void note_times(struct show_client *client)
{
    if (client->decoder.answer.text.size > 0 && client->first_text_ns == 0)
        client->first_text_ns = clock_now_ns();
    if (client->ended_ns == 0 && show_client_settled(client))
        client->ended_ns = clock_now_ns();
}

static void take(void *owner, const char *data, size_t size)
{
    struct show_client *client = owner;

    client->protocol->take(&client->decoder, data, size);
    note_times(client);
}

void show_client_compare(struct show_client *client, const struct show_answer *asked)
{
    if (!client->protocol->compare || show_client_settled(client))
        return;
    client->protocol->compare(&client->decoder, asked);
    note_times(client);
}

/* A polled protocol's reply is whole: the next request after a while, on the same connection. */
static void reply_is_whole(struct show_client *client)
{
    static const struct timeval wait = {.tv_usec = SHOW_POLL_MS * 1000};

    client->protocol->reply(&client->decoder);
    note_times(client);
    show_head_free(&client->head);
    if (show_client_settled(client))
        over(client);
    else if (event_add(client->poll_timer, &wait) < 0)
        broke(client, "no memory for a timer");
}

static int head_is_whole(struct show_client *client, struct why *why)
{
    struct umbel_out frame = {0};

    if (client->protocol->websocket) {
        int r = show_ws_check(&client->head, client->ws_key, why);
        if (r < 0)
            return r;
        if (client->request.body.size > 0)
            show_ws_frame(&frame, SHOW_WS_TEXT, client->request.body.data, client->request.body.size);
        client->asked_ns = clock_now_ns();
        send_out(client, &frame);
    } else {
        char id[96];
        int r = show_body_begin(&client->head, &client->body, why);
        if (r < 0)
            return r;
        if (client->head.status != 200)
            return why_set(why, -EPROTO, "status %d", client->head.status);
        if (show_head_field(&client->head, "X-Umbel-Stream", id, sizeof id) == 1)
            show_id_check(&client->decoder, id);
    }
    client->phase = SHOW_OPEN;
    client->ready = true;
    return 0;
}

static int feed_ws(struct show_client *client, const char *data, size_t size, struct why *why)
{
    struct umbel_out reply = {0};
    int r = show_ws_feed(&client->ws, data, size, take, client, &reply, why);

    send_out(client, &reply);
    if (r == 0 && client->ws.closed) {
        char what[64];
        snprintf(what, sizeof what, "the server closed with code %u", client->ws.close_code);
        show_decoder_close(&client->decoder, what);
        over(client);
    }
    return r;
}

static void feed(struct show_client *client, const char *data, size_t size)
{
    struct why why = {{0}};
    int r = 0;

    if (client->phase == SHOW_HEAD) {
        size_t used = 0;
        r = show_head_feed(&client->head, data, size, &used, &why);
        data += used;
        size -= used;
        if (r == 1)
            r = head_is_whole(client, &why);
    }
    if (r == 0 && client->phase == SHOW_OPEN && size > 0)
        r = client->protocol->websocket ? feed_ws(client, data, size, &why)
                                        : show_body_feed(&client->body, data, size, take, client, &why);
    if (r < 0) {
        broke(client, why.text);
    } else if (client->phase == SHOW_OPEN && !client->protocol->websocket && client->body.ended && client->protocol->reply) {
        reply_is_whole(client);
    } else if (client->phase == SHOW_OPEN && !client->protocol->websocket && client->body.ended) {
        show_decoder_close(&client->decoder, "the response ended");
        over(client);
    }
}

static void on_read(struct bufferevent *connection, void *arg)
{
    struct show_client *client = arg;
    struct evbuffer *input = bufferevent_get_input(connection);
    size_t size;

    while (client->phase != SHOW_OVER && (size = evbuffer_get_contiguous_space(input)) > 0) {
        client->bytes += size;
        feed(client, (const char *)evbuffer_pullup(input, (ev_ssize_t)size), size);
        evbuffer_drain(input, size);
    }
    client->changed(client->owner, client);
}

/* ---- the connection ---- */

static void send_request(struct show_client *client)
{
    struct umbel_out out = {0};

    client->phase = SHOW_HEAD;
    if (client->protocol->websocket) {
        show_ws_request(&out, client->host, client->request.target.data, client->ws_key);
    } else {
        umbel_out_printf(&out, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", client->request.method, client->request.target.data, client->host,
                         client->request.headers.data);
        if (client->request.body.size > 0)
            umbel_out_printf(&out, "Content-Length: %zu\r\n", client->request.body.size);
        umbel_out_text(&out, "\r\n");
        umbel_out_put(&out, client->request.body.data, client->request.body.size);
        if (client->asked_ns == 0)
            client->asked_ns = clock_now_ns();
    }
    send_out(client, &out);
}

static void connected(struct show_client *client)
{
    int one = 1;

    setsockopt(bufferevent_getfd(client->connection), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    umbel_out_put(&client->request.target, "", 1);
    umbel_out_put(&client->request.headers, "", 1);
    send_request(client);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct show_client *client = arg;

    (void)fd, (void)what;
    if (client->phase == SHOW_OVER)
        return;
    if (show_client_settled(client)) /* by what the asking protocol told since */
        over(client);
    else
        send_request(client);
    client->changed(client->owner, client);
}

static void on_event(struct bufferevent *connection, short events, void *arg)
{
    struct show_client *client = arg;
    struct why why = {{0}};

    if (events & BEV_EVENT_CONNECTED) {
        connected(client);
    } else if (client->phase != SHOW_OVER) {
        if (client->phase == SHOW_CONNECTING) {
            why_errno(&why, EVUTIL_SOCKET_ERROR(), "cannot connect to %s", client->host);
            broke(client, why.text);
        } else if (events & BEV_EVENT_ERROR)
            why_errno(&why, EVUTIL_SOCKET_ERROR(), "the connection broke");
        else if (client->phase == SHOW_OPEN && !client->protocol->websocket && show_body_close(&client->body, &why) == 0)
            why_set(&why, 0, "the response ended");
        else if (!why.text[0])
            why_set(&why, 0, "the server closed the connection");
        show_decoder_close(&client->decoder, why.text);
        over(client);
    }
    (void)connection;
    client->changed(client->owner, client);
}

/* "host:port", "[::1]:port" */
static int resolve(const char *text, struct addrinfo **ret_list, struct why *why)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int r;

    if (size >= 2 && text[0] == '[' && text[size - 1] == ']')
        text++, size -= 2;
    if (size == 0 || size >= sizeof host)
        return why_set(why, -EINVAL, "%s is no HOST:PORT", text);
    memcpy(host, text, size);
    host[size] = '\0';
    r = getaddrinfo(host, colon + 1, &hints, ret_list);
    return r == 0 ? 0 : why_set(why, -ENOENT, "%s: %s", host, gai_strerror(r));
}

static struct bufferevent *open_connection(const struct show_client *client, struct event_base *base)
{
    struct bufferevent *connection;
    SSL *ssl = client->tls ? SSL_new(client->tls) : NULL;

    if (!client->tls)
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!ssl)
        return NULL;
    connection = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!connection)
        SSL_free(ssl);
    return connection;
}

void show_client_start(struct show_client *client, struct event_base *base, const struct show_ask *ask)
{
    struct addrinfo *list = NULL;
    struct why why = {{0}};

    client->phase = SHOW_CONNECTING;
    client->decoder.session = ask->session;
    client->protocol->request(ask, !client->asks, &client->request);
    if (resolve(client->host, &list, &why) < 0) {
        broke(client, why.text);
        return;
    }
    client->connection = open_connection(client, base);
    if (client->protocol->reply)
        client->poll_timer = evtimer_new(base, on_poll, client);
    if (!client->connection || (client->protocol->websocket && show_ws_key(client->ws_key) < 0) ||
        (client->protocol->reply && !client->poll_timer)) {
        broke(client, "no memory for a connection");
    } else {
        bufferevent_setcb(client->connection, on_read, NULL, on_event, client);
        bufferevent_enable(client->connection, EV_READ | EV_WRITE);
        if (bufferevent_socket_connect(client->connection, list->ai_addr, (int)list->ai_addrlen) < 0)
            broke(client, "cannot connect");
    }
    freeaddrinfo(list);
}

void show_client_end(struct show_client *client)
{
    struct umbel_out frame = {0};

    if (client->connection) {
        if (client->protocol->websocket && client->phase == SHOW_OPEN) {
            show_ws_frame(&frame, SHOW_WS_CLOSE, "\x03\xe8", 2); /* 1000; if the socket is full it is simply gone */
            (void)!send(bufferevent_getfd(client->connection), frame.data, frame.size, MSG_NOSIGNAL | MSG_DONTWAIT);
            umbel_out_free(&frame);
        }
        bufferevent_free(client->connection);
    }
    if (client->poll_timer)
        event_free(client->poll_timer);
    show_head_free(&client->head);
    show_ws_free(&client->ws);
    show_request_free(&client->request);
    show_decoder_free(&client->decoder);
}
