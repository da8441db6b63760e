/* Goal: no wake-up is lost.  Method: all orders in which the reader's steps (S1 flag, S3 look, S4 wait) and the writer's (P1 publish,
 * P3 flag) can mix are forced, one after the other.  A missing fence is shown by doing on purpose what x86 may then do: the load before
 * the store.  Catches: S2 or P2 missing, the look at S3 missing.
 * `race_wake stress ROUNDS` lets two threads run freely instead and prints how many wake-ups were lost: for a look by hand at the
 * mutants, since chance proves nothing. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ring/ring_mutate.h"
#include "core/ring/ring_reader.h"
#include "core/ring/ring_wake.h"
#include "core/ring/ring_writer.h"
#include "tests/race/race_record.h"

void (*ring_test_hook)(enum ring_step step) = NULL;

struct scene {
    struct ring_writer writer;
    struct ring_reader reader;
    struct ring_reader_page page;
    bool awake;   /* S3 found the record: the reader does not wait */
    bool waiting; /* S4 */
    bool token;   /* what the eventfd would hold */
};

static const uint64_t all_streams[RING_INTEREST_WORDS] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                                          UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

static void set_flag(struct scene *scene)
{
    ring_wake_sleep_begin(&scene->page); /* S1, S2 */
}

static void look(struct scene *scene)
{
    struct ring_record record;

    if (RING_MUTANT(NO_S3) || ring_read(&scene->reader, &record) != RING_OK)
        return;
    scene->awake = true;
    ring_wake_sleep_end(&scene->page);
}

static void wait_if_asleep(struct scene *scene)
{
    scene->waiting = !scene->awake;
}

static void publish(struct scene *scene)
{
    struct ring_record record;

    race_fill(1, RING_HEAD_DATA, &record);
    ring_publish(&scene->writer, &record); /* P1 */
}

static void wake(struct scene *scene)
{
    ring_wake_fence(); /* P2 */
    if (ring_wake_wanted(&scene->page, all_streams)) /* P3 */
        scene->token = true;
}

/* bits: for each of the five moves, who moves: 1 the reader, 0 the writer. */
static bool is_lost(unsigned bits)
{
    void (*reader[3])(struct scene *) = {set_flag, look, wait_if_asleep}, (*writer[2])(struct scene *) = {publish, wake};
    struct scene scene = {0};
    unsigned r = 0, w = 0;
    struct why why;

    if (RING_MUTANT(NO_S2)) {
        reader[0] = look;
        reader[1] = set_flag;
    }
    if (RING_MUTANT(NO_P2)) {
        writer[0] = wake;
        writer[1] = publish;
    }
    if (ring_writer_create(RING_SLOTS_MIN, 1, &scene.writer, &why) < 0 ||
        ring_reader_open(&scene.writer.memory, &scene.reader, &why) < 0)
        exit(2);
    ring_wake_interest_all(&scene.page, true);
    for (unsigned move = 0; move < 5; move++) {
        if (bits >> move & 1)
            reader[r++](&scene);
        else
            writer[w++](&scene);
    }
    ring_writer_free(&scene.writer);
    return scene.waiting && !scene.token;
}

static void all_orders(void)
{
    unsigned orders = 0, lost = 0;

    for (unsigned bits = 0; bits < 1u << 5; bits++) {
        if (__builtin_popcount(bits) != 3)
            continue;
        orders++;
        lost += is_lost(bits);
    }
    if (RING_MUTATE == RING_MUTATE_NONE)
        race_check(orders == 10 && lost == 0, "%u of %u orders lose a wake-up", lost, orders);
    else
        race_check(lost > 0, "the mutant is seen: %u of %u orders lose a wake-up", lost, orders);
}

/* --- two threads running freely --- */

struct duel {
    struct scene scene;
    unsigned long rounds;
    _Atomic unsigned long reader_round, writer_round; /* finished rounds */
    bool reader_slept;
};

static void await(const _Atomic unsigned long *round, unsigned long value)
{
    for (unsigned spins = 0; atomic_load(round) < value; spins++)
        if (spins > 200)
            sched_yield();
}

/* So that now the one, now the other comes first. */
static void dawdle(uint64_t seed, uint64_t most)
{
    for (volatile uint64_t left = race_hash(seed) % most; left > 0; left--)
        ;
}

static void *reader_main(void *arg)
{
    struct duel *duel = arg;

    for (unsigned long round = 1; round <= duel->rounds; round++) {
        await(&duel->writer_round, round - 1);
        duel->scene.awake = false;
        dawdle(round, 400);
        set_flag(&duel->scene);
        look(&duel->scene);
        duel->reader_slept = !duel->scene.awake;
        atomic_store(&duel->reader_round, round);
    }
    return NULL;
}

static int stress(unsigned long rounds)
{
    static struct duel duel;
    struct ring_record record;
    unsigned long lost = 0, slept = 0;
    pthread_t thread;
    struct why why;

    duel.rounds = rounds;
    ring_wake_interest_all(&duel.scene.page, true);
    if (ring_writer_create(RING_SLOTS_MIN, 1, &duel.scene.writer, &why) < 0 ||
        ring_reader_open(&duel.scene.writer.memory, &duel.scene.reader, &why) < 0 ||
        pthread_create(&thread, NULL, reader_main, &duel) != 0)
        exit(2);
    for (unsigned long round = 1; round <= rounds; round++) {
        duel.scene.token = false;
        dawdle(~round, 3000);
        publish(&duel.scene);
        wake(&duel.scene);
        await(&duel.reader_round, round);
        slept += duel.reader_slept;
        lost += duel.reader_slept && !duel.scene.token;
        while (ring_read(&duel.scene.reader, &record) == RING_OK) /* the other thread waits: its reader is ours for a moment */
            ;
        ring_wake_sleep_end(&duel.scene.page);
        atomic_store(&duel.writer_round, round);
    }
    pthread_join(thread, NULL);
    ring_writer_free(&duel.scene.writer);
    printf("# %lu rounds, the reader went to sleep in %lu, %lu wake-ups lost\n", rounds, slept, lost);
    return lost > 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "stress") == 0)
        return stress(strtoul(argv[2], NULL, 10));
    all_orders();
    if (RING_MUTATE == RING_MUTATE_NONE)
        race_check(stress(20000) == 0, "two threads lose no wake-up");
    return race_done();
}
