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

static int woken, near_woken; /* bit 0: the first reader, bit 1: the second */

static void wake(void *owner, int eventfd, bool near)
{
    assert_null(owner);
    woken += eventfd;
    near_woken += near ? eventfd : 0;
}

/* Publishes something; who has been woken, and who of them as near. */
static void expect(struct bus *bus, int all, int near)
{
    struct journal_identity identity = {.opened_ns = clock_now_ns()};
    struct journal_ref ref;

    woken = near_woken = 0;
    assert_int_equal(bus_open(bus, &identity, &ref), 0);
    bus_flush(bus, clock_now_ns(), wake, NULL);
    assert_int_equal(woken, all);
    assert_int_equal(near_woken, near);
    bus_flush(bus, clock_now_ns(), wake, NULL); /* an empty batch */
    assert_int_equal(woken, all);
}

/* Goal: a batch says which of the readers it wakes sleeps on this processor.  Method: this thread nailed to one processor goes to sleep
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
    expect(bus, 0, 0); /* both awake */
    ring_wake_sleep_begin(pages[0]);
    ring_wake_sleep_begin(pages[1]);
    expect(bus, 3, 3);
    expect(bus, 0, 0); /* nobody sleeps any more */
    ring_wake_sleep_begin(pages[0]);
    ring_wake_sleep_begin(pages[1]);
    atomic_fetch_add(&pages[0]->processor, 1);
    expect(bus, 3, 2);
    ring_wake_sleep_begin(pages[0]);
    ring_wake_sleep_begin(pages[1]);
    atomic_store(&pages[1]->processor, 0);
    expect(bus, 3, 1);
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
