/* parse/dialect.h - one response of one model service, read as the neutral events of parse/event.h.
 *
 * A dialect_reader is made by dialect_create, fed the bytes of the body as they come, cut anywhere, and ended once.  It gives its sink
 *     any number of TEXT, REASONING, TOOL;  at most one USAGE, then at most one FINISH or at most one ERROR;  nothing after these
 * and dialect_end tells the verdict.  USAGE and FINISH wait for the end marker (or the end), because services send usage after the finish
 * reason and errors after both.  Text is cut at whole characters: half of one waits for the next delta, and is U+FFFD if none comes.
 *
 * Verdicts:
 *     error object, broken JSON, a failing finish reason           FAILED, with ERROR
 *     finish reason                                                COMPLETE; without the end marker, where the dialect has one,
 *                                                                  counted `missing_done`
 *     end marker, no finish reason, and there was content          COMPLETE without FINISH, counted `suspect`: services that never send
 *                                                                  a reason exist; quirk done_without_finish off makes it TRUNCATED
 *     end marker, no finish reason, and there was no content       FAILED, with ERROR: so a dead upstream looks
 *     none of these                                                TRUNCATED, with ERROR: never a clean end
 * Every verdict but COMPLETE comes with exactly one ERROR.  Memory: under 3 KiB, one buffer of 2 KiB and five of at most 64 KiB;
 * while one event is read at most ten times the line cap and 16 MiB for its tree.  Pure: no I/O, no clock, no globals.  One thread. */
#ifndef PARSE_DIALECT_H
#define PARSE_DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <umbel/event.h>

#include "core/base/why.h"
#include "core/parse/event.h"

#define DIALECT_TEXT_MAX 512u /* bytes of an error text */
#define DIALECT_WORD_MAX 64u  /* bytes of a finish reason; a longer one is cut */

struct dialect_reader;

/* What services do differently; each can be switched for one upstream (`quirks = {"no-eof_flush"}`).  Off = that form is not understood: it
 * is ignored, or ends as the verdict table says.  A dialect looks at those that can occur in it: docs/upstreams.md has the table. */
struct dialect_quirks {
    bool reasoning_content;   /* three names of thinking in a delta; Anthropic, Ollama, Gemini: `thinking` */
    bool reasoning;
    bool thinking;
    bool usage_in_choice;     /* usage inside the choice */
    bool empty_finish;        /* finish_reason "" is none */
    bool null_text_finish;    /* finish_reason "null" (the string) is none */
    bool error_finish;        /* finish reasons that mean failure: insufficient_system_resource, network_error, error */
    bool error_object;        /* {"object":"error",...} */
    bool error_bare;          /* {"code":..,"message":..} without choices */
    bool error_event;         /* `event: error` */
    bool error_field;         /* a line `error: {...}` */
    bool done_missing;        /* a finish reason without the end marker is complete; off: TRUNCATED */
    bool done_without_finish; /* the end marker after content without a finish reason is complete; off: TRUNCATED */
    bool eof_flush;           /* a last event that the end of the body cuts is taken if it is whole JSON */
    bool message_as_delta;    /* a choice with "message" in place of "delta" */
    bool content_at_top;      /* {"content":..,"stop":..} without choices: llama.cpp's own completion */
    bool text_events;         /* `event: add` with bare text, `event: finish` with a field `meta`: the old Zhipu form.  Off unless asked for */
    bool stream_options;      /* ask for the usage: services that refuse members they do not know need it off */
    bool incremental_output;  /* DashScope: ask for deltas.  Off unless asked for: each event repeats the whole text so far */
    bool prefill_prefix;      /* how an answer that is to be continued is marked in OpenAI's form: "prefix":true in its message ... */
    bool prefill_partial;     /* ... "partial":true ... */
    bool prefill_final;       /* ... "continue_final_message":true beside the messages.  All off unless asked for: no mark */
};
/* All on but text_events, incremental_output and the three of prefill. */
extern const struct dialect_quirks dialect_quirks_default;

/* dialect_quirks_set - applies one word of the configuration: a member's name switches it on, "no-" before it off.  Returns 0, or
 * -EINVAL with the known names in why. */
int dialect_quirks_set(struct dialect_quirks *quirks, const char *word, struct why *why);

/* dialect_quirk_name - of the quirk with this number, from 0 on; NULL: there is none.  dialect_quirk_is_on - whether it is set in quirks. */
const char *dialect_quirk_name(size_t number);
bool dialect_quirk_is_on(const struct dialect_quirks *quirks, size_t number);

/* dialect_create - a reader for one response.  name: "openai", "anthropic", "ollama", "gemini" or "dashscope".  quirks: copied; NULL =
 * dialect_quirks_default.  line_cap: bytes of one line, event or object, 0 = SSE_LINE_CAP_DEFAULT.  sink and owner are borrowed until
 * dialect_free.  Returns 0 and *ret, -EINVAL for an unknown name, or -ENOMEM. */
int dialect_create(const char *name, const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner,
                   struct dialect_reader **ret);

/* What happened so far; for the log and the statistics. */
struct dialect_counts {
    uint64_t bytes, events;      /* of the body; data events */
    uint64_t comments;           /* signs of life without content */
    uint64_t ignored;            /* events that mean nothing here: unknown, not objects, of other choices, after the end (up to
                                  * the first trouble there: nothing is read behind it) */
    uint64_t slow;               /* chunks that the fast scanner declined */
    uint64_t alike;              /* chunks that were read by comparing them with the one before (delta_form.h) */
    uint64_t malformed;          /* data lines that were not JSON */
    uint64_t eof_flush, missing_done, suspect;
    bool saw_content, saw_finish, saw_done, saw_error;
    struct dialect_quirks seen;  /* forms of the table above that came, whether they are switched on or not; not those of requests */
    char reason[DIALECT_TEXT_MAX + 1]; /* what the verdict rests on, one line; "" before dialect_end */
};

/* dialect_feed - takes size bytes of the body, cut anywhere.  Returns 0 also when the service has reported an error (the sink was told;
 * the rest is ignored).  -EBADMSG broken JSON, -EMSGSIZE a line over the cap, -ENOMEM: the sink was given an ERROR, the reader has failed.
 * Any other negative value is what the sink returned.  After that every further call returns the same. */
int dialect_feed(struct dialect_reader *r, const char *bytes, size_t size, struct why *why);

/* dialect_feed_document - for a body that is one JSON document instead of a stream (status 200, application/json): takes it whole, in
 * place of dialect_feed, and counts as the end marker.  Returns as dialect_feed. */
int dialect_feed_document(struct dialect_reader *r, const char *bytes, size_t size, struct why *why);

/* dialect_end - the body has ended; call once.  body_whole: its framing was complete (http_response_eof or end()); only the words in
 * counts->reason depend on it.  Gives the sink what is still due.  Returns 0 and *ret_verdict (UMBEL_VERDICT_COMPLETE, _TRUNCATED or
 * _FAILED), or the negative value of the sink. */
int dialect_end(struct dialect_reader *r, bool body_whole, uint32_t *ret_verdict, struct why *why);

/* dialect_free - NULL is fine. */
void dialect_free(struct dialect_reader *r);

/* dialect_counts - good until dialect_free. */
const struct dialect_counts *dialect_counts(const struct dialect_reader *r);

#endif
