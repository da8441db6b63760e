#include "core/uring/uring_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/uring/uring_socket_state.h"

#define SEND_LIMIT_DEFAULT ((size_t)4 << 20)
#define LINGER_NS (5 * CLOCK_S)
#define CANCEL_AGAIN_NS (100 * CLOCK_MS)

static struct uring_socket *socket_of(struct uring_object *object)
{
    return (struct uring_socket *)(void *)object; /* it is the first member */
}

static void receive_begin(struct uring_socket *socket)
{
    if (!socket->connected || socket->receiving || socket->paused || socket->finished || socket->object.closing ||
        list_is_linked(&socket->starved))
        return;
    socket->receiving = true;
    uring_object_began(&socket->object);
    socket->object.loop->backend->receive(socket->object.loop, &socket->receive, socket->fd);
}

static void receive_stop(struct uring_socket *socket)
{
    if (!socket->receiving || socket->stopping || socket->object.closing)
        return;
    socket->stopping = true;
    uring_object_began(&socket->object);
    socket->object.loop->backend->cancel(socket->object.loop, &socket->stop, &socket->receive);
}

static void stop_done(struct uring_op *op, const struct uring_result *result)
{
    struct uring_socket *socket = list_entry(op, struct uring_socket, stop);

    (void)result;
    socket->stopping = false;
    uring_object_ended(&socket->object);
}

/* The one `closed` callback: nothing more comes in. */
static void finish(struct uring_socket *socket, int error)
{
    if (socket->finished)
        return;
    socket->finished = true;
    if (error == 0)
        error = socket->error;
    if (error < 0) {
        socket->broken = true;
        uring_socket_send_drop(socket);
    }
    if (!socket->lingering)
        socket->ops->closed(socket->owner, error);
    else if (error < 0 || uring_socket_unsent(socket) == 0)
        uring_socket_close(socket);
}

static void receive_done(struct uring_op *op, const struct uring_result *result)
{
    struct uring_socket *socket = list_entry(op, struct uring_socket, receive);
    struct uring_loop *loop = socket->object.loop;

    if (!result->more)
        socket->receiving = false;
    if (socket->object.closing) {
        ; /* nobody listens any more */
    } else if (result->value > 0) {
        if (!socket->lingering)
            socket->ops->received(socket->owner, result->bytes, (size_t)result->value);
    } else if (result->value == -ENOBUFS) {
        loop->counts.enobufs++;
        list_append(&loop->starved, &socket->starved);
    } else if (result->value != -ECANCELED && result->value != -EINTR) {
        finish(socket, result->value);
    }
    if (!result->more) {
        receive_begin(socket);
        uring_object_ended(&socket->object);
    } else if (socket->paused) {
        receive_stop(socket); /* it went on: the cancellation came at a moment when it could not be found */
    }
}

void uring_socket_feed_starved(struct uring_loop *loop)
{
    /* Each of them has bytes waiting, so one buffer each is the least they take: more receives than buffers would only starve
     * again. */
    for (uint64_t free = loop->counts.buffers_free; free > 0 && !list_is_empty(&loop->starved); free--) {
        struct uring_socket *socket = list_entry(loop->starved.next, struct uring_socket, starved);

        list_remove(&socket->starved);
        receive_begin(socket);
    }
}

static void connect_done(struct uring_op *op, const struct uring_result *result)
{
    struct uring_socket *socket = list_entry(op, struct uring_socket, connect);

    free(socket->target);
    socket->target = NULL;
    if (socket->object.closing) {
        ; /* nobody waits any more */
    } else if (result->value < 0) {
        finish(socket, socket->timed_out ? -ETIMEDOUT : result->value);
    } else {
        socket->connected = true;
        if (!socket->lingering) {
            uring_timer_clear(socket->object.loop, &socket->timer);
            if (socket->ops->connected)
                socket->ops->connected(socket->owner);
        }
        if (!socket->object.closing) {
            receive_begin(socket);
            uring_socket_send_begin(socket);
            if (uring_socket_unsent(socket) == 0 && (socket->half_closed || socket->lingering))
                uring_socket_sent_all(socket);
        }
    }
    uring_object_ended(&socket->object);
}

static void cancel_done(struct uring_op *op, const struct uring_result *result)
{
    struct uring_socket *socket = list_entry(op, struct uring_socket, cancel);

    (void)result;
    socket->cancelling = false;
    uring_object_ended(&socket->object);
}

/* Each operation by itself: the kernel finds one by its address at once, but for those of a descriptor it looks through all that anybody has,
 * and ten thousand connections that end together would cost it minutes. */
static void cancel_all(struct uring_socket *socket)
{
    struct uring_loop *loop = socket->object.loop;
    const struct uring_op *other = socket->target ? &socket->connect : socket->sending ? &socket->send : NULL;

    if (socket->receiving && !socket->stopping) {
        socket->stopping = true;
        uring_object_began(&socket->object);
        loop->backend->cancel(loop, &socket->stop, &socket->receive);
    }
    if (other && !socket->cancelling) {
        socket->cancelling = true;
        uring_object_began(&socket->object);
        loop->backend->cancel(loop, &socket->cancel, other);
    }
}

static void timer_fired(struct uring_timer *timer)
{
    struct uring_socket *socket = list_entry(timer, struct uring_socket, timer);

    if (socket->object.closing && socket->object.in_flight == 0)
        return; /* to be freed at the end of this turn */
    if (socket->object.closing) {
        /* Some operation was between two states when the cancellation looked for it.  A dead connection ends whatever is left. */
        shutdown(socket->fd, SHUT_RDWR);
        cancel_all(socket);
        uring_timer_set(socket->object.loop, &socket->timer, CANCEL_AGAIN_NS);
    } else if (socket->lingering) {
        uring_socket_close(socket);
    } else {
        socket->timed_out = true;
        cancel_all(socket);
    }
}

static void socket_close(struct uring_object *object)
{
    uring_socket_close(socket_of(object));
}

static void socket_free(struct uring_object *object)
{
    struct uring_socket *socket = socket_of(object);

    uring_timer_clear(object->loop, &socket->timer);
    uring_socket_send_free(socket);
    free(socket->target);
    close(socket->fd);
    object->loop->counts.sockets--;
    free(socket);
}

static struct uring_socket *socket_create(struct uring_loop *loop, int fd, const struct uring_socket_ops *ops, void *owner)
{
    struct uring_socket *socket = calloc(1, sizeof *socket);

    if (!socket)
        return NULL;
    uring_object_init(&socket->object, loop, socket_close, socket_free);
    socket->ops = ops;
    socket->owner = owner;
    socket->fd = fd;
    socket->limit = SEND_LIMIT_DEFAULT;
    socket->connect.done = connect_done;
    socket->receive.done = receive_done;
    socket->stop.done = stop_done;
    socket->cancel.done = cancel_done;
    socket->timer.fired = timer_fired;
    list_init(&socket->starved);
    uring_socket_send_init(socket);
    loop->counts.sockets++;
    return socket;
}

/* Tokens are small and must leave at once.  On a unix socket this fails, which is fine. */
static void set_nodelay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int uring_socket_connect(struct uring_loop *loop, const struct sockaddr *address, socklen_t size, uint64_t timeout_ns,
                         const struct uring_socket_ops *ops, void *owner, struct uring_socket **ret_socket)
{
    struct uring_socket *self = NULL;
    struct uring_target *target;
    int fd;

    if (size > sizeof target->address)
        return -EINVAL;
    target = malloc(sizeof *target);
    if (!target)
        return -ENOMEM;
    /* Not O_NONBLOCK: the ring waits where a system call would return EAGAIN. */
    fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        int r = -errno;

        free(target);
        return r;
    }
    self = socket_create(loop, fd, ops, owner);
    if (!self) {
        close(fd);
        free(target);
        return -ENOMEM;
    }
    set_nodelay(fd);
    memcpy(&target->address, address, size);
    target->size = size;
    self->target = target;
    if (timeout_ns > 0)
        uring_timer_set(loop, &self->timer, timeout_ns);
    uring_object_began(&self->object);
    loop->backend->connect(loop, &self->connect, fd, (const struct sockaddr *)&target->address, size);
    *ret_socket = self;
    return 0;
}

int uring_socket_adopt(struct uring_loop *loop, int fd, const struct uring_socket_ops *ops, void *owner,
                       struct uring_socket **ret_socket)
{
    struct uring_socket *self;
    int r = fd_set_nonblocking(fd, false); /* see uring_socket_connect */

    if (r < 0)
        goto fail;
    self = socket_create(loop, fd, ops, owner);
    if (!self) {
        r = -ENOMEM;
        goto fail;
    }
    set_nodelay(fd);
    self->connected = true;
    receive_begin(self);
    *ret_socket = self;
    return 0;
fail:
    close(fd);
    return r;
}

void uring_socket_pause(struct uring_socket *socket, bool paused)
{
    if (socket->object.closing || socket->lingering || socket->paused == paused)
        return;
    socket->paused = paused;
    if (paused)
        receive_stop(socket);
    else
        receive_begin(socket);
}

void uring_socket_broke(struct uring_socket *socket, int error)
{
    if (!socket->broken)
        socket->error = error;
    socket->broken = true;
    uring_socket_send_drop(socket);
    /* What the peer said before it went may still be unread, and is worth more than our error: the receive goes on to its end,
     * which this brings about. */
    shutdown(socket->fd, SHUT_RDWR);
    if (socket->lingering)
        uring_socket_close(socket);
}

void uring_socket_sent_all(struct uring_socket *socket)
{
    if ((socket->half_closed || socket->lingering) && !socket->shut) {
        socket->shut = true;
        shutdown(socket->fd, SHUT_WR);
    }
    if (socket->lingering) {
        if (socket->finished)
            uring_socket_close(socket);
    } else if (!socket->half_closed && socket->ops->drained) {
        socket->ops->drained(socket->owner);
    }
}

void uring_socket_shutdown_send(struct uring_socket *socket)
{
    if (socket->object.closing || socket->lingering || socket->broken || socket->half_closed)
        return;
    socket->half_closed = true;
    if (socket->connected && uring_socket_unsent(socket) == 0)
        uring_socket_sent_all(socket);
}

void uring_socket_close(struct uring_socket *socket)
{
    struct uring_loop *loop;

    if (!socket || socket->object.closing)
        return;
    loop = socket->object.loop;
    if (list_is_linked(&socket->starved))
        list_remove(&socket->starved);
    uring_socket_send_drop(socket);
    uring_timer_clear(loop, &socket->timer);
    if (socket->object.in_flight > 0) {
        cancel_all(socket);
        uring_timer_set(loop, &socket->timer, CANCEL_AGAIN_NS);
    }
    uring_object_closing(&socket->object);
}

void uring_socket_close_after_send(struct uring_socket *socket)
{
    if (!socket || socket->object.closing || socket->lingering)
        return;
    if (socket->broken || (socket->finished && uring_socket_unsent(socket) == 0)) {
        uring_socket_close(socket);
        return;
    }
    socket->lingering = true;
    uring_timer_set(socket->object.loop, &socket->timer, LINGER_NS);
    socket->paused = false;
    receive_begin(socket);
    if (socket->connected && uring_socket_unsent(socket) == 0)
        uring_socket_sent_all(socket);
}

int uring_socket_fd(const struct uring_socket *socket)
{
    return socket->fd;
}

void uring_socket_set_owner(struct uring_socket *socket, const struct uring_socket_ops *ops, void *owner)
{
    socket->ops = ops;
    socket->owner = owner;
}
