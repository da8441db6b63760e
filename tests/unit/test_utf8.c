/* Unit: core/parse/utf8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/parse/utf8.h"

/* Goal: the longest whole valid prefix, with the bad place at any offset.  Method: a table, each text behind 0 to 17 plain
 * bytes and followed by nothing.  Catches: the word-wise skip, overlong forms, surrogates, values past U+10FFFF. */
static void utf8_whole_finds_the_first_bad_or_unfinished(void **state)
{
    static const struct {
        const char *text;
        size_t whole;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"\xc3\xa9", 2},
        {"\xe4\xb8\x96\xe7\x95\x8c", 6},
        {"\xf0\x9f\x98\x80z", 5},
        {"a\xe4\xb8", 1},
        {"a\xf0\x9f\x98", 1},
        {"a\xff", 1},
        {"\x80", 0},
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xed\xa0\x80", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10},
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t before = 0; before <= 17; before++) {
            memset(text, 'x', before);
            memcpy(text + before, cases[i].text, strlen(cases[i].text));
            assert_int_equal(utf8_whole(text, before + strlen(cases[i].text)), before + cases[i].whole);
        }
}

static void utf8_boundaries(void **state)
{
    static const char text[] = "a\xc3\xa9\xf0\x9f\x98\x80";
    static const bool want[] = {true, true, false, true, false, false, false, true, false};

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(utf8_is_boundary(text, 7, i), want[i]);
    assert_int_equal(utf8_cut(text, 7, 100), 7);
    assert_int_equal(utf8_cut(text, 7, 6), 3);
    assert_int_equal(utf8_cut(text, 7, 2), 1);
    assert_int_equal(utf8_cut(text, 7, 0), 0);
}

static void take(struct umbel_out *all, struct span text)
{
    assert_int_equal(utf8_whole(text.data, text.size), text.size); /* each delta alone is whole */
    umbel_out_put(all, text.data, text.size);
}

/* All of text, cut before `a` and `b`, through a carry. */
static void join_cut(const char *text, size_t size, size_t a, size_t b, struct umbel_out *all)
{
    const size_t cut[] = {0, a, b, size};
    struct umbel_out scratch = {0};
    struct utf8_carry carry = {0};
    struct span whole;

    umbel_out_reset(all);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(utf8_join(&carry, text + cut[i], cut[i + 1] - cut[i], &scratch, &whole), 0);
        take(all, whole);
    }
    take(all, utf8_flush(&carry));
    assert_int_equal(carry.size, 0);
    umbel_out_free(&scratch);
}

/* Goal: joined text is the same however it was cut; halves of a pair meet; bad bytes become U+FFFD.  Method: a table, every pair of
 * cuts.  Catches: a tail lost or doubled, a pair not joined over two deltas, a bad sequence counted twice when it is cut. */
static void utf8_join_is_blind_to_cuts(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xe4\xb8\x96\xf0\x9f\x98\x80!", "\xe4\xb8\x96\xf0\x9f\x98\x80!"},
        {"\xed\xa0\xbd\xed\xb8\x80", "\xf0\x9f\x98\x80"},
        {"\xed\xaf\xbf\xed\xbf\xbf.", "\xf4\x8f\xbf\xbf."},
        {"\xed\xa0\xbd", "\xef\xbf\xbd"},
        {"\xed\xa0\xbd\xed", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\xed\xa0\xbdx\xed\xb8\x80", "\xef\xbf\xbdx\xef\xbf\xbd"},
        {"\xed\xb8\x80\xed\xa0\xbd\xed\x95\x9c", "\xef\xbf\xbd\xef\xbf\xbd\xed\x95\x9c"},
        {"a\xff\xe4\xb8z\xf0\x9f\x98", "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd"},
    };
    struct umbel_out all = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = strlen(cases[i].text);
        for (size_t a = 0; a <= size; a++)
            for (size_t b = a; b <= size; b++) {
                join_cut(cases[i].text, size, a, b, &all);
                assert_int_equal(all.size, strlen(cases[i].want));
                assert_memory_equal(all.size ? all.data : "", cases[i].want, all.size);
            }
    }
    umbel_out_free(&all);
}

/* Goal: replacement appends, leaves good text as it is and follows the rule of the JSON escape.  Method: a table.
 * Catches: a pair of surrogates joined here but not there; an unfinished end lost. */
static void utf8_replace_appends(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "<"},
        {"good \xe4\xb8\x96", "<good \xe4\xb8\x96"},
        {"a\xff\xe4\xb8z\xf0\x9f\x98", "<a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd"},
        {"\xed\xa0\xbd\xed\xb8\x80.", "<\xef\xbf\xbd\xef\xbf\xbd."},
    };
    struct umbel_out out = {0}, json = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        umbel_out_reset(&out);
        umbel_out_reset(&json);
        umbel_out_text(&out, "<");
        utf8_replace(cases[i].text, strlen(cases[i].text), &out);
        assert_int_equal(out.size, strlen(cases[i].want));
        assert_memory_equal(out.data, cases[i].want, out.size);
        umbel_out_json_bare(&json, cases[i].text, strlen(cases[i].text));
        assert_int_equal(json.size, out.size - 1);
        assert_memory_equal(json.size ? json.data : "", out.data + 1, json.size);
    }
    umbel_out_free(&out);
    umbel_out_free(&json);
}

/* Goal: valid text is handed through, not copied.  Method: compare the pointer.  Catches: a copy on the hot path. */
static void utf8_join_does_not_copy_good_text(void **state)
{
    static const char text[] = "\xe4\xb8\x96 fine";
    struct umbel_out scratch = {0};
    struct utf8_carry carry = {0};
    struct span whole;

    (void)state;
    assert_int_equal(utf8_join(&carry, text, sizeof text - 1, &scratch, &whole), 0);
    assert_ptr_equal(whole.data, text);
    assert_null(scratch.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_whole_finds_the_first_bad_or_unfinished), cmocka_unit_test(utf8_boundaries),
        cmocka_unit_test(utf8_join_is_blind_to_cuts),                   cmocka_unit_test(utf8_join_does_not_copy_good_text),
        cmocka_unit_test(utf8_replace_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
