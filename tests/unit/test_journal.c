/* The journal: what is written is read back, merged and from anywhere; what happens when it is full; what damaged memory can do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umbel/event.h>

#include <cmocka.h>

#include "core/ring/journal_order.h"
#include "core/ring/journal_reader.h"
#include "core/ring/journal_writer.h"

#define SMALL (256u << 10)

static struct journal_writer *writer;
static struct journal_reader reader;
static struct journal_ref evicted[1024];
static size_t evicted_count;

static void note_evicted(void *owner, struct journal_ref ref)
{
    assert_ptr_equal(owner, &evicted_count);
    assert_true(evicted_count < sizeof evicted / sizeof evicted[0]);
    evicted[evicted_count++] = ref;
}

static int set_up(void **state)
{
    struct why why;

    (void)state;
    evicted_count = 0;
    if (journal_writer_create(SMALL, 5, &writer, &why) < 0 ||
        journal_reader_open(journal_writer_memory(writer), &reader, &why) < 0)
        return -1;
    journal_on_evict(writer, note_evicted, &evicted_count);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    journal_writer_free(writer);
    return 0;
}

static struct journal_ref open_stream(void)
{
    struct journal_identity identity = {.created_s = 1, .app = "app"};
    struct journal_ref ref;

    assert_int_equal(journal_open(writer, &identity, &ref), 0);
    return ref;
}

static int append(struct journal_ref ref, uint32_t kind, const char *data, size_t size)
{
    uint64_t offset;

    return journal_append(writer, ref, kind, data, size, &offset);
}

static void finish(struct journal_ref ref)
{
    journal_close(writer, ref, &(struct journal_ending){.verdict = UMBEL_VERDICT_COMPLETE});
}

static struct journal_counts counts(void)
{
    struct journal_counts now;

    journal_writer_counts(writer, &now);
    return now;
}

/* Takes pages until the arena has only `left` pages free or to be freed; the pages belong to ref. */
static void fill_until(struct journal_ref ref, uint64_t left)
{
    char page[JOURNAL_PAGE_DATA - JOURNAL_ENTRY_HEAD] = "";

    while (counts().pages_free + counts().pages_finished > left)
        assert_int_equal(append(ref, UMBEL_EVENT_TEXT, page, sizeof page), 0);
}

static void assert_gone(struct journal_ref ref)
{
    struct journal_cursor cursor = {.ref = ref}, untouched = cursor;
    struct journal_identity identity;
    struct journal_ending ending;
    uint64_t state, committed;
    char buffer[16];
    size_t size;

    assert_int_equal(journal_stat(&reader, ref, &state, &committed), -ESTALE);
    assert_int_equal(journal_identity(&reader, ref, &identity), -ESTALE);
    assert_int_equal(journal_ending(&reader, ref, &ending), -ESTALE);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), -ESTALE);
    assert_memory_equal(&cursor, &untouched, sizeof cursor);
    assert_int_equal(journal_seek_text(&reader, ref, 0, &cursor), -ESTALE);
    assert_int_equal(append(ref, UMBEL_EVENT_TEXT, "x", 1), -ESTALE);
}

/* Goal: who a stream is, how far it is and how it ended reach the reader.  Catches: a member lost, an end told too early. */
static void identity_state_and_ending_are_told(void **state)
{
    struct journal_identity identity = {.id = {1, 2, 3}, .created_s = 123, .opened_ns = 456, .app = "a", .model = "m", .session = "s"};
    struct journal_ending ending = {.verdict = UMBEL_VERDICT_FAILED, .finish = 2, .error = 6, .usage_flags = 3, .prompt_tokens = 7,
                                    .completion_tokens = 8, .finish_word = "length", .error_text = "gone"};
    struct journal_identity identity_read;
    struct journal_ending ending_read;
    struct journal_ref ref;
    uint64_t status, committed, offset = 99;

    (void)state;
    memset(identity.session, 's', sizeof identity.session); /* no zero: the reader puts one */
    assert_int_equal(journal_open(writer, &identity, &ref), 0);
    assert_int_not_equal(ref.generation, 0);
    assert_int_equal(journal_identity(&reader, ref, &identity_read), 0);
    assert_int_equal(strlen(identity_read.session), JOURNAL_SESSION_MAX - 1);
    identity_read.session[JOURNAL_SESSION_MAX - 1] = 's';
    assert_memory_equal(&identity, &identity_read, sizeof identity);
    assert_int_equal(journal_ending(&reader, ref, &ending_read), -EAGAIN);
    assert_int_equal(journal_append(writer, ref, UMBEL_EVENT_TEXT, "hello", 5, &offset), 0);
    assert_int_equal(offset, 0);
    assert_int_equal(journal_append(writer, ref, UMBEL_EVENT_TOOL, "{}", 2, &offset), 0);
    assert_int_equal(offset, 9);
    assert_int_equal(journal_stat(&reader, ref, &status, &committed), 0);
    assert_int_equal(status, JOURNAL_LIVE);
    assert_int_equal(committed, 15);
    assert_int_equal(atomic_load(&((struct journal_slot *)((char *)journal_writer_memory(writer)->base + reader.slots_offset))[ref.slot].text_size), 5);
    journal_close(writer, ref, &ending);
    assert_int_equal(journal_ending(&reader, ref, &ending_read), 0);
    assert_memory_equal(&ending, &ending_read, sizeof ending);
    assert_int_equal(journal_stat(&reader, ref, &status, &committed), 0);
    assert_int_equal(status, JOURNAL_CLOSED);
    assert_int_equal(append(ref, UMBEL_EVENT_TEXT, "x", 1), -ESTALE);
    journal_close(writer, ref, &(struct journal_ending){0}); /* the first end is the end */
    assert_int_equal(journal_ending(&reader, ref, &ending_read), 0);
    assert_int_equal(ending_read.verdict, UMBEL_VERDICT_FAILED);
}

/* --- a mixed text, its pieces and what a reader makes of it --- */

static const char *const characters[] = {"a", "é", "中", "😀", "z", "文", "\n", "한", "👩"};

struct mixed {
    char text[6000]; /* the answer text alone */
    size_t text_size;
    char all[12000]; /* every event: kind, then data; a new kind begins a new run, each TOOL one of its own */
    size_t all_size;
};

static void add(struct mixed *mixed, struct journal_ref ref, uint32_t kind, const char *data, size_t size, uint32_t *last)
{
    assert_int_equal(append(ref, kind, data, size), 0);
    if (kind != *last || kind == UMBEL_EVENT_TOOL)
        mixed->all[mixed->all_size++] = (char)kind;
    *last = kind;
    memcpy(mixed->all + mixed->all_size, data, size);
    mixed->all_size += size;
    if (kind == UMBEL_EVENT_TEXT) {
        memcpy(mixed->text + mixed->text_size, data, size);
        mixed->text_size += size;
    }
}

/* Some pages of pieces of 1 to 40 characters, all kinds mixed, entry heads at every place of a page's end. */
static struct journal_ref write_mixed(struct mixed *mixed)
{
    struct journal_ref ref = open_stream();
    uint32_t last = 0;

    *mixed = (struct mixed){0};
    srandom(7);
    while (mixed->text_size < 4000) {
        uint32_t kind = random() % 3 ? UMBEL_EVENT_TEXT : random() % 2 ? UMBEL_EVENT_REASONING : UMBEL_EVENT_TOOL;
        char piece[200];
        size_t size = 0;

        for (long n = kind == UMBEL_EVENT_TOOL ? 2 : 1 + random() % 40; n > 0; n--) {
            const char *character = characters[(size_t)random() % (kind == UMBEL_EVENT_TOOL ? 3 : 9)];
            memcpy(piece + size, character, strlen(character));
            size += strlen(character);
        }
        add(mixed, ref, kind, piece, size, &last);
    }
    return ref;
}

static bool is_whole(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char byte = (unsigned char)text[i];
        i += byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        if (byte >= 0x80 && byte < 0xc0)
            return false;
        if (i > size)
            return false;
    }
    return true;
}

/* Reads from cursor to the end in rooms of `room` bytes and joins adjacent pieces of a kind again. */
static size_t read_all(struct journal_cursor *cursor, size_t room, char *all)
{
    char *buffer = malloc(room); /* exactly: the sanitizer watches its end */
    size_t size = 0, all_size = 0;
    int kind, last = 0;

    assert_non_null(buffer);
    while ((kind = journal_read(&reader, cursor, buffer, room, &size)) != 0) {
        assert_true(kind > 0);
        assert_true(size > 0 && size <= room && is_whole(buffer, size));
        if (kind != last || kind == UMBEL_EVENT_TOOL)
            all[all_size++] = (char)kind;
        last = kind;
        memcpy(all + all_size, buffer, size);
        all_size += size;
    }
    assert_int_equal(size, 0);
    free(buffer);
    return all_size;
}

/* Goal: however little room a reader has, it gets the same events, whole characters, nothing lost or doubled.  Method: a mixed log over
 * several pages, read with every room from 8 bytes up to more than all of it.  Catches: a cut inside a character, a merge across
 * kinds, a TOOL merged, an entry's head lost at a page's end. */
static void every_room_gives_the_same_events(void **state)
{
    static struct mixed mixed;
    static char all[sizeof mixed.all];
    struct journal_ref ref = write_mixed(&mixed);

    (void)state;
    for (size_t room = 8; room < sizeof mixed.all; room += room < 1500 ? 1 : 997) {
        struct journal_cursor cursor = {.ref = ref};
        size_t size = read_all(&cursor, room, all);

        assert_int_equal(size, mixed.all_size);
        assert_memory_equal(all, mixed.all, size);
        assert_int_equal(cursor.text, mixed.text_size);
    }
}

/* Goal: adjacent deltas come as one, as far as the room allows.  Catches: one event an entry. */
static void adjacent_entries_are_merged(void **state)
{
    struct journal_ref ref = open_stream();
    struct journal_cursor cursor = {.ref = ref};
    char buffer[4096];
    size_t size;

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(append(ref, UMBEL_EVENT_TEXT, "ab中", 5 - i % 2 * 3), 0);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), UMBEL_EVENT_TEXT);
    assert_int_equal(size, 3500);
    assert_memory_equal(buffer, "ab中abab中ab", 14);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), 0);
    assert_int_equal(append(ref, UMBEL_EVENT_TEXT, "more", 4), 0);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), UMBEL_EVENT_TEXT);
    assert_int_equal(size, 4);
    assert_int_equal(cursor.text, 3504);
}

/* Goal: a reader that reads after every append, half way through entries too, sees the growing last word right.  Catches: committed bytes
 * that change when the word they share is stored again; a cursor that is lost in a half read entry. */
static void reading_while_it_grows(void **state)
{
    struct journal_ref ref = open_stream();
    struct journal_cursor cursor = {.ref = ref};
    char text[5000], read[5000], piece[8];
    size_t written = 0, got = 0, size;
    int kind;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * 7 % 26);
    for (unsigned i = 0; written + 13 <= sizeof text; i++) {
        size_t n = 1 + i % 13;

        assert_int_equal(append(ref, UMBEL_EVENT_TEXT, text + written, n), 0);
        written += n;
        if (i % 3 == 0) {
            kind = journal_read(&reader, &cursor, piece, sizeof piece, &size);
            memcpy(read + got, piece, size);
            got += kind > 0 ? size : 0;
        }
    }
    while (journal_read(&reader, &cursor, piece, sizeof piece, &size) > 0) {
        memcpy(read + got, piece, size);
        got += size;
    }
    assert_int_equal(got, written);
    assert_memory_equal(read, text, written);
}

/* Goal: a tool fragment is never merged nor cut.  Catches: half of a JSON text; two glued together. */
static void tools_stay_whole(void **state)
{
    struct journal_ref ref = open_stream();
    struct journal_cursor cursor = {.ref = ref};
    char buffer[64];
    size_t size;

    (void)state;
    assert_int_equal(append(ref, UMBEL_EVENT_TEXT, "text", 4), 0);
    assert_int_equal(append(ref, UMBEL_EVENT_TOOL, "{\"long\":123456}", 15), 0);
    assert_int_equal(append(ref, UMBEL_EVENT_TOOL, "{}", 2), 0);
    assert_int_equal(append(ref, UMBEL_EVENT_TOOL, "", 0), 0);
    assert_int_equal(journal_read(&reader, &cursor, buffer, 8, &size), UMBEL_EVENT_TEXT);
    assert_int_equal(journal_read(&reader, &cursor, buffer, 8, &size), -EMSGSIZE);
    assert_int_equal(size, 15);
    assert_int_equal(journal_read(&reader, &cursor, buffer, 15, &size), UMBEL_EVENT_TOOL);
    assert_int_equal(size, 15);
    assert_memory_equal(buffer, "{\"long\":123456}", 15);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), UMBEL_EVENT_TOOL);
    assert_int_equal(size, 2);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), UMBEL_EVENT_TOOL);
    assert_int_equal(size, 0);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), 0);
}

/* Goal: a client comes back at any byte.  Method: every position of a mixed text and some past it; from each good one the rest is read.
 * Catches: half a character, text lost or doubled, reasoning or tools after the place that are left out. */
static void seek_finds_every_byte(void **state)
{
    static struct mixed mixed;
    static char all[sizeof mixed.all];
    struct journal_ref ref = write_mixed(&mixed);

    (void)state;
    for (uint64_t position = 0; position <= mixed.text_size; position++) {
        struct journal_cursor cursor = {.offset = 12345};
        int r = journal_seek_text(&reader, ref, position, &cursor);
        size_t size, text = 0;

        if (position < mixed.text_size && ((unsigned char)mixed.text[position] & 0xc0) == 0x80) {
            assert_int_equal(r, -EILSEQ);
            assert_int_equal(cursor.offset, 12345);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(cursor.text, position);
        size = read_all(&cursor, 512, all);
        assert_int_equal(cursor.text, mixed.text_size);
        /* What is left is a tail of the whole, but for the head of its first run. */
        while (text < size && (unsigned char)all[text] < 8)
            text++;
        assert_true(size - text <= mixed.all_size);
        assert_memory_equal(all + text, mixed.all + mixed.all_size - (size - text), size - text);
    }
    assert_int_equal(journal_seek_text(&reader, ref, mixed.text_size + 1, &(struct journal_cursor){0}), -ERANGE);
    assert_int_equal(journal_seek_text(&reader, ref, UINT64_MAX, &(struct journal_cursor){0}), -ERANGE);
}

/* Goal: nothing between the text before a position and the text after it is left out.  Catches: a resume that loses a tool call. */
static void seek_stops_before_what_follows(void **state)
{
    struct journal_ref ref = open_stream();
    struct journal_cursor cursor;
    char buffer[64];
    size_t size;

    (void)state;
    assert_int_equal(append(ref, UMBEL_EVENT_REASONING, "hm", 2), 0);
    assert_int_equal(append(ref, UMBEL_EVENT_TEXT, "abc", 3), 0);
    assert_int_equal(append(ref, UMBEL_EVENT_TOOL, "{}", 2), 0);
    assert_int_equal(append(ref, UMBEL_EVENT_TEXT, "def", 3), 0);
    assert_int_equal(journal_seek_text(&reader, ref, 0, &cursor), 0);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), UMBEL_EVENT_REASONING);
    assert_int_equal(journal_seek_text(&reader, ref, 3, &cursor), 0);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), UMBEL_EVENT_TOOL);
    assert_int_equal(journal_seek_text(&reader, ref, 4, &cursor), 0);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), UMBEL_EVENT_TEXT);
    assert_memory_equal(buffer, "ef", 2);
}

/* --- full --- */

/* Goal: the order in which finished streams go: without readers before with, older end before younger.  Method: ends in another order than
 * openings, readers set before and after the end, one stream that needs all pages.  Catches: order of opening, readers forgotten. */
static void finished_streams_go_in_order(void **state)
{
    struct journal_ref ref[6], eater;
    const unsigned ends[6] = {3, 0, 5, 1, 4, 2}, expected[6] = {3, 5, 2, 0, 1, 4};
    uint64_t pages;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        ref[i] = open_stream();
        assert_int_equal(append(ref[i], UMBEL_EVENT_TEXT, "x", 1), 0);
    }
    eater = open_stream();
    journal_set_readers(writer, ref[0], true); /* while it is live */
    for (unsigned i = 0; i < 6; i++)
        finish(ref[ends[i]]);
    journal_set_readers(writer, ref[1], true);
    journal_set_readers(writer, ref[4], true);
    journal_set_readers(writer, ref[2], true);
    journal_set_readers(writer, ref[2], false); /* back to its place by its end, not to the back */
    pages = counts().pages_free;
    fill_until(eater, 6);
    assert_int_equal(evicted_count, 0);
    assert_int_equal(counts().pages_free, 0);
    assert_true(pages > 0);
    for (unsigned i = 0; i < 6; i++) {
        char page[JOURNAL_PAGE_DATA - JOURNAL_ENTRY_HEAD] = "";

        assert_int_equal(append(eater, UMBEL_EVENT_TEXT, page, sizeof page), 0);
        assert_int_equal(evicted_count, i + 1);
        assert_memory_equal(&evicted[i], &ref[expected[i]], sizeof evicted[i]);
        assert_gone(ref[expected[i]]);
    }
    assert_int_equal(counts().evicted, 6);
    assert_int_equal(counts().streams_finished, 0);
}

/* Goal: an append that cannot succeed fails whole, costs nobody anything, and can be ended honestly.  Method: a live stream that has all
 * but what one finished stream holds asks for more than there is.  Catches: half an entry visible, streams evicted in vain, a
 * live stream evicted, an end that needs room. */
static void full_fails_whole_and_can_be_closed(void **state)
{
    struct journal_ref eater = open_stream(), finished = open_stream(), live = open_stream();
    static char three[3 * JOURNAL_PAGE_DATA];
    uint64_t status, before, after;
    struct journal_ending ending;

    (void)state;
    assert_int_equal(append(finished, UMBEL_EVENT_TEXT, three, JOURNAL_PAGE_DATA), 0); /* two pages */
    assert_int_equal(append(live, UMBEL_EVENT_TEXT, "abc", 3), 0);
    finish(finished);
    fill_until(eater, 2);
    assert_int_equal(journal_stat(&reader, eater, &status, &before), 0);
    assert_int_equal(append(eater, UMBEL_EVENT_TEXT, three, sizeof three), -ENOSPC);
    assert_int_equal(evicted_count, 0);
    assert_int_equal(append(eater, UMBEL_EVENT_TEXT, three, 2 * JOURNAL_PAGE_DATA - JOURNAL_ENTRY_HEAD), 0);
    assert_int_equal(evicted_count, 1);
    assert_memory_equal(&evicted[0], &finished, sizeof finished);
    assert_int_equal(journal_stat(&reader, eater, &status, &after), 0);
    assert_int_equal(after - before, 2 * JOURNAL_PAGE_DATA);
    assert_int_equal(append(eater, UMBEL_EVENT_TEXT, "x", 1), -ENOSPC);
    assert_int_equal(append(live, UMBEL_EVENT_TEXT, three, 500), 0); /* it has room in its own page */
    assert_int_equal(append(live, UMBEL_EVENT_TEXT, three, 600), -ENOSPC);
    assert_int_equal(counts().append_failed, 3);
    journal_close(writer, live, &(struct journal_ending){.verdict = UMBEL_VERDICT_FAILED, .error = UMBEL_ERROR_BUSY});
    assert_int_equal(journal_ending(&reader, live, &ending), 0);
    assert_int_equal(ending.error, UMBEL_ERROR_BUSY);
    assert_int_equal(append(eater, UMBEL_EVENT_TEXT, "x", 1), 0); /* what was finished makes room */
    assert_gone(live);
    assert_int_equal(append(eater, UMBEL_EVENT_TEXT, three, JOURNAL_ENTRY_MAX + 1), -EFBIG);
}

/* Goal: a new stream is refused while those that live could run short.  Method: the last allowed stream, then one more, at the border
 * made by free pages, by finished ones and by slots.  Catches: headroom counted for one stream only; finished pages not counted. */
static void new_stream_is_refused_at_headroom(void **state)
{
    struct journal_identity identity = {0};
    struct journal_ref eater = open_stream(), finished = open_stream(), ref;

    (void)state;
    assert_int_equal(append(finished, UMBEL_EVENT_TEXT, "x", 1), 0);
    finish(finished);
    fill_until(eater, 3 * JOURNAL_HEADROOM);
    assert_int_equal(journal_open(writer, &identity, &ref), 0); /* two live: 8 pages wanted, 12 there */
    assert_int_equal(journal_open(writer, &identity, &ref), 0); /* three live: 12 */
    assert_int_equal(journal_open(writer, &identity, &ref), -ENOSPC);
    assert_int_equal(counts().refused, 1);
    assert_int_equal(evicted_count, 0);
    finish(ref);
    assert_int_equal(journal_open(writer, &identity, &ref), 0);
    finish(ref);
    assert_int_equal(append(eater, UMBEL_EVENT_TEXT, "x", 1), 0); /* one page more, for ever */
    assert_int_equal(journal_open(writer, &identity, &ref), -ENOSPC);
    assert_int_equal(counts().refused, 2);
}

/* Goal: slots are a bound too, and reused.  Catches: a table that overflows; a live stream thrown out for a new one. */
static void slots_run_out_and_come_back(void **state)
{
    uint32_t slots = journal_writer_slots(writer);
    struct journal_identity identity = {0};
    struct journal_ref *ref = calloc(slots, sizeof *ref), next;
    struct journal_counts now = counts();

    (void)state;
    assert_non_null(ref);
    assert_true(slots >= 16 && slots <= now.pages_free / 4 && slots == now.slots_free);
    for (uint32_t i = 0; i < slots; i++) {
        ref[i] = open_stream();
        finish(ref[i]);
    }
    assert_int_equal(counts().slots_free, 0);
    next = open_stream(); /* pages there are plenty: the oldest end makes room for a slot */
    assert_int_equal(evicted_count, 1);
    assert_memory_equal(&evicted[0], &ref[0], sizeof ref[0]);
    assert_int_equal(next.slot, ref[0].slot);
    assert_gone(ref[0]);
    for (uint32_t i = 1; i < slots; i++)
        journal_evict(writer, ref[i]);
    journal_evict(writer, next); /* live: left alone */
    assert_int_equal(evicted_count, slots);
    assert_int_equal(counts().streams_live, 1);
    while (journal_open(writer, &identity, &next) == 0)
        ;
    assert_true(counts().streams_live <= slots && counts().refused == 1);
    free(ref);
}

/* Goal: a slot's new stream is another one for old references, even when 32 bits of generation come round.  Catches: generation 0; a
 * wrap that gives an old number at once. */
static void generations_wrap_without_zero(void **state)
{
    struct journal_slot *slots = (struct journal_slot *)((char *)journal_writer_memory(writer)->base + reader.slots_offset);
    struct journal_ref first = open_stream(), last, wrapped;

    (void)state;
    finish(first);
    journal_evict(writer, first);
    atomic_store(&slots[first.slot].generation, 0x7ffffffffull); /* as after many streams */
    last = open_stream();
    assert_int_equal(last.slot, first.slot);
    assert_int_equal(last.generation, UINT32_MAX);
    finish(last);
    journal_evict(writer, last);
    wrapped = open_stream();
    assert_int_equal(wrapped.slot, first.slot);
    assert_int_equal(wrapped.generation, 1);
    assert_int_equal(atomic_load(&slots[first.slot].generation), 0x800000001ull);
    assert_gone(last);
    assert_gone((struct journal_ref){wrapped.slot, 0});
    assert_gone((struct journal_ref){reader.slots, 1});
    assert_gone((struct journal_ref){UINT32_MAX, 1});
    assert_gone((struct journal_ref){wrapped.slot + 1, 1}); /* free: nobody's yet */
}

/* Goal: the gauges add up at all times.  Method: a random life of streams.  Catches: a page or slot lost at each of their ways. */
static void counts_add_up(void **state)
{
    struct journal_ref ref[40] = {0};
    struct journal_counts start = counts(), now;
    static char data[9000];

    (void)state;
    srandom(3);
    for (unsigned i = 0; i < 20000; i++) {
        struct journal_ref *one = &ref[random() % 40];

        evicted_count = 0;
        switch (random() % 8) {
        case 0:
            finish(*one);
            break;
        case 1:
            journal_evict(writer, *one);
            break;
        case 2:
            journal_set_readers(writer, *one, random() % 2);
            break;
        case 3:
            if (append(*one, UMBEL_EVENT_TEXT, "", 0) == -ESTALE)
                (void)journal_open(writer, &(struct journal_identity){0}, one);
            break;
        default:
            (void)append(*one, UMBEL_EVENT_TEXT, data, (size_t)(random() % (long)sizeof data));
        }
        now = counts();
        assert_int_equal(now.pages_free + now.pages_live + now.pages_finished, start.pages_free);
        assert_int_equal(now.slots_free + now.streams_live + now.streams_finished, start.slots_free);
    }
    assert_true(now.evicted > 100 && now.append_failed > 0 && now.refused > 0);
    for (unsigned i = 0; i < 40; i++) {
        finish(ref[i]);
        journal_evict(writer, ref[i]);
    }
    assert_int_equal(counts().pages_free, start.pages_free);
    assert_int_equal(counts().slots_free, start.slots_free);
}

static void collect(void *owner, struct journal_ref ref)
{
    struct journal_ref **next = owner;

    *(*next)++ = ref;
}

/* Goal: who lost its place finds what is live.  Catches: finished and free slots among them. */
static void live_streams_are_found(void **state)
{
    struct journal_ref live[2], finished, gone, found[8], *next = found;

    (void)state;
    live[0] = open_stream();
    finished = open_stream();
    gone = open_stream();
    live[1] = open_stream();
    finish(finished);
    finish(gone);
    journal_evict(writer, gone);
    journal_find_live(&reader, collect, &next);
    assert_int_equal(next - found, 2);
    assert_memory_equal(found, live, sizeof live);
}

/* Goal: the arena's size is checked and used.  Catches: an arena larger than what was asked for; too few slots. */
static void arena_sizes(void **state)
{
    struct journal_writer *other = NULL;
    struct journal_counts now;
    struct why why;

    (void)state;
    assert_int_equal(journal_writer_create(SMALL - 1, 1, &other, &why), -EINVAL);
    assert_null(other);
    for (size_t bytes = SMALL; bytes <= 512u << 20; bytes = bytes * 5 / 2) {
        assert_int_equal(journal_writer_create(bytes, 1, &other, &why), 0);
        journal_writer_counts(other, &now);
        assert_true(journal_writer_memory(other)->size <= bytes + JOURNAL_HEADER_SIZE + 4096);
        assert_true(now.pages_free * JOURNAL_PAGE_SIZE > bytes / 10 * 8);
        assert_in_range(journal_writer_slots(other), 16, 65536);
        assert_true(now.pages_free / 4 - journal_writer_slots(other) <= 1 || journal_writer_slots(other) == 65536);
        journal_writer_free(other);
    }
    journal_writer_free(NULL);
}

/* --- damage --- */

/* Goal: memory that is not such a journal is refused.  Catches: an offset or a count that is believed. */
static void header_is_checked(void **state)
{
    const struct ring_memory *memory = journal_writer_memory(writer);
    struct journal_header *header = memory->base, good;
    struct ring_memory small = *memory;
    struct why why;

    (void)state;
    memcpy((void *)&good, (void *)header, sizeof good);
#define assert_refused(spoil)                                                                                                       \
    spoil;                                                                                                                          \
    assert_int_equal(journal_reader_open(memory, &reader, &why), -EPROTO);                                                          \
    memcpy((void *)header, (void *)&good, sizeof good)
    assert_refused(atomic_store(&header->magic, 1));
    assert_refused(header->layout = JOURNAL_LAYOUT + 1);
    assert_refused(header->page_size = 512);
    assert_refused(header->slots = UINT32_MAX);
    assert_refused(header->slots_offset = 8);
    assert_refused(header->slots_offset += 8);
    assert_refused(header->slots_offset = UINT64_MAX & ~63ull);
    assert_refused(header->pages += 4);
    assert_refused(header->pages = UINT32_MAX);
    assert_refused(header->pages_offset += 4);
    assert_refused(header->pages_offset = UINT64_MAX & ~7ull);
    assert_refused(header->pages_offset = 0);
#undef assert_refused
    small.size = JOURNAL_HEADER_SIZE - 1;
    assert_int_equal(journal_reader_open(&small, &reader, &why), -EPROTO);
    assert_int_equal(journal_reader_open(memory, &reader, &why), 0);
}

/* Goal: damaged memory can make a reader answer anything, but it ends and stays inside.  Method: a copy on the heap (the sanitizer watches
 * its ends) whose slots and links are random numbers near the bounds.  Catches: a link or size used unchecked, a circle of links. */
static void damaged_memory_stays_inside(void **state)
{
    static struct mixed mixed;
    struct journal_ref ref = write_mixed(&mixed);
    struct ring_memory copy = *journal_writer_memory(writer);
    unsigned answers[3] = {0};
    char buffer[300];
    struct why why;

    (void)state;
    copy.base = aligned_alloc(4096, copy.size);
    assert_non_null(copy.base);
    srandom(11);
    for (unsigned round = 0; round < 400; round++) {
        struct journal_cursor cursor = {.ref = ref};
        size_t size;
        int r, reads = 0;

        memcpy(copy.base, journal_writer_memory(writer)->base, copy.size);
        assert_int_equal(journal_reader_open(&copy, &reader, &why), 0);
        struct journal_slot *slot = (struct journal_slot *)((char *)copy.base + reader.slots_offset) + ref.slot;
        struct journal_page *pages = (struct journal_page *)((char *)copy.base + reader.pages_offset);
        uint64_t near[] = {0, 1, 5, reader.pages - 1, reader.pages, UINT32_MAX, UINT64_MAX, (uint64_t)random() % reader.pages};
        switch (round % 4) {
        case 0:
            atomic_store(&slot->committed, round % 8 ? (uint64_t)random() % (2ull * reader.pages * JOURNAL_PAGE_DATA) : UINT64_MAX);
            break;
        case 1:
            atomic_store(&slot->first_page, near[random() % 8]);
            break;
        case 2:
            atomic_store(&pages[random() % 10].next, near[random() % 8]);
            atomic_store(&slot->committed, (uint64_t)reader.pages * JOURNAL_PAGE_DATA);
            break;
        default:
            atomic_store(&pages[random() % 6].word[random() % JOURNAL_PAGE_WORDS], (uint64_t)random() << 33 ^ (uint64_t)random());
        }
        do
            r = journal_read(&reader, &cursor, buffer, sizeof buffer, &size);
        while (r > 0 && ++reads < 1000);
        answers[r == 0 ? 0 : r == -EPROTO ? 1 : 2]++;
        (void)journal_seek_text(&reader, ref, (uint64_t)random() % 5000, &cursor);
        (void)journal_seek_text(&reader, ref, UINT64_MAX, &cursor);
    }
    assert_true(answers[0] > 0 && answers[1] > 0);
    free(copy.base);
}

/* Goal: damage that can be seen is told, and a walk has an end.  Method: a log whose first page is exactly full, then one thing wrong at a time: an
 * entry that reaches past committed, a kind there is not, a circle of pages under a log of any length.  Catches: bytes past committed
 * handed out; a walk bounded by nothing but a number from the memory (it would go on for centuries). */
static void visible_damage_is_told(void **state)
{
    struct journal_slot *slots = (struct journal_slot *)((char *)journal_writer_memory(writer)->base + reader.slots_offset);
    struct journal_page *pages = (struct journal_page *)((char *)journal_writer_memory(writer)->base + reader.pages_offset);
    struct journal_ref ref = open_stream();
    struct journal_cursor cursor = {.ref = ref}, again;
    char quarter[JOURNAL_PAGE_DATA / 4 - JOURNAL_ENTRY_HEAD] = "", buffer[4 * JOURNAL_PAGE_DATA];
    uint64_t first, good;
    size_t size = 99;

    (void)state;
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(append(ref, UMBEL_EVENT_TEXT, quarter, sizeof quarter), 0);
    first = atomic_load(&slots[ref.slot].first_page);
    good = atomic_load(&pages[first].word[0]);
    atomic_store(&pages[first].word[0], (good & ~0xffffffull) | (7 * (sizeof quarter + 4) - 3)); /* a byte too long */
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), -EPROTO);
    atomic_store(&pages[first].word[0], (good & ~0xff000000ull) | UMBEL_EVENT_CLOSED << 24);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), -EPROTO);
    assert_int_equal(journal_seek_text(&reader, ref, 5, &again), -EPROTO);
    assert_int_equal(size, 99);
    assert_int_equal(cursor.offset, 0);
    atomic_store(&pages[first].word[0], good);

    atomic_store(&pages[first].next, first);
    atomic_store(&slots[ref.slot].committed, (uint64_t)reader.pages * JOURNAL_PAGE_DATA);
    assert_int_equal(journal_seek_text(&reader, ref, UINT64_MAX, &again), -ERANGE);
    atomic_store(&slots[ref.slot].committed, (uint64_t)reader.pages * JOURNAL_PAGE_DATA + 1);
    assert_int_equal(journal_seek_text(&reader, ref, UINT64_MAX, &again), -EPROTO);
    atomic_store(&slots[ref.slot].committed, UINT64_MAX - UINT64_MAX % JOURNAL_PAGE_DATA);
    assert_int_equal(journal_seek_text(&reader, ref, UINT64_MAX, &again), -EPROTO);
    assert_int_equal(journal_read(&reader, &cursor, buffer, sizeof buffer, &size), -EPROTO);
}

/* Goal: the heap under the order of endings.  Method: random adds, changes and removals against a plain search.  Catches: a place that
 * is not kept when elements move. */
static void order_agrees_with_a_search(void **state)
{
    struct journal_order order;
    uint64_t key[64] = {0}, ends = 0; /* 0: not in it */
    uint32_t first;

    (void)state;
    assert_int_equal(journal_order_create(&order, 64), 0);
    srandom(5);
    for (unsigned i = 0; i < 50000; i++) {
        uint32_t slot = (uint32_t)random() % 64, best = 64;
        bool readers = random() % 2;

        if (key[slot] == 0) {
            journal_order_add(&order, slot, readers);
            key[slot] = ++ends + (readers ? 1ull << 40 : 0);
        } else if (random() % 2) {
            journal_order_set_readers(&order, slot, readers);
            key[slot] = key[slot] % (1ull << 40) + (readers ? 1ull << 40 : 0);
        } else {
            journal_order_remove(&order, slot);
            key[slot] = 0;
        }
        for (uint32_t j = 0; j < 64; j++)
            if (key[j] && (best == 64 || key[j] < key[best]))
                best = j;
        assert_int_equal(journal_order_first(&order, &first), best < 64);
        if (best < 64)
            assert_int_equal(first, best);
    }
    journal_order_free(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity_state_and_ending_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_room_gives_the_same_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(adjacent_entries_are_merged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reading_while_it_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tools_stay_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seek_finds_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seek_stops_before_what_follows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finished_streams_go_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_fails_whole_and_can_be_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_stream_is_refused_at_headroom, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slots_run_out_and_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(generations_wrap_without_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(live_streams_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arena_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(header_is_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_memory_stays_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(visible_damage_is_told, set_up, tear_down),
        cmocka_unit_test(order_agrees_with_a_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
