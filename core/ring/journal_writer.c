#include "core/ring/journal_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <umbel/event.h>

#include "core/ring/journal_order.h"
#include "core/ring/ring_mutate.h"

#define BYTES_MIN (256u << 10)
#define BYTES_MAX (1ull << 40) /* keeps page numbers far below JOURNAL_NO_PAGE */
#define SLOTS_MIN 16u
#define SLOTS_MAX 65536u

/* What the writer remembers of a slot; what readers need stands in struct journal_slot. */
struct journal_stream {
    uint64_t size;      /* bytes of log */
    uint64_t text_size; /* bytes of answer text in it */
    uint64_t word;      /* the last word of the log while it is not full: its low bytes are committed and never change */
    uint32_t first, last, pages;
    uint32_t tail_page; /* where the next byte goes ... */
    uint32_t tail_used; /* ... at this offset; JOURNAL_PAGE_DATA: into the page that follows */
    uint32_t state;     /* JOURNAL_FREE, LIVE, CLOSED */
    bool readers;
};

struct journal_writer {
    struct ring_memory memory;
    struct journal_header *header;
    struct journal_slot *slots;
    struct journal_page *pages;
    struct journal_stream *streams;
    uint32_t *free_slots; /* a stack of counts.slots_free */
    uint32_t slot_count, page_count;
    uint32_t free_page;  /* pages that were used before, chained by next */
    uint32_t fresh_page; /* the first that never was: untouched memory costs nothing */
    struct journal_order order;
    struct journal_counts counts;
    void (*evicted)(void *owner, struct journal_ref ref);
    void *evicted_owner;
};

static void store_words(_Atomic uint64_t *words, const void *from, size_t size)
{
    uint64_t word;

    for (size_t i = 0; i < size / sizeof word; i++) {
        memcpy(&word, (const char *)from + i * sizeof word, sizeof word);
        atomic_store_explicit(&words[i], word, memory_order_relaxed);
    }
}

static void lay_out(struct journal_writer *writer, uint64_t epoch)
{
    struct journal_header *header = writer->memory.base;

    header->layout = JOURNAL_LAYOUT;
    header->slots = writer->slot_count;
    header->pages = writer->page_count;
    header->page_size = JOURNAL_PAGE_SIZE;
    header->epoch = epoch;
    header->slots_offset = JOURNAL_HEADER_SIZE;
    header->pages_offset = JOURNAL_HEADER_SIZE + writer->slot_count * sizeof(struct journal_slot);
    writer->header = header;
    writer->slots = (struct journal_slot *)((char *)header + header->slots_offset);
    writer->pages = (struct journal_page *)((char *)header + header->pages_offset);
    for (uint32_t i = 0; i < writer->slot_count; i++) {
        atomic_store_explicit(&writer->slots[i].generation, 1, memory_order_relaxed);
        atomic_store_explicit(&writer->slots[i].first_page, JOURNAL_NO_PAGE, memory_order_relaxed);
        writer->free_slots[i] = writer->slot_count - 1 - i;
    }
    writer->free_page = JOURNAL_NO_PAGE;
    writer->counts = (struct journal_counts){.pages_free = writer->page_count, .slots_free = writer->slot_count};
    atomic_store_explicit(&header->magic, JOURNAL_MAGIC, memory_order_release);
}

int journal_writer_create(size_t bytes, uint64_t epoch, struct journal_writer **ret_writer, struct why *why)
{
    uint64_t slots, pages;
    struct journal_writer *writer;
    int r;

    if (bytes < BYTES_MIN || bytes > BYTES_MAX)
        return why_set(why, -EINVAL, "a journal of %zu bytes: from %u to %llu are possible", bytes, BYTES_MIN, BYTES_MAX);
    slots = bytes / (JOURNAL_PAGE_SIZE + sizeof(struct journal_slot) / 4) / 4; /* the share of a page and a quarter of a slot */
    slots = slots < SLOTS_MIN ? SLOTS_MIN : slots > SLOTS_MAX ? SLOTS_MAX : slots;
    pages = (bytes - slots * sizeof(struct journal_slot)) / JOURNAL_PAGE_SIZE;
    writer = calloc(1, sizeof *writer);
    if (!writer)
        return why_errno(why, ENOMEM, "journal");
    writer->memory.fd = -1;
    writer->slot_count = (uint32_t)slots;
    writer->page_count = (uint32_t)pages;
    writer->streams = calloc(slots, sizeof *writer->streams);
    writer->free_slots = calloc(slots, sizeof *writer->free_slots);
    r = journal_order_create(&writer->order, writer->slot_count);
    if (r < 0 || !writer->streams || !writer->free_slots) {
        r = why_errno(why, ENOMEM, "journal of %llu streams", (unsigned long long)slots);
        goto fail;
    }
    r = ring_memory_create("umbel-journal", JOURNAL_HEADER_SIZE + slots * sizeof(struct journal_slot) + pages * JOURNAL_PAGE_SIZE,
                           &writer->memory, why);
    if (r < 0)
        goto fail;
    lay_out(writer, epoch);
    *ret_writer = writer;
    return 0;
fail:
    journal_writer_free(writer);
    return r;
}

void journal_writer_free(struct journal_writer *writer)
{
    if (!writer)
        return;
    ring_memory_free(&writer->memory);
    journal_order_free(&writer->order);
    free(writer->streams);
    free(writer->free_slots);
    free(writer);
}

const struct ring_memory *journal_writer_memory(const struct journal_writer *writer)
{
    return &writer->memory;
}

void journal_writer_counts(const struct journal_writer *writer, struct journal_counts *ret_counts)
{
    *ret_counts = writer->counts;
}

uint32_t journal_writer_slots(const struct journal_writer *writer)
{
    return writer->slot_count;
}

void journal_on_evict(struct journal_writer *writer, void (*evicted)(void *owner, struct journal_ref ref), void *owner)
{
    writer->evicted = evicted;
    writer->evicted_owner = owner;
}

/* The stream a reference names, or NULL when it was forgotten. */
static struct journal_stream *stream_of(struct journal_writer *writer, struct journal_ref ref)
{
    if (ref.slot >= writer->slot_count || writer->streams[ref.slot].state == JOURNAL_FREE ||
        (uint32_t)atomic_load_explicit(&writer->slots[ref.slot].generation, memory_order_relaxed) != ref.generation)
        return NULL;
    return &writer->streams[ref.slot];
}

/* Forgets a finished stream.  V1 and the fence V2 pair with V3, V4 of the readers: who copied a byte that was stored for the next owner
 * of these pages, or followed a changed link, sees the new generation at V4.  V1 is a release of the state before it: who has seen the
 * new generation finds FREE or the new stream, never the old one's state and with it the old one's identity. */
static void evict(struct journal_writer *writer, uint32_t index)
{
    struct journal_stream *stream = &writer->streams[index];
    struct journal_slot *slot = &writer->slots[index];
    uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_relaxed), next = generation + 1;

    if ((uint32_t)next == 0)
        next++; /* generation 0 is "no stream" */
    if (writer->evicted)
        writer->evicted(writer->evicted_owner, (struct journal_ref){index, (uint32_t)generation});
    if (!RING_MUTANT(FREE_LATE))
        atomic_store_explicit(&slot->state, JOURNAL_FREE, memory_order_relaxed);
    if (!RING_MUTANT(NO_V1))
        atomic_store_explicit(&slot->generation, next, memory_order_release);              /* V1 */
    RING_STEP(V1);
    atomic_thread_fence(memory_order_release);                                             /* V2 */
    if (RING_MUTANT(FREE_LATE))
        atomic_store_explicit(&slot->state, JOURNAL_FREE, memory_order_relaxed);
    atomic_store_explicit(&slot->committed, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->text_size, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->first_page, JOURNAL_NO_PAGE, memory_order_relaxed);
    if (stream->pages > 0) {
        atomic_store_explicit(&writer->pages[stream->last].next, writer->free_page, memory_order_relaxed);
        writer->free_page = stream->first;
    }
    journal_order_remove(&writer->order, index);
    writer->counts.pages_finished -= stream->pages;
    writer->counts.pages_free += stream->pages;
    writer->counts.streams_finished--;
    writer->counts.evicted++;
    writer->free_slots[writer->counts.slots_free++] = index;
    *stream = (struct journal_stream){.state = JOURNAL_FREE};
}

int journal_open(struct journal_writer *writer, const struct journal_identity *identity, struct journal_ref *ret_ref)
{
    struct journal_counts *counts = &writer->counts;
    struct journal_slot *slot;
    uint32_t index;

    if (counts->pages_free + counts->pages_finished < (counts->streams_live + 1) * JOURNAL_HEADROOM) {
        counts->refused++;
        return -ENOSPC;
    }
    if (counts->slots_free == 0) {
        if (!journal_order_first(&writer->order, &index)) {
            counts->refused++;
            return -ENOSPC;
        }
        evict(writer, index);
    }
    index = writer->free_slots[--counts->slots_free];
    slot = &writer->slots[index];
    writer->streams[index] = (struct journal_stream){
        .state = JOURNAL_LIVE, .first = JOURNAL_NO_PAGE, .last = JOURNAL_NO_PAGE, .tail_page = JOURNAL_NO_PAGE};
    counts->streams_live++;
    store_words(slot->identity, identity, sizeof *identity);
    atomic_store_explicit(&slot->state, JOURNAL_LIVE, memory_order_release);
    *ret_ref = (struct journal_ref){index, (uint32_t)atomic_load_explicit(&slot->generation, memory_order_relaxed)};
    return 0;
}

/* Gives the stream its next page.  There is a free one. */
static void add_page(struct journal_writer *writer, uint32_t index)
{
    struct journal_stream *stream = &writer->streams[index];
    uint32_t page = writer->free_page;

    if (page != JOURNAL_NO_PAGE)
        writer->free_page = (uint32_t)atomic_load_explicit(&writer->pages[page].next, memory_order_relaxed);
    else
        page = writer->fresh_page++;
    atomic_store_explicit(&writer->pages[page].next, JOURNAL_NO_PAGE, memory_order_relaxed);
    if (stream->pages == 0) {
        stream->first = stream->tail_page = page;
        atomic_store_explicit(&writer->slots[index].first_page, page, memory_order_relaxed);
    } else {
        atomic_store_explicit(&writer->pages[stream->last].next, page, memory_order_relaxed);
    }
    stream->last = page;
    stream->pages++;
    writer->counts.pages_free--;
    writer->counts.pages_live++;
}

/* Takes what an entry of size bytes needs, or nothing: no finished stream is forgotten for an entry that fails anyway. */
static int make_room(struct journal_writer *writer, uint32_t index, uint64_t size)
{
    struct journal_stream *stream = &writer->streams[index];
    struct journal_counts *counts = &writer->counts;
    uint64_t pages = (stream->size + size + JOURNAL_PAGE_DATA - 1) / JOURNAL_PAGE_DATA - stream->pages;
    uint32_t oldest;

    if (counts->pages_free + counts->pages_finished < pages)
        return -ENOSPC;
    while (counts->pages_free < pages && journal_order_first(&writer->order, &oldest))
        evict(writer, oldest);
    for (; pages > 0; pages--)
        add_page(writer, index);
    return 0;
}

/* The beginning or the end of a word. */
static size_t put_part(struct journal_stream *stream, _Atomic uint64_t *to, const char *from, size_t size)
{
    uint32_t byte = stream->tail_used % 8;
    size_t n = 8 - byte < size ? 8 - byte : size;

    memcpy((char *)&stream->word + byte, from, n);
    atomic_store_explicit(to, stream->word, memory_order_relaxed);
    if (byte + n == 8)
        stream->word = 0;
    return n;
}

/* Appends bytes below no one's eyes: they are past committed.  Whole words are stored, so the last one is stored again as it grows;
 * its committed low bytes keep their values. */
static void put_bytes(struct journal_writer *writer, struct journal_stream *stream, const void *data, size_t size)
{
    const char *from = data;

    while (size > 0) {
        _Atomic uint64_t *to;
        size_t n;

        if (stream->tail_used == JOURNAL_PAGE_DATA) {
            stream->tail_page = (uint32_t)atomic_load_explicit(&writer->pages[stream->tail_page].next, memory_order_relaxed);
            stream->tail_used = 0;
        }
        to = &writer->pages[stream->tail_page].word[stream->tail_used / 8];
        if (stream->tail_used % 8 == 0 && size >= 8) {
            n = JOURNAL_PAGE_DATA - stream->tail_used;
            n = (size < n ? size : n) & ~(size_t)7;
            store_words(to, from, n);
        } else {
            n = put_part(stream, to, from, size);
        }
        stream->tail_used += (uint32_t)n;
        stream->size += n;
        from += n;
        size -= n;
    }
}

int journal_append(struct journal_writer *writer, struct journal_ref ref, uint32_t kind, const void *data, size_t size,
                   uint64_t *ret_offset)
{
    struct journal_stream *stream = stream_of(writer, ref);
    struct journal_slot *slot;
    uint64_t offset;
    uint8_t head[JOURNAL_ENTRY_HEAD] = {(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), (uint8_t)kind};
    int r = 0;

    if (!stream || stream->state != JOURNAL_LIVE)
        return -ESTALE;
    if (size > JOURNAL_ENTRY_MAX || stream->size + sizeof head + size > JOURNAL_LOG_MAX)
        r = -EFBIG;
    if (r == 0)
        r = make_room(writer, ref.slot, sizeof head + size);
    if (r < 0) {
        writer->counts.append_failed++;
        return r;
    }
    offset = stream->size;
    slot = &writer->slots[ref.slot];
    put_bytes(writer, stream, head, sizeof head);
    put_bytes(writer, stream, data, size);
    atomic_store_explicit(&slot->committed, stream->size, memory_order_release); /* who sees it sees the bytes and the pages' links */
    if (kind == UMBEL_EVENT_TEXT) {
        stream->text_size += size;
        atomic_store_explicit(&slot->text_size, stream->text_size, memory_order_release);
    }
    *ret_offset = offset;
    return 0;
}

void journal_close(struct journal_writer *writer, struct journal_ref ref, const struct journal_ending *ending)
{
    struct journal_stream *stream = stream_of(writer, ref);
    struct journal_slot *slot;

    if (!stream || stream->state != JOURNAL_LIVE)
        return;
    slot = &writer->slots[ref.slot];
    store_words(slot->ending, ending, sizeof *ending);
    atomic_store_explicit(&slot->state, JOURNAL_CLOSED, memory_order_release);
    stream->state = JOURNAL_CLOSED;
    journal_order_add(&writer->order, ref.slot, stream->readers);
    writer->counts.streams_live--;
    writer->counts.streams_finished++;
    writer->counts.pages_live -= stream->pages;
    writer->counts.pages_finished += stream->pages;
}

void journal_set_readers(struct journal_writer *writer, struct journal_ref ref, bool any)
{
    struct journal_stream *stream = stream_of(writer, ref);

    if (!stream)
        return;
    stream->readers = any;
    if (stream->state == JOURNAL_CLOSED)
        journal_order_set_readers(&writer->order, ref.slot, any);
}

void journal_evict(struct journal_writer *writer, struct journal_ref ref)
{
    struct journal_stream *stream = stream_of(writer, ref);

    if (stream && stream->state == JOURNAL_CLOSED)
        evict(writer, ref.slot);
}
