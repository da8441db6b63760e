/* The language of umbelctl log -q. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/umbelctl/query.h"

static struct ctl_event an_end(void)
{
    struct ctl_event event = {.record = {.kind = TRAIL_ENDED, .verdict = 3, .error = 6}, .source = "core", .id = "chatcmpl-00ff"};

    trail_text(&event.record, TRAIL_T_APP, "shop");
    trail_text(&event.record, TRAIL_T_TRANSPORT, "ws-bmob");
    event.record.value[TRAIL_V_TTFT] = 2500000000ull;
    event.record.value[TRAIL_V_BYTES] = 5000;
    event.record.value[TRAIL_V_TOKENS] = 12;
    return event;
}

static void expect(const char *text, bool matches)
{
    struct ctl_event event = an_end();
    struct query query;
    struct why why = {""};
    size_t at = 0;

    if (query_parse(text, &query, &at, &why) < 0)
        fail_msg("%s: column %zu: %s", text, at + 1, why.text);
    if (query_matches(&query, &event) != matches)
        fail_msg("%s: should %smatch", text, matches ? "" : "not ");
}

static void refuse(const char *text, size_t column, const char *words)
{
    struct query query;
    struct why why = {""};
    size_t at = 0;

    if (query_parse(text, &query, &at, &why) != -EINVAL)
        fail_msg("%s: was taken", text);
    if (at + 1 != column || !strstr(why.text, words))
        fail_msg("%s: column %zu, %s", text, at + 1, why.text);
}

/* Goal: each operator says what it should about texts, words, durations, sizes and numbers, and about what was not told.
 * Method: one event, pairs of expressions on both sides of each border.  Catches: < for <=, a unit's factor, "not told" that is less than
 * everything, a word compared as a number. */
static void operators(void **state)
{
    (void)state;
    expect("app == shop", true);
    expect("app = \"shop\"", true);
    expect("app != shop", false);
    expect("app == sho", false);
    expect("verdict == failed", true);
    expect("verdict != complete", true);
    expect("kind = ended", true);
    expect("ttft > 2s", true);
    expect("ttft > 2.5s", false);
    expect("ttft >= 2.5s", true);
    expect("ttft >= 2500ms", true);
    expect("ttft < 2500001us", true);
    expect("ttft <= 2499999us", false);
    expect("ttft < 1m", true);
    expect("ttft = 2500000000ns", true);
    expect("bytes > 4KiB", true);
    expect("bytes > 5kB", false);
    expect("bytes >= 5000", true);
    expect("tokens == 12", true);
    expect("tokens != 12", false);
    expect("lag < 1s", false);
    expect("lag > 1ns", false);
    expect("lag != 1s", true);
    expect("upstream == deep", false);
    expect("upstream != deep", true);
    expect("upstream ~ e*", false);
    expect("upstream !~ deep", true);
    expect("kind ~ ^en", true);
    expect("kind ~ ^nd", false);
    expect("(kind ~ ended$)", true);
    expect("transport ~ w.*b$ and error", true);
    expect("stream == chatcmpl-00ff", true);
}

/* Goal: and binds closer than or, not closest; a field alone asks whether it was told.  Method: expressions that another order would
 * answer otherwise.  Catches: one level for and and or, right instead of left, not over the rest. */
static void order(void **state)
{
    (void)state;
    expect("app == shop or app == desk and tokens == 1", true);
    expect("(app == shop or app == desk) and tokens == 1", false);
    expect("tokens == 1 and app == desk or app == shop", true);
    expect("not app == desk and tokens == 12", true);
    expect("not (app == shop and tokens == 12)", false);
    expect("not not app == shop", true);
    expect("error", true);
    expect("not reason and ttft", true);
    expect("lag or reason", false);
    expect("  app==shop and(ttft>2s)", true);
    expect("app == \"and\" or error", true);
    expect("app == shop and verdict != complete and ttft > 2s and transport ~ \"bmob\"", true);
}

/* Goal: patterns.  Method: those that a careless matcher gets wrong.  Catches: an anchor that is looked for as a letter, x* that takes too much,
 * a pattern that is not found at the very end, exponential time (it would not end). */
static void patterns(void **state)
{
    (void)state;
    assert_true(query_pattern("bmob", "ws-bmob"));
    assert_true(query_pattern("", ""));
    assert_true(query_pattern("^ws", "ws-bmob"));
    assert_false(query_pattern("^bmob", "ws-bmob"));
    assert_true(query_pattern("bmob$", "ws-bmob"));
    assert_false(query_pattern("ws$", "ws-bmob"));
    assert_true(query_pattern("^ws-bmob$", "ws-bmob"));
    assert_false(query_pattern("^ws-bmo$", "ws-bmob"));
    assert_true(query_pattern("w.-b", "ws-bmob"));
    assert_true(query_pattern("^w.*b$", "ws-bmob"));
    assert_true(query_pattern("x*bmob", "ws-bmob"));
    assert_true(query_pattern("^a*$", ""));
    assert_true(query_pattern("^a*$", "aaa"));
    assert_false(query_pattern("^a*$", "aab"));
    assert_true(query_pattern("a\\.b", "xa.bx"));
    assert_false(query_pattern("a\\.b", "xaxbx"));
    assert_true(query_pattern("\\*", "a*b"));
    assert_false(query_pattern("\\*", "ab"));
    assert_true(query_pattern("a\\$", "a$"));
    assert_true(query_pattern("a\\\\$", "xa\\")); /* the second \ is an ordinary byte, so the $ is the end */
    assert_false(query_pattern("a\\\\$", "a\\x"));
    assert_true(query_pattern("a\\", "a\\b")); /* before nothing: itself */
    assert_false(query_pattern("a\\", "ab"));
    assert_true(query_pattern("^$", ""));
    assert_false(query_pattern("^$", "a"));
    assert_false(query_pattern("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

/* Goal: each mistake is told with its column and what would be right.  Method: one of each.  Catches: a wrong column, words that do not
 * help, an expression that is cut short in silence. */
static void mistakes(void **state)
{
    (void)state;
    refuse("", 1, "a field, not or ( is missing at the end");
    refuse("app == shop and", 16, "missing at the end");
    refuse("ap == shop", 1, "umbelctl log fields");
    refuse("app shop", 5, "== != ~ or !~");
    refuse("app < shop", 5, "compared by == != ~ !~");
    refuse("ttft > 2", 8, "with its unit");
    refuse("ttft > fast", 8, "duration");
    refuse("ttft ~ 2s", 6, "compared by");
    refuse("bytes > 3x", 9, "a size like");
    refuse("tokens == 1.5", 11, "a number");
    refuse("verdict == done", 12, "complete truncated failed cancelled");
    refuse("(app == shop", 13, "and, or or ) is missing");
    refuse("app == shop)", 12, "expected and or or, found )");
    refuse("app == \"shop", 8, "closing");
    refuse("app == \"shop\\\"", 8, "closing");
    refuse("app == shop ttft > 2s", 13, "expected and or or, found ttft");
    refuse("app == ,", 8, "word or a");
    refuse("not", 4, "missing");
    refuse("kind ~ ", 8, "missing");
    refuse("(kind ~ )", 9, "a word or a");
    refuse("tokens == 99999999999999999999", 11, "a number");
}

/* Goal: nothing is without a bound.  Method: one more than fits of levels, parts, letters.  Catches: an overflow of stack or table. */
static void bounds(void **state)
{
    char text[4096] = "";

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        strcat(text, "(");
    refuse(text, QUERY_DEPTH_MAX + 1, "levels");
    strcpy(text, "error");
    for (unsigned i = 0; i < 100; i++)
        strcat(text, " or error");
    {
        struct query query;
        struct why why;
        size_t at;
        assert_int_equal(query_parse(text, &query, &at, &why), -EINVAL);
        assert_non_null(strstr(why.text, "parts"));
    }
    memset(text, 'x', 300);
    memcpy(text, "app == ", 7);
    text[300] = '\0';
    refuse(text, 8, "longer than");
    memcpy(text, "app ~  ", 7);
    text[7 + 64] = '\0';
    refuse(text, 8, "more than 63 parts");
    text[7 + 63] = '\0';
    expect(text, false);
}

/* Goal: whatever is typed, the parser ends, within its bounds, and a good expression can be asked.  Method: 200,000 texts of random pieces.
 * Catches: reading behind the end, an endless loop (under the sanitizers: anything). */
static void anything(void **state)
{
    static const char *const pieces[] = {"app",  "ttft", "==", "!=", "~",    "!~", "<",  "and", "or", "not", "(",  ")",   "\"",
                                         "2s",   "shop", " ",  "\\", "^a*$", "!",  "=",  "5",   "\"a\"", "\xff", "1.5ms", "verdict", "failed"};
    struct ctl_event event = an_end();
    unsigned random = 1, good = 0;

    (void)state;
    for (unsigned n = 0; n < 200000; n++) {
        char text[256] = "";
        struct query query;
        struct why why;
        size_t at = 0;

        for (unsigned i = 0; i < 1 + n % 12; i++) {
            random = random * 1103515245u + 12345u;
            strcat(text, pieces[(random >> 16) % (sizeof pieces / sizeof pieces[0])]);
            strcat(text, random & 0x800 ? " " : "");
        }
        if (query_parse(text, &query, &at, &why) < 0) {
            assert_true(at <= strlen(text));
            continue;
        }
        good++;
        query_matches(&query, &event);
    }
    assert_true(good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(operators), cmocka_unit_test(order), cmocka_unit_test(patterns),
                                       cmocka_unit_test(mistakes),  cmocka_unit_test(bounds), cmocka_unit_test(anything)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
