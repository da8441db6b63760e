#include "core/parse/dialect_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json/json_read.h"

const struct dialect_quirks dialect_quirks_default = {
    .reasoning_content = true, .reasoning = true,      .thinking = true,         .usage_in_choice = true,
    .empty_finish = true,      .null_text_finish = true, .error_finish = true,   .error_object = true,
    .error_bare = true,        .error_event = true,    .error_field = true,      .done_missing = true,
    .done_without_finish = true, .eof_flush = true,    .message_as_delta = true, .content_at_top = true,
    .stream_options = true,
};

static int emit(struct dialect_reader *r, const struct parse_event *event)
{
    int result = r->sink(r->owner, event);

    if (result < 0)
        r->stopped = true;
    return result < 0 ? result : 0;
}

static int emit_joined(struct dialect_reader *r, enum parse_kind kind, struct span text)
{
    struct parse_event event = {.kind = kind, .text = text};

    if (text.size == 0)
        return 0;
    r->counts.saw_content = true;
    return emit(r, &event);
}

static int emit_delta(struct dialect_reader *r, enum parse_kind kind, struct utf8_carry *carry, struct span text)
{
    struct span whole;
    int result;

    if (r->concluded || text.size == 0)
        return 0;
    result = utf8_join(carry, text.data, text.size, &r->scratch, &whole);
    return result < 0 ? result : emit_joined(r, kind, whole);
}

int dialect_emit_text(struct dialect_reader *r, struct span text)
{
    return emit_delta(r, PARSE_TEXT, &r->text, text);
}

int dialect_emit_thinking(struct dialect_reader *r, struct span text)
{
    return emit_delta(r, PARSE_REASONING, &r->thinking, text);
}

int dialect_emit_tool(struct dialect_reader *r, struct span fragment)
{
    return r->concluded ? 0 : emit_joined(r, PARSE_TOOL, fragment);
}

void dialect_note_usage(struct dialect_reader *r, uint64_t prompt_tokens, uint64_t completion_tokens)
{
    r->has_usage = true;
    r->prompt_tokens = prompt_tokens;
    r->completion_tokens = completion_tokens;
}

void dialect_note_finish(struct dialect_reader *r, uint32_t finish, struct span word)
{
    if (r->finish)
        return;
    r->finish = finish;
    r->counts.saw_finish = true;
    dialect_one_line(r->finish_word, DIALECT_WORD_MAX, word);
}

/* ---- the end ---- */

/* What is due before FINISH or ERROR: halves that nobody completed, and the usage.  Concludes first, so that it happens once. */
static int emit_rest(struct dialect_reader *r)
{
    struct parse_event usage = {.kind = PARSE_USAGE, .prompt_tokens = r->prompt_tokens, .completion_tokens = r->completion_tokens};
    int result;

    r->concluded = true;
    result = emit_joined(r, PARSE_REASONING, utf8_flush(&r->thinking));
    if (result == 0)
        result = emit_joined(r, PARSE_TEXT, utf8_flush(&r->text));
    if (result == 0 && r->has_usage)
        result = emit(r, &usage);
    return result;
}

static int conclude_error(struct dialect_reader *r, uint32_t verdict, const struct dialect_error *error)
{
    struct parse_event event = {.kind = PARSE_ERROR,
                                .code = error->kind,
                                .retryable = error->retryable,
                                .text = span_text(dialect_error_for_clients(error)),
                                .words = span_text(error->text)};
    int result = emit_rest(r);

    r->counts.saw_error |= verdict == UMBEL_VERDICT_FAILED;
    r->verdict = verdict;
    snprintf(r->counts.reason, sizeof r->counts.reason, "%s", error->text);
    return result < 0 ? result : emit(r, &event);
}

static int conclude_bad(struct dialect_reader *r, uint32_t verdict, const char *text)
{
    struct dialect_error error = {.kind = UMBEL_ERROR_UPSTREAM, .retryable = true};

    snprintf(error.text, sizeof error.text, "%s", text);
    return conclude_error(r, verdict, &error);
}

static int conclude_good(struct dialect_reader *r, const char *reason)
{
    struct parse_event finish = {.kind = PARSE_FINISH, .code = r->finish, .text = span_text(r->finish_word)};
    int result = emit_rest(r);

    r->verdict = UMBEL_VERDICT_COMPLETE;
    snprintf(r->counts.reason, sizeof r->counts.reason, "%s", reason);
    return result == 0 && r->finish ? emit(r, &finish) : result;
}

int dialect_note_error(struct dialect_reader *r, const struct dialect_error *error)
{
    return r->concluded ? 0 : conclude_error(r, UMBEL_VERDICT_FAILED, error);
}

/* The table of dialect.h, but for errors, which conclude where they are found. */
static int conclude(struct dialect_reader *r, bool body_whole)
{
    const struct dialect_counts *counts = &r->counts;
    bool any = counts->saw_content || r->text.size > 0 || r->thinking.size > 0;

    if (r->finish && (counts->saw_done || !r->ops->has_done))
        return conclude_good(r, "finished");
    r->counts.seen.done_missing = r->finish && !counts->saw_done;
    r->counts.seen.done_without_finish = counts->saw_done && !r->finish && any;
    if (r->finish && r->quirks.done_missing) {
        r->counts.missing_done++;
        return conclude_good(r, body_whole ? "finished without the end marker" : "finished, then cut off before the end marker");
    }
    if (counts->saw_done && !any)
        return conclude_bad(r, UMBEL_VERDICT_FAILED, "the model service ended the answer without a word");
    if (counts->saw_done && r->quirks.done_without_finish) {
        r->counts.suspect++;
        return conclude_good(r, "end marker without a finish reason");
    }
    return conclude_bad(r, UMBEL_VERDICT_TRUNCATED,
                        counts->saw_done ? "the model service ended the answer without a finish reason"
                        : body_whole     ? "the model service stopped in the middle of the answer"
                                         : "the connection to the model service broke in the middle of the answer");
}

int dialect_note_done(struct dialect_reader *r)
{
    if (r->concluded)
        return 0;
    r->counts.saw_done = true;
    return conclude(r, true);
}

/* ---- input ---- */

/* An error of reading itself becomes the answer's error. */
static int fail(struct dialect_reader *r, int result)
{
    struct dialect_error error = {.kind = result == -ENOMEM ? UMBEL_ERROR_INTERNAL : UMBEL_ERROR_UPSTREAM, .retryable = true};
    int sink;

    if (!r->stopped) {
        if (result == -ENOMEM)
            why_set(r->why, result, "no memory to read the answer");
        dialect_one_line(error.text, DIALECT_TEXT_MAX, span_text(r->why->text));
        sink = dialect_note_error(r, &error);
        result = sink < 0 ? sink : result;
    }
    r->error = result;
    return result;
}

/* What every entry ends with.  Once the answer is concluded, trouble with what follows it does not matter: the rest is not read then,
 * so that it is the same rest however the bytes were cut. */
static int settle(struct dialect_reader *r, int result)
{
    r->counts.comments = r->sse.comments;
    if (r->scratch.capacity > SSE_KEEP_MAX)
        umbel_out_free(&r->scratch);
    r->deaf |= result < 0 && r->concluded;
    return result >= 0 || (r->concluded && !r->stopped) ? 0 : fail(r, result);
}

static int failed_before(const struct dialect_reader *r, struct why *why)
{
    return why_set(why, r->error, r->stopped ? "the sink has stopped the answer" : "the answer has failed before");
}

int dialect_feed(struct dialect_reader *r, const char *bytes, size_t size, struct why *why)
{
    struct why spare; /* only its first byte is cleared: this is asked for with every delta */

    if (r->error < 0)
        return failed_before(r, why);
    spare.text[0] = '\0';
    r->counts.bytes += size;
    if (r->deaf)
        return 0;
    r->why = why ? why : &spare;
    return settle(r, r->ops->feed(r, bytes, size, r->why));
}

int dialect_feed_document(struct dialect_reader *r, const char *bytes, size_t size, struct why *why)
{
    struct why spare = {""};
    int result;

    if (r->error < 0)
        return failed_before(r, why);
    r->counts.bytes += size;
    r->why = why ? why : &spare;
    result = r->ops->payload(r, span_of("", 0), span_of(bytes, size), false, r->why);
    if (result == 0)
        result = dialect_note_done(r);
    return settle(r, result);
}

int dialect_end(struct dialect_reader *r, bool body_whole, uint32_t *ret_verdict, struct why *why)
{
    struct why spare = {""};

    r->why = why ? why : &spare;
    if (r->error == 0 && !r->deaf)
        settle(r, r->ops->end(r, r->why));
    if (r->error == 0 && !r->concluded)
        settle(r, conclude(r, body_whole));
    if (r->stopped)
        return failed_before(r, why);
    *ret_verdict = r->verdict;
    return 0;
}

int dialect_take_event(struct dialect_reader *r, struct span name, struct span data, bool at_eof)
{
    r->counts.seen.eof_flush |= at_eof;
    if (at_eof && !r->quirks.eof_flush)
        return 0;
    r->counts.events++;
    if (r->concluded) {
        r->counts.ignored++;
        return 0;
    }
    return r->ops->payload(r, name, data, at_eof, r->why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span dialect_trim(struct span text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = span_of(text.data + 1, text.size - 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

int dialect_read_json(struct dialect_reader *r, struct span data, bool lenient, bool cut, struct umbel_json **ret_value, struct why *why)
{
    struct span text = dialect_trim(data);
    struct why reason = {""};
    int result;

    *ret_value = NULL;
    if (text.size == 0) {
        r->counts.ignored++;
        return 0;
    }
    if (span_is(text, "[DONE]")) { /* a gateway on the way may end every stream like this */
        r->counts.eof_flush += cut;
        return dialect_note_done(r);
    }
    result = json_read(text.data, text.size, true, ret_value, &reason);
    if (result == -ENOMEM)
        return why_set(why, result, "%s", reason.text);
    if (result == 0) {
        r->counts.eof_flush += cut;
        return 0;
    }
    r->counts.malformed++;
    return lenient || cut ? 0 : why_set(why, -EBADMSG, "the model service sent broken JSON (%s)", reason.text);
}

/* ---- SSE ---- */

static int on_event(void *owner, struct span name, struct span data, bool at_eof)
{
    return dialect_take_event(owner, name, data, at_eof);
}

static int on_comment(void *owner, struct span text)
{
    struct dialect_reader *r = owner;

    return r->ops->comment && !r->concluded ? r->ops->comment(r, text) : 0;
}

static int on_ahead(void *owner, struct span bytes, size_t *ret_taken)
{
    struct dialect_reader *r = owner;
    struct span text;

    if (r->concluded)
        return 0;
    *ret_taken = delta_form_take(&r->form, bytes.data, bytes.size, &r->unescaped, &text);
    if (*ret_taken == 0)
        return 0;
    r->counts.events++;
    r->counts.alike++;
    return r->form.kind == PARSE_TEXT ? dialect_emit_text(r, text) : dialect_emit_thinking(r, text);
}

static int on_field(void *owner, struct span name, struct span value, bool at_eof)
{
    struct dialect_reader *r = owner;

    return r->ops->field && !r->concluded ? r->ops->field(r, name, value, at_eof, r->why) : 0;
}

int dialect_sse_feed(struct dialect_reader *r, const char *bytes, size_t size, struct why *why)
{
    return sse_feed(&r->sse, bytes, size, why);
}

int dialect_sse_end(struct dialect_reader *r, struct why *why)
{
    return sse_end(&r->sse, why);
}

/* ---- life ---- */

void dialect_reader_init(struct dialect_reader *r, const struct dialect_ops *ops, const struct dialect_quirks *quirks, size_t line_cap,
                         parse_sink *sink, void *owner)
{
    static const struct sse_calls calls = {.event = on_event, .field = on_field, .comment = on_comment, .ahead = on_ahead};

    *r = (struct dialect_reader){.ops = ops, .sink = sink, .owner = owner};
    r->quirks = quirks ? *quirks : dialect_quirks_default;
    sse_init(&r->sse, line_cap, &calls, r);
}

void dialect_free(struct dialect_reader *r)
{
    if (!r)
        return;
    if (r->ops->free)
        r->ops->free(r);
    sse_free(&r->sse);
    umbel_out_free(&r->scratch);
    umbel_out_free(&r->unescaped);
    delta_form_free(&r->form);
    free(r);
}

const struct dialect_counts *dialect_counts(const struct dialect_reader *r)
{
    return &r->counts;
}
