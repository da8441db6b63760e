#include "core/uring/uring_buffers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static size_t ring_bytes(const struct uring_buffers *buffers)
{
    return (size_t)buffers->count * sizeof(struct io_uring_buf);
}

static size_t memory_bytes(const struct uring_buffers *buffers)
{
    return (size_t)buffers->count * buffers->size;
}

int uring_buffers_open(struct uring_buffers *buffers, struct io_uring *io, uint32_t count, uint32_t size, struct why *why)
{
    struct uring_buffers fresh = {.count = count, .size = size};
    struct io_uring_buf_reg registration = {.ring_entries = count, .bgid = URING_BUFFERS_GROUP};
    int r;

    if (count == 0 || count > URING_BUFFERS_COUNT_MAX || (count & (count - 1)) != 0)
        return why_set(why, -EINVAL, "%u receive buffers: use a power of two up to %u", count, URING_BUFFERS_COUNT_MAX);
    fresh.ring = mmap(NULL, ring_bytes(&fresh), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh.ring == MAP_FAILED)
        return why_errno(why, errno, "no memory for %u receive buffers", count);
    fresh.memory = mmap(NULL, memory_bytes(&fresh), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh.memory == MAP_FAILED) {
        r = why_errno(why, errno, "no memory for %u receive buffers of %u bytes", count, size);
        goto fail_ring;
    }
    registration.ring_addr = (uint64_t)(uintptr_t)fresh.ring;
    r = io_uring_register_buf_ring(io, &registration, 0);
    if (r < 0) {
        why_errno(why, -r, "the kernel takes no ring of receive buffers (Linux 6.1 or newer is needed)");
        goto fail_memory;
    }
    io_uring_buf_ring_init(fresh.ring);
    for (uint32_t id = 0; id < count; id++)
        io_uring_buf_ring_add(fresh.ring, uring_buffers_at(&fresh, id), size, (unsigned short)id, io_uring_buf_ring_mask(count),
                              (int)id);
    io_uring_buf_ring_advance(fresh.ring, (int)count);
    *buffers = fresh;
    return 0;
fail_memory:
    munmap(fresh.memory, memory_bytes(&fresh));
fail_ring:
    munmap(fresh.ring, ring_bytes(&fresh));
    return r;
}

void uring_buffers_close(struct uring_buffers *buffers, struct io_uring *io)
{
    if (!buffers->ring)
        return;
    io_uring_unregister_buf_ring(io, URING_BUFFERS_GROUP);
    munmap(buffers->memory, memory_bytes(buffers));
    munmap(buffers->ring, ring_bytes(buffers));
    memset(buffers, 0, sizeof *buffers);
}

void uring_buffers_give(struct uring_buffers *buffers, uint32_t id)
{
    io_uring_buf_ring_add(buffers->ring, uring_buffers_at(buffers, id), buffers->size, (unsigned short)id,
                          io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}
