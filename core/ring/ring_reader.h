/* ring/ring_reader.h - one reader over memory it can only read.  Owner: one thread; a pure function of the memory and its own position.
 * Hostile or damaged memory can make it answer anything, but never read outside the mapping or overrun ret_record. */
#ifndef RING_READER_H
#define RING_READER_H

#include "core/ring/ring_layout.h"
#include "core/ring/ring_memory.h"

enum ring_result {
    RING_OK,
    RING_EMPTY,  /* nothing new */
    RING_LAPPED, /* the writer has overwritten what this reader wanted: it lost its place, see ring_reader_resync */
};

struct ring_reader {
    const struct ring_header *header;
    const struct ring_slot *slots;
    uint64_t mask;
    uint64_t next; /* sequence wanted next */
};

/* ring_reader_open - checks the header (magic, layout, size against slots) and starts at the present head.  -EPROTO with words. */
int ring_reader_open(const struct ring_memory *memory, struct ring_reader *ret_reader, struct why *why);

/* ring_read - the next record, copied and validated.  On RING_OK the position moves on; on RING_LAPPED it stays. */
enum ring_result ring_read(struct ring_reader *reader, struct ring_record *ret_record);

/* ring_reader_resync - moves to the present head; returns how many sequences were lost (at least). */
uint64_t ring_reader_resync(struct ring_reader *reader);

/* ring_reader_lag - sequences between this reader and the head. */
uint64_t ring_reader_lag(const struct ring_reader *reader);

/* ring_reader_writer_stuck - true if the slot this reader waits for was begun but not finished and the writer's last sign of life is
 * older than limit_ns: it died in the middle of a record. */
int ring_reader_writer_stuck(const struct ring_reader *reader, uint64_t now_ns, uint64_t limit_ns);

#endif
