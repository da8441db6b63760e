/* Unless deltas were asked for (quirk incremental_output) each event repeats the whole text so far, and what is new is its end.  A service
 * that sends deltas unasked is recognised by the first text that does not begin with the one before it. */
#include "core/parse/dialect_dashscope.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/number.h"
#include "core/parse/dialect_reader.h"

#define TOOLS_MAX 32u /* tool calls of one answer; further ones are ignored */

/* How much of a repeated text has been handed on, and a digest of it: the text itself is not kept. */
struct progress {
    size_t size;
    uint64_t digest;
};

struct dashscope_reader {
    struct dialect_reader base; /* first: the functions below are given it */
    struct progress text, thinking, arguments[TOOLS_MAX];
    bool tool_begun[TOOLS_MAX];
    bool deltas;     /* texts are deltas */
    unsigned status; /* of the event at hand, from its comment; 0: none */
};

static const struct dialect_finish finishes[] = {
    {"stop", UMBEL_FINISH_STOP, 0},
    {"length", UMBEL_FINISH_LENGTH, 0},
    {"tool_calls", UMBEL_FINISH_TOOL, 0},
    {"content_filter", UMBEL_FINISH_FILTER, 0},
};

/* ---- what is new ---- */

static uint64_t digest(uint64_t begin, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        begin = (begin ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return begin;
}

/* Half a character at the end of a text may be another one in the next: U+FFFD, and the first half of a surrogate pair. */
static size_t firm_size(struct span text)
{
    while (text.size >= 3) {
        const unsigned char *p = (const unsigned char *)text.data + text.size - 3;
        if (!(p[0] == 0xef && p[1] == 0xbf && p[2] == 0xbd) && !(p[0] == 0xed && p[1] >= 0xa0))
            break;
        text.size -= 3;
    }
    return text.size;
}

/* The part of text that has not been handed on.  last: there will be no further text, so nothing is held back. */
static struct span news(struct dashscope_reader *d, struct progress *p, struct span text, bool last)
{
    size_t size = last || d->deltas ? text.size : firm_size(text);
    struct span rest;

    if (text.size == 0 || d->deltas)
        return text;
    if (p->size > 0 && (text.size < p->size || digest(0, text.data, p->size) != p->digest)) {
        d->deltas = true;
        return text;
    }
    if (size < p->size)
        return span_of("", 0);
    rest = span_of(text.data + p->size, size - p->size);
    p->digest = digest(p->digest, rest.data, rest.size);
    p->size = size;
    return rest;
}

/* ---- one event ---- */

static int take_tool(struct dashscope_reader *d, const struct umbel_json *call, size_t position, bool last)
{
    const struct umbel_json *function = umbel_json_member(call, "function");
    int64_t index = umbel_json_member_integer(call, "index", (int64_t)position);
    struct span arguments = dialect_member_text(function, "arguments"), id = {NULL, 0}, name = {NULL, 0};
    bool first;

    if (umbel_json_type(call) != UMBEL_JSON_OBJECT || index < 0 || index >= (int64_t)TOOLS_MAX) {
        d->base.counts.ignored++;
        return 0;
    }
    first = !d->tool_begun[index];
    arguments = news(d, &d->arguments[index], arguments, last);
    if (!first && arguments.size == 0)
        return 0;
    if (first) {
        d->tool_begun[index] = true;
        name = dialect_member_text(function, "name");
        id = dialect_member_text(call, "id");
        if (!id.data)
            id = span_of("", 0);
    }
    return dialect_emit_call(&d->base, (size_t)index, id, name, arguments);
}

/* A text, or the list of texts that models for pictures and sound send. */
static struct span content_of(struct dashscope_reader *d, const struct umbel_json *message)
{
    const struct umbel_json *content = umbel_json_member(message, "content");
    struct umbel_out *out = &d->base.unescaped;
    struct span text;

    if (umbel_json_type(content) != UMBEL_JSON_ARRAY)
        return dialect_member_text(message, "content");
    umbel_out_reset(out);
    for (const struct umbel_json *part = umbel_json_first(content); part; part = umbel_json_next(part)) {
        text = dialect_member_text(part, "text");
        umbel_out_put(out, text.data ? text.data : "", text.size);
    }
    return span_of(out->data ? out->data : "", out->failed ? 0 : out->size);
}

static int take_message(struct dashscope_reader *d, const struct umbel_json *message, bool last)
{
    const struct umbel_json *calls = umbel_json_member(message, "tool_calls"), *call;
    struct span thinking = news(d, &d->thinking, dialect_member_text(message, "reasoning_content"), last);
    int result = d->base.quirks.reasoning_content ? dialect_emit_thinking(&d->base, thinking) : 0;
    size_t position = 0;

    d->base.counts.seen.reasoning_content |= thinking.size > 0;
    if (result == 0)
        result = dialect_emit_text(&d->base, news(d, &d->text, content_of(d, message), last));
    for (call = umbel_json_first(calls); call && result == 0; call = umbel_json_next(call))
        result = take_tool(d, call, position++, last);
    return result;
}

static bool is_finish(const struct dashscope_reader *d, struct span word)
{
    return word.data && !(word.size == 0 && d->base.quirks.empty_finish) &&
           !(d->base.quirks.null_text_finish && span_is(word, "null"));
}

static int take_output(struct dashscope_reader *d, const struct umbel_json *output)
{
    const struct umbel_json *choice = umbel_json_first(umbel_json_member(output, "choices"));
    struct span word = dialect_member_text(choice ? choice : output, "finish_reason");
    bool last = is_finish(d, word);
    int result;

    if (choice)
        result = take_message(d, umbel_json_member(choice, "message"), last);
    else /* result_format "text" */
        result = dialect_emit_text(&d->base, news(d, &d->text, dialect_member_text(output, "text"), last));
    return result < 0 ? result : dialect_take_finish(&d->base, finishes, sizeof finishes / sizeof *finishes, word);
}

static void take_usage(struct dashscope_reader *d, const struct umbel_json *usage)
{
    int64_t input = umbel_json_member_integer(usage, "input_tokens", -1);
    int64_t output = umbel_json_member_integer(usage, "output_tokens", -1);

    if (input >= 0 || output >= 0)
        dialect_note_usage(&d->base, input > 0 ? (uint64_t)input : 0, output > 0 ? (uint64_t)output : 0);
}

/* text: what the service said, JSON or not. */
static int take_error(struct dashscope_reader *d, unsigned status, struct span text)
{
    struct dialect_error error;

    if (status >= 400)
        dialect_refusal(status, text.data, text.size, &error);
    else
        dialect_error_text(text, &error);
    return dialect_note_error(&d->base, &error);
}

static bool is_bare_error(const struct umbel_json *object)
{
    return !umbel_json_member(object, "output") && umbel_json_member_text(object, "code", "")[0] != '\0';
}

static int dashscope_payload(struct dialect_reader *r, struct span name, struct span data, bool cut, struct why *why)
{
    struct dashscope_reader *d = (struct dashscope_reader *)r;
    unsigned status = d->status;
    bool failing = status >= 400 || (r->quirks.error_event && span_is(name, "error"));
    struct umbel_json *value;
    int result = dialect_read_json(r, data, failing || (name.size > 0 && !span_is(name, "result")), cut, &value, why);

    d->status = 0;
    r->counts.seen.error_event |= span_is(name, "error");
    if (result < 0 || (!value && (!failing || cut)))
        return result;
    r->counts.seen.error_bare |= !failing && is_bare_error(value);
    if (failing || (r->quirks.error_bare && is_bare_error(value))) {
        result = take_error(d, status, data);
    } else if (umbel_json_type(umbel_json_member(value, "output")) == UMBEL_JSON_OBJECT) {
        take_usage(d, umbel_json_member(value, "usage"));
        result = take_output(d, umbel_json_member(value, "output"));
    } else {
        r->counts.ignored++;
    }
    umbel_json_free(value);
    return result;
}

/* ":HTTP_STATUS/400" */
static int dashscope_comment(struct dialect_reader *r, struct span text)
{
    static const char begins[] = "HTTP_STATUS/";
    uint64_t status;

    text = dialect_trim(text);
    if (span_begins(text, begins) && number_parse_u64(text.data + sizeof begins - 1, text.size - (sizeof begins - 1), &status) &&
        status >= 100 && status < 600)
        ((struct dashscope_reader *)r)->status = (unsigned)status;
    return 0;
}

int dialect_dashscope_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret)
{
    static const struct dialect_ops ops = {
        .has_done = false,
        .feed = dialect_sse_feed,
        .end = dialect_sse_end,
        .payload = dashscope_payload,
        .comment = dashscope_comment,
    };
    struct dashscope_reader *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    dialect_reader_init(&d->base, &ops, quirks, line_cap, sink, owner);
    d->deltas = d->base.quirks.incremental_output;
    *ret = &d->base;
    return 0;
}
