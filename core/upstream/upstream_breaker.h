/* upstream/upstream_breaker.h - a circuit breaker: a service that keeps failing is left alone for a while.  Pure arithmetic, no clock.
 *
 *   CLOSED --BREAKER_FAILURES failures in a row--> OPEN --its time is over--> HALF (one probe) --good--> CLOSED
 *                                                    ^                          |
 *                                                    +------- bad: twice as long, at most BREAKER_LONGEST_MS */
#ifndef UPSTREAM_BREAKER_H
#define UPSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5u
#define BREAKER_FIRST_MS 2000u
#define BREAKER_LONGEST_MS 60000u

struct upstream_breaker { /* zeroed: closed */
    uint32_t failures;    /* in a row */
    uint32_t open_ms;     /* how long this time; 0 = closed */
    uint64_t opened_ns;
    bool probing;         /* HALF: one call is on its way */
};

/* breaker_admits - may a call go there now?  True in HALF makes this call the probe. */
bool breaker_admits(struct upstream_breaker *breaker, uint64_t now_ns);
/* breaker_good, breaker_bad - how a call ended; breaker_gone - it was cancelled and says nothing.  True: the breaker has just opened. */
void breaker_good(struct upstream_breaker *breaker);
bool breaker_bad(struct upstream_breaker *breaker, uint64_t now_ns);
void breaker_gone(struct upstream_breaker *breaker);

/* breaker_state_text - "closed", "open", or "half" once a probe may go or is on its way.  For lists: changes nothing. */
const char *breaker_state_text(const struct upstream_breaker *breaker, uint64_t now_ns);

#endif
