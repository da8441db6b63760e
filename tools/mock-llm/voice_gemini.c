/* voice_gemini - Gemini's streamGenerateContent: events with alt=sse, else one JSON array; no end marker but the array's. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "answer_event.h"
#include "chat_read.h"
#include "http_request.h"
#include "model_spec.h"
#include "voice.h"

/* ---- the request ---- */

static bool part_text(const cJSON *part, struct bytes *out)
{
    const char *text = chat_read_string(part, "text");
    const cJSON *call = cJSON_GetObjectItemCaseSensitive(part, "functionCall");
    const cJSON *answer = cJSON_GetObjectItemCaseSensitive(part, "functionResponse");

    bytes_puts(out, text ? text : "");
    return text || (chat_read_string(call, "name") && cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(call, "args"))) ||
           (chat_read_string(answer, "name") && cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(answer, "response"))) ||
           cJSON_GetObjectItemCaseSensitive(part, "inlineData") || cJSON_GetObjectItemCaseSensitive(part, "fileData");
}

static bool content_text(const cJSON *content, struct bytes *out)
{
    const cJSON *parts = cJSON_GetObjectItemCaseSensitive(content, "parts"), *part;

    if (!cJSON_IsArray(parts) || !parts->child)
        return false;
    cJSON_ArrayForEach(part, parts) if (!part_text(part, out)) return false;
    return true;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The model in the path: between the last slash and the last colon, percent-decoded. */
static char *model_of(const char *target)
{
    size_t size = strcspn(target, "?#");
    struct bytes name = {0};
    const char *end = target + size, *at = target;
    char *copy;

    while (end > target && *--end != ':')
        continue;
    for (const char *p = target; p < end; p++)
        if (*p == '/')
            at = p + 1;
    for (; at < end; at++) {
        char byte = *at;
        if (byte == '%' && end - at > 2 && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
            byte = (char)(hex(at[1]) * 16 + hex(at[2]));
            at += 2;
        }
        bytes_put(&name, &byte, 1);
    }
    copy = bytes_copy(name.data, name.len);
    bytes_free(&name);
    return copy;
}

static bool read_request(struct chat_request *request, const struct http_head *head, struct chat_refusal *refusal)
{
    const cJSON *root = request->root, *config = cJSON_GetObjectItemCaseSensitive(root, "generationConfig");
    char *alt = http_query_get(head->target, "alt");

    request->array = !alt || strcmp(alt, "sse");
    free(alt);
    request->max_tokens = MODEL_UNSET;
    request->stream = true;
    request->model = request->model_owned = model_of(head->target);
    if (!chat_read_known(root, " contents systemInstruction generationConfig tools toolConfig safetySettings cachedContent ", refusal))
        return false;
    if (config && !chat_read_known(config,
                                   " temperature topP topK seed maxOutputTokens stopSequences presencePenalty frequencyPenalty responseMimeType "
                                   "responseSchema ",
                                   refusal))
        return false;
    if (!chat_request_limit(cJSON_GetObjectItemCaseSensitive(config, "maxOutputTokens"), &request->max_tokens))
        return chat_request_refuse(refusal, NULL, NULL, "maxOutputTokens: a positive number is expected");
    return chat_read_messages(request, cJSON_GetObjectItemCaseSensitive(root, "contents"), " user model ", content_text, refusal);
}

/* ---- the answer ---- */

static void prepare(struct answer *answer, const struct chat_request *request, uint64_t created)
{
    (void)created;
    bytes_puts(&answer->open, ",\"modelVersion\":\"");
    bytes_json(&answer->open, request->model, strlen(request->model));
    bytes_puts(&answer->open, "\"");
}

static void object_open(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    if (answer->array)
        bytes_puts(out, answer->blocks++ ? "," : "[");
    else
        bytes_puts(out, "data: ");
}

static void no_open(struct answer *answer, struct bytes *out)
{
    (void)answer;
    (void)out;
}

/* What follows the candidate's content. */
static void object_close(struct answer *answer, struct bytes *out, const char *reason)
{
    if (reason) {
        bytes_puts(out, ",\"finishReason\":");
        bytes_json_string(out, reason);
    }
    bytes_puts(out, ",\"index\":0}]");
    if (answer->spec.usage != USAGE_NO)
        bytes_printf(out, ",\"usageMetadata\":{\"promptTokenCount\":%llu,\"candidatesTokenCount\":%llu,\"thoughtsTokenCount\":%llu}",
                     (unsigned long long)answer->prompt_tokens, (unsigned long long)(answer->tokens - answer->reasoning_tokens),
                     (unsigned long long)answer->reasoning_tokens);
    bytes_put(out, answer->open.data, answer->open.len);
    bytes_puts(out, "}");
    event_close(answer, out);
}

static void token_object(struct answer *answer, struct bytes *out, bool thinking, const struct bytes *token)
{
    object_open(answer, out);
    bytes_puts(out, "{\"candidates\":[{\"content\":{\"parts\":[{");
    event_text(out, "text", token);
    bytes_printf(out, "%s}],\"role\":\"model\"}", thinking ? ",\"thought\":true" : "");
    object_close(answer, out, NULL);
}

static bool tool_object(struct answer *answer, struct bytes *out)
{
    if (answer->tool_step++ > 0)
        return false;
    object_open(answer, out);
    bytes_puts(out, "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"" ANSWER_TOOL_NAME "\",\"args\":");
    voice_tool_json(out);
    bytes_puts(out, "}}],\"role\":\"model\"}");
    object_close(answer, out, NULL);
    return true;
}

static void finish_object(struct answer *answer, struct bytes *out)
{
    object_open(answer, out);
    bytes_puts(out, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"}");
    object_close(answer, out, voice_reason(answer, "STOP", "MAX_TOKENS", "STOP"));
}

static void array_end(struct answer *answer, struct bytes *out)
{
    if (!answer->array)
        return;
    event_open(answer, out);
    bytes_puts(out, answer->blocks ? "]" : "[]");
    event_close(answer, out);
}

static void error_object(struct answer *answer, struct bytes *out)
{
    object_open(answer, out);
    bytes_puts(out, "{\"error\":{\"code\":500,\"message\":\"" VOICE_ERROR "\",\"status\":\"INTERNAL\"}}");
    event_close(answer, out);
}

static void refusal_body(struct bytes *out, unsigned status, const char *message, const char *type, const char *param, const char *code)
{
    static const struct {
        unsigned status;
        const char *word;
    } words[] = {{400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"}, {403, "PERMISSION_DENIED"}, {404, "NOT_FOUND"}, {429, "RESOURCE_EXHAUSTED"},
                 {500, "INTERNAL"},         {503, "UNAVAILABLE"},     {504, "DEADLINE_EXCEEDED"}};
    const char *word = "UNKNOWN";

    (void)type;
    (void)param;
    (void)code;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].status == status)
            word = words[i].word;
    bytes_printf(out, "{\"error\":{\"code\":%u,\"message\":", status < 400 ? 500 : status);
    bytes_json_string(out, message);
    bytes_printf(out, ",\"status\":\"%s\"}}\n", word);
}

const struct voice voice_gemini = {
    .type = "text/event-stream",
    .key_header = "x-goog-api-key",
    .crlf = true,
    .read = read_request,
    .prepare = prepare,
    .open = no_open,
    .token = token_object,
    .tool = tool_object,
    .finish = finish_object,
    .done = array_end,
    .error = error_object,
    .refusal = refusal_body,
};
