#include "core/daemon/daemon_inherit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/number.h"

#define FIRST 3 /* sd_listen_fds(3) */
#define OWN "umbel-own" /* the name of a socket that an earlier umbeld had opened by itself; any other name: of the system's manager */
#define OTHER "unknown" /* as systemd calls what has no name */

static struct inherited {
    int fd;
    int moved; /* a duplicate above all numbers that the next program expects them at; 0: not made yet */
    bool taken, own;
} inherited[INHERIT_MAX];
static size_t count, count_before; /* before: at daemon_inherit_begin */

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value;
}

void daemon_inherit_read(void)
{
    const char *pid_text = getenv("LISTEN_PID"), *fds_text = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
    uint64_t pid = 0, fds = 0;

    if (pid_text && fds_text && number_parse_u64(pid_text, strlen(pid_text), &pid) && pid == (uint64_t)getpid() &&
        number_parse_u64(fds_text, strlen(fds_text), &fds)) {
        for (int fd = FIRST; fd < FIRST + (int)(fds < INHERIT_MAX ? fds : INHERIT_MAX); fd++) {
            size_t size = names ? strcspn(names, ":") : 0;
            fd_set_cloexec(fd, true);
            if (is_listening(fd))
                inherited[count++] = (struct inherited){.fd = fd, .own = size == sizeof OWN - 1 && memcmp(names, OWN, size) == 0};
            if (names)
                names += size + (names[size] == ':');
        }
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool same_address(int fd, const struct config_listen *listen)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[NI_MAXHOST], port[NI_MAXSERV], wanted[NI_MAXHOST];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE}, *found;

    if (getsockname(fd, (struct sockaddr *)&address, &size) == -1)
        return false;
    if (address.ss_family == AF_UNIX)
        return listen->is_unix && strcmp(((const struct sockaddr_un *)(const void *)&address)->sun_path, listen->host) == 0;
    if (listen->is_unix || getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                                       NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    snprintf(wanted, sizeof wanted, "%u", listen->port);
    if (strcmp(port, wanted) != 0 || getaddrinfo(*listen->host ? listen->host : NULL, port, &hints, &found) != 0)
        return false;
    int r = getnameinfo(found->ai_addr, found->ai_addrlen, wanted, sizeof wanted, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    return r == 0 && strcmp(wanted, host) == 0;
}

static struct inherited *find(const struct config_listen *listen)
{
    struct inherited *best = NULL;

    for (size_t i = 0; i < count; i++)
        if (same_address(inherited[i].fd, listen) && (!best || (best->taken && !inherited[i].taken)))
            best = &inherited[i]; /* several of one address are several workers': each gets its own first */
    return best;
}

bool daemon_inherit_has(const struct config_listen *listen)
{
    return find(listen) != NULL;
}

int daemon_inherit_take(const struct config_listen *listen)
{
    struct inherited *one = find(listen);

    if (!one)
        return -1;
    one->taken = true;
    fd_set_nonblocking(one->fd, true);
    return fcntl(one->fd, F_DUPFD_CLOEXEC, 0);
}

/* What an earlier umbeld had opened belongs to the transports that have taken it, and to nobody if none has: an address that is given up, or
 * drained, is to refuse. */
static void forget_own(void)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (inherited[i].own)
            close(inherited[i].fd);
        else
            inherited[kept++] = inherited[i];
    count = kept;
}

void daemon_inherit_settle(void)
{
    struct sockaddr_storage address;
    char host[NI_MAXHOST], port[NI_MAXSERV];

    forget_own();
    for (size_t i = 0; i < count; i++) {
        socklen_t size = sizeof address;
        if (inherited[i].taken || getsockname(inherited[i].fd, (struct sockaddr *)&address, &size) == -1)
            continue;
        if (getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
            log_warn("a listening socket was handed over that no transport wants");
        else
            log_warn("a listening socket was handed over that no transport wants: %s port %s", host, port);
    }
}

static bool is_same(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void daemon_inherit_begin(void)
{
    count_before = count;
}

static void forget_moved(void)
{
    for (size_t i = 0; i < count; i++) {
        if (inherited[i].moved)
            close(inherited[i].moved);
        inherited[i].moved = 0;
    }
}

void daemon_inherit_undo(void)
{
    forget_moved();
    while (count > count_before)
        close(inherited[--count].fd);
}

int daemon_inherit_ready(void)
{
    for (size_t i = 0; i < count; i++) {
        inherited[i].moved = fcntl(inherited[i].fd, F_DUPFD_CLOEXEC, FIRST + (int)count);
        if (inherited[i].moved == -1) {
            int error = errno == EINVAL ? EMFILE : errno; /* EINVAL: the limit is below that number */
            inherited[i].moved = 0;
            return -error;
        }
    }
    return 0;
}

int daemon_inherit_add(int fd)
{
    for (size_t i = 0; i < count; i++)
        if (is_same(inherited[i].fd, fd)) {
            inherited[i].taken = true;
            return 0;
        }
    if (count == INHERIT_MAX)
        return -ENOSPC;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy == -1)
        return -errno;
    inherited[count++] = (struct inherited){.fd = copy, .taken = true, .own = true};
    return 0;
}

void daemon_inherit_listen(void)
{
    for (size_t i = 0; i < count; i++)
        listen(inherited[i].fd, SOMAXCONN);
}

int daemon_inherit_exec(const char *path, char *const argv[])
{
    char text[32], names[INHERIT_MAX * sizeof OWN + 1] = ""; /* sizeof OWN: with its colon; it is the longer of the two */

    daemon_inherit_listen();
    for (size_t i = 0; i < count; i++)
        if (dup2(inherited[i].moved, FIRST + (int)i) == -1) /* which leaves it open across exec */
            return -errno;
    snprintf(text, sizeof text, "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof text, "%zu", count);
    setenv("LISTEN_FDS", text, 1);
    for (size_t i = 0, size = 0; i < count; i++)
        size += (size_t)snprintf(names + size, sizeof names - size, "%s%s", i > 0 ? ":" : "", inherited[i].own ? OWN : OTHER);
    setenv("LISTEN_FDNAMES", names, 1);
    syscall(SYS_close_range, FIRST + (unsigned)count, ~0u, 0u);
    execv(path, argv);
    return -errno;
}
