/* http_request - a small strict reader of HTTP/1.1 requests.
 * Strict because it stands in for servers behind strict proxies: a client that sends something ambiguous should
 * fail its tests here and not in production.  Pure: bytes in, values out; the connection does the reading. */
#ifndef MOCK_LLM_HTTP_REQUEST_H
#define MOCK_LLM_HTTP_REQUEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

#define HTTP_HEAD_MAX 32768u                /* bytes of request line and header fields, then 431 */
#define HTTP_FIELDS_MAX 100u                /* header fields, then 431 */
#define HTTP_BODY_MAX (16u * 1024u * 1024u) /* bytes of body, then 413 */

struct http_field {
    const char *name, *value; /* NUL-terminated, inside the head's own memory */
};

struct http_head {
    const char *method, *target; /* target as sent, at most HTTP_HEAD_MAX bytes, begins with '/' */
    int minor;                   /* HTTP/1.minor: 0 or 1 */
    bool keep_alive, chunked, has_length, expect_continue;
    uint64_t length; /* Content-Length if has_length */
    size_t count;
    struct http_field field[HTTP_FIELDS_MAX];
    char block[]; /* the text that all the pointers point into */
};

/* http_head_parse reads a whole head: size bytes that end with CRLF CRLF.  Returns 0 and a head that the caller
 * frees with free(), or the HTTP status to refuse with (400, 431, 501, 505) and a static sentence in *ret_why. */
int http_head_parse(const char *data, size_t size, struct http_head **ret_head, const char **ret_why);
/* http_head_get returns the value of the first field of that name (any case), or NULL. */
const char *http_head_get(const struct http_head *head, const char *name);

/* Decoder of a chunked request body; zeroed at the start. */
struct http_chunks {
    uint64_t left; /* bytes of the current chunk still to come */
    unsigned state, digits;
    size_t trailer;    /* bytes of chunk extension or trailer seen */
    struct bytes body; /* decoded so far; owned, bytes_free() it */
};

/* http_chunks_feed decodes size bytes and stores how many it used.  Returns 0 (needs more), 1 (the body is whole),
 * or a status to refuse with: 400 (not chunked coding) or 413 (longer than HTTP_BODY_MAX). */
int http_chunks_feed(struct http_chunks *chunks, const char *data, size_t size, size_t *ret_used);

/* http_query_get returns the percent-decoded value of name in target's query, owned by the caller; NULL if absent
 * or if its percent-encoding is broken.  '+' means space. */
char *http_query_get(const char *target, const char *name);
#endif
