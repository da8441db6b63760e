/* plugin-check/fake_send.c - umbel_host.send as the real host does it (core/host/host_send.c), but with one system call each, and worse: every
 * third socket takes only a part of what it is given, so that what carriers do with the rest is tried all the time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/plugin-check/fake_host_internal.h"

static int take(const struct umbel_host *table, int fd, const void *bytes, size_t size,
                void (*sent)(void *owner, const void *rest, size_t size, int error), void *owner)
{
    struct fake_host *host = table->context;
    struct fake_send *send;

    if (!host->sending || host->send_count == FAKE_SENDS || size == 0 || size > FAKE_SEND_MAX)
        return 0;
    send = &host->sends[host->send_count++];
    *send = (struct fake_send){.fd = fd, .size = size, .sent = sent, .owner = owner, .bytes = fake_memory(size)};
    memcpy(send->bytes, bytes, size);
    return 1;
}

static void go(const struct umbel_host *table)
{
    struct fake_host *host = table->context;
    size_t count = host->send_count;
    bool sending = host->sending;

    host->sending = false;
    for (size_t i = 0; i < count; i++) {
        struct fake_send *send = &host->sends[i];
        size_t most = ++host->sent % 3 == 0 ? send->size / 2 : send->size;
        ssize_t n = most > 0 ? write(send->fd, send->bytes, most) : 0;
        int error = n >= 0 || errno == EAGAIN || errno == EINTR ? 0 : -errno;
        size_t took = n > 0 ? (size_t)n : 0;
        send->sent(send->owner, send->bytes + took, send->size - took, error);
        free(send->bytes);
    }
    host->send_count = 0;
    host->sending = sending;
}

void fake_send_fill(struct umbel_host *table)
{
    table->send = take;
    table->send_now = go;
}

void fake_send_begin(struct fake_host *host)
{
    host->sending = true;
}

void fake_send_end(struct fake_host *host)
{
    go(&host->table);
    host->sending = false;
}
