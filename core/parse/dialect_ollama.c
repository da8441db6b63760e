#include "core/parse/dialect_ollama.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/parse/dialect_reader.h"

struct ollama_reader {
    struct dialect_reader base; /* first: the functions below are given it */
    struct umbel_out line;      /* a line that was cut by the end of a read */
    size_t tool_count;
};

static const struct dialect_finish finishes[] = {
    {"stop", UMBEL_FINISH_STOP, 0},
    {"length", UMBEL_FINISH_LENGTH, 0},
};
static const struct dialect_finish finishes_with_tools[] = { /* the service says "stop" then, too */
    {"stop", UMBEL_FINISH_TOOL, 0},
    {"length", UMBEL_FINISH_LENGTH, 0},
};

/* ---- lines ---- */

static int keep(struct ollama_reader *o, const char *bytes, size_t size, struct why *why)
{
    size_t cap = o->base.sse.cap;

    if (size > cap - o->line.size)
        return why_set(why, -EMSGSIZE, "a line of the stream is longer than %zu bytes", cap);
    umbel_out_put(&o->line, bytes, size);
    return o->line.failed ? why_set(why, o->line.failed, "no memory for a line of the stream") : 0;
}

static void empty(struct ollama_reader *o)
{
    if (o->line.capacity > SSE_KEEP_MAX)
        umbel_out_free(&o->line);
    umbel_out_reset(&o->line);
}

static int take_line(struct ollama_reader *o, struct span line, bool at_eof)
{
    struct span text = dialect_trim(line);

    return text.size > 0 ? dialect_take_event(&o->base, span_of("", 0), text, at_eof) : 0;
}

static int ollama_feed(struct dialect_reader *r, const char *bytes, size_t size, struct why *why)
{
    struct ollama_reader *o = (struct ollama_reader *)r;
    const char *end = bytes + size, *lf;
    int result = 0;

    while (result == 0 && (lf = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        struct span line = span_of(bytes, (size_t)(lf - bytes));

        if (o->line.size > 0 || line.size > r->sse.cap) {
            result = keep(o, line.data, line.size, why);
            line = span_of(o->line.data, o->line.size);
        }
        if (result == 0)
            result = take_line(o, line, false);
        empty(o);
        bytes = lf + 1;
    }
    return result < 0 || bytes == end ? result : keep(o, bytes, (size_t)(end - bytes), why);
}

static int ollama_end(struct dialect_reader *r, struct why *why)
{
    struct ollama_reader *o = (struct ollama_reader *)r;

    (void)why;
    return o->line.size > 0 ? take_line(o, span_of(o->line.data, o->line.size), true) : 0;
}

/* ---- objects ---- */

/* Arguments are an object here, and there is only sometimes an id. */
static int take_tool(struct ollama_reader *o, const struct umbel_json *call)
{
    const struct umbel_json *function = umbel_json_member(call, "function"), *arguments = umbel_json_member(function, "arguments");
    struct span id = dialect_member_text(call, "id");
    struct umbel_out *out = &o->base.unescaped;
    char made[32];

    if (id.size == 0) {
        snprintf(made, sizeof made, "call_%zu", o->tool_count);
        id = span_text(made);
    }
    umbel_out_reset(out);
    if (umbel_json_type(arguments) == UMBEL_JSON_STRING)
        umbel_out_text(out, umbel_json_text(arguments, NULL));
    else if (arguments)
        umbel_json_print(arguments, out);
    else
        umbel_out_text(out, "{}");
    if (out->failed)
        return out->failed;
    return dialect_emit_call(&o->base, o->tool_count++, id, dialect_member_text(function, "name"), span_of(out->data, out->size));
}

static int take_message(struct ollama_reader *o, const struct umbel_json *message)
{
    const struct umbel_json *calls = umbel_json_member(message, "tool_calls");
    struct span thinking = dialect_member_text(message, "thinking");
    int result = o->base.quirks.thinking ? dialect_emit_thinking(&o->base, thinking) : 0;

    o->base.counts.seen.thinking |= thinking.size > 0;
    if (result == 0)
        result = dialect_emit_text(&o->base, dialect_member_text(message, "content"));
    for (const struct umbel_json *call = umbel_json_first(calls); call && result == 0; call = umbel_json_next(call))
        result = take_tool(o, call);
    return result;
}

static int take_done(struct ollama_reader *o, const struct umbel_json *object)
{
    int64_t prompt = umbel_json_member_integer(object, "prompt_eval_count", -1);
    int64_t completion = umbel_json_member_integer(object, "eval_count", -1);
    struct span word = dialect_member_text(object, "done_reason");
    int result;

    if (prompt >= 0 || completion >= 0) /* the prompt's is absent when all of it was in the cache */
        dialect_note_usage(&o->base, prompt > 0 ? (uint64_t)prompt : 0, completion > 0 ? (uint64_t)completion : 0);
    result = dialect_take_finish(&o->base, o->tool_count ? finishes_with_tools : finishes, sizeof finishes / sizeof *finishes,
                                 word.data ? word : span_text("stop")); /* older servers give no reason */
    return result < 0 ? result : dialect_note_done(&o->base);
}

static int take_object(struct ollama_reader *o, const struct umbel_json *object)
{
    const struct umbel_json *error = umbel_json_member(object, "error");
    struct dialect_error words;
    int result;

    if (umbel_json_type(error) == UMBEL_JSON_STRING || umbel_json_type(error) == UMBEL_JSON_OBJECT) {
        dialect_error_read(error, &words);
        return dialect_note_error(&o->base, &words);
    }
    if (!umbel_json_member(object, "message") && !umbel_json_member(object, "done"))
        o->base.counts.ignored++;
    result = take_message(o, umbel_json_member(object, "message"));
    if (result < 0 || !umbel_json_bool(umbel_json_member(object, "done"), 0))
        return result;
    return take_done(o, object);
}

static int ollama_payload(struct dialect_reader *r, struct span name, struct span data, bool cut, struct why *why)
{
    struct umbel_json *value;
    int result = dialect_read_json(r, data, false, cut, &value, why);

    (void)name;
    if (result < 0 || !value)
        return result;
    if (umbel_json_type(value) == UMBEL_JSON_OBJECT)
        result = take_object((struct ollama_reader *)r, value);
    else
        r->counts.ignored++;
    umbel_json_free(value);
    return result;
}

static void ollama_free(struct dialect_reader *r)
{
    umbel_out_free(&((struct ollama_reader *)r)->line);
}

int dialect_ollama_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret)
{
    static const struct dialect_ops ops = {
        .has_done = true,
        .feed = ollama_feed,
        .end = ollama_end,
        .payload = ollama_payload,
        .free = ollama_free,
    };
    struct ollama_reader *o = calloc(1, sizeof *o);

    if (!o)
        return -ENOMEM;
    dialect_reader_init(&o->base, &ops, quirks, line_cap, sink, owner);
    o->line.limit = o->base.sse.cap;
    *ret = &o->base;
    return 0;
}
