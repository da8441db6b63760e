/* Proofs about single records of the ring, by forced interleavings, with the writer in another thread and in another process.
 * Built once from the true sources (every proof must hold) and once for each mutant of ring_mutate.h (the proof named for it must
 * fail, or the proof proves nothing).  W2, W4, R1 and R3 have no mutant: x86 keeps their order by itself and would show nothing;
 * tests/race/ring.pml shows what the order is for. */
#include <stdio.h>

#include "tests/race/race_record.h"
#include "tests/race/race_remote.h"

#define SLOTS RING_SLOTS_MIN
#define FIVE_SLOTS (RING_HEAD_DATA + 4 * RING_NEXT_DATA)

struct proof {
    const char *what;
    enum ring_mutant against;
    bool (*holds)(struct race_remote *remote, struct ring_reader *reader);
};

static bool torn(enum ring_result result, const struct ring_record *record)
{
    return result == RING_OK && !race_intact(record);
}

/* Goal: no torn read from a slot that is being overwritten.  Method: the writer stands still in the middle of a slot's words, the
 * reader wants what was there before.  Catches: no BUSY mark before the words. */
static bool not_torn_while_written(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;
    enum ring_result result;

    race_remote_publish(remote, SLOTS, RING_HEAD_DATA);
    race_remote_begin(remote, RING_HEAD_DATA, RING_AT_W3_HALF, 1);
    result = ring_read(reader, &record);
    race_remote_finish(remote);
    return !torn(result, &record);
}

static void overwrite_all(void *arg)
{
    race_remote_publish(arg, SLOTS, RING_HEAD_DATA);
}

/* Goal: no torn read when a slot is overwritten during the copy.  Method: the reader stands still in the middle of its copy while the
 * writer goes round once.  Catches: the sequence is not looked at again. */
static bool not_torn_while_read(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;

    race_remote_publish(remote, SLOTS, RING_HEAD_DATA);
    race_stop_at(RING_AT_R2_HALF, 1, overwrite_all, remote);
    return !torn(ring_read(reader, &record), &record);
}

/* As above, in the last slot of a record of five.  Catches: following slots that are taken on trust. */
static bool not_torn_in_a_following_slot(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;

    race_remote_publish(remote, 1, FIVE_SLOTS);
    race_stop_at(RING_AT_R2_HALF, 5, overwrite_all, remote);
    return !torn(ring_read(reader, &record), &record);
}

/* Goal: who sees a head slot sees the whole record, so a reader that keeps up is not told otherwise.  Method: the writer stands still
 * after the first slot it publishes.  Catches: the head slot published before those that follow it. */
static bool whole_or_nothing(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;
    bool nothing, whole;

    race_remote_begin(remote, FIVE_SLOTS, RING_AT_W4, 1);
    nothing = ring_read(reader, &record) == RING_EMPTY;
    race_remote_finish(remote);
    whole = ring_read(reader, &record) == RING_OK && race_intact(&record);
    return nothing && whole;
}

/* Goal: a reader that is ahead of head is not told it was lapped.  Method: the writer stands still between W4 and W5; the reader takes
 * the record and asks for the next.  Catches: head - want compared unsigned. */
static bool not_lapped_ahead_of_head(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;
    enum ring_result first, second;

    race_remote_begin(remote, RING_HEAD_DATA, RING_AT_W4, 1);
    first = ring_read(reader, &record);
    second = ring_read(reader, &record);
    race_remote_finish(remote);
    return first == RING_OK && second == RING_EMPTY;
}

static void publish_one(void *arg)
{
    race_remote_publish(arg, 1, RING_HEAD_DATA);
}

/* Goal: a reader that keeps up is not told it was lapped when the record comes between its two looks.  Method: it stands still after
 * R1 while one record is published.  Catches: "too late" told by head > want. */
static bool not_lapped_by_one_record(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;
    enum ring_result first;

    race_stop_at(RING_AT_R1, 1, publish_one, remote);
    first = ring_read(reader, &record);
    return first == RING_EMPTY && ring_read(reader, &record) == RING_OK && race_intact(&record);
}

static void publish_a_ring_but_one(void *arg)
{
    race_remote_publish(arg, SLOTS - 1, RING_HEAD_DATA);
}

/* As above, at the border: all but one slot of the ring come between the two looks, and what was wanted is still there.  Catches: the
 * distance compared with >=. */
static bool not_lapped_by_a_ring_but_one(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;
    enum ring_result first;

    race_stop_at(RING_AT_R1, 1, publish_a_ring_but_one, remote);
    first = ring_read(reader, &record);
    return first == RING_EMPTY && ring_read(reader, &record) == RING_OK && race_intact(&record);
}

/* Goal: a reader that fell a whole ring behind is told so for certain, and finds its way back.  Method: the writer goes round once, and
 * a record more.  Catches: EMPTY for ever instead of LAPPED. */
static bool lapped_for_certain(struct race_remote *remote, struct ring_reader *reader)
{
    struct ring_record record;

    race_remote_publish(remote, SLOTS + 1, RING_HEAD_DATA);
    if (ring_read(reader, &record) != RING_LAPPED || ring_reader_resync(reader) != SLOTS + 1)
        return false;
    race_remote_publish(remote, 1, FIVE_SLOTS);
    return ring_read(reader, &record) == RING_OK && race_intact(&record) && record.arrival_ns == SLOTS + 1;
}

static const struct proof proofs[] = {
    {"no torn read from a slot being written", RING_MUTATE_NO_W1, not_torn_while_written},
    {"no torn read from a slot overwritten during the copy", RING_MUTATE_NO_R4, not_torn_while_read},
    {"no torn read in a following slot", RING_MUTATE_NO_R4, not_torn_in_a_following_slot},
    {"a record is seen whole or not at all", RING_MUTATE_HEAD_FIRST, whole_or_nothing},
    {"who is ahead of head is not told it was lapped", RING_MUTATE_LAP_UNSIGNED, not_lapped_ahead_of_head},
    {"who keeps up is not told it was lapped", RING_MUTATE_LAP_ANY, not_lapped_by_one_record},
    {"who is a ring but one slot behind is not told it was lapped", RING_MUTATE_LAP_ANY, not_lapped_by_a_ring_but_one},
    {"who was lapped is told", RING_MUTATE_NONE, lapped_for_certain},
};

static bool run(const struct proof *proof, bool process)
{
    struct race_remote remote;
    struct ring_reader reader;
    struct why why;
    bool holds;

    race_remote_start(&remote, SLOTS, process);
    holds = ring_reader_open(&remote.view, &reader, &why) == 0 && proof->holds(&remote, &reader);
    race_remote_end(&remote);
    return holds;
}

int main(void)
{
    for (size_t i = 0; i < 2 * sizeof proofs / sizeof proofs[0]; i++) {
        const struct proof *proof = &proofs[i / 2];
        const char *where = i % 2 ? "across processes" : "across threads";

        if (RING_MUTATE == RING_MUTATE_NONE)
            race_check(run(proof, i % 2), "%s, %s", proof->what, where);
        else if (proof->against == RING_MUTATE)
            race_check(!run(proof, i % 2), "the mutant is seen by: %s, %s", proof->what, where);
    }
    return race_done();
}
