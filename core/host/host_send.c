#include "core/host/host_send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"

#define TRIES_MAX 1000u /* of a call that signals interrupt, before the ring counts as broken */

/* ---- the ring ---- */

static int ring_register(const struct io_uring *io, unsigned what, const void *list, unsigned count)
{
    return syscall(SYS_io_uring_register, io->ring_fd, what, list, count) == -1 ? -errno : 0;
}

/* Whoever takes over this process finds a ring that does what write() does. */
static int restrict_ring(struct io_uring *io)
{
    const struct io_uring_restriction list[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = 0},
    };
    int r = ring_register(io, IORING_REGISTER_RESTRICTIONS, list, sizeof list / sizeof list[0]);

    return r < 0 ? r : ring_register(io, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static void add(struct host_send *send, int fd, const void *bytes, size_t size, uint64_t tag)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&send->io);

    io_uring_prep_write(sqe, fd, bytes, (unsigned)size, 0);
    sqe->rw_flags = RWF_NOWAIT; /* without it a full socket would keep the operation, and with it this thread */
    io_uring_sqe_set_data64(sqe, tag);
}

/* Hands count operations to the kernel and takes their results.  None waits for anything, so all are there when the call returns. */
static int run(struct host_send *send, unsigned count)
{
    unsigned done = 0;

    for (unsigned tries = 0; done < count; tries++) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        int r = io_uring_submit_and_wait(&send->io, count - done);
        if (r < 0 && ((r != -EINTR && r != -EAGAIN) || tries >= TRIES_MAX))
            return r;
        io_uring_for_each_cqe(&send->io, head, cqe) {
            send->entries[cqe->user_data % HOST_SEND_MAX].result = cqe->res;
            seen++;
        }
        io_uring_cq_advance(&send->io, seen);
        done += seen;
    }
    return 0;
}

/* A socket that has room takes the bytes, a full one says so: both at once. */
static int try_ring(struct host_send *send)
{
    int pair[2], r = 0;
    int32_t result = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
        return -errno;
    for (unsigned i = 0; i < 1000; i++) {
        add(send, pair[0], send->bytes, HOST_SEND_ONE_MAX, 0);
        r = run(send, 1);
        result = send->entries[0].result;
        if (r < 0 || result <= 0)
            break;
    }
    close(pair[0]);
    close(pair[1]);
    return r < 0 ? r : result == -EAGAIN ? 0 : result < 0 ? result : -EOPNOTSUPP;
}

static int make_ring(struct host_send *send)
{
    struct io_uring_params parameters = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED};
    int r = io_uring_queue_init_params(HOST_SEND_MAX, &send->io, &parameters);

    if (r < 0)
        return r;
    r = restrict_ring(&send->io);
    if (r == 0)
        r = try_ring(send);
    if (r < 0)
        io_uring_queue_exit(&send->io);
    return r;
}

void host_send_open(struct host_send **ret_send, struct why *why)
{
    struct host_send *send = calloc(1, sizeof *send);
    int r = send ? make_ring(send) : -ENOMEM;

    if (r < 0) {
        why_errno(why, -r, "no io_uring for sends");
        free(send);
        send = NULL;
    } else {
        send->usable = true;
    }
    *ret_send = send;
}

void host_send_free(struct host_send *send)
{
    if (send)
        io_uring_queue_exit(&send->io);
    free(send);
}

/* ---- a turn ---- */

static void tell(struct host_send_entry *entry)
{
    size_t took = entry->result > 0 ? (size_t)entry->result : 0;
    int error = entry->result < 0 && entry->result != -EAGAIN && entry->result != -EINTR ? entry->result : 0;

    entry->sent(entry->owner, entry->bytes + took, entry->size - took, error);
}

/* What carriers do when they are told may want bytes out, or know of others': it finds nothing under way. */
static void flush(struct hosting *hosting)
{
    struct host_send *send = hosting->send;
    uint32_t count = send->count;
    uint64_t now_ns;
    int r;

    if (count == 0 || send->flushing)
        return;
    send->flushing = true;
    for (uint32_t i = 0; i < count; i++)
        send->entries[i].result = -EIO;
    r = run(send, count);
    if (r < 0) { /* what has not come back counts as broken: sending it again could send it twice */
        log_error("sends by io_uring have stopped working (%s): going on without", strerror(-r));
        send->usable = false;
    }
    now_ns = clock_now_ns();
    for (uint32_t i = 0; i < count; i++) {
        if (send->entries[i].arrival_ns)
            stats_observe(hosting->stats, HOST_H_LAG, now_ns - send->entries[i].arrival_ns);
        tell(&send->entries[i]);
    }
    stats_add(hosting->stats, HOST_SEND_BATCHES, 1);
    stats_add(hosting->stats, HOST_SENDS_BATCHED, count);
    send->count = 0;
    send->used = 0;
    send->flushing = false;
}

void host_send_begin(struct hosting *hosting)
{
    if (hosting->send)
        hosting->send->begun = hosting->send->usable;
}

void host_send_end(struct hosting *hosting)
{
    if (!hosting->send)
        return;
    flush(hosting);
    hosting->send->begun = false;
}

/* The bytes in our memory: those of the entry before, where they are the same. */
static const char *copy(struct host_send *send, const void *bytes, size_t size)
{
    const struct host_send_entry *before = send->count > 0 ? &send->entries[send->count - 1] : NULL;
    char *here = send->bytes + send->used;

    if (before && before->size == size && memcmp(before->bytes, bytes, size) == 0)
        return before->bytes;
    memcpy(here, bytes, size);
    send->used += size;
    return here;
}

int host_send_put(const struct umbel_host *host, int fd, const void *bytes, size_t size,
                  void (*sent)(void *owner, const void *rest, size_t size, int error), void *owner)
{
    struct hosting *hosting = host->context;
    struct host_send *send = hosting->send;
    struct host_send_entry *entry;

    if (!send || !send->begun || send->flushing || size == 0 || size > HOST_SEND_ONE_MAX)
        return 0;
    if (send->count == HOST_SEND_MAX || send->used + size > HOST_SEND_BYTES)
        flush(hosting);
    if (!send->usable)
        return 0;
    entry = &send->entries[send->count];
    entry->bytes = copy(send, bytes, size);
    entry->size = (uint32_t)size;
    entry->sent = sent;
    entry->owner = owner;
    entry->arrival_ns = 0;
    add(send, fd, entry->bytes, size, send->count);
    send->count++;
    send->taken++;
    return 1;
}

void host_send_now(const struct umbel_host *host)
{
    struct hosting *hosting = host->context;

    if (hosting->send)
        flush(hosting);
}

uint64_t host_send_mark(const struct hosting *hosting)
{
    return hosting->send ? hosting->send->taken : 0;
}

bool host_send_lag(struct hosting *hosting, uint64_t mark, uint64_t arrival_ns)
{
    struct host_send *send = hosting->send;

    if (!send || send->taken == mark || send->count == 0)
        return false;
    send->entries[send->count - 1].arrival_ns = arrival_ns;
    return true;
}
