/* uring/uring_buffers.h - receive buffers that the kernel picks from: a ring registered with io_uring, and the memory behind it.
 * Bound: count x size bytes, mapped at start, touched as they are used.  A buffer belongs to the kernel until a completion names
 * it, then to us until uring_buffers_give. */
#ifndef URING_BUFFERS_H
#define URING_BUFFERS_H

#include <liburing.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"

#define URING_BUFFERS_GROUP 0
#define URING_BUFFERS_COUNT_MAX 32768u

struct uring_buffers {
    struct io_uring_buf_ring *ring; /* count entries of 16 bytes */
    char *memory;
    uint32_t count, size;
};

/* uring_buffers_open - count: a power of two up to URING_BUFFERS_COUNT_MAX; size: bytes of each.  0 or -errno. */
int uring_buffers_open(struct uring_buffers *buffers, struct io_uring *io, uint32_t count, uint32_t size, struct why *why);
void uring_buffers_close(struct uring_buffers *buffers, struct io_uring *io); /* fine on a zeroed struct */

static inline char *uring_buffers_at(const struct uring_buffers *buffers, uint32_t id)
{
    return buffers->memory + (size_t)id * buffers->size;
}
void uring_buffers_give(struct uring_buffers *buffers, uint32_t id);

#endif
