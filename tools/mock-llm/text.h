/* text - what the mock says, one token at a time.
 * A source holds a few dozen bytes (plus the text itself for demo, echo and messages) and never the whole random
 * answer, so that 10,000 streams stay small.  The same spec, prompt and messages always give the same tokens.
 * Pure: no I/O, no clock, no globals. */
#ifndef MOCK_LLM_TEXT_H
#define MOCK_LLM_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "prng.h"

struct model_spec;

#define TEXT_TOKENS_DEFAULT 60u /* tokens of a text without an end of its own */

struct text_source {
    uint64_t kind, bytes;  /* enum model_text; token size, 0 = natural */
    uint64_t index, limit; /* tokens given so far; at most so many */
    struct prng prng;
    char *text; /* demo, echo, messages: owned */
    size_t length, at;
    char *rest;   /* of a token that was begun elsewhere: comes first; owned */
    bool repeat;  /* start again at the end of text until limit is reached */
    bool limited; /* limit is the request's, not the model's */
};

/* text_open prepares a source.  prompt is the last user message ("" if none), messages_json the array, or for
 * text=request the whole request, as text (may be NULL for other texts); both are copied as far as needed.  max_tokens is the
 * request's own limit, MODEL_UNSET if none. */
void text_open(struct text_source *source, const struct model_spec *spec, const char *prompt, const char *messages_json,
               uint64_t max_tokens);
/* text_continue skips what begun says already, but for its last overlap bytes (fewer, so that it begins with a whole character).  Nothing is
 * skipped if the text does not begin like that.  The tokens stay what they are; the first may be the rest of one. */
void text_continue(struct text_source *source, const char *begun, size_t overlap);
/* text_next appends the next token (1 .. about 64 KiB, whole characters) to out; false at the end of the text. */
bool text_next(struct text_source *source, struct bytes *out);
/* text_cut_short tells, after text_next said false, whether the request's limit ended the text early. */
bool text_cut_short(const struct text_source *source);
/* text_all appends the whole remaining text to out and counts its tokens.  Returns false, with out at least max
 * bytes long, if the text is longer than max bytes. */
bool text_all(struct text_source *source, struct bytes *out, size_t max, uint64_t *ret_tokens);
/* text_close frees what the source owns. */
void text_close(struct text_source *source);
/* text_is_utf8 tells whether data is valid UTF-8 (no surrogates, no overlong forms). */
bool text_is_utf8(const char *data, size_t size);
/* text_char returns the bytes (1..4, at most left) of the character at data, judged by its first byte. */
size_t text_char(const char *data, size_t left);
#endif
