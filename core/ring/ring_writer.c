#include "core/ring/ring_writer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/ring/ring_mutate.h"

/* The first 24 bytes of a record and its data are cut as they lie in memory: 56 bytes a slot. */
_Static_assert(offsetof(struct ring_record, data) == RING_NEXT_DATA - RING_HEAD_DATA, "fields and data of a head slot are adjacent");
_Static_assert(RING_NEXT_DATA == RING_SLOT_WORDS * sizeof(uint64_t), "a slot is filled by its words");

int ring_writer_create(uint32_t slots, uint64_t epoch, struct ring_writer *ret_writer, struct why *why)
{
    uint32_t above = (uint32_t)number_power_of_two(slots);
    struct ring_memory memory = {.fd = -1};
    struct ring_writer writer;
    int r;

    if (slots < RING_SLOTS_MIN || slots > RING_SLOTS_MAX)
        return why_set(why, -EINVAL, "slots=%u is out of range; use a power of two from %u to %u", slots, RING_SLOTS_MIN, RING_SLOTS_MAX);
    if (slots != above)
        return why_set(why, -EINVAL, "slots=%u is not a power of two; use %u or %u", slots, above / 2, above);
    r = ring_memory_create("umbel-ring", RING_HEADER_SIZE + (size_t)slots * sizeof(struct ring_slot), &memory, why);
    if (r < 0)
        return r;
    writer = (struct ring_writer){.memory = memory, .header = memory.base, .mask = slots - 1};
    writer.slots = (struct ring_slot *)((char *)memory.base + RING_HEADER_SIZE);
    /* A sequence of two rounds before the first record: nobody wants it, and unlike BUSY it does not look begun. */
    for (uint64_t i = 0; i < slots; i++)
        atomic_store_explicit(&writer.slots[i].seq, i - 2 * (uint64_t)slots, memory_order_relaxed);
    writer.header->layout = RING_LAYOUT;
    writer.header->slots = slots;
    writer.header->epoch = epoch;
    ring_writer_beat(&writer, clock_now_ns());
    atomic_store_explicit(&writer.header->magic, RING_MAGIC, memory_order_release);
    *ret_writer = writer;
    return 0;
}

void ring_writer_free(struct ring_writer *writer)
{
    ring_memory_free(&writer->memory);
    *writer = (struct ring_writer){.memory.fd = -1};
}

/* One slot.  W1 and the fence W2 pair with R3, R4: a reader that read any newer word at R2 sees BUSY or later at R4.
 * W4 (release) pairs with R1 (acquire): who sees seq sees every word stored at W3 for it. */
static void put_slot(struct ring_slot *slot, uint64_t seq, const unsigned char *bytes, size_t size)
{
    size_t words = size / sizeof(uint64_t), rest = size % sizeof(uint64_t);
    uint64_t word;

    if (!RING_MUTANT(NO_W1))
        atomic_store_explicit(&slot->seq, RING_SLOT_BUSY, memory_order_relaxed);           /* W1 */
    RING_STEP(W1);
    atomic_thread_fence(memory_order_release);                                             /* W2 */
    for (size_t i = 0; i < words; i++) {
        memcpy(&word, bytes + i * sizeof word, sizeof word);
        atomic_store_explicit(&slot->word[i], word, memory_order_relaxed);                 /* W3 */
        if (i == 3)
            RING_STEP(W3_HALF);
    }
    if (rest > 0) {
        word = 0; /* bytes past the data stay ours: the memory is read by others */
        memcpy(&word, bytes + words * sizeof word, rest);
        atomic_store_explicit(&slot->word[words], word, memory_order_relaxed);             /* W3 */
    }
    RING_STEP(W3);
    atomic_store_explicit(&slot->seq, seq, memory_order_release);                          /* W4 */
    RING_STEP(W4);
}

/* Slot number i of a record whose bytes, fields and data, are size in all. */
static void put_piece(struct ring_writer *writer, uint64_t i, const unsigned char *bytes, size_t size)
{
    size_t begin = i * RING_NEXT_DATA, left = size - begin;
    uint64_t seq = writer->next + i;

    put_slot(&writer->slots[seq & writer->mask], seq, bytes + begin, left < RING_NEXT_DATA ? left : RING_NEXT_DATA);
}

/* The following slots first (each by W1 - W4), then the head slot (W1 - W4): who sees a head slot sees the whole record.
 * W5 (release) may lag W4: head is a hint, read only to tell "not yet" from "too late". */
void ring_publish(struct ring_writer *writer, const struct ring_record *record)
{
    const unsigned char *bytes = (const unsigned char *)record;
    size_t size = offsetof(struct ring_record, data) + record->size;
    uint64_t slots = (size + RING_NEXT_DATA - 1) / RING_NEXT_DATA;

    assert(record->size <= RING_DATA_MAX);
    if (RING_MUTANT(HEAD_FIRST))
        put_piece(writer, 0, bytes, size);
    for (uint64_t i = 1; i < slots; i++)
        put_piece(writer, i, bytes, size);
    if (!RING_MUTANT(HEAD_FIRST))
        put_piece(writer, 0, bytes, size);
    writer->next += slots;
    atomic_store_explicit(&writer->header->head, writer->next, memory_order_release);      /* W5 */
    RING_STEP(W5);
}

void ring_writer_beat(struct ring_writer *writer, uint64_t now_ns)
{
    atomic_store_explicit(&writer->header->writer_beat_ns, now_ns, memory_order_relaxed);
}
