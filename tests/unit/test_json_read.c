/* Unit: core/json, strict and loose reading, and printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <umbel/json.h>

#include "core/json/json_check.h"
#include "core/json/json_read.h"

/* A text with its length: some hold zero bytes. */
#define T(text) text, sizeof(text) - 1

static const struct {
    const char *text;
    size_t size;
    const char *printed;
} good[] = {
    {T("null"), "null"},
    {T(" \t\r\n[ ]\n"), "[]"},
    {T("{}"), "{}"},
    {T("[1,-2,0,3.5,1e3,-0.25,1E-2]"), "[1,-2,0,3.5,1000,-0.25,0.01]"},
    {T("9007199254740992"), "9007199254740992"},
    {T("0.1"), "0.1"},
    {T("{\"a\":{\"b\":[true,false,null,\"x\"]},\"c\":1}"), "{\"a\":{\"b\":[true,false,null,\"x\"]},\"c\":1}"},
    {T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {T("\"\\u00e9\\u4E16\\ud83d\\uDE00\""), "\"\xc3\xa9\xe4\xb8\x96\xf0\x9f\x98\x80\""},
    {T("\"\\ud83d\""), "\"\xef\xbf\xbd\""},                         /* lone first half */
    {T("\"\\ude00x\\ud83d\\ud83d\\ude00\""), "\"\xef\xbf\xbdx\xef\xbf\xbd\xf0\x9f\x98\x80\""},
    {T("\"\\\\ud83d\""), "\"\\\\ud83d\""},                          /* a backslash, then letters: no escape */
    {T("[\"\\ud83d\",\"\\ude00\"]"), "[\"\xef\xbf\xbd\",\"\xef\xbf\xbd\"]"},
    {T("{\"\":1,\"a\":2,\"A\":3}"), "{\"\":1,\"a\":2,\"A\":3}"},
};

/* Goal: what is JSON is read, and prints in its shortest form.  Method: a table.  Catches: over-strictness; wrong surrogates; numbers
 * printed in a form that JSON does not have. */
static void json_reads_and_prints(void **state)
{
    struct umbel_out out = {0};
    char why[200] = "";

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct umbel_json *value = umbel_json_parse(good[i].text, good[i].size, why, sizeof why);
        assert_string_equal(why, "");
        assert_non_null(value);
        umbel_out_reset(&out);
        umbel_json_print(value, &out);
        umbel_out_put(&out, "", 1);
        assert_string_equal(out.data, good[i].printed);
        umbel_json_free(value);
    }
    umbel_out_free(&out);
}

static const struct {
    const char *text;
    size_t size;
    const char *why; /* part of the reason */
    int loose;       /* what json_read says in the loose form: 0 or the error */
} bad[] = {
    {T(""), "byte 0: the text ends where a value is expected", -EBADMSG},
    {T("  "), "byte 2", -EBADMSG},
    {T("{} x"), "byte 3: something follows", -EBADMSG},
    {T("{}{}"), "byte 2: something follows", -EBADMSG},
    {T("null\0"), "byte 4: something follows", -EBADMSG},
    {T("\xef\xbb\xbf{}"), "byte 0", -EBADMSG},
    {T("\v1"), "byte 0", -EBADMSG},
    {T("[1\x01]"), "byte 2", -EBADMSG},
    {T("{\"a\":1,}"), "byte 7: expected a string", -EBADMSG},
    {T("[1,]"), "byte 3: expected a value", -EBADMSG},
    {T("{\"a\" 1}"), "byte 5: expected ':'", -EBADMSG},
    {T("{a:1}"), "byte 1: expected a string", -EBADMSG},
    {T("{'a':1}"), "byte 1: expected a string", -EBADMSG},
    {T("[1 2]"), "byte 3: expected ',' or ']'", -EBADMSG},
    {T("[1}"), "byte 2: expected ',' or ']'", -EBADMSG},
    {T("{\"a\":[1]"), "byte 8: the text ends", -EBADMSG},
    {T("\"abc"), "byte 4: the text ends inside a string", -EBADMSG},
    {T("\"abc\\"), "byte 4: the text ends inside a string", -EBADMSG},
    {T("\"a\nb\""), "byte 2: raw control character", -EBADMSG},
    {T("\"a\0b\""), "byte 2: raw control character", -EBADMSG},
    {T("\"\\x41\""), "byte 1: unknown escape", -EBADMSG},
    {T("\"\\u12g4\""), "byte 1: \\u needs four", -EBADMSG},
    {T("\"\\u12"), "byte 1: \\u needs four", -EBADMSG},
    {T("01"), "not a number", -EBADMSG},
    {T("-"), "not a number", -EBADMSG},
    {T("+1"), "byte 0", -EBADMSG},
    {T(".5"), "byte 0", -EBADMSG},
    {T("1."), "byte 2: a digit", -EBADMSG},
    {T("1e"), "byte 2: a digit", -EBADMSG},
    {T("[-]"), "byte 2: not a number", -EBADMSG},
    {T("NaN"), "byte 0", -EBADMSG},
    {T("tru"), "byte 0", -EBADMSG},
    {T("nullx"), "byte 4: something follows", -EBADMSG},
    {T("1e999"), "out of range", 0},
    {T("\"\\u0000\""), "byte 1: \\u0000", 0},
    {T("\"a\xff\""), "byte 2: invalid UTF-8", 0},
    {T("\"\xe4\xb8\""), "byte 1: invalid UTF-8", 0},
    {T("\"\xed\xa0\x80\""), "byte 1: invalid UTF-8", 0},
    {T("\"\xc0\xaf\""), "byte 1: invalid UTF-8", 0},
    {T("{\"a\":1,\"b\":2,\"a\":3}"), "member \"a\" appears twice", 0},
    {T("[{\"x\":{\"\\u0061\":1,\"a\":3}}]"), "member \"a\" appears twice", 0},
};

/* Goal: what is not strict JSON is refused with the place, and the loose form differs exactly where it says.  Method: a table of all that
 * cJSON would let pass, and the plain mistakes.  Catches: any of those let through; a wrong byte number. */
static void json_refuses_what_is_not_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct umbel_json *value = NULL;
        char why[200] = "";

        assert_null(umbel_json_parse(bad[i].text, bad[i].size, why, sizeof why));
        if (!strstr(why, bad[i].why))
            fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, why, bad[i].why);
        assert_int_equal(json_read(bad[i].text, bad[i].size, true, &value, NULL), bad[i].loose);
        umbel_json_free(value);
    }
}

/* Goal: the text of a caller's size is cut, never overrun.  Method: a one-byte and a zero-byte buffer.  Catches: an overrun. */
static void json_why_is_bounded(void **state)
{
    char why[2] = {'x', 'y'};

    (void)state;
    assert_null(umbel_json_parse("[", 1, why, 1));
    assert_int_equal(why[0], 0);
    assert_int_equal(why[1], 'y');
    assert_null(umbel_json_parse("[", 1, NULL, 0));
}

static char *repeat(const char *before, const char *middle, const char *after, size_t times, size_t *ret_size)
{
    struct umbel_out out = {0};

    for (size_t i = 0; i < times; i++)
        umbel_out_text(&out, before);
    umbel_out_text(&out, middle);
    for (size_t i = 0; i < times; i++)
        umbel_out_text(&out, after);
    assert_int_equal(out.failed, 0);
    *ret_size = out.size;
    return out.data;
}

/* Goal: the three bounds are exact.  Method: at the bound and one past it.  Catches: off by one; a bound that is not there. */
static void json_bounds_are_exact(void **state)
{
    static const struct {
        const char *before, *middle, *after;
        size_t times;
        int result;
    } cases[] = {
        {"[", "", "]", UMBEL_JSON_DEPTH_MAX, 0},
        {"[", "", "]", UMBEL_JSON_DEPTH_MAX + 1, -E2BIG},
        {"{\"a\":", "1", "}", UMBEL_JSON_DEPTH_MAX, 0},
        {"{\"a\":", "1", "}", UMBEL_JSON_DEPTH_MAX + 1, -E2BIG},
        {"1", "", "", JSON_NUMBER_MAX, 0},
        {"1", "", "", JSON_NUMBER_MAX + 1, -E2BIG},
        {"", "[0", ",0", JSON_VALUES_MAX - 2, 0},
        {"", "[0", ",0", JSON_VALUES_MAX - 1, -E2BIG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct umbel_json *value = NULL;
        size_t size;
        char *text = repeat(cases[i].before, cases[i].middle, cases[i].after, cases[i].times, &size);

        if (cases[i].middle[0] == '[') {
            text = realloc(text, size + 1);
            text[size++] = ']';
        }
        assert_int_equal(json_read(text, size, false, &value, NULL), cases[i].result);
        umbel_json_free(value);
        free(text);
    }
}

/* Goal: an object of many members is checked for duplicates too, without comparing all pairs.  Method: 100,000 names, then one of
 * them again at the end.  Catches: the duplicate missed above the small case; quadratic time (it would take minutes). */
static void json_many_members(void **state)
{
    struct umbel_out out = {0};
    struct umbel_json *value = NULL;
    struct why why;

    (void)state;
    umbel_out_text(&out, "{\"first\":0");
    for (int i = 0; i < 100000; i++)
        umbel_out_printf(&out, ",\"n%d\":0", i);
    umbel_out_text(&out, "}");
    assert_int_equal(json_read(out.data, out.size, false, &value, NULL), 0);
    assert_int_equal(umbel_json_count(value), 100001);
    umbel_json_free(value);
    out.size--;
    umbel_out_text(&out, ",\"n77777\":1}");
    assert_int_equal(json_read(out.data, out.size, false, &value, &why), -EBADMSG);
    assert_non_null(strstr(why.text, "\"n77777\""));
    umbel_out_free(&out);
}

/* Goal: the loose form hands over halves of pairs, raw bytes, U+FFFD for \u0000, and the first of two equal names.
 * Method: one text.  Catches: a half replaced too early (it could never be joined), a text cut at the zero. */
static void json_loose_keeps_halves(void **state)
{
    static const char text[] = "{\"a\":\"\\ud83d\",\"b\":\"\\ude00.\\u0000.\xff\",\"a\":\"second\",\"c\":\"\\ud83d\\ude00\"}";
    struct umbel_json *value = NULL;

    (void)state;
    assert_int_equal(json_read(text, sizeof text - 1, true, &value, NULL), 0);
    assert_string_equal(umbel_json_member_text(value, "a", ""), "\xed\xa0\xbd");
    assert_string_equal(umbel_json_member_text(value, "b", ""), "\xed\xb8\x80.\xef\xbf\xbd.\xff");
    assert_string_equal(umbel_json_member_text(value, "c", ""), "\xf0\x9f\x98\x80");
    umbel_json_free(value);
}

/* Goal: readers answer "not there" for NULL and for wrong types, and whole numbers only within +-2^53.  Method: one object, every
 * reader.  Catches: a crash on NULL, a string read from a number, a fraction or a too large number taken as an integer. */
static void json_readers(void **state)
{
    static const char text[] = "{\"s\":\"x\",\"n\":7,\"f\":1.5,\"big\":9007199254740994,\"m\":-9007199254740992,\"t\":true,\"z\":null,\"l\":[1,2]}";
    struct umbel_json *value = umbel_json_parse(text, sizeof text - 1, NULL, 0);
    size_t size = 99;

    (void)state;
    assert_int_equal(umbel_json_type(NULL), UMBEL_JSON_NONE);
    assert_int_equal(umbel_json_type(value), UMBEL_JSON_OBJECT);
    assert_int_equal(umbel_json_type(umbel_json_member(value, "z")), UMBEL_JSON_NULL);
    assert_null(umbel_json_member(value, "S"));
    assert_null(umbel_json_member(NULL, "s"));
    assert_null(umbel_json_member(umbel_json_member(value, "l"), "s"));
    assert_null(umbel_json_text(umbel_json_member(value, "n"), &size));
    assert_string_equal(umbel_json_text(umbel_json_member(value, "s"), &size), "x");
    assert_int_equal(size, 1);
    assert_int_equal(umbel_json_member_integer(value, "n", -1), 7);
    assert_int_equal(umbel_json_member_integer(value, "f", -1), -1);
    assert_int_equal(umbel_json_member_integer(value, "big", -1), -1);
    assert_true(umbel_json_member_integer(value, "m", -1) == INT64_C(-9007199254740992));
    assert_int_equal(umbel_json_member_integer(value, "s", -1), -1);
    assert_int_equal(umbel_json_bool(umbel_json_member(value, "t"), 0), 1);
    assert_int_equal(umbel_json_bool(umbel_json_member(value, "n"), 0), 0);
    assert_int_equal(umbel_json_count(umbel_json_member(value, "l")), 2);
    assert_int_equal(umbel_json_count(umbel_json_member(value, "s")), 0);
    assert_string_equal(umbel_json_name(umbel_json_first(value)), "s");
    assert_string_equal(umbel_json_name(umbel_json_next(umbel_json_first(value))), "n");
    assert_null(umbel_json_name(umbel_json_first(umbel_json_member(value, "l"))));
    assert_null(umbel_json_first(umbel_json_member(value, "s")));
    assert_null(umbel_json_next(NULL));
    assert_string_equal(umbel_json_member_text(value, "n", "other"), "other");
    umbel_json_free(value);
    umbel_json_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_reads_and_prints), cmocka_unit_test(json_refuses_what_is_not_json),
        cmocka_unit_test(json_why_is_bounded),   cmocka_unit_test(json_bounds_are_exact),
        cmocka_unit_test(json_many_members),     cmocka_unit_test(json_loose_keeps_halves),
        cmocka_unit_test(json_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
