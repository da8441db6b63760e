/* framer - from body bytes to wire bytes: the optional gzip wrapping and the HTTP body framing.
 * gzip means stored blocks: valid gzip that any decoder accepts, without a compressor.
 * Pure: no I/O, no clock, no globals. */
#ifndef MOCK_LLM_FRAMER_H
#define MOCK_LLM_FRAMER_H
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "prng.h"

struct model_spec;

struct framer {
    bool chunked, any, gzip, begun; /* any: chunk boundaries fall anywhere */
    struct prng prng;
    uint32_t next_chunk; /* size of the next chunk, if any */
    uint32_t crc, size;  /* of the gzip content */
    struct bytes held;   /* body bytes waiting for their chunk to fill; owned */
};

/* framer_open: chunked tells whether the body is in chunks (false: bare bytes). */
void framer_open(struct framer *framer, const struct model_spec *spec, bool chunked);
/* framer_put appends the wire form of size body bytes to out.  With chunks=any a few may be held back. */
void framer_put(struct framer *framer, const char *data, size_t size, struct bytes *out);
/* framer_flush appends what is held back. */
void framer_flush(struct framer *framer, struct bytes *out);
/* framer_end flushes and appends the proper end of the body (nothing if it ends by closing). */
void framer_end(struct framer *framer, struct bytes *out);
/* framer_close frees what the framer owns. */
void framer_close(struct framer *framer);
#endif
