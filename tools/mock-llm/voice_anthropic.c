/* voice_anthropic - Anthropic's Messages: named events, content blocks that begin and end. */
#include <string.h>

#include <cjson/cJSON.h>

#include "answer_event.h"
#include "chat_read.h"
#include "http_request.h"
#include "model_spec.h"
#include "voice.h"

enum { NO_BLOCK, THINKING_BLOCK, TEXT_BLOCK, TOOL_BLOCK };

/* ---- the request ---- */

static bool block_text(const cJSON *block, struct bytes *out)
{
    const char *type = chat_read_string(block, "type"), *text = chat_read_string(block, "text");

    if (!type)
        return false;
    if (!strcmp(type, "text")) {
        bytes_puts(out, text ? text : "");
        return text && *text;
    }
    if (!strcmp(type, "tool_use"))
        return chat_read_string(block, "id") && chat_read_string(block, "name") &&
               cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(block, "input"));
    if (!strcmp(type, "tool_result"))
        return chat_read_string(block, "tool_use_id") != NULL;
    return !strcmp(type, "image") && cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(block, "source"));
}

static bool message_text(const cJSON *message, struct bytes *out)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content"), *block;

    if (cJSON_IsString(content)) {
        bytes_puts(out, content->valuestring);
        return *content->valuestring != '\0';
    }
    if (!cJSON_IsArray(content) || !content->child)
        return false;
    cJSON_ArrayForEach(block, content) if (!block_text(block, out)) return false;
    return true;
}

static bool read_request(struct chat_request *request, const struct http_head *head, struct chat_refusal *refusal)
{
    const cJSON *root = request->root;

    request->max_tokens = MODEL_UNSET;
    if (!http_head_get(head, "anthropic-version"))
        return chat_request_refuse(refusal, NULL, NULL, "anthropic-version: header is required");
    if (!chat_read_known(root,
                         " model max_tokens messages system stream temperature top_p top_k stop_sequences tools tool_choice metadata thinking ",
                         refusal) ||
        !chat_read_model(request, refusal))
        return false;
    if (!chat_request_limit(cJSON_GetObjectItemCaseSensitive(root, "max_tokens"), &request->max_tokens) || request->max_tokens == MODEL_UNSET)
        return chat_request_refuse(refusal, "max_tokens", NULL, "max_tokens: a positive number is required");
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "stream")))
        return chat_request_refuse(refusal, "stream", NULL, "stream: this server only streams in this dialect");
    request->stream = true;
    if (!chat_read_messages(request, cJSON_GetObjectItemCaseSensitive(root, "messages"), " user assistant ", message_text, refusal))
        return false;
    if (request->begun && strchr(" \t\r\n\v\f", request->begun[strlen(request->begun) - 1]))
        return chat_request_refuse(refusal, "messages", NULL, "messages: final assistant content cannot end with trailing whitespace");
    return true;
}

/* ---- the answer ---- */

static void prepare(struct answer *answer, const struct chat_request *request, uint64_t created)
{
    (void)created;
    bytes_puts(&answer->open, "\"model\":\"");
    bytes_json(&answer->open, request->model, strlen(request->model));
    bytes_puts(&answer->open, "\"");
}

static void start_event(struct answer *answer, struct bytes *out)
{
    event_named(answer, out, "message_start");
    bytes_printf(out, "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_%016llx%016llx\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],",
                 (unsigned long long)answer->id[0], (unsigned long long)answer->id[1]);
    bytes_put(out, answer->open.data, answer->open.len);
    bytes_puts(out, ",\"stop_reason\":null,\"stop_sequence\":null");
    if (answer->spec.usage != USAGE_NO)
        bytes_printf(out, ",\"usage\":{\"input_tokens\":%llu,\"output_tokens\":1}", (unsigned long long)answer->prompt_tokens);
    bytes_puts(out, "}}");
    event_close(answer, out);
}

static void ping_event(struct answer *answer, struct bytes *out)
{
    event_named(answer, out, "ping");
    bytes_puts(out, "{\"type\":\"ping\"}");
    event_close(answer, out);
}

static void block_end(struct answer *answer, struct bytes *out)
{
    if (answer->block_kind == NO_BLOCK)
        return;
    event_named(answer, out, "content_block_stop");
    bytes_printf(out, "{\"type\":\"content_block_stop\",\"index\":%u}", answer->blocks - 1);
    event_close(answer, out);
    answer->block_kind = NO_BLOCK;
}

static void block_begin(struct answer *answer, struct bytes *out, uint32_t kind)
{
    if (answer->block_kind == kind)
        return;
    block_end(answer, out);
    event_named(answer, out, "content_block_start");
    bytes_printf(out, "{\"type\":\"content_block_start\",\"index\":%u,\"content_block\":", answer->blocks++);
    if (kind == TOOL_BLOCK)
        bytes_printf(out, "{\"type\":\"tool_use\",\"id\":\"toolu_%016llx\",\"name\":\"" ANSWER_TOOL_NAME "\",\"input\":{}}}",
                     (unsigned long long)answer->id[1]);
    else
        bytes_puts(out, kind == TEXT_BLOCK ? "{\"type\":\"text\",\"text\":\"\"}}" : "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}");
    event_close(answer, out);
    answer->block_kind = kind;
}

static void delta_event(struct answer *answer, struct bytes *out, const char *type, const char *member, const struct bytes *text)
{
    event_named(answer, out, "content_block_delta");
    bytes_printf(out, "{\"type\":\"content_block_delta\",\"index\":%u,\"delta\":{\"type\":\"%s\",", answer->blocks - 1, type);
    event_text(out, member, text);
    bytes_puts(out, "}}");
    event_close(answer, out);
}

static void token_event(struct answer *answer, struct bytes *out, bool thinking, const struct bytes *token)
{
    struct bytes signature = {.data = (char *)(uintptr_t) "c2lnbmVk", .len = 8};

    if (!thinking && answer->block_kind == THINKING_BLOCK)
        delta_event(answer, out, "signature_delta", "signature", &signature);
    block_begin(answer, out, thinking ? THINKING_BLOCK : TEXT_BLOCK);
    delta_event(answer, out, thinking ? "thinking_delta" : "text_delta", thinking ? "thinking" : "text", token);
}

static bool tool_event(struct answer *answer, struct bytes *out)
{
    const char *fragment = answer_tool_arguments()[answer->tool_step];
    struct bytes text = {.data = (char *)(uintptr_t)fragment, .len = fragment ? strlen(fragment) : 0};

    if (!fragment)
        return false;
    block_begin(answer, out, TOOL_BLOCK);
    delta_event(answer, out, "input_json_delta", "partial_json", &text);
    answer->tool_step++;
    return true;
}

static void finish_event(struct answer *answer, struct bytes *out)
{
    block_end(answer, out);
    event_named(answer, out, "message_delta");
    bytes_puts(out, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":");
    bytes_json_string(out, voice_reason(answer, "tool_use", "max_tokens", "end_turn"));
    bytes_puts(out, ",\"stop_sequence\":null}");
    if (answer->spec.usage != USAGE_NO)
        bytes_printf(out, ",\"usage\":{\"output_tokens\":%llu}", (unsigned long long)answer->tokens);
    bytes_puts(out, "}");
    event_close(answer, out);
}

static void done_event(struct answer *answer, struct bytes *out)
{
    event_named(answer, out, "message_stop");
    bytes_puts(out, "{\"type\":\"message_stop\"}");
    event_close(answer, out);
}

static void error_event(struct answer *answer, struct bytes *out)
{
    event_named(answer, out, "error");
    bytes_puts(out, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"" VOICE_ERROR "\"}}");
    event_close(answer, out);
}

static void refusal_body(struct bytes *out, unsigned status, const char *message, const char *type, const char *param, const char *code)
{
    static const struct {
        unsigned status;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"}, {404, "not_found_error"}, {429, "rate_limit_error"}, {529, "overloaded_error"}};
    const char *word = status < 400 || status >= 500 ? "api_error" : "invalid_request_error";

    (void)type;
    (void)param;
    (void)code;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].status == status)
            word = types[i].type;
    bytes_printf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", word);
    bytes_json_string(out, message);
    bytes_puts(out, "}}\n");
}

const struct voice voice_anthropic = {
    .type = "text/event-stream; charset=utf-8",
    .key_header = "x-api-key",
    .read = read_request,
    .prepare = prepare,
    .open = start_event,
    .comment = ping_event,
    .token = token_event,
    .tool = tool_event,
    .finish = finish_event,
    .done = done_event,
    .error = error_event,
    .refusal = refusal_body,
};
