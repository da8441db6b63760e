/* carrier/http_listen.c - takes connections from the host's listening sockets. */
#include "core/carrier/http_carrier.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_socket(int fd)
{
    int on = 1, buffer = HTTP_SEND_BUFFER, not_sent = HTTP_NOT_SENT;

    /* Failures do not matter: a socket that is not TCP has no such limits to set. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &not_sent, sizeof not_sent);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
}

static void pause_accepting(struct umbel_http *http)
{
    struct timeval tv = {0, HTTP_ACCEPT_PAUSE_MS * 1000};

    for (uint32_t i = 0; i < http->listeners; i++)
        event_del(http->listener[i]);
    event_add(http->accept_again, &tv);
    http_count(http, "http_accept_pauses");
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_http *http = arg;

    (void)fd;
    (void)what;
    for (uint32_t i = 0; i < http->listeners && !http->paused; i++)
        event_add(http->listener[i], NULL);
}

void http_listen_pause(struct umbel_http *http, bool pause)
{
    http->paused = pause;
    for (uint32_t i = 0; i < http->listeners; i++)
        if (pause)
            event_del(http->listener[i]);
        else
            event_add(http->listener[i], NULL);
}

/* 1: go on, 0: nothing more for now. */
static int accept_one(struct umbel_http *http, int listener)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd == -1) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The connection stays in the kernel's queue and the socket readable: without a pause we would spin. */
            pause_accepting(http);
            return 0;
        }
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (http->connections >= http->max_connections || !http->host->admit(http->host, (struct sockaddr *)&address)) {
        http_count(http, "http_turned_away");
        close(fd);
        return 1;
    }
    set_socket(fd);
    if (http_conn_new(http, fd))
        http_count(http, "http_accepted");
    return 1;
}

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    for (unsigned i = 0; i < HTTP_ACCEPT_BATCH; i++)
        if (!accept_one(arg, fd))
            return;
}

int http_listen_open(struct umbel_http *http)
{
    http->accept_again = evtimer_new(http->host->base, on_accept_again, http);
    if (!http->accept_again)
        return -ENOMEM;
    for (uint32_t i = 0; i < HTTP_LISTENERS_MAX; i++) {
        int fd = http->host->listener(http->host, i);
        if (fd < 0)
            break;
        http->listener[i] = event_new(http->host->base, fd, EV_READ | EV_PERSIST, on_listener, http);
        if (!http->listener[i] || event_add(http->listener[i], NULL) < 0)
            return -ENOMEM;
        http->listeners = i + 1;
    }
    if (!http->listeners) {
        http_log(http, UMBEL_LOG_ERROR, "no listening socket: set listen in this transport's section");
        return -EINVAL;
    }
    return 0;
}

void http_listen_close(struct umbel_http *http)
{
    for (uint32_t i = 0; i < HTTP_LISTENERS_MAX; i++)
        if (http->listener[i]) {
            event_free(http->listener[i]);
            http->listener[i] = NULL;
        }
    http->listeners = 0;
    if (http->accept_again)
        event_free(http->accept_again);
    http->accept_again = NULL;
}
