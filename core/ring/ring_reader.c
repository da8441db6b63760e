#include "core/ring/ring_reader.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/ring/ring_mutate.h"

int ring_reader_open(const struct ring_memory *memory, struct ring_reader *ret_reader, struct why *why)
{
    const struct ring_header *header = memory->base;
    uint32_t layout, slots;

    if (memory->size < RING_HEADER_SIZE)
        return why_set(why, -EPROTO, "the ring has %zu bytes, its header alone needs %u", memory->size, RING_HEADER_SIZE);
    if (atomic_load_explicit(&header->magic, memory_order_acquire) != RING_MAGIC)
        return why_set(why, -EPROTO, "this memory is not a ring, or not a finished one");
    layout = header->layout;
    slots = header->slots; /* once: what was checked is what is used */
    if (layout != RING_LAYOUT)
        return why_set(why, -EPROTO, "the ring has layout %u, this program reads %u", layout, RING_LAYOUT);
    if (slots < RING_SLOTS_MIN || slots > RING_SLOTS_MAX || (slots & (slots - 1)) != 0)
        return why_set(why, -EPROTO, "the ring says it has %u slots: not a power of two from %u to %u", slots, RING_SLOTS_MIN,
                       RING_SLOTS_MAX);
    if ((memory->size - RING_HEADER_SIZE) / sizeof(struct ring_slot) < slots)
        return why_set(why, -EPROTO, "the ring says it has %u slots, its %zu bytes do not hold them", slots, memory->size);
    *ret_reader = (struct ring_reader){
        .header = header,
        .slots = (const struct ring_slot *)((const char *)memory->base + RING_HEADER_SIZE),
        .mask = slots - 1,
        .next = atomic_load_explicit(&header->head, memory_order_acquire),
    };
    return 0;
}

/* The slot holds seq and not what is wanted: not yet, or too late?  head may be behind the slots (W5 lags W4), even behind want, so
 * the difference is signed; and it may have moved on since R1, so only a whole ring of distance means "too late". */
static enum ring_result not_there(const struct ring_reader *reader, uint64_t want, uint64_t seq)
{
    uint64_t head;

    if (seq != RING_SLOT_BUSY && (int64_t)(seq - want) > 0)
        return RING_LAPPED;
    head = atomic_load_explicit(&reader->header->head, memory_order_acquire);
    if (RING_MUTANT(LAP_ANY))
        return (int64_t)(head - want) > 0 ? RING_LAPPED : RING_EMPTY;
    if (RING_MUTANT(LAP_UNSIGNED))
        return head - want > reader->mask ? RING_LAPPED : RING_EMPTY;
    return (int64_t)(head - want) > (int64_t)reader->mask ? RING_LAPPED : RING_EMPTY;
}

/* Copies the slot that was seen to hold want at R1.  False: it was overwritten meanwhile and the copy is worth nothing. */
static bool copy_slot(const struct ring_slot *slot, uint64_t want, uint64_t *ret_words)
{
    for (size_t i = 0; i < RING_SLOT_WORDS; i++) {
        ret_words[i] = atomic_load_explicit(&slot->word[i], memory_order_relaxed);         /* R2 */
        if (i == 3)
            RING_STEP(R2_HALF);
    }
    RING_STEP(R2);
    atomic_thread_fence(memory_order_acquire);                                             /* R3 */
    return RING_MUTANT(NO_R4) || atomic_load_explicit(&slot->seq, memory_order_relaxed) == want; /* R4 */
}

enum ring_result ring_read(struct ring_reader *reader, struct ring_record *ret_record)
{
    union {
        uint64_t word[RING_RECORD_SLOTS_MAX * RING_SLOT_WORDS];
        struct ring_record record;
    } copy; /* only validated bytes are acted on, never those still in the ring */
    const struct ring_slot *slot = &reader->slots[reader->next & reader->mask];
    uint64_t want = reader->next, seq, slots;
    size_t size;

    _Static_assert(sizeof copy.word == sizeof copy.record, "a record fills its slots");
    seq = atomic_load_explicit(&slot->seq, memory_order_acquire);                          /* R1 */
    RING_STEP(R1);
    if (seq != want)
        return not_there(reader, want, seq);
    if (!copy_slot(slot, want, copy.word))
        return RING_LAPPED;
    if (copy.record.size > RING_DATA_MAX)
        return RING_LAPPED; /* damaged memory: no writer of ours stored this; the reader starts again at head */
    size = offsetof(struct ring_record, data) + copy.record.size;
    slots = (size + RING_NEXT_DATA - 1) / RING_NEXT_DATA;
    for (uint64_t i = 1; i < slots; i++) {
        slot = &reader->slots[(want + i) & reader->mask];
        /* They were published before the head slot, so another sequence here means overwritten, never "not yet". */
        if (atomic_load_explicit(&slot->seq, memory_order_acquire) != want + i ||          /* R1 */
            !copy_slot(slot, want + i, copy.word + i * RING_SLOT_WORDS))
            return RING_LAPPED;
    }
    memcpy(ret_record, &copy.record, size);
    reader->next = want + slots;
    return RING_OK;
}

uint64_t ring_reader_lag(const struct ring_reader *reader)
{
    int64_t lag = (int64_t)(atomic_load_explicit(&reader->header->head, memory_order_acquire) - reader->next);

    return lag > 0 ? (uint64_t)lag : 0; /* head may be a little behind what has been read */
}

uint64_t ring_reader_resync(struct ring_reader *reader)
{
    uint64_t head = atomic_load_explicit(&reader->header->head, memory_order_acquire);
    int64_t lost = (int64_t)(head - reader->next);

    reader->next = head;
    return lost > 0 ? (uint64_t)lost : 0;
}

/* A record of several slots is begun in the slots that follow its head, so those are looked at too. */
int ring_reader_writer_stuck(const struct ring_reader *reader, uint64_t now_ns, uint64_t limit_ns)
{
    uint64_t beat = atomic_load_explicit(&reader->header->writer_beat_ns, memory_order_relaxed);

    if (now_ns <= beat || now_ns - beat <= limit_ns)
        return 0;
    for (uint64_t i = 0; i < RING_RECORD_SLOTS_MAX; i++) {
        uint64_t want = reader->next + i;
        uint64_t seq = atomic_load_explicit(&reader->slots[want & reader->mask].seq, memory_order_acquire);

        if (seq == RING_SLOT_BUSY)
            return 1;
        if (i == 0 && (int64_t)(seq - want) >= 0)
            return 0; /* there is a record to read, or this reader was lapped: it does not wait */
        if (seq == want)
            return 1;
    }
    return 0;
}
