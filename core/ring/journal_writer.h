/* ring/journal_writer.h - the writing side of the journal.  Owner: the core's loop thread; never blocks; all memory is taken at create.
 *
 * Full: a page is needed and none is free -> finished streams are evicted, those without readers first, oldest end first; if that is not
 * enough the append answers -ENOSPC and the caller ends that stream honestly.  A new stream is refused (-ENOSPC) unless each live stream
 * and the new one could still get JOURNAL_HEADROOM pages.  A live stream is never evicted. */
#ifndef JOURNAL_WRITER_H
#define JOURNAL_WRITER_H

#include <stdbool.h>

#include "core/ring/journal_layout.h"
#include "core/ring/ring_memory.h"

#define JOURNAL_HEADROOM 4u /* pages kept attainable for each live stream */

struct journal_writer; /* opaque: memory, free list, the order of endings */

struct journal_counts {
    uint64_t pages_free, pages_live, pages_finished; /* gauges */
    uint64_t slots_free, streams_live, streams_finished;
    uint64_t evicted, refused, append_failed; /* since start */
};

/* journal_writer_create - an arena of bytes (pages + slots; at least 256 KiB); slots = pages / 4, at least 16, at most 65536.  */
int journal_writer_create(size_t bytes, uint64_t epoch, struct journal_writer **ret_writer, struct why *why);
void journal_writer_free(struct journal_writer *writer);
const struct ring_memory *journal_writer_memory(const struct journal_writer *writer);
void journal_writer_counts(const struct journal_writer *writer, struct journal_counts *ret_counts);
uint32_t journal_writer_slots(const struct journal_writer *writer);

/* journal_open - a new live stream.  -ENOSPC when full (see above).  on_evict, if set, has been told about each evicted stream. */
int journal_open(struct journal_writer *writer, const struct journal_identity *identity, struct journal_ref *ret_ref);

/* journal_append - one entry.  size <= JOURNAL_ENTRY_MAX.  Sets *ret_offset to where the entry begins.  -ENOSPC, -EFBIG (LOG_MAX
 * or ENTRY_MAX), -ESTALE (not a live stream); on failure nothing of the entry is visible and no stream was evicted in vain. */
int journal_append(struct journal_writer *writer, struct journal_ref ref, uint32_t kind, const void *data, size_t size, uint64_t *ret_offset);

/* journal_close - how it ended; from now on the stream may be evicted.  Needs no memory: it always works.  Nothing happens when the
 * stream is not live (any more). */
void journal_close(struct journal_writer *writer, struct journal_ref ref, const struct journal_ending *ending);

/* journal_set_readers - whether anybody reads this (finished) stream: such streams are evicted last.  May be told while it is live;
 * nothing happens when the stream was evicted. */
void journal_set_readers(struct journal_writer *writer, struct journal_ref ref, bool any);

/* journal_evict - forgets a finished stream now (its linger time is over); counted as evicted.  A live one, or one that is gone, is
 * left alone. */
void journal_evict(struct journal_writer *writer, struct journal_ref ref);

/* journal_on_evict - told with each stream that is forgotten, before its memory is reused; must not call the writer. */
void journal_on_evict(struct journal_writer *writer, void (*evicted)(void *owner, struct journal_ref ref), void *owner);

#endif
