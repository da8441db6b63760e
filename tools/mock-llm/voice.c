/* What the voices share. */
#include "voice.h"

const char *voice_reason(const struct answer *answer, const char *tool, const char *length, const char *stop)
{
    if (*answer->spec.finish)
        return answer->spec.finish;
    if (answer->spec.tool)
        return tool;
    return text_cut_short(&answer->text) ? length : stop;
}

void voice_tool_json(struct bytes *out)
{
    for (const char *const *part = answer_tool_arguments(); *part; part++)
        bytes_puts(out, *part);
}
