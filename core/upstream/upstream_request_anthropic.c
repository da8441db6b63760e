/* Anthropic's Messages: the system prompt apart; turns of one role after another are one message, whose content is a list of blocks; what a
 * tool answered is a block of the user's. */
#include <errno.h>
#include <string.h>

#include "core/upstream/upstream_dialect.h"
#include "core/upstream/upstream_message.h"

#define MAX_TOKENS_DEFAULT "4096" /* the service requires a limit */

/* The message being written. */
struct turn {
    struct upstream_list messages;
    struct umbel_out blocks;
    const char *role; /* NULL: none */
    size_t count;     /* of blocks */
    bool plain;       /* all it holds is one text */
};

static const char text_begins[] = "{\"type\":\"text\",\"text\":";

static void end_turn(struct turn *turn)
{
    struct umbel_out *out = turn->messages.out;
    size_t skip = sizeof text_begins - 1;

    if (turn->count > 0) {
        upstream_next(&turn->messages);
        umbel_out_printf(out, "{\"role\":\"%s\",\"content\":", turn->role);
        umbel_out_text(out, turn->plain ? "" : "[");
        if (turn->plain && !turn->blocks.failed)
            umbel_out_put(out, turn->blocks.data + skip, turn->blocks.size - skip - 1);
        else
            umbel_out_put(out, turn->blocks.data, turn->blocks.size);
        umbel_out_text(out, turn->plain ? "}" : "]}");
    }
    umbel_out_reset(&turn->blocks);
    turn->count = 0;
    turn->role = NULL;
}

/* Begins a block; its bytes follow in blocks. */
static struct umbel_out *begin_block(struct turn *turn, const char *role, bool text)
{
    if (turn->role && strcmp(turn->role, role) != 0)
        end_turn(turn);
    turn->role = role;
    turn->plain = text && turn->count == 0;
    if (turn->count++ > 0)
        umbel_out_text(&turn->blocks, ",");
    return &turn->blocks;
}

static void put_image(struct umbel_out *out, const struct upstream_part *part)
{
    struct upstream_list source = {.out = out};

    umbel_out_text(out, "{\"type\":\"image\",\"source\":{");
    if (part->url.data) {
        upstream_member_text(&source, "type", span_text("url"));
        upstream_member_text(&source, "url", part->url);
    } else {
        upstream_member_text(&source, "type", span_text("base64"));
        upstream_member_text(&source, "media_type", part->type);
        upstream_member_text(&source, "data", part->data);
    }
    umbel_out_text(out, "}}");
}

static int put_part(void *owner, const struct upstream_part *part, struct why *why)
{
    struct turn *turn = owner;
    struct umbel_out *out = begin_block(turn, turn->role, part->text.data != NULL);

    (void)why;
    if (!part->text.data) {
        put_image(out, part);
        return 0;
    }
    umbel_out_text(out, text_begins);
    umbel_out_json(out, part->text.data, part->text.size);
    umbel_out_text(out, "}");
    return 0;
}

static int put_tool_use(struct turn *turn, const struct umbel_json *call, struct why *why)
{
    struct umbel_out *out = begin_block(turn, "assistant", false);
    struct upstream_list block = {.out = out};
    int r;

    umbel_out_text(out, "{");
    upstream_member_text(&block, "type", span_text("tool_use"));
    upstream_member_text(&block, "id", upstream_text_member(call, "id"));
    upstream_member_text(&block, "name", upstream_text_member(umbel_json_member(call, "function"), "name"));
    upstream_member(&block, "input");
    r = upstream_put_arguments(out, call, why);
    umbel_out_text(out, "}");
    return r;
}

static int put_tool_result(struct turn *turn, const struct umbel_json *message, struct why *why)
{
    struct umbel_out *out = begin_block(turn, "user", false), text = {.limit = out->limit};
    struct upstream_list block = {.out = out};
    int r = upstream_put_text(&text, umbel_json_member(message, "content"), why);

    umbel_out_text(out, "{");
    upstream_member_text(&block, "type", span_text("tool_result"));
    upstream_member_text(&block, "tool_use_id", upstream_text_member(message, "tool_call_id"));
    upstream_member_text(&block, "content", span_of(text.data, text.size));
    umbel_out_text(out, "}");
    r = r == 0 ? text.failed : r;
    umbel_out_free(&text);
    return r;
}

static int put_message(struct turn *turn, const struct umbel_json *message, struct why *why)
{
    enum upstream_role role = upstream_role_of(message);
    const char *word = role == UPSTREAM_ASSISTANT ? "assistant" : "user";
    const struct umbel_json *calls = umbel_json_member(message, "tool_calls");
    int r;

    if (role == UPSTREAM_SYSTEM)
        return 0;
    if (role == UPSTREAM_TOOL)
        return put_tool_result(turn, message, why);
    if (turn->role && strcmp(turn->role, word) != 0)
        end_turn(turn);
    turn->role = word;
    r = upstream_each_part(umbel_json_member(message, "content"), put_part, turn, why);
    for (const struct umbel_json *call = umbel_json_first(calls); call && r == 0; call = umbel_json_next(call))
        r = put_tool_use(turn, call, why);
    return r;
}

static int put_messages(struct umbel_out *out, const struct upstream_chat *chat, struct why *why)
{
    struct turn turn = {.messages = {.out = out}, .blocks = {.limit = out->limit}};
    int r = 0;

    umbel_out_text(out, "[");
    for (const struct umbel_json *m = umbel_json_first(chat->messages); m && r == 0; m = umbel_json_next(m))
        r = put_message(&turn, m, why);
    if (r == 0)
        r = turn.blocks.failed;
    if (r == 0)
        end_turn(&turn);
    umbel_out_text(out, "]");
    umbel_out_free(&turn.blocks);
    return r;
}

static int put_system(struct upstream_list *body, const struct upstream_chat *chat, struct why *why)
{
    struct umbel_out text = {.limit = body->out->limit};
    int r = upstream_put_system(&text, chat, why);

    if (r == 0)
        r = text.failed;
    if (r == 0 && text.size > 0)
        upstream_member_text(body, "system", span_of(text.data, text.size));
    umbel_out_free(&text);
    return r;
}

static void put_tool_choice(struct upstream_list *body, const struct umbel_json *parameters)
{
    static const struct upstream_rename words[] = {{"auto", "auto"}, {"required", "any"}, {"none", "none"}};
    const struct umbel_json *choice = umbel_json_member(parameters, "tool_choice");
    struct span word = upstream_text_member(parameters, "tool_choice");
    struct span name = upstream_text_member(umbel_json_member(choice, "function"), "name");
    bool single = umbel_json_bool(umbel_json_member(parameters, "parallel_tool_calls"), 1) == 0;
    struct upstream_list object = {.out = body->out};
    const char *type = name.data ? "tool" : single ? "auto" : NULL;

    for (size_t i = 0; word.data && i < sizeof words / sizeof *words; i++)
        if (span_is(word, words[i].ours))
            type = words[i].theirs;
    if (!type)
        return;
    upstream_member(body, "tool_choice");
    umbel_out_text(body->out, "{");
    upstream_member_text(&object, "type", span_text(type));
    if (name.data)
        upstream_member_text(&object, "name", name);
    if (single && strcmp(type, "none") != 0) {
        upstream_member(&object, "disable_parallel_tool_use");
        umbel_out_text(body->out, "true");
    }
    umbel_out_text(body->out, "}");
}

static void put_tools(struct upstream_list *body, const struct umbel_json *parameters)
{
    const struct umbel_json *tool, *function = upstream_first_function(parameters, &tool);
    struct upstream_list tools = {.out = body->out};

    if (!function)
        return;
    upstream_member(body, "tools");
    umbel_out_text(body->out, "[");
    for (; function; function = upstream_next_function(&tool)) {
        struct upstream_list object = {.out = body->out};

        upstream_next(&tools);
        umbel_out_text(body->out, "{");
        upstream_member_text(&object, "name", upstream_text_member(function, "name"));
        upstream_member_json(&object, "description", umbel_json_member(function, "description"));
        upstream_member(&object, "input_schema");
        if (umbel_json_type(umbel_json_member(function, "parameters")) == UMBEL_JSON_OBJECT)
            umbel_json_print(umbel_json_member(function, "parameters"), body->out);
        else
            umbel_out_text(body->out, "{\"type\":\"object\"}");
        umbel_out_text(body->out, "}");
    }
    umbel_out_text(body->out, "]");
    put_tool_choice(body, parameters);
}

static void put_parameters(struct upstream_list *body, const struct umbel_json *parameters)
{
    static const struct upstream_rename same[] = {{"top_p", "top_p"}, {"top_k", "top_k"}};
    const struct umbel_json *temperature = umbel_json_member(parameters, "temperature"), *limit = upstream_max_tokens(parameters);

    upstream_member(body, "max_tokens");
    if (limit)
        umbel_json_print(limit, body->out);
    else
        umbel_out_text(body->out, MAX_TOKENS_DEFAULT);
    if (umbel_json_number(temperature, 0) > 1) { /* OpenAI's goes to 2, this one to 1 */
        upstream_member(body, "temperature");
        umbel_out_text(body->out, "1");
    } else {
        upstream_member_json(body, "temperature", temperature);
    }
    upstream_members_renamed(body, parameters, same, sizeof same / sizeof *same);
    upstream_member_stop(body, "stop_sequences", parameters);
    put_tools(body, parameters);
}

static int put_body(struct umbel_out *out, const struct dialect_quirks *quirks, const struct upstream_question *question, struct why *why)
{
    struct upstream_list body = {.out = out};
    struct upstream_chat chat;
    int r = upstream_chat_read(question, &chat, why);

    (void)quirks;
    if (r < 0)
        return r;
    umbel_out_text(out, "{");
    upstream_member_text(&body, "model", span_text(question->model));
    upstream_member(&body, "stream");
    umbel_out_text(out, "true");
    put_parameters(&body, chat.parameters);
    r = put_system(&body, &chat, why);
    if (r == 0) {
        upstream_member(&body, "messages");
        r = put_messages(out, &chat, why);
    }
    umbel_out_text(out, "}");
    upstream_chat_free(&chat);
    return r;
}

const struct upstream_dialect upstream_anthropic = {
    .name = "anthropic",
    .path = "/messages",
    .accept = "text/event-stream",
    .key = "x-api-key: ",
    .prefill_trimmed = true,
    .headers = "anthropic-version: 2023-06-01\r\n",
    .put_body = put_body,
};
