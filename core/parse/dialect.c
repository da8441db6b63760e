#include "core/parse/dialect.h"

#include <errno.h>
#include <string.h>

#include "core/parse/dialect_chat_completions.h"
#include "core/parse/dialect_dashscope.h"
#include "core/parse/dialect_gemini.h"
#include "core/parse/dialect_messages.h"
#include "core/parse/dialect_ollama.h"

typedef int dialect_maker(const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner, struct dialect_reader **ret);

int dialect_create(const char *name, const struct dialect_quirks *quirks, size_t line_cap, parse_sink *sink, void *owner,
                   struct dialect_reader **ret)
{
    static const struct {
        const char *name;
        dialect_maker *make;
    } dialects[] = {
        {"openai", dialect_chat_create},
        {"anthropic", dialect_messages_create},
        {"ollama", dialect_ollama_create},
        {"gemini", dialect_gemini_create},
        {"dashscope", dialect_dashscope_create},
    };

    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (strcmp(name, dialects[i].name) == 0)
            return dialects[i].make(quirks, line_cap, sink, owner, ret);
    return -EINVAL;
}
