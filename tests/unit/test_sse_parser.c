/* Unit: core/parse/sse_parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/parse/sse_parser.h"

struct record {
    struct umbel_out log; /* "name|data\n" for an event, "name=value\n" for a field; "~" before what came at_eof */
    const char *data;     /* of the last event, as handed out */
    int stop;
};

static int on_event(void *owner, struct span name, struct span data, bool at_eof)
{
    struct record *record = owner;

    umbel_out_printf(&record->log, "%s%.*s|", at_eof ? "~" : "", (int)name.size, name.data);
    umbel_out_put(&record->log, data.data, data.size);
    umbel_out_put(&record->log, "\n", 1);
    record->data = data.data;
    return record->stop;
}

static int on_field(void *owner, struct span name, struct span value, bool at_eof)
{
    struct record *record = owner;

    umbel_out_printf(&record->log, "%s%.*s=%.*s\n", at_eof ? "~" : "", (int)name.size, name.data, (int)value.size, value.data);
    return 0;
}

static const struct sse_calls calls = {.event = on_event, .field = on_field};

/* Parses copies of the pieces (so that a span kept too long is seen by the address sanitizer) cut at a and b. */
static int parse_cut(const char *text, size_t size, size_t a, size_t b, size_t cap, struct record *record, uint64_t *ret_comments)
{
    const size_t cut[] = {0, a, b, size};
    struct sse_parser p;
    int r = 0;

    umbel_out_reset(&record->log);
    sse_init(&p, cap, &calls, record);
    for (int i = 0; i < 3 && r == 0; i++) {
        size_t piece = cut[i + 1] - cut[i];
        char *copy = malloc(piece + 1);
        memcpy(copy, text + cut[i], piece);
        r = sse_feed(&p, copy, piece, NULL);
        free(copy);
    }
    if (r == 0)
        r = sse_end(&p, NULL);
    *ret_comments = p.comments;
    umbel_out_put(&record->log, "", 1);
    sse_free(&p);
    return r;
}

static const struct {
    const char *text, *want;
    uint64_t comments;
} cases[] = {
    {"", "", 0},
    {"data: a\n\n", "|a\n", 0},
    {"data:a\n\ndata:  b\n\n", "|a\n| b\n", 0},
    {"data\n\n", "|\n", 0},
    {"data: one\ndata: two\ndata:\n\n", "|one\ntwo\n\n", 0},
    {"event: ping\ndata: x\n\ndata: y\n\n", "ping|x\n|y\n", 0},
    {"event: lost\n\ndata: y\n\n", "|y\n", 0},
    {"event: a\nevent: b\ndata: y\n\n", "b|y\n", 0},
    {": keep-alive\n\n:\n\ndata: a\n: inside\ndata: b\n\n", "|a\nb\n", 3},
    {"\xef\xbb\xbf" "data: a\n\n", "|a\n", 0},
    {"\xef\xbb\xbf" ":\n", "", 1},
    {"\n\xef\xbb\xbf" "data: a\n\n", "\xef\xbb\xbf" "data=a\n", 0}, /* only at the very start */
    {"id: 7\nretry: 9\nmeta: {}\nodd\nerror: x\ndata: a\n\n", "meta={}\nodd=\nerror=x\n|a\n", 0},
    {"data: a\xe2\x80\xa8" "b\xc2\x85" "c\n\n", "|a\xe2\x80\xa8" "b\xc2\x85" "c\n", 0}, /* U+2028, U+0085 are data */
    {"Data: a\n\n", "Data=a\n", 0},
    {"data: a\n", "~|a\n", 0},
    {"data: a", "~|a\n", 0},
    {"data: a\ndata: b", "~|a\nb\n", 0},
    {"data: a\n\nevent: x", "|a\n", 0},
    {"data: a\n\nerror: x", "|a\n~error=x\n", 0},
    {"data: \n\n", "|\n", 0},
    {"\n\n\n", "", 0},
};

/* `text` with each LF written as `end`. */
static struct umbel_out with_ends(const char *text, const char *end)
{
    struct umbel_out out = {0};

    for (; *text; text++)
        umbel_out_put(&out, *text == '\n' ? end : text, *text == '\n' ? strlen(end) : 1);
    umbel_out_put(&out, "", 1); /* so that data is not NULL; not counted below */
    out.size--;
    return out;
}

/* Goal: the events are those of the standard, for each line end, wherever the input is cut.  Method: a table; LF, CRLF and CR; every
 * pair of cuts, pieces freed after each feed.  Catches: a CRLF cut in two counted as two lines, a span that outlives its read, a
 * byte order mark cut in two, data lines joined wrongly after a cut. */
static void sse_is_blind_to_cuts_and_line_ends(void **state)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    struct record record = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t e = 0; e < 3; e++) {
            struct umbel_out text = with_ends(cases[i].text, ends[e]);
            for (size_t a = 0; a <= text.size; a++)
                for (size_t b = a; b <= text.size; b++) {
                    uint64_t comments;
                    assert_int_equal(parse_cut(text.data, text.size, a, b, 0, &record, &comments), 0);
                    assert_string_equal(record.log.data, cases[i].want);
                    assert_int_equal(comments, cases[i].comments);
                }
            umbel_out_free(&text);
        }
    umbel_out_free(&record.log);
}

/* Goal: mixed line ends, CR LF CR LF and LF CR are what the standard says.  Method: literal bytes.  Catches: LF after CR LF swallowed. */
static void sse_mixed_line_ends(void **state)
{
    static const char text[] = "data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r";
    struct record record = {0};
    uint64_t comments;

    (void)state;
    for (size_t a = 0; a < sizeof text; a++) {
        assert_int_equal(parse_cut(text, sizeof text - 1, a, a, 0, &record, &comments), 0);
        assert_string_equal(record.log.data, "|a\n|b\n|c\n|d\n");
    }
    umbel_out_free(&record.log);
}

/* Goal: a line or an event over the cap fails that stream with -EMSGSIZE and keeps failing; at the cap it passes.  Method: cap 20, lines
 * and joined data around it, all cuts.  Catches: a cap that only counts one read, or lines but not events. */
static void sse_cap_is_exact(void **state)
{
    static const struct {
        const char *text, *want;
        int result;
    } bounds[] = {
        {"data: 4567890123456x\n\n", "|4567890123456x\n", 0},
        {"data: 4567890123456xy\n\n", "", -EMSGSIZE},
        {"data: a\n\ndata: 4567890123456xy", "|a\n", -EMSGSIZE},
        {"data: 456789012\ndata: 56789x123\n\n", "|456789012\n56789x123\n", 0},
        {"data: 456789012\ndata: 56789x123yz\n\n", "", -EMSGSIZE},
    };
    struct record record = {0};
    uint64_t comments;

    (void)state;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        for (size_t a = 0; a <= strlen(bounds[i].text); a++) {
            assert_int_equal(parse_cut(bounds[i].text, strlen(bounds[i].text), a, a, 20, &record, &comments), bounds[i].result);
            assert_string_equal(record.log.data, bounds[i].want);
        }
    umbel_out_free(&record.log);
}

/* Goal: after an error the parser stays failed and says so.  Method: a stopping call, then good input.  Catches: events after a stop. */
static void sse_errors_stay(void **state)
{
    struct record record = {.stop = -ECANCELED};
    struct sse_parser p;
    struct why why = {""};

    (void)state;
    sse_init(&p, 0, &calls, &record);
    assert_int_equal(sse_feed(&p, "data: a\n\ndata: b\n\n", 18, NULL), -ECANCELED);
    assert_int_equal(sse_feed(&p, "data: c\n\n", 9, &why), -ECANCELED);
    assert_string_not_equal(why.text, "");
    assert_int_equal(sse_end(&p, NULL), -ECANCELED);
    umbel_out_put(&record.log, "", 1);
    assert_string_equal(record.log.data, "|a\n");
    sse_free(&p);
    umbel_out_free(&record.log);
}

/* Goal: an event that lies whole in one read is not copied, and a large one does not keep its memory.  Method: compare pointers; then
 * 1 MiB in pieces.  Catches: a copy on the hot path; a buffer that stays at the largest event ever seen. */
static void sse_does_not_copy_and_gives_memory_back(void **state)
{
    static const char text[] = ": x\ndata: hello\n\n";
    struct record record = {0};
    struct sse_parser p;
    char block[4096];

    (void)state;
    sse_init(&p, 0, &calls, &record);
    assert_int_equal(sse_feed(&p, text, sizeof text - 1, NULL), 0);
    assert_ptr_equal(record.data, text + 10);
    assert_null(p.line.data);
    assert_null(p.data.data);
    memset(block, 'y', sizeof block);
    assert_int_equal(sse_feed(&p, "data: ", 6, NULL), 0);
    for (int i = 0; i < 256; i++)
        assert_int_equal(sse_feed(&p, block, sizeof block, NULL), 0);
    assert_true(p.line.capacity >= 256 * sizeof block);
    assert_int_equal(sse_feed(&p, "\n\n", 2, NULL), 0);
    assert_int_equal(record.log.size, 7 + 256 * sizeof block + 2);
    assert_true(p.line.capacity <= SSE_KEEP_MAX && p.data.capacity <= SSE_KEEP_MAX);
    sse_free(&p);
    umbel_out_free(&record.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sse_is_blind_to_cuts_and_line_ends), cmocka_unit_test(sse_mixed_line_ends), cmocka_unit_test(sse_cap_is_exact),
        cmocka_unit_test(sse_errors_stay),                    cmocka_unit_test(sse_does_not_copy_and_gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
