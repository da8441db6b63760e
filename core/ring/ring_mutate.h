/* ring/ring_mutate.h - how tests/race proves that its proofs can fail: copies of these sources in which one step is left out or done
 * wrong (-DRING_MUTATE=RING_MUTATE_...), and a hook at each step, so that an interleaving is forced and not waited for.
 * In every other build RING_MUTATE is not defined and both macros vanish: RING_MUTANT(x) is 0, RING_STEP(x) is nothing. */
#ifndef RING_MUTATE_H
#define RING_MUTATE_H

#ifndef RING_MUTATE

#define RING_MUTANT(name) 0
#define RING_STEP(name) ((void)0)

#else

/* What is wrong with the copy.  W2, W4, R1 and R3 are not here: on x86 no run can show that they are missing. */
enum ring_mutant {
    RING_MUTATE_NONE,
    RING_MUTATE_NO_W1,        /* the slot is not marked busy before its words change */
    RING_MUTATE_NO_R4,        /* the slot's sequence is not looked at again after the copy */
    RING_MUTATE_HEAD_FIRST,   /* a record's head slot is published before the slots that follow it */
    RING_MUTATE_LAP_ANY,      /* "too late" is told by head > want */
    RING_MUTATE_LAP_UNSIGNED, /* head - want is compared unsigned */
    RING_MUTATE_NO_V1,        /* an evicted stream keeps its generation */
    RING_MUTATE_FREE_LATE,    /* an evicted stream gets its next generation before its state says FREE */
    RING_MUTATE_NO_V4,        /* the generation is not looked at again after the copy */
    RING_MUTATE_NO_S2,        /* no fence between flag and look: x86 may then do S3 before S1, and the test does */
    RING_MUTATE_NO_S3,        /* no second look before the wait: the caller's duty, so only the test's caller changes */
    RING_MUTATE_NO_P2         /* no fence between batch and flag: x86 may then do P3 before P1, and the test does */
};

/* Where a test may stop the code; each name is the step that has just been done. */
enum ring_step {
    RING_AT_W1,
    RING_AT_W3_HALF,
    RING_AT_W3,
    RING_AT_W4,
    RING_AT_W5,
    RING_AT_R1,
    RING_AT_R2_HALF,
    RING_AT_R2,
    RING_AT_V1,
    RING_AT_JOURNAL_HALF,
    RING_AT_JOURNAL_COPY
};

extern void (*ring_test_hook)(enum ring_step step); /* defined by the test, may be NULL */

#define RING_MUTANT(name) (RING_MUTATE == RING_MUTATE_##name)
#define RING_STEP(name)                                                                                                             \
    do {                                                                                                                            \
        if (ring_test_hook)                                                                                                         \
            ring_test_hook(RING_AT_##name);                                                                                         \
    } while (0)

#endif
#endif
