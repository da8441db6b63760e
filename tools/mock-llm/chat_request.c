#include "chat_request.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "model_spec.h"
#include "text.h"
#include "voice.h"

bool chat_request_refuse(struct chat_refusal *refusal, const char *param, const char *code, const char *message)
{
    refusal->message.len = 0;
    bytes_puts(&refusal->message, message);
    refusal->param = param;
    refusal->code = code;
    return false;
}

/* Appends the text of a message's content: a string, or an array of parts of which the text ones count. */
static bool content_text(const cJSON *content, struct bytes *out)
{
    const cJSON *part;

    if (!content || cJSON_IsNull(content)) /* an assistant message that only calls tools */
        return true;
    if (cJSON_IsString(content)) {
        bytes_puts(out, content->valuestring);
        return true;
    }
    if (!cJSON_IsArray(content))
        return false;
    cJSON_ArrayForEach(part, content)
    {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(part, "type");
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(part, "text");
        if (!cJSON_IsString(type))
            return false;
        if (!strcmp(type->valuestring, "text")) {
            if (!cJSON_IsString(text))
                return false;
            bytes_puts(out, text->valuestring);
        }
    }
    return true;
}

void chat_request_begun(struct chat_request *request, const char *role, const struct bytes *text)
{
    free(request->begun);
    request->begun = text->len && (!strcmp(role, "assistant") || !strcmp(role, "model")) ? bytes_copy(text->data, text->len) : NULL;
}

static bool messages_check(struct chat_request *request, struct chat_refusal *refusal)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    struct bytes text = {0};
    const cJSON *message;
    uint64_t total = 0;
    bool ok = true;

    cJSON_ArrayForEach(message, request->messages)
    {
        const cJSON *role = cJSON_GetObjectItemCaseSensitive(message, "role");
        bool known = false;
        for (size_t i = 0; cJSON_IsString(role) && i < sizeof roles / sizeof roles[0]; i++)
            known |= !strcmp(role->valuestring, roles[i]);
        if (!known) {
            ok = chat_request_refuse(refusal, "messages", NULL, "each message needs a role: system, developer, user, assistant or tool");
            break;
        }
        text.len = 0;
        if (!content_text(cJSON_GetObjectItemCaseSensitive(message, "content"), &text)) {
            ok = chat_request_refuse(refusal, "messages", NULL, "a message's content is a string, null, or an array of typed parts");
            break;
        }
        total += text.len;
        chat_request_begun(request, role->valuestring, &text);
        request->message_count++;
        if (!strcmp(role->valuestring, "user")) {
            free(request->prompt);
            request->prompt = bytes_copy(text.data, text.len);
        }
    }
    bytes_free(&text);
    if (!request->prompt)
        request->prompt = bytes_copy("", 0);
    request->prompt_tokens = total / 4 + 1;
    return ok;
}

bool chat_request_limit(const cJSON *item, uint64_t *ret)
{
    if (!item || cJSON_IsNull(item))
        return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < 1 || item->valuedouble > 1e15)
        return false;
    uint64_t limit = (uint64_t)item->valuedouble;
    if ((double)limit < item->valuedouble) /* a fraction */
        return false;
    *ret = limit;
    return true;
}

static bool bool_read(const cJSON *item, bool *ret)
{
    if (!item || cJSON_IsNull(item))
        return true;
    if (!cJSON_IsBool(item))
        return false;
    *ret = cJSON_IsTrue(item);
    return true;
}

static bool members_check(struct chat_request *request, struct chat_refusal *refusal)
{
    const cJSON *root = request->root, *model, *options, *n;

    if (!cJSON_IsObject(root))
        return chat_request_refuse(refusal, NULL, NULL, "We could not parse the JSON body of your request: an object is expected.");
    model = cJSON_GetObjectItemCaseSensitive(root, "model");
    if (!cJSON_IsString(model) || !*model->valuestring)
        return chat_request_refuse(refusal, NULL, NULL, "you must provide a model parameter");
    request->model = model->valuestring;
    request->messages = cJSON_GetObjectItemCaseSensitive(root, "messages");
    if (!request->messages)
        return chat_request_refuse(refusal, "messages", "missing_required_parameter", "Missing required parameter: 'messages'.");
    if (!cJSON_IsArray(request->messages) || !request->messages->child)
        return chat_request_refuse(refusal, "messages", "invalid_type",
                      "Invalid type for 'messages': expected an array of at least one message.");
    if (!messages_check(request, refusal))
        return false;
    if (!bool_read(cJSON_GetObjectItemCaseSensitive(root, "stream"), &request->stream))
        return chat_request_refuse(refusal, "stream", "invalid_type", "Invalid type for 'stream': expected a boolean.");
    options = cJSON_GetObjectItemCaseSensitive(root, "stream_options");
    if (options && !cJSON_IsNull(options)) {
        if (!request->stream)
            return chat_request_refuse(refusal, "stream_options", NULL,
                          "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        if (!cJSON_IsObject(options) ||
            !bool_read(cJSON_GetObjectItemCaseSensitive(options, "include_usage"), &request->include_usage))
            return chat_request_refuse(refusal, "stream_options", "invalid_type", "Invalid type for 'stream_options'.");
    }
    request->max_tokens = MODEL_UNSET;
    if (!chat_request_limit(cJSON_GetObjectItemCaseSensitive(root, "max_tokens"), &request->max_tokens))
        return chat_request_refuse(refusal, "max_tokens", "invalid_type", "Invalid 'max_tokens': expected a positive integer.");
    if (!chat_request_limit(cJSON_GetObjectItemCaseSensitive(root, "max_completion_tokens"), &request->max_tokens))
        return chat_request_refuse(refusal, "max_completion_tokens", "invalid_type",
                      "Invalid 'max_completion_tokens': expected a positive integer.");
    n = cJSON_GetObjectItemCaseSensitive(root, "n");
    if (n && !cJSON_IsNull(n) && (!cJSON_IsNumber(n) || n->valueint != 1))
        return chat_request_refuse(refusal, "n", NULL, "Invalid 'n': this server gives one choice.");
    return true;
}

bool chat_request_read(const struct voice *voice, const struct http_head *head, const char *body, size_t size, struct chat_request *ret,
                       struct chat_refusal *refusal)
{
    struct chat_request request = {.voice = voice};
    const char *end = NULL;

    if (text_is_utf8(body, size))
        request.root = cJSON_ParseWithLengthOpts(body, size, &end, 0);
    while (request.root && end < body + size && strchr(" \t\r\n", *end) && *end)
        end++;
    if (!request.root || end != body + size) {
        chat_request_refuse(refusal, NULL, NULL, "We could not parse the JSON body of your request.");
    } else if (voice->read ? voice->read(&request, head, refusal) : members_check(&request, refusal)) {
        *ret = request;
        return true;
    }
    chat_request_free(&request);
    return false;
}

bool chat_request_parse(const char *body, size_t size, struct chat_request *ret, struct chat_refusal *refusal)
{
    return chat_request_read(&voice_openai, NULL, body, size, ret, refusal);
}

static char *print(const cJSON *value)
{
    char *printed = cJSON_PrintUnformatted(value);
    char *copy = bytes_copy(printed ? printed : "[]", printed ? strlen(printed) : 2);

    cJSON_free(printed);
    return copy;
}

char *chat_request_messages(const struct chat_request *request)
{
    return print(request->messages);
}

char *chat_request_whole(const struct chat_request *request)
{
    return print(request->root);
}

void chat_request_free(struct chat_request *request)
{
    cJSON_Delete(request->root);
    free(request->prompt);
    free(request->begun);
    free(request->model_owned);
    *request = (struct chat_request){0};
}
