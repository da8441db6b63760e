/* parse/delta.h - what one chunk of a chat-completions stream says, and the two ways to read it:
 * delta_scan (fast, declines what is unusual) and delta_read (by the JSON reader, everything).  Where delta_scan does not decline, both
 * give the same struct delta_chunk: the fuzz target fuzz_delta_scanner holds them to it.  Pure, one thread.
 *
 * Text is in generalised UTF-8: bytes as the service sent them, lone surrogate escapes in their three-byte form, \u0000 as U+FFFD; utf8_join
 * makes characters of it.  In a chunk with several members of one name the first counts. */
#ifndef PARSE_DELTA_H
#define PARSE_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <umbel/json.h>
#include <umbel/out.h>

#include "core/base/span.h"

/* The names under which services send thinking, in the order in which they are emitted. */
enum delta_thinking { DELTA_REASONING_CONTENT, DELTA_REASONING, DELTA_THINKING, DELTA_THINKING_COUNT };

struct delta_usage {
    bool seen;
    uint64_t prompt_tokens, completion_tokens;
};

struct delta_chunk {
    struct span text;                           /* size 0: none */
    struct span thinking[DELTA_THINKING_COUNT]; /* size 0: none */
    struct span finish;                         /* data NULL: absent or null; "" is something else */
    struct delta_usage usage;                   /* top level */
    struct delta_usage choice_usage;            /* inside the choice */
};

/* What only delta_read finds; pointers into the JSON value, NULL when absent or null. */
struct delta_rest {
    const struct umbel_json *tool_calls;    /* array */
    const struct umbel_json *function_call; /* object: the older form of one tool call */
    const struct umbel_json *error;         /* member "error": a non-empty string or object */
    bool error_object;                      /* "object":"error": the value itself is the error */
    bool error_bare;                        /* {"code","message"} without choices: likewise */
    unsigned other_choices;                 /* choices whose index is not 0, and further ones that claim it */
};

/* delta_read - takes object apart.  message_too: a choice without "delta" may have "message" instead.  Spans live as long as object. */
void delta_read(const struct umbel_json *object, bool message_too, struct delta_chunk *ret_chunk, struct delta_rest *ret_rest);

#endif
