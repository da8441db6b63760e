/* parse/dialect_dashscope.h - DashScope's own text generation. */
#ifndef DIALECT_DASHSCOPE_H
#define DIALECT_DASHSCOPE_H

#include "core/parse/dialect.h"

/* dialect_dashscope_create - a reader for one response; as dialect_create. */
int dialect_dashscope_create(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret);

#endif
