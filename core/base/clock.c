#include "core/base/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * CLOCK_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_s(void)
{
    return read_ns(CLOCK_REALTIME_COARSE) / CLOCK_S; /* asked for with every delta: a tick late is early enough for seconds */
}

uint64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / CLOCK_MS;
}
