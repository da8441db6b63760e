/* carrier/tcp_listen.c - takes connections from the host's listening sockets. */
#include "core/carrier/tcp_carrier.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_tcp *tcp = arg;

    (void)fd;
    (void)what;
    for (uint32_t i = 0; i < tcp->listeners && !tcp->paused; i++)
        event_add(tcp->listener[i], NULL);
}

void tcp_listen_pause(struct umbel_tcp *tcp, bool pause)
{
    tcp->paused = pause;
    for (uint32_t i = 0; i < tcp->listeners; i++)
        if (pause)
            event_del(tcp->listener[i]);
        else
            event_add(tcp->listener[i], NULL);
}

static void name_peer(const struct sockaddr_storage *address, char *ret_text, socklen_t room)
{
    const void *ip = address->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                                                    : (const void *)&((const struct sockaddr_in *)address)->sin_addr;

    if ((address->ss_family != AF_INET && address->ss_family != AF_INET6) || !inet_ntop(address->ss_family, ip, ret_text, room))
        ret_text[0] = '\0';
}

/* True: there may be more. */
static bool accept_one(struct umbel_tcp *tcp, int listener)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char peer[INET6_ADDRSTRLEN];
    int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1, buffer = TCP_SEND_BUFFER;

    if (fd == -1) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The connection stays in the kernel's queue and the socket readable: without a pause we would spin. */
            struct timeval pause = {0, TCP_ACCEPT_PAUSE_MS * 1000};
            for (uint32_t i = 0; i < tcp->listeners; i++)
                event_del(tcp->listener[i]);
            event_add(tcp->accept_again, &pause);
            return false;
        }
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (tcp->connections >= tcp->max_connections || !tcp->host->admit(tcp->host, (struct sockaddr *)&address)) {
        tcp->host->count(tcp->host, "tcp_turned_away", 1);
        close(fd);
        return true;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    name_peer(&address, peer, sizeof peer);
    tcp_client_new(tcp, fd, peer);
    return true;
}

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    for (uint32_t i = 0; i < TCP_ACCEPT_BATCH; i++)
        if (!accept_one(arg, fd))
            return;
}

int tcp_listen_open(struct umbel_tcp *tcp)
{
    tcp->accept_again = evtimer_new(tcp->host->base, on_accept_again, tcp);
    if (!tcp->accept_again)
        return -ENOMEM;
    for (uint32_t i = 0; i < TCP_LISTENERS_MAX; i++) {
        int fd = tcp->host->listener(tcp->host, i);
        if (fd < 0)
            break;
        tcp->listener[i] = event_new(tcp->host->base, fd, EV_READ | EV_PERSIST, on_listener, tcp);
        if (!tcp->listener[i] || event_add(tcp->listener[i], NULL) < 0)
            return -ENOMEM;
        tcp->listeners = i + 1;
    }
    if (tcp->listeners)
        return 0;
    tcp->host->log(tcp->host, UMBEL_LOG_ERROR, NULL, "no listening socket: set listen in this transport's section");
    return -EINVAL;
}

void tcp_listen_close(struct umbel_tcp *tcp)
{
    for (uint32_t i = 0; i < TCP_LISTENERS_MAX; i++)
        if (tcp->listener[i])
            event_free(tcp->listener[i]);
    for (uint32_t i = 0; i < TCP_LISTENERS_MAX; i++)
        tcp->listener[i] = NULL;
    tcp->listeners = 0;
    if (tcp->accept_again)
        event_free(tcp->accept_again);
    tcp->accept_again = NULL;
}
