/* uring/uring_socket_state.h - internal: what a socket is made of; uring_socket.c has its life, uring_socket_send.c its output.
 */
#ifndef URING_SOCKET_STATE_H
#define URING_SOCKET_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/uring/uring_op.h"
#include "core/uring/uring_socket.h"

/* Bytes on their way out.  At most two of these a socket: one the kernel reads from, which does not move, and one that grows
 * meanwhile. */
struct uring_bytes {
    size_t size, capacity, sent;
    char data[];
};

struct uring_target {
    struct sockaddr_storage address;
    socklen_t size;
};

struct uring_socket {
    struct uring_object object; /* first */
    const struct uring_socket_ops *ops;
    void *owner;
    int fd;
    int error;                                            /* why the sending side broke; told when the receiving side has ended */
    struct uring_op connect, receive, send, stop, cancel; /* stop: cancels the receive; cancel: connect or send */
    struct list unsent, starved;                          /* links into the loop's lists */
    struct uring_timer timer;    /* connecting: the time limit; lingering: its end; closing: ask the kernel again */
    struct uring_target *target; /* while connecting */
    struct uring_bytes *sending, *waiting;
    size_t limit; /* bytes in sending and waiting together */
    bool connected : 1;
    bool timed_out : 1; /* the connect timer fired */
    bool receiving : 1; /* a receive is in flight */
    bool stopping : 1;  /* ... and its cancellation too */
    bool cancelling : 1; /* cancel is in flight */
    bool paused : 1;
    bool finished : 1;    /* nothing more to receive; `closed` was called, unless lingering */
    bool broken : 1;      /* nothing more can be sent */
    bool half_closed : 1; /* uring_socket_shutdown_send was called */
    bool shut : 1;        /* ... and done */
    bool lingering : 1;   /* the owner is gone, its last bytes are not */
};

void uring_socket_send_begin(struct uring_socket *socket); /* queues for this turn's sends if there is something to send */
void uring_socket_send_drop(struct uring_socket *socket);  /* forgets what the kernel does not hold */
void uring_socket_send_init(struct uring_socket *socket);
void uring_socket_send_free(struct uring_socket *socket);
/* uring_socket_broke - sending failed: the receiving side is made to end, and then tells. */
void uring_socket_broke(struct uring_socket *socket, int error);
/* uring_socket_sent_all - nothing is waiting any more: tells the owner, half-closes, or goes on lingering. */
void uring_socket_sent_all(struct uring_socket *socket);

#endif
