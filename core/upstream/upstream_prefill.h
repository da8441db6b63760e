/* upstream/upstream_prefill.h - an answer that has begun elsewhere, shown to the service that is to continue it: the last message, of the
 * assistant's.  Internal to the module, pure.  What each dialect makes of it: docs/upstreams.md, "An answer goes on elsewhere". */
#ifndef UPSTREAM_PREFILL_H
#define UPSTREAM_PREFILL_H

#include <stddef.h>
#include <umbel/out.h>

#include "core/base/why.h"
#include "core/upstream/upstream.h"
#include "core/upstream/upstream_dialect.h"

/* upstream_prefill_size - how much of the text so far a service of this dialect is shown: all of it, or all but the white space at its
 * end. */
size_t upstream_prefill_size(const struct upstream_dialect *dialect, const char *so_far, size_t size);

/* upstream_prefill - appends the question's messages with the text so far as one more (none if nothing of it is shown) to out.  0, -EINVAL
 * with words if the messages are no JSON array; or what out has failed with. */
int upstream_prefill(struct umbel_out *out, const struct upstream_dialect *dialect, const struct dialect_quirks *quirks,
                     const struct upstream_question *question, struct why *why);

#endif
