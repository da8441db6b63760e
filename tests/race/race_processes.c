/* What another process can and cannot do with the ring: it cannot write to it, and it cannot slow the writer, not even when it stands
 * still. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/ring/journal_writer.h"
#include "core/ring/ring_reader.h"
#include "core/ring/ring_writer.h"
#include "tests/race/race_record.h"

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(2);
    }
}

/* Every way there is to get at a writable mapping.  Returns the number of the first that worked, or failed with an odd error; 0: none. */
static int try_to_write(int fd, size_t size)
{
    void *base;
    int again;
    char path[64];

    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base != MAP_FAILED || errno != EPERM)
        return 1;
    base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return 2;
    if (mprotect(base, size, PROT_READ | PROT_WRITE) == 0 || errno != EACCES)
        return 3;
    if (write(fd, "x", 1) != -1 || errno != EPERM)
        return 4;
    if (ftruncate(fd, 0) == 0 || errno != EPERM)
        return 5;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    again = open(path, O_RDWR);
    if (again != -1 && (mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) != MAP_FAILED || errno != EPERM))
        return 6;
    return 0;
}

/* Goal: a host cannot write to ring and journal.  Method: another process tries.  Catches: a seal that is missing or comes too early. */
static void cannot_be_written(const char *name, const struct ring_memory *memory)
{
    int status;
    pid_t pid = fork();

    must(pid != -1, "fork");
    if (pid == 0)
        _exit(munmap(memory->base, memory->size) == 0 ? try_to_write(memory->fd, memory->size) : 99);
    must(waitpid(pid, &status, 0) == pid, "wait");
    race_check(status == 0, "another process cannot write to the %s (wait status %#x)", name, (unsigned)status);
}

#define LAST (1ull << 40) /* number of the record that ends the reader */

struct seen {
    _Atomic uint64_t records; /* read by the other process so far */
    uint64_t torn, laps, lost, last;
};

static int read_to_the_end(int fd, struct seen *seen)
{
    struct ring_memory memory;
    struct ring_reader reader;
    struct ring_record record;
    struct why why;

    must(ring_memory_map(fd, 1, 0, &memory, &why) == 0 && ring_reader_open(&memory, &reader, &why) == 0, "reader");
    while (seen->last < LAST) {
        enum ring_result result = ring_read(&reader, &record);

        if (result == RING_OK) {
            seen->torn += !race_intact(&record) || record.arrival_ns <= seen->last;
            seen->last = record.arrival_ns;
            atomic_fetch_add(&seen->records, 1);
        } else if (result == RING_LAPPED) {
            seen->laps++;
            seen->lost += ring_reader_resync(&reader);
        } else {
            sched_yield();
        }
    }
    return 0;
}

static void publish(struct ring_writer *writer, uint64_t n)
{
    struct ring_record record;

    race_fill(n, race_size(n), &record);
    ring_publish(writer, &record);
}

/* Goal: a reader that stands still costs the writer nothing.  Method: the reader process is stopped (SIGSTOP); a hundred rounds are
 * published, with nobody there who could make room.  Catches: any waiting for a reader: this test would never end. */
static void stopped_reader_is_not_waited_for(void)
{
    struct seen *seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t n = 0, published = 0, before;
    struct ring_writer writer;
    struct why why;
    int status;
    pid_t pid;

    must(seen != MAP_FAILED && ring_writer_create(RING_SLOTS_MIN, 1, &writer, &why) == 0, "ring");
    pid = fork();
    must(pid != -1, "fork");
    if (pid == 0)
        _exit(read_to_the_end(writer.memory.fd, seen));
    while (atomic_load(&seen->records) == 0) { /* it must be there before it can be stopped */
        publish(&writer, ++n);
        sched_yield();
    }
    kill(pid, SIGSTOP);
    must(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "stop");
    before = atomic_load(&seen->records);
    for (; published < 100 * RING_SLOTS_MIN; published++)
        publish(&writer, ++n);
    race_check(atomic_load(&seen->records) == before && waitpid(pid, &status, WNOHANG) == 0,
               "%llu records were published while the reader stood still", (unsigned long long)published);
    kill(pid, SIGCONT);
    do { /* more than one: it may come back to the ring after the first */
        publish(&writer, LAST);
        sched_yield();
    } while (waitpid(pid, &status, WNOHANG) == 0);
    race_check(status == 0 && seen->torn == 0 && seen->laps > 0 && seen->lost >= 100 * RING_SLOTS_MIN,
               "it was told that it was lapped, by %llu slots", (unsigned long long)seen->lost);
    ring_writer_free(&writer);
}

int main(void)
{
    struct journal_writer *journal = NULL;
    struct ring_writer ring;
    struct why why;

    must(ring_writer_create(RING_SLOTS_MIN, 1, &ring, &why) == 0 && journal_writer_create(256 << 10, 1, &journal, &why) == 0, "memory");
    cannot_be_written("ring", &ring.memory);
    cannot_be_written("journal", journal_writer_memory(journal));
    stopped_reader_is_not_waited_for();
    journal_writer_free(journal);
    ring_writer_free(&ring);
    return race_done();
}
