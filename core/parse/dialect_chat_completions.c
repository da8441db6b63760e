#include "core/parse/dialect_chat_completions.h"

#include <errno.h>
#include <stdlib.h>

#include "core/json/json_read.h"
#include "core/parse/delta_scanner.h"
#include "core/parse/dialect_chat_forms.h"
#include "core/parse/dialect_reader.h"

/* ---- finish reasons ---- */

static const struct dialect_finish finishes[] = {
    {"stop", UMBEL_FINISH_STOP, 0},
    {"length", UMBEL_FINISH_LENGTH, 0},
    {"model_context_window_exceeded", UMBEL_FINISH_LENGTH, 0},
    {"content_filter", UMBEL_FINISH_FILTER, 0},
    {"sensitive", UMBEL_FINISH_FILTER, 0},
    {"tool_calls", UMBEL_FINISH_TOOL, 0},
    {"function_call", UMBEL_FINISH_TOOL, 0},
    {"insufficient_system_resource", 0, UMBEL_ERROR_BUSY},
    {"network_error", 0, UMBEL_ERROR_UPSTREAM},
    {"error", 0, UMBEL_ERROR_UPSTREAM},
};

static int take_finish(struct dialect_reader *r, struct span word)
{
    return dialect_take_finish(r, finishes, sizeof finishes / sizeof *finishes, word);
}

/* ---- one chunk ---- */

/* Thinking under every name that is switched on; equal twins once. */
static int take_thinking(struct dialect_reader *r, const struct delta_chunk *chunk)
{
    const bool on[DELTA_THINKING_COUNT] = {r->quirks.reasoning_content, r->quirks.reasoning, r->quirks.thinking};
    bool *const seen[DELTA_THINKING_COUNT] = {&r->counts.seen.reasoning_content, &r->counts.seen.reasoning, &r->counts.seen.thinking};
    int result = 0;

    for (int i = 0; i < DELTA_THINKING_COUNT && result == 0; i++) {
        if (chunk->thinking[i].size == 0)
            continue;
        *seen[i] = true;
        bool twin = false;
        for (int k = 0; k < i; k++)
            twin |= on[k] && span_equal(chunk->thinking[k], chunk->thinking[i]);
        if (on[i] && !twin)
            result = dialect_emit_thinking(r, chunk->thinking[i]);
    }
    return result;
}

static int take_deltas(struct dialect_reader *r, const struct delta_chunk *chunk)
{
    const struct delta_usage *usage = chunk->usage.seen ? &chunk->usage : &chunk->choice_usage;
    int result = take_thinking(r, chunk);

    if (result == 0)
        result = dialect_emit_text(r, chunk->text);
    r->counts.seen.usage_in_choice |= chunk->choice_usage.seen;
    if (usage->seen && (usage == &chunk->usage || r->quirks.usage_in_choice))
        dialect_note_usage(r, usage->prompt_tokens, usage->completion_tokens);
    return result;
}

static int take_tools(struct dialect_reader *r, const struct delta_rest *rest)
{
    int result = 0;

    for (const struct umbel_json *call = umbel_json_first(rest->tool_calls); call && result == 0; call = umbel_json_next(call)) {
        umbel_out_reset(&r->scratch);
        umbel_json_print(call, &r->scratch);
        result = r->scratch.failed ? r->scratch.failed : dialect_emit_tool(r, span_of(r->scratch.data, r->scratch.size));
    }
    if (result < 0 || !rest->function_call)
        return result;
    umbel_out_reset(&r->scratch);
    umbel_out_text(&r->scratch, "{\"index\":0,\"type\":\"function\",\"function\":");
    umbel_json_print(rest->function_call, &r->scratch);
    umbel_out_text(&r->scratch, "}");
    return r->scratch.failed ? r->scratch.failed : dialect_emit_tool(r, span_of(r->scratch.data, r->scratch.size));
}

/* What of this form is worth telling. */
static void note_seen(struct dialect_reader *r, const struct umbel_json *object, const struct delta_rest *rest)
{
    const struct umbel_json *choice = umbel_json_first(umbel_json_member(object, "choices"));

    r->counts.seen.message_as_delta |= umbel_json_member(choice, "message") && !umbel_json_member(choice, "delta");
    r->counts.seen.error_object |= rest->error_object;
    r->counts.seen.error_bare |= rest->error_bare;
}

static int take_object(struct dialect_reader *r, const struct umbel_json *object)
{
    struct dialect_error error;
    struct delta_chunk chunk;
    struct delta_rest rest;
    bool failed;
    int result;

    bool bare = dialect_is_bare_completion(object);

    r->counts.seen.content_at_top |= bare;
    if (r->quirks.content_at_top && bare)
        return dialect_take_bare_completion(r, object);
    delta_read(object, r->quirks.message_as_delta, &chunk, &rest);
    note_seen(r, object, &rest);
    failed = rest.error || (rest.error_object && r->quirks.error_object) || (rest.error_bare && r->quirks.error_bare);
    r->counts.ignored += rest.other_choices;
    result = take_deltas(r, &chunk);
    if (result < 0 || (result = take_tools(r, &rest)) < 0)
        return result;
    if (!failed)
        return take_finish(r, chunk.finish);
    dialect_error_read(rest.error ? rest.error : object, &error);
    return dialect_note_error(r, &error);
}

static int take_error(struct dialect_reader *r, struct span text)
{
    struct dialect_error error;

    dialect_error_text(text, &error);
    return dialect_note_error(r, &error);
}

/* Whatever the scanner has declined. */
static int take_slowly(struct dialect_reader *r, struct span name, struct span text, bool cut, struct why *why)
{
    bool named = name.size > 0 && !span_is(name, "message"), failing = r->quirks.error_event && span_is(name, "error");
    struct umbel_json *value = NULL;
    struct why reason = {""};
    int result = json_read(text.data, text.size, true, &value, &reason);

    r->counts.seen.error_event |= span_is(name, "error");
    r->counts.slow++;
    if (result == -ENOMEM)
        return why_set(why, result, "%s", reason.text);
    if (result < 0 && failing && !cut)
        return take_error(r, text);
    if (result < 0) {
        r->counts.malformed++;
        /* An event of a foreign kind need not be JSON, and the end of the body may have cut this one. */
        return named || cut ? 0 : why_set(why, -EBADMSG, "the model service sent broken JSON (%s)", reason.text);
    }
    r->counts.eof_flush += cut;
    if (failing)
        result = take_error(r, text);
    else if (umbel_json_type(value) == UMBEL_JSON_OBJECT)
        result = take_object(r, value);
    else
        r->counts.ignored++;
    umbel_json_free(value);
    return result;
}

/* The one delta of a chunk that says nothing else, as its place in the payload. */
static void learn_form(struct dialect_reader *r, struct span payload, const struct delta_chunk *chunk)
{
    const bool on[DELTA_THINKING_COUNT] = {r->quirks.reasoning_content, r->quirks.reasoning, r->quirks.thinking};
    struct span value = chunk->text;
    enum parse_kind kind = PARSE_TEXT;

    if (chunk->finish.data || chunk->usage.seen || chunk->choice_usage.seen)
        return;
    for (int i = 0; i < DELTA_THINKING_COUNT; i++) {
        if (chunk->thinking[i].size == 0)
            continue;
        if (value.size > 0 || !on[i])
            return;
        value = chunk->thinking[i];
        kind = PARSE_REASONING;
    }
    if (value.size > 0)
        delta_form_learn(&r->form, payload, value, kind);
}

static int chat_payload(struct dialect_reader *r, struct span name, struct span data, bool cut, struct why *why)
{
    struct span text = dialect_trim(data);
    struct delta_chunk chunk;
    int result;

    if (name.size > 0 && dialect_is_text_event(name))
        r->counts.seen.text_events = true;
    if (r->quirks.text_events && dialect_is_text_event(name)) {
        r->counts.eof_flush += cut;
        return dialect_take_text_event(r, name, data);
    }
    if (text.size == 0) {
        r->counts.ignored++;
        return 0;
    }
    if (span_is(text, "[DONE]")) {
        r->counts.eof_flush += cut;
        return dialect_note_done(r);
    }
    if ((r->quirks.error_event && span_is(name, "error")) || !delta_scan(text.data, text.size, &r->unescaped, &chunk))
        return take_slowly(r, name, text, cut, why);
    r->counts.eof_flush += cut;
    if (name.size == 0 && text.size == data.size)
        learn_form(r, text, &chunk);
    result = take_deltas(r, &chunk);
    return result < 0 ? result : take_finish(r, chunk.finish);
}

/* Old llama.cpp writes its errors as a field of their own. */
static int chat_field(struct dialect_reader *r, struct span name, struct span value, bool cut, struct why *why)
{
    (void)why;
    if (r->quirks.text_events && span_is(name, "meta") && !cut) {
        dialect_take_meta(r, value);
        return 0;
    }
    r->counts.seen.error_field |= span_is(name, "error") && value.size > 0;
    if (!r->quirks.error_field || !span_is(name, "error") || value.size == 0 || cut)
        return 0;
    return take_error(r, value);
}

int dialect_chat_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret)
{
    static const struct dialect_ops ops = {
        .has_done = true,
        .feed = dialect_sse_feed,
        .end = dialect_sse_end,
        .payload = chat_payload,
        .field = chat_field,
    };
    struct dialect_reader *r = malloc(sizeof *r);

    if (!r)
        return -ENOMEM;
    dialect_reader_init(r, &ops, quirks, line_cap, sink, owner);
    *ret = r;
    return 0;
}
