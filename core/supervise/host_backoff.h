/* supervise/host_backoff.h - when a host that died may come back: pure arithmetic, no clock of its own. */
#ifndef HOST_BACKOFF_H
#define HOST_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_BACKOFF_FIRST_MS 100u
#define HOST_BACKOFF_MAX_MS 10000u
#define HOST_FAILURES_MAX 10u        /* that many ... */
#define HOST_FAILURES_WINDOW_S 60u   /* ... within so long: held down until an operator restarts it */

struct host_backoff {
    uint64_t failed_ns[HOST_FAILURES_MAX]; /* CLOCK_MONOTONIC of the latest failures, oldest first */
    uint32_t count;
};

/* host_backoff_failed - notes a failure.  Returns the wait in ms before the next start (doubling with each failure of the last minute),
 * or sets *ret_held when it must stay down. */
uint32_t host_backoff_failed(struct host_backoff *backoff, uint64_t now_ns, bool *ret_held);

/* host_backoff_reset - an operator says start again. */
void host_backoff_reset(struct host_backoff *backoff);

#endif
