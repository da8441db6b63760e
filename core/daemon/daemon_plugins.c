/* daemon/daemon_plugins.c - where plugins are and what they say of themselves, asked from a short-lived umbel-host: the core never loads one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/daemon/daemon.h"

#define MANIFEST_MAX (256u * 1024u)
#define MANIFEST_LIMIT_S 20

#ifndef UMBEL_PLUGIN_DIR
#define UMBEL_PLUGIN_DIR "/usr/lib/umbel/plugins"
#endif

/* The directory of this executable, without the last slash. */
static int own_directory(char *ret_path, size_t room, struct why *why)
{
    ssize_t n = readlink("/proc/self/exe", ret_path, room - 1);

    if (n <= 0)
        return why_errno(why, errno, "cannot find this program's own path");
    ret_path[n] = '\0';
    *strrchr(ret_path, '/') = '\0';
    return 0;
}

int daemon_find_host_program(char *ret_path, size_t room, struct why *why)
{
    char directory[PATH_MAX];
    int r = own_directory(directory, sizeof directory, why);

    if (r < 0)
        return r;
    if ((size_t)snprintf(ret_path, room, "%s/umbel-host", directory) >= room)
        return why_set(why, -ENAMETOOLONG, "the path of umbel-host is too long");
    if (access(ret_path, X_OK) == -1)
        return why_errno(why, errno, "umbel-host is not beside umbeld: %s", ret_path);
    return 0;
}

/* The build tree and a relocated installation have lib/umbel/plugins beside bin; else the directory given at build time. */
static int find_plugin(const char *plugin, char *ret_path, size_t room, char *ret_directory, size_t directory_room, struct why *why)
{
    char directory[PATH_MAX - 64];
    int r = own_directory(directory, sizeof directory, why);

    if (r < 0)
        return r;
    snprintf(ret_directory, directory_room, "%s/../lib/umbel/plugins", directory);
    if (access(ret_directory, R_OK) == -1)
        snprintf(ret_directory, directory_room, "%s", UMBEL_PLUGIN_DIR);
    if (strchr(plugin, '/'))
        return why_set(why, -EINVAL, "a plugin is named without a path");
    if ((size_t)snprintf(ret_path, room, "%s/%s.so", ret_directory, plugin) >= room)
        return why_set(why, -ENAMETOOLONG, "the path of plugin %s is too long", plugin);
    return access(ret_path, R_OK) == 0 ? 0 : -ENOENT;
}

static int say_missing(const char *plugin, const char *directory, struct why *why)
{
    struct umbel_out list = {0};
    struct dirent *entry;
    DIR *dir = opendir(directory);

    while (dir && (entry = readdir(dir))) {
        size_t size = strlen(entry->d_name);
        if (size > 3 && strcmp(entry->d_name + size - 3, ".so") == 0) {
            umbel_out_text(&list, list.size ? ", " : "");
            umbel_out_put(&list, entry->d_name, size - 3);
        }
    }
    if (dir)
        closedir(dir);
    why_set(why, -ENOENT, "no plugin %s, expected one of those in %s: %.*s", plugin, directory, (int)list.size, list.size ? list.data : "");
    umbel_out_free(&list);
    return -ENOENT;
}

/* False: the time is over, or there is more than a manifest can be. */
static bool read_manifest(int fd, struct umbel_out *out)
{
    uint64_t end_ns = clock_now_ns() + MANIFEST_LIMIT_S * CLOCK_S;
    char chunk[4096];

    for (;;) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= end_ns || out->failed)
            return false;
        if (poll(&readable, 1, (int)((end_ns - now_ns) / CLOCK_MS) + 1) <= 0)
            continue;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0)
            return true;
        if (n > 0)
            umbel_out_put(out, chunk, (size_t)n);
        else if (errno != EINTR && errno != EAGAIN)
            return true;
    }
}

/* Runs `umbel-host --manifest PATH`; its standard output is the manifest, its standard error the reason when it fails. */
static int ask_manifest(const char *program, const char *path, char **ret_manifest, struct why *why)
{
    struct umbel_out out = {.limit = MANIFEST_MAX};
    char *const argv[] = {(char *)(uintptr_t)"umbel-host", (char *)(uintptr_t)"--manifest", (char *)(uintptr_t)path, NULL};
    char **environment = host_process_environment(); /* a plugin's constructors run there: they see no keys */
    int fds[2], status, r = 0;

    if (!environment)
        return why_set(why, -ENOMEM, "no memory");
    if (pipe2(fds, O_CLOEXEC) == -1) {
        host_process_environment_free(environment);
        return why_errno(why, errno, "no pipe for the manifest of %s", path);
    }
    pid_t pid = fork();
    if (pid == -1) {
        r = why_errno(why, errno, "cannot fork for the manifest of %s", path);
        fd_close(&fds[0]);
        fd_close(&fds[1]);
        host_process_environment_free(environment);
        return r;
    }
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        execve(program, argv, environment);
        _exit(127);
    }
    fd_close(&fds[1]);
    host_process_environment_free(environment);
    if (!read_manifest(fds[0], &out)) {
        kill(pid, SIGKILL); /* it hangs, or talks without end */
        r = why_set(why, -ETIMEDOUT, "%s does not tell its manifest within %d s", path, MANIFEST_LIMIT_S);
    }
    fd_close(&fds[0]);
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    umbel_out_put(&out, "", 1);
    if (r < 0)
        ; /* told already */
    else if (out.failed)
        r = why_set(why, -EPROTO, "the manifest of %s is longer than %u bytes", path, MANIFEST_MAX);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        r = why_set(why, -EPROTO, "%.400s", out.size > 1 ? out.data : "umbel-host failed without a word");
    if (r < 0) {
        char *end = why ? strchr(why->text, '\n') : NULL;
        if (end)
            *end = '\0';
        umbel_out_free(&out);
        return r;
    }
    *ret_manifest = out.data;
    return 0;
}

int daemon_plugin_lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why)
{
    char path[PATH_MAX], directory[PATH_MAX];
    int r = find_plugin(plugin, path, sizeof path, directory, sizeof directory, why);

    if (r == -ENOENT)
        return say_missing(plugin, directory, why);
    if (r < 0)
        return r;
    r = ask_manifest(owner, path, ret_manifest, why);
    if (r < 0)
        return r;
    *ret_path = strdup(path);
    if (!*ret_path) {
        free(*ret_manifest);
        return why_set(why, -ENOMEM, "no memory");
    }
    return 0;
}
