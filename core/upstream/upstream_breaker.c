#include "core/upstream/upstream_breaker.h"

#include "core/base/clock.h"

bool breaker_admits(struct upstream_breaker *breaker, uint64_t now_ns)
{
    if (breaker->open_ms == 0)
        return true;
    if (breaker->probing || now_ns - breaker->opened_ns < breaker->open_ms * CLOCK_MS)
        return false;
    breaker->probing = true;
    return true;
}

void breaker_good(struct upstream_breaker *breaker)
{
    *breaker = (struct upstream_breaker){0};
}

bool breaker_bad(struct upstream_breaker *breaker, uint64_t now_ns)
{
    bool was_open = breaker->open_ms > 0;

    if (was_open && !breaker->probing)
        return false; /* a call from before it opened: known already */
    if (!was_open && ++breaker->failures < BREAKER_FAILURES)
        return false;
    breaker->open_ms = !was_open ? BREAKER_FIRST_MS : breaker->open_ms < BREAKER_LONGEST_MS / 2 ? breaker->open_ms * 2 : BREAKER_LONGEST_MS;
    breaker->opened_ns = now_ns;
    breaker->probing = false;
    return !was_open;
}

void breaker_gone(struct upstream_breaker *breaker)
{
    breaker->probing = false;
}

const char *breaker_state_text(const struct upstream_breaker *breaker, uint64_t now_ns)
{
    if (breaker->open_ms == 0)
        return "closed";
    return breaker->probing || now_ns - breaker->opened_ns >= breaker->open_ms * CLOCK_MS ? "half" : "open";
}
