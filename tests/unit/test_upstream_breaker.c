/* Unit tests of the circuit breaker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/upstream/upstream_breaker.h"

static void fail_times(struct upstream_breaker *breaker, uint32_t times, uint64_t now_ns)
{
    while (times--)
        breaker_bad(breaker, now_ns);
}

/* Goal: it opens at the fifth failure in a row, not earlier, and a good call between starts the count anew.  Catches: off by one, a count
 * that is never reset. */
static void it_opens_at_the_fifth_failure_in_a_row(void **state)
{
    struct upstream_breaker breaker = {0};
    (void)state;

    fail_times(&breaker, BREAKER_FAILURES - 1, 1);
    breaker_good(&breaker);
    fail_times(&breaker, BREAKER_FAILURES - 1, 1);
    assert_true(breaker_admits(&breaker, 1));
    assert_true(breaker_bad(&breaker, 1));
    assert_false(breaker_admits(&breaker, 2));
}

/* Goal: after its time exactly one probe goes; good closes it, bad doubles the time up to the limit; a cancelled probe frees the place.
 * Catches: a stampede of probes, a breaker that stays open for ever. */
static void half_open_lets_one_probe_through(void **state)
{
    struct upstream_breaker breaker = {0};
    uint64_t now = CLOCK_S;
    (void)state;

    fail_times(&breaker, BREAKER_FAILURES, now);
    now += BREAKER_FIRST_MS * CLOCK_MS;
    assert_true(breaker_admits(&breaker, now));
    assert_false(breaker_admits(&breaker, now));
    breaker_gone(&breaker);
    assert_true(breaker_admits(&breaker, now));
    assert_false(breaker_bad(&breaker, now)); /* it has not just opened: it was open */
    assert_int_equal(breaker.open_ms, 2 * BREAKER_FIRST_MS);
    assert_false(breaker_admits(&breaker, now + BREAKER_FIRST_MS * CLOCK_MS));
    for (int i = 0; i < 20; i++) {
        now += BREAKER_LONGEST_MS * CLOCK_MS;
        assert_true(breaker_admits(&breaker, now));
        breaker_bad(&breaker, now);
    }
    assert_int_equal(breaker.open_ms, BREAKER_LONGEST_MS);
    now += BREAKER_LONGEST_MS * CLOCK_MS;
    assert_true(breaker_admits(&breaker, now));
    breaker_good(&breaker);
    assert_true(breaker_admits(&breaker, now));
    assert_true(breaker_admits(&breaker, now));
}

/* Goal: failures of calls begun before it opened do not lengthen its time.  Catches: a burst of old failures that doubles again and again. */
static void late_failures_change_nothing(void **state)
{
    struct upstream_breaker breaker = {0};
    (void)state;

    fail_times(&breaker, BREAKER_FAILURES + 50, CLOCK_S);
    assert_int_equal(breaker.open_ms, BREAKER_FIRST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_at_the_fifth_failure_in_a_row),
        cmocka_unit_test(half_open_lets_one_probe_through),
        cmocka_unit_test(late_failures_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
