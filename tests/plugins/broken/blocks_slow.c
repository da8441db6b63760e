/* Waits within write() until the client has read. */
#include <poll.h>
#define FAULT_WRITE(link, bytes, size) write_and_wait(bufferevent_getfd((link)->socket), bytes, size)
static int write_and_wait(int fd, const void *bytes, unsigned long size);
#include "tests/plugins/broken/sockets.h"
static int write_and_wait(int fd, const void *bytes, unsigned long size)
{
    const char *at = bytes;

    while (size) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n == -1 && errno != EAGAIN)
            return -1;
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        } else {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        }
    }
    return UMBEL_WRITE_READY;
}
