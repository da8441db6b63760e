/* capture/capture_format.h - the container of recorded upstream answers, for its writer and its readers.  docs/capture-format.md is the
 * description for others.  Pure.
 *
 *   file:   CAPTURE_MAGIC (8 bytes) | version, 4 | zero, 4 | records
 *   record: size of the payload, 4 | type, 4 | answer, 8 | microseconds since the beginning, 8 | sum, 8 | payload
 * Numbers have their lowest byte first.  sum: FNV-1a of the 24 bytes before it and the payload. */
#ifndef CAPTURE_FORMAT_H
#define CAPTURE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/span.h"
#include "core/base/why.h"

#define CAPTURE_MAGIC "umbelcap"
#define CAPTURE_VERSION 1u
#define CAPTURE_FILE_HEAD 16u
#define CAPTURE_RECORD_HEAD 32u
#define CAPTURE_PAYLOAD_MAX ((size_t)4 << 20)
#define CAPTURE_REQUEST_MAX ((size_t)1 << 20) /* a longer request's body is left out */

enum capture_type {
    CAPTURE_INFO = 1, /* JSON, answer 0, first: what is recorded */
    CAPTURE_BEGIN,    /* JSON: the question's circumstances */
    CAPTURE_REQUEST,  /* the request's body */
    CAPTURE_BYTES,    /* of the response */
    CAPTURE_END,      /* JSON: how it ended */
    CAPTURE_STOP      /* JSON, answer 0, last: why it ends */
};

struct capture_record {
    uint32_t type; /* one that is not known is to be skipped */
    uint64_t answer, at_us;
    struct span payload;
};

void capture_write_head(char ret_head[CAPTURE_FILE_HEAD]);
/* capture_write_record_head - what stands before this record's payload. */
void capture_write_record_head(const struct capture_record *record, char ret_head[CAPTURE_RECORD_HEAD]);

/* capture_read_head - -EBADMSG with words when this is no capture, or a newer one. */
int capture_read_head(struct span file, struct why *why);

/* capture_read - the record at *at (CAPTURE_FILE_HEAD to begin with); moves *at behind it.  payload points into file.  1: there is one; 0: the
 * file ends here; -ENODATA: it ends within a record (its writer was stopped hard); -EBADMSG: it is damaged. */
int capture_read(struct span file, size_t *at, struct capture_record *ret_record, struct why *why);

#endif
