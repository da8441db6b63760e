/* Unit: core/http/http_response. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <umbel/out.h>

#include "core/http/http_response.h"

struct record {
    struct umbel_out head, body; /* calls but body's as text; body bytes joined */
    struct http_head last;
    int ends, stop_at_head;
};

static int on_header(void *owner, struct span name, struct span value)
{
    struct record *record = owner;

    umbel_out_printf(&record->head, "%.*s=%.*s;", (int)name.size, name.data, (int)value.size, value.data);
    return 0;
}

static int on_head(void *owner, const struct http_head *head)
{
    struct record *record = owner;

    record->last = *head;
    umbel_out_printf(&record->head, "<%u>", head->status);
    return record->stop_at_head;
}

static int on_body(void *owner, struct span bytes)
{
    struct record *record = owner;

    assert_true(bytes.size > 0);
    assert_int_equal(record->ends, 0);
    umbel_out_put(&record->body, bytes.data, bytes.size);
    return 0;
}

static int on_end(void *owner)
{
    ((struct record *)owner)->ends++;
    return 0;
}

static const struct http_response_calls calls = {on_header, on_head, on_body, on_end};

static void record_free(struct record *record)
{
    umbel_out_free(&record->head);
    umbel_out_free(&record->body);
    *record = (struct record){0};
}

/* Feeds text in pieces: up to `cut`, then the rest, or byte by byte for cut == SIZE_MAX.  Returns the first error or 0. */
static int feed_cut(struct http_response *r, const char *text, size_t size, size_t cut, size_t *ret_consumed, struct why *why)
{
    size_t at = 0;

    while (at < size) {
        size_t piece = cut == SIZE_MAX ? 1 : at < cut ? cut - at : size - at, used = 0;
        int error = http_response_feed(r, text + at, piece, &used, why);
        if (error < 0)
            return error;
        at += used;
        if (used < piece)
            break;
    }
    *ret_consumed = at;
    return 0;
}

#define HEAD "HTTP/1.1 200 OK\r\n"
#define T(text) text, sizeof(text) - 1

enum { KEEP = 1, EOF_OK = 2, NOT_OVER = 4, RESET = 8, CUT_OFF = 16 };

static const struct {
    const char *text;
    size_t size;
    enum http_request_kind kind;
    const char *head, *body;
    size_t after; /* bytes left over */
    int flags;
} good[] = {
    {T(HEAD "Content-Length: 5\r\nX-A:  b c \t\r\n\r\nhelloNEXT"), 0, "Content-Length=5;X-A=b c;<200>", "hello", 4, KEEP},
    {T(HEAD "content-length:0\r\n\r\n"), 0, "content-length=0;<200>", "", 0, KEEP},
    {T("HTTP/1.1 200\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), 0, "Content-Length=1;Content-Length=1;<200>", "x", 0, KEEP},
    {T(HEAD "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0a ; ext=\"v\"\r\n, world ok\r\n000\r\nTrailer: t\r\n\r\nHTTP"), 0,
     "Transfer-Encoding=Chunked;<200>", "hello, world ok", 4, KEEP},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 0, "Transfer-Encoding=chunked;<200>", "", 0, KEEP},
    {T(HEAD "\r\nuntil the end"), 0, "<200>", "until the end", 0, NOT_OVER | EOF_OK},
    {T("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"), 0, "Content-Length=2;<200>", "hi", 0, 0},
    {T("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi"), 0, "Connection=Keep-Alive;Content-Length=2;<200>", "hi", 0, KEEP},
    {T(HEAD "Connection: x, close ,y\r\nContent-Length: 2\r\n\r\nhi"), 0, "Connection=x, close ,y;Content-Length=2;<200>", "hi", 0, 0},
    {T("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\nHTTP"), 0, "Content-Length=9;<204>", "", 4, KEEP},
    {T("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"), 0, "Transfer-Encoding=chunked;<304>", "", 0, KEEP},
    {T(HEAD "Content-Length: 9\r\n\r\n"), HTTP_REQUEST_HEAD, "Content-Length=9;<200>", "", 0, KEEP},
    {T("HTTP/1.0 200 Connection established\r\n\r\n\x16\x03\x01"), HTTP_REQUEST_CONNECT, "<200>", "", 3, 0},
    {T("HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"), HTTP_REQUEST_CONNECT, "Content-Length=2;<407>", "no", 0, KEEP},
    {T("HTTP/1.1 100 Continue\r\nX: 1\r\nContent-Length: 7\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" HEAD "Content-Length: 1\r\n\r\nz"), 0,
     "Content-Length=1;<200>", "z", 0, KEEP},
    {T(HEAD "Content-Length: 5\r\n\r\nhell"), 0, "Content-Length=5;<200>", "hell", 0, KEEP | NOT_OVER | CUT_OFF},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), 0, "Transfer-Encoding=chunked;<200>", "hello", 0, KEEP | NOT_OVER | CUT_OFF},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"), 0, "Transfer-Encoding=chunked;<200>", "", 0, KEEP | NOT_OVER | CUT_OFF},
    {T(HEAD "Content-Le"), 0, "", "", 0, NOT_OVER | CUT_OFF},
    {T(""), 0, "", "", 0, NOT_OVER | RESET},
};

static void check_good(size_t i, size_t cut)
{
    struct http_response *r = calloc(1, sizeof *r);
    struct record record = {0};
    size_t consumed = 0;
    int flags = good[i].flags;
    struct why why = {""};

    http_response_begin(r, good[i].kind, &calls, &record);
    if (feed_cut(r, good[i].text, good[i].size, cut, &consumed, &why) < 0)
        fail_msg("case %zu cut at %zu: %s", i, cut, why.text);
    umbel_out_put(&record.head, "", 1);
    umbel_out_put(&record.body, "", 1);
    assert_string_equal(record.head.data, good[i].head);
    assert_string_equal(record.body.data, good[i].body);
    assert_int_equal(consumed, good[i].size - good[i].after);
    assert_int_equal(http_response_is_over(r), !(flags & NOT_OVER));
    assert_int_equal(record.ends, !(flags & NOT_OVER));
    assert_int_equal(record.last.keep_alive, (flags & KEEP) != 0);
    if (flags & EOF_OK)
        assert_int_equal(http_response_eof(r, false, &why), -EPROTO); /* e.g. TLS without close_notify */
    assert_int_equal(http_response_eof(r, true, &why), flags & CUT_OFF ? -EPROTO : flags & RESET ? -ECONNRESET : 0);
    assert_int_equal(record.ends, !(flags & (CUT_OFF | RESET)));
    record_free(&record);
    http_response_end(r);
    free(r);
}

/* Goal: every legal framing gives its head, its body, its end and the place where the next response begins, wherever the input is cut.
 * Method: a table; each case whole, in two pieces at every byte, and byte by byte; then the end of the connection.
 * Catches: a cut CRLF, a chunk size over two reads, a missing final chunk taken as whole, keep-alive told wrong. */
static void http_reads_every_framing_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        for (size_t cut = 0; cut <= good[i].size; cut++)
            check_good(i, cut);
        check_good(i, SIZE_MAX);
    }
}

static const struct {
    const char *text;
    size_t size;
    const char *why;
} bad[] = {
    {T("HTTP/2 200 OK\r\n\r\n"), "status line"},
    {T("HTTP/1.2 200 OK\r\n\r\n"), "status line"},
    {T("HTTP/1.1 20 OK\r\n\r\n"), "status line"},
    {T("HTTP/1.1 2000\r\n\r\n"), "status line"},
    {T("HTTP/1.1 200 O\0K\r\n\r\n"), "status line"},
    {T("\r\nHTTP/1.1 200 OK\r\n\r\n"), "status line"},
    {T("HTTP/1.1 600 x\r\n\r\n"), "100..599"},
    {T("HTTP/1.1 099 x\r\n\r\n"), "100..599"},
    {T("HTTP/1.1 200 OK\n\r\n"), "without CR"},
    {T(HEAD "A: b\n\r\n"), "without CR"},
    {T(HEAD "A: b\r\n c\r\n\r\n"), "folded"},
    {T(HEAD "\tA: b\r\n\r\n"), "folded"},
    {T(HEAD "no colon\r\n\r\n"), "without a colon"},
    {T(HEAD "A : b\r\n\r\n"), "forbidden"},
    {T(HEAD ": b\r\n\r\n"), "forbidden"},
    {T(HEAD "A: b\0c\r\n\r\n"), "forbidden"},
    {T(HEAD "A: b\rc\r\n\r\n"), "forbidden"},
    {T(HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), "two different"},
    {T(HEAD "Content-Length: +1\r\n\r\n"), "bad Content-Length"},
    {T(HEAD "Content-Length: 1, 1\r\n\r\n"), "bad Content-Length"},
    {T(HEAD "Content-Length:\r\n\r\n"), "bad Content-Length"},
    {T(HEAD "Content-Length: 9223372036854775808\r\n\r\n"), "bad Content-Length"},
    {T(HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), "both"},
    {T(HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n"), "coding other"},
    {T(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), "coding other"},
    {T("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "HTTP/1.0"},
    {T("HTTP/1.1 101 Switching\r\n\r\n"), "101"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n\r\n"), "chunk size"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n 5\r\n"), "chunk size"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n-1\r\n"), "chunk size"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n0x5\r\n"), "chunk size"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n1 2\r\n"), "chunk size"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n"), "chunk size"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n5\nhello"), "without CR"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n"), "longer than its size"},
    {T(HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n"), "without a colon"},
};

static void expect_refused(const char *text, size_t size, size_t cut, const char *part)
{
    struct http_response *r = calloc(1, sizeof *r);
    struct record record = {0};
    struct why why = {""};
    size_t consumed;

    http_response_begin(r, HTTP_REQUEST_BODY, &calls, &record);
    assert_int_equal(feed_cut(r, text, size, cut, &consumed, &why), -EPROTO);
    if (!strstr(why.text, part))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, why.text, part);
    assert_int_equal(record.ends, 0);
    assert_int_equal(http_response_feed(r, "x", 1, &consumed, NULL), -EPROTO); /* it stays failed */
    assert_int_equal(http_response_eof(r, true, NULL), -EPROTO);
    record_free(&record);
    http_response_end(r);
    free(r);
}

/* Goal: what could be read in two ways, or is no HTTP, is refused with its name at every cut.  Method: a table as above.
 * Catches: any leniency that lets two readers disagree; an error that only appears in one cut. */
static void http_refuses_what_is_ambiguous(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t cut = 0; cut <= bad[i].size; cut++)
            expect_refused(bad[i].text, bad[i].size, cut, bad[i].why);
        expect_refused(bad[i].text, bad[i].size, SIZE_MAX, bad[i].why);
    }
}

/* text + count times piece + end */
static struct umbel_out many(const char *text, const char *piece, size_t count, const char *end)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, text);
    for (size_t i = 0; i < count; i++)
        umbel_out_text(&out, piece);
    umbel_out_text(&out, end);
    assert_int_equal(out.failed, 0);
    return out;
}

/* Goal: each bound holds exactly: at it fine, one past it refused, whole and byte by byte.  Method: generated heads.
 * Catches: a bound that is not there or counts differently when the input is cut. */
static void http_bounds_are_exact(void **state)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    static const struct {
        const char *text, *piece;
        size_t count;
        const char *end, *why; /* why NULL: fine */
    } cases[] = {
        {HEAD, "A: b\r\n", HTTP_HEADERS_MAX - 1, "Content-Length: 0\r\n\r\n", NULL},
        {HEAD, "A: b\r\n", HTTP_HEADERS_MAX, "Content-Length: 0\r\n\r\n", "too many headers"},
        {HEAD "Content-Length: 0\r\nA:", "b", HTTP_LINE_MAX - 4, "\r\n\r\n", NULL},
        {HEAD "Content-Length: 0\r\nA:", "b", HTTP_LINE_MAX - 3, "\r\n\r\n", "line is too long"},
        {"", interim, HTTP_INTERIM_MAX, HEAD "Content-Length: 0\r\n\r\n", NULL},
        {"", interim, HTTP_INTERIM_MAX + 1, HEAD "Content-Length: 0\r\n\r\n", "too many interim"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n0;", "x", HTTP_CHUNK_LINE_MAX - 4, "\r\n\r\n", NULL},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n0;", "x", HTTP_CHUNK_LINE_MAX - 3, "\r\n\r\n", "line is too long"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", HTTP_HEADERS_MAX - 1, "\r\n", NULL},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", HTTP_HEADERS_MAX, "\r\n", "too many headers"},
    };
    struct http_response *r = calloc(1, sizeof *r);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t cut = 0; cut < 2; cut++) {
            struct umbel_out text = many(cases[i].text, cases[i].piece, cases[i].count, cases[i].end);
            struct record record = {0};
            size_t consumed;
            if (cases[i].why) {
                expect_refused(text.data, text.size, cut ? SIZE_MAX : 0, cases[i].why);
            } else {
                http_response_end(r);
                http_response_begin(r, HTTP_REQUEST_BODY, &calls, &record);
                assert_int_equal(feed_cut(r, text.data, text.size, cut ? SIZE_MAX : 0, &consumed, NULL), 0);
                assert_true(http_response_is_over(r));
            }
            record_free(&record);
            umbel_out_free(&text);
        }
    http_response_end(r);
    free(r);
}

/* Goal: the head as a whole is bounded.  Method: lines of 1024 bytes until just under and just over 64 KiB.  Catches: a bound a line only. */
static void http_head_size_is_bounded(void **state)
{
    char line[1025];
    struct http_response *r = calloc(1, sizeof *r);
    const size_t fixed = strlen(HEAD "Content-Length: 0\r\n\r\n");

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "A: ", 3);
    memcpy(line + 1022, "\r\n", 3);
    for (size_t over = 0; over < 2; over++) {
        struct umbel_out text = many(HEAD "Content-Length: 0\r\n", line, 63, "B: ");
        struct record record = {0};
        size_t consumed;
        while (text.size + 4 < HTTP_HEAD_MAX + over)
            umbel_out_put(&text, "y", 1);
        umbel_out_text(&text, "\r\n\r\n");
        assert_true(text.size == HTTP_HEAD_MAX + over && fixed < 1024);
        if (over) {
            expect_refused(text.data, text.size, 0, "head is too long");
        } else {
            http_response_end(r);
            http_response_begin(r, HTTP_REQUEST_BODY, &calls, &record);
            assert_int_equal(http_response_feed(r, text.data, text.size, &consumed, NULL), 0);
            assert_true(http_response_is_over(r));
        }
        record_free(&record);
        umbel_out_free(&text);
    }
    http_response_end(r);
    free(r);
}

/* Goal: the values that decide are told, cut where they are too long.  Method: two heads.  Catches: a lost or unbounded value, a date
 * taken as seconds. */
static void http_head_values(void **state)
{
    static const char text[] = "HTTP/1.1 429 Slow\r\nCONTENT-TYPE: text/event-stream; charset=UTF-8\r\nContent-Encoding: gzip\r\n"
                               "Retry-After: 17\r\nContent-Length: 0\r\n\r\n";
    struct umbel_out other = many(HEAD "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Type: ", "t", 500, "\r\nContent-Length: 0\r\n\r\n");
    struct http_response *r = calloc(1, sizeof *r);
    struct record record = {0};

    (void)state;
    http_response_end(r);
    http_response_begin(r, HTTP_REQUEST_BODY, &calls, &record);
    assert_int_equal(http_response_feed(r, text, sizeof text - 1, NULL, NULL), 0);
    assert_int_equal(record.last.status, 429);
    assert_string_equal(record.last.content_type, "text/event-stream; charset=UTF-8");
    assert_string_equal(record.last.content_encoding, "gzip");
    assert_int_equal(record.last.retry_after_s, 17);
    http_response_end(r);
    http_response_begin(r, HTTP_REQUEST_BODY, &calls, &record);
    assert_int_equal(http_response_feed(r, other.data, other.size, NULL, NULL), 0);
    assert_int_equal(record.last.retry_after_s, -1);
    assert_int_equal(strlen(record.last.content_type), HTTP_VALUE_MAX);
    umbel_out_free(&other);
    record_free(&record);
    http_response_end(r);
    free(r);
}

/* Goal: a call that says stop stops.  Method: head() returns -ECANCELED.  Catches: body handed out after a refusal. */
static void http_calls_can_stop(void **state)
{
    static const char text[] = HEAD "Content-Length: 2\r\n\r\nhi";
    struct http_response *r = calloc(1, sizeof *r);
    struct record record = {.stop_at_head = -ECANCELED};

    (void)state;
    http_response_end(r);
    http_response_begin(r, HTTP_REQUEST_BODY, &calls, &record);
    assert_int_equal(http_response_feed(r, text, sizeof text - 1, NULL, NULL), -ECANCELED);
    assert_int_equal(http_response_feed(r, "hi", 2, NULL, NULL), -ECANCELED);
    assert_int_equal(record.body.size, 0);
    record_free(&record);
    http_response_end(r);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_reads_every_framing_at_every_cut), cmocka_unit_test(http_refuses_what_is_ambiguous),
        cmocka_unit_test(http_bounds_are_exact),                 cmocka_unit_test(http_head_size_is_bounded),
        cmocka_unit_test(http_head_values),                      cmocka_unit_test(http_calls_can_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
