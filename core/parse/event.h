/* parse/event.h - what the parsers say an upstream said: the neutral vocabulary between dialects and streams.
 * text is borrowed until the sink returns.  TEXT and REASONING are never empty and always whole UTF-8 code points. */
#ifndef PARSE_EVENT_H
#define PARSE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/span.h"

enum parse_kind {
    PARSE_TEXT = 1,  /* text: answer */
    PARSE_REASONING, /* text: thinking */
    PARSE_TOOL,      /* text: one element of a tool_calls array as JSON, OpenAI's shape whatever the dialect */
    PARSE_USAGE,     /* prompt_tokens, completion_tokens: the last values seen win */
    PARSE_FINISH,    /* code: UMBEL_FINISH_*; text: the upstream's own word.  At most one */
    PARSE_ERROR      /* code: UMBEL_ERROR_*; text: the upstream's message, one line, at most 512 bytes.  At most one; nothing follows */
};

struct parse_event {
    enum parse_kind kind;
    uint32_t code;
    struct span text;
    uint64_t prompt_tokens, completion_tokens;
    bool retryable;    /* ERROR: the same request may work later */
    struct span words; /* ERROR: text is for clients, this for operators: alike but where it is about our account at the service */
};

/* parse_sink - takes one event; returns 0, or a negative value to stop the parser, which then returns that value. */
typedef int parse_sink(void *owner, const struct parse_event *event);

#endif
