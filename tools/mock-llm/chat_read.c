#include "chat_read.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static bool is_among(const char *names, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = names; (at = strstr(at, name)); at++)
        if (at > names && at[-1] == ' ' && at[size] == ' ')
            return true;
    return false;
}

bool chat_read_known(const cJSON *object, const char *names, struct chat_refusal *refusal)
{
    const cJSON *member;

    if (!cJSON_IsObject(object))
        return chat_request_refuse(refusal, NULL, NULL, "an object is expected");
    cJSON_ArrayForEach(member, object)
    {
        if (is_among(names, member->string))
            continue;
        chat_request_refuse(refusal, NULL, NULL, "unknown member: ");
        bytes_puts(&refusal->message, member->string);
        return false;
    }
    return true;
}

const char *chat_read_string(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(member) ? member->valuestring : NULL;
}

bool chat_read_model(struct chat_request *request, struct chat_refusal *refusal)
{
    request->model = chat_read_string(request->root, "model");
    return (request->model && *request->model) || chat_request_refuse(refusal, "model", NULL, "model: a name is expected");
}

bool chat_read_messages(struct chat_request *request, const cJSON *list, const char *roles,
                        bool (*text)(const cJSON *message, struct bytes *out), struct chat_refusal *refusal)
{
    struct bytes said = {0};
    const cJSON *message;
    uint64_t total = 0;

    if (!cJSON_IsArray(list) || !list->child)
        return chat_request_refuse(refusal, "messages", NULL, "messages: at least one is expected");
    request->messages = list;
    cJSON_ArrayForEach(message, list)
    {
        const char *role = chat_read_string(message, "role");
        said.len = 0;
        if (!role || !is_among(roles, role) || !text(message, &said)) {
            bytes_free(&said);
            return chat_request_refuse(refusal, "messages", NULL, "messages: one has a role or a content that this dialect does not have");
        }
        total += said.len;
        chat_request_begun(request, role, &said);
        request->message_count++;
        if (!strcmp(role, "user") && said.len) {
            free(request->prompt);
            request->prompt = bytes_copy(said.data, said.len);
        }
    }
    bytes_free(&said);
    if (!request->prompt)
        request->prompt = bytes_copy("", 0);
    request->prompt_tokens = total / 4 + 1;
    return true;
}
