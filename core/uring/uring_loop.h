/* uring/uring_loop.h - the engine's loop: sockets, timers, wake-ups; one thread, no locks, callbacks never nest.
 *
 * A turn: submit what the callbacks queued and wait (bounded by the next timer) -> reap all completions to a list -> run their
 * callbacks
 * -> run due timers -> run the turn hooks -> again.  The loop's user never sees a ring entry: it owns sockets (uring_socket.h),
 * timers and watches.  An operation owns its memory until its completion: objects are freed by the loop, after their last
 * completion.  Two backends behind this interface, chosen at the start: io_uring, and epoll where that is not permitted.  What is
 * promised here holds for both. */
#ifndef URING_LOOP_H
#define URING_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/why.h"

struct uring_loop;

struct uring_loop_options {
    const char *io;       /* "auto" (also NULL): io_uring, else epoll; "io_uring", "epoll": this or nothing */
    uint32_t entries;     /* submission entries; 0 = 1024; of no meaning to epoll */
    uint32_t buffers;     /* receive buffers shared by all sockets, power of two; 0 = 1024; epoll has one */
    uint32_t buffer_size; /* bytes of each; 0 = 16384 */
};

struct uring_loop_counts {
    uint64_t turns, completions, submissions, timers_fired;
    uint64_t buffers_free, buffers_total, enobufs; /* enobufs: times a receive found no buffer and waited */
    uint64_t sockets;                              /* descriptors of sockets not closed yet */
    uint64_t wake_errors;                          /* uring_wake_fd writes that failed */
    uint64_t coalesced, coalesce_ns;               /* turns that did not begin with the first result; the limit (uring_coalesce.h) */
    uint64_t yields;                               /* times the processor was left to whom the turn had woken */
};

/* uring_loop_create - probes the kernel first; where io_uring is forbidden or lacks what is needed the reason names the fix
 * (kernel.io_uring_disabled, a container's seccomp profile, RLIMIT_MEMLOCK): as one warning in the log if epoll takes its place,
 * in why if io_uring was asked for by name.  -EINVAL for another io.  The thread that creates a loop must be the one that uses
 * it, and must not fork and go on in the child.  0 or -errno. */
int uring_loop_create(const struct uring_loop_options *options, struct uring_loop **ret_loop, struct why *why);

/* uring_loop_free - after run() has returned.  Sockets and watches still open are closed without callbacks; timers and hooks are
 * forgotten.  NULL is fine. */
void uring_loop_free(struct uring_loop *loop);

/* uring_loop_run - turns until uring_loop_stop().  Returns 0, or -errno when the backend itself failed.  What the last turn
 * queued is still submitted.  uring_loop_stop is for this thread: others write an eventfd that is watched. */
int uring_loop_run(struct uring_loop *loop);
void uring_loop_stop(struct uring_loop *loop);

/* uring_loop_turn - one turn; wait_ms: -1 as long as nothing happens, 0 not at all.  For tests. */
int uring_loop_turn(struct uring_loop *loop, int wait_ms);

/* uring_loop_coalesce - while much comes in, wait up to limit_ns for several results before a turn (uring_coalesce.h); 0 = never, as at the
 * start, and nobody near gets precedence either (uring_wake_fd).  From the next turn on. */
void uring_loop_coalesce(struct uring_loop *loop, uint64_t limit_ns);

uint64_t uring_loop_now_ns(const struct uring_loop *loop); /* CLOCK_MONOTONIC of this turn */
void uring_loop_counts(const struct uring_loop *loop, struct uring_loop_counts *ret_counts);
const char *uring_loop_backend(const struct uring_loop *loop); /* "io_uring" or "epoll" */

/* Timers: embedded in their owner, at most one expiry each; a heap threaded through the timers, so setting one needs neither
 * memory nor a system call and cannot fail.  The delay counts from this turn's time; moving a set timer to a later time costs
 * O(1).  A timer that is set inside a callback never fires in the same turn. */
struct uring_timer {
    void (*fired)(struct uring_timer *timer);
    uint64_t at_ns;                               /* private; 0 = not set.  A zeroed timer with fired set is ready for use */
    uint64_t key_ns;                              /* private; its place in the heap, never later than at_ns */
    struct uring_timer *child, *sibling, *before; /* private; before: the elder sibling, or the parent of an eldest child */
};
void uring_timer_set(struct uring_loop *loop, struct uring_timer *timer, uint64_t delay_ns); /* sets or moves */
void uring_timer_clear(struct uring_loop *loop, struct uring_timer *timer);                  /* clearing an unset timer is fine */
static inline bool uring_timer_is_set(const struct uring_timer *timer)
{
    return timer->at_ns != 0;
}

/* Turn hooks: called at the end of each turn, before the next submission: where batches are published. */
struct uring_hook {
    void (*run)(struct uring_hook *hook);
    struct list link; /* private */
};
void uring_hook_add(struct uring_loop *loop, struct uring_hook *hook);
void uring_hook_remove(struct uring_loop *loop, struct uring_hook *hook);

/* Watches: readable(fd) is called in each turn in which a descriptor is readable (eventfd, signalfd, pidfd, a listening socket).
 * It is a level, not an edge: an owner that takes one connection of three is called again; one that takes nothing must close the
 * watch. */
struct uring_watch;
int uring_watch_open(struct uring_loop *loop, int fd, void (*readable)(void *owner, int fd), void *owner,
                     struct uring_watch **ret_watch);
void uring_watch_close(struct uring_watch *watch); /* no callback after this; the descriptor stays the caller's */

/* uring_wake_fd - writes 1 to an eventfd: with the next submission, or at once with epoll; no allocation, errors are counted, not
 * told. The eventfd must be EFD_NONBLOCK: a blocking one makes the kernel hand the write to a worker thread (measured: 88 us
 * instead of 0.8). Close it with uring_close_fd, or not in the same turn: else the number may be somebody else's when the write
 * happens.
 * near: who is woken sleeps on this very processor.  In a burst (the turn brought several results, or the loop is busy, and more has come in)
 * writes are made at once, and the near ones run before more is taken in: else a burst would be taken in to its end before any of it goes
 * on.  A hint; the epoll backend does not take it. */
void uring_wake_fd(struct uring_loop *loop, int eventfd, bool near);

/* uring_close_fd - closes a descriptor behind everything that was queued for it so far. */
void uring_close_fd(struct uring_loop *loop, int fd);

#endif
