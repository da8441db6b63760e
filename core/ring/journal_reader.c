#include "core/ring/journal_reader.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <umbel/event.h>

#include "core/ring/ring_mutate.h"

/* One look at one stream, between V0 (the generation is ours) and V4 (it still is).  What was read between is believed only then.
 *   V3 (acquire fence), V4 pair with V1, V2 of the writer: who copied a byte stored for the next owner of a page sees it at V4. */
struct look {
    const struct journal_reader *reader;
    const struct journal_slot *slot;
    uint64_t generation; /* all 64 bits: reuse cannot come round again during a look */
    uint64_t state, committed, first_page;
};

/* One entry of the log, its head checked against committed. */
struct entry {
    uint32_t kind, size;
    uint64_t data; /* log offset of its first byte */
};

int journal_reader_open(const struct ring_memory *memory, struct journal_reader *ret_reader, struct why *why)
{
    const struct journal_header *header = memory->base;
    struct journal_reader reader = {.base = memory->base, .header = header};

    if (memory->size < JOURNAL_HEADER_SIZE)
        return why_set(why, -EPROTO, "the journal has %zu bytes, its header alone needs %u", memory->size, JOURNAL_HEADER_SIZE);
    if (atomic_load_explicit(&header->magic, memory_order_acquire) != JOURNAL_MAGIC)
        return why_set(why, -EPROTO, "this memory is not a journal, or not a finished one");
    if (header->layout != JOURNAL_LAYOUT || header->page_size != JOURNAL_PAGE_SIZE)
        return why_set(why, -EPROTO, "the journal has layout %u and pages of %u bytes, this program reads %u and %u", header->layout,
                       header->page_size, JOURNAL_LAYOUT, JOURNAL_PAGE_SIZE);
    reader.slots = header->slots; /* once each: what was checked is what is used */
    reader.pages = header->pages;
    reader.slots_offset = header->slots_offset;
    reader.pages_offset = header->pages_offset;
    if (reader.slots_offset % _Alignof(struct journal_slot) != 0 || reader.slots_offset < JOURNAL_HEADER_SIZE ||
        reader.slots_offset > memory->size || (memory->size - reader.slots_offset) / sizeof(struct journal_slot) < reader.slots)
        return why_set(why, -EPROTO, "the journal's %u slots do not fit its memory", reader.slots);
    if (reader.pages_offset % _Alignof(struct journal_page) != 0 || reader.pages_offset < JOURNAL_HEADER_SIZE ||
        reader.pages_offset > memory->size || (memory->size - reader.pages_offset) / JOURNAL_PAGE_SIZE < reader.pages)
        return why_set(why, -EPROTO, "the journal's %u pages do not fit its memory", reader.pages);
    *ret_reader = reader;
    return 0;
}

static const struct journal_slot *slot_at(const struct journal_reader *reader, uint32_t index)
{
    return (const struct journal_slot *)(const void *)(reader->base + reader->slots_offset) + index;
}

static const struct journal_page *page_at(const struct journal_reader *reader, uint64_t index)
{
    return (const struct journal_page *)(const void *)(reader->base + reader->pages_offset) + index;
}

static int look_begin(const struct journal_reader *reader, struct journal_ref ref, struct look *ret_look)
{
    struct look look = {.reader = reader};

    if (ref.slot >= reader->slots || ref.generation == 0)
        return -ESTALE;
    look.slot = slot_at(reader, ref.slot);
    look.generation = atomic_load_explicit(&look.slot->generation, memory_order_acquire);  /* V0 */
    if ((uint32_t)look.generation != ref.generation)
        return -ESTALE;
    look.state = atomic_load_explicit(&look.slot->state, memory_order_acquire);            /* before committed: CLOSED means "all of it" */
    if (look.state != JOURNAL_LIVE && look.state != JOURNAL_CLOSED)
        return -ESTALE;
    look.committed = atomic_load_explicit(&look.slot->committed, memory_order_acquire);
    look.first_page = atomic_load_explicit(&look.slot->first_page, memory_order_relaxed);
    *ret_look = look;
    return 0;
}

static bool look_end(const struct look *look)
{
    RING_STEP(JOURNAL_COPY);
    atomic_thread_fence(memory_order_acquire);                                             /* V3 */
    return RING_MUTANT(NO_V4) ||
           atomic_load_explicit(&look->slot->generation, memory_order_relaxed) == look->generation; /* V4 */
}

static void load_words(const _Atomic uint64_t *words, void *to, size_t size)
{
    for (size_t i = 0; i < size / sizeof(uint64_t); i++) {
        uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);

        memcpy((char *)to + i * sizeof word, &word, sizeof word);
    }
}

int journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed)
{
    struct look look;
    int r = look_begin(reader, ref, &look);

    if (r < 0)
        return r;
    if (!look_end(&look))
        return -ESTALE;
    *ret_state = look.state;
    *ret_committed = look.committed;
    return 0;
}

int journal_identity(const struct journal_reader *reader, struct journal_ref ref, struct journal_identity *ret_identity)
{
    struct journal_identity copy;
    struct look look;
    int r = look_begin(reader, ref, &look);

    if (r < 0)
        return r;
    load_words(look.slot->identity, &copy, sizeof copy);
    if (!look_end(&look))
        return -ESTALE;
    copy.app[sizeof copy.app - 1] = copy.model[sizeof copy.model - 1] = copy.session[sizeof copy.session - 1] = '\0';
    *ret_identity = copy;
    return 0;
}

int journal_ending(const struct journal_reader *reader, struct journal_ref ref, struct journal_ending *ret_ending)
{
    struct journal_ending copy;
    struct look look;
    int r = look_begin(reader, ref, &look);

    if (r < 0)
        return r;
    load_words(look.slot->ending, &copy, sizeof copy);
    if (!look_end(&look))
        return -ESTALE;
    if (look.state != JOURNAL_CLOSED)
        return -EAGAIN;
    copy.finish_word[sizeof copy.finish_word - 1] = copy.error_text[sizeof copy.error_text - 1] = '\0';
    *ret_ending = copy;
    return 0;
}

/* Makes at->page the page that holds log byte offset.  A link leads forward one page each time and offset lies below committed, which
 * lies below the size of the arena: so at most as many steps as there are pages, even round a damaged ring of links. */
static bool find_page(const struct look *look, struct journal_cursor *at, uint64_t offset)
{
    uint64_t page = look->first_page, begin = 0;

    if (at->page_valid && at->page_offset <= offset) {
        page = at->page;
        begin = at->page_offset;
    }
    while (page < look->reader->pages && offset - begin >= JOURNAL_PAGE_DATA) {
        page = atomic_load_explicit(&page_at(look->reader, page)->next, memory_order_relaxed);
        begin += JOURNAL_PAGE_DATA;
    }
    if (page >= look->reader->pages)
        return false;
    at->page = (uint32_t)page;
    at->page_offset = begin;
    at->page_valid = 1;
    return true;
}

/* Copies log bytes; the caller has checked that they lie below committed.  False: the pages are not what the slot says.
 * hint stays where it is, at the entry's head: the next look at a half read entry begins there. */
static bool copy_log(const struct look *look, const struct journal_cursor *hint, uint64_t offset, void *to, size_t size)
{
    struct journal_cursor at = *hint;
    char *out = to;

    while (size > 0) {
        if (!find_page(look, &at, offset))
            return false;
        const struct journal_page *page = page_at(look->reader, at.page);
        size_t used = (size_t)(offset - at.page_offset), n = JOURNAL_PAGE_DATA - used < size ? JOURNAL_PAGE_DATA - used : size;

        for (size_t done = 0; done < n;) {
            uint64_t word = atomic_load_explicit(&page->word[(used + done) / 8], memory_order_relaxed);
            size_t byte = (used + done) % 8, part = 8 - byte < n - done ? 8 - byte : n - done;

            memcpy(out + done, (const char *)&word + byte, part);
            done += part;
        }
        out += n;
        offset += n;
        size -= n;
        RING_STEP(JOURNAL_HALF);
    }
    return true;
}

static bool log_is_possible(const struct look *look)
{
    return look->committed <= (uint64_t)look->reader->pages * JOURNAL_PAGE_DATA;
}

/* The entry at at->offset, which lies below committed. */
static bool entry_at(const struct look *look, struct journal_cursor *at, struct entry *ret_entry)
{
    uint64_t left = look->committed - at->offset;
    uint8_t head[JOURNAL_ENTRY_HEAD];
    struct entry entry;

    if (left < sizeof head || !find_page(look, at, at->offset) || !copy_log(look, at, at->offset, head, sizeof head))
        return false;
    entry.size = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16;
    entry.kind = head[3];
    entry.data = at->offset + sizeof head;
    if (entry.size > left - sizeof head || at->skip > entry.size ||
        (entry.kind != UMBEL_EVENT_TEXT && entry.kind != UMBEL_EVENT_REASONING && entry.kind != UMBEL_EVENT_TOOL))
        return false;
    *ret_entry = entry;
    return true;
}

static void next_entry(struct journal_cursor *at, const struct entry *entry)
{
    at->offset = entry->data + entry->size;
    at->skip = 0;
}

/* How many of size bytes, cut off somewhere, are whole code points.  Bytes that are no UTF-8 pass as they are. */
static size_t whole_characters(const char *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        unsigned char byte = (unsigned char)text[size - back];
        size_t need = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : byte >= 0x80 ? 0 : 1;

        if (need > 0)
            return need > back ? size - back : size;
    }
    return size;
}

static int read_tool(const struct look *look, struct journal_cursor *at, const struct entry *entry, void *buffer, size_t room,
                     size_t *ret_size)
{
    *ret_size = entry->size;
    if (entry->size > room)
        return -EMSGSIZE;
    if (!copy_log(look, at, entry->data, buffer, entry->size))
        return -EPROTO;
    next_entry(at, entry);
    return (int)entry->kind;
}

/* The next event into buffer.  Every round ends, or passes an entry (4 bytes at least) of a log that has an end. */
static int read_merged(const struct look *look, struct journal_cursor *at, bool one, char *buffer, size_t room, size_t *ret_size)
{
    struct entry entry;
    size_t used = 0;
    uint32_t kind = 0;

    while (at->offset < look->committed) {
        if (!entry_at(look, at, &entry))
            return -EPROTO;
        if (kind != 0 && entry.kind != kind)
            break;
        if (entry.kind == UMBEL_EVENT_TOOL)
            return read_tool(look, at, &entry, buffer, room, ret_size);
        size_t rest = entry.size - at->skip, take = rest < room - used ? rest : room - used;

        if (!copy_log(look, at, entry.data + at->skip, buffer + used, take))
            return -EPROTO;
        if (take < rest)
            take = whole_characters(buffer + used, take);
        used += take;
        at->skip += (uint32_t)take;
        at->text += entry.kind == UMBEL_EVENT_TEXT ? take : 0;
        if (take > 0)
            kind = entry.kind;
        if (take < rest)
            break;
        next_entry(at, &entry);
        if (one && kind != 0)
            break;
    }
    *ret_size = used;
    return (int)kind;
}

static int read_next(const struct journal_reader *reader, struct journal_cursor *cursor, bool one, void *buffer, size_t room,
                     size_t *ret_size)
{
    struct journal_cursor at = *cursor;
    struct look look;
    size_t size = 0;
    int r = look_begin(reader, cursor->ref, &look);

    if (r < 0)
        return r;
    r = log_is_possible(&look) ? read_merged(&look, &at, one, buffer, room, &size) : -EPROTO;
    if (!look_end(&look))
        return -ESTALE;
    if (r >= 0)
        *cursor = at;
    if (r >= 0 || r == -EMSGSIZE)
        *ret_size = size;
    return r;
}

int journal_read(const struct journal_reader *reader, struct journal_cursor *cursor, void *buffer, size_t room, size_t *ret_size)
{
    return read_next(reader, cursor, false, buffer, room, ret_size);
}

int journal_read_entry(const struct journal_reader *reader, struct journal_cursor *cursor, void *buffer, size_t room, size_t *ret_size)
{
    return read_next(reader, cursor, true, buffer, room, ret_size);
}

/* Walks to the text byte wanted.  It stops before the first entry that begins there: what is not text and follows byte position - 1 is
 * still to come. */
static int seek(const struct look *look, uint64_t position, struct journal_cursor *at)
{
    struct entry entry;
    unsigned char byte;

    while (at->text < position) {
        uint64_t left = position - at->text;

        if (at->offset >= look->committed)
            return -ERANGE;
        if (!entry_at(look, at, &entry))
            return -EPROTO;
        if (entry.kind == UMBEL_EVENT_TEXT && left < entry.size) {
            if (!copy_log(look, at, entry.data + left, &byte, 1))
                return -EPROTO;
            at->skip = (uint32_t)left;
            at->text = position;
            return (byte & 0xc0) == 0x80 ? -EILSEQ : 0;
        }
        at->text += entry.kind == UMBEL_EVENT_TEXT ? entry.size : 0;
        next_entry(at, &entry);
    }
    return 0;
}

int journal_seek_text(const struct journal_reader *reader, struct journal_ref ref, uint64_t position, struct journal_cursor *ret_cursor)
{
    struct journal_cursor at = {.ref = ref};
    struct look look;
    int r = look_begin(reader, ref, &look);

    if (r < 0)
        return r;
    r = log_is_possible(&look) ? seek(&look, position, &at) : -EPROTO;
    if (!look_end(&look))
        return -ESTALE;
    if (r == 0)
        *ret_cursor = at;
    return r;
}

static void find(const struct journal_reader *reader, bool ended_too, void (*visit)(void *owner, struct journal_ref ref), void *owner)
{
    for (uint32_t i = 0; i < reader->slots; i++) {
        const struct journal_slot *slot = slot_at(reader, i);
        struct journal_ref ref = {i, (uint32_t)atomic_load_explicit(&slot->generation, memory_order_acquire)};
        struct look look;

        if (look_begin(reader, ref, &look) == 0 && (look.state == JOURNAL_LIVE || (ended_too && look.state == JOURNAL_CLOSED)) &&
            look_end(&look))
            visit(owner, ref);
    }
}

void journal_find(const struct journal_reader *reader, void (*visit)(void *owner, struct journal_ref ref), void *owner)
{
    find(reader, true, visit, owner);
}

void journal_find_live(const struct journal_reader *reader, void (*visit)(void *owner, struct journal_ref ref), void *owner)
{
    find(reader, false, visit, owner);
}
