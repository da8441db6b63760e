/* Gemini's streamGenerateContent: the model stands in the path, the system prompt apart; turns of one role after another are one content of
 * several parts; the assistant is called model; what a tool answered is an object. */
#include <errno.h>
#include <string.h>

#include "core/upstream/upstream_dialect.h"
#include "core/upstream/upstream_message.h"

/* The content being written. */
struct turn {
    struct upstream_list contents, parts;
    const char *role; /* NULL: none is open */
};

static void end_turn(struct turn *turn)
{
    if (turn->role)
        umbel_out_text(turn->contents.out, "]}");
    turn->role = NULL;
}

/* Begins a part; its bytes follow. */
static struct umbel_out *begin_part(struct turn *turn, const char *role)
{
    struct umbel_out *out = turn->contents.out;

    if (turn->role && strcmp(turn->role, role) != 0)
        end_turn(turn);
    if (!turn->role) {
        upstream_next(&turn->contents);
        umbel_out_printf(out, "{\"role\":\"%s\",\"parts\":[", role);
        turn->parts = (struct upstream_list){.out = out};
        turn->role = role;
    }
    upstream_next(&turn->parts);
    return out;
}

static void put_text(struct umbel_out *out, struct span text)
{
    umbel_out_text(out, "{\"text\":");
    umbel_out_json(out, text.data ? text.data : "", text.size);
    umbel_out_text(out, "}");
}

static void put_image(struct umbel_out *out, const struct upstream_part *part)
{
    struct upstream_list object = {.out = out};

    if (part->url.data) {
        umbel_out_text(out, "{\"fileData\":{");
        upstream_member_text(&object, "fileUri", part->url);
    } else {
        umbel_out_text(out, "{\"inlineData\":{");
        upstream_member_text(&object, "mimeType", part->type);
        upstream_member_text(&object, "data", part->data);
    }
    umbel_out_text(out, "}}");
}

static int take_part(struct turn *turn, const char *role, const struct upstream_part *part)
{
    struct umbel_out *out = begin_part(turn, role);

    if (part->text.data)
        put_text(out, part->text);
    else
        put_image(out, part);
    return 0;
}

static int take_user_part(void *owner, const struct upstream_part *part, struct why *why)
{
    (void)why;
    return take_part(owner, "user", part);
}

static int take_model_part(void *owner, const struct upstream_part *part, struct why *why)
{
    (void)why;
    return take_part(owner, "model", part);
}

static int put_call(struct turn *turn, const struct umbel_json *call, struct why *why)
{
    struct umbel_out *out = begin_part(turn, "model");
    struct upstream_list object = {.out = out};
    int r;

    umbel_out_text(out, "{\"functionCall\":{");
    upstream_member_text(&object, "name", upstream_text_member(umbel_json_member(call, "function"), "name"));
    upstream_member(&object, "args");
    r = upstream_put_arguments(out, call, why);
    umbel_out_text(out, "}}");
    return r;
}

/* What the tool said, as an object: its own if it is one. */
static void put_response(struct umbel_out *out, struct span text)
{
    struct umbel_json *value = umbel_json_parse(text.data ? text.data : "", text.size, NULL, 0);

    if (umbel_json_type(value) == UMBEL_JSON_OBJECT) {
        umbel_json_print(value, out);
    } else {
        umbel_out_text(out, "{\"result\":");
        umbel_out_json(out, text.data ? text.data : "", text.size);
        umbel_out_text(out, "}");
    }
    umbel_json_free(value);
}

static int put_answer(struct turn *turn, const struct upstream_chat *chat, const struct umbel_json *message, struct why *why)
{
    struct span name = upstream_name_of_call(chat, message);
    struct umbel_out text = {.limit = turn->contents.out->limit}, *out;
    struct upstream_list object = {0};
    int r;

    if (!name.data)
        return why_set(why, -EINVAL, "a tool message answers no call that is among the messages");
    r = upstream_put_text(&text, umbel_json_member(message, "content"), why);
    if (r == 0)
        r = text.failed;
    if (r == 0) {
        object.out = out = begin_part(turn, "user");
        umbel_out_text(out, "{\"functionResponse\":{");
        upstream_member_text(&object, "name", name);
        upstream_member(&object, "response");
        put_response(out, span_of(text.data, text.size));
        umbel_out_text(out, "}}");
    }
    umbel_out_free(&text);
    return r;
}

static int put_message(struct turn *turn, const struct upstream_chat *chat, const struct umbel_json *message, struct why *why)
{
    enum upstream_role role = upstream_role_of(message);
    const struct umbel_json *content = umbel_json_member(message, "content"), *calls = umbel_json_member(message, "tool_calls");
    int r;

    if (role == UPSTREAM_SYSTEM)
        return 0;
    if (role == UPSTREAM_TOOL)
        return put_answer(turn, chat, message, why);
    r = upstream_each_part(content, role == UPSTREAM_USER ? take_user_part : take_model_part, turn, why);
    for (const struct umbel_json *call = umbel_json_first(calls); call && r == 0; call = umbel_json_next(call))
        r = put_call(turn, call, why);
    return r;
}

static int put_system(struct upstream_list *body, const struct upstream_chat *chat, struct why *why)
{
    struct umbel_out text = {.limit = body->out->limit};
    int r = upstream_put_system(&text, chat, why);

    if (r == 0)
        r = text.failed;
    if (r == 0 && text.size > 0) {
        upstream_member(body, "systemInstruction");
        umbel_out_text(body->out, "{\"parts\":[");
        put_text(body->out, span_of(text.data, text.size));
        umbel_out_text(body->out, "]}");
    }
    umbel_out_free(&text);
    return r;
}

static void put_config(struct upstream_list *body, const struct umbel_json *parameters)
{
    static const struct upstream_rename table[] = {
        {"temperature", "temperature"}, {"top_p", "topP"}, {"top_k", "topK"}, {"seed", "seed"},
        {"presence_penalty", "presencePenalty"}, {"frequency_penalty", "frequencyPenalty"}};
    const struct umbel_json *format = umbel_json_member(parameters, "response_format");
    struct span type = upstream_text_member(format, "type");
    struct umbel_out text = {.limit = body->out->limit};
    struct upstream_list config = {.out = &text};

    upstream_members_renamed(&config, parameters, table, sizeof table / sizeof *table);
    upstream_member_json(&config, "maxOutputTokens", upstream_max_tokens(parameters));
    upstream_member_stop(&config, "stopSequences", parameters);
    if (span_is(type, "json_object") || span_is(type, "json_schema"))
        upstream_member_text(&config, "responseMimeType", span_text("application/json"));
    upstream_member_json(&config, "responseSchema", umbel_json_member(umbel_json_member(format, "json_schema"), "schema"));
    if (config.begun) {
        upstream_member(body, "generationConfig");
        umbel_out_text(body->out, "{");
        umbel_out_put(body->out, text.data, text.size);
        umbel_out_text(body->out, "}");
    }
    if (text.failed)
        body->out->failed = text.failed;
    umbel_out_free(&text);
}

static void put_tool_choice(struct upstream_list *body, const struct umbel_json *parameters)
{
    static const struct upstream_rename words[] = {{"auto", "AUTO"}, {"required", "ANY"}, {"none", "NONE"}};
    const struct umbel_json *choice = umbel_json_member(parameters, "tool_choice");
    struct span word = upstream_text_member(parameters, "tool_choice");
    struct span name = upstream_text_member(umbel_json_member(choice, "function"), "name");
    const char *mode = name.data ? "ANY" : NULL;

    for (size_t i = 0; word.data && i < sizeof words / sizeof *words; i++)
        if (span_is(word, words[i].ours))
            mode = words[i].theirs;
    if (!mode)
        return;
    upstream_member(body, "toolConfig");
    umbel_out_printf(body->out, "{\"functionCallingConfig\":{\"mode\":\"%s\"", mode);
    if (name.data) {
        umbel_out_text(body->out, ",\"allowedFunctionNames\":[");
        umbel_out_json(body->out, name.data, name.size);
        umbel_out_text(body->out, "]");
    }
    umbel_out_text(body->out, "}}");
}

static void put_tools(struct upstream_list *body, const struct umbel_json *parameters)
{
    static const struct upstream_rename same[] = {{"description", "description"}, {"parameters", "parameters"}};
    const struct umbel_json *tool, *function = upstream_first_function(parameters, &tool);
    struct upstream_list tools = {.out = body->out};

    if (!function)
        return;
    upstream_member(body, "tools");
    umbel_out_text(body->out, "[{\"functionDeclarations\":[");
    for (; function; function = upstream_next_function(&tool)) {
        struct upstream_list object = {.out = body->out};

        upstream_next(&tools);
        umbel_out_text(body->out, "{");
        upstream_member_text(&object, "name", upstream_text_member(function, "name"));
        upstream_members_renamed(&object, function, same, sizeof same / sizeof *same);
        umbel_out_text(body->out, "}");
    }
    umbel_out_text(body->out, "]}]");
    put_tool_choice(body, parameters);
}

static int put_body(struct umbel_out *out, const struct dialect_quirks *quirks, const struct upstream_question *question, struct why *why)
{
    struct upstream_list body = {.out = out};
    struct turn turn = {.contents = {.out = out}};
    struct upstream_chat chat;
    int r = upstream_chat_read(question, &chat, why);

    (void)quirks;
    if (r < 0)
        return r;
    umbel_out_text(out, "{");
    r = put_system(&body, &chat, why);
    upstream_member(&body, "contents");
    umbel_out_text(out, "[");
    for (const struct umbel_json *m = umbel_json_first(chat.messages); m && r == 0; m = umbel_json_next(m))
        r = put_message(&turn, &chat, m, why);
    end_turn(&turn);
    umbel_out_text(out, "]");
    put_config(&body, chat.parameters);
    put_tools(&body, chat.parameters);
    umbel_out_text(out, "}");
    upstream_chat_free(&chat);
    return r;
}

const struct upstream_dialect upstream_gemini = {
    .name = "gemini",
    .path = "/models/%s:streamGenerateContent?alt=sse",
    .accept = "text/event-stream",
    .key = "x-goog-api-key: ",
    .headers = "",
    .json_is_stream = true,
    .put_body = put_body,
};
