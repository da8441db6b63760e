#include "core/parse/dialect_gemini.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/parse/dialect_reader.h"

enum form { FORM_UNKNOWN, FORM_EVENTS, FORM_ARRAY };

struct gemini_reader {
    struct dialect_reader base; /* first: the functions below are given it */
    enum form form;
    struct umbel_out element;   /* FORM_ARRAY: the object at hand */
    unsigned depth;             /* of braces and brackets in it, 0: between objects */
    bool in_string, escaped;
    size_t tool_count;
};

static const struct dialect_finish finishes[] = {
    {"STOP", UMBEL_FINISH_STOP, 0},
    {"MAX_TOKENS", UMBEL_FINISH_LENGTH, 0},
    {"SAFETY", UMBEL_FINISH_FILTER, 0},
    {"RECITATION", UMBEL_FINISH_FILTER, 0},
    {"LANGUAGE", UMBEL_FINISH_FILTER, 0},
    {"BLOCKLIST", UMBEL_FINISH_FILTER, 0},
    {"PROHIBITED_CONTENT", UMBEL_FINISH_FILTER, 0},
    {"SPII", UMBEL_FINISH_FILTER, 0},
    {"IMAGE_SAFETY", UMBEL_FINISH_FILTER, 0},
    {"MALFORMED_FUNCTION_CALL", 0, UMBEL_ERROR_UPSTREAM},
    {"UNEXPECTED_TOOL_CALL", 0, UMBEL_ERROR_UPSTREAM},
};

/* ---- one response object ---- */

static int take_call(struct gemini_reader *g, const struct umbel_json *call)
{
    const struct umbel_json *args = umbel_json_member(call, "args");
    struct span id = dialect_member_text(call, "id");
    struct umbel_out *out = &g->base.unescaped;
    char made[32];

    if (id.size == 0) {
        snprintf(made, sizeof made, "call_%zu", g->tool_count);
        id = span_text(made);
    }
    umbel_out_reset(out);
    if (args)
        umbel_json_print(args, out);
    else
        umbel_out_text(out, "{}");
    if (out->failed)
        return out->failed;
    return dialect_emit_call(&g->base, g->tool_count++, id, dialect_member_text(call, "name"), span_of(out->data, out->size));
}

static int take_part(struct gemini_reader *g, const struct umbel_json *part)
{
    const struct umbel_json *call = umbel_json_member(part, "functionCall");
    struct span text = dialect_member_text(part, "text");

    if (umbel_json_type(call) == UMBEL_JSON_OBJECT)
        return take_call(g, call);
    if (!text.data) {
        g->base.counts.ignored++; /* inline data, code that the service ran itself */
        return 0;
    }
    if (!umbel_json_bool(umbel_json_member(part, "thought"), 0))
        return dialect_emit_text(&g->base, text);
    g->base.counts.seen.thinking |= text.size > 0;
    return g->base.quirks.thinking ? dialect_emit_thinking(&g->base, text) : 0;
}

static int take_candidate(struct gemini_reader *g, const struct umbel_json *candidate)
{
    const struct umbel_json *parts = umbel_json_member(umbel_json_member(candidate, "content"), "parts");
    struct span word = dialect_member_text(candidate, "finishReason");
    int result = 0;

    for (const struct umbel_json *part = umbel_json_first(parts); part && result == 0; part = umbel_json_next(part))
        result = take_part(g, part);
    if (result < 0)
        return result;
    if (g->tool_count > 0 && span_is(word, "STOP")) { /* the service has no word of its own for it */
        dialect_note_finish(&g->base, UMBEL_FINISH_TOOL, word);
        return 0;
    }
    return dialect_take_finish(&g->base, finishes, sizeof finishes / sizeof *finishes, word);
}

static void take_usage(struct gemini_reader *g, const struct umbel_json *usage)
{
    int64_t prompt = umbel_json_member_integer(usage, "promptTokenCount", -1);
    int64_t said = umbel_json_member_integer(usage, "candidatesTokenCount", -1);
    int64_t thought = umbel_json_member_integer(usage, "thoughtsTokenCount", 0);

    if (prompt < 0 && said < 0)
        return;
    dialect_note_usage(&g->base, prompt > 0 ? (uint64_t)prompt : 0, (said > 0 ? (uint64_t)said : 0) + (thought > 0 ? (uint64_t)thought : 0));
}

/* The question itself was blocked: there is no candidate then. */
static int take_block(struct gemini_reader *g, struct span reason)
{
    struct dialect_error error = {.kind = UMBEL_ERROR_UPSTREAM};
    char word[DIALECT_WORD_MAX + 1];

    dialect_one_line(word, DIALECT_WORD_MAX, reason);
    snprintf(error.text, sizeof error.text, "the model service refuses the question: %s", word);
    return dialect_note_error(&g->base, &error);
}

static int take_object(struct gemini_reader *g, const struct umbel_json *object)
{
    const struct umbel_json *error = umbel_json_member(object, "error"), *candidates = umbel_json_member(object, "candidates");
    struct span blocked = dialect_member_text(umbel_json_member(object, "promptFeedback"), "blockReason");
    const struct umbel_json *candidate = umbel_json_first(candidates);
    struct dialect_error words;
    int result = 0;

    if (umbel_json_type(error) == UMBEL_JSON_OBJECT || umbel_json_type(error) == UMBEL_JSON_STRING) {
        dialect_error_read(error, &words);
        return dialect_note_error(&g->base, &words);
    }
    if (blocked.size > 0 && !span_is(blocked, "BLOCK_REASON_UNSPECIFIED"))
        return take_block(g, blocked);
    take_usage(g, umbel_json_member(object, "usageMetadata"));
    for (bool taken = false; candidate && result == 0; candidate = umbel_json_next(candidate)) {
        if (taken || umbel_json_type(candidate) != UMBEL_JSON_OBJECT || umbel_json_member_integer(candidate, "index", 0) != 0) {
            g->base.counts.ignored++;
            continue;
        }
        taken = true;
        result = take_candidate(g, candidate);
    }
    return result;
}

static int gemini_payload(struct dialect_reader *r, struct span name, struct span data, bool cut, struct why *why)
{
    struct gemini_reader *g = (struct gemini_reader *)r;
    struct umbel_json *value;
    int result = dialect_read_json(r, data, false, cut, &value, why);

    (void)name;
    if (result < 0 || !value)
        return result;
    if (umbel_json_type(value) == UMBEL_JSON_OBJECT)
        result = take_object(g, value);
    else if (umbel_json_type(value) != UMBEL_JSON_ARRAY)
        r->counts.ignored++;
    else /* the array form, whole */
        for (const struct umbel_json *object = umbel_json_first(value); object && result == 0; object = umbel_json_next(object))
            result = take_object(g, object);
    umbel_json_free(value);
    return result;
}

/* ---- the array form: objects between [ and ], with commas and line ends anywhere between them ---- */

static int put_element(struct gemini_reader *g, const char *bytes, size_t size, struct why *why)
{
    size_t cap = g->base.sse.cap;

    if (size > cap - g->element.size)
        return why_set(why, -EMSGSIZE, "an object of the stream is longer than %zu bytes", cap);
    umbel_out_put(&g->element, bytes, size);
    return g->element.failed ? why_set(why, g->element.failed, "no memory for an object of the stream") : 0;
}

static int end_element(struct gemini_reader *g, bool at_eof)
{
    int result = dialect_take_event(&g->base, span_of("", 0), span_of(g->element.data, g->element.size), at_eof);

    if (g->element.capacity > SSE_KEEP_MAX)
        umbel_out_free(&g->element);
    umbel_out_reset(&g->element);
    return result;
}

/* One byte inside an object.  Brackets of both kinds are counted alike: the JSON reader sees to the rest. */
static void step(struct gemini_reader *g, char c)
{
    if (g->in_string) {
        if (!g->escaped && c == '"')
            g->in_string = false;
        g->escaped = !g->escaped && c == '\\';
    } else if (c == '"') {
        g->in_string = true;
    } else if (c == '{' || c == '[') {
        g->depth++;
    } else if (c == '}' || c == ']') {
        g->depth--;
    }
}

/* A byte between objects. */
static int between(struct gemini_reader *g, char c, struct why *why)
{
    if (c == ']')
        return dialect_note_done(&g->base);
    if (c == '{') {
        g->depth = 1;
        return 0;
    }
    if (c == '[' || c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n')
        return 0;
    g->base.counts.malformed++;
    return why_set(why, -EBADMSG, "the model service sent broken JSON (byte 0x%02x between its objects)", (unsigned)(unsigned char)c);
}

static int array_feed(struct dialect_reader *r, const char *bytes, size_t size, struct why *why)
{
    struct gemini_reader *g = (struct gemini_reader *)r;
    int result = 0;

    for (size_t i = 0, begin; i < size && result == 0 && !r->concluded;) {
        if (g->depth == 0 && (result = between(g, bytes[i], why)) < 0)
            break;
        begin = i++;
        if (g->depth == 0)
            continue;
        if (g->element.size > 0) /* bytes[begin] is not the brace that opened it */
            step(g, bytes[begin]);
        while (i < size && g->depth > 0)
            step(g, bytes[i++]);
        result = put_element(g, bytes + begin, i - begin, why);
        if (result == 0 && g->depth == 0)
            result = end_element(g, false);
    }
    return result;
}

static int array_end(struct dialect_reader *r, struct why *why)
{
    struct gemini_reader *g = (struct gemini_reader *)r;

    (void)why;
    return g->element.size > 0 ? end_element(g, true) : 0;
}

static void gemini_free(struct dialect_reader *r)
{
    umbel_out_free(&((struct gemini_reader *)r)->element);
}

static const struct dialect_ops array_ops = {
    .has_done = true,
    .feed = array_feed,
    .end = array_end,
    .payload = gemini_payload,
    .free = gemini_free,
};

/* Which form it is, the first byte that is no blank says. */
static int gemini_feed(struct dialect_reader *r, const char *bytes, size_t size, struct why *why)
{
    struct gemini_reader *g = (struct gemini_reader *)r;

    while (g->form == FORM_UNKNOWN && size > 0) {
        char c = *bytes;

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            bytes++;
            size--;
        } else {
            g->form = c == '[' || c == '{' ? FORM_ARRAY : FORM_EVENTS;
        }
    }
    if (g->form != FORM_ARRAY)
        return size > 0 ? dialect_sse_feed(r, bytes, size, why) : 0;
    r->ops = &array_ops; /* from here on */
    return array_feed(r, bytes, size, why);
}

int dialect_gemini_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret)
{
    static const struct dialect_ops ops = {
        .has_done = false,
        .feed = gemini_feed,
        .end = dialect_sse_end,
        .payload = gemini_payload,
        .free = gemini_free,
    };
    struct gemini_reader *g = calloc(1, sizeof *g);

    if (!g)
        return -ENOMEM;
    dialect_reader_init(&g->base, &ops, quirks, line_cap, sink, owner);
    g->element.limit = g->base.sse.cap;
    *ret = &g->base;
    return 0;
}
