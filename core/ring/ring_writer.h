/* ring/ring_writer.h - the one writer.  Owner: the core's loop thread; never blocks, never allocates after create, never waits for a reader. */
#ifndef RING_WRITER_H
#define RING_WRITER_H

#include "core/ring/ring_layout.h"
#include "core/ring/ring_memory.h"

struct ring_writer {
    struct ring_memory memory;
    struct ring_header *header;
    struct ring_slot *slots;
    uint64_t mask;
    uint64_t next; /* sequence of the next slot */
};

/* ring_writer_create - slots: a power of two, RING_SLOTS_MIN..RING_SLOTS_MAX, else -EINVAL with the two nearest in why. */
int ring_writer_create(uint32_t slots, uint64_t epoch, struct ring_writer *ret_writer, struct why *why);
void ring_writer_free(struct ring_writer *writer);

/* ring_publish - makes one record visible.  record->size <= RING_DATA_MAX (asserted). */
void ring_publish(struct ring_writer *writer, const struct ring_record *record);

/* ring_writer_beat - tells readers that the writer lives: at least once a second. */
void ring_writer_beat(struct ring_writer *writer, uint64_t now_ns);

#endif
