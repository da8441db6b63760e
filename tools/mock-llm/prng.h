/* prng - splitmix64: one word of state, the same numbers on every machine for the same seed. */
#ifndef MOCK_LLM_PRNG_H
#define MOCK_LLM_PRNG_H
#include <stdint.h>

struct prng {
    uint64_t state; /* set it to the seed; every value is fine, zero too */
};

/* prng_next returns the next 64 bits. */
static inline uint64_t prng_next(struct prng *prng)
{
    uint64_t z = (prng->state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* prng_below returns a number in 0 .. bound-1; bound must not be 0.  The tiny bias does not matter here. */
static inline uint32_t prng_below(struct prng *prng, uint32_t bound)
{
    return (uint32_t)((prng_next(prng) >> 32) * bound >> 32);
}
#endif
