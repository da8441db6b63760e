/* core/policy: limits of apps and keys, on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/policy/policy.h"

#define DAY_S 86400ull
#define NOON (20000 * DAY_S + DAY_S / 2)

static struct policy *policy;
static struct policy_time now;
static uint32_t limit;

static int set_up(void **state)
{
    (void)state;
    now = (struct policy_time){.now_ns = 5 * CLOCK_S, .wall_s = NOON};
    return policy_create(1000, &policy);
}

static int tear_down(void **state)
{
    (void)state;
    policy_free(policy);
    return 0;
}

static enum policy_refusal ask(const char *key, const struct policy_limits *of_app, const struct policy_limits *of_key, struct policy_ticket *ret)
{
    struct policy_request request = {.app = "shop", .key = key, .of_app = of_app, .of_key = of_key};

    return policy_admit(policy, &request, &now, ret, &limit);
}

static void end(struct policy_ticket *ticket)
{
    policy_release(policy, ticket, &now);
}

/* Asks and ends at once. */
static enum policy_refusal pass(const char *key, const struct policy_limits *of_app, const struct policy_limits *of_key)
{
    struct policy_ticket ticket;
    enum policy_refusal refusal = ask(key, of_app, of_key, &ticket);

    if (!refusal)
        end(&ticket);
    return refusal;
}

/* Goal: no limits, no accounts.  Method: many keys without limits.  Catches: a table that fills up for nothing. */
static void test_nothing_is_counted_without_limits(void **state)
{
    static const struct policy_limits output = {.output_tokens = 7, .prompt_bytes = 100};
    struct policy_ticket ticket;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        assert_int_equal(pass(key, NULL, &output), POLICY_ADMITTED);
    }
    assert_int_equal(policy_accounts(policy), 0);
    assert_int_equal(ask("k", NULL, &output, &ticket), POLICY_ADMITTED);
    assert_int_equal(ticket.output_tokens, 7);
    assert_true(policy_left(&ticket, &now) == UINT64_MAX);
    end(&ticket);
}

/* Goal: answers at once, for a key and for the app altogether.  Method: fill up, one too many, end one, again.
 * Catches: counting at only one account; a refused question that keeps a place. */
static void test_concurrent(void **state)
{
    static const struct policy_limits app = {.concurrent = 3}, key = {.concurrent = 2};
    struct policy_ticket a, b, c, none;

    (void)state;
    assert_int_equal(ask("a", &app, &key, &a), POLICY_ADMITTED);
    assert_int_equal(ask("a", &app, &key, &b), POLICY_ADMITTED);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask("a", &app, &key, &none), POLICY_CONCURRENT);
        assert_int_equal(limit, 2);
    }
    assert_int_equal(ask("b", &app, &key, &c), POLICY_ADMITTED);
    assert_int_equal(ask("b", &app, &key, &none), POLICY_CONCURRENT);
    assert_int_equal(limit, 3);
    end(&a);
    assert_int_equal(ask("b", &app, &key, &a), POLICY_ADMITTED);
    end(&a);
    end(&b);
    end(&c);
    end(&c); /* released already */
    assert_int_equal(policy_accounts(policy), 0);
}

/* Goal: a bucket of one minute's amount that fills evenly.  Method: empty it, then look at parts of a minute.
 * Catches: whole minutes as windows, a refused question that takes from the bucket, an app's bucket emptied by a refused key. */
static void test_requests_per_minute(void **state)
{
    static const struct policy_limits six = {.requests_per_minute = 6}, two = {.requests_per_minute = 2};

    (void)state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(pass("a", NULL, &six), POLICY_ADMITTED);
    for (int i = 0; i < 50; i++)
        assert_int_equal(pass("a", NULL, &six), POLICY_RATE);
    assert_int_equal(limit, 6);
    now.now_ns += 10 * CLOCK_S - 1;
    assert_int_equal(pass("a", NULL, &six), POLICY_RATE);
    now.now_ns += 1;
    assert_int_equal(pass("a", NULL, &six), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &six), POLICY_RATE);
    now.now_ns += 30 * CLOCK_S;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pass("a", NULL, &six), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &six), POLICY_RATE);

    assert_int_equal(pass("x", &six, &two), POLICY_ADMITTED);
    assert_int_equal(pass("x", &six, &two), POLICY_ADMITTED);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pass("x", &six, &two), POLICY_RATE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pass(i % 2 ? "y" : "z", &six, &two), POLICY_ADMITTED);
    assert_int_equal(pass("w", &six, &two), POLICY_RATE);
    assert_int_equal(limit, 6);
}

/* Goal: clocks do what they like, buckets stay right.  Method: a monotonic clock that stands still or (as no clock should) goes back, a
 * very long pause, the highest rate.  Catches: an overflow of elapsed * rate, a bucket above its size, endless refusal. */
static void test_bucket_and_strange_times(void **state)
{
    static const struct policy_limits most = {.requests_per_minute = 10000000}, two = {.requests_per_minute = 2}, one = {.requests_per_minute = 1};

    (void)state;
    assert_int_equal(pass("c", NULL, &two), POLICY_ADMITTED);
    assert_int_equal(pass("c", NULL, &two), POLICY_ADMITTED);
    now.now_ns += 1ull << 63; /* times 2 it is 0 in 64 bits */
    assert_int_equal(pass("c", NULL, &two), POLICY_ADMITTED);
    now.now_ns -= 1ull << 63;
    assert_int_equal(pass("a", NULL, &one), POLICY_ADMITTED);
    now.now_ns -= 3 * CLOCK_S;
    assert_int_equal(pass("a", NULL, &one), POLICY_RATE);
    now.now_ns += 60 * CLOCK_S;
    assert_int_equal(pass("a", NULL, &one), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &one), POLICY_RATE);
    now.now_ns += UINT64_MAX / 2;
    assert_int_equal(pass("a", NULL, &one), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &one), POLICY_RATE);
    assert_int_equal(pass("b", NULL, &most), POLICY_ADMITTED);
    now.now_ns += UINT64_MAX / 4;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pass("b", NULL, &most), POLICY_ADMITTED);
}

/* Goal: a limit that the operator changes acts at once.  Method: more, less, off and on again.
 * Catches: a bucket that keeps the old size; a full bucket that is empty after the change. */
static void test_rate_changes(void **state)
{
    static const struct policy_limits two = {.requests_per_minute = 2}, five = {.requests_per_minute = 5};

    (void)state;
    assert_int_equal(pass("a", NULL, &five), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &two), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &two), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &two), POLICY_RATE);
    assert_int_equal(pass("a", NULL, &five), POLICY_RATE);
    now.now_ns += 12 * CLOCK_S;
    assert_int_equal(pass("a", NULL, &five), POLICY_ADMITTED);
    assert_int_equal(pass("a", NULL, &five), POLICY_RATE);
}

/* Goal: tokens of a day act on later questions and on running ones.  Method: charge in steps, correct an estimate downwards, two keys.
 * Catches: charging totals as differences, a correction below zero, an app's sum that misses a key. */
static void test_tokens_per_day(void **state)
{
    static const struct policy_limits app = {.tokens_per_day = 150}, key = {.tokens_per_day = 100};
    struct policy_ticket a, b;

    (void)state;
    assert_int_equal(ask("a", &app, &key, &a), POLICY_ADMITTED);
    assert_int_equal(policy_left(&a, &now), 100);
    policy_charge(&a, 30, &now);
    policy_charge(&a, 60, &now);
    assert_int_equal(policy_left(&a, &now), 40);
    assert_int_equal(ask("b", &app, &key, &b), POLICY_ADMITTED);
    assert_int_equal(policy_left(&b, &now), 90);
    policy_charge(&b, 90, &now);
    assert_int_equal(policy_left(&a, &now), 0);
    assert_int_equal(pass("c", &app, &key), POLICY_DAY);
    assert_int_equal(limit, 150);
    policy_charge(&a, 10, &now);
    assert_int_equal(policy_left(&a, &now), 50);
    end(&a);
    end(&b);
    assert_int_equal(pass("b", &app, &key), POLICY_ADMITTED);
    policy_charge(&a, 1000, &now); /* after its end nothing is counted */
    assert_int_equal(pass("b", &app, &key), POLICY_ADMITTED);
}

/* Goal: a question that cannot fit the rest of the day is refused before it is asked.  Method: estimates around the limit.
 * Catches: an off-by-one that lets a question through to which no token of answer is left. */
static void test_a_question_must_leave_room_for_an_answer(void **state)
{
    static const struct policy_limits key = {.tokens_per_day = 100};
    struct policy_request request = {.app = "shop", .key = "a", .of_key = &key, .prompt_tokens = 100};
    struct policy_ticket ticket;

    (void)state;
    assert_int_equal(policy_admit(policy, &request, &now, &ticket, &limit), POLICY_DAY);
    request.prompt_tokens = UINT64_MAX;
    assert_int_equal(policy_admit(policy, &request, &now, &ticket, &limit), POLICY_DAY);
    request.prompt_tokens = 99;
    assert_int_equal(policy_admit(policy, &request, &now, &ticket, &limit), POLICY_ADMITTED);
    assert_int_equal(policy_left(&ticket, &now), 1);
    end(&ticket);
}

/* Goal: midnight (UTC) begins anew, a clock that is set back a little does not.  Method: an answer over midnight; back by an hour; back by
 * a year.  Catches: a second allowance by a small step back; a day that never ends after a clock was wrong. */
static void test_days(void **state)
{
    static const struct policy_limits key = {.tokens_per_day = 100};
    struct policy_ticket a;

    (void)state;
    now.wall_s = 20001 * DAY_S - 1;
    assert_int_equal(ask("a", NULL, &key, &a), POLICY_ADMITTED);
    policy_charge(&a, 100, &now);
    assert_int_equal(policy_left(&a, &now), 0);
    assert_int_equal(pass("a", NULL, &key), POLICY_DAY);
    now.wall_s += 1;
    assert_int_equal(policy_left(&a, &now), 100);
    policy_charge(&a, 130, &now);
    assert_int_equal(policy_left(&a, &now), 70);
    policy_charge(&a, 50, &now); /* corrected by more than today's: not below zero */
    assert_int_equal(policy_left(&a, &now), 100);
    policy_charge(&a, 150, &now);
    now.wall_s -= 3600;
    assert_int_equal(policy_left(&a, &now), 0);
    now.wall_s -= 365 * DAY_S;
    assert_int_equal(policy_left(&a, &now), 100);
    end(&a);
}

/* Goal: what was used before a restart counts, once, on its day.  Method: restore for today, yesterday, app and key.
 * Catches: yesterday's tokens charged today; the app's sum at a key of the same name. */
static void test_restore(void **state)
{
    static const struct policy_limits app = {.tokens_per_day = 150}, key = {.tokens_per_day = 100};

    (void)state;
    assert_true(policy_restore(policy, "shop", "a", 20000, 100, &now));
    assert_true(policy_restore(policy, "shop", "b", 19999, 100, &now));
    assert_true(policy_restore(policy, "shop", NULL, 20000, 100, &now));
    assert_int_equal(pass("a", &app, &key), POLICY_DAY);
    assert_int_equal(pass("b", &app, &key), POLICY_ADMITTED);
    assert_true(policy_restore(policy, "shop", NULL, 20000, 50, &now));
    assert_int_equal(pass("b", &app, &key), POLICY_DAY);
    assert_int_equal(limit, 150);
    now.wall_s += DAY_S;
    assert_int_equal(pass("a", &app, &key), POLICY_ADMITTED);
}

/* Goal: size of a question.  Method: at and above the limit, the smaller of two.  Catches: an off-by-one; only one level looked at. */
static void test_prompt_bytes(void **state)
{
    static const struct policy_limits app = {.prompt_bytes = 100}, key = {.prompt_bytes = 50};
    struct policy_request request = {.app = "shop", .key = "a", .of_app = &app, .of_key = &key, .prompt_bytes = 50};
    struct policy_ticket ticket;

    (void)state;
    assert_int_equal(policy_admit(policy, &request, &now, &ticket, &limit), POLICY_ADMITTED);
    request.prompt_bytes = 51;
    assert_int_equal(policy_admit(policy, &request, &now, &ticket, &limit), POLICY_PROMPT);
    assert_int_equal(limit, 50);
    request.of_key = NULL;
    assert_int_equal(policy_admit(policy, &request, &now, &ticket, &limit), POLICY_ADMITTED);
}

/* Goal: a full table gives up what need not be remembered, and nothing else.  Method: a table of 1000 with keys that run, keys with
 * tokens of today, keys with an empty bucket; then time goes by.  Catches: eviction of a running account (a crash at its end), a forgotten
 * allowance, a table that stays full for ever. */
static void test_full_table(void **state)
{
    static const struct policy_limits running = {.concurrent = 1}, daily = {.tokens_per_day = 10}, rate = {.requests_per_minute = 1};
    static struct policy_ticket tickets[400];
    struct policy_ticket ticket;
    char key[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        if (i < 400) {
            assert_int_equal(ask(key, NULL, &running, &tickets[i]), POLICY_ADMITTED);
        } else if (i < 700) {
            assert_int_equal(ask(key, NULL, &daily, &ticket), POLICY_ADMITTED);
            policy_charge(&ticket, 10, &now);
            end(&ticket);
        } else {
            assert_int_equal(pass(key, NULL, &rate), POLICY_ADMITTED);
        }
    }
    assert_int_equal(policy_accounts(policy), 1000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pass("new", NULL, &running), POLICY_FULL);
    assert_int_equal(pass("key-500", NULL, &daily), POLICY_DAY);
    assert_int_equal(pass("key-0", NULL, &running), POLICY_CONCURRENT);
    assert_int_equal(pass("key-999", NULL, &rate), POLICY_RATE);

    now.now_ns += 61 * CLOCK_S; /* the buckets are full again */
    int refused = 0;
    while (pass("new", NULL, &running) != POLICY_ADMITTED)
        assert_true(++refused < 10);
    assert_int_equal(pass("key-500", NULL, &daily), POLICY_DAY);
    for (int i = 0; i < 400; i++)
        end(&tickets[i]);
    for (int i = 400; i < 700; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_int_equal(pass(key, NULL, &daily), POLICY_DAY);
    }
}

/* Goal: an app's account is not taken away for that of its key.  Method: a table of one.  Catches: a use after free in admit. */
static void test_table_of_one(void **state)
{
    static const struct policy_limits both = {.concurrent = 5};
    struct policy *small;
    struct policy_request request = {.app = "shop", .key = "a", .of_app = &both, .of_key = &both};
    struct policy_ticket ticket;

    (void)state;
    assert_int_equal(policy_create(1, &small), 0);
    assert_int_equal(policy_admit(small, &request, &now, &ticket, &limit), POLICY_FULL);
    request.of_app = NULL;
    assert_int_equal(policy_admit(small, &request, &now, &ticket, &limit), POLICY_ADMITTED);
    policy_release(small, &ticket, &now);
    policy_free(small);
}

/* Goal: long names are accounts of their own up to the bound.  Method: names that differ at the end.  Catches: comparing what was cut
 * with what was not, which makes a new account for each question. */
static void test_long_names(void **state)
{
    static const struct policy_limits one = {.requests_per_minute = 1};
    char a[200];

    (void)state;
    memset(a, 'a', sizeof a);
    a[199] = '\0';
    assert_int_equal(pass(a, NULL, &one), POLICY_ADMITTED);
    assert_int_equal(pass(a, NULL, &one), POLICY_RATE);
    a[100] = 'b';
    assert_int_equal(pass(a, NULL, &one), POLICY_ADMITTED);
    assert_int_equal(policy_accounts(policy), 2);
}

/* Goal: the estimate.  Method: around multiples, and at the ends of the numbers.  Catches: rounding down to 0, overflow. */
static void test_estimate(void **state)
{
    (void)state;
    assert_int_equal(policy_tokens(0), 0);
    assert_int_equal(policy_tokens(1), 1);
    assert_int_equal(policy_tokens(4), 1);
    assert_int_equal(policy_tokens(5), 2);
    assert_true(policy_tokens(UINT64_MAX) == UINT64_MAX / 4 + 1);
    assert_int_equal(policy_bytes(3), 12);
    assert_true(policy_bytes(UINT64_MAX) == UINT64_MAX);
}

#define POLICY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLICY_TEST(test_nothing_is_counted_without_limits),
        POLICY_TEST(test_concurrent),
        POLICY_TEST(test_requests_per_minute),
        POLICY_TEST(test_bucket_and_strange_times),
        POLICY_TEST(test_rate_changes),
        POLICY_TEST(test_tokens_per_day),
        POLICY_TEST(test_a_question_must_leave_room_for_an_answer),
        POLICY_TEST(test_days),
        POLICY_TEST(test_restore),
        POLICY_TEST(test_prompt_bytes),
        POLICY_TEST(test_full_table),
        POLICY_TEST(test_table_of_one),
        POLICY_TEST(test_long_names),
        POLICY_TEST(test_estimate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
