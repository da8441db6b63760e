/* umbel-bench-ring [--json] [--repeat N] - what the ring costs: publishing, and the way from the writer to an awake or sleeping reader in
 * another process, beside a bare cache line that goes to and fro and a pipe, all in one run.  Trust the ratios, not the figures. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/ring/ring_reader.h"
#include "core/ring/ring_wake.h"
#include "core/ring/ring_writer.h"

#define READERS_MAX 2u
#define REPEAT_MAX 99u
#define SLOTS 65536u
#define FIVE_SLOTS (RING_HEAD_DATA + 4 * RING_NEXT_DATA)
#define GOAL 3.0

/* One line of the table. */
enum kind { COST, PING_PONG, AWAKE, ASLEEP, PIPE_COST, PIPE_ASLEEP };
struct row {
    const char *name, *words;
    enum kind kind;
    unsigned readers;
    uint16_t size; /* data bytes of a record */
    double ns[REPEAT_MAX];
};

/* In memory shared with the readers; a cache line for each member that is waited on. */
struct control {
    _Alignas(64) _Atomic uint64_t ball;
    struct {
        _Alignas(64) _Atomic uint64_t done; /* what this reader has read so far */
        uint64_t latency_ns;                /* of the last record, told before done */
        struct ring_reader_page page;
    } reader[READERS_MAX];
    _Alignas(64) _Atomic bool stop;
};

struct bench {
    struct control *control;
    struct ring_writer writer;
    int eventfd[READERS_MAX], pipe[2];
    unsigned cpu[CPU_SETSIZE], cpus; /* those this process may use */
};

static struct row rows[] = {
    {"cache_line", "bare cache line, one way", PING_PONG, 1, 0, {0}},
    {"awake_1_slot", "publish -> read, reader awake, 1 slot", AWAKE, 1, RING_HEAD_DATA, {0}},
    {"awake_5_slots", "publish -> read, reader awake, 5 slots", AWAKE, 1, FIVE_SLOTS, {0}},
    {"awake_1_slot_2_readers", "publish -> read by both, 2 readers awake, 1 slot", AWAKE, 2, RING_HEAD_DATA, {0}},
    {"asleep_1_slot", "publish -> read, reader asleep (eventfd), 1 slot", ASLEEP, 1, RING_HEAD_DATA, {0}},
    {"asleep_1_slot_2_readers", "publish -> read by both, 2 readers asleep, 1 slot", ASLEEP, 2, RING_HEAD_DATA, {0}},
    {"pipe_asleep", "pipe write -> read, reader asleep, 64 bytes", PIPE_ASLEEP, 1, 0, {0}},
    {"publish_1_slot", "publish, nobody reads, 1 slot", COST, 0, RING_HEAD_DATA, {0}},
    {"publish_5_slots", "publish, nobody reads, 5 slots", COST, 0, FIVE_SLOTS, {0}},
    {"publish_1_slot_1_reader", "publish, 1 reader reads along, 1 slot", COST, 1, RING_HEAD_DATA, {0}},
    {"publish_1_slot_2_readers", "publish, 2 readers read along, 1 slot", COST, 2, RING_HEAD_DATA, {0}},
    {"pipe_cost", "pipe write, 1 reader reads along, 64 bytes", PIPE_COST, 1, 0, {0}},
};
#define ROWS (sizeof rows / sizeof rows[0])

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "umbel-bench-ring: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

/* Spins, and gives the processor away when nothing comes: there may be fewer of them than of us. */
static void spin(unsigned *spins)
{
    if (++*spins % 4000 == 0)
        sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void pin(const struct bench *bench, unsigned index)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(bench->cpu[index % bench->cpus], &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* without it the figures are worse, not wrong */
}

/* --- readers: each a process of its own --- */

static void echo_ball(struct control *control)
{
    unsigned spins = 0;

    for (uint64_t seen = 0; !atomic_load_explicit(&control->stop, memory_order_relaxed);) {
        uint64_t ball = atomic_load_explicit(&control->ball, memory_order_acquire);

        if (ball == seen) {
            spin(&spins);
            continue;
        }
        seen = ball;
        atomic_store_explicit(&control->reader[0].done, seen, memory_order_release);
    }
}

static void read_ring(struct bench *bench, unsigned index, bool sleeps)
{
    struct control *control = bench->control;
    struct ring_reader_page *page = &control->reader[index].page;
    struct pollfd event = {.fd = bench->eventfd[index], .events = POLLIN};
    struct ring_memory memory;
    struct ring_reader reader;
    struct ring_record record;
    struct why why;
    uint64_t count;
    unsigned spins = 0;

    must(ring_memory_map(bench->writer.memory.fd, 1, 0, &memory, &why) == 0 && ring_reader_open(&memory, &reader, &why) == 0, "reader");
    atomic_store(&control->reader[index].done, reader.next);
    while (!atomic_load_explicit(&control->stop, memory_order_relaxed)) {
        enum ring_result result = ring_read(&reader, &record);

        if (result == RING_EMPTY && sleeps) {
            ring_wake_sleep_begin(page);
            result = ring_read(&reader, &record);
            if (result == RING_EMPTY && !atomic_load(&control->stop) && poll(&event, 1, -1) == 1)
                must(read(event.fd, &count, sizeof count) == sizeof count, "eventfd");
            ring_wake_sleep_end(page);
        }
        if (result == RING_OK) {
            control->reader[index].latency_ns = sleeps ? clock_now_ns() - record.arrival_ns : 0;
            atomic_store_explicit(&control->reader[index].done, reader.next, memory_order_release);
        } else if (result == RING_LAPPED) {
            ring_reader_resync(&reader);
        } else {
            spin(&spins);
        }
    }
}

static void read_pipe(struct bench *bench)
{
    uint64_t record[8];

    while (read(bench->pipe[0], record, sizeof record) == sizeof record) {
        bench->control->reader[0].latency_ns = clock_now_ns() - record[1];
        atomic_store_explicit(&bench->control->reader[0].done, record[0], memory_order_release);
    }
}

static pid_t start_reader(struct bench *bench, const struct row *row, unsigned index)
{
    pid_t pid = fork();

    must(pid != -1, "fork");
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(bench, index + 1);
    close(bench->pipe[1]);
    if (row->kind == PING_PONG)
        echo_ball(bench->control);
    else if (row->kind == PIPE_COST || row->kind == PIPE_ASLEEP)
        read_pipe(bench);
    else
        read_ring(bench, index, row->kind == ASLEEP);
    _exit(0);
}

/* --- the writer --- */

static void await(const struct bench *bench, unsigned readers, uint64_t done)
{
    unsigned spins = 0;

    for (unsigned i = 0; i < readers; i++)
        while (atomic_load_explicit(&bench->control->reader[i].done, memory_order_acquire) != done)
            spin(&spins);
}

/* Until the reader is not only ready to sleep but most likely asleep. */
static void let_sleep(const struct bench *bench, unsigned readers)
{
    for (unsigned i = 0; i < readers; i++)
        while (!atomic_load(&bench->control->reader[i].page.sleeping))
            sched_yield();
    usleep(60);
}

static void wake_sleepers(struct bench *bench, unsigned readers)
{
    static const uint64_t touched[RING_INTEREST_WORDS] = {1};
    uint64_t one = 1;

    ring_wake_fence();
    for (unsigned i = 0; i < readers; i++)
        if (ring_wake_wanted(&bench->control->reader[i].page, touched))
            must(write(bench->eventfd[i], &one, sizeof one) == sizeof one, "eventfd");
}

static double run_cost(struct bench *bench, struct ring_record *record)
{
    const unsigned n = 200000;
    uint64_t begin = clock_now_ns();

    for (unsigned i = 0; i < n; i++) {
        record->arrival_ns = i;
        ring_publish(&bench->writer, record);
    }
    return (double)(clock_now_ns() - begin) / n;
}

/* A round, there over what is measured and back over a bare line, as often as fits into 60 ms. */
static double run_round(struct bench *bench, const struct row *row, struct ring_record *record)
{
    uint64_t begin = clock_now_ns(), now = begin, n = 0;

    while (now - begin < 60 * CLOCK_MS) {
        for (unsigned i = 0; i < 16; i++, n++) {
            if (row->kind == PING_PONG) {
                atomic_store_explicit(&bench->control->ball, n + 1, memory_order_release);
                await(bench, 1, n + 1);
            } else {
                ring_publish(&bench->writer, record);
                await(bench, row->readers, bench->writer.next);
            }
        }
        now = clock_now_ns();
    }
    return (double)(now - begin) / (double)n;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* What the last of the readers needed, timed by the readers' clocks. */
static double run_asleep(struct bench *bench, const struct row *row, struct ring_record *record)
{
    double sample[300];

    for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++) {
        uint64_t message[8] = {i + 1}, slowest = 0;

        if (row->kind == PIPE_ASLEEP) {
            usleep(60);
            message[1] = clock_now_ns();
            must(write(bench->pipe[1], message, sizeof message) == sizeof message, "pipe");
            await(bench, 1, message[0]);
        } else {
            let_sleep(bench, row->readers);
            record->arrival_ns = clock_now_ns();
            ring_publish(&bench->writer, record);
            wake_sleepers(bench, row->readers);
            await(bench, row->readers, bench->writer.next);
        }
        for (unsigned r = 0; r < row->readers; r++)
            slowest = bench->control->reader[r].latency_ns > slowest ? bench->control->reader[r].latency_ns : slowest;
        sample[i] = (double)slowest;
    }
    return median(sample, sizeof sample / sizeof sample[0]);
}

static double run_pipe_cost(struct bench *bench)
{
    const unsigned n = 20000;
    uint64_t message[8] = {0}, begin = clock_now_ns();

    for (unsigned i = 0; i < n; i++)
        must(write(bench->pipe[1], message, sizeof message) == sizeof message, "pipe");
    return (double)(clock_now_ns() - begin) / n;
}

static double run_row(struct bench *bench, const struct row *row)
{
    struct ring_record record = {.kind = 2, .size = row->size};
    struct control *control = bench->control;
    pid_t pids[READERS_MAX];
    uint64_t one = 1;
    struct why why;
    double ns = 0;

    memset((void *)control, 0, sizeof *control);
    must(ring_writer_create(SLOTS, 1, &bench->writer, &why) == 0 && pipe(bench->pipe) == 0, "ring");
    for (unsigned i = 0; i < row->readers; i++) {
        ring_wake_interest_all(&control->reader[i].page, true);
        atomic_store(&control->reader[i].done, UINT64_MAX); /* a ring's reader sets its place when it has come */
        bench->eventfd[i] = eventfd(0, EFD_CLOEXEC);
        must(bench->eventfd[i] != -1, "eventfd");
        pids[i] = start_reader(bench, row, i);
    }
    if (row->kind == COST || row->kind == AWAKE || row->kind == ASLEEP)
        await(bench, row->readers, 0);
    if (row->kind == COST)
        ns = run_cost(bench, &record);
    else if (row->kind == PING_PONG || row->kind == AWAKE)
        ns = run_round(bench, row, &record);
    else if (row->kind == PIPE_COST)
        ns = run_pipe_cost(bench);
    else
        ns = run_asleep(bench, row, &record);
    atomic_store(&control->stop, true);
    close(bench->pipe[1]);
    for (unsigned i = 0; i < row->readers; i++) {
        must(write(bench->eventfd[i], &one, sizeof one) == sizeof one && waitpid(pids[i], NULL, 0) == pids[i], "end");
        close(bench->eventfd[i]);
    }
    close(bench->pipe[0]);
    ring_writer_free(&bench->writer);
    return ns;
}

/* --- the table --- */

static const char *note_of(const struct bench *bench, const struct row *row)
{
    return row->readers + 1 > bench->cpus ? "oversubscribed: more busy processes than processors, scheduling is what is measured" : "";
}

static void print_table(const struct bench *bench, unsigned repeat, double ratio)
{
    printf("ring of %u slots, %u processors, readers are processes; median of %u (min - max), ns\n\n", SLOTS, bench->cpus, repeat);
    for (size_t i = 0; i < ROWS; i++)
        printf("%-52s %10.1f  (%.1f - %.1f)%s%s\n", rows[i].words, rows[i].ns[repeat / 2], rows[i].ns[0], rows[i].ns[repeat - 1],
               *note_of(bench, &rows[i]) ? "  " : "", note_of(bench, &rows[i]));
    printf("\npublish -> read awake / bare cache line: %.2f (goal: at most %.0f)\n", ratio, GOAL);
}

static void print_json(const struct bench *bench, unsigned repeat, double ratio)
{
    printf("{\"bench\":\"ring\",\"slots\":%u,\"processors\":%u,\"repeat\":%u,\"rows\":[", SLOTS, bench->cpus, repeat);
    for (size_t i = 0; i < ROWS; i++)
        printf("%s{\"name\":\"%s\",\"readers\":%u,\"median_ns\":%.1f,\"min_ns\":%.1f,\"max_ns\":%.1f,\"oversubscribed\":%s}",
               i ? "," : "", rows[i].name, rows[i].readers, rows[i].ns[repeat / 2], rows[i].ns[0], rows[i].ns[repeat - 1],
               *note_of(bench, &rows[i]) ? "true" : "false");
    printf("],\"awake_to_cache_line\":%.3f,\"goal\":%.1f}\n", ratio, GOAL);
}

static void find_processors(struct bench *bench)
{
    cpu_set_t set;

    must(sched_getaffinity(0, sizeof set, &set) == 0, "processors");
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set))
            bench->cpu[bench->cpus++] = i;
}

static int usage(void)
{
    fprintf(stderr, "usage: umbel-bench-ring [--json] [--repeat N]   (N odd, 1 to %u; default 7)\n", REPEAT_MAX);
    return 2;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    double ratios[REPEAT_MAX], ratio;
    uint64_t repeat = 7;
    bool json = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc) {
            i++;
            if (!number_parse_u64(argv[i], strlen(argv[i]), &repeat) || repeat > REPEAT_MAX || repeat % 2 == 0)
                return usage();
        } else {
            return usage();
        }
    }
    find_processors(&bench);
    pin(&bench, 0);
    bench.control = mmap(NULL, sizeof *bench.control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(bench.control != MAP_FAILED, "memory");
    for (uint64_t r = 0; r < repeat; r++) {
        /* All rows in each repetition, so that a busy moment of the machine meets them alike. */
        for (size_t i = 0; i < ROWS; i++) {
            rows[i].ns[r] = run_row(&bench, &rows[i]);
            if (rows[i].kind == PING_PONG)
                rows[i].ns[r] /= 2;
            else if (rows[i].kind == AWAKE)
                rows[i].ns[r] -= rows[0].ns[r]; /* the way back is a bare line */
        }
        ratios[r] = rows[1].ns[r] / rows[0].ns[r];
    }
    ratio = median(ratios, repeat);
    for (size_t i = 0; i < ROWS; i++)
        median(rows[i].ns, repeat); /* sorted from here on */
    (json ? print_json : print_table)(&bench, (unsigned)repeat, ratio);
    return 0;
}
