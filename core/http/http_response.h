/* http/http_response.h - an incremental reader of HTTP/1.x responses: bytes in, calls out.
 *
 *     begin ── status line, headers ──▶ header()* head() ── body()* ──▶ end()
 *
 * The input may be cut anywhere; a whole line or a piece of body inside one read is handed out without copying.  No I/O, no clock.
 * Memory besides the struct: a line that the end of a read has cut, for as long as it waits for its end, HTTP_LINE_MAX at most (ten
 * thousand responses are read at once, and hardly any of them stands in the middle of a line).
 * Strict: what two readers could understand in two ways is refused (obsolete folding, a line end without CR, Transfer-Encoding beside
 * Content-Length, differing Content-Length, codings other than chunked).  Not thread-safe. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/span.h"
#include "core/base/why.h"

#define HTTP_HEAD_MAX 65536u        /* bytes of status line, headers and trailers together, interim responses included */
#define HTTP_HEADERS_MAX 256u       /* headers and trailers */
#define HTTP_LINE_MAX 16384u        /* bytes of one line of them with its line end */
#define HTTP_CHUNK_LINE_MAX 1024u   /* bytes of a chunk's size line: extensions are skipped */
#define HTTP_INTERIM_MAX 8u         /* 1xx responses before the real one */
#define HTTP_VALUE_MAX 127u         /* bytes of the values kept in struct http_head; longer ones are cut */
#define HTTP_LENGTH_UNKNOWN UINT64_MAX

enum http_request_kind {
    HTTP_REQUEST_BODY = 0, /* GET, POST, ...: the response has a body unless its status forbids one */
    HTTP_REQUEST_HEAD,     /* never a body */
    HTTP_REQUEST_CONNECT   /* no body if 2xx: after end() the connection is a tunnel */
};

/* What the head said.  Text values are zero-terminated and cut at HTTP_VALUE_MAX; "" when absent. */
struct http_head {
    unsigned status; /* 200..599 */
    bool keep_alive; /* the connection may be used again after end() */
    bool has_body;
    bool chunked;
    uint64_t content_length; /* HTTP_LENGTH_UNKNOWN when not told */
    int64_t retry_after_s;   /* -1: absent, or a date (there is no clock here) */
    char content_type[HTTP_VALUE_MAX + 1];
    char content_encoding[HTTP_VALUE_MAX + 1];
};

/* Each returns 0, or a negative value: reading stops and http_response_feed returns it.  Spans are good until the call returns. */
struct http_response_calls {
    int (*header)(void *owner, struct span name, struct span value); /* optional; each header of the real response, before head */
    int (*head)(void *owner, const struct http_head *head);          /* once */
    int (*body)(void *owner, struct span bytes);                     /* never empty; without the chunk framing */
    int (*end)(void *owner);                                         /* optional; once, when the response is whole */
};

struct http_response {
    const struct http_response_calls *calls;
    void *owner;
    enum http_request_kind kind;
    int state, error;
    uint64_t left;                   /* bytes of the body or chunk still to come */
    uint32_t head_bytes;             /* of HTTP_HEAD_MAX */
    uint16_t headers, interim;       /* so far */
    bool started;                    /* a byte has come */
    bool has_length, has_coding;     /* Content-Length, Transfer-Encoding seen */
    bool said_close, said_keep_alive;
    unsigned minor;                  /* of HTTP/1.minor */
    struct http_head head;
    size_t line_size, line_capacity; /* bytes waiting in line */
    char *line;                      /* a line that was cut by the end of a read, or NULL */
};

/* http_response_begin - makes r ready for one response, whatever it was before; http_response_end must follow.  calls and owner are
 * borrowed until it is over. */
void http_response_begin(struct http_response *r, enum http_request_kind kind, const struct http_response_calls *calls, void *owner);

/* http_response_end - gives back what r holds; a zeroed r, and a second time, is fine. */
void http_response_end(struct http_response *r);

/* http_response_feed - takes size more bytes.  *ret_consumed (may be NULL) is how many belong to this response: fewer than size only
 * after end(), then the rest is the next response's (or the tunnel's).  Returns 0; -EPROTO with the reason in why; -ENOMEM;
 * or what a call returned.  After an error every further call returns it again and consumes nothing. */
int http_response_feed(struct http_response *r, const char *bytes, size_t size, size_t *ret_consumed, struct why *why);

/* http_response_eof - the connection has ended.  clean: in the way the transport ends (with TLS: by close_notify); a body that only the
 * end of the connection delimits is whole only then, and end() is called now.  Returns 0 when the response was whole, -ECONNRESET when
 * not one byte of it had come (a kept connection that had died: the request may be sent again), else -EPROTO: it is cut off. */
int http_response_eof(struct http_response *r, bool clean, struct why *why);

/* http_response_is_over - end() has been called. */
bool http_response_is_over(const struct http_response *r);

#endif
