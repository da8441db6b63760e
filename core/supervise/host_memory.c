#include "core/supervise/host_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

int host_memory_parse(const char *statm, uint64_t *ret_pages)
{
    uint64_t resident, shared;

    if (sscanf(statm, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2)
        return -EPROTO;
    *ret_pages = resident > shared ? resident - shared : 0; /* the kernel counts the two at different moments */
    return 0;
}

int host_memory_read(pid_t pid, uint64_t *ret_bytes)
{
    char path[40], text[160];
    uint64_t pages;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    int r = host_memory_parse(text, &pages);
    if (r == 0)
        *ret_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return r;
}
