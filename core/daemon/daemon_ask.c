#include "core/daemon/daemon_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/supervise/host_process.h"

#define REAP_MS 10u

struct daemon_ask {
    struct daemon *daemon;
    daemon_ask_done *done;
    void *owner;
    pid_t pid;
    int fd;
    struct uring_watch *watch;
    struct uring_timer limit, reap;
    struct umbel_out out;
};

void daemon_ask_cancel(struct daemon_ask *ask)
{
    if (!ask)
        return;
    uring_timer_clear(ask->daemon->loop, &ask->limit);
    uring_timer_clear(ask->daemon->loop, &ask->reap);
    uring_watch_close(ask->watch);
    fd_close(&ask->fd);
    if (ask->pid > 0) {
        kill(ask->pid, SIGKILL);
        while (waitpid(ask->pid, NULL, 0) == -1 && errno == EINTR)
            ;
    }
    umbel_out_free(&ask->out);
    free(ask);
}

static void finish(struct daemon_ask *ask, int r, const char *words)
{
    char line[WHY_MAX];

    snprintf(line, sizeof line, "%s", words);
    line[strcspn(line, "\n")] = '\0';
    ask->done(ask->owner, r, r == 0 ? ask->out.data : line);
    daemon_ask_cancel(ask);
}

static void try_reap(struct uring_timer *timer)
{
    struct daemon_ask *ask = list_entry(timer, struct daemon_ask, reap);
    int status;

    pid_t got = waitpid(ask->pid, &status, WNOHANG);
    if (got == 0) {
        uring_timer_set(ask->daemon->loop, &ask->reap, REAP_MS * CLOCK_MS);
        return;
    }
    ask->pid = 0;
    umbel_out_put(&ask->out, "", 1);
    if (ask->out.failed || ask->out.size > DAEMON_ASK_MAX)
        finish(ask, -EPROTO, "it says more than 256 KiB");
    else if (got < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        finish(ask, -EPROTO, ask->out.size > 1 ? ask->out.data : "its process ended without a word");
    else
        finish(ask, 0, "");
}

static void readable(void *owner, int fd)
{
    struct daemon_ask *ask = owner;
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof chunk);

    if (n > 0 && ask->out.size <= DAEMON_ASK_MAX)
        umbel_out_put(&ask->out, chunk, (size_t)n);
    if (n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR)))
        return;
    uring_watch_close(ask->watch);
    ask->watch = NULL;
    uring_timer_set(ask->daemon->loop, &ask->reap, 0);
}

static void late(struct uring_timer *timer)
{
    finish(list_entry(timer, struct daemon_ask, limit), -ETIMEDOUT, "its process has not ended within 20 s");
}

static int start(struct daemon_ask *ask, char *const argv[], bool own_environment, struct why *why)
{
    char **clean = own_environment ? NULL : host_process_environment();
    int fds[2];

    if ((!clean && !own_environment) || pipe2(fds, O_CLOEXEC) == -1) {
        host_process_environment_free(clean);
        return why_set(why, -EMFILE, "no pipe for %s", argv[0]);
    }
    ask->pid = fork();
    if (ask->pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        execve(argv[0], argv, clean ? clean : environ);
        _exit(127);
    }
    int r = ask->pid == -1 ? why_errno(why, errno, "cannot fork for %s", argv[0]) : 0;
    host_process_environment_free(clean);
    fd_close(&fds[1]);
    ask->fd = fds[0];
    fd_set_nonblocking(ask->fd, true);
    if (r == 0)
        r = uring_watch_open(ask->daemon->loop, ask->fd, readable, ask, &ask->watch);
    return r;
}

int daemon_ask_begin(struct daemon *daemon, char *const argv[], bool own_environment, daemon_ask_done *done, void *owner,
                     struct daemon_ask **ret_ask, struct why *why)
{
    struct daemon_ask *ask = calloc(1, sizeof *ask);

    if (!ask)
        return why_set(why, -ENOMEM, "no memory for %s", argv[0]);
    *ask = (struct daemon_ask){
        .daemon = daemon, .done = done, .owner = owner, .fd = -1, .limit = {.fired = late}, .reap = {.fired = try_reap}};
    int r = start(ask, argv, own_environment, why);
    if (r < 0) {
        daemon_ask_cancel(ask);
        return r;
    }
    uring_timer_set(daemon->loop, &ask->limit, DAEMON_ASK_LIMIT_MS * CLOCK_MS);
    *ret_ask = ask;
    return 0;
}
