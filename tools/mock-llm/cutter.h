/* cutter - where the wire bytes are cut into writes.  Pure: no I/O, no clock, no globals. */
#ifndef MOCK_LLM_CUTTER_H
#define MOCK_LLM_CUTTER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prng.h"

struct model_spec;

struct cutter {
    uint64_t cut;    /* enum model_cut */
    uint64_t gap_us; /* pause between two writes */
    struct prng prng;
    uint32_t next;  /* CUT_ANY: size of the next write */
    uint32_t batch; /* CUT_COALESCE: events in the next write */
};

/* cutter_open prepares a cutter as spec says. */
void cutter_open(struct cutter *cutter, const struct model_spec *spec);
/* cutter_whole tells whether whole events go out uncut: then cutter_next is not needed. */
bool cutter_whole(const struct cutter *cutter);
/* cutter_batch returns how many events the next write holds: 1 unless they are coalesced. */
uint32_t cutter_batch(struct cutter *cutter);
/* cutter_next returns the size (1..size) of the next write out of size wire bytes, or 0 to wait for more; with
 * flush it never waits.  size must not be 0. */
size_t cutter_next(struct cutter *cutter, const char *wire, size_t size, bool flush);
#endif
