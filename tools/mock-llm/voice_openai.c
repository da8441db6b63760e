/* voice_openai - chat completions.  What is constant over the stream (id, created, model) is rendered once, at the start. */
#include <string.h>

#include "answer_event.h"
#include "chat_request.h"
#include "voice.h"

#define DELTA_OPEN "\"choices\":[{\"index\":0,\"delta\":{"

static void prepare(struct answer *answer, const struct chat_request *request, uint64_t created)
{
    const struct model_spec *spec = &answer->spec;
    struct bytes *open = &answer->open;

    bytes_puts(open, spec->space ? "data: " : "data:");
    answer->base_at = (uint32_t)open->len;
    bytes_printf(open, "{\"id\":\"chatcmpl-%016llx%016llx\",\"object\":\"%s\",\"created\":%llu,\"model\":\"",
                 (unsigned long long)answer->id[0], (unsigned long long)answer->id[1],
                 request->stream ? "chat.completion.chunk" : "chat.completion", (unsigned long long)created);
    bytes_json(open, request->model, strlen(request->model));
    bytes_puts(open, "\",\"system_fingerprint\":\"fp_mock\",");
    answer->base_end = (uint32_t)open->len;
    bytes_puts(open, DELTA_OPEN);
    if (spec->role == ROLE_EACH)
        bytes_puts(open, "\"role\":\"assistant\",");
}

static void data_field(const struct answer *answer, struct bytes *out)
{
    bytes_put(out, answer->open.data, answer->base_at);
}

static void chunk_open(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    bytes_put(out, answer->open.data, answer->open.len);
}

static void delta_close(struct answer *answer, struct bytes *out, const char *reason)
{
    bytes_puts(out, "},\"logprobs\":null,\"finish_reason\":");
    bytes_json_string(out, reason);
    if (reason && answer->spec.usage == USAGE_CHOICE) {
        bytes_puts(out, ",\"usage\":");
        answer_usage(answer, out);
    }
    bytes_puts(out, "}]");
    if (reason && answer->spec.usage == USAGE_FINISH) {
        bytes_puts(out, ",\"usage\":");
        answer_usage(answer, out);
    } else if (answer->include_usage && answer->spec.usage == USAGE_ASK) {
        bytes_puts(out, ",\"usage\":null");
    }
}

static void token_chunk(struct answer *answer, struct bytes *out, bool thinking, const struct bytes *token)
{
    const char *member = thinking ? "reasoning_content" : "content";
    size_t start = out->len;

    chunk_open(answer, out);
    bytes_printf(out, "\"%s\":\"", member);
    bytes_json(out, token->data, token->len);
    bytes_puts(out, "\"");
    if (answer->spec.nulls)
        bytes_printf(out, ",\"%s\":null,\"refusal\":null,\"tool_calls\":null,\"function_call\":null",
                     *member == 'c' ? "reasoning_content" : "content");
    delta_close(answer, out, NULL);
    size_t line = out->len - start + strlen(",\"obfuscation\":\"\"}");
    if (answer->spec.longline != MODEL_UNSET && *member == 'c' && answer->content_tokens == 0 && line <= answer->spec.longline) {
        bytes_puts(out, ",\"obfuscation\":\""); /* a member that readers ignore: the answer stays the same */
        answer->pad_left = answer->spec.longline - line + 1;
        answer->event_at = SIZE_MAX; /* its start will be gone when it ends */
        return;
    }
    bytes_puts(out, "}");
    event_close(answer, out);
}

/* The annotation chunk that one vendor sends before everything else: no choices, empty names. */
static void filter_chunk(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    data_field(answer, out);
    bytes_puts(
        out,
        "{\"id\":\"\",\"choices\":[],\"created\":0,\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0,"
        "\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}");
    event_close(answer, out);
}

static void role_chunk(struct answer *answer, struct bytes *out)
{
    if (answer->spec.choices_empty)
        filter_chunk(answer, out);
    if (answer->spec.role == ROLE_NONE)
        return;
    chunk_open(answer, out);
    if (answer->spec.role == ROLE_FIRST)
        bytes_puts(out, "\"role\":\"assistant\",");
    bytes_puts(out, answer->spec.nulls || answer->spec.tool ? "\"content\":null" : "\"content\":\"\"");
    if (answer->spec.nulls)
        bytes_puts(out, ",\"reasoning_content\":null,\"tool_calls\":null");
    bytes_puts(out, answer->spec.tool ? "" : ",\"refusal\":null");
    delta_close(answer, out, NULL);
    bytes_puts(out, "}");
    event_close(answer, out);
}

/* One fragment of the tool call; false after the last one. */
static bool tool_chunk(struct answer *answer, struct bytes *out)
{
    const char *fragment = answer_tool_arguments()[answer->tool_step];

    if (!fragment)
        return false;
    chunk_open(answer, out);
    bytes_puts(out, "\"tool_calls\":[{\"index\":0,");
    if (answer->tool_step == 0)
        bytes_printf(out, "\"id\":\"call_%016llx\",\"type\":\"function\",\"function\":{\"name\":\"" ANSWER_TOOL_NAME "\",",
                     (unsigned long long)answer->id[1]);
    else
        bytes_puts(out, "\"function\":{");
    bytes_puts(out, "\"arguments\":\"");
    bytes_json(out, fragment, strlen(fragment));
    bytes_puts(out, "\"}}]");
    delta_close(answer, out, NULL);
    bytes_puts(out, "}");
    answer->tool_step++;
    event_close(answer, out);
    return true;
}

static void finish_chunk(struct answer *answer, struct bytes *out)
{
    chunk_open(answer, out);
    if (answer->spec.role == ROLE_EACH) /* the constant part ends with a comma: give it something to separate */
        bytes_puts(out, answer->spec.nulls ? "\"content\":null" : "\"content\":\"\"");
    else if (answer->spec.nulls)
        bytes_puts(out, "\"content\":null,\"reasoning_content\":null");
    delta_close(answer, out, answer_finish_reason(answer));
    bytes_puts(out, "}");
    event_close(answer, out);
}

static void usage_chunk(struct answer *answer, struct bytes *out)
{
    if (answer->spec.usage != USAGE_ALWAYS && (answer->spec.usage != USAGE_ASK || !answer->include_usage))
        return;
    event_open(answer, out);
    bytes_put(out, answer->open.data, answer->base_end);
    bytes_puts(out, "\"choices\":[],\"usage\":");
    answer_usage(answer, out);
    bytes_puts(out, "}");
    event_close(answer, out);
}

static void done_event(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    data_field(answer, out);
    bytes_puts(out, "[DONE]");
    event_close(answer, out);
}

static void error_event(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    data_field(answer, out);
    bytes_puts(out, "{\"error\":{\"message\":\"" VOICE_ERROR "\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    event_close(answer, out);
}

static void refusal_body(struct bytes *out, unsigned status, const char *message, const char *type, const char *param, const char *code)
{
    (void)status;
    bytes_puts(out, "{\"error\":{\"message\":");
    bytes_json_string(out, message);
    bytes_puts(out, ",\"type\":");
    bytes_json_string(out, type);
    bytes_puts(out, ",\"param\":");
    bytes_json_string(out, param);
    bytes_puts(out, ",\"code\":");
    bytes_json_string(out, code);
    bytes_puts(out, "}}\n");
}

const struct voice voice_openai = {
    .type = "text/event-stream; charset=utf-8",
    .key_header = "authorization",
    .prepare = prepare,
    .open = role_chunk,
    .comment = event_comment,
    .token = token_chunk,
    .tool = tool_chunk,
    .finish = finish_chunk,
    .usage = usage_chunk,
    .done = done_event,
    .error = error_event,
    .refusal = refusal_body,
};
