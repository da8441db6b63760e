/* show/show_http.h - the receiving side of HTTP/1.1 and of server-sent events, strict and incremental.  Pure: bytes in, calls out.
 * It shares no code with the servers it looks at, so that it can disagree with them. */
#ifndef SHOW_HTTP_H
#define SHOW_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/out.h>

#include "core/base/why.h"

#define SHOW_HEAD_MAX (32u << 10)
#define SHOW_LINE_MAX (4u << 20) /* bytes of one event's line, or of one frame */

/* ---- the head of a response ---- */

struct show_head {
    struct umbel_out bytes; /* the head, with its empty line once it is whole */
    int status;             /* 0 until the head is whole */
};
void show_head_free(struct show_head *head);

/* show_head_feed - takes bytes up to the end of the head.  1: whole, *ret_used bytes were taken; 0: more is needed, all were taken;
 * -EPROTO with words. */
int show_head_feed(struct show_head *head, const char *data, size_t size, size_t *ret_used, struct why *why);

/* show_head_field - copies the value of a header, cut to room, and returns how often the header stands there (0: value is ""). */
unsigned show_head_field(const struct show_head *head, const char *name, char *ret_value, size_t room);

/* show_token_in - does a comma-separated list hold the token?  Case does not matter. */
bool show_token_in(const char *list, const char *token);

/* ---- its body ---- */

typedef void show_sink(void *owner, const char *data, size_t size);

struct show_body {
    uint8_t kind;  /* SHOW_BODY_* */
    uint8_t state; /* of the chunk reader */
    bool ended;
    uint64_t left;    /* bytes left of the body (LENGTH) or of the chunk */
    uint64_t chunks;  /* seen so far */
    char line[64];    /* a chunk's head, so far */
    size_t line_size;
};
#define SHOW_BODY_CHUNKED 1u
#define SHOW_BODY_LENGTH 2u
#define SHOW_BODY_CLOSE 3u

/* show_body_begin - learns from the head how the body ends.  -EPROTO when the head contradicts itself. */
int show_body_begin(const struct show_head *head, struct show_body *ret_body, struct why *why);
/* show_body_feed - hands the body's bytes to sink.  Sets body->ended at its end; bytes after it are a fault. */
int show_body_feed(struct show_body *body, const char *data, size_t size, show_sink *sink, void *owner, struct why *why);
/* show_body_close - the connection has ended: 0 if the body ended properly, else -EPROTO. */
int show_body_close(struct show_body *body, struct why *why);

/* ---- server-sent events ---- */

/* One event: its name ("message" without an event: line) and its data.  Both zero-terminated, too. */
typedef void show_event(void *owner, const char *name, const char *data, size_t size);

struct show_sse {
    struct umbel_out line, data;
    char name[32];
    bool after_cr, begun, has_data;
    uint64_t comments;
};
void show_sse_free(struct show_sse *sse);
/* show_sse_feed - bytes of the stream, cut anywhere.  -EMSGSIZE past SHOW_LINE_MAX, -ENOMEM. */
int show_sse_feed(struct show_sse *sse, const char *data, size_t size, show_event *event, void *owner);

#endif
