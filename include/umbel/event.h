/* umbel/event.h - what one answer (a stream) says, in words that belong to no vendor.
 *
 * A reader of a stream gets, in this order:
 *     OPEN, any number of TEXT / REASONING / TOOL, at most one USAGE, at most one FINISH, at most one ERROR, exactly one CLOSED
 * CLOSED is always the last, on every path; FAILED and TRUNCATED are always preceded by an ERROR.  Text is whole UTF-8 code points: the
 * core never cuts inside one.
 * All pointers in an event are valid only during the call that hands it over: copy what is kept.
 * History: 1.2 umbel_error_word; 1.0 first. */
#ifndef UMBEL_EVENT_H
#define UMBEL_EVENT_H

#include <stdint.h>
#include <umbel/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* umbel_event.kind */
#define UMBEL_EVENT_OPEN 1u      /* once per reader, before anything else; position says where this reader begins */
#define UMBEL_EVENT_TEXT 2u      /* data: answer text; adjacent deltas may be merged into one */
#define UMBEL_EVENT_REASONING 3u /* data: the model's thinking; never answer text, never counted in position */
#define UMBEL_EVENT_TOOL 4u      /* data: one JSON fragment: an element of OpenAI's delta.tool_calls array */
#define UMBEL_EVENT_USAGE 5u     /* prompt_tokens, completion_tokens */
#define UMBEL_EVENT_FINISH 6u    /* code: UMBEL_FINISH_*; data: the upstream's own word, may be empty */
#define UMBEL_EVENT_ERROR 7u     /* code: UMBEL_ERROR_*; data: one line for a person, without secrets */
#define UMBEL_EVENT_CLOSED 8u    /* code: UMBEL_VERDICT_* */

/* UMBEL_EVENT_FINISH.code */
#define UMBEL_FINISH_STOP 1u
#define UMBEL_FINISH_LENGTH 2u
#define UMBEL_FINISH_FILTER 3u
#define UMBEL_FINISH_TOOL 4u
#define UMBEL_FINISH_OTHER 5u

/* UMBEL_EVENT_ERROR.code, and the reason of every refusal.  0 is "no error". */
#define UMBEL_ERROR_AUTH 1u        /* the client's credential is not good */
#define UMBEL_ERROR_QUOTA 2u       /* the client's allowance is used up */
#define UMBEL_ERROR_RATE 3u        /* too many requests for now */
#define UMBEL_ERROR_BUSY 4u        /* no room: the core or the upstream is full */
#define UMBEL_ERROR_BAD_REQUEST 5u /* text says what */
#define UMBEL_ERROR_UPSTREAM 6u    /* the model service failed */
#define UMBEL_ERROR_TIMEOUT 7u     /* the model service was silent for too long */
#define UMBEL_ERROR_INTERNAL 8u    /* umbel failed */
#define UMBEL_ERROR_NOT_FOUND 9u   /* no such stream, or not yours: the two cannot be told apart */
#define UMBEL_ERROR_POSITION 10u   /* resume position past the end or inside a character */

/* umbel_error_word - an UMBEL_ERROR_* in one word, for protocols that have none of their own: auth, quota, rate, busy, request, upstream,
 * timeout, internal, unknown (NOT_FOUND), position; 0: none; a number that is not known: internal.  Static storage.  In libumbel. */
UMBEL_EXPORT const char *umbel_error_word(uint32_t error);

/* UMBEL_EVENT_CLOSED.code: how the answer ended, the one truth told to every client */
#define UMBEL_VERDICT_COMPLETE 1u
#define UMBEL_VERDICT_TRUNCATED 2u /* the upstream stopped without saying why: an error for clients */
#define UMBEL_VERDICT_FAILED 3u
#define UMBEL_VERDICT_CANCELLED 4u

struct umbel_event {
    uint32_t struct_size;
    uint32_t kind;              /* UMBEL_EVENT_* */
    const char *data;           /* never NULL; not zero-terminated: use size */
    uint64_t size;              /* bytes */
    uint64_t position;          /* bytes of answer text before this event */
    uint64_t arrival_ns;        /* CLOCK_MONOTONIC of the upstream's bytes; 0 when the event was read back later */
    uint32_t code;              /* FINISH, ERROR, CLOSED: see above; else 0 */
    uint32_t flags;             /* UMBEL_EVENT_FLAG_* */
    uint64_t prompt_tokens;     /* USAGE */
    uint64_t completion_tokens; /* USAGE */
};
#define UMBEL_EVENT_FLAG_ESTIMATED 1u /* USAGE: counted by us, the upstream did not say */

/* What is constant about one stream.  Valid as long as a reader of it exists. */
struct umbel_stream {
    uint32_t struct_size;
    uint32_t flags;      /* 0 */
    const char *id;      /* "chatcmpl-" and 32 hexadecimal digits */
    const char *app;     /* the app's name in the configuration */
    const char *session; /* "" when the answer has none */
    const char *model;   /* what the client is told */
    uint64_t created;    /* seconds since 1970, UTC */
};

#ifdef __cplusplus
}
#endif
#endif
