#include "core/upstream/upstream_request.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <umbel/json.h>
#include <umbel/version.h>

#include "core/base/span.h"
#include "core/json/json_check.h"

#define HEAD_MAX 8192u

int upstream_key_check(const char *api_key, struct why *why)
{
    size_t size = strlen(api_key);

    if (size > UPSTREAM_KEY_MAX)
        return why_set(why, -EINVAL, "api_key has %zu bytes, at most %u are possible", size, UPSTREAM_KEY_MAX);
    for (size_t i = 0; i < size; i++)
        if (api_key[i] <= ' ' || api_key[i] >= 0x7f)
            return why_set(why, -EINVAL, "api_key: byte %zu is a blank or not ASCII and cannot be sent: give the bare key",
                           i + 1);
    return 0;
}

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

static int put_body(struct umbel_out *out, const struct upstream_question *question, struct why *why)
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
    umbel_out_text(out, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    if (question->parameters) {
        int r = put_parameters(out, question, why);

        if (r < 0)
            return r;
    }
    umbel_out_text(out, "}");
    return 0;
}

static int format_head(char *head, const struct upstream_url *url, const char *api_key, size_t body_size)
{
    return snprintf(head, HEAD_MAX,
                    "POST %s/chat/completions HTTP/1.1\r\n"
                    "Host: %s\r\n"
                    "%s%s%s"
                    "Content-Type: application/json\r\n"
                    "Accept: text/event-stream\r\n"
                    "Accept-Encoding: identity\r\n"
                    "Content-Length: %zu\r\n"
                    "User-Agent: umbel/" UMBEL_VERSION "\r\n"
                    "\r\n",
                    url->path, url->authority, *api_key ? "Authorization: Bearer " : "", api_key, *api_key ? "\r\n" : "",
                    body_size);
}

int upstream_request_build(struct umbel_out *out, const struct upstream_url *url, const char *api_key,
                           const struct upstream_question *question, struct why *why)
{
    char head[HEAD_MAX];
    struct umbel_out body = {.limit = UPSTREAM_REQUEST_MAX};
    int r, size;

    if (question->messages_size > UPSTREAM_REQUEST_MAX || question->parameters_size > UPSTREAM_REQUEST_MAX)
        return why_set(why, -EMSGSIZE, "the question is over %zu bytes", UPSTREAM_REQUEST_MAX);
    r = put_body(&body, question, why);
    size = format_head(head, url, api_key, body.size);
    out->limit = UPSTREAM_REQUEST_MAX;
    if (r == 0 && !body.failed) {
        umbel_out_put(out, head, (size_t)size);
        umbel_out_put(out, body.data, body.size);
    }
    explicit_bzero(head, sizeof head);
    if (r == 0)
        r = body.failed ? body.failed : out->failed;
    if (r == -EMSGSIZE)
        why_set(why, r, "the question is over %zu bytes", UPSTREAM_REQUEST_MAX);
    else if (r == -ENOMEM)
        why_set(why, r, "no memory for the question");
    umbel_out_free(&body);
    if (r < 0)
        upstream_request_wipe(out);
    return r;
}

void upstream_request_wipe(struct umbel_out *out)
{
    if (out->data)
        explicit_bzero(out->data, out->size);
    umbel_out_free(out);
}
