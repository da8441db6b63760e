/* parse/dialect_ollama.h - Ollama's own chat: one JSON object a line. */
#ifndef DIALECT_OLLAMA_H
#define DIALECT_OLLAMA_H

#include "core/parse/dialect.h"

/* dialect_ollama_create - a reader for one response; as dialect_create. */
int dialect_ollama_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret);

#endif
