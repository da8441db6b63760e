#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "chat_request.h"

enum phase { PREAMBLE, FILTER, ROLE, REASONING, CONTENT, TOOL, FINISH, USAGE, DONE, END };

#define DELTA_OPEN "\"choices\":[{\"index\":0,\"delta\":{"
#define PAD_PIECE 16384u /* bytes of an over-long line per call, so that it never lies whole in memory */

static const char *const tool_arguments[] = {"", "{\"ci", "ty\": \"", "杭州", "\", \"unit\"", ": \"celsius\"", "}", NULL};

const char *const *answer_tool_arguments(void)
{
    return tool_arguments;
}

void answer_open(struct answer *answer, const struct model_spec *spec, const struct chat_request *request, uint64_t created,
                 const uint64_t id[2])
{
    char *messages = spec->text == TEXT_MESSAGES ? chat_request_messages(request) : NULL;

    *answer = (struct answer){
        .spec = *spec, .include_usage = request->include_usage, .prompt_tokens = request->prompt_tokens, .id = {id[0], id[1]}};
    text_open(&answer->text, spec, request->prompt, messages, request->max_tokens);
    free(messages);
    struct bytes *open = &answer->open;
    bytes_puts(open, spec->space ? "data: " : "data:");
    answer->base_at = (uint32_t)open->len;
    bytes_printf(open, "{\"id\":\"chatcmpl-%016llx%016llx\",\"object\":\"%s\",\"created\":%llu,\"model\":\"",
                 (unsigned long long)id[0], (unsigned long long)id[1],
                 request->stream ? "chat.completion.chunk" : "chat.completion", (unsigned long long)created);
    bytes_json(open, request->model, strlen(request->model));
    bytes_puts(open, "\",\"system_fingerprint\":\"fp_mock\",");
    answer->base_end = (uint32_t)open->len;
    bytes_puts(open, DELTA_OPEN);
    if (spec->role == ROLE_EACH)
        bytes_puts(open, "\"role\":\"assistant\",");
}

static void line_end(const struct answer *answer, struct bytes *out)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};

    bytes_puts(out, ends[answer->spec.eol]);
}

/* With eof=noeol each event's line end comes with the next event, so that the last one never gets its own. */
static void event_open(struct answer *answer, struct bytes *out)
{
    if (answer->eol_owed) {
        line_end(answer, out);
        line_end(answer, out);
        answer->eol_owed = false;
    }
    answer->event_at = out->len;
}

/* Ends the event; the Nth one may have to be broken, which is done in the constant part so that no character is. */
static void event_close(struct answer *answer, struct bytes *out)
{
    if (++answer->events == answer->spec.malformed && answer->event_at < out->len) {
        size_t cut = answer->event_at + answer->open.len - 6;
        out->len = cut < out->len ? cut : out->len - 1;
    }
    if (answer->spec.eof_noeol) {
        answer->eol_owed = true;
        return;
    }
    line_end(answer, out);
    line_end(answer, out);
}

static void comment(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    bytes_puts(out, ": keep-alive");
    line_end(answer, out);
    line_end(answer, out);
}

static void data_field(const struct answer *answer, struct bytes *out)
{
    bytes_put(out, answer->open.data, answer->base_at);
}

static void chunk_open(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    bytes_put(out, answer->open.data, answer->open.len);
}

static void delta_close(struct answer *answer, struct bytes *out, const char *reason)
{
    bytes_puts(out, "},\"logprobs\":null,\"finish_reason\":");
    bytes_json_string(out, reason);
    if (reason && answer->spec.usage == USAGE_CHOICE) {
        bytes_puts(out, ",\"usage\":");
        answer_usage(answer, out);
    }
    bytes_puts(out, "}]");
    if (reason && answer->spec.usage == USAGE_FINISH) {
        bytes_puts(out, ",\"usage\":");
        answer_usage(answer, out);
    } else if (answer->include_usage && answer->spec.usage == USAGE_ASK) {
        bytes_puts(out, ",\"usage\":null");
    }
}

/* One chunk with a token under member ("content" or "reasoning_content"). */
static void token_chunk(struct answer *answer, struct bytes *out, const char *member, const struct bytes *token)
{
    size_t start = out->len;

    chunk_open(answer, out);
    bytes_printf(out, "\"%s\":\"", member);
    bytes_json(out, token->data, token->len);
    bytes_puts(out, "\"");
    if (answer->spec.nulls)
        bytes_printf(out, ",\"%s\":null,\"refusal\":null,\"tool_calls\":null,\"function_call\":null",
                     *member == 'c' ? "reasoning_content" : "content");
    delta_close(answer, out, NULL);
    answer->tokens++;
    size_t line = out->len - start + strlen(",\"obfuscation\":\"\"}");
    if (answer->spec.longline != MODEL_UNSET && *member == 'c' && answer->content_tokens == 0 && line <= answer->spec.longline) {
        bytes_puts(out, ",\"obfuscation\":\""); /* a member that readers ignore: the answer stays the same */
        answer->pad_left = answer->spec.longline - line + 1;
        answer->event_at = SIZE_MAX; /* its start will be gone when it ends */
        return;
    }
    bytes_puts(out, "}");
    event_close(answer, out);
}

static enum answer_verdict pad_more(struct answer *answer, struct bytes *out)
{
    uint64_t left = answer->pad_left - 1;
    size_t piece = left < PAD_PIECE ? (size_t)left : PAD_PIECE;

    bytes_fill(out, 'x', piece);
    answer->pad_left -= piece;
    if (answer->pad_left == 1) {
        bytes_puts(out, "\"}");
        event_close(answer, out);
        answer->pad_left = 0;
    }
    return ANSWER_EVENT;
}

static void role_chunk(struct answer *answer, struct bytes *out)
{
    chunk_open(answer, out);
    if (answer->spec.role == ROLE_FIRST)
        bytes_puts(out, "\"role\":\"assistant\",");
    bytes_puts(out, answer->spec.nulls || answer->spec.tool ? "\"content\":null" : "\"content\":\"\"");
    if (answer->spec.nulls)
        bytes_puts(out, ",\"reasoning_content\":null,\"tool_calls\":null");
    bytes_puts(out, answer->spec.tool ? "" : ",\"refusal\":null");
    delta_close(answer, out, NULL);
    bytes_puts(out, "}");
    event_close(answer, out);
}

/* The annotation chunk that one vendor sends before everything else: no choices, empty names. */
static void filter_chunk(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    data_field(answer, out);
    bytes_puts(
        out,
        "{\"id\":\"\",\"choices\":[],\"created\":0,\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0,"
        "\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}");
    event_close(answer, out);
}

/* One fragment of the tool call; false after the last one. */
static bool tool_chunk(struct answer *answer, struct bytes *out)
{
    const char *fragment = tool_arguments[answer->tool_step];

    if (!answer->spec.tool || !fragment)
        return false;
    chunk_open(answer, out);
    bytes_puts(out, "\"tool_calls\":[{\"index\":0,");
    if (answer->tool_step == 0)
        bytes_printf(out, "\"id\":\"call_%016llx\",\"type\":\"function\",\"function\":{\"name\":\"" ANSWER_TOOL_NAME "\",",
                     (unsigned long long)answer->id[1]);
    else
        bytes_puts(out, "\"function\":{");
    bytes_puts(out, "\"arguments\":\"");
    bytes_json(out, fragment, strlen(fragment));
    bytes_puts(out, "\"}}]");
    delta_close(answer, out, NULL);
    bytes_puts(out, "}");
    answer->tool_step++;
    answer->tokens++;
    event_close(answer, out);
    return true;
}

static void finish_chunk(struct answer *answer, struct bytes *out)
{
    chunk_open(answer, out);
    if (answer->spec.role == ROLE_EACH) /* the constant part ends with a comma: give it something to separate */
        bytes_puts(out, answer->spec.nulls ? "\"content\":null" : "\"content\":\"\"");
    else if (answer->spec.nulls)
        bytes_puts(out, "\"content\":null,\"reasoning_content\":null");
    delta_close(answer, out, answer_finish_reason(answer));
    bytes_puts(out, "}");
    event_close(answer, out);
}

static void usage_chunk(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    bytes_put(out, answer->open.data, answer->base_end);
    bytes_puts(out, "\"choices\":[],\"usage\":");
    answer_usage(answer, out);
    bytes_puts(out, "}");
    event_close(answer, out);
}

static void error_event(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    data_field(answer, out);
    bytes_puts(out, "{\"error\":{\"message\":\"The server had an error while processing your request. Sorry about that!\","
                    "\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    event_close(answer, out);
    answer->failed = true;
    answer->phase = answer->spec.errordone ? DONE : END;
}

/* Tells which fault is due before the next event, if any. */
static enum answer_verdict fault_due(struct answer *answer, struct bytes *out)
{
    const struct model_spec *spec = &answer->spec;

    if (answer->phase == PREAMBLE && spec->stall == MODEL_STALL_FIRST)
        return ANSWER_STALL;
    if (answer->phase < REASONING || answer->phase > FINISH)
        return ANSWER_EVENT;
    if (answer->tokens == spec->stall)
        return ANSWER_STALL;
    if (answer->tokens == spec->reset)
        return ANSWER_RESET;
    if (answer->tokens == spec->close)
        return ANSWER_CLOSE;
    if (answer->tokens == spec->endchunk)
        return ANSWER_ENDCHUNK;
    if (answer->tokens == spec->errorat)
        error_event(answer, out);
    return ANSWER_EVENT;
}

static bool comment_due(struct answer *answer)
{
    bool due = answer->spec.comments && answer->tokens && answer->phase <= TOOL && answer->tokens % answer->spec.comments == 0 &&
               !answer->comment_sent;

    answer->comment_sent = due;
    return due;
}

enum answer_verdict answer_next(struct answer *answer, struct bytes *out, struct bytes *scratch, uint64_t *ret_delay_us)
{
    const struct model_spec *spec = &answer->spec;
    size_t start = out->len;

    *ret_delay_us = 0;
    if (answer->pad_left)
        return pad_more(answer, out);
    enum answer_verdict fault = fault_due(answer, out);
    if (fault != ANSWER_EVENT || out->len > start)
        return fault;
    if (comment_due(answer)) {
        comment(answer, out);
        return ANSWER_EVENT;
    }
    *ret_delay_us = spec->pace_us;
    scratch->len = 0;
    switch ((enum phase)answer->phase) {
    case PREAMBLE:
        answer->phase = FILTER;
        *ret_delay_us = spec->first_us;
        if (spec->bom)
            bytes_puts(out, "\xef\xbb\xbf");
        if (spec->comments)
            comment(answer, out);
        return ANSWER_EVENT;
    case FILTER:
        answer->phase = ROLE;
        *ret_delay_us = 0;
        if (spec->choices_empty)
            filter_chunk(answer, out);
        return ANSWER_EVENT;
    case ROLE:
        answer->phase = REASONING;
        *ret_delay_us = 0;
        if (spec->role != ROLE_NONE)
            role_chunk(answer, out);
        return ANSWER_EVENT;
    case REASONING:
        if (answer->reasoning_tokens < spec->reasoning) {
            bytes_printf(scratch, "%sr%llu", answer->reasoning_tokens ? " " : "", (unsigned long long)answer->reasoning_tokens);
            token_chunk(answer, out, "reasoning_content", scratch);
            answer->reasoning_tokens++;
            return ANSWER_EVENT;
        }
        answer->phase = CONTENT;
        /* fall through */
    case CONTENT:
        if (text_next(&answer->text, scratch)) {
            token_chunk(answer, out, "content", scratch);
            answer->content_tokens++;
            return ANSWER_EVENT;
        }
        answer->phase = TOOL;
        /* fall through */
    case TOOL:
        if (tool_chunk(answer, out))
            return ANSWER_EVENT;
        answer->phase = FINISH;
        /* fall through */
    case FINISH:
        answer->phase = USAGE;
        *ret_delay_us = 0;
        if (strcmp(spec->finish, "no"))
            finish_chunk(answer, out);
        return ANSWER_EVENT;
    case USAGE:
        answer->phase = DONE;
        *ret_delay_us = 0;
        if (spec->usage == USAGE_ALWAYS || (spec->usage == USAGE_ASK && answer->include_usage))
            usage_chunk(answer, out);
        return ANSWER_EVENT;
    case DONE:
        answer->phase = END;
        *ret_delay_us = 0;
        if (spec->done) {
            event_open(answer, out);
            data_field(answer, out);
            bytes_puts(out, "[DONE]");
            event_close(answer, out);
        }
        return ANSWER_EVENT;
    case END:
        break;
    }
    return answer->failed ? ANSWER_ERROR : ANSWER_COMPLETE;
}

void answer_close(struct answer *answer)
{
    text_close(&answer->text);
    bytes_free(&answer->open);
}
