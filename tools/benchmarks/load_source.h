/* benchmarks/load_source.h - where the tokens of a run come from: a thread that is the model service of umbel and of the proxies, or
 * feeds a peer that has no model service.
 *
 *   SOURCE_OPENAI  listens; every request to it is answered with the tokens as chat completion chunks, an event each
 *   SOURCE_LINES   connects; writes the tokens one after the other, TOKEN_SIZE bytes each (bare loop, node)
 *   SOURCE_POST    connects; one POST a token, the next after the answer (nchan's publisher)
 */
#ifndef LOAD_SOURCE_H
#define LOAD_SOURCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/benchmarks/load_token.h"

enum source_kind { SOURCE_OPENAI, SOURCE_LINES, SOURCE_POST };

struct source_options {
    enum source_kind kind;
    uint16_t port;      /* to listen on, or to connect to; 127.0.0.1 */
    const char *path;   /* SOURCE_POST */
    uint32_t tokens;    /* of one stream */
    uint64_t pace_ns;   /* from token to token; 0 = as fast as the reader takes them */
    bool spread;        /* paced streams speak one after the other, evenly over the pace; otherwise all at the same moment */
};

struct source {
    struct source_options options;
    pthread_t thread;
    int epoll, listener, wake;
    atomic_bool stop;
    _Atomic uint64_t sent;    /* tokens */
    uint32_t begun;           /* answers */
    uint64_t skipped;         /* times at which nothing was made, because the reader was behind */
    struct token_histogram late; /* how long after its time a paced token was made: the rig's own fault, not the server's */
    struct source_stream *due, *last; /* paced streams, the next one first; all have the same pace, so appending keeps the order */
};

/* source_start - listening at once; the others connect and begin at once.  0 or -errno. */
int source_start(struct source *source, const struct source_options *options);
/* source_stop - late and skipped may be read after it. */
void source_stop(struct source *source);

#endif
