/* OpenAI's chat completions: the question as it came. */
#include <errno.h>
#include <string.h>
#include <umbel/json.h>

#include "core/base/span.h"
#include "core/json/json_check.h"
#include "core/upstream/upstream_dialect.h"

static bool is_ours(const char *name)
{
    static const char *const ours[] = {"model", "messages", "stream", "stream_options"};

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(name, ours[i]) == 0)
            return true;
    return false;
}

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at + 1;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* From the beginning of a value in a valid object to the comma or brace behind it. */
static const char *skip_value(const char *at)
{
    for (int depth = 0;;) {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (depth == 0 && (*at == ',' || *at == '}'))
            return at;
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
    }
}

/* Copies members as they were written: a number that no double can hold stays what it was.  The text has been parsed: it is one
 * valid object, whose members come in the tree in the same order (with their names unescaped). */
static void put_members(struct umbel_out *out, struct span text, const struct umbel_json *object)
{
    const char *at = (const char *)memchr(text.data, '{', text.size) + 1;

    for (const struct umbel_json *member = umbel_json_first(object); member; member = umbel_json_next(member)) {
        const char *name = skip_blanks(at), *end = skip_value(name);

        if (!is_ours(umbel_json_name(member))) {
            umbel_out_text(out, ",");
            umbel_out_put(out, name, (size_t)(end - name));
        }
        at = end + 1;
    }
}

static int put_parameters(struct umbel_out *out, const struct upstream_question *question, struct why *why)
{
    char words[256];
    struct umbel_json *object = umbel_json_parse(question->parameters, question->parameters_size, words, sizeof words);
    int r = 0;

    if (!object)
        return why_set(why, -EINVAL, "the parameters are not JSON: %s", words);
    if (umbel_json_type(object) != UMBEL_JSON_OBJECT)
        r = why_set(why, -EINVAL, "the parameters are not a JSON object");
    else
        put_members(out, span_of(question->parameters, question->parameters_size), object);
    umbel_json_free(object);
    return r;
}

static int put_body(struct umbel_out *out, const struct dialect_quirks *quirks, const struct upstream_question *question, struct why *why)
{
    struct span messages = {question->messages, question->messages_size};
    struct why words = {""};
    size_t repairs;

    while (messages.size > 0 && strchr(" \t\r\n", messages.data[0]) && messages.data[0]) {
        messages.data++;
        messages.size--;
    }
    if (messages.size == 0 || messages.data[0] != '[' || json_check(messages.data, messages.size, false, &repairs, &words) < 0)
        return why_set(why, -EINVAL, "the messages are not a JSON array%s%s", words.text[0] ? ": " : "", words.text);
    umbel_out_text(out, "{\"model\":");
    umbel_out_json(out, question->model, strlen(question->model));
    umbel_out_text(out, ",\"messages\":");
    umbel_out_put(out, messages.data, messages.size);
    umbel_out_text(out, ",\"stream\":true");
    if (quirks->stream_options)
        umbel_out_text(out, ",\"stream_options\":{\"include_usage\":true}");
    if (quirks->prefill_final && question->so_far)
        umbel_out_text(out, ",\"continue_final_message\":true,\"add_generation_prompt\":false");
    if (question->parameters) {
        int r = put_parameters(out, question, why);

        if (r < 0)
            return r;
    }
    umbel_out_text(out, "}");
    return 0;
}

const struct upstream_dialect upstream_openai = {
    .name = "openai",
    .path = "/chat/completions",
    .accept = "text/event-stream",
    .key = "Authorization: Bearer ",
    .headers = "",
    .put_body = put_body,
};
