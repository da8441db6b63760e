/* parse/delta_scanner.h - the hot path: one chunk object read in one pass, without a tree.
 * Follows only the paths of struct delta_chunk, checks the grammar of the rest, copies nothing but strings that hold escapes.  Pure. */
#ifndef DELTA_SCANNER_H
#define DELTA_SCANNER_H

#include "core/parse/delta.h"

#define DELTA_SCAN_MAX 65536u /* bytes of a chunk; longer ones are declined */

/* delta_scan - reads text as one chunk.  Returns true and *ret_chunk, whose spans point into text or into scratch (emptied first; good until
 * either changes).  Returns false for everything unusual, bad JSON included, and leaves *ret_chunk alone: read it with the JSON reader.
 * What it declines: more than one choice or an index other than 0, no choices member, tool calls, errors, a refusal, doubled or
 * escaped names, values of unexpected types, nesting deeper than 32, no memory. */
bool delta_scan(const char *text, size_t size, struct umbel_out *scratch, struct delta_chunk *ret_chunk);

#endif
