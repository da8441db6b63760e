/* metrics/trail_mutate.h - how tests/race/race_trail.c proves that its proof can fail: copies of trail.c and trail_view.c in which one
 * step is left out (-DTRAIL_MUTATE=TRAIL_MUTATE_...), and a hook at each step, so that an interleaving is forced and not waited for.  In
 * every other build both macros vanish. */
#ifndef TRAIL_MUTATE_H
#define TRAIL_MUTATE_H

#ifndef TRAIL_MUTATE

#define TRAIL_MUTANT(name) 0
#define TRAIL_STEP(name) ((void)0)

#else

enum trail_mutant {
    TRAIL_MUTATE_NONE,
    TRAIL_MUTATE_NO_W1,      /* the slot is not marked busy before its words change */
    TRAIL_MUTATE_HEAD_FIRST, /* the head is moved before the event is whole */
    TRAIL_MUTATE_NO_R1,      /* any even number is taken for the event that was asked for */
    TRAIL_MUTATE_NO_R4       /* the number is not looked at again after the copy */
};

enum trail_step { TRAIL_AT_W1, TRAIL_AT_W3_HALF, TRAIL_AT_W3, TRAIL_AT_W4, TRAIL_AT_W5, TRAIL_AT_R1, TRAIL_AT_R2 };

extern void (*trail_test_hook)(enum trail_step step); /* defined by the test, may be NULL */

#define TRAIL_MUTANT(name) (TRAIL_MUTATE == TRAIL_MUTATE_##name)
#define TRAIL_STEP(name)                                                                                                            \
    do {                                                                                                                            \
        if (trail_test_hook)                                                                                                        \
            trail_test_hook(TRAIL_AT_##name);                                                                                       \
    } while (0)

#endif
#endif
