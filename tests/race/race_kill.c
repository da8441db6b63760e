/* Goal: a writer that is killed in the middle of a record is noticed and never gives a torn one.  Method: for each slot of a record and
 * each step of a slot a child process stops there and is killed by SIGKILL; this process reads on.  Catches: a slot that looks finished
 * before W4, a death that looks like silence, silence that looks like a death. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/race/race_record.h"
#include "tests/race/race_remote.h"

#define BEFORE 3u           /* records the writer finishes first */
#define BEAT_NS 1000000000u /* its last sign of life */
#define LIMIT_NS 5000u

static void die(void *arg)
{
    (void)arg;
    kill(getpid(), SIGKILL);
}

static bool write_and_die(struct ring_writer *writer, uint16_t size, enum ring_step step, unsigned count)
{
    struct ring_record record;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        for (uint64_t n = 0; n < BEFORE; n++) {
            race_fill(n, RING_DATA_MAX, &record);
            ring_publish(writer, &record);
        }
        ring_writer_beat(writer, BEAT_NS);
        race_stop_at(step, count, die, NULL);
        race_fill(BEFORE, size, &record);
        ring_publish(writer, &record);
        _exit(1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* finished: the killed writer's last record was complete. */
static void kill_at(unsigned slots, enum ring_step step, unsigned count, bool finished, const char *name)
{
    uint16_t size = (uint16_t)(RING_HEAD_DATA + (slots - 1) * RING_NEXT_DATA);
    struct ring_writer writer;
    struct ring_reader reader;
    struct ring_record record;
    struct why why;
    bool whole = true, last, stuck, patient;

    if (ring_writer_create(RING_SLOTS_MIN, 1, &writer, &why) < 0 || ring_reader_open(&writer.memory, &reader, &why) < 0 ||
        !write_and_die(&writer, size, step, count)) {
        race_check(false, "the writer was not killed at %s", name);
        return;
    }
    for (uint64_t n = 0; n < BEFORE; n++)
        whole = whole && ring_read(&reader, &record) == RING_OK && race_intact(&record) && record.arrival_ns == n;
    last = ring_read(&reader, &record) == RING_OK;
    whole = whole && (!last || (race_intact(&record) && record.arrival_ns == BEFORE)) && ring_read(&reader, &record) == RING_EMPTY;
    stuck = ring_reader_writer_stuck(&reader, BEAT_NS + LIMIT_NS + 1, LIMIT_NS);
    patient = !ring_reader_writer_stuck(&reader, BEAT_NS + LIMIT_NS, LIMIT_NS);
    race_check(whole && patient && last == finished && stuck == !finished, "killed after %s number %u in a record of %u slots", name,
               count, slots);
    ring_writer_free(&writer);
}

int main(void)
{
    for (unsigned slots = 1; slots <= RING_RECORD_SLOTS_MAX; slots += 5)
        for (unsigned count = 1; count <= slots; count++) {
            kill_at(slots, RING_AT_W1, count, false, "W1");
            kill_at(slots, RING_AT_W3_HALF, count, false, "half of W3");
            kill_at(slots, RING_AT_W3, count, false, "W3");
            kill_at(slots, RING_AT_W4, count, count == slots, "W4");
        }
    kill_at(1, RING_AT_W5, 1, true, "W5");
    return race_done();
}
