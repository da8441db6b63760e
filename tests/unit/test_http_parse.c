/* unit/test_http_parse.c - the HTTP carrier's request parser: what it takes, what it refuses, and that cuts do not matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* The carrier is a shared object that shows only its public calls, so the unit brings its own copy of this one file. */
#include "core/carrier/http_parse.c"

#define LINE 64u
#define HEADERS 128u

static long scan(const char *text, size_t size, size_t *ret_line)
{
    size_t scanned = 0;

    return http_head_scan(text, size, LINE, HEADERS, &scanned, ret_line);
}

static int parse(const char *text)
{
    static struct http_head head;

    return http_head_parse(text, strlen(text), &head);
}

/* Goal: the end of a head is found at the same byte however it arrives.  Method: every prefix, with the place of the last look
 * kept. Catches: an end that straddles two reads. */
static void test_scan_is_split_blind(void **state)
{
    static const char text[] = "\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nA:b\r\n\r\nrest";
    size_t whole = sizeof text - 1 - 4, line, scanned = 0;

    (void)state;
    for (size_t size = 0; size < whole; size++)
        assert_int_equal(http_head_scan(text, size, LINE, HEADERS, &scanned, &line), 0);
    assert_int_equal(http_head_scan(text, whole, LINE, HEADERS, &scanned, &line), (long)whole);
    assert_int_equal(scan(text, sizeof text - 1, &line), (long)whole);
    assert_int_equal(scan("GET / HTTP/1.0\r\n\r\n", 18, &line), 18);
}

/* Goal: the limits are exact and have their own statuses.  Method: one byte below and above.  Catches: an endless line or header
 * held in memory, 413 for all. */
static void test_scan_limits(void **state)
{
    char text[1024];
    size_t line;

    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(scan(text, LINE, &line), 0);
    assert_int_equal(scan(text, LINE + 2, &line), -414);
    memcpy(text + LINE, "\r\n\r\n", 4);
    assert_int_equal(scan(text, LINE + 4, &line), (long)LINE + 4);
    memset(text, 'x', sizeof text);
    memcpy(text, "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(scan(text, 16 + HEADERS, &line), 0);
    assert_int_equal(scan(text, 16 + HEADERS + 3, &line), -431);
    assert_int_equal(line, 16);
    memcpy(text + 16 + HEADERS - 2, "\r\n\r\n", 4);
    assert_true(scan(text, 16 + HEADERS + 2, &line) > 0);
}

static void test_head(void **state)
{
    static struct http_head head;
    static const char text[] = "POST http://h/a?b=c HTTP/1.1\r\nHost: h\r\nX-Two: \t a b \t\r\nConnection: Keep-Alive, CLOSE\r\n"
                               "content-LENGTH: 17\r\nExpect: 100-Continue\r\nEmpty:\r\n\r\n";

    (void)state;
    assert_int_equal(http_head_parse(text, sizeof text - 1, &head), 0);
    assert_true(span_is(head.method, "POST") && span_is(head.target, "http://h/a?b=c"));
    assert_true(span_is(http_head_find(&head, "x-two"), "a b"));
    assert_true(http_head_find(&head, "empty").data && http_head_find(&head, "empty").size == 0);
    assert_null(http_head_find(&head, "absent").data);
    assert_true(head.close && head.expect && !head.chunked);
    assert_int_equal(head.content_length, 17);
    assert_int_equal(http_head_parse("GET / HTTP/1.0\r\n\r\n", 18, &head), 0);
    assert_true(head.close && head.minor == 0);
}

/* Goal: whatever two servers could read differently is refused.  Catches: request smuggling. */
static void test_refused(void **state)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
        {400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
        {400, "GET /\r\nHost: a\r\n\r\n"},
        {400, "G\"T / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"},
        {501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n"},
    };
    size_t line;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (parse(cases[i].text) != cases[i].status)
            fail_msg("%d instead of %d: %s", parse(cases[i].text), cases[i].status, cases[i].text);
    assert_int_equal(scan("GET / HTTP/1.1\nHost: a\n\n", 24, &line), -400);
    assert_int_equal(scan("GET / HTTP/1.1\r\nHost: a\n\n", 25, &line), -400);
    assert_int_equal(scan("\x16\x03\x01", 3, &line), -400);
}

static void test_too_many_fields(void **state)
{
    char text[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";

    (void)state;
    for (unsigned i = 0; i < HTTP_FIELDS_MAX; i++)
        strcat(text, "A: b\r\n");
    strcat(text, "\r\n");
    assert_int_equal(parse(text), 431);
}

static long feed(const char *text, size_t size, size_t piece, size_t max, struct umbel_out *body)
{
    struct http_dechunk dechunk = {0};
    size_t at = 0;

    while (at < size && !dechunk.done) {
        size_t part = size - at < piece ? size - at : piece;
        long used = http_dechunk_feed(&dechunk, text + at, part, max, body);
        if (used < 0)
            return used;
        at += (size_t)used;
    }
    return dechunk.done ? (long)at : 0;
}

/* Goal: a chunked body means the same however it is cut, and ends at its own end.  Method: every piece size.  Catches: state lost
 * at a cut, the next request eaten. */
static void test_dechunk(void **state)
{
    static const char text[] = "5;x=\"y\"\r\nhello\r\n0A \r\n, world...\r\n000\r\nTrailer: x\r\n\r\nGET ";
    size_t whole = sizeof text - 1 - 4;

    (void)state;
    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct umbel_out body = {0};
        assert_int_equal(feed(text, sizeof text - 1, piece, 100, &body), (long)whole);
        assert_int_equal(body.size, 15);
        assert_memory_equal(body.data, "hello, world...", 15);
        umbel_out_free(&body);
    }
}

static void test_dechunk_refused(void **state)
{
    static const char *const bad[] = {"x\r\n", "\r\n",          ";a\r\n", "5\nhello", "5\r\nhelloX", "5\r\nhello\n0\r\n",
                                      "1 \n",  "0\r\nbad\nline"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct umbel_out body = {0};
        if (feed(bad[i], strlen(bad[i]), 100, 100, &body) != -400)
            fail_msg("taken: %s", bad[i]);
        umbel_out_free(&body);
    }
    struct umbel_out body = {0};
    assert_int_equal(feed("5\r\nhello\r\n", 10, 100, 4, &body), -413);
    assert_int_equal(feed("ffffffffff\r\n", 12, 100, 4, &body), -413);
    umbel_out_free(&body);
    char long_line[400];
    memset(long_line, '0', sizeof long_line);
    assert_int_equal(feed(long_line, sizeof long_line, 7, 100, &body), -400);
    umbel_out_free(&body);
}

static void test_decode(void **state)
{
    char to[64];

    (void)state;
    assert_int_equal(http_decode(span_text("a+b%20%e8%8C%b6"), true, to), 7);
    assert_string_equal(to, "a b \xe8\x8c\xb6");
    assert_int_equal(http_decode(span_text("a+b"), false, to), 3);
    assert_string_equal(to, "a+b");
    static const char *const bad[] = {"%", "%4", "%zz", "%00", "%ff", "%ed%a0%80", "%c0%80", "%e8%8c"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(http_decode(span_text(bad[i]), true, to), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_is_split_blind),
        cmocka_unit_test(test_scan_limits),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_dechunk),
        cmocka_unit_test(test_dechunk_refused),
        cmocka_unit_test(test_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
