/* im-custom-message/im_pace.h - when the next call may go, and whose it is.  Pure: time is a value.
 *
 * The pace is a bucket whose burst and refill together stay under `rate`, so that no second, wherever it begins, holds more than rate
 * calls; a tenth is kept back because calls do not travel equally fast.  The turns are two queues: who has shown nothing yet comes first,
 * but after seven of those one of the others has its turn, so nobody starves; within a queue it is first come, first served, and who has
 * been served goes to the end: round robin.  An entry is in one queue at most once, whatever happens to it meanwhile. */
#ifndef IM_PACE_H
#define IM_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct im_pace {
    uint64_t gap_ns;   /* between calls at the steady rate */
    uint64_t slack_ns; /* how far ahead of it a burst may run */
    uint64_t at_ns;    /* when the next call would be due at the steady rate */
};

/* im_pace_init - rate >= 1: calls in any one second. */
void im_pace_init(struct im_pace *pace, uint32_t rate);
/* im_pace_next - the earliest time of the next call: now_ns, or later. */
uint64_t im_pace_next(const struct im_pace *pace, uint64_t now_ns);
/* im_pace_take - counts one call made at now_ns >= im_pace_next(). */
void im_pace_take(struct im_pace *pace, uint64_t now_ns);
/* im_pace_empty - no burst for now: the service has complained. */
void im_pace_empty(struct im_pace *pace, uint64_t now_ns);

#define IM_FIRSTS_IN_A_ROW 7u

struct im_turn { /* embedded in whoever waits */
    TAILQ_ENTRY(im_turn) link;
    bool waits, first;
};

struct im_turns {
    TAILQ_HEAD(im_turn_list, im_turn) firsts, others;
    uint32_t in_a_row; /* firsts served since an other */
    size_t count;
};

void im_turns_init(struct im_turns *turns);
/* im_turns_add - queues it once; first: it has shown nothing yet. */
void im_turns_add(struct im_turns *turns, struct im_turn *turn, bool first);
void im_turns_remove(struct im_turns *turns, struct im_turn *turn); /* not queued is fine */
struct im_turn *im_turns_take(struct im_turns *turns);              /* NULL: nobody waits */

/* im_backoff_ms - how long to wait before try number tries (from 0): 0.2 s doubling up to 5 s, less up to a quarter by chance. */
uint32_t im_backoff_ms(uint32_t tries, uint32_t chance);

#endif
