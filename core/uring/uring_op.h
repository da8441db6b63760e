/* uring/uring_op.h - internal: operations, the objects that own them, and the backend that carries them out.
 *
 * An operation is idle, or in flight from the backend call until a result without `more`.  In flight the kernel may hold its
 * buffer and descriptor: the owner neither moves nor frees them.  Results are reaped first and handed out afterwards, so `done`
 * never nests. */
#ifndef URING_OP_H
#define URING_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/base/list.h"
#include "core/uring/uring_coalesce.h"
#include "core/uring/uring_loop.h"

#define URING_WAIT_FOREVER UINT64_MAX

struct uring_result {
    int32_t value;     /* bytes, a poll mask, 0, or -errno */
    bool more;         /* the operation goes on: another result will come */
    const char *bytes; /* receive: what came, borrowed until done returns */
};

struct uring_op {
    void (*done)(struct uring_op *op, const struct uring_result *result);
    /* The epoll backend's own, so that beginning and ending need no memory.  To the ring an operation is its address. */
    struct uring_op *next;
    int fd;
    int32_t value;
};

/* What a way of doing I/O must offer.  Calls that begin an operation cannot fail: what goes wrong is told as a result. */
struct uring_backend {
    const char *name;
    int (*open)(struct uring_loop *loop, const struct uring_loop_options *options, struct why *why); /* sets loop->engine */
    void (*close)(struct uring_loop *loop);
    /* submits, waits for one result at most so long, or as loop->coalesce says for several; 0 or a fatal -errno */
    int (*wait)(struct uring_loop *loop, uint64_t wait_ns);
    /* reaps all results, then calls their done */
    void (*dispatch)(struct uring_loop *loop);
    void (*connect)(struct uring_loop *loop, struct uring_op *op, int fd, const struct sockaddr *address, socklen_t size);
    /* many results; -ENOBUFS ends it: no buffer was free (never with epoll) */
    void (*receive)(struct uring_loop *loop, struct uring_op *op, int fd);
    /* may be short */
    void (*send)(struct uring_loop *loop, struct uring_op *op, int fd, const void *bytes, size_t size);
    /* one result: readable */
    void (*poll)(struct uring_loop *loop, struct uring_op *op, int fd);
    void (*cancel)(struct uring_loop *loop, struct uring_op *op, const struct uring_op *target);
    void (*wake)(struct uring_loop *loop, int eventfd, bool near);
    /* in order with the operations before it */
    void (*close_fd)(struct uring_loop *loop, int fd);
};
extern const struct uring_backend uring_backend_ring;
extern const struct uring_backend uring_backend_epoll;

struct uring_loop {
    const struct uring_backend *backend;
    void *engine; /* the backend's own state */
    uint64_t now_ns;
    struct uring_timer *timers; /* root of the heap */
    struct list hooks;
    struct list live, dying; /* uring_object.link */
    struct list unsent;      /* sockets with bytes to send and no send in flight */
    struct list starved;     /* sockets whose receive found no buffer */
    struct uring_coalesce coalesce;
    uint64_t brought;     /* results of this turn */
    uint64_t no_yield_ns; /* yielding has cost too much: not before this time */
    bool in_turn, stopping, freeing, yield;
    int failed; /* the backend's own -errno: nothing works any more */
    struct uring_loop_counts counts;
};

/* An object owns operations; it is freed at the end of the turn in which it is closed and none of them is in flight any more. */
struct uring_object {
    struct uring_loop *loop;
    struct list link;
    void (*close)(struct uring_object *object); /* what the caller should have done: for uring_loop_free */
    void (*free)(struct uring_object *object);
    uint32_t in_flight;
    bool closing;
};
void uring_object_init(struct uring_object *object, struct uring_loop *loop, void (*close)(struct uring_object *object),
                       void (*free)(struct uring_object *object));
void uring_object_began(struct uring_object *object); /* an operation went into flight */
void uring_object_ended(struct uring_object *object); /* ... and came back; the object stays valid until the end of the turn */
void uring_object_closing(struct uring_object *object);

/* Parts of a turn. */
void uring_timer_run(struct uring_loop *loop);                                /* fires what is due at loop->now_ns */
uint64_t uring_timer_wait_ns(const struct uring_loop *loop, uint64_t now_ns); /* until the next one, or URING_WAIT_FOREVER */
void uring_socket_flush(struct uring_loop *loop);                             /* begins the sends of loop->unsent */
void uring_socket_feed_starved(struct uring_loop *loop);                      /* receives again, as many as buffers are free */

#endif
