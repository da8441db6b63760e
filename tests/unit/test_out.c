/* Unit: core/base/out.c, the growing buffer and its JSON escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <umbel/event.h>
#include <umbel/json.h>
#include <umbel/out.h>

static void expect(struct umbel_out *out, const char *text)
{
    assert_int_equal(out->failed, 0);
    assert_int_equal(out->size, strlen(text));
    assert_memory_equal(out->data, text, out->size);
}

/* Goal: what is put is there, in order, through many growths.  Method: pieces of growing length, compared with their sum.
 * Catches: a growth that loses bytes, a wrong offset after reserve. */
static void out_keeps_everything_while_it_grows(void **state)
{
    struct umbel_out out = {0};
    unsigned char piece[97];
    size_t total = 0;

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        size_t size = i % sizeof piece;
        memset(piece, (int)(i & 0xff), size);
        umbel_out_put(&out, piece, size);
        total += size;
    }
    assert_int_equal(out.failed, 0);
    assert_int_equal(out.size, total);
    for (size_t i = 0, at = 0; i < 2000; i++)
        for (size_t k = 0; k < i % sizeof piece; k++)
            assert_int_equal((unsigned char)out.data[at++], i & 0xff);
    umbel_out_free(&out);
    assert_null(out.data);
    assert_int_equal(out.size, 0);
}

/* Goal: the limit is exact, and the error stays until reset.  Method: fill to the last byte, then one more, then less.
 * Catches: off by one, a later small put that succeeds and tears a hole, reset that forgets failed. */
static void out_limit_is_exact_and_errors_stick(void **state)
{
    struct umbel_out out = {.limit = 700};
    char block[700];

    (void)state;
    memset(block, 'x', sizeof block);
    umbel_out_put(&out, block, 699);
    umbel_out_put(&out, "y", 1);
    assert_int_equal(out.failed, 0);
    assert_int_equal(out.size, 700);
    umbel_out_put(&out, "z", 1);
    assert_int_equal(out.failed, -EMSGSIZE);
    assert_int_equal(out.size, 700);
    assert_null(umbel_out_reserve(&out, 0));
    umbel_out_reset(&out);
    umbel_out_text(&out, "fine");
    umbel_out_json(&out, "a", 1);
    expect(&out, "fine\"a\"");
    assert_null(umbel_out_reserve(&out, SIZE_MAX));
    assert_int_equal(out.failed, -EMSGSIZE);
    umbel_out_free(&out);
}

/* Goal: printf formats short and long text, and text that just fits the limit.  Method: lengths around the inner buffer.
 * Catches: a cut at the inner buffer, the zero counted as content. */
static void out_printf_has_no_length_of_its_own(void **state)
{
    for (int length = 505; length < 520; length++) {
        struct umbel_out out = {.limit = (size_t)length};
        (void)state;
        umbel_out_printf(&out, "%*s%c", length - 1, "", '!');
        assert_int_equal(out.failed, 0);
        assert_int_equal(out.size, length);
        assert_int_equal(out.data[length - 1], '!');
        umbel_out_free(&out);
    }
}

static void out_numbers(void **state)
{
    struct umbel_out out = {0};

    (void)state;
    umbel_out_u64(&out, 0);
    umbel_out_text(&out, " ");
    umbel_out_u64(&out, UINT64_MAX);
    umbel_out_text(&out, " ");
    umbel_out_u64(&out, 1000);
    expect(&out, "0 18446744073709551615 1000");
    umbel_out_free(&out);
}

static const struct {
    const char *text;
    size_t size;
    const char *json, *ascii;
} escapes[] = {
    {"", 0, "\"\"", "\"\""},
    {"plain text, longer than a word", 30, "\"plain text, longer than a word\"", "\"plain text, longer than a word\""},
    {"\"\\/\b\f\n\r\t", 8, "\"\\\"\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\x01\x1f\0z", 4, "\"\\u0001\\u001f\\u0000z\"", "\"\\u0001\\u001f\\u0000z\""},
    {"a\x7f" "b", 3, "\"a\x7f" "b\"", "\"a\\u007fb\""},
    {"\xe4\xb8\x96\xc3\xa9", 5, "\"\xe4\xb8\x96\xc3\xa9\"", "\"\\u4e16\\u00e9\""},
    {"\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"", "\"\\ud83d\\ude00\""},
    {"\xf4\x8f\xbf\xbf", 4, "\"\xf4\x8f\xbf\xbf\"", "\"\\udbff\\udfff\""},
    {"a\xff" "b", 3, "\"a\xef\xbf\xbd" "b\"", "\"a\\ufffdb\""},
    {"\xe4\xb8", 2, "\"\xef\xbf\xbd\"", "\"\\ufffd\""},                     /* cut at the end */
    {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\"\\ufffd\\ufffd\""}, /* overlong */
    {"\xed\xa0\x80.", 4, "\"\xef\xbf\xbd.\"", "\"\\ufffd.\""},             /* a surrogate */
    {"\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
};

/* Goal: both escapes are what out.h says, at every position within a word of eight bytes.  Method: a table, each text behind 0 to 16
 * plain bytes.  Catches: a byte the fast scan overlooks, upper-case digits, missing surrogate pairs, invalid UTF-8 let through. */
static void out_escapes_at_every_alignment(void **state)
{
    struct umbel_out out = {0}, want = {0};
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        for (size_t before = 0; before <= 16; before++) {
            memset(text, '.', before);
            memcpy(text + before, escapes[i].text, escapes[i].size);
            for (int ascii = 0; ascii < 2; ascii++) {
                const char *json = ascii ? escapes[i].ascii : escapes[i].json;
                umbel_out_reset(&out);
                umbel_out_reset(&want);
                umbel_out_printf(&want, "\"%.*s", (int)before, "................");
                umbel_out_text(&want, json + 1);
                (ascii ? umbel_out_json_ascii : umbel_out_json)(&out, text, before + escapes[i].size);
                assert_int_equal(out.size, want.size);
                assert_memory_equal(out.data, want.data, want.size);
            }
        }
    umbel_out_free(&out);
    umbel_out_free(&want);
}

/* Goal: every code point survives both escapes and the strict reader.  Method: all code points but surrogates and 0, in pieces of
 * 512, escaped, parsed, compared.  Catches: a wrong class of lead bytes, a wrong surrogate formula, DEL. */
static void out_every_code_point_comes_back(void **state)
{
    struct umbel_out text = {0}, json = {0};
    char why[128] = "";

    (void)state;
    for (uint32_t first = 1; first < 0x110000; first += 512) {
        umbel_out_reset(&text);
        for (uint32_t point = first; point < first + 512 && point < 0x110000; point++) {
            char b[4] = {(char)point};
            size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
            if (point >= 0xd800 && point <= 0xdfff)
                continue;
            for (size_t i = 0; n > 1 && i < n; i++) {
                uint32_t bits = point >> (6 * (n - 1 - i));
                b[i] = (char)(i > 0 ? 0x80 | (bits & 0x3f) : (n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | bits);
            }
            umbel_out_put(&text, b, n);
        }
        for (int ascii = 0; ascii < 2; ascii++) {
            size_t size;
            umbel_out_reset(&json);
            (ascii ? umbel_out_json_ascii : umbel_out_json)(&json, text.data ? text.data : "", text.size);
            for (size_t i = 0; ascii && i < json.size; i++)
                assert_in_range((unsigned char)json.data[i], 0x20, 0x7e);
            struct umbel_json *value = umbel_json_parse(json.data, json.size, why, sizeof why);
            assert_string_equal(why, "");
            const char *back = umbel_json_text(value, &size);
            assert_int_equal(size, text.size);
            assert_memory_equal(back, text.size ? text.data : "", size);
            umbel_json_free(value);
        }
    }
    umbel_out_free(&text);
    umbel_out_free(&json);
}

/* Goal: a question is the array that the core wants, whatever its text.  Method: texts with all that JSON escapes, none at all, and what is
 * there already.  Catches: a text put in raw, an array that does not end, what was there overwritten. */
static void out_question_is_an_array_of_one_message(void **state)
{
    struct umbel_out out = {0};

    (void)state;
    umbel_out_question(&out, "", 0);
    expect(&out, "[{\"role\":\"user\",\"content\":\"\"}]");
    umbel_out_reset(&out);
    umbel_out_text(&out, "x");
    umbel_out_question(&out, "a\"}]\n\xe8\x8c\xb6\xff", 9);
    expect(&out, "x[{\"role\":\"user\",\"content\":\"a\\\"}]\\n\xe8\x8c\xb6\xef\xbf\xbd\"}]");
    umbel_out_free(&out);
}

/* Goal: every error has a word of its own, without blanks, and a number that is not known has one too.  Method: all of them, the one behind
 * the last, the largest.  Catches: a table that is shorter than the list of errors, a read past its end, two errors that look alike. */
static void error_words_are_words_and_differ(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= UMBEL_ERROR_POSITION; i++) {
        const char *word = umbel_error_word(i);
        assert_true(strlen(word) > 0 && strspn(word, "abcdefghijklmnopqrstuvwxyz") == strlen(word));
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(word, umbel_error_word(k));
    }
    assert_string_equal(umbel_error_word(UMBEL_ERROR_NOT_FOUND), "unknown");
    assert_string_equal(umbel_error_word(UMBEL_ERROR_POSITION), "position");
    assert_string_equal(umbel_error_word(UMBEL_ERROR_POSITION + 1), "internal");
    assert_string_equal(umbel_error_word(UINT32_MAX), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_keeps_everything_while_it_grows), cmocka_unit_test(out_limit_is_exact_and_errors_stick),
        cmocka_unit_test(out_printf_has_no_length_of_its_own), cmocka_unit_test(out_numbers),
        cmocka_unit_test(out_escapes_at_every_alignment),      cmocka_unit_test(out_every_code_point_comes_back),
        cmocka_unit_test(out_question_is_an_array_of_one_message), cmocka_unit_test(error_words_are_words_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
