/* DashScope's own text generation: messages and tools in OpenAI's form, but content is always one text; messages are the input, everything
 * else parameters. */
#include <errno.h>

#include "core/upstream/upstream_dialect.h"
#include "core/upstream/upstream_message.h"

static int put_message(struct umbel_out *out, const struct umbel_json *value, struct why *why)
{
    static const char *const roles[] = {[UPSTREAM_SYSTEM] = "system", [UPSTREAM_USER] = "user", [UPSTREAM_ASSISTANT] = "assistant",
                                        [UPSTREAM_TOOL] = "tool"};
    static const struct upstream_rename same[] = {{"tool_calls", "tool_calls"}, {"tool_call_id", "tool_call_id"}, {"name", "name"},
                                                 {"partial", "partial"}};
    struct umbel_out text = {.limit = out->limit};
    struct upstream_list message = {.out = out};
    int r = upstream_put_text(&text, umbel_json_member(value, "content"), why);

    if (r == 0)
        r = text.failed;
    umbel_out_text(out, "{");
    upstream_member_text(&message, "role", span_text(roles[upstream_role_of(value)]));
    upstream_member_text(&message, "content", span_of(text.data, text.size));
    upstream_members_renamed(&message, value, same, sizeof same / sizeof *same);
    umbel_out_text(out, "}");
    umbel_out_free(&text);
    return r;
}

static void put_parameters(struct upstream_list *body, const struct dialect_quirks *quirks, const struct umbel_json *parameters)
{
    static const struct upstream_rename same[] = {
        {"temperature", "temperature"}, {"top_p", "top_p"}, {"top_k", "top_k"}, {"seed", "seed"}, {"presence_penalty", "presence_penalty"},
        {"response_format", "response_format"}, {"parallel_tool_calls", "parallel_tool_calls"}};
    struct upstream_list object = {.out = body->out};

    upstream_member(body, "parameters");
    umbel_out_text(body->out, "{");
    upstream_member_text(&object, "result_format", span_text("message"));
    if (quirks->incremental_output) {
        upstream_member(&object, "incremental_output");
        umbel_out_text(body->out, "true");
    }
    upstream_members_renamed(&object, parameters, same, sizeof same / sizeof *same);
    upstream_member_json(&object, "max_tokens", upstream_max_tokens(parameters));
    upstream_member_stop(&object, "stop", parameters);
    if (umbel_json_count(umbel_json_member(parameters, "tools")) > 0) {
        upstream_member_json(&object, "tools", umbel_json_member(parameters, "tools"));
        upstream_member_json(&object, "tool_choice", umbel_json_member(parameters, "tool_choice"));
    }
    umbel_out_text(body->out, "}");
}

static int put_body(struct umbel_out *out, const struct dialect_quirks *quirks, const struct upstream_question *question, struct why *why)
{
    struct upstream_list body = {.out = out}, messages = {.out = out};
    struct upstream_chat chat;
    int r = upstream_chat_read(question, &chat, why);

    if (r < 0)
        return r;
    umbel_out_text(out, "{");
    upstream_member_text(&body, "model", span_text(question->model));
    upstream_member(&body, "input");
    umbel_out_text(out, "{\"messages\":[");
    for (const struct umbel_json *m = umbel_json_first(chat.messages); m && r == 0; m = umbel_json_next(m)) {
        upstream_next(&messages);
        r = put_message(out, m, why);
    }
    umbel_out_text(out, "]}");
    put_parameters(&body, quirks, chat.parameters);
    umbel_out_text(out, "}");
    upstream_chat_free(&chat);
    return r;
}

const struct upstream_dialect upstream_dashscope = {
    .name = "dashscope",
    .path = "/services/aigc/text-generation/generation",
    .accept = "text/event-stream",
    .key = "Authorization: Bearer ",
    .headers = "X-DashScope-SSE: enable\r\n",
    .prefill_mark = ",\"partial\":true",
    .put_body = put_body,
};
