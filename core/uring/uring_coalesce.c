#include "core/uring/uring_coalesce.h"

#include "core/base/clock.h"

#define WINDOW_NS (10 * CLOCK_MS)

void uring_coalesce_note(struct uring_coalesce *coalesce, uint64_t now_ns, uint64_t results)
{
    uint64_t passed_ns = now_ns - coalesce->since_ns, wanted = coalesce->busy ? URING_COALESCE_END : URING_COALESCE_BEGIN;

    coalesce->results += results;
    if (passed_ns < WINDOW_NS)
        return;
    /* After a quiet time the window is long, and its rate low. */
    coalesce->busy = coalesce->limit_ns > 0 && coalesce->results >= wanted * passed_ns / coalesce->limit_ns;
    coalesce->since_ns = now_ns;
    coalesce->results = 0;
}
