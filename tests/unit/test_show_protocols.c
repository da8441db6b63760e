/* Unit: tools/show, how each client protocol asks and what it takes for a whole answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <umbel/json.h>

#include "tools/show/show_protocol.h"

#define ID "\"id\":\"chatcmpl-1\","
#define BMOB(content, finish)                                                                                                       \
    "{" ID "\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"\",\"content\":\"" content \
    "\"},\"index\":0,\"finish_reason\":\"" finish "\"}]}"
#define CHUNK(delta, finish)                                                                                                        \
    "{" ID "\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}"
#define CGWS(contents, finish)                                                                                                      \
    "{\"code\": 0, \"msg\": \"ok\", \"seq\": \"umbel-show\", \"data\": {\"consume_time\": \"0.42\", \"finish_reason\": " finish            \
    ", \"contents\": \"" contents "\"}}"

/* What a server sends over one protocol, and what must come of it.  Messages are separated by \x01 for WebSocket; a body is one piece. */
struct script {
    const struct show_protocol *protocol;
    const char *bytes;
    enum show_state state;
    const char *text; /* so far */
    const char *why;  /* a part of the reason, for broken ones */
};

static const struct script scripts[] = {
    /* ws-bmob */
    {&show_bmob, BMOB("Gr\xc3\xbc", "") "\x01" BMOB("n", "") "\x01" BMOB("", "stop"), SHOW_WHOLE, "Gr\xc3\xbcn", ""},
    {&show_bmob, BMOB("", "stop"), SHOW_WHOLE, "", ""},
    {&show_bmob, BMOB("he", ""), SHOW_WAITING, "he", ""},
    {&show_bmob, BMOB("he", "stop"), SHOW_BROKEN, "", "neither text nor the final one"},
    {&show_bmob, BMOB("", ""), SHOW_BROKEN, "", "neither text nor the final one"},
    {&show_bmob, BMOB("he", "") "\x01" BMOB("", "stop") "\x01" BMOB("", "stop"), SHOW_BROKEN, "he", "ended twice"},
    {&show_bmob, BMOB("he", "") "\x01" BMOB("", "stop") "\x01" BMOB("llo", ""), SHOW_BROKEN, "he", "text after the end"},
    {&show_bmob, BMOB("he", "") "\x01" BMOB("\\nThe model service failed, try again later.", "") "\x01" BMOB("", "stop"), SHOW_BROKEN,
     "he\nThe model service failed, try again later.", "the server says"},
    {&show_bmob, BMOB("Incorrect API key provided.", "") "\x01" BMOB("", "stop"), SHOW_BROKEN, "Incorrect API key provided.", "Incorrect"},
    {&show_bmob, "{\"success\":\"ok\"}", SHOW_BROKEN, "", "no chat.completion.chunk"},
    {&show_bmob, "{" ID "\"object\":\"chat.completion.chunk\",\"choices\":[]}", SHOW_BROKEN, "", "one choice"},
    {&show_bmob, CHUNK("{\"role\":\"\",\"content\":\"x\"}", "null"), SHOW_BROKEN, "", "must be strings"},
    {&show_bmob, CHUNK("{\"role\":\"assistant\",\"content\":\"x\"}", "\"\""), SHOW_BROKEN, "", "role"},
    {&show_bmob, BMOB("a", "") "\x01{\"id\":\"chatcmpl-2\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"role\":\"\",\"content\":\"b\"},"
                               "\"finish_reason\":\"\"}]}", SHOW_BROKEN, "a", "the id changed"},
    {&show_bmob, "{\"id\":", SHOW_BROKEN, "", "not JSON"},
    /* the mini-program */
    {&show_wxapp, "success: {\"content\":\"\"}\r\nsuccess: {\"content\":\"T\\u8336\"}\r\nsuccess: {\"content\":\"\\ud83c\\udf75\"}\r\n0\r\n\r\n",
     SHOW_WHOLE, "T\xe8\x8c\xb6\xf0\x9f\x8d\xb5", ""},
    {&show_wxapp, "success: {\"content\":\"0\"}\r\n0\r\n\r\n", SHOW_WHOLE, "0", ""},
    {&show_wxapp, "success: {\"content\":\"a\"}\r\n", SHOW_WAITING, "a", ""},
    {&show_wxapp, "event: error\ndata: {\"code\":101,\"msg\":\"Balance used up\"}\r\n", SHOW_BROKEN, "", "code 101, Balance used up"},
    {&show_wxapp, "success: {\"content\":\"a\"}\r\n0\r\n\r\n0\r\n\r\n", SHOW_BROKEN, "a", "ended twice"},
    {&show_wxapp, "success: {\"content\":\"a\"}\rx", SHOW_BROKEN, "", "CR alone"},
    {&show_wxapp, "data: {\"content\":\"a\"}\r\n", SHOW_BROKEN, "", "no known kind"},
    {&show_wxapp, "\r\n", SHOW_BROKEN, "", "no known kind"},
    {&show_wxapp, "0\r\nsuccess: ", SHOW_BROKEN, "", "no known kind"},
    {&show_wxapp, "success: {\"code\":1}\r\n", SHOW_BROKEN, "", "no content"},
    /* the web page */
    {&show_h5, ": ka\n\ndata: " CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null") "\n\nid: 2\ndata: " CHUNK("{\"content\":\"hi\"}", "null")
               "\n\ndata: " CHUNK("{}", "\"stop\"") "\n\ndata: [DONE]\n\n", SHOW_WHOLE, "hi", ""},
    {&show_h5, "data: " CHUNK("{\"content\":\"hi\"}", "null") "\n\nevent: error\ndata: {\"code\":0,\"msg\":\"gone\"}\n\n", SHOW_BROKEN, "hi", "gone"},
    {&show_h5, "data: " CHUNK("{\"content\":\"hi\"}", "null") "\n\ndata: [DONE]\n\n", SHOW_BROKEN, "hi", "without a finish reason"},
    {&show_h5, "data: " CHUNK("{\"content\":\"hi\"}", "null") "\n\ndata: " CHUNK("{}", "\"stop\"") "\n\n", SHOW_WAITING, "hi", ""},
    {&show_h5, "data: " CHUNK("{}", "\"stop\"") "\n\ndata: " CHUNK("{\"content\":\"hi\"}", "null") "\n\n", SHOW_BROKEN, "", "after the finish"},
    /* ws-chatgpt */
    {&show_cgws, CGWS("Green", "null") "\x01" CGWS(" tea", "\"stop\""), SHOW_WHOLE, "Green tea", ""},
    {&show_cgws, CGWS("Green", "null") "\x01" CGWS("", "\"length\""), SHOW_WHOLE, "Green", ""},
    {&show_cgws, "{\"code\": 129003, \"msg\": \"failed\", \"seq\": \"umbel-show\", \"data\": {\"finish_reason\": \"stop\", \"contents\": \"\"}}",
     SHOW_BROKEN, "", "code 129003, failed"},
    {&show_cgws, "{\"code\": 0, \"msg\": \"ok\", \"seq\": \"other\", \"data\": {\"finish_reason\": null, \"contents\": \"x\"}}", SHOW_BROKEN, "",
     "not asked for"},
    {&show_cgws, CGWS("x", "\"\""), SHOW_BROKEN, "x", "finish_reason"},
    {&show_cgws, "{\"code\": 0, \"seq\": \"umbel-show\", \"data\": {\"contents\": \"x\"}}", SHOW_BROKEN, "", "finish_reason"},
    /* openai-api */
    {&show_api, "data: " CHUNK("{\"content\":\"hi\"}", "null") "\n\ndata: " CHUNK("{}", "\"length\"") "\n\ndata: {" ID
                "\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n", SHOW_WHOLE, "hi", ""},
    {&show_api, "data: " CHUNK("{\"content\":\"hi\"}", "null") "\n\ndata: {\"error\":{\"message\":\"too slow\",\"type\":\"x\"}}\n\n", SHOW_BROKEN, "hi",
     "too slow"},
};

static void run_script(const struct script *script, size_t piece)
{
    struct show_decoder decoder = {0};
    const char *at = script->bytes, *end = at + strlen(at);

    while (at < end) {
        size_t size = script->protocol->websocket ? strcspn(at, "\x01") : (size_t)(end - at) < piece ? (size_t)(end - at) : piece;
        struct umbel_out message = {0};
        umbel_out_put(&message, at, size);
        umbel_out_put(&message, "", 1);
        script->protocol->take(&decoder, message.data, size);
        umbel_out_free(&message);
        at += size + (script->protocol->websocket && at[size]);
    }
    umbel_out_put(&decoder.answer.text, "", 1);
    if (decoder.answer.state != script->state || strcmp(decoder.answer.text.data, script->text) != 0 ||
        !strstr(decoder.answer.why, script->why))
        fail_msg("%s in pieces of %zu:\n%s\nstate %d, text '%s', why '%s'", script->protocol->title, piece, script->bytes,
                 decoder.answer.state, decoder.answer.text.data, decoder.answer.why);
    show_decoder_close(&decoder, "it ended");
    assert_true(decoder.answer.state == (script->state == SHOW_WHOLE ? SHOW_WHOLE : SHOW_BROKEN));
    show_decoder_free(&decoder);
}

/* Goal: each protocol is whole exactly when its own rules say so, and each fault has its reason.  Method: scripts, bodies cut at every size.
 * Catches: a failed answer that counts as whole, an end without its sign, frames that are only read when they come in one piece. */
static void answers_are_judged_by_the_protocols_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        for (size_t piece = 1; piece < (scripts[i].protocol->websocket ? 2 : 260); piece++)
            run_script(&scripts[i], piece);
}

/* Goal: the requests are what the protocols define, and nothing in them can break out of its place.
 * Method: a session and a question full of marks; every body must be JSON that holds them unchanged.  Catches: missing escapes. */
static void requests_keep_their_values(void **state)
{
    static const struct show_ask ask = {.question = "Why \"?&\\ 天", .key = "k/1", .session = "a&b= /%", .model = "m"};
    static const struct {
        const struct show_protocol *protocol;
        const char *watch, *asking;
    } targets[] = {
        {&show_bmob, "/1/ai/k%2F1?session=a%26b%3D%20%2F%25&watch=1", "/1/ai/k%2F1"},
        {&show_wxapp, "/chat/stream?is_wxapp=1&watch=1&session=a%26b%3D%20%2F%25&token=k%2F1", "/chat/stream"},
        {&show_h5, "/chat/stream?is_wxapp=0&watch=1&session=a%26b%3D%20%2F%25&token=k%2F1", "/chat/stream"},
        {&show_cgws, "/", "/"},
        {&show_api, "/v1/sessions/a%26b%3D%20%2F%25/stream", "/v1/chat/completions"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        for (int watch = 0; watch < 2; watch++) {
            struct show_request request = {0};
            struct umbel_out whole = {0};
            char why[160];
            targets[i].protocol->request(&ask, watch, &request);
            umbel_out_put(&request.target, "", 1);
            assert_string_equal(request.target.data, watch ? targets[i].watch : targets[i].asking);
            if (!watch || targets[i].protocol == &show_cgws) {
                struct umbel_json *body = umbel_json_parse(request.body.data, request.body.size, why, sizeof why);
                assert_non_null(body);
                umbel_json_print(body, &whole);
                umbel_out_put(&whole, "", 1);
                assert_non_null(strstr(whole.data, "a&b= /%"));
                assert_true(watch || strstr(whole.data, "Why \\\"?&\\\\ 天"));
                umbel_json_free(body);
            } else {
                assert_int_equal(request.body.size, 0);
            }
            umbel_out_free(&whole);
            show_request_free(&request);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_judged_by_the_protocols_rules),
        cmocka_unit_test(requests_keep_their_values),
    };

    return cmocka_run_group_tests_name("show_protocols", tests, NULL, NULL);
}
