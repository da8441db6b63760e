/* upstream/upstream_cap.h - what a client asks of the service besides its messages, with the operator's limit put in.  Pure. */
#ifndef UPSTREAM_CAP_H
#define UPSTREAM_CAP_H

#include <stdint.h>
#include <umbel/out.h>

#include "core/base/span.h"

/* upstream_cap_parameters - appends the parameters (a JSON object, or empty) to out with max_tokens at most max_tokens (above 0).  A smaller
 * wish of the client stays; a larger one, null, or none becomes the limit, under the name that the client used: max_tokens or
 * max_completion_tokens.  All else stays as it was written.  What is no JSON object is appended as it is: who reads it says what is wrong.
 * Failures stick to out. */
void upstream_cap_parameters(struct span parameters, uint32_t max_tokens, struct umbel_out *out);

#endif
