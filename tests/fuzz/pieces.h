/* tests/fuzz/pieces.h - cuts an input at places that depend on it alone, so that a found input fails again. */
#ifndef PIECES_H
#define PIECES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Like assert, but also in release builds: the corpus runs in them too. */
#define REQUIRE(condition)                                                                                                           \
    do {                                                                                                                             \
        if (!(condition)) {                                                                                                          \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                            \
            abort();                                                                                                                 \
        }                                                                                                                            \
    } while (0)

struct pieces {
    const char *bytes;
    size_t size, at;
    uint64_t random; /* 0: all in one piece */
    char *copy;      /* the piece handed out, in memory of exactly its size */
};

/* seed: 0 = whole; else cuts that differ by seed. */
static inline struct pieces pieces_of(const uint8_t *data, size_t size, uint64_t seed)
{
    struct pieces p = {.bytes = (const char *)data, .size = size, .random = seed};

    for (size_t i = 0; seed && i < size; i++)
        p.random = (p.random ^ data[i]) * UINT64_C(0x100000001b3);
    if (seed)
        p.random |= 1;
    return p;
}

/* The next piece, 1..17 bytes when cut, or NULL at the end.  The one before it is gone. */
static inline const char *pieces_next(struct pieces *p, size_t *ret_size)
{
    size_t left = p->size - p->at, size = left;

    free(p->copy);
    p->copy = NULL;
    if (left == 0)
        return NULL;
    if (p->random) {
        p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size = 1 + (size_t)(p->random >> 33) % 17;
        if (size > left)
            size = left;
        p->random |= 1;
    }
    p->copy = malloc(size);
    REQUIRE(p->copy != NULL);
    memcpy(p->copy, p->bytes + p->at, size);
    p->at += size;
    *ret_size = size;
    return p->copy;
}

static inline void pieces_end(struct pieces *p)
{
    free(p->copy);
    p->copy = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
