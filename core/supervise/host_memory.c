#include "core/supervise/host_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool find_kib(const char *status, const char *name, uint64_t *ret_kib)
{
    const char *line = strstr(status, name);

    return line && sscanf(line + strlen(name), "%" SCNu64, ret_kib) == 1;
}

int host_memory_parse(const char *status, uint64_t given_kib, uint64_t *ret_kib)
{
    uint64_t own, shared;

    if (!find_kib(status, "\nRssAnon:", &own) || !find_kib(status, "\nRssShmem:", &shared))
        return -EPROTO;
    *ret_kib = own + (shared > given_kib ? shared - given_kib : 0);
    return 0;
}

int host_memory_read(pid_t pid, uint64_t given_bytes, uint64_t *ret_bytes)
{
    char path[40], text[4096];
    uint64_t kib;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    int r = host_memory_parse(text, given_bytes >> 10, &kib);
    if (r == 0)
        *ret_bytes = kib << 10;
    return r;
}
