/* The engine of answer.h: what comes when, and which fault is due.  How it is written is the voice's affair. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "answer_event.h"
#include "chat_request.h"
#include "voice.h"

enum phase { PREAMBLE, ROLE, REASONING, CONTENT, TOOL, FINISH, USAGE, DONE, END };

#define PAD_PIECE 16384u /* bytes of an over-long line per call, so that it never lies whole in memory */

static const char *const tool_arguments[] = {"", "{\"ci", "ty\": \"", "杭州", "\", \"unit\"", ": \"celsius\"", "}", NULL};

const char *const *answer_tool_arguments(void)
{
    return tool_arguments;
}

/* What text=messages and text=request say. */
static char *quoted(const struct model_spec *spec, const struct chat_request *request)
{
    return spec->text == TEXT_MESSAGES ? chat_request_messages(request) : spec->text == TEXT_REQUEST ? chat_request_whole(request) : NULL;
}

void answer_open(struct answer *answer, const struct model_spec *spec, const struct chat_request *request, uint64_t created,
                 const uint64_t id[2])
{
    char *quote = quoted(spec, request);

    *answer = (struct answer){.spec = *spec,
                              .voice = request->voice,
                              .array = request->array || spec->array,
                              .include_usage = request->include_usage,
                              .repeat = request->repeat,
                              .prompt_tokens = request->prompt_tokens,
                              .id = {id[0], id[1]}};
    if (answer->spec.eol == MODEL_UNSET)
        answer->spec.eol = answer->voice->crlf && !answer->array ? EOL_CRLF : EOL_LF;
    text_open(&answer->text, spec, request->prompt, quote, request->max_tokens);
    free(quote);
    if (spec->go_on && request->begun)
        text_continue(&answer->text, request->begun, spec->overlap);
    answer->voice->prepare(answer, request, created);
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
    if (answer->tokens == spec->errorat) {
        answer->voice->error(answer, out);
        answer->failed = true;
        answer->phase = spec->errordone ? DONE : END;
    }
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
    if (answer->voice->comment && comment_due(answer)) {
        answer->voice->comment(answer, out);
        return ANSWER_EVENT;
    }
    *ret_delay_us = spec->pace_us;
    scratch->len = 0;
    switch ((enum phase)answer->phase) {
    case PREAMBLE:
        answer->phase = ROLE;
        *ret_delay_us = spec->first_us;
        if (spec->bom)
            bytes_puts(out, "\xef\xbb\xbf");
        if (spec->comments && answer->voice->comment)
            answer->voice->comment(answer, out);
        return ANSWER_EVENT;
    case ROLE:
        answer->phase = REASONING;
        *ret_delay_us = 0;
        answer->voice->open(answer, out);
        return ANSWER_EVENT;
    case REASONING:
        if (answer->reasoning_tokens < spec->reasoning) {
            bytes_printf(scratch, "%sr%llu", answer->reasoning_tokens ? " " : "", (unsigned long long)answer->reasoning_tokens);
            answer->voice->token(answer, out, true, scratch);
            answer->tokens++;
            answer->reasoning_tokens++;
            return ANSWER_EVENT;
        }
        answer->phase = CONTENT;
        /* fall through */
    case CONTENT:
        if (text_next(&answer->text, scratch)) {
            answer->voice->token(answer, out, false, scratch);
            answer->tokens++;
            answer->content_tokens++;
            return ANSWER_EVENT;
        }
        answer->phase = TOOL;
        /* fall through */
    case TOOL:
        if (spec->tool && answer->voice->tool(answer, out)) {
            answer->tokens++;
            return ANSWER_EVENT;
        }
        answer->phase = FINISH;
        /* fall through */
    case FINISH:
        answer->phase = USAGE;
        *ret_delay_us = 0;
        if (strcmp(spec->finish, "no"))
            answer->voice->finish(answer, out);
        return ANSWER_EVENT;
    case USAGE:
        answer->phase = DONE;
        *ret_delay_us = 0;
        if (answer->voice->usage)
            answer->voice->usage(answer, out);
        return ANSWER_EVENT;
    case DONE:
        answer->phase = END;
        *ret_delay_us = 0;
        if (spec->done && answer->voice->done)
            answer->voice->done(answer, out);
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
    bytes_free(&answer->said);
}
