/* upstream/upstream_request.h - the bytes of one request for an answer.  Pure. */
#ifndef UPSTREAM_REQUEST_H
#define UPSTREAM_REQUEST_H

#include <umbel/out.h>

#include "core/base/why.h"
#include "core/upstream/upstream.h"
#include "core/upstream/upstream_dialect.h"
#include "core/upstream/upstream_url.h"

#define UPSTREAM_REQUEST_MAX ((size_t)16 << 20) /* bytes of head and body together */
#define UPSTREAM_KEY_MAX 4096u                  /* bytes of an api_key */

/* upstream_key_check - a key that can stand in a header.  -EINVAL with words that do not hold the key. */
int upstream_key_check(const char *api_key, struct why *why);

/* What a service speaks. */
struct upstream_service {
    const struct upstream_dialect *dialect;
    struct dialect_quirks quirks;
};

/* upstream_request_build - appends the whole request to out (empty; its limit is set here).  messages must be one JSON array.
 * openai: it goes out as it is, and members of parameters follow ours as they were written, except those that are ours (model, messages,
 * stream, stream_options).  Other dialects: see upstream_dialect.h.
 * -EINVAL with words, -EMSGSIZE over UPSTREAM_REQUEST_MAX, -ENOMEM.  The bytes hold the key: upstream_request_wipe. */
int upstream_request_build(struct umbel_out *out, const struct upstream_service *service, const struct upstream_url *url, const char *api_key,
                           const struct upstream_question *question, struct why *why);
void upstream_request_wipe(struct umbel_out *out);

#endif
