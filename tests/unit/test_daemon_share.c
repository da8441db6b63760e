/* core/daemon/daemon_share: places of a transport's questions.  The file itself is included: tests do not link the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/daemon/daemon_share.c"

/* Goal: never more places than there are, and each can be had again.  Method: take all, one more, give one back, a bound that a reload has made
 * smaller.  Catches: a place lost or made up. */
static void test_bound(void **state)
{
    struct daemon_share *share = NULL, *place[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_non_null(place[i] = daemon_share_take(&share, 3));
    assert_null(daemon_share_take(&share, 3));
    daemon_share_drop(place[0]);
    assert_null(daemon_share_take(&share, 2));
    assert_non_null(place[0] = daemon_share_take(&share, 3));
    assert_null(daemon_share_take(&share, 3));
    for (int i = 0; i < 3; i++)
        daemon_share_drop(place[i]);
    daemon_share_leave(share);
}

/* Goal: an answer may end after its transport is gone, and a transport may go that was asked nothing.  Method: leave before and after the last
 * drop.  Catches: use after free and leaks, under the sanitizer. */
static void test_leaving(void **state)
{
    struct daemon_share *share = NULL, *first, *second;

    (void)state;
    daemon_share_leave(NULL);
    daemon_share_drop(NULL);
    first = daemon_share_take(&share, 2);
    second = daemon_share_take(&share, 2);
    daemon_share_leave(share);
    daemon_share_drop(first);
    daemon_share_drop(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bound), cmocka_unit_test(test_leaving)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
