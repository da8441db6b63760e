/* Goal: a reader of a forgotten stream is told so and never given another stream's bytes.  Method: the reader stands still in the middle
 * of its copy while the stream is evicted and its slot and pages go to the next one; or the writer stands still in the middle of the
 * eviction.  Catches: the generation not looked at again (V4), or not changed (V1), or changed while the slot still says who the old stream
 * was.  Also the bound of a log, made small here: JOURNAL_LOG_MAX. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umbel/event.h>

#include "core/ring/journal_reader.h"
#include "core/ring/journal_writer.h"
#include "core/ring/ring_mutate.h"
#include "tests/race/race_record.h"

#define TEXT_SIZE 3000u /* three pages */

struct scene {
    struct journal_writer *writer;
    struct journal_reader reader;
    struct journal_ref old, next;
    unsigned countdown; /* steps until the writer comes between */
    enum ring_step step;
    unsigned renamed; /* times that the old stream was found under the name of the next one */
};

static struct scene scene;

static struct journal_ref add_stream(char letter)
{
    struct journal_identity identity = {.id = {(uint8_t)letter}};
    struct journal_ref ref;
    char text[TEXT_SIZE];
    uint64_t offset;

    memset(text, letter, sizeof text);
    memset(identity.model, letter, sizeof identity.model - 1);
    if (journal_open(scene.writer, &identity, &ref) < 0 ||
        journal_append(scene.writer, ref, UMBEL_EVENT_TEXT, text, sizeof text, &offset) < 0)
        exit(2);
    return ref;
}

static void replace(void)
{
    journal_close(scene.writer, scene.old, &(struct journal_ending){.verdict = UMBEL_VERDICT_COMPLETE});
    journal_evict(scene.writer, scene.old);
    scene.next = add_stream('b');
}

static void count_old_ones(void *owner, struct journal_ref ref)
{
    struct journal_identity identity;

    if (ref.generation != scene.old.generation && journal_identity(&scene.reader, ref, &identity) == 0 && identity.model[0] == 'a')
        ++*(unsigned *)owner;
}

static void at_step(enum ring_step step)
{
    if (step == RING_AT_V1)
        journal_find(&scene.reader, count_old_ones, &scene.renamed);
    if (scene.countdown > 0 && step == scene.step && --scene.countdown == 0)
        replace();
}

void (*ring_test_hook)(enum ring_step step) = at_step;

static void set_up(enum ring_step step, unsigned countdown)
{
    struct why why;

    scene = (struct scene){.step = step, .countdown = countdown};
    if (journal_writer_create(256 << 10, 1, &scene.writer, &why) < 0 ||
        journal_reader_open(journal_writer_memory(scene.writer), &scene.reader, &why) < 0)
        exit(2);
    scene.old = add_stream('a');
}

static bool is_foreign(const char *bytes, size_t size)
{
    return memchr(bytes, 'b', size) != NULL;
}

/* The replacement comes after countdown pieces of the copy: 1 the entry's head, 2 its first page, ... */
static bool read_gives_nothing_foreign(unsigned countdown, enum ring_step step)
{
    struct journal_cursor cursor = {0};
    char text[TEXT_SIZE] = "";
    size_t size = 0;
    int r;

    set_up(step, countdown);
    cursor.ref = scene.old;
    r = journal_read(&scene.reader, &cursor, text, sizeof text, &size);
    journal_writer_free(scene.writer);
    return scene.countdown == 0 && scene.next.slot == scene.old.slot &&
           (r == -ESTALE || (r == UMBEL_EVENT_TEXT && size == TEXT_SIZE && !is_foreign(text, size)));
}

static bool identity_is_not_foreign(void)
{
    struct journal_identity identity;
    int r;

    set_up(RING_AT_JOURNAL_COPY, 1);
    replace(); /* a late look with the old reference */
    r = journal_identity(&scene.reader, scene.old, &identity);
    journal_writer_free(scene.writer);
    return r == -ESTALE || (r == 0 && identity.model[0] == 'a');
}

static bool nobody_takes_the_old_one_for_the_next(void)
{
    set_up(RING_AT_W1, 0);
    replace();
    journal_writer_free(scene.writer);
    return scene.renamed == 0;
}

static bool log_is_bounded(void)
{
    char text[TEXT_SIZE];
    struct journal_counts counts;
    uint64_t offset, state, committed;
    int r;

    memset(text, 'a', sizeof text);
    set_up(RING_AT_W1, 0);
    do
        r = journal_append(scene.writer, scene.old, UMBEL_EVENT_TEXT, text, sizeof text, &offset);
    while (r == 0);
    journal_writer_counts(scene.writer, &counts);
    if (journal_stat(&scene.reader, scene.old, &state, &committed) < 0)
        exit(2);
    journal_writer_free(scene.writer);
    return r == -EFBIG && counts.append_failed == 1 && committed == JOURNAL_LOG_MAX / (TEXT_SIZE + 4) * (TEXT_SIZE + 4);
}

int main(void)
{
    bool early = read_gives_nothing_foreign(1, RING_AT_JOURNAL_HALF), middle = read_gives_nothing_foreign(3, RING_AT_JOURNAL_HALF);
    bool late = read_gives_nothing_foreign(1, RING_AT_JOURNAL_COPY), identity = identity_is_not_foreign();
    bool names = nobody_takes_the_old_one_for_the_next();

    switch (RING_MUTATE) {
    case RING_MUTATE_NONE:
        race_check(early, "evicted before the first byte was copied");
        race_check(middle, "evicted in the middle of the copy");
        race_check(late, "evicted after the copy");
        race_check(identity, "an old reference does not show the next stream");
        race_check(names, "the next reference does not show the old stream");
        race_check(log_is_bounded(), "a log ends at its bound");
        break;
    case RING_MUTATE_FREE_LATE:
        race_check(!names, "the mutant is seen: the next reference shows the old stream");
        break;
    case RING_MUTATE_NO_V4:
        race_check(!early && !middle, "the mutant is seen: foreign bytes when evicted during the copy");
        break;
    default:
        race_check(!early && !middle && !identity, "the mutant is seen: an old reference shows the next stream");
    }
    return race_done();
}
