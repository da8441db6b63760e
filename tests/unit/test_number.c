/* core/base/number: durations as operators write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/number.h"

/* Goal: digits and one unit, nothing else.  Method: a table of good and bad ones.  Catches: blanks, signs, two units, zero, an overflow that
 * wraps to a short time. */
static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms; /* 0: refused */
    } cases[] = {{"1s", 1000},      {"90s", 90000},       {"15m", 900000},   {"6h", 21600000},
                 {"1d", 86400000},  {"4w", 2419200000},   {"", 0},           {"d", 0},
                 {"1", 0},          {"0d", 0},            {"-1d", 0},        {"+1d", 0},
                 {" 1d", 0},        {"1d ", 0},           {"1 d", 0},        {"1.5d", 0},
                 {"1d2h", 0},       {"1D", 0},            {"1y", 0},         {"yesterday", 0},
                 {"30500568904w", 18446744073139200000u}, {"30500568905w", 0}, {"18446744073709551615s", 0}, {"99999999999999999999s", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t ms = 7;
        assert_int_equal(number_parse_duration(cases[i].text, &ms), cases[i].ms != 0);
        assert_true(ms == (cases[i].ms ? cases[i].ms : 7));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_durations)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
