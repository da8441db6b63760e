/* ring/ring_layout.h - the broadcast ring in shared memory: one writer (the core's loop), any number of readers, none can slow the writer.
 *
 *   +----------------------+ 0
 *   | struct ring_header   |  written once, but head and writer_beat_ns
 *   +----------------------+ RING_HEADER_SIZE
 *   | struct ring_slot [0] |  64 bytes each, one cache line
 *   | ...                  |
 *   +----------------------+
 * A record is a head slot (24 bytes of fields + 32 bytes of data) and up to RING_RECORD_SLOTS_MAX - 1 following slots of 56 bytes of
 * data.  Each slot carries its own sequence; the following slots are published before the head slot, so who sees a head slot sees
 * the whole record.  Longer payloads are not in the ring (RING_IN_JOURNAL): the reader takes them from the journal.
 * All payload words are relaxed atomics: a torn read is detected by the sequence, never undefined behaviour. */
#ifndef RING_LAYOUT_H
#define RING_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RING_MAGIC 0x0001676e69726d75ull /* "umring", layout 1 */
#define RING_LAYOUT 1u
#define RING_HEADER_SIZE 4096u
#define RING_SLOT_WORDS 7u           /* payload words of a slot */
#define RING_HEAD_DATA 32u           /* data bytes in a head slot */
#define RING_NEXT_DATA 56u           /* data bytes in a following slot */
#define RING_RECORD_SLOTS_MAX 16u    /* so data is at most 32 + 15 * 56 = 872 bytes */
#define RING_DATA_MAX (RING_HEAD_DATA + (RING_RECORD_SLOTS_MAX - 1) * RING_NEXT_DATA)
#define RING_SLOTS_MIN 64u
#define RING_SLOTS_MAX (1u << 22)
#define RING_SLOT_BUSY UINT64_MAX    /* being written.  Before its first use a slot has a sequence of the past */

struct ring_slot {
    _Atomic uint64_t seq;
    _Atomic uint64_t word[RING_SLOT_WORDS];
};
_Static_assert(sizeof(struct ring_slot) == 64, "one slot is one cache line");

struct ring_header {
    _Atomic uint64_t magic;          /* stored last (release): who sees it sees a finished header */
    uint32_t layout;                 /* RING_LAYOUT */
    uint32_t slots;                  /* a power of two */
    uint64_t epoch;                  /* new at every core start */
    _Alignas(64) _Atomic uint64_t head; /* sequence of the next record; may lag the slots: a hint, read only to tell "not yet" from "too late" */
    _Alignas(64) _Atomic uint64_t writer_beat_ns; /* CLOCK_MONOTONIC, stored by the writer's loop at least once a second */
};
_Static_assert(sizeof(struct ring_header) <= RING_HEADER_SIZE, "header fits its page");

/* One record as the writer gives it and a reader gets it: a private copy. */
struct ring_record {
    uint32_t stream_slot;    /* journal slot of the stream */
    uint32_t generation;     /* of that slot: a reused slot has another one */
    uint8_t kind;            /* UMBEL_EVENT_* */
    uint8_t flags;           /* RING_IN_JOURNAL */
    uint16_t size;           /* bytes of data in this record; 0 with RING_IN_JOURNAL */
    uint32_t journal_offset; /* where this event begins in the stream's journal */
    uint64_t arrival_ns;     /* CLOCK_MONOTONIC of the upstream's bytes */
    uint8_t data[RING_DATA_MAX];
};
#define RING_IN_JOURNAL 1u /* the data is only in the journal */

#endif
