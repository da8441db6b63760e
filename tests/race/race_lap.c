/* Goal: who was lapped takes what it missed from the journal and has lost and doubled nothing, while the writer never waits.
 * Method: a ring of 64 slots; a reader process that sleeps until half of everything has been written, falls asleep again and again, and
 * is woken by ring_wake; random text with CJK and emoji in three streams that run at once.  Three answers come out: what was written,
 * what the reader joined from ring and journal, what the journal alone says.  Catches: a gap or an overlap between the last ring record
 * before a lap, the merged piece, and the first record after it; a lost wake-up across processes; a writer that waits. */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <umbel/event.h>
#include <unistd.h>

#include "core/ring/journal_reader.h"
#include "core/ring/journal_writer.h"
#include "core/ring/ring_reader.h"
#include "core/ring/ring_wake.h"
#include "core/ring/ring_writer.h"
#include "tests/race/race_record.h"

#define STREAMS 3u
#define EVENTS 6000u
#define JOINED_MAX (2u << 20)
#define NAP_EVERY 40u /* records between two naps of the reader */
#define KINDS 5u      /* UMBEL_EVENT_TOOL + 1 */

struct joined {
    char *data;
    size_t size;
};

struct reading {
    struct ring_reader ring;
    struct journal_reader journal;
    struct journal_cursor cursor[STREAMS];
    struct joined joined[STREAMS][KINDS];
    char *room;
    uint64_t laps, from_ring, merged, wrong;
};

struct scene {
    struct ring_writer ring;
    struct journal_writer *journal;
    struct journal_ref ref[STREAMS];
    struct joined written[STREAMS][KINDS];
    struct ring_reader_page *page;
    int eventfd, gate[2];
};

static struct scene scene;

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(2);
    }
}

static void join(struct joined *joined, const void *data, size_t size)
{
    must(joined->size + size <= JOINED_MAX, "joined text is too long");
    memcpy(joined->data + joined->size, data, size);
    joined->size += size;
}

static void make_room(struct joined joined[STREAMS][KINDS])
{
    for (unsigned stream = 0; stream < STREAMS; stream++)
        for (unsigned kind = 0; kind < KINDS; kind++) {
            joined[stream][kind] = (struct joined){.data = malloc(JOINED_MAX)};
            must(joined[stream][kind].data, "memory");
        }
}

/* --- the writer --- */

static size_t random_character(uint64_t random, char *to)
{
    static const char *const some[] = {"a", "Z", " ", "\n", "\"", "é", "ß", "中", "文", "。", "한", "😀", "👩", "𝄞"};
    const char *character = some[random % (sizeof some / sizeof some[0])];

    memcpy(to, character, strlen(character));
    return strlen(character);
}

static size_t random_text(uint64_t n, char *to, size_t room)
{
    size_t size = 0, wanted = n % 50 == 0 ? room : 1 + race_hash(n) % 60; /* now and then more than the ring takes */

    for (uint64_t i = 0; size < wanted && size + 4 <= room; i++)
        size += random_character(race_hash(n << 16 ^ i), to + size);
    return size;
}

static void announce(const struct ring_record *record)
{
    uint64_t touched[RING_INTEREST_WORDS] = {1ull << record->stream_slot}, one = 1;

    ring_publish(&scene.ring, record);
    ring_wake_fence();
    if (ring_wake_wanted(scene.page, touched))
        must(write(scene.eventfd, &one, sizeof one) == sizeof one, "eventfd");
}

/* Journal first: whoever sees the record can find it there. */
static void write_event(uint64_t n)
{
    unsigned stream = (unsigned)(race_hash(n ^ 7) % STREAMS);
    struct ring_record record = {.stream_slot = scene.ref[stream].slot, .generation = scene.ref[stream].generation};
    char text[RING_DATA_MAX + 100];
    size_t size = random_text(n, text, sizeof text);
    uint64_t offset;

    record.kind = stream == 0 || n % 5 ? UMBEL_EVENT_TEXT : n % 2 ? UMBEL_EVENT_REASONING : UMBEL_EVENT_TOOL; /* 0: text alone */
    must(journal_append(scene.journal, scene.ref[stream], record.kind, text, size, &offset) == 0, "append");
    join(&scene.written[stream][record.kind], text, size);
    record.journal_offset = (uint32_t)offset;
    record.arrival_ns = n;
    if (size <= RING_DATA_MAX) {
        record.size = (uint16_t)size;
        memcpy(record.data, text, size);
    } else {
        record.flags = RING_IN_JOURNAL;
    }
    announce(&record);
}

static void write_everything(void)
{
    char go = 'g';

    for (uint64_t n = 0; n < EVENTS; n++) {
        write_event(n);
        if (n < EVENTS / 2 || n % 20 != 0)
            continue;
        if (write(scene.gate[1], &go, 1) != 1) /* far fewer bytes than a pipe holds: this never waits */
            continue;                          /* the reader has given up: it will be told below */
        sched_yield();
    }
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        struct ring_record record = {.stream_slot = scene.ref[stream].slot, .generation = scene.ref[stream].generation,
                                     .kind = UMBEL_EVENT_CLOSED, .journal_offset = UINT32_MAX};

        journal_close(scene.journal, scene.ref[stream], &(struct journal_ending){.verdict = UMBEL_VERDICT_COMPLETE});
        announce(&record);
    }
    close(scene.gate[1]);
}

/* --- the reader --- */

/* What the journal has of a stream beyond the cursor, in as few pieces as it comes in. */
static unsigned catch_up(struct reading *reading, unsigned stream)
{
    unsigned pieces = 0;
    size_t size;
    int kind;

    while ((kind = journal_read(&reading->journal, &reading->cursor[stream], reading->room, JOINED_MAX, &size)) > 0) {
        join(&reading->joined[stream][kind], reading->room, size);
        pieces++;
    }
    reading->wrong += kind < 0;
    return pieces;
}

static void after_lap(struct reading *reading)
{
    uint64_t state, committed;
    size_t size;

    reading->laps++;
    ring_reader_resync(&reading->ring); /* first the place, then the journal: what comes later is in the ring */
    /* Stream 0 is text alone: everything missed comes as one delta. */
    must(journal_stat(&reading->journal, scene.ref[0], &state, &committed) == 0, "stat");
    if (journal_read(&reading->journal, &reading->cursor[0], reading->room, JOINED_MAX, &size) == UMBEL_EVENT_TEXT) {
        join(&reading->joined[0][UMBEL_EVENT_TEXT], reading->room, size);
        reading->merged++;
    }
    reading->wrong += reading->cursor[0].offset < committed;
    for (unsigned stream = 0; stream < STREAMS; stream++)
        catch_up(reading, stream);
}

static void take(struct reading *reading, const struct ring_record *record)
{
    struct journal_cursor *cursor;
    unsigned stream = 0;

    while (stream < STREAMS && scene.ref[stream].slot != record->stream_slot)
        stream++;
    must(stream < STREAMS, "a stream nobody opened");
    cursor = &reading->cursor[stream];
    if (record->kind == UMBEL_EVENT_CLOSED) {
        uint64_t state = 0, committed = 0;

        reading->wrong += journal_stat(&reading->journal, cursor->ref, &state, &committed) < 0 || cursor->offset != committed;
        return; /* everything came before it */
    }
    if (record->journal_offset < cursor->offset)
        return; /* had from the journal already */
    if (record->flags & RING_IN_JOURNAL || record->journal_offset > cursor->offset) {
        reading->wrong += record->journal_offset > cursor->offset; /* a gap that nobody told about */
        catch_up(reading, stream);
        return;
    }
    join(&reading->joined[stream][record->kind], record->data, record->size);
    cursor->offset += JOURNAL_ENTRY_HEAD + record->size;
    cursor->text += record->kind == UMBEL_EVENT_TEXT ? record->size : 0;
    reading->from_ring++;
}

static bool is_over(const struct reading *reading)
{
    uint64_t state, committed;

    for (unsigned stream = 0; stream < STREAMS; stream++)
        if (journal_stat(&reading->journal, scene.ref[stream], &state, &committed) < 0 || state != JOURNAL_CLOSED ||
            committed > reading->cursor[stream].offset)
            return false; /* further than there is: then it is over, and the texts will differ */
    return true;
}

/* S1 - S4 of ring_wake.h. */
static enum ring_result next_or_sleep(struct reading *reading, struct ring_record *ret_record)
{
    struct pollfd event = {.fd = scene.eventfd, .events = POLLIN};
    enum ring_result result = ring_read(&reading->ring, ret_record);
    uint64_t count;

    if (result != RING_EMPTY)
        return result;
    ring_wake_sleep_begin(scene.page);
    result = ring_read(&reading->ring, ret_record);
    if (result == RING_EMPTY && !is_over(reading)) {
        must(poll(&event, 1, -1) == 1, "poll");
        must(read(scene.eventfd, &count, sizeof count) == sizeof count, "eventfd");
    }
    ring_wake_sleep_end(scene.page);
    return result;
}

static void open_reading(struct reading *reading, const struct ring_memory *ring, const struct ring_memory *journal)
{
    struct why why;

    *reading = (struct reading){.room = malloc(JOINED_MAX)};
    must(reading->room && ring_reader_open(ring, &reading->ring, &why) == 0 &&
             journal_reader_open(journal, &reading->journal, &why) == 0,
         "reader");
    make_room(reading->joined);
    for (unsigned stream = 0; stream < STREAMS; stream++)
        reading->cursor[stream].ref = scene.ref[stream];
    reading->ring.next = 0;
}

static void close_reading(struct reading *reading)
{
    free(reading->room);
    for (unsigned stream = 0; stream < STREAMS; stream++)
        for (unsigned kind = 0; kind < KINDS; kind++)
            free(reading->joined[stream][kind].data);
}

static void tell(const struct reading *reading)
{
    printf("# lapped %llu times, %llu records from the ring, %llu merged deltas\n", (unsigned long long)reading->laps,
           (unsigned long long)reading->from_ring, (unsigned long long)reading->merged);
    fflush(stdout);
}

static int read_everything(void)
{
    struct ring_memory ring, journal;
    struct ring_record record;
    struct reading reading;
    struct why why;
    unsigned since_nap = 0;
    char go;

    must(ring_memory_map(scene.ring.memory.fd, 1, 0, &ring, &why) == 0 &&
             ring_memory_map(journal_writer_memory(scene.journal)->fd, 1, 0, &journal, &why) == 0,
         "map");
    open_reading(&reading, &ring, &journal);
    must(read(scene.gate[0], &go, 1) == 1, "the first sleep");
    while (!is_over(&reading) && reading.wrong == 0) {
        switch (next_or_sleep(&reading, &record)) {
        case RING_OK:
            take(&reading, &record);
            break;
        case RING_LAPPED:
            after_lap(&reading);
            break;
        case RING_EMPTY:
            break;
        }
        if (++since_nap % NAP_EVERY == 0)
            must(read(scene.gate[0], &go, 1) >= 0, "nap"); /* 0 once the writer is done */
    }
    /* Back to the writer, which alone knows what it wrote: in the upper half of its own buffers. */
    for (unsigned stream = 0; stream < STREAMS; stream++)
        for (unsigned kind = UMBEL_EVENT_TEXT; kind < KINDS; kind++) {
            const struct joined *joined = &reading.joined[stream][kind];

            memcpy(scene.written[stream][kind].data + JOINED_MAX, &joined->size, sizeof joined->size);
            memcpy(scene.written[stream][kind].data + JOINED_MAX + sizeof joined->size, joined->data, joined->size);
        }
    tell(&reading);
    return reading.laps == 0 || reading.merged == 0 || reading.wrong > 0;
}

static bool equals_what_was_written(const struct reading *reading, unsigned stream)
{
    for (unsigned kind = UMBEL_EVENT_TEXT; kind < KINDS; kind++)
        if (reading->joined[stream][kind].size != scene.written[stream][kind].size ||
            memcmp(reading->joined[stream][kind].data, scene.written[stream][kind].data, scene.written[stream][kind].size) != 0)
            return false;
    return reading->wrong == 0;
}

static bool journal_alone_is_equal(unsigned stream)
{
    struct reading reading;
    bool equal;

    open_reading(&reading, &scene.ring.memory, journal_writer_memory(scene.journal));
    catch_up(&reading, stream);
    equal = equals_what_was_written(&reading, stream);
    close_reading(&reading);
    return equal;
}

static bool reader_is_equal(unsigned stream, unsigned kind)
{
    const struct joined *written = &scene.written[stream][kind];
    size_t size;

    memcpy(&size, written->data + JOINED_MAX, sizeof size);
    return size == written->size && memcmp(written->data + JOINED_MAX + sizeof size, written->data, size) == 0;
}

static void set_up(void)
{
    struct journal_identity identity = {.created_s = 1};
    struct why why;

    scene = (struct scene){.eventfd = eventfd(0, EFD_CLOEXEC)};
    must(scene.eventfd != -1 && pipe(scene.gate) == 0, "descriptors");
    must(ring_writer_create(RING_SLOTS_MIN, 1, &scene.ring, &why) == 0, "ring");
    must(journal_writer_create(4 << 20, 1, &scene.journal, &why) == 0, "journal");
    scene.page = mmap(NULL, sizeof *scene.page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(scene.page != MAP_FAILED, "page");
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        must(journal_open(scene.journal, &identity, &scene.ref[stream]) == 0, "open");
        ring_wake_interest(scene.page, scene.ref[stream].slot, true);
        for (unsigned kind = 0; kind < KINDS; kind++) { /* the upper half is for the reader's answer */
            scene.written[stream][kind].data =
                mmap(NULL, 2 * JOINED_MAX + 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            must(scene.written[stream][kind].data != MAP_FAILED, "memory");
        }
    }
}

static void tear_down(void)
{
    journal_writer_free(scene.journal);
    ring_writer_free(&scene.ring);
    munmap(scene.page, sizeof *scene.page);
    close(scene.eventfd);
    for (unsigned stream = 0; stream < STREAMS; stream++)
        for (unsigned kind = 0; kind < KINDS; kind++)
            munmap(scene.written[stream][kind].data, 2 * JOINED_MAX + 64);
}

/* The same without chance: writer and reader take turns, between one and two hundred events long, so that there are seams of both
 * kinds, from the ring into the journal and back. */
static void in_turns(void)
{
    struct ring_record record;
    struct reading reading;
    enum ring_result result;
    uint64_t turn = 1;

    set_up();
    open_reading(&reading, &scene.ring.memory, journal_writer_memory(scene.journal));
    for (uint64_t n = 0; n < EVENTS; n++) {
        write_event(n);
        if (n < turn)
            continue;
        turn += race_hash(turn) % (n % 3 ? 20 : 200);
        while ((result = ring_read(&reading.ring, &record)) != RING_EMPTY) {
            if (result == RING_OK)
                take(&reading, &record);
            else
                after_lap(&reading);
        }
    }
    for (unsigned stream = 0; stream < STREAMS; stream++)
        catch_up(&reading, stream);
    tell(&reading);
    race_check(reading.laps > 10 && reading.from_ring > 100, "taking turns, the reader used ring and journal many times");
    for (unsigned stream = 0; stream < STREAMS; stream++)
        race_check(equals_what_was_written(&reading, stream), "taking turns, stream %u: nothing lost, nothing doubled", stream);
    close_reading(&reading);
    tear_down();
}

int main(void)
{
    int status;
    pid_t pid;

    signal(SIGPIPE, SIG_IGN);
    set_up();
    pid = fork();
    must(pid != -1, "fork");
    if (pid == 0) {
        close(scene.gate[1]);
        _exit(read_everything());
    }
    close(scene.gate[0]);
    write_everything();
    must(waitpid(pid, &status, 0) == pid, "wait");
    race_check(status == 0, "the reader was lapped, was told each time, and got one merged delta for what it missed");
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        race_check(journal_alone_is_equal(stream), "stream %u: the journal is what was written", stream);
        for (unsigned kind = UMBEL_EVENT_TEXT; kind < KINDS; kind++)
            race_check(reader_is_equal(stream, kind), "stream %u, kind %u: nothing lost, nothing doubled (%zu bytes)", stream, kind,
                       scene.written[stream][kind].size);
    }
    tear_down();
    in_turns();
    return race_done();
}
