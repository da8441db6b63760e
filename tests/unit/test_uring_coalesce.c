/* core/uring: when a loop waits for more (uring_coalesce.h), how long, and when it leaves the processor to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/uring/uring_op.h"
#include "tests/support/both_backends.h"

#define FDS 64

/* Ten milliseconds in turns of one millisecond, with so many results each. */
static void ten(struct uring_coalesce *coalesce, uint64_t *now_ns, uint64_t results)
{
    for (int i = 0; i < 10; i++) {
        *now_ns += CLOCK_MS;
        uring_coalesce_note(coalesce, *now_ns, results);
    }
}

/* Goal: a loop waits for more only while a wait would bring several results on average, and stops at a lower rate than it began.  Method:
 * rates around both bounds for two limits; a burst after a quiet second; a limit of 0.  Catches: a lone token that waits; a rate between the
 * bounds that flips; a burst that counts as load; a long wait judged as a short one. */
static void test_judges_by_the_mean(void **state)
{
    static const struct {
        uint64_t limit_us, begin, end; /* results a millisecond */
    } cases[] = {{50, 40, 20}, {200, 10, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct uring_coalesce c = {.limit_ns = cases[i].limit_us * CLOCK_US};
        uint64_t now_ns = CLOCK_S, waits_ns = c.limit_ns;
        uring_coalesce_note(&c, now_ns, 1); /* the first window has no known beginning */
        assert_int_equal(uring_coalesce_ns(&c), 0);
        ten(&c, &now_ns, cases[i].begin - 1);
        assert_int_equal(uring_coalesce_ns(&c), 0);
        ten(&c, &now_ns, cases[i].begin);
        assert_int_equal(uring_coalesce_ns(&c), waits_ns);
        ten(&c, &now_ns, cases[i].end);
        assert_int_equal(uring_coalesce_ns(&c), waits_ns);
        ten(&c, &now_ns, cases[i].end - 1);
        assert_int_equal(uring_coalesce_ns(&c), 0);
        ten(&c, &now_ns, cases[i].end);
        assert_int_equal(uring_coalesce_ns(&c), 0);
        now_ns += CLOCK_S; /* quiet, then two hundred at once */
        uring_coalesce_note(&c, now_ns, 200);
        assert_int_equal(uring_coalesce_ns(&c), 0);
        ten(&c, &now_ns, 1000);
        assert_int_equal(uring_coalesce_ns(&c), waits_ns);
        now_ns += CLOCK_S; /* busy, then quiet: the first result after it comes alone */
        uring_coalesce_note(&c, now_ns, 1);
        assert_int_equal(uring_coalesce_ns(&c), 0);
        ten(&c, &now_ns, 1000);
        c.limit_ns = 0; /* switched off while busy */
        assert_int_equal(uring_coalesce_ns(&c), 0);
        ten(&c, &now_ns, 1000);
        assert_int_equal(uring_coalesce_ns(&c), 0);
        c.limit_ns = waits_ns;
        assert_int_equal(uring_coalesce_ns(&c), 0); /* judged anew */
    }
}

struct bench {
    struct uring_loop *loop;
    struct uring_hook hook;
    uint64_t brought; /* as the hook saw it */
    int fds[FDS];
    struct uring_watch *watches[FDS];
    int seen;
};

static void on_readable(void *owner, int fd)
{
    struct bench *bench = owner;
    uint64_t sum;

    assert_int_equal(read(fd, &sum, sizeof sum), sizeof sum);
    bench->seen++;
}

static void bench_open(struct bench *bench)
{
    struct uring_loop_options options = {.io = backend, .buffers = 8, .buffer_size = 256};
    struct why why = {""};

    memset(bench, 0, sizeof *bench);
    if (uring_loop_create(&options, &bench->loop, &why) < 0)
        fail_msg("%s", why.text);
    for (int i = 0; i < FDS; i++) {
        bench->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_int_equal(uring_watch_open(bench->loop, bench->fds[i], on_readable, bench, &bench->watches[i]), 0);
    }
    assert_int_equal(uring_loop_turn(bench->loop, 0), 0); /* the watches begin */
}

static void bench_close(struct bench *bench)
{
    uring_loop_free(bench->loop);
    for (int i = 0; i < FDS; i++)
        close(bench->fds[i]);
}

/* As if very much had come in lately. */
static void make_busy(struct bench *bench, uint64_t limit_ns)
{
    uring_loop_coalesce(bench->loop, limit_ns);
    bench->loop->coalesce.busy = true;
    bench->loop->coalesce.results = 1ull << 40;
}

static void happen(struct bench *bench, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(eventfd_write(bench->fds[i], 1), 0);
}

static uint64_t coalesced(const struct bench *bench)
{
    struct uring_loop_counts counts;

    uring_loop_counts(bench->loop, &counts);
    return counts.coalesced;
}

/* Goal: a busy loop with one result waits for more, to its limit and not beyond it; a calm one does not wait.  Method: one event, a limit of
 * 200 ms, a wait for ever.  Catches: no wait at all; a wait for sixteen results that never ends; one in a calm loop. */
static void test_waits_to_its_limit(void **state)
{
    struct bench bench;
    uint64_t began_ns;

    (void)state;
    bench_open(&bench);
    uring_loop_coalesce(bench.loop, 3600 * CLOCK_S);
    happen(&bench, 1);
    assert_int_equal(uring_loop_turn(bench.loop, -1), 0); /* calm: an hour would end the test */
    assert_int_equal(bench.seen, 1);
    assert_int_equal(coalesced(&bench), 0);
    make_busy(&bench, 200 * CLOCK_MS);
    happen(&bench, 1);
    began_ns = clock_now_ns();
    assert_int_equal(uring_loop_turn(bench.loop, -1), 0);
    assert_true(clock_now_ns() - began_ns >= 150 * CLOCK_MS);
    assert_int_equal(bench.seen, 2);
    assert_int_equal(coalesced(&bench), 1);
    bench_close(&bench);
}

/* Goal: many results end the wait.  Method: more than enough events, a limit of an hour.  Catches: a wait by time alone. */
static void test_many_results_end_it(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    make_busy(&bench, 3600 * CLOCK_S);
    happen(&bench, FDS);
    assert_int_equal(uring_loop_turn(bench.loop, -1), 0);
    assert_true(bench.seen >= (int)URING_COALESCE_RESULTS);
    assert_int_equal(coalesced(&bench), 1);
    bench_close(&bench);
}

static void on_timer(struct uring_timer *timer)
{
    timer->fired = NULL;
}

/* Goal: who waits less than the limit is not kept, and a timer is not late for it; with nothing to gather the wait goes on.  Method: a turn
 * that must not wait, a timer of 50 ms under a limit of an hour, an empty loop under a limit of 10 ms.  Catches: a limit that bounds from
 * below; a turn without results that ends at the limit. */
static void test_never_longer_than_asked(void **state)
{
    struct uring_timer timer = {.fired = on_timer};
    struct bench bench;
    uint64_t began_ns;

    (void)state;
    bench_open(&bench);
    make_busy(&bench, 3600 * CLOCK_S);
    assert_int_equal(uring_loop_turn(bench.loop, 0), 0);
    uring_timer_set(bench.loop, &timer, 50 * CLOCK_MS);
    while (timer.fired) {
        make_busy(&bench, 3600 * CLOCK_S);
        assert_int_equal(uring_loop_turn(bench.loop, -1), 0);
    }
    assert_int_equal(coalesced(&bench), 0);
    make_busy(&bench, 10 * CLOCK_MS);
    began_ns = clock_now_ns();
    assert_int_equal(uring_loop_turn(bench.loop, 200), 0);
    assert_true(clock_now_ns() - began_ns >= 200 * CLOCK_MS);
    assert_int_equal(coalesced(&bench), 1);
    bench_close(&bench);
}

static uint64_t yields(const struct bench *bench)
{
    struct uring_loop_counts counts;

    uring_loop_counts(bench->loop, &counts);
    return counts.yields;
}

/* One wake-up of who is near or far, in a turn that brought so many results, with something more to do or not.  Returns whether it was made at once. */
static bool wake(struct bench *bench, bool near, uint64_t brought, bool more)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t sum = 0;
    bool at_once;

    assert_int_equal(uring_loop_turn(bench->loop, 0), 0); /* nothing is left of before, and the watches begin anew */
    if (more)
        happen(bench, 1);
    bench->loop->brought = brought;
    uring_wake_fd(bench->loop, fd, near);
    at_once = read(fd, &sum, sizeof sum) == sizeof sum;
    assert_int_equal(uring_loop_turn(bench->loop, 0), 0);
    if (!at_once)
        assert_int_equal(read(fd, &sum, sizeof sum), sizeof sum);
    assert_int_equal(sum, 1);
    assert_int_equal(read(fd, &sum, sizeof sum), -1); /* not twice */
    close(fd);
    return at_once;
}

/* Goal: who is woken on this processor runs before more of a burst is taken in; only then, once, and not while that has cost too much.
 * Method: the ring, with and without an event that it has not taken in; after a small turn, of a calm and of a busy loop; switched off;
 * paused.  Catches: a yield before each sleep or for each lone result, which costs switches; one that is never made; one for who is
 * far; a wake-up that is lost or doubled; a stranger who gets a slice every turn. */
static void test_near_ones_first(void **state)
{
    struct bench bench;

    (void)state;
    if (strcmp(backend, "io_uring") != 0)
        skip();
    bench_open(&bench);
    assert_false(wake(&bench, true, 4, true)); /* off, as at the start */
    assert_int_equal(yields(&bench), 0);
    uring_loop_coalesce(bench.loop, 50 * CLOCK_US);
    assert_false(wake(&bench, true, 4, false));
    assert_false(wake(&bench, true, 3, true));
    assert_int_equal(yields(&bench), 0);
    bench.loop->no_yield_ns = 0; /* a yield of before may have been a long one: this machine is not ours alone */
    assert_true(wake(&bench, true, 4, true));
    assert_int_equal(yields(&bench), 1);
    assert_int_equal(uring_loop_turn(bench.loop, 0), 0);
    assert_int_equal(yields(&bench), 1);
    bench.loop->no_yield_ns = 0;
    assert_true(wake(&bench, false, 4, true)); /* would wait for a near one in the same turn */
    assert_int_equal(yields(&bench), 1);
    make_busy(&bench, 50 * CLOCK_US);
    bench.loop->no_yield_ns = 0;
    assert_true(wake(&bench, true, 1, true));
    assert_int_equal(yields(&bench), 2);
    bench.loop->no_yield_ns = UINT64_MAX;
    assert_false(wake(&bench, true, 4, true));
    assert_int_equal(yields(&bench), 2);
    bench_close(&bench);
}

static void on_turn(struct uring_hook *hook)
{
    struct bench *bench = list_entry(hook, struct bench, hook);

    bench->brought = bench->loop->brought;
}

/* Goal: every turn tells the judge, and who wakes hosts at its end, what it brought.  Method: a loop that counts as busy has a turn with one
 * result; then one with five.  Catches: a loop that is never judged; hooks that see the turn before. */
static void test_turns_are_judged(void **state)
{
    struct bench bench;

    (void)state;
    bench_open(&bench);
    bench.loop->coalesce = (struct uring_coalesce){.busy = true};
    happen(&bench, 1);
    assert_int_equal(uring_loop_turn(bench.loop, -1), 0);
    assert_false(bench.loop->coalesce.busy);
    assert_int_equal(bench.loop->coalesce.since_ns, bench.loop->now_ns);
    bench.hook.run = on_turn;
    uring_hook_add(bench.loop, &bench.hook);
    assert_int_equal(uring_loop_turn(bench.loop, 0), 0);
    happen(&bench, 5);
    assert_int_equal(uring_loop_turn(bench.loop, -1), 0);
    assert_int_equal(bench.seen, 6);
    assert_int_equal(bench.brought, 5);
    uring_hook_remove(bench.loop, &bench.hook);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judges_by_the_mean),      cmocka_unit_test(test_waits_to_its_limit),
        cmocka_unit_test(test_many_results_end_it),     cmocka_unit_test(test_never_longer_than_asked),
        cmocka_unit_test(test_near_ones_first),         cmocka_unit_test(test_turns_are_judged),
    };

    return both_run(tests, sizeof tests / sizeof tests[0]);
}
