#include "core/daemon/daemon_notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/daemon/answer.h"

struct daemon_notify {
    struct daemon *daemon;
    int fd;
    uint64_t watchdog_ns; /* between two signs of life; 0 = none are wanted */
    struct uring_timer watchdog;
    bool ready, reloading;
    char status[160]; /* told last */
};

/* A service manager that does not read must not hold us up. */
static void tell(struct daemon_notify *notify, const char *text)
{
    if (send(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
        log_debug("the service manager does not listen: %s", strerror(errno));
}

static void watchdog(struct uring_timer *timer)
{
    struct daemon_notify *notify = list_entry(timer, struct daemon_notify, watchdog);

    uring_timer_set(notify->daemon->loop, timer, notify->watchdog_ns);
    tell(notify, "WATCHDOG=1\n");
}

static uint64_t from_environment(const char *name)
{
    const char *text = getenv(name);
    uint64_t value = 0;

    return text && number_parse_u64(text, strlen(text), &value) ? value : 0;
}

static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);

    if (size >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd != -1 && connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) == -1)
        fd_close(&fd);
    return fd;
}

void daemon_notify_open(struct daemon *daemon)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct daemon_notify *notify = path && *path ? calloc(1, sizeof *notify) : NULL;
    uint64_t pid = from_environment("WATCHDOG_PID");

    if (!notify)
        return;
    notify->daemon = daemon;
    notify->watchdog.fired = watchdog;
    notify->fd = open_socket(path);
    if (notify->fd == -1) {
        log_warn("NOTIFY_SOCKET names no socket that can be used: the service manager is told nothing");
        free(notify);
        return;
    }
    if (!pid || pid == (uint64_t)getpid())
        notify->watchdog_ns = from_environment("WATCHDOG_USEC") * 1000 / 2;
    if (notify->watchdog_ns)
        uring_timer_set(daemon->loop, &notify->watchdog, notify->watchdog_ns);
    daemon->notify = notify;
}

void daemon_notify_close(struct daemon *daemon)
{
    if (!daemon->notify)
        return;
    uring_timer_clear(daemon->loop, &daemon->notify->watchdog);
    fd_close(&daemon->notify->fd);
    free(daemon->notify);
    daemon->notify = NULL;
}

/* Each process serves, or has failed once: there is no more to wait for. */
static bool have_started(const struct daemon *daemon)
{
    for_each_worker(daemon, h)
        if (h->role == DAEMON_SERVES && (h->host.state == HOST_STARTING || h->host.state == HOST_DOWN) && h->host.restarts == 0 &&
            !h->transport->out)
            return false;
    return true;
}

static void tell_status(struct daemon_notify *notify)
{
    struct daemon *daemon = notify->daemon;
    char text[160];
    uint32_t running = 0, all = 0;

    for_each_worker(daemon, h)
        if (h->role == DAEMON_SERVES) {
            running += h->host.state == HOST_RUNNING;
            all++;
        }
    snprintf(text, sizeof text, "STATUS=%u answers running, %u of %u transport processes serve\n", answer_table_live(daemon->answers), running,
             all);
    if (strcmp(text, notify->status) == 0)
        return;
    memcpy(notify->status, text, sizeof text);
    tell(notify, text);
}

void daemon_notify_tick(struct daemon *daemon)
{
    if (!daemon->notify)
        return;
    if (!daemon->notify->ready && have_started(daemon))
        daemon_notify_ready(daemon);
    if (!daemon->stopping)
        tell_status(daemon->notify);
}

void daemon_notify_reloading(struct daemon *daemon)
{
    char text[80];

    if (!daemon->notify)
        return;
    daemon->notify->reloading = true;
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu\n", (unsigned long long)(clock_now_ns() / 1000));
    tell(daemon->notify, text);
}

void daemon_notify_ready(struct daemon *daemon)
{
    if (!daemon->notify || (daemon->notify->ready && !daemon->notify->reloading))
        return;
    daemon->notify->ready = true;
    daemon->notify->reloading = false;
    tell(daemon->notify, "READY=1\n");
}

void daemon_notify_stopping(struct daemon *daemon)
{
    if (daemon->notify)
        tell(daemon->notify, "STOPPING=1\nSTATUS=answers are served to their end\n");
}
