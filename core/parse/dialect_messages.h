/* parse/dialect_messages.h - Anthropic's Messages stream. */
#ifndef DIALECT_MESSAGES_H
#define DIALECT_MESSAGES_H

#include "core/parse/dialect.h"

/* dialect_messages_create - a reader for one response; as dialect_create. */
int dialect_messages_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret);

#endif
