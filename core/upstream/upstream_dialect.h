/* upstream/upstream_dialect.h - how a request is written in each dialect; how its answer is read is core/parse/dialect.h.  Internal to the
 * module, pure.
 *
 * Questions come in OpenAI's form.  What a dialect has no place for: a parameter is left out, as a service that does not know it would; a
 * part of a message is refused, because without it the question would be another one. */
#ifndef UPSTREAM_DIALECT_H
#define UPSTREAM_DIALECT_H

#include <stdbool.h>
#include <umbel/out.h>

#include "core/base/why.h"
#include "core/parse/dialect.h"
#include "core/upstream/upstream.h"

#define UPSTREAM_MODEL_MAX 1024u /* bytes of a model's name where it stands in the path */

struct upstream_dialect {
    const char *name;          /* as in dialect_create */
    const char *path;          /* behind the path of base_url; one %s stands for the model */
    const char *accept;        /* the type of the stream */
    const char *key;           /* the beginning of the header line that carries the key */
    const char *headers;       /* further whole lines */
    const char *prefill_mark;  /* members of the message that is to be continued, each with a comma before it; NULL: none */
    bool prefill_trimmed;      /* white space at its end is refused */
    bool json_is_stream;       /* a body of type application/json is a stream of objects, too: as lines, or as an array */
    /* Appends the body.  0; -EINVAL with words; what out has failed with is seen by the caller. */
    int (*put_body)(struct umbel_out *out, const struct dialect_quirks *quirks, const struct upstream_question *question, struct why *why);
};

/* upstream_dialect_find - NULL with words that name all there are. */
const struct upstream_dialect *upstream_dialect_find(const char *name, struct why *why);

extern const struct upstream_dialect upstream_openai, upstream_anthropic, upstream_ollama, upstream_gemini, upstream_dashscope;

#endif
