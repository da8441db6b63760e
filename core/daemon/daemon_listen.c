/* daemon/daemon_listen.c - the sockets clients connect to, opened by the core so that a host's restart never refuses a connection. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_inherit.h"

#define BACKLOG 4096
#define BIND_TRIES 30
#define BIND_WAIT_MS 100

static int bind_unix(const struct config_listen *listen_at, int *ret_fd, struct why *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;

    if (strlen(listen_at->host) >= sizeof address.sun_path)
        return why_set(why, -ENAMETOOLONG, "listen %s: the path is longer than %zu bytes", listen_at->text, sizeof address.sun_path - 1);
    strcpy(address.sun_path, listen_at->host);
    if (stat(listen_at->host, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(listen_at->host); /* left over: the runtime directory's lock says no other core serves it */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 || bind(fd, (struct sockaddr *)&address, sizeof address) == -1) {
        int error = errno;
        fd_close(&fd);
        return why_errno(why, error, "cannot listen on %s", listen_at->text);
    }
    *ret_fd = fd;
    return 0;
}

static int bind_tcp(const struct config_listen *listen_at, bool reuse_port, int *ret_fd, struct why *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE}, *found;
    char port[8];
    int on = 1, fd;

    snprintf(port, sizeof port, "%u", listen_at->port);
    if (getaddrinfo(*listen_at->host ? listen_at->host : NULL, port, &hints, &found) != 0)
        return why_set(why, -EINVAL, "listen %s: not a numeric address", listen_at->text);
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd != -1) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (reuse_port)
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (fd == -1 || bind(fd, found->ai_addr, found->ai_addrlen) == -1) {
        int error = errno;
        fd_close(&fd);
        freeaddrinfo(found);
        return why_errno(why, error, "cannot listen on %s", listen_at->text);
    }
    freeaddrinfo(found);
    *ret_fd = fd;
    return 0;
}

int daemon_listen_now(const struct config_listen *listen_at, bool reuse_port, int *ret_fd, struct why *why)
{
    int fd = daemon_inherit_take(listen_at);

    if (fd >= 0 && listen(fd, BACKLOG) == 0) {
        *ret_fd = fd;
        return 0;
    }
    fd_close(&fd);
    int r = listen_at->is_unix ? bind_unix(listen_at, &fd, why) : bind_tcp(listen_at, reuse_port, &fd, why);

    if (r < 0)
        return r;
    if (listen(fd, BACKLOG) == -1) {
        r = why_errno(why, errno, "cannot listen on %s", listen_at->text);
        fd_close(&fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int daemon_listen(const struct config_listen *listen_at, bool reuse_port, int *ret_fd, struct why *why)
{
    int r = -EADDRINUSE;

    /* The hosts of a core that was killed may need a moment to let go of it. */
    for (int tries = 0; r == -EADDRINUSE && tries < BIND_TRIES; tries++) {
        if (tries)
            poll(NULL, 0, BIND_WAIT_MS);
        r = daemon_listen_now(listen_at, reuse_port, ret_fd, why);
    }
    return r;
}

int daemon_check(const struct config *config, struct why *why)
{
    uint32_t workers = 0;

    for (size_t i = 0; i < config->transport_count; i++) {
        const struct config_transport *t = &config->transports[i];
        workers += t->workers;
        if (t->listen_count > HOST_LISTENERS_MAX)
            return why_set(why, -EINVAL, "%s:%u: transport %s listens on %zu addresses, expected at most %u, write several transports",
                           config->path, t->line, t->name, t->listen_count, HOST_LISTENERS_MAX);
        for (size_t k = 0; k < t->listen_count; k++)
            if (t->listen[k].is_unix && t->workers > 1)
                return why_set(why, -EINVAL, "%s:%u: transport %s has %u workers and listens on a unix socket, expected one, write workers = 1",
                               config->path, t->line, t->name, t->workers);
        if (strcmp(t->plugin, "im-custom-message") == 0 && t->workers > 1)
            return why_set(why, -EINVAL, "%s:%u: transport %s has %u workers, but its pace and its bots are one process's, write workers = 1",
                           config->path, t->line, t->name, t->workers);
        if (workers > DAEMON_WORKERS_MAX)
            return why_set(why, -EINVAL, "%s:%u: %u workers up to transport %s, expected at most %u in all, write fewer workers",
                           config->path, t->line, workers, t->name, DAEMON_WORKERS_MAX);
    }
    return 0;
}
