#include "core/daemon/daemon_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/daemon/daemon_inherit.h"

static bool is_at(const struct daemon_socket *socket, const struct config_listen *listen)
{
    return socket->is_unix == listen->is_unix && socket->port == listen->port && strcmp(socket->host, listen->host) == 0;
}

static bool has(const struct daemon_host *h, const struct config_listen *listen)
{
    for (size_t i = 0; i < h->socket_count; i++)
        if (is_at(h->sockets[i], listen))
            return true;
    return false;
}

static int too_many(const struct daemon_host *h, struct why *why)
{
    return why_set(why, -EINVAL, "a process of transport %s would have more than %u listening sockets", h->config->name,
                   HOST_LISTENERS_MAX);
}

static int open_one(struct daemon_host *h, const struct config_listen *listen, daemon_socket_opener *opener, struct why *why)
{
    size_t size = strlen(listen->host) + 1;

    if (h->socket_count == HOST_LISTENERS_MAX)
        return too_many(h, why);
    struct daemon_socket *socket = malloc(sizeof *socket + size);
    if (!socket)
        return why_set(why, -ENOMEM, "no memory for the listening sockets of %s", h->config->name);
    *socket = (struct daemon_socket){.uses = 1, .is_unix = listen->is_unix, .port = listen->port};
    memcpy(socket->host, listen->host, size);
    int r = opener(listen, h->config->workers > 1 && !listen->is_unix, &socket->fd, why);
    if (r < 0) {
        free(socket);
        return r;
    }
    h->sockets[h->socket_count++] = socket;
    return 0;
}

int daemon_sockets_open(struct daemon_host *h, daemon_socket_opener *opener, struct why *why)
{
    int r = 0;

    for (size_t i = 0; i < h->config->listen_count && r == 0; i++)
        if (!has(h, &h->config->listen[i]))
            r = open_one(h, &h->config->listen[i], opener, why);
    return r;
}

/* The sockets of this address, each once.  Returns how many. */
static size_t sockets_at(const struct daemon_host *newcomer, const struct config_listen *listen, struct daemon_socket **ret_sockets)
{
    size_t count = 0;

    list_for_each(link, spare, &newcomer->transport->workers)
    {
        const struct daemon_host *h = list_entry(link, struct daemon_host, link);
        for (size_t i = 0; h->role == DAEMON_SERVES && i < h->socket_count; i++) {
            bool known = !is_at(h->sockets[i], listen);
            for (size_t k = 0; k < count && !known; k++)
                known = ret_sockets[k] == h->sockets[i];
            if (!known && count < DAEMON_WORKERS_MAX)
                ret_sockets[count++] = h->sockets[i];
        }
    }
    return count;
}

static int take(struct daemon_host *h, struct daemon_socket *socket, struct why *why)
{
    if (h->socket_count == HOST_LISTENERS_MAX)
        return too_many(h, why);
    socket->uses++;
    h->sockets[h->socket_count++] = socket;
    return 0;
}

int daemon_sockets_share(struct daemon_host *newcomer, uint32_t index, uint32_t count, struct why *why)
{
    struct daemon_socket *at[DAEMON_WORKERS_MAX];
    int r = 0;

    for (size_t i = 0; i < newcomer->config->listen_count && r == 0; i++) {
        const struct config_listen *listen = &newcomer->config->listen[i];
        size_t found = sockets_at(newcomer, listen, at);
        if (found == 0)
            r = open_one(newcomer, listen, daemon_listen_now, why);
        else if (found <= count)
            r = take(newcomer, at[index % found], why);
        for (size_t k = index; found > count && k < found && r == 0; k += count)
            r = take(newcomer, at[k], why);
    }
    return r;
}

int daemon_sockets_nobody(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd != -1 && (bind(fd, (struct sockaddr *)&address, sizeof address) == -1 || listen(fd, 1) == -1))
        fd_close(&fd);
    return fd;
}

/* Unlike TCP's, a unix socket that was shut stays so. */
static void renew(struct daemon_socket *socket)
{
    const struct config_listen at = {.is_unix = true, .host = socket->host, .text = socket->host};
    struct why why = {""};
    int fd;

    if (daemon_listen_now(&at, false, &fd, &why) < 0) {
        log_warn("%s: %s", socket->host, why.text);
        return;
    }
    fd_close(&socket->fd);
    socket->fd = fd;
    socket->shut = false;
}

void daemon_sockets_listen(struct daemon_host *h)
{
    for (size_t i = 0; i < h->socket_count; i++)
        if (h->sockets[i]->shut)
            renew(h->sockets[i]);
        else
            listen(h->sockets[i]->fd, SOMAXCONN);
}

static bool is_served_by_others(const struct daemon_host *self, const struct daemon_socket *socket)
{
    list_for_each(link, spare, &self->transport->workers)
    {
        const struct daemon_host *h = list_entry(link, struct daemon_host, link);
        bool serves = h != self && h->role != DAEMON_LEAVES && h->host.state != HOST_HELD && h->host.state != HOST_DOWN;
        for (size_t i = 0; serves && i < h->socket_count; i++)
            if (h->sockets[i] == socket)
                return true;
    }
    return false;
}

/* A unix socket that the system's manager gave us: its path is not ours to make anew or to remove. */
static bool is_lent(const struct daemon_socket *socket)
{
    return socket->is_unix && daemon_inherit_has(&(struct config_listen){.is_unix = true, .host = (char *)(uintptr_t)socket->host});
}

void daemon_sockets_refuse(struct daemon_host *h)
{
    for (size_t i = 0; i < h->socket_count; i++) {
        struct daemon_socket *socket = h->sockets[i];
        if (is_served_by_others(h, socket) || is_lent(socket))
            continue; /* a lent one keeps who comes waiting */
        shutdown(socket->fd, SHUT_RDWR);
        socket->shut = socket->is_unix;
    }
}

/* Another transport may have taken the path over meanwhile. */
static bool path_is_others(struct daemon *daemon, const struct daemon_socket *self)
{
    for_each_worker(daemon, h)
        for (size_t i = 0; i < h->socket_count; i++)
            if (h->sockets[i] != self && h->sockets[i]->is_unix && strcmp(h->sockets[i]->host, self->host) == 0)
                return true;
    return false;
}

void daemon_sockets_drop(struct daemon_host *h)
{
    daemon_sockets_refuse(h);
    daemon_sockets_release(h);
}

void daemon_sockets_release(struct daemon_host *h)
{
    while (h->socket_count > 0) {
        struct daemon_socket *socket = h->sockets[--h->socket_count];
        if (--socket->uses > 0)
            continue;
        fd_close(&socket->fd);
        if (socket->is_unix && !is_lent(socket) && !path_is_others(h->daemon, socket))
            remove(socket->host);
        free(socket);
    }
}
