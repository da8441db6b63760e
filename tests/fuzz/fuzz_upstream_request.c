/* Fuzz: a client's question on its way into the request of each dialect.  Whatever messages and parameters are: refused with words, or one whole
 * HTTP request whose head no text of the client has reached, and whose body is one JSON object in every dialect.
 * Input: messages, a zero byte, parameters, a zero byte, what the answer has said so far (a call that is continued). */
#include <errno.h>

#include <umbel/json.h>

#include "core/upstream/upstream_request.h"
#include "tests/fuzz/pieces.h"

static void check_request(const struct umbel_out *out)
{
    const char *body = memmem(out->data, out->size, "\r\n\r\n", 4), *length;
    char head[8192];
    size_t head_size;
    unsigned long long announced;

    REQUIRE(body && (size_t)(body - out->data) < sizeof head - 1);
    head_size = (size_t)(body - out->data);
    body += 4;
    memcpy(head, out->data, head_size);
    head[head_size] = '\0';
    REQUIRE(strlen(head) == head_size && strncmp(head, "POST /", 6) == 0);
    REQUIRE(!strstr(head, "smuggled"));
    length = strstr(head, "Content-Length: ");
    REQUIRE(length && sscanf(length, "Content-Length: %llu", &announced) == 1 && announced == out->size - (size_t)(body - out->data));
    struct umbel_json *json = umbel_json_parse(body, (size_t)announced, NULL, 0);
    REQUIRE(json == NULL || umbel_json_type(json) == UMBEL_JSON_OBJECT);
    umbel_json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"openai", "anthropic", "ollama", "gemini", "dashscope"};
    const char *text = (const char *)data, *end = text + size;
    const char *first = size ? memchr(text, 0, size) : NULL, *second = first ? memchr(first + 1, 0, (size_t)(end - first - 1)) : NULL;
    struct upstream_question question = {.model = "demo", .messages = text, .messages_size = first ? (size_t)(first - text) : size};
    struct upstream_url url;
    struct why why = {""};

    if (first) {
        question.parameters = first + 1;
        question.parameters_size = (size_t)((second ? second : end) - first - 1);
    }
    if (second) {
        question.so_far = second + 1;
        question.so_far_size = (size_t)(end - second - 1);
    }
    REQUIRE(upstream_url_parse("https://api.example.com/v1", &url, &why) == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct upstream_service service = {.dialect = upstream_dialect_find(names[i], &why), .quirks = dialect_quirks_default};
        struct umbel_out out = {0};
        int r = upstream_request_build(&out, &service, &url, "key", &question, &why);
        REQUIRE(r == 0 || ((r == -EINVAL || r == -EMSGSIZE) && why.text[0]));
        if (r == 0)
            check_request(&out);
        upstream_request_wipe(&out);
        umbel_out_free(&out);
    }
    return 0;
}
