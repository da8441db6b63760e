/* metrics/trail_layout.h - the bytes of an event ring, shared by its writer and its reader. */
#ifndef TRAIL_LAYOUT_H
#define TRAIL_LAYOUT_H

#include <stdatomic.h>

#include "core/metrics/trail.h"

#define TRAIL_MAGIC 0x314c49415254424dull
#define TRAIL_LAYOUT 1u

struct trail_header {
    _Atomic uint64_t magic; /* stored last */
    uint32_t layout, slot_size, slots, header_size;
    _Atomic uint64_t head; /* number of the next event */
    uint64_t spare[4];
};
_Static_assert(sizeof(struct trail_header) == 64, "one cache line");

#define TRAIL_WORDS (sizeof(struct trail_record) / 8)
#define TRAIL_SLOT_WORDS 64u

struct trail_slot {
    _Atomic uint64_t seq;
    _Atomic uint64_t word[TRAIL_SLOT_WORDS - 1];
};
_Static_assert(sizeof(struct trail_record) % 8 == 0, "copied by words");
_Static_assert(sizeof(struct trail_record) <= sizeof(struct trail_slot) - 8, "a record fits its slot");

/* trail_size - bytes of a ring of so many slots. */
static inline uint64_t trail_size(uint32_t slots)
{
    return sizeof(struct trail_header) + (uint64_t)slots * sizeof(struct trail_slot);
}

/* trail_place - where in the file the ring begins: behind a stats page, or at 0.  -errno; *ret_at may be the end of the file. */
int trail_place(int fd, uint64_t *ret_at, uint64_t *ret_file_size, struct why *why);

#endif
