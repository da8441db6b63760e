/* Ollama's own chat: messages nearly as they come, but content is one text with its images beside it, and arguments of tool calls are
 * objects; sampling parameters are options. */
#include <errno.h>
#include <string.h>

#include "core/upstream/upstream_dialect.h"
#include "core/upstream/upstream_message.h"

/* The parts of one message. */
struct content {
    struct umbel_out text, images;
    struct upstream_list list; /* of images */
};

static int take_part(void *owner, const struct upstream_part *part, struct why *why)
{
    struct content *content = owner;

    if (part->url.data)
        return why_set(why, -EINVAL, "this model service does not fetch images: give them as data: urls");
    if (part->text.data) {
        umbel_out_put(&content->text, part->text.data, part->text.size);
    } else {
        upstream_next(&content->list);
        umbel_out_json(&content->images, part->data.data, part->data.size);
    }
    return 0;
}

static int put_content(struct upstream_list *message, const struct umbel_json *value, struct why *why)
{
    struct content content = {.text = {.limit = message->out->limit}, .images = {.limit = message->out->limit}};
    int r;

    content.list.out = &content.images;
    r = upstream_each_part(value, take_part, &content, why);
    if (r == 0)
        r = content.text.failed ? content.text.failed : content.images.failed;
    if (r == 0) {
        upstream_member_text(message, "content", span_of(content.text.data, content.text.size));
        if (content.images.size > 0) {
            upstream_member(message, "images");
            umbel_out_text(message->out, "[");
            umbel_out_put(message->out, content.images.data, content.images.size);
            umbel_out_text(message->out, "]");
        }
    }
    umbel_out_free(&content.text);
    umbel_out_free(&content.images);
    return r;
}

static int put_calls(struct upstream_list *message, const struct umbel_json *calls, struct why *why)
{
    struct upstream_list list = {.out = message->out};
    int r = 0;

    if (umbel_json_count(calls) == 0)
        return 0;
    upstream_member(message, "tool_calls");
    umbel_out_text(message->out, "[");
    for (const struct umbel_json *call = umbel_json_first(calls); call && r == 0; call = umbel_json_next(call)) {
        struct upstream_list function = {.out = message->out};

        upstream_next(&list);
        umbel_out_text(message->out, "{\"function\":{");
        upstream_member_text(&function, "name", upstream_text_member(umbel_json_member(call, "function"), "name"));
        upstream_member(&function, "arguments");
        r = upstream_put_arguments(message->out, call, why);
        umbel_out_text(message->out, "}}");
    }
    umbel_out_text(message->out, "]");
    return r;
}

static int put_message(struct umbel_out *out, const struct upstream_chat *chat, const struct umbel_json *value, struct why *why)
{
    static const char *const roles[] = {[UPSTREAM_SYSTEM] = "system", [UPSTREAM_USER] = "user", [UPSTREAM_ASSISTANT] = "assistant",
                                        [UPSTREAM_TOOL] = "tool"};
    struct upstream_list message = {.out = out};
    enum upstream_role role = upstream_role_of(value);
    struct span name = role == UPSTREAM_TOOL ? upstream_name_of_call(chat, value) : span_of(NULL, 0);
    int r;

    umbel_out_text(out, "{");
    upstream_member_text(&message, "role", span_text(roles[role]));
    r = put_content(&message, umbel_json_member(value, "content"), why);
    if (r == 0 && role == UPSTREAM_ASSISTANT)
        r = put_calls(&message, umbel_json_member(value, "tool_calls"), why);
    if (name.data)
        upstream_member_text(&message, "tool_name", name);
    umbel_out_text(out, "}");
    return r;
}

static void put_options(struct upstream_list *body, const struct umbel_json *parameters)
{
    static const struct upstream_rename table[] = {
        {"temperature", "temperature"}, {"top_p", "top_p"}, {"top_k", "top_k"}, {"seed", "seed"},
        {"presence_penalty", "presence_penalty"}, {"frequency_penalty", "frequency_penalty"}};
    struct umbel_out text = {.limit = body->out->limit};
    struct upstream_list options = {.out = &text};

    upstream_members_renamed(&options, parameters, table, sizeof table / sizeof *table);
    upstream_member_json(&options, "num_predict", upstream_max_tokens(parameters));
    upstream_member_stop(&options, "stop", parameters);
    if (options.begun) {
        upstream_member(body, "options");
        umbel_out_text(body->out, "{");
        umbel_out_put(body->out, text.data, text.size);
        umbel_out_text(body->out, "}");
    }
    if (text.failed)
        body->out->failed = text.failed;
    umbel_out_free(&text);
}

static void put_format(struct upstream_list *body, const struct umbel_json *parameters)
{
    const struct umbel_json *format = umbel_json_member(parameters, "response_format");
    struct span type = upstream_text_member(format, "type");

    if (span_is(type, "json_object"))
        upstream_member_text(body, "format", span_text("json"));
    else if (span_is(type, "json_schema"))
        upstream_member_json(body, "format", umbel_json_member(umbel_json_member(format, "json_schema"), "schema"));
}

static int put_body(struct umbel_out *out, const struct dialect_quirks *quirks, const struct upstream_question *question, struct why *why)
{
    struct upstream_list body = {.out = out}, messages = {.out = out};
    struct upstream_chat chat;
    int r = upstream_chat_read(question, &chat, why);

    (void)quirks;
    if (r < 0)
        return r;
    umbel_out_text(out, "{");
    upstream_member_text(&body, "model", span_text(question->model));
    upstream_member(&body, "stream");
    umbel_out_text(out, "true");
    upstream_member(&body, "messages");
    umbel_out_text(out, "[");
    for (const struct umbel_json *m = umbel_json_first(chat.messages); m && r == 0; m = umbel_json_next(m)) {
        upstream_next(&messages);
        r = put_message(out, &chat, m, why);
    }
    umbel_out_text(out, "]");
    put_options(&body, chat.parameters);
    put_format(&body, chat.parameters);
    if (umbel_json_count(umbel_json_member(chat.parameters, "tools")) > 0)
        upstream_member_json(&body, "tools", umbel_json_member(chat.parameters, "tools"));
    umbel_out_text(out, "}");
    upstream_chat_free(&chat);
    return r;
}

const struct upstream_dialect upstream_ollama = {
    .name = "ollama",
    .path = "/api/chat",
    .accept = "application/x-ndjson",
    .key = "Authorization: Bearer ",
    .headers = "",
    .json_is_stream = true,
    .put_body = put_body,
};
