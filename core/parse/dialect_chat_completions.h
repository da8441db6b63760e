/* parse/dialect_chat_completions.h - OpenAI's chat completions stream and everything that calls itself compatible with it. */
#ifndef DIALECT_CHAT_COMPLETIONS_H
#define DIALECT_CHAT_COMPLETIONS_H

#include "core/parse/dialect.h"

/* dialect_chat_create - a reader for one response.  quirks: copied; NULL = dialect_quirks_default.  line_cap: bytes of one line and of one
 * event, 0 = SSE_LINE_CAP_DEFAULT.  sink and owner are borrowed until dialect_free.  Returns 0 and *ret, or -ENOMEM. */
int dialect_chat_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret);

#endif
