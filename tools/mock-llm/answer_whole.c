/* The parts of answer.h that a streamed and a whole answer share, and the whole answer itself. */
#include <string.h>

#include "answer.h"

void answer_usage(const struct answer *answer, struct bytes *out)
{
    bytes_printf(out, "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu",
                 (unsigned long long)answer->prompt_tokens, (unsigned long long)answer->tokens,
                 (unsigned long long)(answer->prompt_tokens + answer->tokens));
    if (answer->reasoning_tokens)
        bytes_printf(out, ",\"completion_tokens_details\":{\"reasoning_tokens\":%llu}",
                     (unsigned long long)answer->reasoning_tokens);
    bytes_puts(out, "}");
}

const char *answer_finish_reason(const struct answer *answer)
{
    if (*answer->spec.finish)
        return answer->spec.finish;
    if (answer->spec.tool)
        return "tool_calls";
    return text_cut_short(&answer->text) ? "length" : "stop";
}

void answer_whole(struct answer *answer, struct bytes *out, struct bytes *scratch)
{
    scratch->len = 0;
    text_all(&answer->text, scratch, SIZE_MAX, &answer->content_tokens);
    answer->tokens = answer->content_tokens;
    bytes_put(out, answer->open.data + answer->base_at, answer->base_end - answer->base_at);
    bytes_puts(out, "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (answer->spec.tool && !scratch->len) {
        bytes_puts(out, "null");
    } else {
        bytes_puts(out, "\"");
        bytes_json(out, scratch->data, scratch->len);
        bytes_puts(out, "\"");
    }
    if (answer->spec.reasoning) {
        bytes_puts(out, ",\"reasoning_content\":\"");
        for (; answer->reasoning_tokens < answer->spec.reasoning; answer->reasoning_tokens++, answer->tokens++)
            bytes_printf(out, "%sr%llu", answer->reasoning_tokens ? " " : "", (unsigned long long)answer->reasoning_tokens);
        bytes_puts(out, "\"");
    }
    if (answer->spec.tool) {
        bytes_printf(out,
                     ",\"tool_calls\":[{\"id\":\"call_%016llx\",\"type\":\"function\",\"function\":{\"name\":\"" ANSWER_TOOL_NAME
                     "\",\"arguments\":\"",
                     (unsigned long long)answer->id[1]);
        for (const char *const *part = answer_tool_arguments(); *part; part++, answer->tokens++)
            bytes_json(out, *part, strlen(*part));
        bytes_puts(out, "\"}}]");
    }
    if (!answer->spec.tool)
        bytes_puts(out, ",\"refusal\":null");
    bytes_puts(out, "},\"logprobs\":null,\"finish_reason\":");
    bytes_json_string(out, strcmp(answer->spec.finish, "no") ? answer_finish_reason(answer) : NULL);
    bytes_puts(out, "}]");
    if (answer->spec.usage != USAGE_NO) {
        bytes_puts(out, ",\"usage\":");
        answer_usage(answer, out);
    }
    bytes_puts(out, "}");
}
