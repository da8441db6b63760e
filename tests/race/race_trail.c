/* Goal: a reader of an event ring gets an event whole and the one it asked for, or is told that it is gone; an event that was announced is
 * there.  Method: hooks at each step of the writer and of the reader (trail_mutate.h) run the other side right there, so each bad
 * interleaving is forced; every word of a record follows from its number, so a mixed one is seen.  At the end both run freely in two
 * processes.  Catches: a missing step W1, R1 or R4, a head that moves too early (each is a mutant that must fail), an event that is lost. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/metrics/trail_mutate.h"
#include "core/metrics/trail_view.h"
#include "tests/race/race_record.h"

#define SLOTS 8u
#define FREE_EVENTS 200000u

void (*trail_test_hook)(enum trail_step step);

static struct {
    struct trail *trail;
    struct trail_view *view;
    uint64_t written; /* events */
    enum trail_step stop;
    uint64_t wanted, bad, gone;
} scene;

static void fill(uint64_t n, struct trail_record *record)
{
    memset(record, 0, sizeof *record);
    record->kind = (uint16_t)race_hash(n);
    record->value[0] = n;
    for (unsigned i = 1; i < TRAIL_VALUE_COUNT; i++)
        record->value[i] = race_hash(n * 100 + i);
    for (unsigned i = 0; i < TRAIL_TEXT_COUNT; i++)
        memset(record->text[i], 'a' + (int)((n + i) % 26), TRAIL_TEXT_MAX - 1);
}

static bool is_event(const struct trail_record *record, uint64_t n)
{
    struct trail_record expected;

    fill(n, &expected);
    expected.wall_ms = record->wall_ms;
    expected.time_ns = record->time_ns;
    return memcmp(record, &expected, sizeof expected) == 0;
}

static void put(void)
{
    struct trail_record record;

    fill(scene.written++, &record);
    trail_put(scene.trail, &record);
}

/* What one look at event n may say: itself, or that it is gone. */
static void look_at(uint64_t n)
{
    struct trail_record record;
    enum trail_seen seen = trail_view_read(scene.view, n, &record);

    scene.gone += seen == TRAIL_OVERWRITTEN;
    scene.bad += seen == TRAIL_TORN ? n + SLOTS > trail_view_head(scene.view) : seen == TRAIL_SEEN && !is_event(&record, n);
}

/* A reader comes while the writer stands at a step.  The slot it is at belongs to the oldest event: that may be gone, torn it is not. */
static void read_all(enum trail_step step)
{
    if (step != scene.stop)
        return;
    for (uint64_t n = trail_view_oldest(scene.view); n < trail_view_head(scene.view); n++)
        look_at(n);
}

static void write_a_lap(enum trail_step step)
{
    if (step != scene.stop)
        return;
    trail_test_hook = NULL;
    for (unsigned i = 0; i < SLOTS; i++)
        put();
}

static void write_one(enum trail_step step)
{
    if (step != scene.stop)
        return;
    trail_test_hook = NULL;
    put();
}

static bool whole_while_written(void)
{
    for (enum trail_step step = TRAIL_AT_W1; step <= TRAIL_AT_W5; step++)
        for (unsigned i = 0; i < 2 * SLOTS; i++) {
            scene.stop = step;
            trail_test_hook = read_all;
            put();
            trail_test_hook = NULL;
        }
    return scene.bad == 0;
}

static bool announced_is_there(void)
{
    for (unsigned i = 0; i < 3 * SLOTS; i++) {
        scene.stop = TRAIL_AT_W1;
        trail_test_hook = read_all;
        put();
        trail_test_hook = NULL;
        look_at(scene.written - 1);
    }
    return scene.bad == 0;
}

static bool whole_while_read_by(void (*other)(enum trail_step step))
{
    for (enum trail_step step = TRAIL_AT_R1; step <= TRAIL_AT_R2; step++)
        for (unsigned i = 0; i < 2 * SLOTS; i++) {
            put();
            scene.stop = step;
            trail_test_hook = other;
            look_at(trail_view_oldest(scene.view) + (i % 2 ? SLOTS - 1 : 0));
            trail_test_hook = NULL;
        }
    return scene.bad == 0 && scene.gone > 0;
}

static bool whole_while_read(void)
{
    for (unsigned i = 0; i < 2 * SLOTS; i++)
        put();
    return whole_while_read_by(write_a_lap) && whole_while_read_by(write_one);
}

static bool gone_is_told(void)
{
    struct trail_record record;

    for (unsigned i = 0; i < 3 * SLOTS; i++)
        put();
    for (uint64_t n = 0; n < 2 * SLOTS; n++)
        if (trail_view_read(scene.view, n, &record) != TRAIL_OVERWRITTEN)
            return false;
    for (uint64_t n = 2 * SLOTS; n < 3 * SLOTS; n++)
        if (trail_view_read(scene.view, n, &record) != TRAIL_SEEN || !is_event(&record, n))
            return false;
    return trail_view_read(scene.view, 3 * SLOTS, &record) == TRAIL_NOT_YET;
}

/* Both run freely: the writer in a process of its own. */
static bool free_running(void)
{
    uint64_t seen = 0;
    pid_t writer = fork();

    if (writer == 0) {
        for (unsigned i = 0; i < FREE_EVENTS; i++)
            put();
        _exit(0);
    }
    for (uint64_t next = 0; next < FREE_EVENTS;) {
        struct trail_record record;
        uint64_t oldest = trail_view_oldest(scene.view);
        enum trail_seen how;

        next = next < oldest ? oldest : next;
        how = trail_view_read(scene.view, next, &record);
        if (how == TRAIL_NOT_YET)
            continue;
        seen += how == TRAIL_SEEN;
        scene.bad += how == TRAIL_TORN || (how == TRAIL_SEEN && !is_event(&record, next));
        next++;
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    return scene.bad == 0 && seen > 0;
}

static const struct proof {
    const char *what;
    int against;
    bool (*holds)(void);
} proofs[] = {
    {"no mixed event while one is written", TRAIL_MUTATE_NO_W1, whole_while_written},
    {"an event that is announced is there", TRAIL_MUTATE_HEAD_FIRST, announced_is_there},
    {"no mixed event when the writer passes the reader", TRAIL_MUTATE_NO_R4, whole_while_read},
    {"who asks for an event that is gone does not get a later one", TRAIL_MUTATE_NO_R1, gone_is_told},
    {"writer and reader in two processes", TRAIL_MUTATE_NONE, free_running},
};

static bool run(const struct proof *proof)
{
    char path[] = "/tmp/race_trail.XXXXXX";
    struct why why;
    int fd = mkstemp(path);
    bool holds;

    memset(&scene, 0, sizeof scene);
    if (fd == -1 || trail_create(path, SLOTS, &scene.trail, &why) < 0 || trail_view_open(path, &scene.view, &why) < 0) {
        perror(path);
        exit(2);
    }
    close(fd);
    holds = proof->holds();
    trail_view_close(scene.view);
    trail_free(scene.trail);
    unlink(path);
    return holds;
}

int main(void)
{
    for (size_t i = 0; i < sizeof proofs / sizeof proofs[0]; i++)
        if (TRAIL_MUTATE == TRAIL_MUTATE_NONE)
            race_check(run(&proofs[i]), "%s", proofs[i].what);
        else if (proofs[i].against == TRAIL_MUTATE)
            race_check(!run(&proofs[i]), "the mutant is seen by: %s", proofs[i].what);
    return race_done();
}
