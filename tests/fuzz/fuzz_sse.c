/* Fuzz: the SSE parser is blind to cuts, and knows CR, LF and CRLF as the same line end.
 * Input: byte 0 chooses the cap, the rest is the stream. */
#include "core/parse/sse_parser.h"
#include "tests/fuzz/pieces.h"

static int on_event(void *owner, struct span name, struct span data, bool at_eof)
{
    umbel_out_printf(owner, "%c%zu,%zu:", at_eof ? 'F' : 'E', name.size, data.size);
    umbel_out_put(owner, name.data, name.size);
    umbel_out_put(owner, data.data, data.size);
    return 0;
}

static int on_field(void *owner, struct span name, struct span value, bool at_eof)
{
    umbel_out_printf(owner, "%c%zu,%zu:", at_eof ? 'g' : 'f', name.size, value.size);
    umbel_out_put(owner, name.data, name.size);
    umbel_out_put(owner, value.data, value.size);
    return 0;
}

static struct umbel_out parse(const uint8_t *data, size_t size, size_t cap, uint64_t seed)
{
    static const struct sse_calls calls = {.event = on_event, .field = on_field};
    struct pieces pieces = pieces_of(data, size, seed);
    struct umbel_out log = {0};
    struct sse_parser p;
    const char *piece;
    size_t piece_size;
    int r = 0;

    sse_init(&p, cap, &calls, &log);
    while (r == 0 && (piece = pieces_next(&pieces, &piece_size)))
        r = sse_feed(&p, piece, piece_size, NULL);
    pieces_end(&pieces);
    if (r == 0)
        r = sse_end(&p, NULL);
    umbel_out_printf(&log, "=%d %llu", r, r == 0 ? (unsigned long long)p.comments : 0);
    sse_free(&p);
    REQUIRE(log.failed == 0);
    return log;
}

static void require_equal(const struct umbel_out *a, const struct umbel_out *b)
{
    REQUIRE(a->size == b->size && memcmp(a->data, b->data, a->size) == 0);
}

/* The same stream with each line end of one kind, when it has no CR of its own. */
static void check_line_end(const struct umbel_out *whole, const uint8_t *data, size_t size, size_t cap, const char *end)
{
    struct umbel_out text = {0}, log;

    for (size_t i = 0; i < size; i++)
        umbel_out_put(&text, data[i] == '\n' ? end : (const char *)data + i, data[i] == '\n' ? strlen(end) : 1);
    log = parse((const uint8_t *)text.data, text.size, cap, 3);
    require_equal(whole, &log);
    umbel_out_free(&log);
    umbel_out_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cap = size > 0 && data[0] % 4 == 0 ? 16u + data[0] : 0;
    struct umbel_out whole, cut;

    if (size > 0) {
        data++;
        size--;
    }
    whole = parse(data, size, cap, 0);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        cut = parse(data, size, cap, seed);
        require_equal(&whole, &cut);
        umbel_out_free(&cut);
    }
    if (size > 0 && !memchr(data, '\r', size)) {
        check_line_end(&whole, data, size, cap, "\r\n");
        check_line_end(&whole, data, size, cap, "\r");
    }
    umbel_out_free(&whole);
    return 0;
}
