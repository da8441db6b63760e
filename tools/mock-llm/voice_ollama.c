/* voice_ollama - Ollama's own chat: one JSON object a line; the last one carries the reason and the counts. */
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "answer_event.h"
#include "chat_read.h"
#include "model_spec.h"
#include "voice.h"

/* ---- the request ---- */

static bool message_text(const cJSON *message, struct bytes *out)
{
    const char *content = chat_read_string(message, "content");
    const cJSON *calls = cJSON_GetObjectItemCaseSensitive(message, "tool_calls"), *call;

    bytes_puts(out, content ? content : "");
    cJSON_ArrayForEach(call, calls)
    {
        const cJSON *function = cJSON_GetObjectItemCaseSensitive(call, "function");
        if (!chat_read_string(function, "name") || !cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(function, "arguments")))
            return false;
    }
    return content != NULL;
}

static bool read_request(struct chat_request *request, const struct http_head *head, struct chat_refusal *refusal)
{
    const cJSON *root = request->root, *options = cJSON_GetObjectItemCaseSensitive(root, "options");

    (void)head;
    request->max_tokens = MODEL_UNSET;
    if (!chat_read_known(root, " model messages stream options tools format think keep_alive ", refusal) || !chat_read_model(request, refusal))
        return false;
    if (options && !cJSON_IsObject(options))
        return chat_request_refuse(refusal, "options", NULL, "options: an object is expected");
    if (!chat_request_limit(cJSON_GetObjectItemCaseSensitive(options, "num_predict"), &request->max_tokens))
        return chat_request_refuse(refusal, "options", NULL, "num_predict: a positive number is expected");
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(root, "stream")))
        return chat_request_refuse(refusal, "stream", NULL, "stream: this server only streams in this dialect");
    request->stream = true;
    return chat_read_messages(request, cJSON_GetObjectItemCaseSensitive(root, "messages"), " system user assistant tool ", message_text,
                              refusal);
}

/* ---- the answer ---- */

static void prepare(struct answer *answer, const struct chat_request *request, uint64_t created)
{
    time_t seconds = (time_t)created;
    struct tm parts;
    char text[40];

    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    bytes_puts(&answer->open, "{\"model\":\"");
    bytes_json(&answer->open, request->model, strlen(request->model));
    bytes_printf(&answer->open, "\",\"created_at\":\"%s\"", text);
}

static void line_open(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    bytes_put(out, answer->open.data, answer->open.len);
}

static void no_open(struct answer *answer, struct bytes *out)
{
    (void)answer;
    (void)out;
}

static void token_line(struct answer *answer, struct bytes *out, bool thinking, const struct bytes *token)
{
    line_open(answer, out);
    bytes_puts(out, ",\"message\":{\"role\":\"assistant\",");
    if (thinking)
        bytes_puts(out, "\"content\":\"\",");
    event_text(out, thinking ? "thinking" : "content", token);
    bytes_puts(out, "},\"done\":false}");
    event_close(answer, out);
}

static bool tool_line(struct answer *answer, struct bytes *out)
{
    if (answer->tool_step++ > 0)
        return false;
    line_open(answer, out);
    bytes_puts(out, ",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"" ANSWER_TOOL_NAME "\",\"arguments\":");
    voice_tool_json(out);
    bytes_puts(out, "}}]},\"done\":false}");
    event_close(answer, out);
    return true;
}

/* Reason, counts and end marker are one object here: finish=no leaves the reason out, done=no the whole object. */
static void last_line(struct answer *answer, struct bytes *out)
{
    line_open(answer, out);
    bytes_puts(out, ",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true");
    if (strcmp(answer->spec.finish, "no")) {
        bytes_puts(out, ",\"done_reason\":");
        bytes_json_string(out, voice_reason(answer, "stop", "length", "stop"));
    }
    bytes_puts(out, ",\"total_duration\":1");
    if (answer->spec.usage != USAGE_NO)
        bytes_printf(out, ",\"prompt_eval_count\":%llu,\"eval_count\":%llu", (unsigned long long)answer->prompt_tokens,
                     (unsigned long long)answer->tokens);
    bytes_puts(out, "}");
    event_close(answer, out);
}

static void error_line(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    bytes_puts(out, "{\"error\":\"" VOICE_ERROR "\"}");
    event_close(answer, out);
}

static void refusal_body(struct bytes *out, unsigned status, const char *message, const char *type, const char *param, const char *code)
{
    (void)status;
    (void)type;
    (void)param;
    (void)code;
    bytes_puts(out, "{\"error\":");
    bytes_json_string(out, message);
    bytes_puts(out, "}\n");
}

const struct voice voice_ollama = {
    .type = "application/x-ndjson",
    .key_header = "authorization",
    .lines = true,
    .read = read_request,
    .prepare = prepare,
    .open = no_open,
    .token = token_line,
    .tool = tool_line,
    .finish = no_open,
    .done = last_line,
    .error = error_line,
    .refusal = refusal_body,
};
