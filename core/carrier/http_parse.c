/* carrier/http_parse.c - see the header. */
#include "core/carrier/http_parse.h"

#include <string.h>

/* RFC 9110 token */
static bool is_token_char(unsigned char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(others, c));
}

static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_token_char((unsigned char)text.data[i]))
            return false;
    return text.size > 0;
}

/* Empty lines before a request are skipped: some clients send one after a body. */
static size_t leading_lines(const char *data, size_t size)
{
    size_t at = 0;

    while (at + 2 <= size && data[at] == '\r' && data[at + 1] == '\n')
        at += 2;
    return at;
}

long http_head_scan(const char *data, size_t size, size_t max_line, size_t max_headers, size_t *scanned, size_t *ret_line)
{
    size_t begin = leading_lines(data, size), line;

    *ret_line = 0;
    if (begin > 64 || (begin < size && !is_token_char((unsigned char)data[begin]) && data[begin] != '\r'))
        return -400;
    const char *end = begin < size ? memchr(data + begin, '\n', size - begin) : NULL;
    line = end ? (size_t)(end - data) - begin : size - begin;
    if (line > max_line + 1) /* its CR */
        return -414;
    if (!end)
        return 0;
    if (end == data || end[-1] != '\r')
        return -400;
    size_t headers = (size_t)(end - data) + 1;
    size_t from = *scanned > headers ? *scanned : headers;
    for (size_t at = from; at < size; at++) {
        if (data[at] != '\n')
            continue;
        if (data[at - 1] != '\r')
            return -400;
        if (memcmp(data + at - 3, "\r\n\r", 3) != 0) /* the head ends at a line end that follows a line end */
            continue;
        if (at + 1 - headers > max_headers + 2)
            break;
        return (long)(at + 1);
    }
    *scanned = size;
    if (size - headers > max_headers + 2) {
        *ret_line = headers;
        return -431;
    }
    return 0;
}

static struct span cut(struct span *rest, char at)
{
    const char *found = memchr(rest->data, at, rest->size);
    struct span part = span_of(rest->data, found ? (size_t)(found - rest->data) : rest->size);

    rest->data += part.size + (found != NULL);
    rest->size -= part.size + (found != NULL);
    return part;
}

int http_line_parse(struct span line, struct http_head *ret_head)
{
    struct span rest = line;
    struct span method = cut(&rest, ' '), target = cut(&rest, ' ');

    if (!is_token(method) || method.size > 32 || target.size == 0)
        return 400;
    for (size_t i = 0; i < target.size; i++)
        if ((unsigned char)target.data[i] <= ' ' || target.data[i] == 0x7f)
            return 400;
    if (rest.size != 8 || memcmp(rest.data, "HTTP/", 5) != 0 || rest.data[6] != '.' || rest.data[5] < '0' || rest.data[5] > '9' ||
        rest.data[7] < '0' || rest.data[7] > '9')
        return 400;
    ret_head->method = method;
    ret_head->target = target;
    ret_head->minor = rest.data[7] == '0' ? 0 : 1;
    return rest.data[5] == '1' ? 0 : 505;
}

static struct span trim(struct span text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static int parse_field(struct span line, struct http_head *head)
{
    struct span value = line;
    struct span name = cut(&value, ':');

    if (!is_token(name) || name.size == line.size)
        return 400;
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return 400;
    }
    if (head->count == HTTP_FIELDS_MAX)
        return 431;
    head->fields[head->count++] = (struct http_field){name, trim(value)};
    return 0;
}

struct span http_head_find(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (span_is_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    return span_of(NULL, 0);
}

static size_t count_fields(const struct http_head *head, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < head->count; i++)
        count += span_is_nocase(head->fields[i].name, name);
    return count;
}

static bool list_has(struct span list, const char *word)
{
    while (list.size)
        if (span_is_nocase(trim(cut(&list, ',')), word))
            return true;
    return false;
}

static int parse_length(struct span text, uint64_t *ret)
{
    uint64_t value = 0;

    if (text.size == 0 || text.size > 18)
        return 400;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 400;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret = value;
    return 0;
}

/* How the body is framed.  Every doubt is refused. */
static int read_framing(struct http_head *head)
{
    size_t lengths = count_fields(head, "content-length"), codings = count_fields(head, "transfer-encoding");

    if (lengths > 1 || codings > 1 || (lengths && codings))
        return 400;
    if (codings) {
        if (head->minor == 0)
            return 400;
        if (!span_is_nocase(http_head_find(head, "transfer-encoding"), "chunked"))
            return 501;
        head->chunked = true;
    }
    return lengths ? parse_length(http_head_find(head, "content-length"), &head->content_length) : 0;
}

static int read_meaning(struct http_head *head)
{
    size_t hosts = count_fields(head, "host");
    int status = read_framing(head);

    if (status)
        return status;
    if (hosts > 1 || (hosts == 0 && head->minor > 0))
        return 400;
    head->close = head->minor == 0;
    for (size_t i = 0; i < head->count; i++)
        if (span_is_nocase(head->fields[i].name, "connection") && list_has(head->fields[i].value, "close"))
            head->close = true;
    struct span expect = http_head_find(head, "expect");
    if (expect.data && head->minor > 0) {
        if (!span_is_nocase(expect, "100-continue"))
            return 417;
        head->expect = true;
    }
    return 0;
}

int http_head_parse(const char *data, size_t size, struct http_head *ret_head)
{
    size_t begin = leading_lines(data, size);
    struct span rest = span_of(data + begin, size - begin);
    bool first = true;

    ret_head->method = ret_head->target = span_of("", 0);
    ret_head->minor = 1;
    ret_head->count = 0;
    ret_head->content_length = 0;
    ret_head->chunked = ret_head->close = ret_head->expect = false;
    while (rest.size) {
        struct span line = cut(&rest, '\n');
        if (line.size == 0 || line.data[line.size - 1] != '\r')
            return 400;
        line.size--;
        if (line.size == 0)
            break;
        int status = first ? http_line_parse(line, ret_head) : parse_field(line, ret_head);
        if (status)
            return status;
        first = false;
    }
    return first ? 400 : read_meaning(ret_head);
}

enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_SIZE_LF, CHUNK_DATA, CHUNK_CR, CHUNK_LF, TRAILER, TRAILER_LF };

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int begin_line(struct http_dechunk *d, unsigned state)
{
    d->state = state;
    d->line = 0;
    return 0;
}

/* One byte outside of chunk data.  0 or the status to refuse with. */
static int step(struct http_dechunk *d, char c)
{
    switch (d->state) {
    case CHUNK_SIZE:
        if (hex(c) >= 0) {
            if (d->left >> 32)
                return 413;
            d->left = d->left << 4 | (uint64_t)hex(c);
            d->digits = true;
            return ++d->line > HTTP_CHUNK_LINE_MAX ? 400 : 0;
        }
        if (!d->digits || (c != ';' && c != ' ' && c != '\t' && c != '\r'))
            return 400;
        d->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
        return 0;
    case CHUNK_EXTENSION:
        if (c == '\n' || ++d->line > HTTP_CHUNK_LINE_MAX)
            return 400;
        d->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
        return 0;
    case CHUNK_SIZE_LF:
        return c != '\n' ? 400 : begin_line(d, d->left ? CHUNK_DATA : TRAILER);
    case CHUNK_CR:
        d->state = CHUNK_LF;
        return c == '\r' ? 0 : 400;
    case CHUNK_LF:
        d->digits = false;
        return c != '\n' ? 400 : begin_line(d, CHUNK_SIZE);
    case TRAILER:
        if (c == '\n' || ++d->trailer > HTTP_TRAILER_MAX)
            return 400;
        if (c == '\r')
            d->state = TRAILER_LF;
        else
            d->line++;
        return 0;
    default: /* TRAILER_LF */
        if (c != '\n')
            return 400;
        d->done = d->line == 0;
        return begin_line(d, TRAILER);
    }
}

long http_dechunk_feed(struct http_dechunk *d, const char *data, size_t size, size_t max, struct umbel_out *body)
{
    size_t at = 0;

    while (at < size && !d->done) {
        if (d->state != CHUNK_DATA) {
            int status = step(d, data[at++]);
            if (status)
                return -status;
            continue;
        }
        if (d->left > max || body->size > max - (size_t)d->left)
            return -413; /* before the chunk has come */
        size_t part = size - at < d->left ? size - at : (size_t)d->left;
        umbel_out_put(body, data + at, part);
        at += part;
        d->left -= part;
        if (d->left == 0)
            d->state = CHUNK_CR;
    }
    return (long)at;
}

bool http_utf8_is_valid(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;

    while (p < end) {
        unsigned char c = *p++, low = 0x80, high = 0xbf;
        size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0 || (c >= 0x80 && c < 0xc2) || c > 0xf4)
            return false;
        if (c == 0xe0)
            low = 0xa0;
        else if (c == 0xed)
            high = 0x9f; /* surrogates */
        else if (c == 0xf0)
            low = 0x90;
        else if (c == 0xf4)
            high = 0x8f;
        for (; more; more--, low = 0x80, high = 0xbf)
            if (p == end || *p < low || *p++ > high)
                return false;
    }
    return true;
}

long http_decode(struct span from, bool plus, char *to)
{
    size_t size = 0;

    for (size_t i = 0; i < from.size; i++) {
        char c = from.data[i];
        if (c == '%') {
            if (i + 2 >= from.size || hex(from.data[i + 1]) < 0 || hex(from.data[i + 2]) < 0)
                return -1;
            c = (char)(hex(from.data[i + 1]) << 4 | hex(from.data[i + 2]));
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[size++] = c;
    }
    to[size] = '\0';
    return http_utf8_is_valid(to, size) ? (long)size : -1;
}
