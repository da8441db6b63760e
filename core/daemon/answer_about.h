/* daemon/answer_about.h - what the history keeps beside an answer's text, so that it can be told again from its first byte to its end.
 * A JSON object in the turn's `about`; an answer that cannot be told again whole has none.  Owner: the core's loop thread. */
#ifndef DAEMON_ANSWER_ABOUT_H
#define DAEMON_ANSWER_ABOUT_H

#include <stdbool.h>

#include <umbel/out.h>

#include "core/ring/journal_layout.h"

/* answer_about_write - appends it.  text_bytes: of the whole text. */
void answer_about_write(const struct journal_identity *identity, const struct journal_ending *ending, uint64_t text_bytes,
                        struct umbel_out *out);

/* answer_about_read - false: it is no such object, or says what cannot be.  Of the identity: created_s and model; verdict stays the caller's. */
bool answer_about_read(const char *about, struct journal_identity *ret_identity, struct journal_ending *ret_ending, uint64_t *ret_text_bytes);

#endif
