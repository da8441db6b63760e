/* Unit: core/upstream, what a question becomes in each dialect: head and body, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/upstream/upstream_request.h"

#define KEY "sk-0123456789"
#define SYSTEM "{\"role\":\"system\",\"content\":\"be kind\"}"
#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define CALL "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":[1, 2]}\"}}"
#define ASKED "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" CALL "]}"
#define TOLD(text) "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"" text "\"}"
#define IMAGE(url) "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"what?\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}]}"
#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}}]"

/* The request, zero-terminated, or NULL and words in why. */
static char *build(const char *dialect, const char *quirk, const char *model, const char *messages, const char *parameters, struct why *why)
{
    struct upstream_service service = {upstream_dialect_find(dialect, NULL), dialect_quirks_default};
    struct upstream_question question = {.model = model, .messages = messages, .messages_size = strlen(messages), .parameters = parameters,
                                         .parameters_size = parameters ? strlen(parameters) : 0};
    struct umbel_out out = {0};
    struct upstream_url url;
    char *text;

    assert_non_null(service.dialect);
    if (quirk)
        assert_int_equal(dialect_quirks_set(&service.quirks, quirk, NULL), 0);
    assert_int_equal(upstream_url_parse("https://h.example/base", &url, NULL), 0);
    if (upstream_request_build(&out, &service, &url, KEY, &question, why) < 0) {
        assert_null(out.data);
        return NULL;
    }
    text = strndup(out.data, out.size);
    assert_int_equal(strlen(text), out.size);
    upstream_request_wipe(&out);
    return text;
}

/* Goal: each dialect's path, its key and its own headers.  Method: whole heads.  Catches: a key in the wrong header, a stream that is not
 * asked for, a model's name that ends the path early. */
static void request_heads(void **state)
{
    static const struct {
        const char *dialect, *model, *head;
    } rows[] = {
        {"openai", "m", "POST /base/chat/completions HTTP/1.1\r\nHost: h.example\r\nAuthorization: Bearer " KEY "\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"},
        {"anthropic", "m", "POST /base/messages HTTP/1.1\r\nHost: h.example\r\nx-api-key: " KEY "\r\nanthropic-version: 2023-06-01\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"},
        {"ollama", "m", "POST /base/api/chat HTTP/1.1\r\nHost: h.example\r\nAuthorization: Bearer " KEY "\r\nContent-Type: application/json\r\nAccept: application/x-ndjson\r\n"},
        {"gemini", "gemini-2.5-pro", "POST /base/models/gemini-2.5-pro:streamGenerateContent?alt=sse HTTP/1.1\r\n"
                                   "Host: h.example\r\nx-goog-api-key: " KEY "\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"},
        {"gemini", "models/a b/c?\xc3\xa9:\r", "POST /base/models/a%20b%2Fc%3F%C3%A9%3A%0D:streamGenerateContent?alt=sse HTTP/1.1\r\n"},
        {"dashscope", "m", "POST /base/services/aigc/text-generation/generation HTTP/1.1\r\nHost: h.example\r\nAuthorization: Bearer " KEY "\r\nX-DashScope-SSE: enable\r\nContent-Type: application/json\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = build(rows[i].dialect, NULL, rows[i].model, "[" USER("hi") "]", NULL, NULL);
        char *end = strstr(text, "\r\n\r\n");

        if (strncmp(text, rows[i].head, strlen(rows[i].head)) != 0)
            fail_msg("wanted\n%s\nbut it is\n%s", rows[i].head, text);
        assert_non_null(end);
        assert_int_equal(strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10), strlen(end + 4));
        free(text);
    }
}

static const struct {
    const char *dialect, *quirk, *messages, *parameters, *body;
} bodies[] = {
    {"openai", "no-stream_options", "[" SYSTEM "," USER("hi") "]", "{\"seed\":12345678901234567890}",
     "{\"model\":\"m\",\"messages\":[" SYSTEM "," USER("hi") "],\"stream\":true,\"seed\":12345678901234567890}"},

    {"anthropic", NULL, "[" SYSTEM "," USER("hi \\\"x\\\"\\n") "]", NULL,
     "{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"system\":\"be kind\",\"messages\":[" USER("hi \\\"x\\\"\\n") "]}"},
    {"anthropic", NULL, "[" SYSTEM "," USER("a") ",{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"be brief\"}]}," USER("b") ",{\"role\":\"assistant\",\"content\":\"c\"}," USER("d") "]",
     "{\"max_tokens\":5,\"max_completion_tokens\":7,\"temperature\":1.5,\"top_p\":0.5,\"stop\":\"END\",\"logprobs\":true,\"n\":2,\"seed\":1}",
     "{\"model\":\"m\",\"stream\":true,\"max_tokens\":7,\"temperature\":1,\"top_p\":0.5,\"stop_sequences\":[\"END\"],\"system\":\"be kind\\n\\nbe brief\",\"messages\":["
     "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":\"c\"}," USER("d") "]}"},
    {"anthropic", NULL, "[" USER("a") "," ASKED "," TOLD("21") "," USER("and?") "]",
     "{" TOOLS ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false,\"temperature\":0.25,\"stop\":[\"x\",\"y\"]}",
     "{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"temperature\":0.25,\"stop_sequences\":[\"x\",\"y\"],"
     "\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true},"
     "\"messages\":[" USER("a") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"a\":[1,2]}}]},"
     "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":\"21\"},{\"type\":\"text\",\"text\":\"and?\"}]}]}"},
    {"anthropic", NULL, "[" IMAGE("data:image/png;base64,AAAA") "," IMAGE("https://x/y.png") "]", "{\"tools\":[],\"tool_choice\":\"auto\"}",
     "{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"what?\"},"
     "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAA\"}},{\"type\":\"text\",\"text\":\"what?\"},"
     "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/y.png\"}}]}]}"},
    {"anthropic", NULL, "[" USER("a") ",{\"role\":\"assistant\",\"content\":\"\"}," USER("b") "]",
     "{\"tools\":[{\"type\":\"other\"},{\"type\":\"function\",\"function\":{\"name\":\"g\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
     "{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"tools\":[{\"name\":\"g\",\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"g\"},"
     "\"messages\":[" USER("a") "," USER("b") "]}"},

    {"ollama", NULL, "[" SYSTEM "," USER("hi") "]", NULL, "{\"model\":\"m\",\"stream\":true,\"messages\":[" SYSTEM "," USER("hi") "]}"},
    {"ollama", NULL, "[{\"role\":\"developer\",\"content\":\"s\"}," IMAGE("data:image/png;base64,AAAA") "," ASKED "," TOLD("21") "]",
     "{\"max_tokens\":9,\"temperature\":0.5,\"top_p\":1,\"seed\":3,\"stop\":\"x\",\"frequency_penalty\":0.1,\"user\":\"u\",\"response_format\":{\"type\":\"json_object\"}," TOOLS "}",
     "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"what?\",\"images\":[\"AAAA\"]},"
     "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2]}}}]},"
     "{\"role\":\"tool\",\"content\":\"21\",\"tool_name\":\"f\"}],"
     "\"options\":{\"temperature\":0.5,\"top_p\":1,\"seed\":3,\"frequency_penalty\":0.1,\"num_predict\":9,\"stop\":[\"x\"]},\"format\":\"json\"," TOOLS "}"},

    {"gemini", NULL, "[" SYSTEM "," USER("hi") "]", NULL,
     "{\"systemInstruction\":{\"parts\":[{\"text\":\"be kind\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}"},
    {"gemini", NULL, "[" USER("a") "," USER("b") "," ASKED "," TOLD("21") ",{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"{\\\"t\\\":1}\"}," IMAGE("data:image/png;base64,AAAA") "," IMAGE("gs://x") "]",
     "{\"max_completion_tokens\":9,\"temperature\":2,\"top_p\":0.5,\"presence_penalty\":1,\"stop\":[\"x\"],\"stream\":true,\"response_format\":{\"type\":\"json_object\"},"
     TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}",
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},{\"text\":\"b\"}]},{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":[1,2]}}}]},"
     "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"result\":\"21\"}}},{\"functionResponse\":{\"name\":\"f\",\"response\":{\"t\":1}}},"
     "{\"text\":\"what?\"},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}},{\"text\":\"what?\"},{\"fileData\":{\"fileUri\":\"gs://x\"}}]}],"
     "\"generationConfig\":{\"temperature\":2,\"topP\":0.5,\"presencePenalty\":1,\"maxOutputTokens\":9,\"stopSequences\":[\"x\"],\"responseMimeType\":\"application/json\"},"
     "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}]}],"
     "\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}}}"},

    {"dashscope", NULL, "[" SYSTEM "," USER("hi") "]", NULL,
     "{\"model\":\"m\",\"input\":{\"messages\":[" SYSTEM "," USER("hi") "]},\"parameters\":{\"result_format\":\"message\"}}"},
    {"dashscope", "incremental_output", "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}," ASKED "," TOLD("21") "]",
     "{\"max_tokens\":9,\"temperature\":0.5,\"stop\":\"x\",\"frequency_penalty\":1,\"stream_options\":{}," TOOLS ",\"tool_choice\":\"auto\"}",
     "{\"model\":\"m\",\"input\":{\"messages\":[" USER("ab") ",{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" CALL "]},"
     "{\"role\":\"tool\",\"content\":\"21\",\"tool_call_id\":\"c1\"}]},"
     "\"parameters\":{\"result_format\":\"message\",\"incremental_output\":true,\"temperature\":0.5,\"max_tokens\":9,\"stop\":[\"x\"]," TOOLS ",\"tool_choice\":\"auto\"}}"},
};

#define BEGUN(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
static const struct {
    const char *dialect, *quirk, *messages, *so_far, *body;
} continued[] = {
    {"openai", "no-stream_options", " [ " USER("hi") " ] ", "Once \"upon", "{\"model\":\"m\",\"messages\":[ " USER("hi") "," BEGUN("Once \\\"upon") "],\"stream\":true}"},
    {"openai", "no-stream_options", "[]", "a \n", "{\"model\":\"m\",\"messages\":[" BEGUN("a \\n") "],\"stream\":true}"},
    {"openai", "prefill_prefix", "[" USER("hi") "]", "a",
     "{\"model\":\"m\",\"messages\":[" USER("hi") ",{\"role\":\"assistant\",\"content\":\"a\",\"prefix\":true}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"openai", "prefill_partial", "[" USER("hi") "]", "a",
     "{\"model\":\"m\",\"messages\":[" USER("hi") ",{\"role\":\"assistant\",\"content\":\"a\",\"partial\":true}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"openai", "prefill_final", "[" USER("hi") "]", "a",
     "{\"model\":\"m\",\"messages\":[" USER("hi") "," BEGUN("a") "],\"stream\":true,\"stream_options\":{\"include_usage\":true},\"continue_final_message\":true,"
     "\"add_generation_prompt\":false}"},
    {"openai", "prefill_final", "[" USER("hi") "]", NULL,
     "{\"model\":\"m\",\"messages\":[" USER("hi") "],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"anthropic", NULL, "[" SYSTEM "," USER("hi") "]", "a b \n\t\xe3\x80\x80\xc2\xa0\xe2\x80\x89",
     "{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"system\":\"be kind\",\"messages\":[" USER("hi") "," BEGUN("a b") "]}"},
    {"anthropic", NULL, "[" USER("hi") "]", " \n", "{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"messages\":[" USER("hi") "]}"},
    {"ollama", NULL, "[" USER("hi") "]", "a \n", "{\"model\":\"m\",\"stream\":true,\"messages\":[" USER("hi") "," BEGUN("a \\n") "]}"},
    {"gemini", NULL, "[" USER("hi") "]", "a ",
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\",\"parts\":[{\"text\":\"a \"}]}]}"},
    {"dashscope", NULL, "[" USER("hi") "]", "a ",
     "{\"model\":\"m\",\"input\":{\"messages\":[" USER("hi") ",{\"role\":\"assistant\",\"content\":\"a \",\"partial\":true}]},\"parameters\":{\"result_format\":\"message\"}}"},
};

/* Goal: an answer that is to be continued stands last, in the assistant's name, marked as the service wants it.  Method: whole bodies.
 * Catches: a mark where none was asked for, white space that Anthropic refuses, a broken array. */
static void request_continued(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof continued / sizeof *continued; i++) {
        struct upstream_service service = {upstream_dialect_find(continued[i].dialect, NULL), dialect_quirks_default};
        struct upstream_question question = {.model = "m", .messages = continued[i].messages, .messages_size = strlen(continued[i].messages),
                                             .so_far = continued[i].so_far, .so_far_size = continued[i].so_far ? strlen(continued[i].so_far) : 0};
        struct umbel_out out = {0};
        struct upstream_url url;
        struct why why = {""};

        if (continued[i].quirk)
            assert_int_equal(dialect_quirks_set(&service.quirks, continued[i].quirk, NULL), 0);
        assert_int_equal(upstream_url_parse("https://h.example/base", &url, NULL), 0);
        if (upstream_request_build(&out, &service, &url, KEY, &question, &why) < 0)
            fail_msg("row %zu: %s", i, why.text);
        char *text = strndup(out.data, out.size);
        assert_string_equal(strstr(text, "\r\n\r\n") + 4, continued[i].body);
        free(text);
        upstream_request_wipe(&out);
    }
    struct upstream_question broken = {.model = "m", .messages = " ] ", .messages_size = 3, .so_far = "a", .so_far_size = 1};
    struct upstream_service service = {upstream_dialect_find("openai", NULL), dialect_quirks_default};
    struct umbel_out out = {0};
    struct upstream_url url;

    assert_int_equal(upstream_url_parse("https://h.example/base", &url, NULL), 0);
    assert_int_equal(upstream_request_build(&out, &service, &url, KEY, &broken, NULL), -EINVAL);
}

/* Goal: system prompt, roles, parts, tool calls, their results and parameters come where the dialect has them.  Method: whole bodies.
 * Catches: a system prompt lost, a message out of order, a parameter under a name that the service refuses, an unknown one passed on. */
static void request_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct why why = {""};
        char *text = build(bodies[i].dialect, bodies[i].quirk, "m", bodies[i].messages, bodies[i].parameters, &why);

        if (!text)
            fail_msg("row %zu: %s", i, why.text);
        if (strcmp(strstr(text, "\r\n\r\n") + 4, bodies[i].body) != 0)
            fail_msg("row %zu: wanted\n%s\nbut it is\n%s", i, bodies[i].body, strstr(text, "\r\n\r\n") + 4);
        free(text);
    }
}

/* Goal: what cannot be said in a dialect is refused with words, never changed in silence.  Method: one fault a row, for every dialect that
 * takes messages apart.  Catches: a picture or a sound left out, a call with broken arguments made up, a crash on odd types. */
static void request_refusals(void **state)
{
    static const char *const every[] = {"anthropic", "ollama", "gemini", "dashscope"};
    static const struct {
        const char *messages, *parameters, *words;
    } all[] = {
        {"{}", NULL, "not a JSON array"},
        {"[", NULL, "not a JSON array"},
        {"[]", NULL, "ask nothing"},
        {"[" SYSTEM "]", NULL, "ask nothing"},
        {"[7]", NULL, "role"},
        {"[{\"role\":\"king\",\"content\":\"x\"}]", NULL, "role"},
        {"[{\"role\":\"user\",\"content\":7}]", NULL, "neither text nor"},
        {"[{\"role\":\"user\",\"content\":[7]}]", NULL, "parts of type"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{}}]}]", NULL, "input_audio"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", NULL, "no text"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]", NULL, "no url"},
        {"[" USER("a") "]", "[]", "not a JSON object"},
        {"[" USER("a") "]", "{\"a\":1", "not JSON"},
    };
    static const struct {
        const char *dialect, *messages, *words;
    } some[] = {
        {"ollama", "[" IMAGE("https://x/y.png") "]", "does not fetch images"},
        {"gemini", "[" IMAGE("data:text/plain,x") "]", "not base64"},
        {"dashscope", "[" IMAGE("https://x/y.png") "]", "no image in this place"},
        {"anthropic", "[{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\"}}]}," USER("a") "]", "no image in this place"},
        {"anthropic", "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{oops\"}}]}," USER("a") "]", "arguments"},
        {"ollama", "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}]}," USER("a") "]", "arguments"},
        {"gemini", "[" USER("a") "," TOLD("21") "]", "answers no call"},
    };
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t k = 0; k < sizeof every / sizeof *every; k++) {
            why.text[0] = '\0';
            if (build(every[k], NULL, "m", all[i].messages, all[i].parameters, &why) || !strstr(why.text, all[i].words))
                fail_msg("%s, row %zu: %s", every[k], i, why.text);
        }
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        why.text[0] = '\0';
        if (build(some[i].dialect, NULL, "m", some[i].messages, NULL, &why) || !strstr(why.text, some[i].words))
            fail_msg("row %zu: %s", i, why.text);
    }
    char model[UPSTREAM_MODEL_MAX + 2] = "";
    memset(model, '/', UPSTREAM_MODEL_MAX);
    char *text = build("gemini", NULL, model, "[" USER("a") "]", NULL, NULL); /* the longest that fits, three bytes each */
    assert_non_null(text);
    free(text);
    model[UPSTREAM_MODEL_MAX] = '/';
    assert_null(build("gemini", NULL, model, "[" USER("a") "]", NULL, &why));
    assert_non_null(strstr(why.text, "over 1024 bytes"));
}

/* Goal: the bound holds in every dialect, also for what the mapping adds.  Method: messages just under it that grow.
 * Catches: a body without a limit, a request cut in silence. */
static void request_bound(void **state)
{
    static const char *const every[] = {"openai", "anthropic", "ollama", "gemini", "dashscope"};
    size_t size = UPSTREAM_REQUEST_MAX - 8;
    char *messages = malloc(size + 1);
    struct upstream_url url;

    (void)state;
    assert_int_equal(upstream_url_parse("https://h", &url, NULL), 0);
    strcpy(messages, "[{\"role\":\"user\",\"content\":\"");
    memset(messages + strlen(messages), 'x', size - strlen(messages));
    strcpy(messages + size - 3, "\"}]");
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        struct upstream_service service = {upstream_dialect_find(every[i], NULL), dialect_quirks_default};
        struct upstream_question question = {.model = "m", .messages = messages, .messages_size = size};
        struct umbel_out out = {0};
        struct why why = {""};

        assert_int_equal(upstream_request_build(&out, &service, &url, "", &question, &why), -EMSGSIZE);
        assert_non_null(strstr(why.text, "over 16777216 bytes"));
        assert_null(out.data);
    }
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_heads),
        cmocka_unit_test(request_bodies), cmocka_unit_test(request_continued),
        cmocka_unit_test(request_refusals),
        cmocka_unit_test(request_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
