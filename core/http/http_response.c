#include "core/http/http_response.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/number.h"

enum state {
    STATE_STATUS, /* lines */
    STATE_HEADER,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_END, /* the empty line after a chunk's bytes */
    STATE_TRAILER,
    STATE_BODY, /* bytes: left of them */
    STATE_CHUNK,
    STATE_BODY_CLOSE, /* until the connection ends */
    STATE_OVER,
    STATE_FAILED
};

static int refuse(struct why *why, const char *what)
{
    return why_set(why, -EPROTO, "not a good HTTP response: %s", what);
}

void http_response_begin(struct http_response *r, enum http_request_kind kind, const struct http_response_calls *calls, void *owner)
{
    memset(r, 0, sizeof *r);
    r->calls = calls;
    r->owner = owner;
    r->kind = kind;
    r->state = STATE_STATUS;
    r->head.content_length = HTTP_LENGTH_UNKNOWN;
    r->head.retry_after_s = -1;
}

static void forget_line(struct http_response *r)
{
    free(r->line);
    r->line = NULL;
    r->line_size = r->line_capacity = 0;
}

void http_response_end(struct http_response *r)
{
    forget_line(r);
}

bool http_response_is_over(const struct http_response *r)
{
    return r->state == STATE_OVER;
}

/* ---- lines ---- */

static size_t line_max(const struct http_response *r)
{
    return r->state == STATE_CHUNK_END ? 2 : r->state == STATE_CHUNK_SIZE ? HTTP_CHUNK_LINE_MAX : HTTP_LINE_MAX;
}

/* Appends to the line that waits for its end. */
static int keep_piece(struct http_response *r, struct span piece, struct why *why)
{
    if (piece.size > r->line_capacity - r->line_size) {
        size_t capacity = r->line_capacity * 2 > r->line_size + piece.size ? r->line_capacity * 2 : r->line_size + piece.size;
        char *more = realloc(r->line, capacity);

        if (!more)
            return why_set(why, -ENOMEM, "no memory for a line of an HTTP response");
        r->line = more;
        r->line_capacity = capacity;
    }
    memcpy(r->line + r->line_size, piece.data, piece.size);
    r->line_size += piece.size;
    return 0;
}

/* Takes one line off *in.  Returns 1 and *ret_line without its CRLF, 0 when the line is not whole yet, -EPROTO. */
static int take_line(struct http_response *r, struct span *in, struct span *ret_line, struct why *why)
{
    const char *lf = memchr(in->data, '\n', in->size);
    size_t size = lf ? (size_t)(lf - in->data) + 1 : in->size;
    struct span line = {in->data, size};

    if (size > line_max(r) - r->line_size)
        return refuse(why, r->state == STATE_CHUNK_END ? "a chunk is longer than its size" : "a line is too long");
    if ((!lf && size > 0) || r->line_size > 0) {
        int kept = keep_piece(r, line, why);

        if (kept < 0)
            return kept;
        line = span_of(r->line, r->line_size);
    }
    in->data += size;
    in->size -= size;
    if (!lf)
        return 0;
    r->line_size = 0;
    if (line.size < 2 || line.data[line.size - 2] != '\r')
        return refuse(why, "a line ends without CR");
    *ret_line = span_of(line.data, line.size - 2);
    if (r->state == STATE_CHUNK_SIZE || r->state == STATE_CHUNK_END)
        return 1;
    r->head_bytes += (uint32_t)line.size;
    return r->head_bytes > HTTP_HEAD_MAX ? refuse(why, "the head is too long") : 1;
}

static struct span trim(struct span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.size > 0;
}

static bool is_field_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* ---- the head ---- */

static int read_status(struct http_response *r, struct span line, struct why *why)
{
    const char *p = line.data;
    uint64_t status;

    if (line.size < 12 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') || p[8] != ' ' ||
        (line.size > 12 && p[12] != ' ') || !is_field_text(line) || !number_parse_u64(p + 9, 3, &status))
        return refuse(why, "bad status line");
    if (status < 100 || status > 599)
        return refuse(why, "the status is not within 100..599");
    r->minor = (unsigned)(p[7] - '0');
    r->head.status = (unsigned)status;
    r->state = STATE_HEADER;
    return 0;
}

static void keep_value(char *to, struct span value)
{
    size_t size = value.size < HTTP_VALUE_MAX ? value.size : HTTP_VALUE_MAX;

    memcpy(to, value.data, size);
    to[size] = '\0';
}

static int read_length(struct http_response *r, struct span value, struct why *why)
{
    uint64_t length;

    if (!number_parse_u64(value.data, value.size, &length) || length > INT64_MAX)
        return refuse(why, "bad Content-Length");
    if (r->has_length && r->head.content_length != length)
        return refuse(why, "two different Content-Length");
    r->has_length = true;
    r->head.content_length = length;
    return 0;
}

static int read_coding(struct http_response *r, struct span value, struct why *why)
{
    if (r->has_coding || !span_is_nocase(value, "chunked"))
        return refuse(why, "a transfer coding other than chunked");
    if (r->minor == 0)
        return refuse(why, "Transfer-Encoding in HTTP/1.0");
    r->has_coding = true;
    return 0;
}

static void read_connection(struct http_response *r, struct span value)
{
    while (value.size > 0) {
        const char *comma = memchr(value.data, ',', value.size);
        size_t size = comma ? (size_t)(comma - value.data) : value.size;
        struct span option = trim(span_of(value.data, size));

        r->said_close |= span_is_nocase(option, "close");
        r->said_keep_alive |= span_is_nocase(option, "keep-alive");
        size += comma != NULL;
        value = span_of(value.data + size, value.size - size);
    }
}

static void read_retry_after(struct http_response *r, struct span value)
{
    uint64_t seconds;

    if (number_parse_u64(value.data, value.size, &seconds))
        r->head.retry_after_s = seconds > INT32_MAX ? INT32_MAX : (int64_t)seconds;
}

static int read_known_header(struct http_response *r, struct span name, struct span value, struct why *why)
{
    if (span_is_nocase(name, "content-length"))
        return read_length(r, value, why);
    if (span_is_nocase(name, "transfer-encoding"))
        return read_coding(r, value, why);
    if (span_is_nocase(name, "connection"))
        read_connection(r, value);
    else if (span_is_nocase(name, "content-type"))
        keep_value(r->head.content_type, value);
    else if (span_is_nocase(name, "content-encoding"))
        keep_value(r->head.content_encoding, value);
    else if (span_is_nocase(name, "retry-after"))
        read_retry_after(r, value);
    return 0;
}

/* Splits a header or trailer line and checks its form. */
static int split_header(struct http_response *r, struct span line, struct span *ret_name, struct span *ret_value, struct why *why)
{
    const char *colon = memchr(line.data, ':', line.size);

    if (++r->headers > HTTP_HEADERS_MAX)
        return refuse(why, "too many headers");
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return refuse(why, "a folded header");
    if (!colon)
        return refuse(why, "a header without a colon");
    *ret_name = span_of(line.data, (size_t)(colon - line.data));
    *ret_value = trim(span_of(colon + 1, line.size - ret_name->size - 1));
    if (!is_token(*ret_name) || !is_field_text(*ret_value))
        return refuse(why, "a header with forbidden characters");
    return 0;
}

static int end_response(struct http_response *r)
{
    r->state = STATE_OVER;
    return r->calls->end ? r->calls->end(r->owner) : 0;
}

/* 1xx: forgotten, the real response follows. */
static int end_interim(struct http_response *r, struct why *why)
{
    if (r->head.status == 101)
        return refuse(why, "101 without having asked for another protocol");
    if (++r->interim > HTTP_INTERIM_MAX)
        return refuse(why, "too many interim responses");
    r->has_length = r->has_coding = r->said_close = r->said_keep_alive = false;
    r->head = (struct http_head){.content_length = HTTP_LENGTH_UNKNOWN, .retry_after_s = -1};
    r->state = STATE_STATUS;
    return 0;
}

static int end_head(struct http_response *r, struct why *why)
{
    struct http_head *head = &r->head;
    bool tunnel = r->kind == HTTP_REQUEST_CONNECT && head->status / 100 == 2;
    int error;

    if (head->status < 200)
        return end_interim(r, why);
    if (r->has_length && r->has_coding)
        return refuse(why, "both Content-Length and Transfer-Encoding");
    head->has_body = !tunnel && r->kind != HTTP_REQUEST_HEAD && head->status != 204 && head->status != 304 && head->content_length != 0;
    head->chunked = head->has_body && r->has_coding;
    head->keep_alive = !r->said_close && (r->minor == 1 || r->said_keep_alive);
    if (head->has_body && !head->chunked && !r->has_length)
        head->keep_alive = false; /* only the end of the connection ends this body */
    error = r->calls->head(r->owner, head);
    if (error < 0)
        return error;
    if (!head->has_body)
        return end_response(r);
    r->left = r->has_length ? head->content_length : 0;
    r->state = head->chunked ? STATE_CHUNK_SIZE : r->has_length ? STATE_BODY : STATE_BODY_CLOSE;
    return 0;
}

static int read_header(struct http_response *r, struct span line, struct why *why)
{
    struct span name, value;
    int error;

    if (line.size == 0)
        return end_head(r, why);
    error = split_header(r, line, &name, &value, why);
    if (error < 0 || (error = read_known_header(r, name, value, why)) < 0)
        return error;
    return r->calls->header && r->head.status >= 200 ? r->calls->header(r->owner, name, value) : 0;
}

/* ---- the body ---- */

/* -1: not a hexadecimal digit. */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int read_chunk_size(struct http_response *r, struct span line, struct why *why)
{
    const char *semicolon = memchr(line.data, ';', line.size);
    struct span digits = trim(span_of(line.data, semicolon ? (size_t)(semicolon - line.data) : line.size));
    uint64_t size = 0;

    if (digits.size == 0 || digits.data != line.data || digits.size > 15 || !is_field_text(line))
        return refuse(why, "bad chunk size");
    for (size_t i = 0; i < digits.size; i++) {
        int digit = hex_digit(digits.data[i]);
        if (digit < 0)
            return refuse(why, "bad chunk size");
        size = size << 4 | (uint64_t)digit;
    }
    r->left = size;
    r->state = size > 0 ? STATE_CHUNK : STATE_TRAILER;
    return 0;
}

static int read_trailer(struct http_response *r, struct span line, struct why *why)
{
    struct span name, value;

    return line.size == 0 ? end_response(r) : split_header(r, line, &name, &value, why);
}

static int read_chunk_end(struct http_response *r, struct span line, struct why *why)
{
    if (line.size > 0)
        return refuse(why, "a chunk is longer than its size");
    r->state = STATE_CHUNK_SIZE;
    return 0;
}

static int read_body(struct http_response *r, struct span *in)
{
    struct span piece = *in;
    int error;

    if (r->state != STATE_BODY_CLOSE && piece.size > r->left)
        piece.size = (size_t)r->left;
    in->data += piece.size;
    in->size -= piece.size;
    error = r->calls->body(r->owner, piece);
    if (error < 0 || r->state == STATE_BODY_CLOSE)
        return error;
    r->left -= piece.size;
    if (r->left > 0)
        return 0;
    if (r->state == STATE_BODY)
        return end_response(r);
    r->state = STATE_CHUNK_END;
    return 0;
}

static int step(struct http_response *r, struct span *in, struct why *why)
{
    static int (*const read_line[])(struct http_response *, struct span, struct why *) = {
        [STATE_STATUS] = read_status,       [STATE_HEADER] = read_header, [STATE_CHUNK_SIZE] = read_chunk_size,
        [STATE_CHUNK_END] = read_chunk_end, [STATE_TRAILER] = read_trailer,
    };
    struct span line;
    int error;

    if (r->state >= STATE_BODY)
        return read_body(r, in);
    error = take_line(r, in, &line, why);
    if (error <= 0)
        return error;
    error = read_line[r->state](r, line, why);
    forget_line(r);
    return error;
}

int http_response_feed(struct http_response *r, const char *bytes, size_t size, size_t *ret_consumed, struct why *why)
{
    struct span in = {bytes, size};
    int error = r->error;

    r->started |= size > 0;
    while (error == 0 && in.size > 0 && r->state != STATE_OVER)
        error = step(r, &in, why);
    if (error < 0) {
        r->state = STATE_FAILED;
        if (r->error == 0)
            r->error = error;
        else
            why_set(why, error, "the response has failed before");
        return error;
    }
    if (ret_consumed)
        *ret_consumed = size - in.size;
    return 0;
}

int http_response_eof(struct http_response *r, bool clean, struct why *why)
{
    if (r->error < 0)
        return why_set(why, r->error, "the response has failed before");
    if (r->state == STATE_OVER)
        return 0;
    if (r->state == STATE_BODY_CLOSE && clean)
        return end_response(r);
    if (!r->started)
        return why_set(why, -ECONNRESET, "the connection ended before the response began");
    return refuse(why, r->state == STATE_STATUS || r->state == STATE_HEADER ? "the connection ended inside the head"
                                                                            : "the connection ended inside the body");
}
