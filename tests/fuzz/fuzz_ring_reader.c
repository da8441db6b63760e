/* Fuzz: ring and journal readers over memory that a stranger filled.  Property: whatever the bytes, no read outside the block (the
 * address sanitizer watches its ends), every call ends, an answer stays within its documented bounds, and a merged read never gives
 * more than there was room for.
 * First byte: bit 0 ring or journal, bit 1 the header is the stranger's too, else a good one; bits 2.. the reader's place.  Then the
 * bytes: header if it is the stranger's, slots, pages; what they do not reach is zero. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <umbel/event.h>

#include "core/ring/journal_reader.h"
#include "core/ring/ring_reader.h"

#define RING_SIZE (RING_HEADER_SIZE + RING_SLOTS_MIN * sizeof(struct ring_slot))
#define SLOTS 3u
#define PAGES 5u
#define JOURNAL_SIZE (JOURNAL_HEADER_SIZE + SLOTS * sizeof(struct journal_slot) + PAGES * JOURNAL_PAGE_SIZE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assert that no build type takes away. */
static void must_hold(bool condition)
{
    if (!condition)
        abort();
}

/* Fills block from `from` on; returns what is left of the input. */
static void take(const uint8_t **data, size_t *size, void *to, size_t room)
{
    size_t n = *size < room ? *size : room;

    if (n > 0)
        memcpy(to, *data, n);
    *data += n;
    *size -= n;
}

static void read_ring(const uint8_t *data, size_t size, bool good_header, uint64_t place)
{
    struct ring_memory memory = {.base = aligned_alloc(64, RING_SIZE), .size = RING_SIZE, .fd = -1};
    struct ring_header *header = memory.base;
    struct ring_reader reader;
    struct ring_record record;
    struct why why;

    must_hold(header);
    memset(memory.base, 0, RING_SIZE);
    take(&data, &size, header, sizeof *header);
    if (good_header) {
        header->layout = RING_LAYOUT;
        header->slots = RING_SLOTS_MIN;
        atomic_store(&header->magic, RING_MAGIC);
    }
    take(&data, &size, (char *)memory.base + RING_HEADER_SIZE, RING_SIZE - RING_HEADER_SIZE);
    if (ring_reader_open(&memory, &reader, &why) == 0) {
        reader.next = place;
        for (unsigned i = 0; i < 3 * RING_SLOTS_MIN; i++) {
            enum ring_result result = ring_read(&reader, &record);

            if (result == RING_OK)
                must_hold(record.size <= RING_DATA_MAX);
            else if (result == RING_LAPPED)
                ring_reader_resync(&reader);
            else
                reader.next++;
            (void)ring_reader_lag(&reader);
            (void)ring_reader_writer_stuck(&reader, UINT64_MAX, 1);
        }
    }
    free(memory.base);
}

static void read_stream(const struct journal_reader *reader, struct journal_ref ref, uint64_t place)
{
    struct journal_cursor cursor = {.ref = ref};
    struct journal_identity identity;
    struct journal_ending ending;
    uint64_t state, committed;
    size_t room = 8 + place % 600, got = 0;
    char *buffer = malloc(room);
    int kind;

    must_hold(buffer);
    (void)journal_stat(reader, ref, &state, &committed);
    if (journal_identity(reader, ref, &identity) == 0)
        must_hold(strlen(identity.app) < JOURNAL_NAME_MAX && strlen(identity.model) < JOURNAL_NAME_MAX &&
               strlen(identity.session) < JOURNAL_SESSION_MAX);
    if (journal_ending(reader, ref, &ending) == 0)
        must_hold(strlen(ending.finish_word) < JOURNAL_WORD_MAX && strlen(ending.error_text) < JOURNAL_ERROR_MAX);
    while ((kind = journal_read(reader, &cursor, buffer, room, &got)) > 0)
        must_hold(kind >= (int)UMBEL_EVENT_TEXT && kind <= (int)UMBEL_EVENT_TOOL && got <= room &&
               cursor.offset <= (uint64_t)reader->pages * JOURNAL_PAGE_DATA);
    must_hold(kind == 0 || kind == -ESTALE || kind == -EPROTO || kind == -EMSGSIZE);
    (void)journal_seek_text(reader, ref, place, &cursor);
    (void)journal_seek_text(reader, ref, UINT64_MAX, &cursor);
    free(buffer);
}

static void visit(void *owner, struct journal_ref ref)
{
    struct journal_reader *reader = owner;

    must_hold(ref.slot < reader->slots);
}

static void read_journal(const uint8_t *data, size_t size, bool good_header, uint64_t place)
{
    struct ring_memory memory = {.base = aligned_alloc(64, (JOURNAL_SIZE + 63) / 64 * 64), .size = JOURNAL_SIZE, .fd = -1};
    struct journal_header *header = memory.base;
    struct journal_reader reader;
    struct why why;

    must_hold(header);
    memset(memory.base, 0, JOURNAL_SIZE);
    take(&data, &size, header, sizeof *header);
    if (good_header) {
        header->layout = JOURNAL_LAYOUT;
        header->slots = SLOTS;
        header->pages = PAGES;
        header->page_size = JOURNAL_PAGE_SIZE;
        header->slots_offset = JOURNAL_HEADER_SIZE;
        header->pages_offset = JOURNAL_HEADER_SIZE + SLOTS * sizeof(struct journal_slot);
        atomic_store(&header->magic, JOURNAL_MAGIC);
    }
    take(&data, &size, (char *)memory.base + JOURNAL_HEADER_SIZE, JOURNAL_SIZE - JOURNAL_HEADER_SIZE);
    if (journal_reader_open(&memory, &reader, &why) == 0) {
        for (uint32_t slot = 0; slot <= reader.slots && slot < 2 * SLOTS; slot++) {
            struct journal_ref ref = {slot, 1};

            if (slot < reader.slots)
                ref.generation =
                    (uint32_t)atomic_load(&((struct journal_slot *)(void *)((char *)memory.base + reader.slots_offset))[slot].generation);
            read_stream(&reader, ref, place);
        }
        journal_find_live(&reader, visit, &reader);
    }
    free(memory.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        read_journal(data + 1, size - 1, !(data[0] & 2), data[0] >> 2);
    else
        read_ring(data + 1, size - 1, !(data[0] & 2), data[0] >> 2);
    return 0;
}
