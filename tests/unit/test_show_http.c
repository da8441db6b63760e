/* Unit: tools/show, the bytes below the protocols: HTTP responses, event streams, WebSocket frames, and lines on a terminal. */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/show/show_lines.h"
#include "tools/show/show_ws.h"

static void collect(void *owner, const char *data, size_t size)
{
    umbel_out_put(owner, data, size);
}

static void expect(struct umbel_out *out, const char *text)
{
    umbel_out_put(out, "", 1);
    assert_false(out->failed);
    assert_string_equal(out->data, text);
    umbel_out_free(out);
}

/* ---- HTTP ---- */

/* A whole response, cut into pieces of `piece` bytes; what the body says.  Returns the first fault, or whether the body ended (1, 0). */
static int read_response(const char *text, size_t size, size_t piece, struct umbel_out *body_text, struct why *why)
{
    struct show_head head = {0};
    struct show_body body = {0};
    int r = 0;
    size_t at = 0;

    while (at < size && r == 0) {
        size_t part = size - at < piece ? size - at : piece, used = 0;
        r = show_head_feed(&head, text + at, part, &used, why);
        at += used;
    }
    if (r == 1)
        r = show_body_begin(&head, &body, why);
    while (at < size && r == 0) {
        size_t part = size - at < piece ? size - at : piece;
        r = show_body_feed(&body, text + at, part, collect, body_text, why);
        at += part;
    }
    show_head_free(&head);
    return r < 0 ? r : body.ended;
}

/* Goal: a chunked body and one with a length are read the same however the bytes arrive.  Method: every piece size.
 * Catches: state that is lost between two calls, chunk heads or line ends that are taken for data. */
static void responses_are_split_blind(void **state)
{
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
                                  "5\r\nhello\r\n1;ext=1\r\n \r\nA\r\n0123\r\n\r\nab\r\n0\r\nTrailer: t\r\n\r\n";
    static const char length[] = "HTTP/1.1 404 Not Found\r\ncontent-length:  5 \r\n\r\nhello";

    (void)state;
    for (size_t piece = 1; piece < sizeof chunked; piece++) {
        struct umbel_out body = {0};
        struct why why;
        assert_int_equal(read_response(chunked, sizeof chunked - 1, piece, &body, &why), 1);
        expect(&body, "hello 0123\r\n\r\nab");
        assert_int_equal(read_response(length, sizeof length - 1, piece, &body, &why), 1);
        expect(&body, "hello");
    }
}

/* Goal: what a server must not send is a fault, and so is an end in the middle.  Method: one response for each fault.
 * Catches: a reader so generous that a broken server looks well. */
static void broken_responses_are_faults(void **state)
{
    static const char *const broken[] = {
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
    };

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct umbel_out body = {0};
        struct why why = {{0}};
        if (read_response(broken[i], strlen(broken[i]), 4096, &body, &why) != -EPROTO || !why.text[0])
            fail_msg("taken for good: %s", broken[i]);
        umbel_out_free(&body);
    }
    struct show_body body = {.kind = SHOW_BODY_CHUNKED};
    struct why why;
    assert_int_equal(show_body_close(&body, &why), -EPROTO);
    struct show_body until_close = {.kind = SHOW_BODY_CLOSE};
    assert_int_equal(show_body_close(&until_close, &why), 0);
}

/* Goal: the head has a bound.  Method: headers without end.  Catches: memory that grows as long as a server talks. */
static void an_endless_head_is_refused(void **state)
{
    struct show_head head = {0};
    struct why why;
    size_t used;
    int r = show_head_feed(&head, "HTTP/1.1 200 OK\r\n", 17, &used, &why);

    (void)state;
    for (size_t i = 0; i < SHOW_HEAD_MAX && r == 0; i++)
        r = show_head_feed(&head, "a", 1, &used, &why);
    assert_int_equal(r, -EPROTO);
    show_head_free(&head);
}

/* ---- server-sent events ---- */

static void write_event(void *owner, const char *name, const char *data, size_t size)
{
    assert_int_equal(strlen(data), size);
    umbel_out_printf(owner, "[%s|%s]", name, data);
}

/* Goal: events are the same for every line end and every cut.  Method: LF, CRLF and CR; each piece size.
 * Catches: CR LF taken for two line ends, names that stay for the next event, comments taken for data. */
static void events_are_split_blind(void **state)
{
    static const char text[] = ": ka\n\ndata: one\n\nevent: error\ndata:two\ndata:  three\nid: 7\n\ndata\n\nevent: x\n\ndata: unfinished";

    (void)state;
    for (int end = 0; end < 3; end++)
        for (size_t piece = 1; piece < sizeof text; piece++) {
            struct umbel_out bytes = {0}, log = {0};
            struct show_sse sse = {0};
            for (const char *at = text; *at; at++)
                umbel_out_text(&bytes, *at != '\n' ? (char[]){*at, 0} : end == 0 ? "\n" : end == 1 ? "\r\n" : "\r");
            for (size_t at = 0; at < bytes.size; at += piece)
                assert_int_equal(
                    show_sse_feed(&sse, bytes.data + at, bytes.size - at < piece ? bytes.size - at : piece, write_event, &log), 0);
            expect(&log, "[message|one][error|two\n three][message|]");
            assert_int_equal(sse.comments, 1);
            show_sse_free(&sse);
            umbel_out_free(&bytes);
        }
}

/* ---- WebSocket ---- */

/* Goal: the upgrade is checked as RFC 6455 says.  Method: its own example pair, then one fault at a time.
 * Catches: an accept value that is not looked at, extensions that were not offered. */
static void the_upgrade_is_checked(void **state)
{
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    static const struct {
        const char *head;
        bool good;
    } heads[] = {
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", false},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", false},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", false},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", false},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
         "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", false},
    };
    char accept[SHOW_WS_ACCEPT_SIZE], one[SHOW_WS_KEY_SIZE], two[SHOW_WS_KEY_SIZE];

    (void)state;
    show_ws_accept(key, accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct show_head head = {0};
        struct why why;
        size_t used;
        assert_int_equal(show_head_feed(&head, heads[i].head, strlen(heads[i].head), &used, &why), 1);
        assert_int_equal(show_ws_check(&head, key, &why), heads[i].good ? 0 : -EPROTO);
        show_head_free(&head);
    }
    assert_int_equal(show_ws_key(one), 0);
    assert_int_equal(show_ws_key(two), 0);
    assert_int_equal(strlen(one), 24);
    assert_string_not_equal(one, two);
}

static int feed_frames(const void *bytes, size_t size, size_t piece, struct umbel_out *messages, struct umbel_out *reply, uint16_t *ret_close)
{
    struct show_ws ws = {0};
    struct why why;
    int r = 0;

    for (size_t at = 0; at < size && r == 0; at += piece)
        r = show_ws_feed(&ws, (const char *)bytes + at, size - at < piece ? size - at : piece, collect, messages, reply, &why);
    *ret_close = ws.closed ? ws.close_code : 0;
    show_ws_free(&ws);
    return r;
}

/* Goal: messages, also in fragments with a ping between, come out whole; pings and closes are answered.  Method: every piece size.
 * Catches: a control frame that ends a message, lengths of 126 and more, a reply without a mask. */
static void frames_are_split_blind(void **state)
{
    unsigned char bytes[600], *at = bytes;

    (void)state;
    memcpy(at, "\x01\x02he\x89\x01p\x80\x03llo\x81\x7e\x01\x00", 16);
    memset(at + 16, 'x', 256);
    memcpy(at + 16 + 256, "\x88\x02\x03\xe8", 4);
    for (size_t piece = 1; piece < 300; piece++) {
        struct umbel_out messages = {0}, reply = {0};
        uint16_t close;
        assert_int_equal(feed_frames(bytes, 16 + 256 + 4, piece, &messages, &reply, &close), 0);
        assert_int_equal(messages.size, 5 + 256);
        assert_memory_equal(messages.data, "helloxxx", 8);
        assert_int_equal(close, 1000);
        assert_int_equal(reply.size, 7 + 8);
        assert_int_equal((unsigned char)reply.data[0], 0x8a);
        assert_int_equal((unsigned char)reply.data[1], 0x81);
        assert_int_equal(reply.data[6] ^ reply.data[2], 'p');
        assert_int_equal((unsigned char)reply.data[7], 0x88);
        umbel_out_free(&messages);
        umbel_out_free(&reply);
    }
}

/* Goal: everything that a server must not send is a fault.  Method: one sequence of frames each.
 * Catches: a client that accepts what the published clients would choke on. */
static void broken_frames_are_faults(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } broken[] = {
        {"\x81\x81" "a\x81\x01" "b", 6},       /* masked, and good frames if that were overlooked */
        {"\xc1\x01x", 3},                     /* reserved bit */
        {"\x82\x01x", 3},                     /* binary */
        {"\x83\x01x", 3},                     /* unknown opcode */
        {"\x8b\x00", 2},                      /* unknown control opcode */
        {"\x09\x00", 2},                      /* a ping in pieces */
        {"\x89\x7e\x00\x80", 4},              /* a ping that is too long */
        {"\x81\x7e\x00\x05hello", 9},         /* not the shortest length */
        {"\x81\x7f\0\0\0\0\0\0\1\0", 10},     /* the same, with eight bytes */
        {"\x80\x01x", 3},                     /* a continuation of nothing */
        {"\x01\x01x\x81\x01y", 6},            /* a message inside another one */
        {"\x81\x02\xc3(", 4},                 /* not UTF-8 */
        {"\x81\x01\xe8", 3},                  /* half a character */
        {"\x88\x01x", 3},                     /* half a close code */
        {"\x81\x7f\x7f\0\0\0\0\0\0\0", 10},   /* far too long */
    };

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        for (size_t piece = 1; piece < 3; piece++) {
            struct umbel_out messages = {0}, reply = {0};
            uint16_t close;
            if (feed_frames(broken[i].bytes, broken[i].size, piece, &messages, &reply, &close) != -EPROTO)
                fail_msg("taken for good: number %zu", i);
            umbel_out_free(&messages);
            umbel_out_free(&reply);
        }
}

/* ---- lines ---- */

static void write_line(void *owner, const char *text, size_t size)
{
    umbel_out_put(owner, text, size);
    umbel_out_text(owner, "|");
}

/* Goal: text is broken at blanks, wide characters count two columns, nothing is lost.  Method: known texts.
 * Catches: bytes counted for columns, a word that is too long to fit, an endless loop on it. */
static void text_is_wrapped_by_columns(void **state)
{
    static const struct {
        const char *text;
        unsigned columns;
        const char *lines;
    } cases[] = {
        {"the sky is blue", 7, "the sky|is blue|"},
        {"abcdefghij", 4, "abcd|efgh|ij|"},
        {"a bcdefghij", 4, "a|bcde|fghi|j|"},
        {"one\n\ntwo", 10, "one||two|"},
        {"天空是蓝色的", 5, "天空|是蓝|色的|"},
        {"a天b", 3, "a天|b|"},
        {"", 9, ""},
        {"end \n", 4, "end |"},
        {"four five", 4, "four|five|"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct umbel_out lines = {0};
        show_wrap(cases[i].text, strlen(cases[i].text), cases[i].columns, write_line, &lines);
        expect(&lines, cases[i].lines);
    }
}

/* Goal: nothing that a model says can command the terminal.  Method: escape sequences, control characters of both kinds, broken bytes.
 * Catches: an ESC or a CR that gets through. */
static void control_characters_are_dropped(void **state)
{
    struct umbel_out out = {0};

    (void)state;
    assert_int_equal(show_fit(&out, "a\033[2J\x07z\xc2\x9b\xff\r\x7f", 12, 80), 5);
    expect(&out, "a[2Jz");
    assert_int_equal(show_fit(&out, "e\xcc\x81天天", 9, 3), 3); /* a combining accent takes no column */
    expect(&out, "e\xcc\x81天");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_are_split_blind),  cmocka_unit_test(broken_responses_are_faults),
        cmocka_unit_test(an_endless_head_is_refused), cmocka_unit_test(events_are_split_blind),
        cmocka_unit_test(the_upgrade_is_checked),     cmocka_unit_test(frames_are_split_blind),
        cmocka_unit_test(broken_frames_are_faults),   cmocka_unit_test(text_is_wrapped_by_columns),
        cmocka_unit_test(control_characters_are_dropped),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests_name("show_http", tests, NULL, NULL);
}
