/* Threads and processes that run freely over one ring and one journal.  Nothing here depends on luck or speed: whatever happens, a
 * record is whole, in order, and a reader within half a ring is never told it was lapped.  Built with the thread sanitizer as well,
 * which sees a race only through one mapping: the threads' form. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <umbel/event.h>
#include <unistd.h>

#include "core/ring/journal_reader.h"
#include "core/ring/journal_writer.h"
#include "core/ring/ring_reader.h"
#include "core/ring/ring_writer.h"
#include "tests/race/race_record.h"

#define READERS 2u
#define SLOTS 256u
#define RECORDS 20000u
#define STREAMS 1000u

/* What one reader found; in memory shared with the writer. */
struct finding {
    _Alignas(64) _Atomic uint64_t next; /* its place, for the writer that keeps pace */
    uint64_t read, torn, disorder, lapped, foreign, stale, whole_at_end;
};

struct stage {
    struct finding finding[READERS];
    _Atomic bool done;
    struct ring_memory ring, journal; /* as the readers map them */
    bool keep_pace;
};

struct actor {
    struct stage *stage;
    struct finding *finding;
    void (*act)(struct stage *stage, struct finding *finding);
};

static void *thread_main(void *arg)
{
    struct actor *actor = arg;

    actor->act(actor->stage, actor->finding);
    return NULL;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(2);
    }
}

static struct ring_memory view_of(const struct ring_memory *memory, bool processes)
{
    struct ring_memory view = *memory;
    struct why why;

    if (processes)
        must(ring_memory_map(memory->fd, 1, 0, &view, &why) == 0, "map");
    return view;
}

/* Runs READERS readers as threads or processes beside the writer. */
static void run(struct stage *stage, bool processes, void (*reader)(struct stage *, struct finding *), void (*writer)(struct stage *, void *),
                void *owner)
{
    struct actor actors[READERS];
    pthread_t threads[READERS];
    pid_t pids[READERS];
    int status;

    for (unsigned i = 0; i < READERS; i++) {
        actors[i] = (struct actor){stage, &stage->finding[i], reader};
        if (!processes) {
            must(pthread_create(&threads[i], NULL, thread_main, &actors[i]) == 0, "thread");
            continue;
        }
        pids[i] = fork();
        must(pids[i] != -1, "fork");
        if (pids[i] == 0) {
            thread_main(&actors[i]);
            _exit(0);
        }
    }
    writer(stage, owner);
    atomic_store(&stage->done, true);
    for (unsigned i = 0; i < READERS; i++) {
        if (processes)
            must(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "reader process");
        else
            must(pthread_join(threads[i], NULL) == 0, "reader thread");
    }
}

static struct stage *stage_new(void)
{
    struct stage *stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    must(stage != MAP_FAILED, "stage");
    return stage;
}

static void read_ring(struct stage *stage, struct finding *finding)
{
    struct ring_reader reader;
    struct ring_record record;
    uint64_t expected = 0;
    struct why why;

    must(ring_reader_open(&stage->ring, &reader, &why) == 0, why.text);
    reader.next = 0; /* the writer may have begun */
    for (;;) {
        bool done = atomic_load(&stage->done);
        enum ring_result result = ring_read(&reader, &record);

        if (result == RING_OK) {
            finding->read++;
            finding->torn += !race_intact(&record) || record.size != race_size(record.arrival_ns);
            finding->disorder += finding->lapped ? record.arrival_ns < expected : record.arrival_ns != expected;
            expected = record.arrival_ns + 1;
            atomic_store(&finding->next, reader.next);
        } else if (result == RING_LAPPED) {
            finding->lapped++;
            ring_reader_resync(&reader);
        } else if (done) {
            return;
        } else {
            sched_yield();
        }
    }
}

static void write_ring(struct stage *stage, void *owner)
{
    struct ring_writer *writer = owner;
    struct ring_record record;

    for (uint64_t n = 0; n < RECORDS; n++) {
        race_fill(n, race_size(n), &record);
        /* The pace is the test's: the ring has no way to wait for anybody. */
        for (unsigned i = 0; stage->keep_pace && i < READERS; i++)
            while (writer->next + RING_RECORD_SLOTS_MAX - atomic_load(&stage->finding[i].next) > SLOTS / 2)
                sched_yield();
        if (n % 128 == 0)
            sched_yield(); /* or a single processor shows the readers nothing but the end */
        ring_publish(writer, &record);
    }
}

/* Goal: no torn read, and no loss in silence; with keep_pace also no loss at all.  Catches: any step of the ring that is missing and that
 * this machine can show, given luck; the sure proofs are in race_ring.c. */
static void ring_stress(bool processes, bool keep_pace)
{
    const char *who = processes ? "processes" : "threads";
    struct stage *stage = stage_new();
    struct ring_writer writer;
    struct why why;

    must(ring_writer_create(SLOTS, 1, &writer, &why) == 0, "ring");
    stage->ring = view_of(&writer.memory, processes);
    stage->keep_pace = keep_pace;
    run(stage, processes, read_ring, write_ring, &writer);
    for (unsigned i = 0; i < READERS; i++) {
        const struct finding *f = &stage->finding[i];

        race_check(f->torn == 0 && f->disorder == 0, "%s, %s: %llu records read, %llu torn, %llu out of order, lapped %llu times", who,
                   keep_pace ? "in step" : "free", (unsigned long long)f->read, (unsigned long long)f->torn,
                   (unsigned long long)f->disorder, (unsigned long long)f->lapped);
        if (keep_pace)
            race_check(f->lapped == 0 && f->read == RECORDS, "%s: who keeps up is never told it was lapped, and gets everything", who);
    }
    if (processes)
        ring_memory_free(&(struct ring_memory){.base = stage->ring.base, .size = stage->ring.size, .fd = -1});
    ring_writer_free(&writer);
    munmap(stage, sizeof *stage);
}

/* --- the journal --- */

struct library {
    struct ring_writer ring;
    struct journal_writer *journal;
};

static char letter(uint64_t stream, uint64_t position)
{
    return (char)(' ' + race_hash(stream << 20 ^ position) % 90);
}

static uint64_t text_size(uint64_t stream)
{
    return race_hash(~stream) % 5000;
}

/* Reads what there is of a stream; returns false when it was forgotten.  whole: the text was all there. */
static bool read_stream(const struct journal_reader *journal, struct journal_ref ref, struct finding *finding, bool *ret_whole)
{
    struct journal_cursor cursor = {.ref = ref};
    struct journal_identity identity;
    uint64_t stream, begin;
    char text[700];
    size_t size;
    int r;

    if (journal_identity(journal, ref, &identity) < 0)
        return false;
    stream = identity.created_s;
    for (;;) {
        begin = cursor.text;
        r = journal_read(journal, &cursor, text, sizeof text, &size);
        if (r == -ESTALE)
            return false;
        if (r != UMBEL_EVENT_TEXT)
            break;
        for (size_t i = 0; i < size; i++)
            finding->foreign += text[i] != letter(stream, begin + i);
    }
    finding->foreign += r != 0;
    *ret_whole = cursor.text == text_size(stream);
    return true;
}

static void read_journal(struct stage *stage, struct finding *finding)
{
    struct journal_reader journal;
    struct ring_reader reader;
    struct ring_record record;
    struct why why;
    bool whole = false;

    must(ring_reader_open(&stage->ring, &reader, &why) == 0, why.text);
    must(journal_reader_open(&stage->journal, &journal, &why) == 0, why.text);
    reader.next = 0;
    for (;;) {
        bool done = atomic_load(&stage->done);
        enum ring_result result = ring_read(&reader, &record);

        if (result == RING_LAPPED)
            ring_reader_resync(&reader);
        else if (result == RING_EMPTY && done)
            break;
        else if (result == RING_EMPTY)
            sched_yield();
        else if (!read_stream(&journal, (struct journal_ref){record.stream_slot, record.generation}, finding, &whole))
            finding->stale++;
        else
            finding->read++;
    }
    /* The last record was not overwritten and its stream not forgotten: everybody can read it to the end. */
    reader.next = atomic_load(&reader.header->head) - 1;
    must(ring_read(&reader, &record) == RING_OK, "last record");
    finding->whole_at_end = read_stream(&journal, (struct journal_ref){record.stream_slot, record.generation}, finding, &whole) && whole;
}

/* Streams come and go in an arena that holds few of them; each append is announced in the ring. */
static void write_journal(struct stage *stage, void *owner)
{
    struct library *library = owner;
    struct ring_record record = {.kind = UMBEL_EVENT_TEXT, .flags = RING_IN_JOURNAL};

    (void)stage;
    for (uint64_t stream = 0; stream < STREAMS; stream++) {
        struct journal_identity identity = {.created_s = stream};
        uint64_t size = text_size(stream), offset;
        struct journal_ref ref;
        char piece[40];

        must(journal_open(library->journal, &identity, &ref) == 0, "open");
        record.stream_slot = ref.slot;
        record.generation = ref.generation;
        for (uint64_t position = 0; position < size; position += sizeof piece) {
            size_t n = size - position < sizeof piece ? size - position : sizeof piece;

            for (size_t i = 0; i < n; i++)
                piece[i] = letter(stream, position + i);
            must(journal_append(library->journal, ref, UMBEL_EVENT_TEXT, piece, n, &offset) == 0, "append");
            ring_publish(&library->ring, &record);
        }
        journal_close(library->journal, ref, &(struct journal_ending){.verdict = UMBEL_VERDICT_COMPLETE});
        ring_publish(&library->ring, &record);
        if (stream % 3 == 0 && stream + 1 < STREAMS)
            journal_evict(library->journal, ref);
        sched_yield();
    }
}

/* Goal: a reader of the journal gets the stream it asked for, or is told that it is gone.  Catches: bytes of the next owner of a page,
 * a half stored word, a page that is not linked yet. */
static void journal_stress(bool processes)
{
    struct stage *stage = stage_new();
    struct library library;
    struct why why;

    must(ring_writer_create(SLOTS, 1, &library.ring, &why) == 0, "ring");
    must(journal_writer_create(256 << 10, 1, &library.journal, &why) == 0, "journal");
    stage->ring = view_of(&library.ring.memory, processes);
    stage->journal = view_of(journal_writer_memory(library.journal), processes);
    run(stage, processes, read_journal, write_journal, &library);
    for (unsigned i = 0; i < READERS; i++) {
        const struct finding *f = &stage->finding[i];

        race_check(f->foreign == 0 && f->whole_at_end, "journal, %s: %llu reads, %llu told that the stream is gone, %llu bytes foreign",
                   processes ? "processes" : "threads", (unsigned long long)f->read, (unsigned long long)f->stale,
                   (unsigned long long)f->foreign);
    }
    if (processes) {
        ring_memory_free(&(struct ring_memory){.base = stage->ring.base, .size = stage->ring.size, .fd = -1});
        ring_memory_free(&(struct ring_memory){.base = stage->journal.base, .size = stage->journal.size, .fd = -1});
    }
    journal_writer_free(library.journal);
    ring_writer_free(&library.ring);
    munmap(stage, sizeof *stage);
}

int main(void)
{
    for (int processes = 0; processes < 2; processes++) {
        ring_stress(processes, false);
        ring_stress(processes, true);
        journal_stress(processes);
    }
    return race_done();
}
