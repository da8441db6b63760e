/* uring/uring_socket.h - a stream socket on the loop: connect or adopt, a stream of received buffers, ordered sending, close.
 *
 * Lifetime: the caller may close at any time, also inside a callback; after uring_socket_close() no callback comes any more and
 * the loop frees the object and the descriptor after the last completion (cancel, then close: a reused descriptor number never
 * gets a stranger's completion).  Exactly one `closed` callback precedes the caller's close if the peer or the network ended it
 * first. */
#ifndef URING_SOCKET_H
#define URING_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/uring/uring_loop.h"

struct uring_socket;

struct uring_socket_ops {
    void (*connected)(void *owner);                                /* only after uring_socket_connect; may be NULL */
    void (*received)(void *owner, const char *bytes, size_t size); /* borrowed until it returns */
    void (*drained)(void *owner);                                  /* all queued bytes were given to the kernel; may be NULL */
    void (*closed)(void *owner, int error);                        /* 0: orderly end of file; -errno (-ETIMEDOUT: connect) */
};

/* uring_socket_connect - begins a TCP or unix connection; timeout 0 = none.  TCP_NODELAY is set.  0 or -errno (nothing was
 * begun). */
int uring_socket_connect(struct uring_loop *loop, const struct sockaddr *address, socklen_t size, uint64_t timeout_ns,
                         const struct uring_socket_ops *ops, void *owner, struct uring_socket **ret_socket);

/* uring_socket_adopt - takes a connected descriptor (owned from here, also on failure) and starts receiving. */
int uring_socket_adopt(struct uring_loop *loop, int fd, const struct uring_socket_ops *ops, void *owner,
                       struct uring_socket **ret_socket);

/* uring_socket_send - queues a copy of the bytes; what one turn queues leaves as one send.  Before `connected` it waits.  After
 * closed(0) sending still works (the peer may have ended only its half).  -ENOBUFS when more than the limit would wait (nothing
 * is queued), -EPIPE when broken or shut down, -ENOMEM.  Default limit: 4 MiB. */
int uring_socket_send(struct uring_socket *socket, const void *bytes, size_t size);
void uring_socket_set_send_limit(struct uring_socket *socket, size_t limit);
size_t uring_socket_unsent(const struct uring_socket *socket);

/* uring_socket_pause - stops or resumes receiving (flow control: the peer feels it); bytes already received may still come.  A
 * paused socket notices neither the peer's end nor an error before it is resumed. */
void uring_socket_pause(struct uring_socket *socket, bool paused);

/* uring_socket_shutdown_send - half-close after all queued bytes. */
void uring_socket_shutdown_send(struct uring_socket *socket);

/* uring_socket_close - see above; NULL is fine.  Unsent bytes are dropped; with _after_send they go first, then the peer is given
 * the rest of 5 s to close its side while what it sends is thrown away (so that our last bytes are not lost to a reset). */
void uring_socket_close(struct uring_socket *socket);
void uring_socket_close_after_send(struct uring_socket *socket);

int uring_socket_fd(const struct uring_socket *socket);
void uring_socket_set_owner(struct uring_socket *socket, const struct uring_socket_ops *ops, void *owner);

#endif
