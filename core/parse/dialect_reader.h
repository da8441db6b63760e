/* parse/dialect_reader.h - what the dialects share; included by core/parse/dialect_*.c only.
 *
 * A dialect embeds struct dialect_reader as its first member, fills in ops, and calls the dialect_note / dialect_emit functions as it
 * understands what it is given.  Order, text joining, the one USAGE, FINISH or ERROR, and the verdict are kept here.
 * dialect_feed -> ops->feed (framing: dialect_sse_feed, or the dialect's own) -> ops->payload (one event, line or document). */
#ifndef DIALECT_READER_H
#define DIALECT_READER_H

#include "core/parse/delta_form.h"
#include "core/parse/dialect.h"
#include "core/parse/dialect_error.h"
#include "core/parse/sse_parser.h"
#include "core/parse/utf8.h"

struct dialect_ops {
    bool has_done; /* there is an end marker, so a body without one is worth counting */

    /* Framing.  Bytes of the body, and their end. */
    int (*feed)(struct dialect_reader *r, const char *bytes, size_t size, struct why *why);
    int (*end)(struct dialect_reader *r, struct why *why);

    /* One event.  name: of an SSE event, "" otherwise.  cut: the end of the body cut it, so broken text is no error. */
    int (*payload)(struct dialect_reader *r, struct span name, struct span data, bool cut, struct why *why);

    /* Optional.  A field SSE does not know. */
    int (*field)(struct dialect_reader *r, struct span name, struct span value, bool cut, struct why *why);

    /* Optional.  A comment line of SSE, without its colon. */
    int (*comment)(struct dialect_reader *r, struct span text);

    /* Optional.  Frees what the dialect added. */
    void (*free)(struct dialect_reader *r);
};

struct dialect_reader {
    const struct dialect_ops *ops;
    parse_sink *sink;
    void *owner;
    struct dialect_quirks quirks;
    struct dialect_counts counts;
    struct sse_parser sse;
    struct why *why;                    /* of the call at hand, for the calls of the SSE parser */
    struct utf8_carry text, thinking;   /* halves of characters */
    struct umbel_out scratch, unescaped; /* for joining; for the scanner */
    struct delta_form form;             /* learned by a dialect that knows where in its payload a delta stood */
    int error;                          /* sticky */
    bool stopped;                       /* the sink said stop */
    bool concluded;                     /* USAGE and FINISH or ERROR are out */
    bool deaf;                          /* trouble came after that: nothing more is read */
    uint32_t verdict;                   /* 0 before concluded */
    bool has_usage;
    uint64_t prompt_tokens, completion_tokens;
    uint32_t finish;                    /* UMBEL_FINISH_*, 0 = none yet */
    char finish_word[DIALECT_WORD_MAX + 1];
};

/* dialect_reader_init - the shared part; quirks NULL = defaults, line_cap 0 = SSE_LINE_CAP_DEFAULT. */
void dialect_reader_init(struct dialect_reader *r, const struct dialect_ops *ops, const struct dialect_quirks *quirks, size_t line_cap,
                         parse_sink *sink, void *owner);

/* The SSE framing, for ops->feed and ops->end. */
int dialect_sse_feed(struct dialect_reader *r, const char *bytes, size_t size, struct why *why);
int dialect_sse_end(struct dialect_reader *r, struct why *why);

/* dialect_take_event - for framings of a dialect's own: one event goes to ops->payload, and is counted.  at_eof: the end of the body cut it. */
int dialect_take_event(struct dialect_reader *r, struct span name, struct span data, bool at_eof);

/* dialect_trim - text without blanks and line ends around it. */
struct span dialect_trim(struct span text);

/* dialect_read_json - the JSON of one event, for dialects without a scanner of their own.  lenient: broken JSON is no error (an event of
 * a foreign kind); nor is it when cut.  Returns 0 and *ret_value, NULL if there is nothing to take (nothing, broken, "[DONE]": which is
 * noted); -EBADMSG, -ENOMEM, or what the sink returned. */
int dialect_read_json(struct dialect_reader *r, struct span data, bool lenient, bool cut, struct umbel_json **ret_value, struct why *why);

/* What a dialect has understood.  All return 0 or what the sink returned; all do nothing once the answer is concluded.
 * text: generalised UTF-8, may be empty.  fragment: one element of OpenAI's tool_calls as JSON. */
int dialect_emit_text(struct dialect_reader *r, struct span text);
int dialect_emit_thinking(struct dialect_reader *r, struct span text);
int dialect_emit_tool(struct dialect_reader *r, struct span fragment);
void dialect_note_usage(struct dialect_reader *r, uint64_t prompt_tokens, uint64_t completion_tokens); /* the last wins */
void dialect_note_finish(struct dialect_reader *r, uint32_t finish, struct span word);                 /* the first wins */
int dialect_note_done(struct dialect_reader *r);                                                       /* the end marker */
int dialect_note_error(struct dialect_reader *r, const struct dialect_error *error);                   /* ends the answer */

/* What a finish reason means. */
struct dialect_finish {
    const char *word;
    uint32_t finish; /* UMBEL_FINISH_*; 0: a failure ... */
    uint32_t error;  /* ... of this kind */
};

/* dialect_take_finish - a finish reason as the service wrote it; word.data NULL: none.  What the table does not know is UMBEL_FINISH_OTHER.
 * Keeps the quirks empty_finish, null_text_finish, error_finish. */
int dialect_take_finish(struct dialect_reader *r, const struct dialect_finish *table, size_t count, struct span word);

/* dialect_emit_call - a tool call, or a fragment of one, in OpenAI's shape.  id.data NULL: not its first fragment, and name is not looked
 * at.  arguments: a piece of JSON text. */
int dialect_emit_call(struct dialect_reader *r, size_t index, struct span id, struct span name, struct span arguments);

/* dialect_member_text - the string member of object; data NULL if it is absent or no string. */
struct span dialect_member_text(const struct umbel_json *object, const char *name);

#endif
