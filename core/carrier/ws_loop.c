/* carrier/ws_loop.c - the only file that knows which event library libwebsockets runs on: libuv's, inside libevent's. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/ssl.h>

static const struct lws_protocols protocols[] = {
    /* One entry: clients need ask for no subprotocol.  The user data is one byte, because libwebsockets tells the end of a connection
     * (DROP_PROTOCOL, where the last close frame goes out) only to protocols that have some. */
    {.name = "umbel",
     .callback = ws_lws_callback,
     .per_session_data_size = 1,
     .rx_buffer_size = WS_RX_BUFFER,
     .tx_packet_size = 65536},
    {0}};

/* All clocks are ours (ws_time.c): libwebsockets' own cost a walk over all connections for each pong. */
static const lws_retry_bo_t no_clock = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

static const struct umbel_host *log_host; /* libwebsockets' log function has no argument of ours */
static uint32_t log_floor;

static void log_line(int level, const char *line)
{
    size_t size = strlen(line);

    while (size && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        size--;
    /* Once we serve, strangers cause these lines at will. */
    if (log_host)
        log_host->log(log_host, level & LLL_ERR && log_floor < UMBEL_LOG_DEBUG ? UMBEL_LOG_ERROR : UMBEL_LOG_DEBUG, NULL,
                      "libwebsockets: %.*s", (int)(size > 300 ? 300 : size), line);
}

static void on_uv_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* it only ends the wait: ws_loop_turn comes before the next one */
}

static bool have_dirty(const struct umbel_ws *ws)
{
    return !list_is_empty(&ws->dirty);
}

static void work(struct umbel_ws *ws)
{
    struct list now;

    /* What gets dirty from here on waits for the next round, so that no client can keep us here. */
    list_init(&now);
    while (have_dirty(ws)) {
        struct list *first = ws->dirty.next;
        list_remove(first);
        list_append(&now, first);
    }
    while (!list_is_empty(&now)) {
        struct umbel_ws_client *client = list_entry(now.next, struct umbel_ws_client, dirty);
        list_remove(&client->dirty);
        ws_client_work(client);
    }
}

int ws_loop_turn(void *arg)
{
    struct umbel_ws *ws = arg;

    if (!ws->uv_open)
        return -1;
    for (int round = 0; round < 3; round++) {
        work(ws);
        if (ws->kick) { /* libwebsockets looks at its timers only when a descriptor woke it */
            ws->kick = false;
            lws_cancel_service(ws->context);
        }
        uv_run(&ws->uv, UV_RUN_NOWAIT); /* last, because it hands changed descriptors to the kernel */
        if (!have_dirty(ws))
            break;
    }
    if ((ws->draining || ws->leaving) && !ws->drained && !ws->connections) {
        ws->drained = true;
        ws->host->drained(ws->host);
    }
    return have_dirty(ws) ? 0 : uv_backend_timeout(&ws->uv);
}

void ws_loop_kill(struct umbel_ws_client *client)
{
    if (!client->wsi || client->state == WS_GONE)
        return;
    client->doomed = true; /* nothing more is written to it */
    lws_set_timeout(client->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    client->ws->kick = true;
}

static int open_uv(struct umbel_ws *ws)
{
    int r = uv_loop_init(&ws->uv);

    if (r < 0) {
        ws_log(ws, UMBEL_LOG_ERROR, "cannot make a libuv loop: %s", uv_strerror(r));
        return r; /* libuv's codes are -errno here */
    }
    ws->uv_open = true;
    ws->uv_event = event_new(ws->host->base, uv_backend_fd(&ws->uv), EV_READ | EV_PERSIST, on_uv_ready, NULL);
    if (!ws->uv_event || event_add(ws->uv_event, NULL) < 0)
        return -ENOMEM;
    return 0;
}

static int open_context(struct umbel_ws *ws)
{
    struct lws_context_creation_info info = {0};
    void *loops[] = {&ws->uv};

    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.foreign_loops = loops;
    info.max_http_header_data = 8192;
    info.pt_serv_buf_size = 4096;
    info.timeout_secs = WS_HANDSHAKE_MS / 1000 + 5; /* ours comes first */
    ws->context = lws_create_context(&info);
    if (!ws->context) {
        ws_log(ws, UMBEL_LOG_ERROR, "libwebsockets did not start (is the package libwebsockets-evlib-uv installed?)");
        return -EIO;
    }
    return 0;
}

static int open_vhost(struct umbel_ws *ws, const char *cert, const char *key)
{
    struct lws_context_creation_info info = {0};

    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.vhost_name = "umbel";
    info.user = ws;
    info.retry_and_idle_policy = &no_clock;
    info.alpn = "http/1.1"; /* a WebSocket inside HTTP/2 could not be written raw */
    info.keepalive_timeout = 5;
    info.timeout_secs_ah_idle = WS_HANDSHAKE_MS / 1000 + 5; /* ours comes first here too */
    if (*cert) {
        info.options = LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_options_set = (long)(SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION);
    }
    ws->vhost = lws_create_vhost(ws->context, &info);
    if (!ws->vhost) {
        ws_log(ws, UMBEL_LOG_ERROR, "libwebsockets made no virtual host");
        return -EIO;
    }
    if (!*cert)
        return 0;
    if (!ws->tls) {
        ws_log(ws, UMBEL_LOG_ERROR, "libwebsockets made no TLS context");
        return -EIO;
    }
    return ws_tls_load(ws, ws->tls, cert, key);
}

int ws_loop_open(struct umbel_ws *ws, const char *cert, const char *key)
{
    int r;

    log_host = ws->host;
    log_floor = UMBEL_LOG_ERROR;
    lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
    r = open_uv(ws);
    if (!r)
        r = open_context(ws);
    if (!r)
        r = open_vhost(ws, cert, key);
    log_floor = UMBEL_LOG_DEBUG;
    return r;
}

void ws_loop_close(struct umbel_ws *ws)
{
    if (ws->context) {
        lws_context_destroy(ws->context);
        while (uv_loop_alive(&ws->uv) && uv_run(&ws->uv, UV_RUN_NOWAIT))
            continue;
        lws_context_destroy(ws->context); /* the second half, once libuv has let go of everything */
        ws->context = NULL;
    }
    if (ws->uv_event)
        event_free(ws->uv_event);
    ws->uv_event = NULL;
    if (ws->uv_open && uv_loop_close(&ws->uv))
        ws_log(ws, UMBEL_LOG_WARN, "the libuv loop still had handles at its end");
    ws->uv_open = false;
    log_host = NULL;
}
