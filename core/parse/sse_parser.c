#include "core/parse/sse_parser.h"

#include <errno.h>
#include <string.h>

void sse_init(struct sse_parser *p, size_t line_cap, const struct sse_calls *calls, void *owner)
{
    *p = (struct sse_parser){.calls = calls, .owner = owner, .cap = line_cap ? line_cap : SSE_LINE_CAP_DEFAULT};
    p->line.limit = p->data.limit = p->cap;
}

void sse_free(struct sse_parser *p)
{
    umbel_out_free(&p->line);
    umbel_out_free(&p->data);
}

static void empty(struct umbel_out *out)
{
    if (out->capacity > SSE_KEEP_MAX)
        umbel_out_free(out);
    umbel_out_reset(out);
}

static int too_long(const struct sse_parser *p, struct why *why)
{
    return why_set(why, -EMSGSIZE, "an event of the stream is longer than %zu bytes", p->cap);
}

static int keep(struct sse_parser *p, struct umbel_out *out, struct span bytes, struct why *why)
{
    if (bytes.size > p->cap - out->size)
        return too_long(p, why);
    umbel_out_put(out, bytes.data, bytes.size);
    return out->failed ? why_set(why, out->failed, "no memory for an event of the stream") : 0;
}

/* The pending data line moves into our own memory: more data follows, or the caller's memory goes away. */
static int keep_pending(struct sse_parser *p, struct why *why)
{
    if (!p->has_pending)
        return 0;
    p->has_pending = false;
    return keep(p, &p->data, p->pending, why);
}

static int add_data(struct sse_parser *p, struct span value, struct why *why)
{
    int r;

    if (!p->has_data) {
        p->has_data = p->has_pending = true;
        p->pending = value;
        return 0;
    }
    r = keep_pending(p, why);
    if (r < 0 || (r = keep(p, &p->data, span_of("\n", 1), why)) < 0)
        return r;
    return keep(p, &p->data, value, why);
}

static int dispatch(struct sse_parser *p, bool at_eof)
{
    struct span name = {p->name, p->name_size}, data = p->has_pending ? p->pending : span_of(p->data.data, p->data.size);
    bool has_data = p->has_data;
    int r = 0;

    if (!data.data)
        data.data = "";
    p->has_data = p->has_pending = false;
    if (has_data)
        r = p->calls->event(p->owner, name, data, at_eof);
    p->name_size = 0;
    empty(&p->data);
    return r;
}

static int read_field(struct sse_parser *p, struct span name, struct span value, bool at_eof, struct why *why)
{
    if (span_is(name, "data"))
        return add_data(p, value, why);
    if (span_is(name, "event")) {
        p->name_size = (unsigned char)(value.size < SSE_NAME_MAX ? value.size : SSE_NAME_MAX);
        memcpy(p->name, value.data, p->name_size);
        return 0;
    }
    if (span_is(name, "id") || span_is(name, "retry") || !p->calls->field)
        return 0;
    return p->calls->field(p->owner, name, value, at_eof);
}

/* One line without its end.  at_eof: it had none. */
static int read_line(struct sse_parser *p, struct span line, bool at_eof, struct why *why)
{
    struct span name = line, value = {"", 0};
    const char *colon;

    if (!p->begun && span_begins(line, "\xef\xbb\xbf")) /* a byte order mark */
        name = line = span_of(line.data + 3, line.size - 3);
    p->begun = true;
    p->lines++;
    if (line.size == 0)
        return at_eof ? 0 : dispatch(p, false);
    if (line.data[0] == ':') {
        p->comments++;
        return p->calls->comment ? p->calls->comment(p->owner, span_of(line.data + 1, line.size - 1)) : 0;
    }
    colon = memchr(line.data, ':', line.size);
    if (colon) {
        name.size = (size_t)(colon - line.data);
        value = span_of(colon + 1, line.size - name.size - 1);
        if (value.size > 0 && value.data[0] == ' ')
            value = span_of(value.data + 1, value.size - 1);
    }
    return read_field(p, name, value, at_eof, why);
}

/* A line whose end has been found; its beginning may be in p->line. */
static int end_line(struct sse_parser *p, struct span rest, struct why *why)
{
    int r;

    if (p->line.size == 0)
        return rest.size > p->cap ? too_long(p, why) : read_line(p, rest, false, why);
    r = keep(p, &p->line, rest, why);
    if (r < 0 || (r = read_line(p, span_of(p->line.data, p->line.size), false, why)) < 0)
        return r;
    r = keep_pending(p, why); /* it may point into p->line */
    empty(&p->line);
    return r;
}

/* Events that the owner reads by itself.  *bytes moves past them. */
static int read_ahead(struct sse_parser *p, const char **bytes, const char *end)
{
    size_t taken = 1;
    int r = 0;

    while (r == 0 && taken > 0 && *bytes < end) {
        size_t size = (size_t)(end - *bytes);
        taken = 0;
        r = p->calls->ahead(p->owner, span_of(*bytes, size < p->cap ? size : p->cap), &taken);
        *bytes += taken;
        p->lines += taken > 0 ? 2 : 0;
    }
    return r;
}

static bool between_events(const struct sse_parser *p)
{
    return p->begun && p->line.size == 0 && !p->has_data && p->name_size == 0;
}

static int feed(struct sse_parser *p, const char *bytes, size_t size, struct why *why)
{
    const char *end = bytes + size, *lf = NULL;
    bool looked = false; /* lf is the first one not before `bytes`: looked for once, however many CR come before */
    int r;

    if (p->skip_lf && bytes[0] == '\n')
        bytes++;
    p->skip_lf = false;
    while (bytes < end) {
        if (p->calls->ahead && between_events(p)) {
            r = read_ahead(p, &bytes, end);
            if (r < 0 || bytes == end)
                return r;
        }
        if (!looked || (lf && lf < bytes))
            lf = memchr(bytes, '\n', (size_t)(end - bytes));
        looked = true;
        const char *stop = lf ? lf : end, *cr = memchr(bytes, '\r', (size_t)(stop - bytes));
        if (!lf && !cr)
            return keep(p, &p->line, span_of(bytes, (size_t)(end - bytes)), why);
        if (cr)
            stop = cr;
        r = end_line(p, span_of(bytes, (size_t)(stop - bytes)), why);
        if (r < 0)
            return r;
        bytes = stop + 1;
        if (cr && bytes == end)
            p->skip_lf = true;
        else if (cr && *bytes == '\n')
            bytes++;
    }
    return 0;
}

int sse_feed(struct sse_parser *p, const char *bytes, size_t size, struct why *why)
{
    if (p->error == 0 && size > 0) {
        p->error = feed(p, bytes, size, why);
        if (p->error == 0)
            p->error = keep_pending(p, why);
        return p->error;
    }
    return p->error < 0 ? why_set(why, p->error, "the stream has failed before") : 0;
}

int sse_end(struct sse_parser *p, struct why *why)
{
    int r = p->error;

    if (r < 0)
        return why_set(why, r, "the stream has failed before");
    if (p->line.size > 0)
        r = read_line(p, span_of(p->line.data, p->line.size), true, why);
    if (r == 0 && p->has_data)
        r = dispatch(p, true);
    empty(&p->line);
    p->error = r;
    return r;
}
