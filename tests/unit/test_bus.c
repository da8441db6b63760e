/* core/stream: what the end of a batch says of the readers it woke. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/metrics/core_stats.h"
#include "core/stream/bus.h"

static int woken;

static void wake(void *owner, int eventfd)
{
    assert_null(owner);
    woken += eventfd;
}

static bool publish(struct bus *bus)
{
    struct journal_identity identity = {.opened_ns = clock_now_ns()};
    struct journal_ref ref;

    woken = 0;
    assert_int_equal(bus_open(bus, &identity, &ref), 0);
    return bus_flush(bus, clock_now_ns(), wake, NULL);
}

/* Goal: a batch says that a reader it woke waits for this processor, and only then.  Method: this thread nailed to one processor goes to sleep
 * as two readers; then one of them says another processor, or none.  Catches: a yield for every wake-up, or for a reader that was awake;
 * an unknown processor that counts as ours. */
static void test_near_readers(void **state)
{
    struct ring_reader_page *pages[2];
    struct stats_page *stats;
    struct why why = {""};
    struct bus *bus;
    int here = sched_getcpu();
    cpu_set_t one;
    char path[] = "/tmp/umbel-bus-XXXXXX";

    (void)state;
    assert_true(here >= 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)here, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    close(mkstemp(path));
    assert_int_equal(core_stats_create(path, 64, 4, 4, &stats, &why), 0);
    assert_int_equal(bus_create(64, 1 << 20, stats, &bus, &why), 0);
    for (int i = 0; i < 2; i++) {
        pages[i] = aligned_alloc(64, sizeof *pages[i]);
        memset(pages[i], 0, sizeof *pages[i]);
        ring_wake_interest_all(pages[i], true);
        assert_int_equal(bus_reader_add(bus, pages[i], i + 1), i);
    }
    assert_false(publish(bus)); /* both awake */
    assert_int_equal(woken, 0);
    ring_wake_sleep_begin(pages[0]);
    ring_wake_sleep_begin(pages[1]);
    assert_true(publish(bus));
    assert_int_equal(woken, 3);
    assert_false(publish(bus)); /* nobody sleeps any more */
    ring_wake_sleep_begin(pages[0]);
    atomic_fetch_add(&pages[0]->processor, 1);
    assert_false(publish(bus));
    assert_int_equal(woken, 1);
    ring_wake_sleep_begin(pages[0]);
    atomic_fetch_add(&pages[0]->processor, 1);
    ring_wake_sleep_begin(pages[1]);
    assert_true(publish(bus));
    assert_int_equal(woken, 3);
    ring_wake_sleep_begin(pages[0]);
    ring_wake_sleep_begin(pages[1]);
    atomic_fetch_add(&pages[1]->processor, 1);
    assert_true(publish(bus)); /* the first one is near, the second is not */
    ring_wake_sleep_begin(pages[1]);
    atomic_store(&pages[1]->processor, 0);
    assert_false(publish(bus));
    assert_int_equal(woken, 2);
    assert_false(bus_flush(bus, clock_now_ns(), wake, NULL)); /* an empty batch */
    bus_free(bus);
    stats_page_free(stats);
    unlink(path);
    free(pages[0]);
    free(pages[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_near_readers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
