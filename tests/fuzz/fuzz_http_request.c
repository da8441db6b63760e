/* Fuzz: the HTTP request parser of the http carrier is blind to cuts and keeps its promises. */
#include "core/carrier/http_parse.h"
#include "tests/fuzz/pieces.h"

#define LINE_MAX_BYTES 200u
#define HEADERS_MAX_BYTES 400u
#define BODY_MAX_BYTES 300u

/* The head: what the scan says when bytes come in pieces must be what it says of the whole. */
static long scan(const uint8_t *data, size_t size, uint64_t seed, size_t *ret_line)
{
    struct pieces pieces = pieces_of(data, size, seed);
    struct umbel_out all = {0};
    size_t scanned = 0, piece;
    const char *bytes;
    long r = 0;

    while (r == 0 && (bytes = pieces_next(&pieces, &piece))) {
        umbel_out_put(&all, bytes, piece);
        r = http_head_scan(all.data, all.size, LINE_MAX_BYTES, HEADERS_MAX_BYTES, &scanned, ret_line);
        REQUIRE(r <= (long)all.size && scanned <= all.size);
    }
    pieces_end(&pieces);
    umbel_out_free(&all);
    return r;
}

static void check_head(const char *data, size_t size)
{
    struct http_head head;
    int status = http_head_parse(data, size, &head);

    REQUIRE(status == 0 || (status >= 400 && status < 600));
    REQUIRE(head.count <= HTTP_FIELDS_MAX);
    for (size_t i = 0; status == 0 && i < head.count; i++) {
        REQUIRE(head.fields[i].name.data >= data && head.fields[i].name.size > 0);
        REQUIRE(head.fields[i].value.size == 0 || head.fields[i].value.data + head.fields[i].value.size <= data + size);
    }
    if (status == 0)
        REQUIRE(!(head.chunked && head.content_length > 0)); /* one framing of the body, not two */
}

static long dechunk(const uint8_t *data, size_t size, uint64_t seed, struct umbel_out *body)
{
    struct pieces pieces = pieces_of(data, size, seed);
    struct http_dechunk state = {0};
    size_t piece;
    const char *bytes;
    long used = 0;

    while (!state.done && (bytes = pieces_next(&pieces, &piece))) {
        long r = http_dechunk_feed(&state, bytes, piece, BODY_MAX_BYTES, body);
        if (r < 0) {
            used = r;
            break;
        }
        REQUIRE((size_t)r <= piece && (state.done || (size_t)r == piece));
        used += r;
    }
    REQUIRE(body->size <= BODY_MAX_BYTES);
    pieces_end(&pieces);
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct umbel_out whole = {0}, cut = {0};
    char *text = malloc(size + 1);
    size_t line = 0, cut_line = 0;
    long head = scan(data, size, 0, &line);

    REQUIRE(text != NULL);
    if (head > 0) {
        REQUIRE(scan(data, size, 1, &cut_line) == head);
        check_head((const char *)data, (size_t)head);
    }
    long used = dechunk(data, size, 0, &whole);
    REQUIRE(dechunk(data, size, 1, &cut) == used);
    if (used >= 0)
        REQUIRE(whole.size == cut.size && (whole.size == 0 || memcmp(whole.data, cut.data, whole.size) == 0));
    long decoded = http_decode(span_of((const char *)data, size), true, text);
    REQUIRE(decoded <= (long)size && (decoded < 0 || http_utf8_is_valid(text, (size_t)decoded)));
    umbel_out_free(&whole);
    umbel_out_free(&cut);
    free(text);
    return 0;
}
