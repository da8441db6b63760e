/* answer - the events of one streamed answer, one at a time, in the dialect of its voice, and the whole-body form of it.
 * Pure apart from being told the time once: no I/O, no clock, no globals. */
#ifndef MOCK_LLM_ANSWER_H
#define MOCK_LLM_ANSWER_H
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "model_spec.h"
#include "text.h"

struct chat_request;
struct voice;

enum answer_verdict {
    ANSWER_EVENT,    /* go on after the delay; the event may be empty (only a delay) */
    ANSWER_COMPLETE, /* nothing more: end the HTTP body */
    ANSWER_ERROR,    /* as complete, but an error object was sent */
    ANSWER_STALL,
    ANSWER_RESET,
    ANSWER_CLOSE,
    ANSWER_ENDCHUNK /* the fault to commit now */
};

struct answer {
    struct model_spec spec;
    struct text_source text;
    const struct voice *voice;
    struct bytes open;          /* what every event begins with; openai: "data: {...constants...,"choices":[{"index":0,"delta":{", role
                                   if in each */
    uint32_t base_at, base_end; /* openai: where "{...constants...," lies in open */
    struct bytes said;          /* dashscope: the text so far, as each event repeats it */
    bool array, repeat;         /* gemini: an array instead of events; dashscope: texts are repeated */
    uint32_t blocks;            /* anthropic: content blocks begun; gemini: objects written */
    uint32_t block_kind;        /* anthropic: what the block that is open holds, 0 = none is open */
    uint32_t phase, tool_step;
    bool include_usage, eol_owed, comment_sent, failed;
    uint64_t tokens; /* reasoning, content and tool fragments sent: what the fault options count */
    uint64_t content_tokens, reasoning_tokens, events, prompt_tokens;
    size_t event_at;   /* where the event now being written begins in its buffer */
    uint64_t pad_left; /* bytes of an over-long line still to come, plus 1; 0 = none open */
    uint64_t id[2];    /* random part of the completion's id */
};

/* answer_open prepares the answer to request as spec says.  created is Unix time in seconds, id the 128 random bits
 * of the completion's id. */
void answer_open(struct answer *answer, const struct model_spec *spec, const struct chat_request *request, uint64_t created,
                 const uint64_t id[2]);
/* answer_next appends the next event's bytes to out (an over-long line comes in parts) and stores the time to wait
 * before the one after it.  After anything but ANSWER_EVENT it must not be called again.  scratch is overwritten. */
enum answer_verdict answer_next(struct answer *answer, struct bytes *out, struct bytes *scratch, uint64_t *ret_delay_us);
/* answer_whole appends the chat.completion object that a request without stream gets.  Uses the text up. */
void answer_whole(struct answer *answer, struct bytes *out, struct bytes *scratch);
/* answer_usage appends the usage object for the tokens sent so far. */
void answer_usage(const struct answer *answer, struct bytes *out);
/* answer_finish_reason returns the reason that the finish chunk or the whole body names; static or inside answer. */
const char *answer_finish_reason(const struct answer *answer);
/* answer_close frees what the answer owns. */
void answer_close(struct answer *answer);

/* The tool call that tool=1 makes: answer_tool_arguments()[i] are the fragments of its arguments, NULL at the end. */
#define ANSWER_TOOL_NAME "get_weather"
const char *const *answer_tool_arguments(void);
#endif
