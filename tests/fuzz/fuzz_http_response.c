/* Fuzz: the HTTP response parser is blind to cuts and keeps its promises.  Input: byte 0 chooses the kind of request. */
#include "core/http/http_response.h"
#include "tests/fuzz/pieces.h"

#include <umbel/out.h>

struct record {
    struct umbel_out head, body;
    int heads, ends;
};

static int on_header(void *owner, struct span name, struct span value)
{
    struct record *record = owner;

    REQUIRE(record->heads == 0 && name.size > 0 && !memchr(name.data, ':', name.size));
    REQUIRE(value.size == 0 || (!memchr(value.data, '\r', value.size) && !memchr(value.data, '\n', value.size)));
    umbel_out_put(&record->head, name.data, name.size);
    umbel_out_put(&record->head, ":", 1);
    umbel_out_put(&record->head, value.data, value.size);
    umbel_out_put(&record->head, "\n", 1);
    return 0;
}

static int on_head(void *owner, const struct http_head *head)
{
    struct record *record = owner;

    REQUIRE(record->heads++ == 0 && head->status >= 200 && head->status <= 599);
    REQUIRE(strlen(head->content_type) <= HTTP_VALUE_MAX && strlen(head->content_encoding) <= HTTP_VALUE_MAX);
    umbel_out_printf(&record->head, "%u %d%d%d %llu %lld %s %s", head->status, head->keep_alive, head->has_body, head->chunked,
                     (unsigned long long)head->content_length, (long long)head->retry_after_s, head->content_type,
                     head->content_encoding);
    return 0;
}

static int on_body(void *owner, struct span bytes)
{
    struct record *record = owner;

    REQUIRE(record->heads == 1 && record->ends == 0 && bytes.size > 0);
    umbel_out_put(&record->body, bytes.data, bytes.size);
    return 0;
}

static int on_end(void *owner)
{
    struct record *record = owner;

    REQUIRE(record->heads == 1 && record->ends++ == 0);
    return 0;
}

static struct record parse(const uint8_t *data, size_t size, enum http_request_kind kind, uint64_t seed)
{
    static const struct http_response_calls calls = {on_header, on_head, on_body, on_end};
    struct http_response *r = calloc(1, sizeof *r);
    struct pieces pieces = pieces_of(data, size, seed);
    struct record record = {0};
    size_t piece_size, used, consumed = 0;
    const char *piece;
    int result = 0, eof;

    REQUIRE(r != NULL);
    http_response_end(r);
    http_response_begin(r, kind, &calls, &record);
    while (result == 0 && !http_response_is_over(r) && (piece = pieces_next(&pieces, &piece_size))) {
        result = http_response_feed(r, piece, piece_size, &used, NULL);
        if (result == 0) {
            REQUIRE(used == piece_size || http_response_is_over(r));
            consumed += used;
        }
    }
    pieces_end(&pieces);
    eof = http_response_eof(r, true, NULL);
    REQUIRE((eof == 0) == (record.ends == 1));
    umbel_out_printf(&record.head, " =%d %zu %d %d", result, result == 0 ? consumed : 0, eof, record.ends);
    http_response_end(r);
    free(r);
    return record;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum http_request_kind kind = size > 0 && data[0] % 8 < 2 ? (enum http_request_kind)(1 + data[0] % 8) : HTTP_REQUEST_BODY;
    struct record whole, cut;

    if (size > 0) {
        data++;
        size--;
    }
    whole = parse(data, size, kind, 0);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        cut = parse(data, size, kind, seed);
        REQUIRE(whole.head.size == cut.head.size && memcmp(whole.head.data, cut.head.data, whole.head.size) == 0);
        REQUIRE(whole.body.size == cut.body.size && (whole.body.size == 0 || memcmp(whole.body.data, cut.body.data, whole.body.size) == 0));
        umbel_out_free(&cut.head);
        umbel_out_free(&cut.body);
    }
    umbel_out_free(&whole.head);
    umbel_out_free(&whole.body);
    return 0;
}
