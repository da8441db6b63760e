#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/uring/uring_socket_state.h"

#define CAPACITY_MIN 512u

static size_t bytes_left(const struct uring_bytes *bytes)
{
    return bytes ? bytes->size - bytes->sent : 0;
}

size_t uring_socket_unsent(const struct uring_socket *socket)
{
    return bytes_left(socket->sending) + bytes_left(socket->waiting);
}

/* Requests and frames carry keys: what was sent, or never will be, is not left in freed memory. */
static void bytes_free(struct uring_bytes *bytes)
{
    if (bytes)
        explicit_bzero(bytes->data, bytes->size);
    free(bytes);
}

static int append(struct uring_socket *socket, const void *data, size_t size)
{
    struct uring_bytes *bytes = socket->waiting;
    size_t used = bytes ? bytes->size : 0, capacity = bytes ? bytes->capacity : 0;

    if (!bytes || size > capacity - used) {
        capacity = capacity * 2 > used + size ? capacity * 2 : used + size;
        capacity = capacity > CAPACITY_MIN ? capacity : CAPACITY_MIN;
        struct uring_bytes *more = malloc(sizeof *more + capacity);
        if (!more)
            return -ENOMEM;
        *more = (struct uring_bytes){.size = used, .capacity = capacity}; /* what waits has not been sent in part */
        if (used)
            memcpy(more->data, bytes->data, used);
        bytes_free(bytes);
        socket->waiting = bytes = more;
    }
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return 0;
}

int uring_socket_send(struct uring_socket *socket, const void *bytes, size_t size)
{
    size_t unsent = uring_socket_unsent(socket);
    int r;

    if (socket->object.closing || socket->lingering || socket->broken || socket->half_closed)
        return -EPIPE;
    if (size == 0)
        return 0;
    if (unsent > socket->limit || size > socket->limit - unsent)
        return -ENOBUFS;
    r = append(socket, bytes, size);
    if (r == 0)
        uring_socket_send_begin(socket);
    return r;
}

void uring_socket_set_send_limit(struct uring_socket *socket, size_t limit)
{
    socket->limit = limit;
}

void uring_socket_send_begin(struct uring_socket *socket)
{
    if (socket->connected && socket->waiting && !socket->sending && !list_is_linked(&socket->unsent))
        list_append(&socket->object.loop->unsent, &socket->unsent);
}

void uring_socket_send_drop(struct uring_socket *socket)
{
    if (list_is_linked(&socket->unsent))
        list_remove(&socket->unsent);
    bytes_free(socket->waiting);
    socket->waiting = NULL;
}

static void submit(struct uring_socket *socket)
{
    struct uring_bytes *bytes = socket->sending;

    uring_object_began(&socket->object);
    socket->object.loop->backend->send(socket->object.loop, &socket->send, socket->fd, bytes->data + bytes->sent,
                                       bytes_left(bytes));
}

void uring_socket_flush(struct uring_loop *loop)
{
    while (!list_is_empty(&loop->unsent)) {
        struct uring_socket *socket = list_entry(loop->unsent.next, struct uring_socket, unsent);

        list_remove(&socket->unsent);
        socket->sending = socket->waiting;
        socket->waiting = NULL;
        submit(socket);
    }
}

static void send_done(struct uring_op *op, const struct uring_result *result)
{
    struct uring_socket *socket = list_entry(op, struct uring_socket, send);
    struct uring_bytes *bytes = socket->sending;

    if (result->value > 0)
        bytes->sent += (size_t)result->value;
    if (result->value > 0 && bytes_left(bytes) > 0 && !socket->object.closing && !socket->broken) {
        submit(socket);
    } else {
        bytes_free(bytes);
        socket->sending = NULL;
        if (socket->object.closing)
            ; /* nobody cares any more */
        else if (result->value <= 0)
            uring_socket_broke(socket, result->value < 0 ? result->value : -EPIPE);
        else if (socket->waiting)
            uring_socket_send_begin(socket);
        else
            uring_socket_sent_all(socket);
    }
    uring_object_ended(&socket->object);
}

void uring_socket_send_init(struct uring_socket *socket)
{
    socket->send.done = send_done;
    list_init(&socket->unsent);
}

void uring_socket_send_free(struct uring_socket *socket)
{
    uring_socket_send_drop(socket);
    bytes_free(socket->sending);
}
