/* voice_dashscope - DashScope's own text generation: events with a status in a comment; unless incremental_output is asked for, each repeats
 * the whole text so far. */
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "answer_event.h"
#include "chat_read.h"
#include "http_request.h"
#include "model_spec.h"
#include "voice.h"

/* ---- the request ---- */

static bool message_text(const cJSON *message, struct bytes *out)
{
    const char *content = chat_read_string(message, "content");

    bytes_puts(out, content ? content : "");
    return content != NULL;
}

static bool read_request(struct chat_request *request, const struct http_head *head, struct chat_refusal *refusal)
{
    const cJSON *root = request->root, *parameters = cJSON_GetObjectItemCaseSensitive(root, "parameters");
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(root, "input");
    const char *sse = http_head_get(head, "x-dashscope-sse"), *format = chat_read_string(parameters, "result_format");

    request->max_tokens = MODEL_UNSET;
    if (!sse || strcasecmp(sse, "enable"))
        return chat_request_refuse(refusal, NULL, NULL, "this server only streams in this dialect: X-DashScope-SSE: enable");
    if (!chat_read_known(root, " model input parameters ", refusal) || !chat_read_model(request, refusal))
        return false;
    if (!format || strcmp(format, "message"))
        return chat_request_refuse(refusal, "parameters", NULL, "result_format: only \"message\" is spoken here");
    if (!chat_request_limit(cJSON_GetObjectItemCaseSensitive(parameters, "max_tokens"), &request->max_tokens))
        return chat_request_refuse(refusal, "parameters", NULL, "max_tokens: a positive number is expected");
    request->stream = true;
    request->repeat = !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(parameters, "incremental_output"));
    return chat_read_messages(request, cJSON_GetObjectItemCaseSensitive(input, "messages"), " system user assistant tool ", message_text,
                              refusal);
}

/* ---- the answer ---- */

static void prepare(struct answer *answer, const struct chat_request *request, uint64_t created)
{
    (void)answer;
    (void)request;
    (void)created;
}

static void no_open(struct answer *answer, struct bytes *out)
{
    (void)answer;
    (void)out;
}

static void head_of_event(struct answer *answer, struct bytes *out, const char *name, unsigned status)
{
    event_open(answer, out);
    bytes_printf(out, "id:%llu", (unsigned long long)answer->events + 1);
    event_line_end(answer, out);
    bytes_printf(out, "event:%s", name);
    event_line_end(answer, out);
    bytes_printf(out, ":HTTP_STATUS/%u", status);
    event_line_end(answer, out);
    bytes_puts(out, "data:");
}

/* What follows the message. */
static void event_tail(struct answer *answer, struct bytes *out, const char *reason)
{
    bytes_puts(out, "},\"finish_reason\":");
    bytes_json_string(out, reason);
    bytes_puts(out, "}]}");
    if (answer->spec.usage != USAGE_NO)
        bytes_printf(out, ",\"usage\":{\"total_tokens\":%llu,\"output_tokens\":%llu,\"input_tokens\":%llu}",
                     (unsigned long long)(answer->prompt_tokens + answer->tokens), (unsigned long long)answer->tokens,
                     (unsigned long long)answer->prompt_tokens);
    bytes_printf(out, ",\"request_id\":\"%016llx\"}", (unsigned long long)answer->id[0]);
    event_close(answer, out);
}

/* The content and the thinking of an event; NULL: what has been said so far, or nothing in deltas. */
static void message_open(struct answer *answer, struct bytes *out, const struct bytes *content, const struct bytes *thinking)
{
    static const struct bytes nothing = {0};

    head_of_event(answer, out, "result", 200);
    bytes_puts(out, "{\"output\":{\"choices\":[{\"message\":{\"role\":\"assistant\",");
    event_text(out, "content", content ? content : answer->repeat ? &answer->said : &nothing);
    bytes_puts(out, ",");
    event_text(out, "reasoning_content", thinking ? thinking : answer->repeat ? &answer->open : &nothing);
}

/* open holds the thinking so far, said the text. */
static void token_event(struct answer *answer, struct bytes *out, bool thinking, const struct bytes *token)
{
    struct bytes *all = thinking ? &answer->open : &answer->said;

    if (answer->repeat)
        bytes_put(all, token->data, token->len);
    else
        all = (struct bytes *)(uintptr_t)token;
    message_open(answer, out, thinking ? NULL : all, thinking ? all : NULL);
    event_tail(answer, out, "null");
}

static bool tool_event(struct answer *answer, struct bytes *out)
{
    const char *const *fragments = answer_tool_arguments();
    const char *fragment = fragments[answer->tool_step];

    if (!fragment)
        return false;
    message_open(answer, out, NULL, NULL);
    bytes_puts(out, ",\"tool_calls\":[{\"index\":0,\"type\":\"function\",");
    if (answer->repeat || answer->tool_step == 0)
        bytes_printf(out, "\"id\":\"call_%016llx\",\"function\":{\"name\":\"" ANSWER_TOOL_NAME "\",", (unsigned long long)answer->id[1]);
    else
        bytes_puts(out, "\"id\":\"\",\"function\":{");
    bytes_puts(out, "\"arguments\":\"");
    for (uint32_t i = answer->repeat ? 0 : answer->tool_step; i <= answer->tool_step; i++)
        bytes_json(out, fragments[i], strlen(fragments[i]));
    bytes_puts(out, "\"}}]");
    answer->tool_step++;
    event_tail(answer, out, "null");
    return true;
}

static void finish_event(struct answer *answer, struct bytes *out)
{
    message_open(answer, out, NULL, NULL);
    event_tail(answer, out, voice_reason(answer, "tool_calls", "length", "stop"));
}

static void error_event(struct answer *answer, struct bytes *out)
{
    head_of_event(answer, out, "error", 500);
    bytes_puts(out, "{\"code\":\"InternalError\",\"message\":\"" VOICE_ERROR "\",\"request_id\":\"r\"}");
    event_close(answer, out);
}

static void refusal_body(struct bytes *out, unsigned status, const char *message, const char *type, const char *param, const char *code)
{
    (void)type;
    (void)param;
    (void)code;
    bytes_printf(out, "{\"code\":\"%s\",\"message\":", status == 401   ? "InvalidApiKey"
                                                      : status == 429 ? "Throttling.RateQuota"
                                                      : status == 503 ? "ServiceUnavailable"
                                                      : status >= 400 && status < 500 ? "InvalidParameter"
                                                                      : "InternalError");
    bytes_json_string(out, message);
    bytes_puts(out, ",\"request_id\":\"r\"}\n");
}

const struct voice voice_dashscope = {
    .type = "text/event-stream;charset=UTF-8",
    .key_header = "authorization",
    .read = read_request,
    .prepare = prepare,
    .open = no_open,
    .comment = event_comment,
    .token = token_event,
    .tool = tool_event,
    .finish = finish_event,
    .error = error_event,
    .refusal = refusal_body,
};
