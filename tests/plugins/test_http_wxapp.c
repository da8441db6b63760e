/* plugins/test_http_wxapp.c - the mini-program's frames: no text may spell what the page searches for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#include "plugins/http-chunked-wxapp/wxapp.h"

/* The data of the chunk at *at, which moves past it. */
static const char *next_chunk(const char **at, const char *end, size_t *ret_size)
{
    char *line_end;

    if (*at == end)
        return NULL;
    *ret_size = strtoul(*at, &line_end, 16);
    assert_memory_equal(line_end, "\r\n", 2);
    const char *data = line_end + 2;
    assert_memory_equal(data + *ret_size, "\r\n", 2);
    *at = data + *ret_size + 2;
    return data;
}

/* Encodes, checks each frame on its own, and joins what a page would join. */
static void check(const char *text, size_t size)
{
    static const char lead[] = "success: {\"content\":\"";
    struct umbel_out out = {0}, joined = {0};
    const char *data;
    char why[100];
    size_t length;

    wxapp_mini_text(text, size, &out);
    const char *at = out.data, *end = out.data + out.size;
    while ((data = next_chunk(&at, end, &length))) {
        assert_true(length <= WXAPP_FRAME_MAX);
        assert_true(at == end || length > WXAPP_FRAME_MAX - 12); /* the longest escape is what may be left over */
        assert_memory_equal(data, lead, sizeof lead - 1);
        assert_memory_equal(data + length - 2, "\r\n", 2);
        assert_null(memmem(data, length, "error", 5));
        assert_null(memmem(data + 1, length - 1, "success", 7));
        for (size_t i = 0; i < length - 2; i++)
            assert_true(data[i] >= 0x20 && data[i] < 0x7f && data[i] != '<');
        struct umbel_json *json = umbel_json_parse(data + 9, length - 9, why, sizeof why);
        const char *content = umbel_json_text(umbel_json_member(json, "content"), &length);
        assert_non_null(content); /* strict: a lone surrogate would fail here */
        umbel_out_put(&joined, content, length);
        umbel_json_free(json);
    }
    assert_int_equal(joined.size, size);
    assert_memory_equal(joined.data, text, size);
    umbel_out_free(&out);
    umbel_out_free(&joined);
}

/* Goal: every text of dangerous pieces, up to six of them, comes out whole and spells nothing.  Catches: search-and-replace that
 * does not look at every position; words spelled with the digits of an escape (U+000E before "rror"). */
static void test_no_word_is_spelled(void **state)
{
    static const char *const pieces[] = {"e", "r", "rror", "ror", "s", "uccess: ", "su", "\x0e", "\xe4\xb8\x8e"};
    const size_t count = sizeof pieces / sizeof *pieces;
    char text[64];

    (void)state;
    for (size_t length = 1; length <= 5; length++) {
        size_t combinations = 1;
        for (size_t i = 0; i < length; i++)
            combinations *= count;
        for (size_t which = 0; which < combinations; which++) {
            text[0] = '\0';
            for (size_t i = 0, rest = which; i < length; i++, rest /= count)
                strcat(text, pieces[rest % count]);
            check(text, strlen(text));
        }
    }
}

/* Goal: frames of at most 1 KiB whatever the characters, no pair of escapes cut.  Method: each kind of character, shifted by 0
 * to 12. */
static void test_long_text(void **state)
{
    static const char *const kinds[] = {"a",    "\"", "\x01",        "\n", "\xc3\xa9", "\xe8\x8c\xb6", "\xf0\x9f\x8d\xb5",
                                        "\x7f", "<",  "\xe2\x80\xa8", "\x0e" "rror",     "error",
                                        "success", "\xe4\xb8\x8error", "plain words, many of them: "};
    char text[13 + 32 * 700];

    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t shift = 0; shift <= 12; shift++) {
            memset(text, 'x', shift);
            text[shift] = '\0';
            for (size_t i = 0; i < 700; i++)
                memcpy(text + shift + i * strlen(kinds[k]), kinds[k], strlen(kinds[k]) + 1);
            check(text, strlen(text));
        }
}

/* Goal: what is not UTF-8 spells nothing.  Catches: longer forms of a letter that are taken for the letter. */
static void test_not_utf8(void **state)
{
    static const char *const texts[] = {"\xe0\x81\xa5rror", "\xf0\x80\x81\xa5rror", "\xe0\x81\xb3uccess", "\xc1\xa5rror", "\xe0\x80\xbc" "b>"};
    struct umbel_out out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        umbel_out_reset(&out);
        wxapp_mini_text(texts[i], strlen(texts[i]), &out);
        assert_null(memmem(out.data, out.size, "error", 5));
        assert_null(memchr(out.data, '<', out.size));
        assert_non_null(memmem(out.data, out.size, "\\ufffd", 6));
        assert_null(memmem(out.data + 12, out.size - 12, "success", 7));
    }
    umbel_out_free(&out);
}

/* Goal: the bytes of the protocol's own examples. */
static void test_examples(void **state)
{
    static const char tea[] = "1c\r\nsuccess: {\"content\":\"Tea\"}\r\n\r\n";
    static const char leaf[] = "1f\r\nsuccess: {\"content\":\"\\u8336\"}\r\n\r\n";
    static const char apart[] = "24\r\nsuccess: {\"content\":\"\\u000exrror\"}\r\n\r\n"; /* the x keeps e and rror apart */
    static const char cup[] = "25\r\nsuccess: {\"content\":\"\\ud83c\\udf75\"}\r\n\r\n";
    struct umbel_out out = {0};

    (void)state;
    wxapp_mini_text("Tea", 3, &out);
    wxapp_mini_text("\xe8\x8c\xb6", 3, &out);
    wxapp_mini_text("\xf0\x9f\x8d\xb5", 4, &out);
    wxapp_mini_text("", 0, &out);
    assert_int_equal(out.size, sizeof tea + sizeof leaf + sizeof cup - 3);
    assert_memory_equal(out.data, tea, sizeof tea - 1);
    assert_memory_equal(out.data + sizeof tea - 1, leaf, sizeof leaf - 1);
    assert_memory_equal(out.data + sizeof tea + sizeof leaf - 2, cup, sizeof cup - 1);
    umbel_out_reset(&out);
    wxapp_mini_text("\x0e" "xrror", 6, &out);
    assert_int_equal(out.size, sizeof apart - 1);
    assert_memory_equal(out.data, apart, out.size);
    umbel_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_word_is_spelled), cmocka_unit_test(test_long_text),
                                       cmocka_unit_test(test_not_utf8), cmocka_unit_test(test_examples)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
