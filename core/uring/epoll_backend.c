/* The epoll backend: the same operations as the ring's, by readiness.
 *
 * A connect and a send are tried as they begin and wait for writability only where the kernel makes them; a receive, and a poll,
 * wait for readability.  All registrations are levels: an event that is not used up comes again, so nothing is lost when a turn
 * ends with unread bytes, and an event that has become untrue costs one call that answers EAGAIN.  One receive buffer serves all
 * sockets, since received bytes are handed out before the next receive. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/uring/epoll_slots.h"
#include "core/uring/uring_op.h"

#define EVENTS_MAX 256 /* of one turn; the others come with the next */
#define BUFFER_SIZE_DEFAULT 16384u
#define SEND_MAX ((size_t)1 << 30) /* bytes of one send: a result has 31 bits */

#define READABLE (EPOLLIN | EPOLLHUP | EPOLLERR)
#define WRITABLE (EPOLLOUT | EPOLLHUP | EPOLLERR)

struct engine {
    struct epoll_slots slots;
    struct epoll_event events[EVENTS_MAX];
    int count; /* events of this turn */
    uint32_t buffer_size;
    char buffer[];
};

static struct engine *engine_of(struct uring_loop *loop)
{
    return loop->engine;
}

static int backend_open(struct uring_loop *loop, const struct uring_loop_options *options, struct why *why)
{
    uint32_t buffer_size = options && options->buffer_size ? options->buffer_size : BUFFER_SIZE_DEFAULT;
    struct engine *engine = calloc(1, sizeof *engine + buffer_size);
    int fd;

    if (!engine)
        return why_set(why, -ENOMEM, "no memory for epoll");
    fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd == -1) {
        int r = why_errno(why, errno, "no epoll descriptor");

        free(engine);
        return r;
    }
    epoll_slots_init(&engine->slots, fd);
    engine->buffer_size = buffer_size;
    loop->counts.buffers_free = loop->counts.buffers_total = 1;
    loop->engine = engine;
    return 0;
}

static void backend_close(struct uring_loop *loop)
{
    struct engine *engine = engine_of(loop);

    close(engine->slots.epoll_fd);
    epoll_slots_free(&engine->slots);
    free(engine);
}

/* Rounded up: a timer may fire late, never early. */
static int milliseconds(uint64_t ns)
{
    uint64_t ms = ns / CLOCK_MS + (ns % CLOCK_MS != 0);

    return ns == URING_WAIT_FOREVER ? -1 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static int backend_wait(struct uring_loop *loop, uint64_t wait_ns)
{
    struct engine *engine = engine_of(loop);
    uint64_t coalesce_ns = uring_coalesce_ns(&loop->coalesce);
    int r;

    epoll_slots_tell(&engine->slots);
    if (coalesce_ns > 0 && coalesce_ns < wait_ns && !engine->slots.results.first) {
        loop->counts.coalesced++;
        /* Many that are there already are enough; else a sleep, since epoll cannot wait for a number. */
        if (epoll_wait(engine->slots.epoll_fd, engine->events, EVENTS_MAX, 0) < (int)URING_COALESCE_RESULTS) {
            ppoll(NULL, 0, &(struct timespec){(time_t)(coalesce_ns / CLOCK_S), (long)(coalesce_ns % CLOCK_S)}, NULL);
            wait_ns = uring_coalesce_rest(wait_ns, coalesce_ns);
        }
    }
    r = epoll_wait(engine->slots.epoll_fd, engine->events, EVENTS_MAX, engine->slots.results.first ? 0 : milliseconds(wait_ns));
    engine->count = r > 0 ? r : 0;
    if (r == -1 && errno != EINTR) {
        int error = errno;

        log_error("epoll failed: %d", -error);
        return -error;
    }
    return 0;
}

static void hand_out(struct uring_loop *loop, struct uring_op *op, const struct uring_result *result)
{
    loop->counts.completions++;
    op->done(op, result);
}

static bool must_wait(ssize_t n)
{
    return n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static int32_t value_of(ssize_t n)
{
    return n == -1 ? -errno : (int32_t)n;
}

/* MSG_DONTWAIT: sockets are not O_NONBLOCK, as the ring wants them. */
static ssize_t try_send(int fd, const char *bytes, size_t size)
{
    return send(fd, bytes, size < SEND_MAX ? size : SEND_MAX, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What an event brings but received bytes. */
static void event_happened(struct epoll_slots *slots, int fd, uint32_t events)
{
    const struct epoll_slot *slot = epoll_slots_at(slots, fd);

    if (!slot)
        return;
    if ((events & WRITABLE) && slot->waiting[EPOLL_CONNECT]) {
        int error = 0;
        socklen_t size = sizeof error;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1)
            error = errno;
        epoll_slots_end(slots, fd, EPOLL_CONNECT, -error);
    }
    if ((events & WRITABLE) && slot->waiting[EPOLL_SEND]) {
        ssize_t n = try_send(fd, slot->bytes, slot->size);

        if (!must_wait(n))
            epoll_slots_end(slots, fd, EPOLL_SEND, value_of(n));
    }
    if (events & READABLE)
        epoll_slots_end(slots, fd, EPOLL_POLL, POLLIN);
}

/* What ends while these are handed out is for the next turn, else an answer to each answer would hold this one for ever. */
static void hand_out_results(struct uring_loop *loop)
{
    struct epoll_slots *slots = &engine_of(loop)->slots;
    struct uring_op *op = slots->results.first, *next;

    slots->results = (struct epoll_results){NULL, NULL};
    for (; op; op = next) {
        struct uring_result result = {.value = op->value};

        next = op->next;
        hand_out(loop, op, &result);
    }
}

/* One buffer's worth: if there is more the next turn tells, and the others have had theirs meanwhile.  A callback of this turn
 * may have let the descriptor go, and another may have its number already: that one is not registered before the turn is over. */
static void receive_now(struct uring_loop *loop, int fd)
{
    struct engine *engine = engine_of(loop);
    const struct epoll_slot *slot = epoll_slots_at(&engine->slots, fd);
    struct uring_op *op = slot ? slot->waiting[EPOLL_RECEIVE] : NULL;
    struct uring_result result = {.bytes = engine->buffer};
    ssize_t n;

    if (!op)
        return;
    n = recv(fd, engine->buffer, engine->buffer_size, MSG_DONTWAIT);
    if (must_wait(n))
        return;
    result.value = value_of(n);
    result.more = n > 0;
    if (!result.more)
        epoll_slots_take(&engine->slots, op);
    hand_out(loop, op, &result);
}

/* Received bytes come last: they may answer what was sent, and its owner must have heard first that it was. */
static void backend_dispatch(struct uring_loop *loop)
{
    struct engine *engine = engine_of(loop);

    for (int i = 0; i < engine->count; i++)
        event_happened(&engine->slots, engine->events[i].data.fd, engine->events[i].events);
    hand_out_results(loop);
    for (int i = 0; i < engine->count; i++)
        if (engine->events[i].events & READABLE)
            receive_now(loop, engine->events[i].data.fd);
    engine->count = 0;
    /* Now, not before the next wait: what nobody waits on any more may be closed in this turn. */
    epoll_slots_tell(&engine->slots);
}

/* A connection within the machine is there at once, though connect says that it is in progress.  Looking now keeps apart a peer
 * that refuses from one that accepts and then resets: later there would be only an error. */
static bool connected_already(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};

    return poll(&look, 1, 0) == 1 && look.revents == POLLOUT;
}

static void backend_connect(struct uring_loop *loop, struct uring_op *op, int fd, const struct sockaddr *address, socklen_t size)
{
    struct epoll_slots *slots = &engine_of(loop)->slots;
    int r = fd_set_nonblocking(fd, true);

    loop->counts.submissions++;
    if (r == 0 && connect(fd, address, size) == -1)
        r = -errno;
    if (r == -EINPROGRESS && connected_already(fd))
        r = 0;
    if (r == -EINPROGRESS || r == -EINTR)
        epoll_slots_wait(slots, op, fd, EPOLL_CONNECT);
    else
        epoll_results_add(&slots->results, op, r);
}

static void backend_receive(struct uring_loop *loop, struct uring_op *op, int fd)
{
    loop->counts.submissions++;
    epoll_slots_wait(&engine_of(loop)->slots, op, fd, EPOLL_RECEIVE);
}

static void backend_send(struct uring_loop *loop, struct uring_op *op, int fd, const void *bytes, size_t size)
{
    struct epoll_slots *slots = &engine_of(loop)->slots;
    struct epoll_slot *slot;
    ssize_t n = try_send(fd, bytes, size);

    loop->counts.submissions++;
    if (!must_wait(n)) {
        epoll_results_add(&slots->results, op, value_of(n));
        return;
    }
    slot = epoll_slots_wait(slots, op, fd, EPOLL_SEND);
    if (slot) {
        slot->bytes = bytes;
        slot->size = size;
    }
}

static void backend_poll(struct uring_loop *loop, struct uring_op *op, int fd)
{
    loop->counts.submissions++;
    epoll_slots_wait(&engine_of(loop)->slots, op, fd, EPOLL_POLL);
}

static void backend_cancel(struct uring_loop *loop, struct uring_op *op, const struct uring_op *target)
{
    struct epoll_slots *slots = &engine_of(loop)->slots;
    struct uring_op *taken = epoll_slots_take(slots, target);

    loop->counts.submissions++;
    if (taken)
        epoll_results_add(&slots->results, taken, -ECANCELED);
    epoll_results_add(&slots->results, op, taken ? 0 : -ENOENT);
    epoll_slots_let_go(slots, target->fd);
}

/* At once: readers are woken at the end of a turn anyway, and there is no submission that it could travel with. */
static void backend_wake(struct uring_loop *loop, int eventfd, bool near)
{
    static const uint64_t one = 1;

    (void)near; /* whether there is more epoll does not say for nothing */
    loop->counts.submissions++;
    if (write(eventfd, &one, sizeof one) != sizeof one)
        loop->counts.wake_errors++;
}

static void backend_close_fd(struct uring_loop *loop, int fd)
{
    loop->counts.submissions++;
    epoll_slots_end_all(&engine_of(loop)->slots, fd, -ECANCELED);
    close(fd);
}

const struct uring_backend uring_backend_epoll = {
    .name = "epoll",
    .open = backend_open,
    .close = backend_close,
    .wait = backend_wait,
    .dispatch = backend_dispatch,
    .connect = backend_connect,
    .receive = backend_receive,
    .send = backend_send,
    .poll = backend_poll,
    .cancel = backend_cancel,
    .wake = backend_wake,
    .close_fd = backend_close_fd,
};
