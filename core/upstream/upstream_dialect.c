#include "core/upstream/upstream_dialect.h"

#include <errno.h>
#include <string.h>

const struct upstream_dialect *upstream_dialect_find(const char *name, struct why *why)
{
    static const struct upstream_dialect *const all[] = {&upstream_openai, &upstream_anthropic, &upstream_ollama, &upstream_gemini,
                                                         &upstream_dashscope};

    for (size_t i = 0; name && i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i]->name) == 0)
            return all[i];
    why_set(why, -EINVAL, "dialect = \"%s\" is not known: write \"openai\", \"anthropic\", \"ollama\", \"gemini\" or \"dashscope\"", name ? name : "");
    return NULL;
}
