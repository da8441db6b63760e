#include "core/uring/uring_coalesce.h"

#include "core/base/clock.h"

#define WINDOW_NS (10 * CLOCK_MS)

void uring_coalesce_note(struct uring_coalesce *coalesce, uint64_t now_ns, uint64_t results)
{
    uint64_t passed_ns = now_ns - coalesce->since_ns, rate = coalesce->busy ? URING_COALESCE_CALM : URING_COALESCE_BUSY;

    coalesce->results += results;
    if (passed_ns < WINDOW_NS)
        return;
    /* After a quiet time the window is long, and its rate low. */
    coalesce->busy = coalesce->results >= rate * (passed_ns / CLOCK_MS);
    coalesce->since_ns = now_ns;
    coalesce->results = 0;
}
