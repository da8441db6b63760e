/* parse/dialect_gemini.h - Gemini's streamGenerateContent, as events (alt=sse) and as the JSON array that comes without. */
#ifndef DIALECT_GEMINI_H
#define DIALECT_GEMINI_H

#include "core/parse/dialect.h"

/* dialect_gemini_create - a reader for one response; as dialect_create. */
int dialect_gemini_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret);

#endif
