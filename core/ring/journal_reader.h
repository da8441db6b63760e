/* ring/journal_reader.h - reading streams back from the journal, in hosts and in the core's own tests.  Owner: one thread.
 * Hostile or damaged memory can make it answer anything, but never read outside the mapping or loop without end. */
#ifndef JOURNAL_READER_H
#define JOURNAL_READER_H

#include "core/ring/journal_layout.h"
#include "core/ring/ring_memory.h"

struct journal_reader {
    const unsigned char *base;
    const struct journal_header *header;
    uint32_t slots, pages;
    uint64_t slots_offset, pages_offset; /* checked copies */
};

/* A place in one stream's log.  Zero it, set ref; page is a hint kept by the reader functions. */
struct journal_cursor {
    struct journal_ref ref;
    uint64_t offset;    /* bytes of log before the next entry */
    uint64_t text;      /* bytes of answer text before the next byte */
    uint32_t skip;      /* bytes of the entry at offset that have been handed out already */
    uint32_t page;      /* the page whose first byte is log byte page_offset; JOURNAL_NO_PAGE + page_valid 0 = unknown */
    uint32_t page_valid;
    uint64_t page_offset;
};

int journal_reader_open(const struct ring_memory *memory, struct journal_reader *ret_reader, struct why *why);

/* journal_stat - how far the stream is.  0, or -ESTALE when the slot belongs to another stream by now. */
int journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed);
int journal_identity(const struct journal_reader *reader, struct journal_ref ref, struct journal_identity *ret_identity);
/* journal_ending - 0, -EAGAIN while it is live, -ESTALE. */
int journal_ending(const struct journal_reader *reader, struct journal_ref ref, struct journal_ending *ret_ending);

/* journal_read - the next event at cursor: adjacent entries of one kind are merged, at most `room` bytes, TEXT and REASONING cut only
 * between code points, a TOOL entry never merged nor cut (-EMSGSIZE with *ret_size = what it needs when room is too small).
 * Returns the kind (UMBEL_EVENT_TEXT...) and moves the cursor; 0 when there is nothing more for now; -ESTALE; -EPROTO on damaged
 * memory.  room >= 8.  A partly consumed entry is remembered in cursor->skip. */
int journal_read(const struct journal_reader *reader, struct journal_cursor *cursor, void *buffer, size_t room, size_t *ret_size);

/* journal_read_entry - as journal_read, but never merges: each entry comes as it was appended (or in parts, when room is too small). */
int journal_read_entry(const struct journal_reader *reader, struct journal_cursor *cursor, void *buffer, size_t room, size_t *ret_size);

/* journal_seek_text - a cursor just before the answer text byte `position`, and before whatever else (REASONING, TOOL) follows text byte
 * position - 1; so 0 is the very beginning.  0; -ERANGE past the end of what is committed; -EILSEQ
 * inside a character; -ESTALE. */
int journal_seek_text(const struct journal_reader *reader, struct journal_ref ref, uint64_t position, struct journal_cursor *ret_cursor);

/* journal_find - calls visit for each stream that is there, live or ended. */
void journal_find(const struct journal_reader *reader, void (*visit)(void *owner, struct journal_ref ref), void *owner);

/* journal_find_live - calls visit for each stream that is live now (after a reader lost its place in the ring).  */
void journal_find_live(const struct journal_reader *reader, void (*visit)(void *owner, struct journal_ref ref), void *owner);

#endif
