#include "core/metrics/stats_page.h"

/* Sixteen buckets to an octave, from 2^6 to 2^37; bucket 0 is below, the last one above. */
#define SUB_BITS 4u
#define FIRST_OCTAVE 6u
#define LAST_OCTAVE 37u
_Static_assert(STATS_BUCKETS == ((LAST_OCTAVE - FIRST_OCTAVE) << SUB_BITS) + 2, "the layout's bucket count");

uint32_t stats_bucket_of(uint64_t value_ns)
{
    if (value_ns < (1ull << FIRST_OCTAVE))
        return 0;
    if (value_ns >= (1ull << LAST_OCTAVE))
        return STATS_BUCKETS - 1;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(value_ns);
    uint32_t sub = (uint32_t)(value_ns >> (octave - SUB_BITS)) & ((1u << SUB_BITS) - 1);
    return 1 + ((octave - FIRST_OCTAVE) << SUB_BITS) + sub;
}

uint64_t stats_bucket_upper_ns(uint32_t bucket)
{
    if (bucket == 0)
        return 1ull << FIRST_OCTAVE;
    if (bucket >= STATS_BUCKETS - 1)
        return UINT64_MAX;
    uint32_t octave = FIRST_OCTAVE + ((bucket - 1) >> SUB_BITS);
    uint64_t sub = (bucket - 1) & ((1u << SUB_BITS) - 1);
    return ((1ull << SUB_BITS) + sub + 1) << (octave - SUB_BITS);
}
