/* carrier/http_parse.h - HTTP/1.x requests from bytes: pure, no I/O, strict.
 *
 * Lines end in CR LF, nothing else: no bare LF, no folded headers, no blank before a colon, one framing of the body and not two.
 * What two servers in a row could read in two ways is refused, so nobody smuggles a request past a proxy. */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/out.h>

#include "core/base/span.h"

#define HTTP_FIELDS_MAX 100u
#define HTTP_CHUNK_LINE_MAX 256u /* bytes of one chunk's size line, extensions included */
#define HTTP_TRAILER_MAX 4096u   /* bytes of what follows the last chunk: read and forgotten */

struct http_field {
    struct span name, value; /* value without blanks around it */
};

struct http_head {
    struct span method, target;
    unsigned minor; /* HTTP/1.minor */
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t count;
    uint64_t content_length; /* 0 if there is no body, or chunked */
    bool chunked, close, expect;
};

/* http_head_scan - looks for the end of a head that begins at data.  *scanned is where the last call stopped (0 at first).
 * Returns the size of the head with its empty line, 0 if more is needed, or a negative HTTP status: -400, -414 (line over
 * max_line bytes), -431 (headers over max_headers bytes).  On -431 *ret_line is the size of the request line that can be parsed;
 * else it is set to 0. */
long http_head_scan(const char *data, size_t size, size_t max_line, size_t max_headers, size_t *scanned, size_t *ret_line);

/* http_head_parse - reads a head of the size that http_head_scan said.  Spans point into data.  Returns 0 or the HTTP status to
 * refuse it with (400, 431, 501, 505); then ret_head holds what had been read before the fault, method.size 0 if not even the
 * request line. */
int http_head_parse(const char *data, size_t size, struct http_head *ret_head);

/* http_line_parse - the request line alone, without its end.  0, 400 or 505. */
int http_line_parse(struct span line, struct http_head *ret_head);

/* http_head_find - the value of the first field of this name, any case; data NULL if there is none. */
struct span http_head_find(const struct http_head *head, const char *name);

/* A chunked body on its way.  Zeroed at the start. */
struct http_dechunk {
    unsigned state;
    uint64_t left;  /* of this chunk */
    size_t line;    /* bytes of the line at hand */
    size_t trailer; /* bytes of trailers so far */
    bool digits, done;
};

/* http_dechunk_feed - takes size bytes of a chunked body and appends what they carry to body, which is bounded by max bytes.
 * Returns the number of bytes that belonged to the body (less than size only when it is done), or a negative HTTP status: -400,
 * -413. */
long http_dechunk_feed(struct http_dechunk *dechunk, const char *data, size_t size, size_t max, struct umbel_out *body);

/* http_decode - percent-decodes into to (room for from.size + 1), and + to blank if plus; zero-terminated.  Returns the size, or
 * -1 if the result is not UTF-8 or has a zero byte, or an escape is none. */
long http_decode(struct span from, bool plus, char *to);

/* http_utf8_is_valid - whole UTF-8 characters, no zero byte. */
bool http_utf8_is_valid(const char *text, size_t size);

#endif
