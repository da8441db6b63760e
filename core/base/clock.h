/* base/clock.h - time, injectable: code that decides by time takes a value, only loops ask the clock. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_US 1000ull       /* nanoseconds in a microsecond */
#define CLOCK_MS 1000000ull    /* nanoseconds in a millisecond */
#define CLOCK_S 1000000000ull  /* nanoseconds in a second */

uint64_t clock_now_ns(void);  /* CLOCK_MONOTONIC: the same in every process of this machine */
uint64_t clock_wall_s(void);  /* seconds since 1970, UTC; up to a tick late, and so behind clock_wall_ms by that */
uint64_t clock_wall_ms(void); /* milliseconds since 1970, UTC */

#endif
