/* upstream/upstream_record.h - who reads along what services send: the bytes as they came, and what was made of them.
 *
 *   begin (the question) -> bytes ... (the response, after TLS, before HTTP; cut as it came) -> end (how, verdict, digest of the events)
 *
 * Only calls that start while the recorder takes them are told of; each begin has one end, but for calls that live longer than the recorder
 * wants them.  What is in the request's head (the key) is never shown.  Owner: the core's loop thread. */
#ifndef UPSTREAM_RECORD_H
#define UPSTREAM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/fnv.h"
#include "core/parse/dialect.h"

struct upstream;

/* What ended it. */
enum upstream_record_how {
    RECORD_UNREACHED, /* it was never asked: no connection, no room */
    RECORD_DECIDED,   /* the bytes */
    RECORD_CLOSED,    /* the connection's end */
    RECORD_TIME,      /* a time limit */
    RECORD_CANCELLED  /* whoever asked */
};

struct upstream_record_begin { /* texts are borrowed */
    const char *upstream, *dialect, *model;
    const char *app, *stream; /* "" when nobody said */
    const struct dialect_quirks *quirks;
    uint32_t answer_max_bytes;
    struct span request; /* the body */
};

/* A running sum over the neutral events: for each its kind (1 byte), code (4, the lowest first), prompt and completion tokens (8 each), the
 * text's size (8), the text. */
struct upstream_digest {
    uint64_t events, sum, text_bytes; /* text_bytes: of TEXT */
    uint64_t prompt_tokens, completion_tokens;
    bool usage;
};

struct upstream_record_end {
    enum upstream_record_how how;
    bool clean;              /* CLOSED: the way the transport ends */
    uint32_t verdict, error; /* verdict 0: CANCELLED */
    const char *text;        /* of the error */
    struct upstream_digest digest;
};

struct upstream_recorder {
    uint64_t (*begin)(void *owner, const struct upstream_record_begin *about); /* its number, 0: not this one */
    void (*bytes)(void *owner, uint64_t number, uint64_t at_ns, const char *bytes, size_t size);
    void (*end)(void *owner, uint64_t number, uint64_t at_ns, const struct upstream_record_end *end);
    void *owner;
};

/* upstream_set_recorder - for calls that start from now on; it lives longer than the upstream.  NULL: none. */
void upstream_set_recorder(struct upstream *upstream, const struct upstream_recorder *recorder);

/* upstream_digest_add - one more event.  Pure.  A zeroed digest is the empty one. */
void upstream_digest_add(struct upstream_digest *digest, const struct parse_event *event);

const char *upstream_record_how_word(enum upstream_record_how how); /* "closed" */
bool upstream_record_how_parse(const char *word, enum upstream_record_how *ret_how);

#endif
