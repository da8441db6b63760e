/* Unit tests of the restart backoff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/supervise/host_backoff.h"

/* Goal: 100 ms, doubling, never above 10 s.  Catches: an off-by-one in the doubling, a missing cap. */
static void backoff_doubles_to_its_limit(void **state)
{
    struct host_backoff backoff = {0};
    const uint32_t expected[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    uint64_t now = 1000 * CLOCK_S;
    bool held;
    (void)state;

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(host_backoff_failed(&backoff, now, &held), expected[i]);
        assert_false(held);
        now += expected[i] * CLOCK_MS;
    }
}

/* Goal: held at the tenth failure within a minute, not earlier and not for ten spread wider.  Catches: < against <=, a window never left. */
static void backoff_holds_after_ten_failures_within_a_minute(void **state)
{
    struct host_backoff backoff = {0};
    uint64_t now = 1000 * CLOCK_S;
    bool held = true;
    (void)state;

    for (int i = 0; i < 9; i++, now += CLOCK_S) {
        host_backoff_failed(&backoff, now, &held);
        assert_false(held);
    }
    host_backoff_failed(&backoff, now, &held);
    assert_true(held);
    host_backoff_reset(&backoff);
    for (int i = 0; i < 100; i++, now += 7 * CLOCK_S) { /* nine a minute for ever */
        host_backoff_failed(&backoff, now, &held);
        assert_false(held);
    }
}

/* Goal: a host that ran well for a minute comes back at once.  Catches: a wait that only ever grows. */
static void backoff_forgets_after_a_quiet_minute(void **state)
{
    struct host_backoff backoff = {0};
    uint64_t now = 1000 * CLOCK_S;
    bool held;
    (void)state;

    for (int i = 0; i < 5; i++)
        host_backoff_failed(&backoff, now += CLOCK_S, &held);
    assert_int_equal(host_backoff_failed(&backoff, now + 61 * CLOCK_S, &held), HOST_BACKOFF_FIRST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_doubles_to_its_limit),
        cmocka_unit_test(backoff_holds_after_ten_failures_within_a_minute),
        cmocka_unit_test(backoff_forgets_after_a_quiet_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
