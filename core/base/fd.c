#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void fd_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

int fd_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags == -1 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == -1)
        return -errno;
    return 0;
}

int fd_set_cloexec(int fd, bool on)
{
    if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == -1)
        return -errno;
    return 0;
}

int fd_read_file(const char *path, size_t max, char **ret_data, size_t *ret_size)
{
    size_t size = 0, capacity = 4096;
    char *data = NULL;
    int r, fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd == -1)
        return -errno;
    for (;;) {
        if (!data || size == capacity) {
            capacity = data ? capacity * 2 : capacity;
            char *more = realloc(data, capacity + 1);
            if (!more) {
                r = -ENOMEM;
                goto fail;
            }
            data = more;
        }
        ssize_t n = read(fd, data + size, capacity - size);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            r = -errno;
            goto fail;
        }
        if (n == 0)
            break;
        size += (size_t)n;
        if (size > max) {
            r = -EFBIG;
            goto fail;
        }
    }
    close(fd);
    data[size] = '\0';
    *ret_data = data;
    *ret_size = size;
    return 0;
fail:
    free(data);
    close(fd);
    return r;
}
