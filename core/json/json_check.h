/* json/json_check.h - the grammar of JSON over raw bytes, before any library sees them.
 * Pure, no allocation, no recursion. */
#ifndef JSON_CHECK_H
#define JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/why.h"

#define JSON_VALUES_MAX 262144u /* values in one text: the tree of one costs 64 bytes, so 16 MiB */
#define JSON_NUMBER_MAX 63u     /* bytes of one number: cJSON's own bound */

/* json_check - is text exactly one JSON value (RFC 8259) with blanks around?  Bounds: UMBEL_JSON_DEPTH_MAX, JSON_VALUES_MAX,
 * JSON_NUMBER_MAX.  Refused in any case: raw control characters.  Strict (loose = false) also refuses invalid UTF-8 and \u0000.
 * *ret_repairs: escapes that json_repair must rewrite.  Returns 0, -EBADMSG with "byte N: ..." in why, or -E2BIG for a passed bound. */
int json_check(const char *text, size_t size, bool loose, size_t *ret_repairs, struct why *why);

/* json_repair - copies a text that json_check has passed to `to` (room for size bytes) and rewrites what the library cannot read: lone
 * surrogate escapes become U+FFFD (strict) or the three-byte form of the surrogate (loose, so that halves in two texts can be joined
 * later), \u0000 becomes U+FFFD (loose).  Returns the bytes written, at most size. */
size_t json_repair(const char *text, size_t size, bool loose, char *to);

#endif
