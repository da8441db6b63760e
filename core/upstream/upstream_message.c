#include "core/upstream/upstream_message.h"

#include <errno.h>
#include <string.h>

/* ---- reading ---- */

struct span upstream_text_member(const struct umbel_json *object, const char *name)
{
    struct span text = {NULL, 0};

    text.data = umbel_json_text(umbel_json_member(object, name), &text.size);
    return text;
}

static const struct {
    const char *word;
    enum upstream_role role;
} roles[] = {
    {"system", UPSTREAM_SYSTEM},       {"developer", UPSTREAM_SYSTEM}, {"user", UPSTREAM_USER},
    {"assistant", UPSTREAM_ASSISTANT}, {"tool", UPSTREAM_TOOL},        {"function", UPSTREAM_TOOL},
};

static int find_role(const struct umbel_json *message)
{
    struct span word = upstream_text_member(message, "role");

    for (size_t i = 0; word.data && i < sizeof roles / sizeof *roles; i++)
        if (span_is(word, roles[i].word))
            return (int)i;
    return -1;
}

enum upstream_role upstream_role_of(const struct umbel_json *message)
{
    int at = find_role(message);

    return at < 0 ? UPSTREAM_USER : roles[at].role;
}

static int check_messages(const struct umbel_json *messages, struct why *why)
{
    bool asks = false;

    for (const struct umbel_json *m = umbel_json_first(messages); m; m = umbel_json_next(m)) {
        if (find_role(m) < 0)
            return why_set(why, -EINVAL, "a message has no role that is known: system, developer, user, assistant, tool");
        asks |= upstream_role_of(m) != UPSTREAM_SYSTEM;
    }
    return asks ? 0 : why_set(why, -EINVAL, "the messages ask nothing");
}

int upstream_chat_read(const struct upstream_question *question, struct upstream_chat *ret, struct why *why)
{
    struct upstream_chat chat = {0};
    char words[256] = "";
    int r = 0;

    chat.messages = umbel_json_parse(question->messages, question->messages_size, words, sizeof words);
    if (umbel_json_type(chat.messages) != UMBEL_JSON_ARRAY)
        r = why_set(why, -EINVAL, "the messages are not a JSON array%s%s", words[0] ? ": " : "", words);
    else
        r = check_messages(chat.messages, why);
    if (r == 0 && question->parameters) {
        chat.parameters = umbel_json_parse(question->parameters, question->parameters_size, words, sizeof words);
        if (!chat.parameters)
            r = why_set(why, -EINVAL, "the parameters are not JSON: %s", words);
        else if (umbel_json_type(chat.parameters) != UMBEL_JSON_OBJECT)
            r = why_set(why, -EINVAL, "the parameters are not a JSON object");
    }
    if (r < 0)
        upstream_chat_free(&chat);
    else
        *ret = chat;
    return r;
}

void upstream_chat_free(struct upstream_chat *chat)
{
    umbel_json_free(chat->messages);
    umbel_json_free(chat->parameters);
    *chat = (struct upstream_chat){0};
}

/* "data:image/png;base64,AAAA" */
static bool read_data_url(struct span url, struct upstream_part *part)
{
    static const char marker[] = ";base64,";
    const char *at;

    if (!span_begins(url, "data:"))
        return false;
    at = memmem(url.data, url.size, marker, sizeof marker - 1);
    if (!at)
        return false;
    part->type = span_of(url.data + 5, (size_t)(at - url.data) - 5);
    part->data = span_of(at + sizeof marker - 1, (size_t)(url.data + url.size - at) - (sizeof marker - 1));
    return true;
}

static int read_part(const struct umbel_json *value, struct upstream_part *ret_part, struct why *why)
{
    struct span type = upstream_text_member(value, "type"), url;
    struct upstream_part part = {0};

    if (span_is(type, "text") || span_is(type, "refusal")) {
        part.text = upstream_text_member(value, type.data);
        if (!part.text.data)
            return why_set(why, -EINVAL, "a part of a message has no text");
        *ret_part = part;
        return 0;
    }
    if (!span_is(type, "image_url"))
        return why_set(why, -EINVAL, "parts of type \"%.64s\" cannot be sent to this model service", type.data ? type.data : "");
    url = upstream_text_member(umbel_json_member(value, "image_url"), "url");
    if (!url.data)
        return why_set(why, -EINVAL, "an image has no url");
    if (!read_data_url(url, &part)) {
        if (span_begins(url, "data:"))
            return why_set(why, -EINVAL, "the data: url of an image is not base64");
        part.url = url;
    }
    *ret_part = part;
    return 0;
}

int upstream_each_part(const struct umbel_json *content, upstream_part_taker *take, void *owner, struct why *why)
{
    struct upstream_part part = {0};
    int r = 0;

    switch (umbel_json_type(content)) {
    case UMBEL_JSON_NONE:
    case UMBEL_JSON_NULL:
        return 0;
    case UMBEL_JSON_STRING:
        part.text.data = umbel_json_text(content, &part.text.size);
        return part.text.size > 0 ? take(owner, &part, why) : 0;
    case UMBEL_JSON_ARRAY:
        break;
    default:
        return why_set(why, -EINVAL, "the content of a message is neither text nor a list of parts");
    }
    for (const struct umbel_json *value = umbel_json_first(content); value && r == 0; value = umbel_json_next(value)) {
        r = read_part(value, &part, why);
        if (r == 0 && !(part.text.data && part.text.size == 0))
            r = take(owner, &part, why);
    }
    return r;
}

static int put_text_part(void *owner, const struct upstream_part *part, struct why *why)
{
    if (!part->text.data)
        return why_set(why, -EINVAL, "there can be no image in this place");
    umbel_out_put(owner, part->text.data, part->text.size);
    return 0;
}

int upstream_put_text(struct umbel_out *out, const struct umbel_json *content, struct why *why)
{
    return upstream_each_part(content, put_text_part, out, why);
}

int upstream_put_system(struct umbel_out *out, const struct upstream_chat *chat, struct why *why)
{
    int r = 0;

    for (const struct umbel_json *m = umbel_json_first(chat->messages); m && r == 0; m = umbel_json_next(m)) {
        size_t before = out->size;

        if (upstream_role_of(m) != UPSTREAM_SYSTEM)
            continue;
        if (before > 0)
            umbel_out_text(out, "\n\n");
        r = upstream_put_text(out, umbel_json_member(m, "content"), why);
        if (before > 0 && out->size == before + 2) /* it was empty */
            out->size = before;
    }
    return r;
}

int upstream_put_arguments(struct umbel_out *out, const struct umbel_json *call, struct why *why)
{
    struct span text = upstream_text_member(umbel_json_member(call, "function"), "arguments");
    struct umbel_json *value;
    int r = 0;

    if (text.size == 0) {
        umbel_out_text(out, "{}");
        return 0;
    }
    value = umbel_json_parse(text.data, text.size, NULL, 0);
    if (umbel_json_type(value) == UMBEL_JSON_OBJECT)
        umbel_json_print(value, out);
    else
        r = why_set(why, -EINVAL, "the arguments of a tool call are not a JSON object");
    umbel_json_free(value);
    return r;
}

struct span upstream_name_of_call(const struct upstream_chat *chat, const struct umbel_json *tool_message)
{
    struct span id = upstream_text_member(tool_message, "tool_call_id"), found = upstream_text_member(tool_message, "name");

    if (!id.data)
        return found;
    for (const struct umbel_json *m = umbel_json_first(chat->messages); m; m = umbel_json_next(m)) {
        const struct umbel_json *calls = umbel_json_member(m, "tool_calls");

        for (const struct umbel_json *call = umbel_json_first(calls); call; call = umbel_json_next(call)) {
            struct span other = upstream_text_member(call, "id");
            if (other.data && span_equal(other, id))
                found = upstream_text_member(umbel_json_member(call, "function"), "name");
        }
        if (m == tool_message)
            break;
    }
    return found;
}

/* ---- writing ---- */

void upstream_next(struct upstream_list *list)
{
    if (list->begun)
        umbel_out_text(list->out, ",");
    list->begun = true;
}

void upstream_member(struct upstream_list *object, const char *name)
{
    upstream_next(object);
    umbel_out_json(object->out, name, strlen(name));
    umbel_out_text(object->out, ":");
}

void upstream_member_text(struct upstream_list *object, const char *name, struct span text)
{
    upstream_member(object, name);
    umbel_out_json(object->out, text.data ? text.data : "", text.size);
}

void upstream_member_json(struct upstream_list *object, const char *name, const struct umbel_json *value)
{
    if (umbel_json_type(value) == UMBEL_JSON_NONE || umbel_json_type(value) == UMBEL_JSON_NULL)
        return;
    upstream_member(object, name);
    umbel_json_print(value, object->out);
}

void upstream_members_renamed(struct upstream_list *object, const struct umbel_json *parameters, const struct upstream_rename *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        upstream_member_json(object, table[i].theirs, umbel_json_member(parameters, table[i].ours));
}

const struct umbel_json *upstream_max_tokens(const struct umbel_json *parameters)
{
    const struct umbel_json *limit = umbel_json_member(parameters, "max_completion_tokens");

    if (umbel_json_type(limit) != UMBEL_JSON_NUMBER)
        limit = umbel_json_member(parameters, "max_tokens");
    return umbel_json_type(limit) == UMBEL_JSON_NUMBER ? limit : NULL;
}

void upstream_member_stop(struct upstream_list *object, const char *name, const struct umbel_json *parameters)
{
    const struct umbel_json *stop = umbel_json_member(parameters, "stop");
    struct span word = upstream_text_member(parameters, "stop");

    if (!word.data) {
        if (umbel_json_count(stop) > 0)
            upstream_member_json(object, name, stop);
        return;
    }
    upstream_member(object, name);
    umbel_out_text(object->out, "[");
    umbel_out_json(object->out, word.data, word.size);
    umbel_out_text(object->out, "]");
}

/* tool, or the first behind it, that is a function. */
static const struct umbel_json *function_from(const struct umbel_json *tool, const struct umbel_json **ret_tool)
{
    const struct umbel_json *function = NULL;

    for (; tool; tool = umbel_json_next(tool)) {
        function = umbel_json_member(tool, "function");
        if (umbel_json_type(function) == UMBEL_JSON_OBJECT)
            break;
        function = NULL;
    }
    *ret_tool = tool;
    return function;
}

const struct umbel_json *upstream_first_function(const struct umbel_json *parameters, const struct umbel_json **ret_tool)
{
    return function_from(umbel_json_first(umbel_json_member(parameters, "tools")), ret_tool);
}

const struct umbel_json *upstream_next_function(const struct umbel_json **tool)
{
    return function_from(umbel_json_next(*tool), tool);
}
