#include "core/supervise/host_backoff.h"

#include <string.h>

#include "core/base/clock.h"

uint32_t host_backoff_failed(struct host_backoff *backoff, uint64_t now_ns, bool *ret_held)
{
    uint32_t wait_ms = HOST_BACKOFF_FIRST_MS, recent = 0;

    if (backoff->count == HOST_FAILURES_MAX) {
        memmove(backoff->failed_ns, backoff->failed_ns + 1, sizeof backoff->failed_ns - sizeof backoff->failed_ns[0]);
        backoff->count--;
    }
    backoff->failed_ns[backoff->count++] = now_ns;
    for (uint32_t i = 0; i < backoff->count; i++)
        recent += now_ns - backoff->failed_ns[i] < HOST_FAILURES_WINDOW_S * CLOCK_S;
    for (uint32_t i = 1; i < recent && wait_ms < HOST_BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    *ret_held = recent == HOST_FAILURES_MAX;
    return wait_ms < HOST_BACKOFF_MAX_MS ? wait_ms : HOST_BACKOFF_MAX_MS;
}

void host_backoff_reset(struct host_backoff *backoff)
{
    backoff->count = 0;
}
