/* The io_uring backend: fills submission entries, enters the kernel once a turn, hands out results. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/uring/uring_buffers.h"
#include "core/uring/uring_op.h"
#include "core/uring/uring_probe.h"
#include "core/uring/uring_restrict.h"

#define ENTRIES_DEFAULT 1024u
#define BUFFERS_DEFAULT 1024u
#define BUFFER_SIZE_DEFAULT 16384u
#define SEND_MAX (1u << 30)   /* bytes of one send; the entry's length has 32 bits, a result 31 */
#define SUBMIT_TRIES_MAX 1000 /* times a full queue is pushed at the kernel before the ring counts as broken */
#define YIELD_LONG_NS (2 * CLOCK_MS)    /* a host needs some hundred microseconds for what a turn brings */
#define YIELD_RESULTS 4u                /* of one turn, from which what follows is taken for a burst */
#define YIELD_PAUSE_NS (100 * CLOCK_MS) /* so a stranger on this processor gets a slice of it now and then, and not one every turn */

/* user_data of operations without an owner */
#define TAG_WAKE 1u
#define TAG_IGNORE 2u
#define TAG_LAST 7u /* no object lives below */

struct reaped {
    uint64_t tag;
    int32_t value;
    uint32_t flags;
};

struct ring {
    struct io_uring io;
    struct uring_buffers buffers;
    struct reaped *reaped;
    uint32_t reaped_max;
};

static struct ring *ring_of(struct uring_loop *loop)
{
    return loop->engine;
}

static int ring_open(struct uring_loop *loop, const struct uring_loop_options *options, struct why *why)
{
    uint32_t entries = options && options->entries ? options->entries : ENTRIES_DEFAULT;
    uint32_t buffers = options && options->buffers ? options->buffers : BUFFERS_DEFAULT;
    uint32_t buffer_size = options && options->buffer_size ? options->buffer_size : BUFFER_SIZE_DEFAULT;
    struct ring *ring = calloc(1, sizeof *ring);
    int r;

    if (!ring)
        return why_set(why, -ENOMEM, "no memory for the ring");
    r = uring_probe_open(entries, &ring->io, why);
    if (r < 0)
        goto fail;
    r = uring_buffers_open(&ring->buffers, &ring->io, buffers, buffer_size, why);
    if (r < 0)
        goto fail_io;
    r = uring_restrict(&ring->io, why);
    if (r < 0)
        goto fail_buffers;
    r = uring_probe_receive(&ring->io, &ring->buffers, why);
    if (r < 0)
        goto fail_buffers;
    ring->reaped_max = ring->io.cq.ring_entries;
    ring->reaped = calloc(ring->reaped_max, sizeof *ring->reaped);
    if (!ring->reaped) {
        r = why_set(why, -ENOMEM, "no memory for %u completions", ring->reaped_max);
        goto fail_buffers;
    }
    loop->counts.buffers_free = loop->counts.buffers_total = buffers;
    loop->engine = ring;
    return 0;
fail_buffers:
    uring_buffers_close(&ring->buffers, &ring->io);
fail_io:
    io_uring_queue_exit(&ring->io);
fail:
    free(ring);
    return r;
}

static void ring_close(struct uring_loop *loop)
{
    struct ring *ring = ring_of(loop);

    uring_buffers_close(&ring->buffers, &ring->io);
    io_uring_queue_exit(&ring->io);
    free(ring->reaped);
    free(ring);
}

/* A free submission entry.  A full queue goes to the kernel at once: no operation is refused or lost.  If the kernel takes
 * nothing for SUBMIT_TRIES_MAX times the ring is broken: the loop ends, and the entry returned is one that is never submitted. */
static struct io_uring_sqe *entry(struct uring_loop *loop)
{
    static struct io_uring_sqe nowhere;
    struct ring *ring = ring_of(loop);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->io);
    int r = 0;

    for (int tries = 0; !sqe && !loop->failed; tries++) {
        if (tries == SUBMIT_TRIES_MAX) {
            log_error("the kernel takes no more operations (%d)", r);
            loop->failed = r < 0 ? r : -EBUSY;
            break;
        }
        r = io_uring_submit(&ring->io);
        sqe = io_uring_get_sqe(&ring->io);
    }
    if (!sqe)
        sqe = &nowhere;
    else
        loop->counts.submissions++;
    return sqe;
}

static uint64_t tag_of(const struct uring_op *op)
{
    return (uint64_t)(uintptr_t)op;
}

/* Submits, and waits for count results at most so long. */
static int enter(struct ring *ring, unsigned count, uint64_t wait_ns)
{
    struct __kernel_timespec timeout = {.tv_sec = (long long)(wait_ns / CLOCK_S), .tv_nsec = (long long)(wait_ns % CLOCK_S)};
    struct io_uring_cqe *cqe;
    int r = io_uring_submit_and_wait_timeout(&ring->io, &cqe, count, wait_ns == URING_WAIT_FOREVER ? NULL : &timeout, NULL);

    /* -EBUSY, -EAGAIN: the kernel wants completions reaped, or memory, first; what was not taken goes with the next turn. */
    if (r < 0 && r != -ETIME && r != -EINTR && r != -EBUSY && r != -EAGAIN) {
        log_error("io_uring failed: %d", r);
        return r;
    }
    return 0;
}

/* Whether something has come in for this thread that the kernel has not carried out yet. */
static bool has_more(const struct ring *ring)
{
    return IO_URING_READ_ONCE(*ring->io.sq.kflags) & IORING_SQ_TASKRUN;
}

/* If there is nothing more this thread is about to sleep, and whom it wakes runs anyway.  Two switches are dear for a few results, unless this
 * goes on and on. */
static bool worth_yielding(struct uring_loop *loop)
{
    bool much = loop->coalesce.busy || loop->brought >= YIELD_RESULTS;

    return much && loop->coalesce.limit_ns > 0 && has_more(ring_of(loop)) && loop->now_ns >= loop->no_yield_ns;
}

/* The processor goes to whoever waits for it.  If that was not only who was woken, but somebody who kept it for long, the next turns do without. */
static void yield(struct uring_loop *loop)
{
    uint64_t began_ns = clock_now_ns(), ended_ns;

    loop->yield = false;
    sched_yield();
    ended_ns = clock_now_ns();
    loop->counts.yields++;
    if (ended_ns - began_ns > YIELD_LONG_NS)
        loop->no_yield_ns = ended_ns + YIELD_PAUSE_NS;
}

static int ring_wait(struct uring_loop *loop, uint64_t wait_ns)
{
    struct ring *ring = ring_of(loop);
    uint64_t coalesce_ns = uring_coalesce_ns(&loop->coalesce);

    if (loop->yield)
        yield(loop);
    if (coalesce_ns > 0 && coalesce_ns < wait_ns) {
        int r = enter(ring, URING_COALESCE_RESULTS, coalesce_ns);

        loop->counts.coalesced++;
        if (r < 0 || io_uring_cq_ready(&ring->io) > 0)
            return r;
        wait_ns = uring_coalesce_rest(wait_ns, coalesce_ns);
    }
    return enter(ring, 1, wait_ns);
}

/* Copies all completions out of the ring, so that the kernel has room while the callbacks run. */
static uint32_t reap(struct uring_loop *loop)
{
    struct ring *ring = ring_of(loop);
    struct io_uring_cqe *cqe;
    unsigned head;
    uint32_t count = 0;

    io_uring_for_each_cqe(&ring->io, head, cqe)
    {
        if (count == ring->reaped_max)
            break;
        ring->reaped[count++] = (struct reaped){cqe->user_data, cqe->res, cqe->flags};
        if (cqe->flags & IORING_CQE_F_BUFFER)
            loop->counts.buffers_free--;
    }
    io_uring_cq_advance(&ring->io, count);
    return count;
}

static void ring_dispatch(struct uring_loop *loop)
{
    struct ring *ring = ring_of(loop);
    uint32_t count = reap(loop);

    loop->counts.completions += count;
    for (uint32_t i = 0; i < count; i++) {
        const struct reaped *reaped = &ring->reaped[i];
        uint32_t buffer = reaped->flags >> IORING_CQE_BUFFER_SHIFT;
        bool has_buffer = reaped->flags & IORING_CQE_F_BUFFER;

        if (reaped->tag > TAG_LAST) {
            struct uring_op *op = (struct uring_op *)(uintptr_t)reaped->tag;
            struct uring_result result = {reaped->value, reaped->flags & IORING_CQE_F_MORE,
                                          has_buffer ? uring_buffers_at(&ring->buffers, buffer) : NULL};
            op->done(op, &result);
        } else if (reaped->tag == TAG_WAKE && reaped->value < 0) {
            loop->counts.wake_errors++;
        }
        if (has_buffer) {
            uring_buffers_give(&ring->buffers, buffer);
            loop->counts.buffers_free++;
        }
    }
}

static void ring_connect(struct uring_loop *loop, struct uring_op *op, int fd, const struct sockaddr *address, socklen_t size)
{
    struct io_uring_sqe *sqe = entry(loop);

    io_uring_prep_connect(sqe, fd, address, size);
    io_uring_sqe_set_data64(sqe, tag_of(op));
}

static void ring_receive(struct uring_loop *loop, struct uring_op *op, int fd)
{
    struct io_uring_sqe *sqe = entry(loop);

    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    io_uring_sqe_set_data64(sqe, tag_of(op));
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFERS_GROUP;
}

static void ring_send(struct uring_loop *loop, struct uring_op *op, int fd, const void *bytes, size_t size)
{
    struct io_uring_sqe *sqe = entry(loop);

    io_uring_prep_send(sqe, fd, bytes, size < SEND_MAX ? size : SEND_MAX, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, tag_of(op));
}

static void ring_poll(struct uring_loop *loop, struct uring_op *op, int fd)
{
    struct io_uring_sqe *sqe = entry(loop);

    io_uring_prep_poll_add(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, tag_of(op));
}

static void ring_cancel(struct uring_loop *loop, struct uring_op *op, const struct uring_op *target)
{
    struct io_uring_sqe *sqe = entry(loop);

    io_uring_prep_cancel64(sqe, tag_of(target), 0);
    io_uring_sqe_set_data64(sqe, tag_of(op));
}

static void ring_wake(struct uring_loop *loop, int eventfd, bool near)
{
    static const uint64_t one = 1;
    struct io_uring_sqe *sqe;

    /* Not by a submission: where there is more to carry out the kernel would do that first.  The far ones neither, which would wait for
     * the near ones otherwise. */
    if (worth_yielding(loop)) {
        if (write(eventfd, &one, sizeof one) == -1)
            loop->counts.wake_errors++;
        loop->yield |= near;
        return;
    }
    sqe = entry(loop);
    io_uring_prep_write(sqe, eventfd, &one, sizeof one, (uint64_t)-1);
    io_uring_sqe_set_data64(sqe, TAG_WAKE);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void ring_close_fd(struct uring_loop *loop, int fd)
{
    struct io_uring_sqe *sqe = entry(loop);

    io_uring_prep_close(sqe, fd);
    io_uring_sqe_set_data64(sqe, TAG_IGNORE);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

const struct uring_backend uring_backend_ring = {
    .name = "io_uring",
    .open = ring_open,
    .close = ring_close,
    .wait = ring_wait,
    .dispatch = ring_dispatch,
    .connect = ring_connect,
    .receive = ring_receive,
    .send = ring_send,
    .poll = ring_poll,
    .cancel = ring_cancel,
    .wake = ring_wake,
    .close_fd = ring_close_fd,
};
