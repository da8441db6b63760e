/* base/fnv.h - FNV-1a with 64 bits: tells accidents (a torn file, another event) apart from the original.  No defence against somebody who
 * wants two texts with one sum.  Pure. */
#ifndef BASE_FNV_H
#define BASE_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_START 0xcbf29ce484222325u

/* fnv_add - the sum after size more bytes; begin with FNV_START. */
static inline uint64_t fnv_add(uint64_t sum, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ at[i]) * 0x100000001b3u;
    return sum;
}

#endif
