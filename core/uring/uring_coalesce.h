/* uring/uring_coalesce.h - when a busy loop waits a moment for more, so that one turn serves many.
 *
 * A turn costs more than what it brings: the switch to this thread, the wake-ups of hosts and their switches.  A loop that gets many
 * results a millisecond therefore waits for several of them, bounded in number and time.  Network cards space out their interrupts in the
 * same way.  A wait costs as well (a timer, and its own switch when nothing comes): it has to be expected to bring more than one.
 * A result is whatever completes: received bytes mostly, also sends and ends. */
#ifndef URING_COALESCE_H
#define URING_COALESCE_H

#include <stdbool.h>
#include <stdint.h>

#define URING_COALESCE_RESULTS 16u /* so many end the wait */
#define URING_COALESCE_BEGIN 2u    /* results that come in the longest wait at the mean rate, from which a loop waits */
#define URING_COALESCE_END 1u      /* ... below which it stops: lower, because what waits together comes in fewer results */

struct uring_coalesce {
    uint64_t limit_ns; /* longest wait; 0 = never.  Epoll's is longer by the thread's timer slack, 50 us by default */
    uint64_t since_ns; /* private: when this window began */
    uint64_t results;  /* private: those of this window */
    bool busy;         /* private: as the last window was */
};

/* uring_coalesce_note - after each turn, with the results it brought.  now_ns never goes back.  Judges by the mean of 10 ms and more:
 * with a limit of 50 us a loop begins to wait at 40 results a millisecond and stops below 20. */
void uring_coalesce_note(struct uring_coalesce *coalesce, uint64_t now_ns, uint64_t results);

/* uring_coalesce_rest - what is left of a wait after a fruitless one of coalesce_ns; UINT64_MAX = for ever. */
static inline uint64_t uring_coalesce_rest(uint64_t wait_ns, uint64_t coalesce_ns)
{
    return wait_ns == UINT64_MAX ? wait_ns : wait_ns - coalesce_ns;
}

/* uring_coalesce_ns - how long the next turn may wait for URING_COALESCE_RESULTS results before it takes what there is; 0 = for the first
 * one only. */
static inline uint64_t uring_coalesce_ns(const struct uring_coalesce *coalesce)
{
    return coalesce->busy ? coalesce->limit_ns : 0;
}

#endif
