/* uring/epoll_slots.h - internal: what waits on each descriptor, and what the kernel was told about it.
 *
 * Registered is exactly who has an operation waiting: a descriptor that nobody waits on is taken out, because the kernel would go
 * on reporting its end (which cannot be masked) and the loop would spin; and it is taken out before it can be closed, because a
 * registration outlives a close where a duplicate exists.  Changes are noted and told to the kernel by epoll_slots_tell, so what
 * ends and begins again in between costs no system call; only a descriptor left by a cancellation is taken out at once. Bound:
 * one slot of 64 bytes a descriptor number (RLIMIT_NOFILE); grows, never shrinks.  Loop thread only. */
#ifndef EPOLL_SLOTS_H
#define EPOLL_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/uring/uring_op.h"

enum epoll_kind { EPOLL_CONNECT, EPOLL_RECEIVE, EPOLL_SEND, EPOLL_POLL, EPOLL_KINDS };

struct epoll_slot {
    struct uring_op *waiting[EPOLL_KINDS]; /* rows over `next`; at most one of each but EPOLL_POLL */
    const char *bytes;                     /* what the waiting send has to send, borrowed until it ends */
    size_t size;
    uint32_t interest; /* what the kernel was told; 0: it is not registered */
    bool dirty;        /* in the row of slots to be told about */
    int dirty_next;    /* ... the next one's descriptor, -1 at the end */
};

/* Operations that have ended, first come first served. */
struct epoll_results {
    struct uring_op *first, *last;
};

struct epoll_slots {
    int epoll_fd;
    struct epoll_slot
        *slot; /* by descriptor; moves when it grows: no pointer into it may be kept over a call that begins something */
    size_t count;
    int dirty; /* head of the row, -1: empty */
    struct epoll_results results;
};

/* epoll_slots_init - epoll_fd stays the caller's. */
void epoll_slots_init(struct epoll_slots *slots, int epoll_fd);
void epoll_slots_free(struct epoll_slots *slots);

/* epoll_slots_wait - op waits on fd from here.  Cannot fail: without memory, or without a descriptor, op ends with -ENOMEM or
 * -EBADF. Returns the slot, good until the next call; NULL if op has ended. */
struct epoll_slot *epoll_slots_wait(struct epoll_slots *slots, struct uring_op *op, int fd, enum epoll_kind kind);

/* epoll_slots_at - the slot of a descriptor that is registered with the kernel, else NULL (an event of a registration that is
 * gone). */
struct epoll_slot *epoll_slots_at(struct epoll_slots *slots, int fd);

/* epoll_slots_end - the operations of one kind end with this result.  Does nothing if none waits. */
void epoll_slots_end(struct epoll_slots *slots, int fd, enum epoll_kind kind, int32_t value);

/* epoll_slots_take - ends the waiting of one operation without a result.  Returns it, or NULL if it does not wait. */
struct uring_op *epoll_slots_take(struct epoll_slots *slots, const struct uring_op *op);

/* epoll_slots_end_all - all operations on fd end with this result; returns how many.  The descriptor may be closed after this. */
int epoll_slots_end_all(struct epoll_slots *slots, int fd, int32_t value);

/* epoll_slots_let_go - takes fd out of the kernel's table now if nothing waits on it any more: then it may be closed. */
void epoll_slots_let_go(struct epoll_slots *slots, int fd);

/* epoll_slots_tell - tells the kernel what has changed.  Where it refuses, the operations end with its error. */
void epoll_slots_tell(struct epoll_slots *slots);

/* epoll_results_add - op has ended; its done is called in the next dispatch. */
void epoll_results_add(struct epoll_results *results, struct uring_op *op, int32_t value);

#endif
