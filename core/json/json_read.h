/* json/json_read.h - the reader behind <umbel/json.h>, for core modules that need to know more.
 * Single-threaded, no globals. */
#ifndef JSON_READ_H
#define JSON_READ_H

#include <stdbool.h>
#include <umbel/json.h>

#include "core/base/why.h"

/* json_read - reads one JSON value.
 *   strict: as umbel_json_parse promises.
 *   loose:  for what model services send.  Invalid UTF-8 passes as it is, a lone surrogate escape comes out in its three-byte form
 *           (ED A0..BF 80..BF) so that a pair split over two texts can be joined, \u0000 becomes U+FFFD, and of two members with one
 *           name the first is found.  Grammar, depth and size bounds are the strict ones.
 * Bounds: UMBEL_JSON_DEPTH_MAX, JSON_VALUES_MAX; memory at most 64 bytes a value plus twice the text.
 * Returns 0 and *ret_value (free with umbel_json_free), -EBADMSG, -E2BIG (a bound was passed) or -ENOMEM, with one line in why. */
int json_read(const char *text, size_t size, bool loose, struct umbel_json **ret_value, struct why *why);

#endif
