#include "core/supervise/host_process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/control/control.h"

#define FDS_MAX (CONTROL_FD_LISTEN - CONTROL_FD_CHANNEL + HOST_LISTENERS_MAX + 1)
#define FD_SAFE 100 /* above every fixed number, so moving one never overwrites another */

static const char *const kept_environment[] = {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "JOURNAL_STREAM", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                               "TSAN_OPTIONS", "LSAN_OPTIONS"};

/* In the child, between fork and exec: only async-signal-safe calls. */
static _Noreturn void child(const struct host_spawn *spawn, const int *fds, size_t fd_count, char *const argv[], char *const envp[],
                            pid_t parent)
{
    sigset_t none;
    int moved[FDS_MAX];

    if (getppid() != parent)
        _exit(127); /* the core died meanwhile; later deaths umbel-host notices itself */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (size_t i = 0; i < fd_count; i++) {
        moved[i] = fcntl(fds[i], F_DUPFD, FD_SAFE);
        if (moved[i] == -1)
            _exit(127);
    }
    for (size_t i = 0; i < fd_count; i++)
        if (dup2(moved[i], CONTROL_FD_CHANNEL + (int)i) == -1)
            _exit(127);
    int nothing = open("/dev/null", O_RDWR);
    if (nothing == -1 || dup2(nothing, STDIN_FILENO) == -1 || dup2(nothing, STDOUT_FILENO) == -1)
        _exit(127);
    syscall(SYS_close_range, CONTROL_FD_CHANNEL + (unsigned)fd_count, ~0u, 0u);
    execve(spawn->program, argv, envp);
    _exit(127);
}

void host_process_environment_free(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++)
        free(environment[i]);
    free(environment);
}

char **host_process_environment(void)
{
    const size_t count = sizeof kept_environment / sizeof kept_environment[0];
    char **environment = calloc(count + 1, sizeof(char *));
    size_t at = 0;

    for (size_t i = 0; environment && i < count; i++) {
        const char *value = getenv(kept_environment[i]);
        if (value && asprintf(&environment[at++], "%s=%s", kept_environment[i], value) == -1) {
            environment[--at] = NULL;
            host_process_environment_free(environment);
            return NULL;
        }
    }
    return environment;
}

/* A file without a name is loaded by its descriptor, but then it does not find the libraries that lie relative to it: what our plugins have as
 * $ORIGIN/../.. is said here.  False: no memory. */
static bool add_libraries(char ***environment, const char *plugin_path)
{
    char **more, *slash = strrchr(plugin_path, '/');
    size_t count = 0;

    while ((*environment)[count])
        count++;
    more = realloc(*environment, (count + 2) * sizeof *more);
    if (!more)
        return false;
    *environment = more;
    more[count] = more[count + 1] = NULL;
    if (slash && asprintf(&more[count], "LD_LIBRARY_PATH=%.*s/../..", (int)(slash - plugin_path), plugin_path) == -1) {
        more[count] = NULL;
        return false;
    }
    return true;
}

int host_process_start(const struct host_spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct why *why)
{
    char **envp = host_process_environment(), listeners[16], plugin[32];
    const char *argv[] = {"umbel-host", spawn->plugin_path, spawn->name, listeners, spawn->log_level, spawn->log_json ? "json" : "text",
                          spawn->sandbox, NULL};
    int fds[FDS_MAX] = {spawn->channel, spawn->ring, spawn->journal, spawn->stats, spawn->page, spawn->wake};
    size_t fd_count = CONTROL_FD_LISTEN - CONTROL_FD_CHANNEL;
    pid_t pid, parent = getpid();
    int r = 0;

    assert(spawn->listener_count <= HOST_LISTENERS_MAX);
    for (size_t i = 0; i < spawn->listener_count; i++)
        fds[fd_count++] = spawn->listeners[i];
    snprintf(listeners, sizeof listeners, "%zu", spawn->listener_count);
    if (spawn->plugin_fd > 0) {
        snprintf(plugin, sizeof plugin, "/proc/self/fd/%zu", CONTROL_FD_CHANNEL + fd_count);
        argv[1] = plugin;
        fds[fd_count++] = spawn->plugin_fd;
    }
    if (!envp || (spawn->plugin_fd > 0 && !add_libraries(&envp, spawn->plugin_path))) {
        host_process_environment_free(envp);
        return why_set(why, -ENOMEM, "no memory to start %s", spawn->name);
    }
    pid = fork();
    if (pid == -1) {
        r = why_errno(why, errno, "cannot fork a process for %s", spawn->name);
        goto out;
    }
    if (pid == 0)
        child(spawn, fds, fd_count, (char *const *)(void *)argv, envp, parent);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
    if (pidfd == -1) { /* cannot be watched: better none than one we lose */
        r = why_errno(why, errno, "cannot watch the process of %s", spawn->name);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        goto out;
    }
    fd_set_cloexec(pidfd, true);
    *ret_pid = pid;
    *ret_pidfd = pidfd;
out:
    host_process_environment_free(envp);
    return r;
}
