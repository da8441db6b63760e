#include "core/parse/dialect_messages.h"

#include <errno.h>
#include <stdlib.h>

#include "core/parse/dialect_reader.h"

#define TOOLS_MAX 64u /* tool calls of one answer; further ones are ignored */

struct messages_reader {
    struct dialect_reader base;        /* first: the functions below are given it */
    uint64_t prompt_tokens, completion_tokens;
    int64_t tool_blocks[TOOLS_MAX];    /* content block of each tool call, in order */
    bool tool_has_arguments[TOOLS_MAX];
    unsigned tool_count;
};

static const struct dialect_finish finishes[] = {
    {"end_turn", UMBEL_FINISH_STOP, 0},
    {"stop_sequence", UMBEL_FINISH_STOP, 0},
    {"max_tokens", UMBEL_FINISH_LENGTH, 0},
    {"model_context_window_exceeded", UMBEL_FINISH_LENGTH, 0},
    {"tool_use", UMBEL_FINISH_TOOL, 0},
    {"refusal", UMBEL_FINISH_FILTER, 0},
};

/* Input tokens that were read from a cache, or written to one, are counted apart by the service. */
static void take_usage(struct messages_reader *m, const struct umbel_json *usage)
{
    static const char *const inputs[] = {"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"};
    int64_t output = umbel_json_member_integer(usage, "output_tokens", -1);
    uint64_t input = 0;
    bool any = output >= 0;

    if (umbel_json_member_integer(usage, inputs[0], -1) >= 0) {
        for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
            int64_t count = umbel_json_member_integer(usage, inputs[i], 0);
            input += count > 0 ? (uint64_t)count : 0;
        }
        m->prompt_tokens = input;
        any = true;
    }
    if (output >= 0)
        m->completion_tokens = (uint64_t)output;
    if (any)
        dialect_note_usage(&m->base, m->prompt_tokens, m->completion_tokens);
}

static int take_finish(struct messages_reader *m, const struct umbel_json *holder)
{
    return dialect_take_finish(&m->base, finishes, sizeof finishes / sizeof *finishes, dialect_member_text(holder, "stop_reason"));
}

static int take_thinking(struct messages_reader *m, struct span text)
{
    m->base.counts.seen.thinking |= text.size > 0;
    return m->base.quirks.thinking ? dialect_emit_thinking(&m->base, text) : 0;
}

/* The call's first fragment.  input: the whole arguments, or the empty object that a stream begins with. */
static int begin_tool(struct messages_reader *m, int64_t block_index, const struct umbel_json *block)
{
    const struct umbel_json *input = umbel_json_member(block, "input");
    struct span id = dialect_member_text(block, "id"), arguments = {"", 0};
    struct umbel_out *out = &m->base.unescaped;

    if (m->tool_count == TOOLS_MAX) {
        m->base.counts.ignored++;
        return 0;
    }
    m->tool_blocks[m->tool_count++] = block_index;
    m->tool_has_arguments[m->tool_count - 1] = umbel_json_count(input) > 0;
    umbel_out_reset(out);
    if (umbel_json_count(input) > 0) {
        umbel_json_print(input, out);
        if (out->failed)
            return out->failed;
        arguments = span_of(out->data, out->size);
    }
    return dialect_emit_call(&m->base, m->tool_count - 1, id.data ? id : span_of("", 0), dialect_member_text(block, "name"), arguments);
}

/* A content block: as it begins in a stream, or whole in a document. */
static int take_block(struct messages_reader *m, int64_t index, const struct umbel_json *block)
{
    struct span type = dialect_member_text(block, "type");

    if (span_is(type, "text"))
        return dialect_emit_text(&m->base, dialect_member_text(block, "text"));
    if (span_is(type, "thinking"))
        return take_thinking(m, dialect_member_text(block, "thinking"));
    if (span_is(type, "tool_use"))
        return begin_tool(m, index, block);
    m->base.counts.ignored++; /* redacted thinking, the service's own tools */
    return 0;
}

static int take_delta(struct messages_reader *m, int64_t index, const struct umbel_json *delta)
{
    struct span type = dialect_member_text(delta, "type"), none = {NULL, 0}, json;

    if (span_is(type, "text_delta"))
        return dialect_emit_text(&m->base, dialect_member_text(delta, "text"));
    if (span_is(type, "thinking_delta"))
        return take_thinking(m, dialect_member_text(delta, "thinking"));
    json = dialect_member_text(delta, "partial_json");
    if (!span_is(type, "input_json_delta") || json.size == 0)
        return 0; /* signature_delta among them: it means something to this service alone */
    for (unsigned i = m->tool_count; i-- > 0;)
        if (m->tool_blocks[i] == index) {
            m->tool_has_arguments[i] = true;
            return dialect_emit_call(&m->base, i, none, none, json);
        }
    m->base.counts.ignored++;
    return 0;
}

/* A call without arguments ends without a fragment of them, but nothing is no JSON. */
static int end_block(struct messages_reader *m, int64_t index)
{
    struct span none = {NULL, 0};

    for (unsigned i = m->tool_count; i-- > 0;)
        if (m->tool_blocks[i] == index && !m->tool_has_arguments[i]) {
            m->tool_has_arguments[i] = true;
            return dialect_emit_call(&m->base, i, none, none, span_text("{}"));
        }
    return 0;
}

/* The whole answer in one object. */
static int take_message(struct messages_reader *m, const struct umbel_json *message)
{
    const struct umbel_json *content = umbel_json_member(message, "content");
    int64_t index = 0;
    int result = 0;

    for (const struct umbel_json *block = umbel_json_first(content); block && result == 0; block = umbel_json_next(block))
        result = take_block(m, index++, block);
    if (result < 0)
        return result;
    take_usage(m, umbel_json_member(message, "usage"));
    return take_finish(m, message);
}

static int take_error(struct messages_reader *m, const struct umbel_json *object)
{
    struct dialect_error error;

    dialect_error_read(object, &error);
    return dialect_note_error(&m->base, &error);
}

static int take_object(struct messages_reader *m, const struct umbel_json *object)
{
    struct span type = dialect_member_text(object, "type");
    int64_t index = umbel_json_member_integer(object, "index", -1);

    if (span_is(type, "content_block_delta"))
        return take_delta(m, index, umbel_json_member(object, "delta"));
    if (span_is(type, "content_block_start"))
        return take_block(m, index, umbel_json_member(object, "content_block"));
    if (span_is(type, "message_start")) {
        take_usage(m, umbel_json_member(umbel_json_member(object, "message"), "usage"));
        return 0;
    }
    if (span_is(type, "message_delta")) {
        take_usage(m, umbel_json_member(object, "usage"));
        return take_finish(m, umbel_json_member(object, "delta"));
    }
    if (span_is(type, "message_stop"))
        return dialect_note_done(&m->base);
    if (span_is(type, "message"))
        return take_message(m, object);
    if (span_is(type, "error") || umbel_json_type(umbel_json_member(object, "error")) == UMBEL_JSON_OBJECT)
        return take_error(m, object);
    if (span_is(type, "content_block_stop"))
        return end_block(m, index);
    if (!span_is(type, "ping"))
        m->base.counts.ignored++;
    return 0;
}

static int messages_payload(struct dialect_reader *r, struct span name, struct span data, bool cut, struct why *why)
{
    struct messages_reader *m = (struct messages_reader *)r;
    bool failing = r->quirks.error_event && span_is(name, "error");
    bool known = name.size == 0 || span_begins(name, "message") || span_begins(name, "content_block");
    struct umbel_json *value;
    int result = dialect_read_json(r, data, !known, cut, &value, why);

    r->counts.seen.error_event |= span_is(name, "error");
    if (result < 0 || (!value && !failing))
        return result;
    if (!value && !cut) {
        struct dialect_error error; /* words where JSON belongs */
        dialect_error_text(data, &error);
        return dialect_note_error(r, &error);
    }
    if (failing && value)
        result = take_error(m, value);
    else if (umbel_json_type(value) == UMBEL_JSON_OBJECT)
        result = take_object(m, value);
    else
        r->counts.ignored++;
    umbel_json_free(value);
    return result;
}

int dialect_messages_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret)
{
    static const struct dialect_ops ops = {
        .has_done = true,
        .feed = dialect_sse_feed,
        .end = dialect_sse_end,
        .payload = messages_payload,
    };
    struct messages_reader *m = calloc(1, sizeof *m);

    if (!m)
        return -ENOMEM;
    dialect_reader_init(&m->base, &ops, quirks, line_cap, sink, owner);
    *ret = &m->base;
    return 0;
}
