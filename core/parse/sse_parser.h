/* parse/sse_parser.h - an incremental reader of server-sent events (WHATWG HTML §9.2): bytes in, events out.
 *
 * The input may be cut anywhere, also inside a CRLF, a code point or the byte order mark.  A line ends with LF, CRLF or CR and with
 * nothing else.  Text is handed out as it came: no decoding.  An event of one data line whose end is in the same read is handed out
 * without copying; only what a read cuts is buffered.  Pure, one thread. */
#ifndef SSE_PARSER_H
#define SSE_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <umbel/out.h>

#include "core/base/span.h"
#include "core/base/why.h"

#define SSE_LINE_CAP_DEFAULT (16u << 20) /* bytes of one line without its end, and of the joined data of one event */
#define SSE_NAME_MAX 63u                 /* bytes of an event name; a longer one is cut */
#define SSE_KEEP_MAX 65536u              /* bytes of buffer kept between events; what a longer one needed is given back */

/* Each returns 0, or a negative value: parsing stops and sse_feed returns it.  Spans are good until the call returns.
 * at_eof: the body ended before the line or the blank line did, so the text may be cut off. */
struct sse_calls {
    /* A blank line after at least one data line.  name: of the last `event` field, "" if none.  data: data lines joined by LF. */
    int (*event)(void *owner, struct span name, struct span data, bool at_eof);
    /* Optional: a field other than data, event, id, retry, as soon as its line has ended. */
    int (*field)(void *owner, struct span name, struct span value, bool at_eof);
    /* Optional: a comment line, without its colon. */
    int (*comment)(void *owner, struct span text);
    /* Optional: where an event begins, what there is of it and of what follows, at most the cap.  Who can read one whole event of a single
     * data line, with its blank line, faster than by lines sets *ret_taken to its bytes; 0: it is read here. */
    int (*ahead)(void *owner, struct span bytes, size_t *ret_taken);
};

struct sse_parser {
    const struct sse_calls *calls;
    void *owner;
    size_t cap;
    uint64_t comments, lines;     /* counted so far */
    struct umbel_out line;        /* a line that was cut by the end of a read */
    struct umbel_out data;        /* data lines of the event at hand that had to be copied */
    struct span pending;          /* its only data line, still in the caller's memory */
    bool has_pending, has_data;
    bool skip_lf, begun;          /* the last byte was CR; the first line has been seen */
    int error;
    unsigned char name_size;
    char name[SSE_NAME_MAX];
};

/* sse_init - makes p ready.  line_cap: bytes, 0 = SSE_LINE_CAP_DEFAULT.  calls and owner are borrowed until sse_free. */
void sse_init(struct sse_parser *p, size_t line_cap, const struct sse_calls *calls, void *owner);

/* sse_free - gives the buffers back. */
void sse_free(struct sse_parser *p);

/* sse_feed - takes size more bytes, all of them.  Returns 0; -EMSGSIZE when a line or an event is longer than the cap; -ENOMEM; or what
 * a call returned; in words in why.  After an error every further call returns it again. */
int sse_feed(struct sse_parser *p, const char *bytes, size_t size, struct why *why);

/* sse_end - the body has ended: hands out, with at_eof, a last line without its end and a last event without its blank line.
 * As sse_feed otherwise. */
int sse_end(struct sse_parser *p, struct why *why);

#endif
