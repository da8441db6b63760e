/* parse/delta_form.h - the form that the deltas of one answer share: reads the next one by comparing instead of scanning.
 *
 * A service writes thousands of chunks that differ in one string.  Once the scanner has read one, the bytes before that string and the bytes
 * behind it are kept; an event with the same bytes before, a JSON string, and the same bytes behind says the same in every other respect,
 * because a scanner that has read equal bytes is in an equal state.  Whatever does not fit is left to the scanner.  Pure, one thread. */
#ifndef DELTA_FORM_H
#define DELTA_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <umbel/out.h>

#include "core/base/span.h"
#include "core/parse/event.h"

#define DELTA_FORM_MAX 2048u /* bytes of a chunk around its string; longer ones are not learned */

struct delta_form {
    struct umbel_out around; /* the chunk without the string between the quotes; size 0: nothing learned */
    size_t before;           /* bytes of it that stand before the string, its quote among them */
    enum parse_kind kind;    /* PARSE_TEXT or PARSE_REASONING: what the string is */
};

/* delta_form_learn - payload is a chunk that delta_scan took and that holds one delta only, value: its string, not empty.  Forgets what was
 * learned before if this cannot be: a value that was decoded (it does not lie in payload), a long chunk, no memory. */
void delta_form_learn(struct delta_form *form, struct span payload, struct span value, enum parse_kind kind);

/* delta_form_take - reads one whole SSE event at bytes: a single data line and the blank line, both ended by LF or both by CRLF.
 * Returns how many bytes it has, with *ret_text in bytes or in scratch (emptied first), or 0: not of this form, or not whole. */
size_t delta_form_take(const struct delta_form *form, const char *bytes, size_t size, struct umbel_out *scratch, struct span *ret_text);

/* delta_form_free - gives the memory back. */
void delta_form_free(struct delta_form *form);

#endif
