/* parse/utf8.h - whole characters from a stream that is cut anywhere.
 * Pure; one step of the decoding is core/json/json_utf8.h. */
#ifndef PARSE_UTF8_H
#define PARSE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <umbel/out.h>

#include "core/base/span.h"

/* What the last delta left unfinished: the beginning of a code point (1..3 bytes), or the first half of a surrogate pair in its
 * three-byte form with up to two bytes of the second.  Zeroed = nothing. */
struct utf8_carry {
    unsigned char bytes[5];
    unsigned char size;
};

/* utf8_whole - length of the longest prefix of data that consists of whole valid code points. */
size_t utf8_whole(const char *data, size_t size);

/* utf8_is_boundary - can text (valid UTF-8) be cut before byte `position`?  True at 0 and at size, false past the end. */
bool utf8_is_boundary(const char *text, size_t size, size_t position);

/* utf8_cut - the largest n <= max (and <= size) at which valid text can be cut. */
size_t utf8_cut(const char *text, size_t size, size_t max);

/* utf8_replace - appends data to out with each invalid sequence, and an unfinished end, replaced by U+FFFD: the rule of umbel_out_json.
 * Surrogates are invalid here, also in pairs. */
void utf8_replace(const char *data, size_t size, struct umbel_out *out);

/* utf8_join - one more delta.  *ret_text is everything that is whole now: valid UTF-8, possibly empty; an unfinished end stays in carry;
 * invalid sequences become U+FFFD; the two halves of a surrogate pair in three-byte form (one escape each in JSON) become one character.
 * *ret_text points into data (the usual case: nothing copied) or into scratch, which is emptied first; it is good until either
 * changes.  data is never kept.  Returns 0 or -ENOMEM / -EMSGSIZE from scratch, and then nothing is changed. */
int utf8_join(struct utf8_carry *carry, const char *data, size_t size, struct umbel_out *scratch, struct span *ret_text);

/* utf8_flush - the end of the text: what is in carry (then empty) as U+FFFD.  The span is static, and empty when nothing waited. */
struct span utf8_flush(struct utf8_carry *carry);

#endif
