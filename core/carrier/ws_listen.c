/* carrier/ws_listen.c - takes connections from the host's listening sockets and gives them to libwebsockets. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_socket(int fd)
{
    int on = 1, buffer = WS_SEND_BUFFER, not_sent = WS_NOT_SENT;

    /* Failures do not matter: a socket that is not TCP has no such limits to set. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &not_sent, sizeof not_sent);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
}

struct umbel_ws_client *ws_listen_adopt(struct umbel_ws *ws, int fd, bool tls, bool self_test)
{
    struct umbel_ws_client *client = ws_client_new(ws);
    lws_adopt_desc_t adopt = {0};

    if (!client) {
        close(fd);
        return NULL;
    }
    client->self_test = self_test;
    client->clear = !tls;
    adopt.vh = ws->vhost;
    adopt.type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP;
    if (tls)
        adopt.type |= LWS_ADOPT_ALLOW_SSL;
    adopt.fd.sockfd = fd;
    adopt.opaque = client;
    /* On failure libwebsockets closes the descriptor and, out of memory apart, calls WSI_DESTROY, now or later; the handshake's clock
     * takes the client if it never does. */
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&adopt);
    if (!wsi)
        return NULL;
    client->wsi = wsi;
    return client;
}

static void pause_accepting(struct umbel_ws *ws)
{
    struct timeval tv = {0, WS_ACCEPT_PAUSE_MS * 1000};

    for (uint32_t i = 0; i < ws->listeners; i++)
        event_del(ws->listener[i]);
    event_add(ws->accept_again, &tv);
    ws_count(ws, "ws_accept_pauses");
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_ws *ws = arg;

    (void)fd;
    (void)what;
    for (uint32_t i = 0; i < ws->listeners && !ws->paused; i++)
        event_add(ws->listener[i], NULL);
}

void ws_listen_pause(struct umbel_ws *ws, bool pause)
{
    ws->paused = pause;
    for (uint32_t i = 0; i < ws->listeners; i++)
        if (pause)
            event_del(ws->listener[i]);
        else
            event_add(ws->listener[i], NULL);
}

/* 1: go on, 0: nothing more for now. */
static int accept_one(struct umbel_ws *ws, int listener)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd == -1) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The connection stays in the kernel's queue and the socket readable: without a pause we would spin. */
            pause_accepting(ws);
            return 0;
        }
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (ws->connections >= ws->max_connections || !ws->host->admit(ws->host, (struct sockaddr *)&address)) {
        ws_count(ws, "ws_turned_away");
        close(fd);
        return 1;
    }
    set_socket(fd);
    if (ws_listen_adopt(ws, fd, ws->tls != NULL, false))
        ws_count(ws, "ws_accepted");
    return 1;
}

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    for (unsigned i = 0; i < WS_ACCEPT_BATCH; i++)
        if (!accept_one(arg, fd))
            return;
}

int ws_listen_open(struct umbel_ws *ws)
{
    ws->accept_again = evtimer_new(ws->host->base, on_accept_again, ws);
    if (!ws->accept_again)
        return -ENOMEM;
    for (uint32_t i = 0; i < WS_LISTENERS_MAX; i++) {
        int fd = ws->host->listener(ws->host, i);
        if (fd < 0)
            break;
        ws->listener[i] = event_new(ws->host->base, fd, EV_READ | EV_PERSIST, on_listener, ws);
        if (!ws->listener[i] || event_add(ws->listener[i], NULL) < 0)
            return -ENOMEM;
        ws->listeners = i + 1;
    }
    if (!ws->listeners) {
        ws_log(ws, UMBEL_LOG_ERROR, "no listening socket: set listen in this transport's section");
        return -EINVAL;
    }
    return 0;
}

void ws_listen_close(struct umbel_ws *ws)
{
    for (uint32_t i = 0; i < WS_LISTENERS_MAX; i++)
        if (ws->listener[i]) {
            event_free(ws->listener[i]);
            ws->listener[i] = NULL;
        }
    ws->listeners = 0;
    if (ws->accept_again)
        event_free(ws->accept_again);
    ws->accept_again = NULL;
}
