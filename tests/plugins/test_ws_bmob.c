/* plugins/test_ws_bmob.c - Bmob's protocol over real sockets: what clients send, and each byte they get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <umbel/ws.h>

#include "plugins/ws-bmob/bmob.h"
#include "tests/plugins/ws_client.h"

extern const struct umbel_transport umbel_transport;

#define KEY "0123456789abcdef"
#define GOLDEN_ID "chatcmpl-9f3c"

struct bmob_test {
    struct fake_host *host;
    int port;
};

static uint32_t idle_s; /* in place of the codec's ten minutes, 0 = those */

int __real_umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *codec, void *self,
                         struct umbel_ws **ret_ws);
int __wrap_umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *codec, void *self,
                         struct umbel_ws **ret_ws);

int __wrap_umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *codec, void *self,
                         struct umbel_ws **ret_ws)
{
    static struct umbel_ws_codec hasty;

    hasty = *codec;
    assert_int_equal(codec->idle_s, 600);
    hasty.idle_s = idle_s ? idle_s : codec->idle_s;
    return __real_umbel_ws_open(host, config, &hasty, self, ret_ws);
}

static struct bmob_test start(const char *option, const char *value)
{
    struct bmob_test test = {.host = fake_host_new()};

    fake_host_key(test.host, UMBEL_CREDENTIAL_KEY, KEY, "tea");
    fake_host_key(test.host, UMBEL_CREDENTIAL_KEY, "k+/%2=\xe8\x8c\xb6", "odd");
    fake_host_key(test.host, UMBEL_CREDENTIAL_KEY, "secret", "secret-app");
    fake_host_key(test.host, UMBEL_CREDENTIAL_KEY, "rest", "rest-app");
    fake_host_key(test.host, UMBEL_CREDENTIAL_PUBLIC_ID, "public", "public-app");
    if (option)
        fake_host_option(test.host, option, value);
    test.port = fake_host_listen(test.host, 0);
    assert_int_equal(fake_host_open(test.host, &umbel_transport), 0);
    return test;
}

/* The running answer to question number index (from 0), once it has been asked. */
static struct fake_stream *answer(struct bmob_test *test, size_t index)
{
    WAIT_FOR(test->host, fake_host_stream(test->host, index));
    return fake_host_stream(test->host, index);
}

static void finish(struct fake_stream *stream)
{
    fake_stream_event(stream, UMBEL_EVENT_FINISH, "stop", UMBEL_FINISH_STOP);
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
}

static void name_golden(void *arg, struct fake_ask *ask)
{
    (void)arg;
    ask->stream = fake_stream_quiet(ask->host, ask->app, ask->session);
    fake_stream_name(ask->stream, GOLDEN_ID, "demo-1", 1760000000);
}

/* Goal: the three frames of the protocol's own example, to the byte, with the frame headers around them.  Method: compare raw socket bytes
 * with headers written by hand.  Catches: another member order, spaces, null instead of "", a header in a longer form than needed. */
static void test_golden_frames(void **state)
{
    static const char first[] = "{\"id\":\"chatcmpl-9f3c\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"demo-1\","
                                "\"choices\":[{\"delta\":{\"role\":\"\",\"content\":\"Ooo\"},\"index\":0,\"finish_reason\":\"\"}]}";
    static const char last[] = "{\"id\":\"chatcmpl-9f3c\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"demo-1\","
                               "\"choices\":[{\"delta\":{\"role\":\"\",\"content\":\"\"},\"index\":0,\"finish_reason\":\"stop\"}]}";
    struct bmob_test test = start(NULL, NULL);
    char golden[1024];
    size_t size;

    (void)state;
    fake_host_on_ask(test.host, name_golden, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    ws_client_ask(client, "hi");
    struct fake_stream *stream = answer(&test, 0);
    fake_stream_text(stream, "Ooo");
    finish(stream);
    size = (size_t)snprintf(golden, sizeof golden, "\x81\x7e%c%c%s\x81\x7e%c%c%s", 1, 1, first, 1, 1, last);
    /* both lengths are 0x00xx: put the bytes where printf cannot write a zero */
    golden[2] = (char)((sizeof first - 1) >> 8);
    golden[3] = (char)(sizeof first - 1);
    golden[4 + sizeof first - 1 + 2] = (char)((sizeof last - 1) >> 8);
    golden[4 + sizeof first - 1 + 3] = (char)(sizeof last - 1);
    WAIT_FOR(test.host, ws_client_pull(client, size) == 0 && client->in_size >= size);
    assert_int_equal(client->in_size, size);
    assert_memory_equal(client->in, golden, size);
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: text comes as it is, raw UTF-8 with only what JSON demands escaped, in the order text..., final; what is not text never shows; each
 * reason ends as "stop", exactly once.  Catches: premature "done" (empty content) in the JavaScript SDK, reasons other than "stop". */
static void test_only_text_and_one_final(void **state)
{
    static const uint32_t reason[] = {UMBEL_FINISH_STOP, UMBEL_FINISH_LENGTH, UMBEL_FINISH_FILTER, UMBEL_FINISH_TOOL, UMBEL_FINISH_OTHER};
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);

    (void)state;
    for (size_t i = 0; i < sizeof reason / sizeof *reason; i++) {
        ws_client_ask(client, "hi");
        struct fake_stream *stream = answer(&test, i);
        fake_stream_event(stream, UMBEL_EVENT_REASONING, "hm", 0);
        fake_stream_event(stream, UMBEL_EVENT_TOOL, "{\"index\":0}", 0);
        fake_stream_text(stream, "");
        fake_stream_text(stream, "\xe8\x8c\xb6 \"a\\b\"\n\x01");
        fake_stream_event(stream, UMBEL_EVENT_USAGE, "", 0);
        fake_stream_event(stream, UMBEL_EVENT_FINISH, "whatever", reason[i]);
        fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
        ws_client_expect_content(client, "\xe8\x8c\xb6 \\\"a\\\\b\\\"\\n\\u0001", "");
        ws_client_expect_content(client, "", "stop");
        ws_client_expect_nothing(client);
    }
    /* an empty answer is the final frame alone */
    ws_client_ask(client, "hi");
    finish(answer(&test, sizeof reason / sizeof *reason));
    ws_client_expect_content(client, "", "stop");
    ws_client_expect_nothing(client);
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: an event that carries no text makes no frame, even a text event.  (The hosts give none, a frame with empty content would say "done".) */
static void test_empty_text(void **state)
{
    struct umbel_stream stream = {.struct_size = sizeof stream, .id = "i", .model = "m"};
    struct umbel_event event = {.struct_size = sizeof event, .kind = UMBEL_EVENT_TEXT, .data = ""};
    struct umbel_out out = {0};

    (void)state;
    bmob_encode(BMOB_STYLE_TEXT, &stream, &event, &out);
    event.kind = UMBEL_EVENT_OPEN;
    bmob_encode(BMOB_STYLE_TEXT, &stream, &event, &out);
    assert_int_equal(out.size, 0);
    event.kind = UMBEL_EVENT_CLOSED;
    bmob_encode(BMOB_STYLE_TEXT, &stream, &event, &out);
    assert_true(out.size > 0);
    umbel_out_free(&out);
}

struct failure {
    uint32_t code;
    const char *data, *content;
};

static const struct failure failures[] = {
    {UMBEL_ERROR_QUOTA, "x", "You exceeded your current quota."},
    {UMBEL_ERROR_RATE, "x", "Too many requests, try again later."},
    {UMBEL_ERROR_BUSY, "x", "Too many requests, try again later."},
    {UMBEL_ERROR_BAD_REQUEST, "too long.", "Invalid request: too long."},
    {UMBEL_ERROR_UPSTREAM, "x", "The model service failed, try again later."},
    {UMBEL_ERROR_TIMEOUT, "x", "The model service failed, try again later."},
    {UMBEL_ERROR_INTERNAL, "x", "The model service failed, try again later."},
    {UMBEL_ERROR_AUTH, "x", "The model service failed, try again later."}, /* the operator's key, not the client's */
};

/* Goal: each kind of error inside an answer, before and after text, in both styles.  Catches: "Incorrect" said for the upstream's 401, a
 * second final in style frame, the missing line break after text. */
static void test_errors_in_answers(void **state)
{
    (void)state;
    for (int frame_style = 0; frame_style < 2; frame_style++) {
        struct bmob_test test = start("error_style", frame_style ? "frame" : "text");
        struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
        for (size_t i = 0; i < 2 * sizeof failures / sizeof *failures; i++) {
            const struct failure *failure = &failures[i / 2];
            bool after_text = i % 2;
            char content[256];
            ws_client_ask(client, "hi");
            struct fake_stream *stream = answer(&test, i);
            if (after_text)
                fake_stream_text(stream, "some");
            fake_stream_event(stream, UMBEL_EVENT_ERROR, failure->data, failure->code);
            fake_stream_close(stream, after_text ? UMBEL_VERDICT_TRUNCATED : UMBEL_VERDICT_FAILED);
            if (after_text)
                ws_client_expect_content(client, "some", "");
            snprintf(content, sizeof content, "%s%s", after_text && !frame_style ? "\\n" : "", failure->content);
            ws_client_expect_content(client, content, frame_style ? "stop" : "");
            if (!frame_style)
                ws_client_expect_content(client, "", "stop");
            ws_client_expect_nothing(client);
        }
        ws_client_close(client);
        fake_host_free(test.host);
    }
}

static void refuse_next(void *arg, struct fake_ask *ask)
{
    const struct failure *failure = arg;

    fake_ask_refuse(ask, failure->code, failure->data);
}

/* Of a client that is refused the core and the operator may have words of their own; inside an answer they are the model service's. */
static const struct failure refusals[] = {
    {UMBEL_ERROR_QUOTA, "Please pay.", "Please pay."},
    {UMBEL_ERROR_QUOTA, "", "You exceeded your current quota."},
    {UMBEL_ERROR_QUOTA, "Incorrect sum.", "You exceeded your current quota."}, /* Android would log out */
    {UMBEL_ERROR_RATE, "Not so fast.", "Not so fast."},
    {UMBEL_ERROR_RATE, "", "Too many requests, try again later."},
    {UMBEL_ERROR_RATE, "Incorrect pace.", "Too many requests, try again later."},
    {UMBEL_ERROR_AUTH, "Log in.", "Incorrect API key provided: Log in."},
    {UMBEL_ERROR_AUTH, "", "Incorrect API key provided."},
    {UMBEL_ERROR_AUTH, "Incorrect token.", "Incorrect token."},
    {UMBEL_ERROR_BUSY, "x", "Too many requests, try again later."},
    {UMBEL_ERROR_BAD_REQUEST, "too long.", "Invalid request: too long."},
    {UMBEL_ERROR_UPSTREAM, "x", "The model service failed, try again later."},
    {UMBEL_ERROR_INTERNAL, "x", "The model service failed, try again later."},
};

/* Goal: a question that the core refuses is answered whole, under one id of its own, and the next question is heard.  Also -EAGAIN and
 * -EMSGSIZE from the call itself. */
static void test_refused_questions(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    char id[64];

    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        fake_host_on_ask(test.host, refuse_next, (void *)(uintptr_t)&refusals[i]);
        ws_client_ask(client, "hi");
        snprintf(id, sizeof id, "%s", ws_client_expect_content(client, refusals[i].content, ""));
        assert_int_equal(strlen(id), strlen("chatcmpl-") + 32);
        assert_string_equal(ws_client_expect_content(client, "", "stop"), id);
    }
    fake_host_refuse_asks(test.host, -11 /* EAGAIN */);
    ws_client_ask(client, "hi");
    ws_client_expect_content(client, "Too many requests, try again later.", "");
    ws_client_expect_content(client, "", "stop");
    fake_host_refuse_asks(test.host, -90 /* EMSGSIZE */);
    ws_client_ask(client, "hi");
    ws_client_expect_content(client, "Invalid request: the question is too long.", "");
    ws_client_expect_content(client, "", "stop");
    fake_host_refuse_asks(test.host, 0);
    fake_host_on_ask(test.host, NULL, NULL);
    ws_client_ask(client, "hi");
    finish(answer(&test, 0));
    ws_client_expect_content(client, "", "stop");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: every way the published SDKs say who they are, the order between them, and odd characters in a key.  Method: the app of the answer.
 * Catches: a wrong precedence, a key decoded twice or not at all, "+" read as a space. */
static void test_credentials(void **state)
{
    static const struct {
        const char *path, *headers, *app;
    } way[] = {
        {"/1/ai/" KEY, "", "tea"},
        {"/1/ai/%30123456789abcdef", "", "tea"},
        {"/1/ai/k+/%252=%E8%8C%B6", "", "odd"},
        {"/1/ai/k%2B%2F%252%3D%e8%8c%b6?x=1", "", "odd"},
        {"/1/ai", "X-Bmob-Secret-Key: secret\r\n", "secret-app"},
        {"/1/ai/", "X-Bmob-REST-API-Key: rest\r\n", "rest-app"},
        {"/1/ai", "X-Bmob-Application-Id: public\r\n", "public-app"},
        {"/1/ai", "X-Bmob-Application-Id: public\r\nX-Bmob-REST-API-Key: rest\r\n", "rest-app"},
        {"/1/ai", "X-Bmob-REST-API-Key: rest\r\nX-Bmob-Secret-Key: secret\r\n", "secret-app"},
        {"/1/ai/" KEY, "X-Bmob-Secret-Key: secret\r\nX-Bmob-Application-Id: public\r\n", "tea"},
        {"/1/ai/wrong", "X-Bmob-Secret-Key: secret\r\n", "secret-app"},
    };
    struct bmob_test test = start(NULL, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        struct ws_client *client = ws_client_open(test.host, test.port, false);
        assert_int_equal(ws_client_request(client, way[i].path, way[i].headers), 101);
        ws_client_ask(client, "hi");
        struct fake_stream *stream = answer(&test, i);
        assert_string_equal(fake_stream_info(stream)->app, way[i].app);
        finish(stream);
        ws_client_expect_content(client, "", "stop");
        ws_client_close(client);
    }
    fake_host_free(test.host);
}

/* Goal: what RFC 6455 demands of the opening, and the paths that are ours.  Catches: an upgrade without its checks, compression agreed to. */
static void test_upgrade(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_open(test.host, test.port, false);

    (void)state;
    assert_int_equal(ws_client_request(client, "/1/ai/" KEY, "Sec-WebSocket-Extensions: permessage-deflate\r\n"), 101);
    assert_non_null(strstr(client->payload, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_null(strcasestr(client->payload, "extensions"));
    ws_client_close(client);
    static const struct {
        int status;
        const char *request, *header;
    } bad[] = {
        {426, "GET /1/ai/k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "Sec-WebSocket-Version: 13\r\n"},
        {426, "GET /1/ai/k HTTP/1.1\r\nHost: a\r\n\r\n", "Upgrade: websocket\r\n"},
        {400, "GET /1/ai/k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", ""},
        {404, "GET /1/aix HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", ""},
        {404, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", ""},
        {400, "GET /1/ai/k?watch=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        client = ws_client_open(test.host, test.port, false);
        assert_int_equal(ws_client_raw_request(client, bad[i].request), bad[i].status);
        assert_non_null(strstr(client->payload, bad[i].header));
        assert_false(ws_client_next(client)); /* and then it ends */
        ws_client_close(client);
    }
    WAIT_FOR(test.host, fake_host_stats(test.host)->clients == 0);
    assert_int_equal(fake_host_stats(test.host)->opened, fake_host_stats(test.host)->closed);
    fake_host_free(test.host);
}

/* Goal: a client with a bad key, or none, is let in, told three times, then closed with 1008; a heartbeat is still answered; with
 * bad_key = close it goes at once.  Catches: a storm of reconnecting demos, questions reaching the core. */
static void test_bad_key(void **state)
{
    static const char *const paths[] = {"/1/ai/wrong", "/1/ai"};
    struct bmob_test test = start(NULL, NULL);

    (void)state;
    for (size_t p = 0; p < 2; p++) {
        struct ws_client *client = ws_client_upgrade(test.host, test.port, paths[p]);
        ws_client_text(client, "ping");
        ws_client_expect(client, "{\"success\":\"ok\"}");
        for (int i = 0; i < 3; i++) {
            ws_client_ask(client, "hi");
            ws_client_expect_content(client, p ? "Incorrect API key provided." : "Incorrect API key provided: unknown key", "");
            ws_client_expect_content(client, "", "stop");
        }
        ws_client_expect_close(client, 1008);
        ws_client_close(client);
    }
    assert_int_equal(fake_host_stats(test.host)->asks, 0);
    fake_host_free(test.host);
    test = start("bad_key", "close");
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/wrong");
    ws_client_expect_close(client, 1008);
    ws_client_close(client);
    client = ws_client_open(test.host, test.port, false);
    assert_int_equal(ws_client_request(client, "/1/ai", ""), 401);
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: messages sent before the core has said who this is are held and then answered in order. */
static void test_messages_before_authorized(void **state)
{
    struct bmob_test test = start(NULL, NULL);

    (void)state;
    fake_host_hold_authorize(test.host, true);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    ws_client_ask(client, "one");
    ws_client_text(client, "{}");
    ws_client_ask(client, "two");
    ws_client_expect_nothing(client);
    assert_int_equal(fake_host_stats(test.host)->asks, 0);
    fake_host_hold_authorize(test.host, false);
    finish(answer(&test, 0));
    ws_client_expect_content(client, "", "stop");
    ws_client_expect_content(client, "Invalid request: it has no messages.", "");
    ws_client_expect_content(client, "", "stop");
    finish(answer(&test, 1));
    ws_client_expect_content(client, "", "stop");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: bad requests are answered in turn, in the protocol's form, and the socket stays. */
static void test_bad_requests(void **state)
{
    static const struct {
        const char *text, *what;
    } bad[] = {
        {"{\"messages\":[]}", "messages is not an array of one or more"},
        {"{\"messages\":\"x\"}", "messages is not an array of one or more"},
        {"[]", "it is not a JSON object"},
        {"{}", "it has no messages"},
        {"{\"messages\":[{\"role\":\"user\"}]}", "a message's content is not a string"},
        {"{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}", "a message's role is not system, user or assistant"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"session\":3}", "session is not a string"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"model\":{}}", "model is not a string"},
        {"{\"resume\":\"x\"}", "resume is not \\\"<id>:<bytes>\\\""},
        {"{\"resume\":\"x:-1\"}", "resume is not \\\"<id>:<bytes>\\\""},
        {"{\"resume\":\"x:1x\"}", "resume is not \\\"<id>:<bytes>\\\""},
        {"{\"resume\":\"chatcmpl-00000000000000000000000000000000:0\"}", "no such answer"},
    };
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    char content[256];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ws_client_text(client, bad[i].text);
        snprintf(content, sizeof content, "Invalid request: %s.", bad[i].what);
        ws_client_expect_content(client, content, "");
        ws_client_expect_content(client, "", "stop");
    }
    ws_client_text(client, "no JSON");
    assert_true(ws_client_next(client));
    assert_non_null(strstr(client->payload, "\"content\":\"Invalid request: "));
    ws_client_expect_content(client, "", "stop");
    assert_int_equal(fake_host_stats(test.host)->asks, 0);
    ws_client_close(client);
    fake_host_free(test.host);
}

struct seen {
    char session[64], messages[512], model[64];
    uint32_t flags;
};

static void look(void *arg, struct fake_ask *ask)
{
    struct seen *seen = arg;

    snprintf(seen->session, sizeof seen->session, "%s", ask->session);
    snprintf(seen->messages, sizeof seen->messages, "%s", ask->messages);
    snprintf(seen->model, sizeof seen->model, "%s", ask->model ? ask->model : "none");
    seen->flags = ask->flags;
    ask->stream = fake_stream_quiet(ask->host, ask->app, ask->session);
    finish(ask->stream);
}

/* Goal: what reaches the core: messages with their two members only, the memory flag, the session as said, else of the address, else one of
 * this socket alone and the same each time. */
static void test_request_to_core(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    struct seen seen, again;

    (void)state;
    fake_host_on_ask(test.host, look, &seen);
    ws_client_text(client, " {\"stream\":false,\"session\":\"visitor-17\",\"model\":\"m\",\"x\":{},\"messages\":"
                           "[{\"content\":\"s\\\"\\u0041\",\"role\":\"system\",\"y\":1},{\"role\":\"user\",\"content\":\"\xe8\x8c\xb6\"}]}\n");
    ws_client_expect_content(client, "", "stop");
    assert_string_equal(seen.session, "visitor-17");
    assert_string_equal(seen.model, "m");
    assert_string_equal(seen.messages,
                        "[{\"role\":\"system\",\"content\":\"s\\\"A\"},{\"role\":\"user\",\"content\":\"\xe8\x8c\xb6\"}]");
    assert_int_equal(seen.flags, UMBEL_REQUEST_MEMORY | UMBEL_REQUEST_MODEL_HINT);
    ws_client_ask(client, "a");
    ws_client_expect_content(client, "", "stop");
    assert_string_equal(seen.model, "none");
    assert_int_equal(strlen(seen.session), 35);
    again = seen;
    ws_client_ask(client, "b");
    ws_client_expect_content(client, "", "stop");
    assert_string_equal(seen.session, again.session);
    ws_client_close(client);
    client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    ws_client_ask(client, "a");
    ws_client_expect_content(client, "", "stop");
    assert_string_not_equal(seen.session, again.session);
    ws_client_close(client);
    client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY "?session=of%20address");
    ws_client_ask(client, "a");
    ws_client_expect_content(client, "", "stop");
    assert_string_equal(seen.session, "of address");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: a text heartbeat is answered at once amid an answer, in each of its forms. */
static void test_heartbeat(void **state)
{
    static const char *const forms[] = {"ping", "\"ping\"", " ping\r\n", "\t\"ping\" "};
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);

    (void)state;
    ws_client_ask(client, "hi");
    struct fake_stream *stream = answer(&test, 0);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        fake_stream_text(stream, "a");
        ws_client_expect_content(client, "a", "");
        ws_client_text(client, forms[i]);
        ws_client_expect(client, "{\"success\":\"ok\"}");
    }
    finish(stream);
    ws_client_expect_content(client, "", "stop");
    ws_client_close(client);
    fake_host_free(test.host);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void turns(struct bmob_test *test, uint64_t ms)
{
    uint64_t end = now_ms() + ms;

    do
        fake_host_turn(test->host, 10);
    while (now_ms() < end);
}

/* Goal: heartbeats keep the connection of a client that may ask, beyond the idle time; when they stop it ends with 1000.  Those of a client
 * that may not ask keep nothing.  Method: an idle time of 2 s, a heartbeat every 500 ms for 3 s.  Catches: heartbeats that are answered and
 * do not count; strangers who hold connections for ever. */
static void test_heartbeat_keeps(void **state)
{
    static const char *const strangers[] = {"/1/ai/wrong", "/1/ai"};
    struct ws_client *stranger[2];

    (void)state;
    idle_s = 2;
    struct bmob_test test = start(NULL, NULL);
    idle_s = 0;
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    for (size_t i = 0; i < 2; i++)
        stranger[i] = ws_client_upgrade(test.host, test.port, strangers[i]);
    for (int beat = 0; beat < 6; beat++) {
        ws_client_text(client, "ping");
        ws_client_expect(client, "{\"success\":\"ok\"}");
        if (beat < 3)
            for (size_t i = 0; i < 2; i++) {
                ws_client_text(stranger[i], "ping");
                ws_client_expect(stranger[i], "{\"success\":\"ok\"}");
            }
        turns(&test, 500);
        if (beat == 4) /* 2.5 s after they came, 1.5 s after their last heartbeat */
            assert_int_equal(fake_host_stats(test.host)->clients, 1);
    }
    for (size_t i = 0; i < 2; i++) {
        ws_client_expect_close(stranger[i], 1000);
        ws_client_close(stranger[i]);
    }
    ws_client_expect_close(client, 1000);
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: answers of one socket never interleave: three questions back to back are answered in order; of eleven the last two get the busy
 * text, in their turn.  Catches: answers started side by side, busy said at once. */
static void test_turns(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        ws_client_ask(client, "hi");
    for (size_t i = 0; i < 3; i++) {
        struct fake_stream *stream = answer(&test, i);
        ws_client_expect_nothing(client);
        assert_int_equal(fake_host_stats(test.host)->asks, i + 1);
        fake_stream_text(stream, "a");
        finish(stream);
        assert_string_equal(ws_client_expect_content(client, "a", ""), fake_stream_info(stream)->id);
        ws_client_expect_content(client, "", "stop");
    }
    for (size_t i = 0; i < 11; i++)
        ws_client_ask(client, "hi");
    for (size_t i = 0; i < 9; i++) {
        finish(answer(&test, 3 + i));
        ws_client_expect_content(client, "", "stop");
    }
    for (size_t i = 0; i < 2; i++) {
        ws_client_expect_content(client, "Too many requests, try again later.", "");
        ws_client_expect_content(client, "", "stop");
    }
    ws_client_expect_nothing(client);
    assert_int_equal(fake_host_stats(test.host)->asks, 12);
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: a client that floods is not read any further once its turn is full, and every question is answered after all.  Method: questions of
 * 200 KB while nothing is answered.  Catches: memory that grows with what the client sends. */
static void test_flood_stops_reading(void **state)
{
    enum { COUNT = 100, CONTENT = 200000 };
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    static const char head[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"", tail[] = "\"}]}";
    size_t payload = sizeof head - 1 + CONTENT + sizeof tail - 1, frame = payload + 14, sent = 0, total = COUNT * frame;
    char *bytes = calloc(COUNT, frame);
    size_t busy = 0, finals = 0, closed = 0;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) { /* masked with zeros */
        unsigned char *at = (unsigned char *)bytes + i * frame;
        at[0] = 0x81;
        at[1] = 0x80 | 127;
        for (int b = 0; b < 8; b++)
            at[2 + b] = (unsigned char)((uint64_t)payload >> (56 - 8 * b));
        memcpy(at + 14, head, sizeof head - 1);
        memset(at + 14 + sizeof head - 1, 'q', CONTENT);
        memcpy(at + 14 + sizeof head - 1 + CONTENT, tail, sizeof tail - 1);
    }
    /* 1 runs, 8 wait, 8 are refused in their turn: then it must stop */
    WAIT_FOR(test.host, (sent += ws_client_try_push(client, bytes + sent, total - sent), fake_host_counter(test.host, "ws_busy") == 8));
    for (int i = 0; i < 1000; i++) {
        sent += ws_client_try_push(client, bytes + sent, total - sent);
        fake_host_turn(test.host, 0);
    }
    assert_int_equal(fake_host_counter(test.host, "ws_busy"), 8);
    assert_int_equal(fake_host_stats(test.host)->asks, 1);
    assert_true(sent < total);
    while (finals < COUNT) {
        struct fake_stream *stream;
        sent += ws_client_try_push(client, bytes + sent, total - sent);
        while ((stream = fake_host_stream(test.host, closed))) {
            finish(stream);
            closed++;
        }
        fake_host_turn(test.host, 1);
        ws_client_pull(client, 65536);
        while (client->in_size > 300) { /* a frame at least */
            assert_true(ws_client_next(client));
            finals += strstr(client->payload, "\"stop\"") != NULL;
            busy += strstr(client->payload, "Too many requests") != NULL;
        }
        if (sent == total && client->in_size) {
            assert_true(ws_client_next(client));
            finals += strstr(client->payload, "\"stop\"") != NULL;
            busy += strstr(client->payload, "Too many requests") != NULL;
        }
    }
    assert_int_equal(finals, busy + closed);
    assert_true(busy >= 8);
    free(bytes);
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: the size limit to the byte, in one frame and in fragments.  Catches: off by one, a limit per fragment. */
static void test_size_limit(void **state)
{
    enum { LIMIT = 1 << 20 };
    static const char small[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    struct bmob_test test = start(NULL, NULL);
    char *text = malloc(LIMIT + 1);

    (void)state;
    memset(text, ' ', LIMIT + 1);
    memcpy(text, small, sizeof small - 1);
    for (int fragments = 0; fragments < 2; fragments++) {
        struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
        if (fragments) {
            ws_client_frame(client, 0x01, text, LIMIT / 2);
            ws_client_frame(client, 0x80, text + LIMIT / 2, LIMIT / 2);
        } else {
            ws_client_frame(client, 0x81, text, LIMIT);
        }
        finish(answer(&test, (size_t)fragments));
        ws_client_expect_content(client, "", "stop");
        if (fragments) {
            ws_client_frame(client, 0x01, text, LIMIT / 2);
            ws_client_frame(client, 0x80, text + LIMIT / 2, LIMIT / 2 + 1);
        } else {
            ws_client_frame(client, 0x81, text, LIMIT + 1);
        }
        ws_client_expect_close(client, 1009);
        ws_client_close(client);
    }
    free(text);
    fake_host_free(test.host);
}

struct bad_frames {
    unsigned code;
    size_t size;
    const char *bytes; /* masked with zeros */
};

/* Goal: the close code of each fault, sent before the connection ends.  Catches: an abrupt end where the client needs the code. */
static void test_bad_frames(void **state)
{
    static const struct bad_frames bad[] = {
        {1007, 8, "\x81\x82\0\0\0\0\xc3("},           /* a broken sequence */
        {1007, 7, "\x81\x81\0\0\0\0\xe8"},             /* an unfinished one */
        {1007, 9, "\x81\x83\0\0\0\0\xed\xa0\x80"},     /* a surrogate */
        {1007, 8, "\x81\x82\0\0\0\0\xc0\x80"},         /* too long a form */
        {1007, 10, "\x81\x84\0\0\0\0\xf4\x90\x80\x80"}, /* past the end */
        {1003, 7, "\x82\x81\0\0\0\0x"},
        {1003, 7, "\x02\x81\0\0\0\0x"},
        {1002, 7, "\xc1\x81\0\0\0\0x"}, /* RSV1: compressed, and we agreed to none */
        {1002, 7, "\x09\x81\0\0\0\0x"}, /* a ping in fragments */
        {1002, 6, "\x83\x80\0\0\0\0"},  /* an opcode nobody knows */
        {1002, 6, "\x80\x80\0\0\0\0"},  /* a continuation of nothing */
        {1002, 14, "\x01\x81\0\0\0\0x\x81\x81\0\0\0\0x"}, /* a new message inside another */
        {1002, 8, "\x89\xfe\0\x7e\0\0\0\0"},  /* a ping of 126 bytes */
        {1002, 10, "\x81\xff\xff\0\0\0\0\0\0\0"}, /* a length past 63 bits */
    };
    struct bmob_test test = start(NULL, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
        print_message("# fault %zu\n", i);
        ws_client_push(client, bad[i].bytes, bad[i].size);
        ws_client_expect_close(client, bad[i].code);
        ws_client_close(client);
    }
    WAIT_FOR(test.host, fake_host_stats(test.host)->clients == 0);
    fake_host_free(test.host);
}

/* Goal: a character cut between fragments is whole in the end, a ping between them is answered with its own payload, an empty fragment is
 * nothing.  Method: a question in five pieces. */
static void test_fragments(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    struct seen seen;
    char ping[125];

    (void)state;
    memset(ping, 'p', sizeof ping);
    fake_host_on_ask(test.host, look, &seen);
    ws_client_frame(client, 0x01, "", 0);
    ws_client_frame(client, 0x00, "{\"messages\":[{\"role\":\"user\",\"content\":\"\xe8", 40);
    ws_client_frame(client, 0x89, ping, sizeof ping);
    assert_true(ws_client_next(client));
    assert_int_equal(client->first, 0x8a);
    assert_int_equal(client->payload_size, sizeof ping);
    assert_memory_equal(client->payload, ping, sizeof ping);
    ws_client_frame(client, 0x00, "\x8c\xb6\"}]", 5);
    ws_client_frame(client, 0x00, "", 0);
    ws_client_frame(client, 0x80, "}", 1);
    ws_client_expect_content(client, "", "stop");
    assert_string_equal(seen.messages, "[{\"role\":\"user\",\"content\":\"\xe8\x8c\xb6\"}]");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: a client that goes amid its answer, politely, silently or with a reset, is left by its readers, and the host is told once. */
static void test_close_amid_answer(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    const struct fake_host_stats *stats = fake_host_stats(test.host);

    (void)state;
    for (size_t way = 0; way < 3; way++) {
        struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
        ws_client_ask(client, "hi");
        ws_client_ask(client, "waits");
        struct fake_stream *stream = answer(&test, way);
        fake_stream_text(stream, "a");
        ws_client_expect_content(client, "a", "");
        if (way == 0) {
            ws_client_frame(client, 0x88, "\x03\xe8", 2);
            ws_client_expect_close(client, 1000);
        }
        if (way == 2)
            ws_client_reset(client);
        else
            ws_client_close(client);
        WAIT_FOR(test.host, stats->closed == way + 1);
        assert_int_equal(stats->left, way + 1);
        assert_int_equal(stats->live_readers, 0);
        fake_stream_text(stream, "b");
        finish(stream);
        for (int i = 0; i < 5; i++)
            fake_host_turn(test.host, 1);
    }
    assert_int_equal(stats->ended, 0);
    assert_int_equal(stats->asks, 3);
    fake_host_free(test.host);
}

/* Goal: a client that does not read costs a place and the kernel's buffers: the host is told FULL and encodes nothing more for it until it
 * reads; then it gets all it missed, merged.  Method: 12 MB in pieces of 64 bytes.  Catches: bytes piling up in the process, one frame per
 * piece afterwards, lost or doubled text. */
static void test_slow_reader(void **state)
{
    enum { PIECES = 200000, PIECE = 64 };
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *slow = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    const struct fake_host_stats *stats = fake_host_stats(test.host);
    char piece[PIECE + 1];
    uint64_t frames = 0, bytes = 0;

    (void)state;
    ws_client_ask(slow, "hi");
    struct fake_stream *stream = answer(&test, 0);
    for (size_t i = 0; i < PIECES; i++) {
        snprintf(piece, sizeof piece, "%064zu", i);
        fake_stream_text(stream, piece);
        if (i % 100 == 0)
            fake_host_turn(test.host, 0);
    }
    finish(stream);
    WAIT_FOR(test.host, stats->full > 0);
    uint64_t encodes = stats->encodes, encoded = stats->encoded_bytes;
    for (int i = 0; i < 100; i++)
        fake_host_turn(test.host, 0);
    assert_int_equal(stats->encodes, encodes);
    assert_true(encoded < (uint64_t)PIECES * PIECE / 2); /* most of it was never encoded for this client */
    while (true) {
        assert_true(ws_client_next(slow));
        const char *from = strstr(slow->payload, "\"content\":\"") + 11;
        const char *end = strchr(from, '"');
        if (from == end)
            break;
        for (; from < end; from += PIECE, bytes += PIECE) { /* in order, nothing twice, nothing missing */
            snprintf(piece, sizeof piece, "%064zu", (size_t)(bytes / PIECE));
            assert_memory_equal(from, piece, PIECE);
        }
        frames++;
    }
    assert_int_equal(bytes, (uint64_t)PIECES * PIECE);
    assert_true(frames < PIECES / 50);
    ws_client_expect_nothing(slow);
    ws_client_close(slow);
    fake_host_free(test.host);
}

/* Goal: an answer whose memory was taken while the client lagged does not look like a clean end. */
static void test_lagged_too_far(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);

    (void)state;
    ws_client_ask(client, "hi");
    struct fake_stream *stream = answer(&test, 0);
    fake_stream_text(stream, "a");
    ws_client_expect_content(client, "a", "");
    fake_stream_text(stream, "b");
    fake_stream_forget(stream);
    ws_client_expect_content(client, "\\nThe model service failed, try again later.", "");
    ws_client_expect_content(client, "", "stop");
    ws_client_ask(client, "again");
    finish(answer(&test, 1));
    ws_client_expect_content(client, "", "stop");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: a thousand watchers of one answer cost one encoding an event, and each gets every frame.  Catches: encoding per client. */
static void test_watchers_share_encoding(void **state)
{
    enum { WATCHERS = 1000, EVENTS = 20 };
    struct bmob_test test = start(NULL, NULL);
    const struct fake_host_stats *stats = fake_host_stats(test.host);
    struct ws_client **watcher = calloc(WATCHERS, sizeof(struct ws_client *));
    char content[16];

    (void)state;
    for (size_t i = 0; i < WATCHERS; i++)
        watcher[i] = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY "?session=room&watch=1");
    WAIT_FOR(test.host, stats->watches == WATCHERS);
    for (int i = 0; i < 3; i++)
        fake_host_turn(test.host, 0);
    struct fake_stream *stream = fake_stream_new(test.host, "tea", "room");
    fake_stream_new(test.host, "odd", "room"); /* another app's room of the same name */
    assert_int_equal(stats->readers, WATCHERS);
    fake_host_turn(test.host, 0);
    uint64_t before = stats->encodes;
    for (int i = 0; i < EVENTS; i++) {
        snprintf(content, sizeof content, "t%d", i);
        fake_stream_text(stream, content);
        fake_host_turn(test.host, 0);
    }
    finish(stream);
    fake_host_turn(test.host, 0);
    assert_int_equal(stats->encodes - before, EVENTS + 2); /* and FINISH, CLOSED */
    assert_int_equal(stats->writes, (EVENTS + 1) * (uint64_t)WATCHERS);
    for (size_t w = 0; w < WATCHERS; w++) {
        for (int i = 0; i < EVENTS; i++) {
            snprintf(content, sizeof content, "t%d", i);
            ws_client_expect_content(watcher[w], content, "");
        }
        ws_client_expect_content(watcher[w], "", "stop");
    }
    for (size_t w = 0; w < WATCHERS; w++)
        ws_client_close(watcher[w]);
    free(watcher);
    WAIT_FOR(test.host, stats->clients == 0);
    fake_host_free(test.host);
}

/* Goal: a watcher gets everyone's answers of its session, and its own once, whichever way round the two begin. */
static void test_watching_and_asking(void **state)
{
    (void)state;
    for (int watch_first = 0; watch_first < 2; watch_first++) {
        struct bmob_test test = start(NULL, NULL);
        fake_host_watch_first(test.host, watch_first);
        struct ws_client *watcher = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY "?session=room&watch=1");
        struct ws_client *other = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY "?session=room");
        WAIT_FOR(test.host, fake_host_stats(test.host)->watches == 1);
        ws_client_ask(watcher, "mine");
        struct fake_stream *mine = answer(&test, 0);
        ws_client_ask(other, "theirs");
        struct fake_stream *theirs = answer(&test, 1);
        fake_stream_text(mine, "m");
        assert_string_equal(ws_client_expect_content(watcher, "m", ""), fake_stream_info(mine)->id);
        fake_stream_text(theirs, "t");
        assert_string_equal(ws_client_expect_content(watcher, "t", ""), fake_stream_info(theirs)->id);
        ws_client_expect_content(other, "t", "");
        finish(mine);
        ws_client_expect_content(watcher, "", "stop");
        ws_client_expect_nothing(watcher);
        ws_client_ask(watcher, "next"); /* the turn is free though the other answer still runs */
        finish(answer(&test, 2));
        ws_client_expect_content(watcher, "", "stop");
        finish(theirs);
        ws_client_expect_content(watcher, "", "stop");
        ws_client_expect_content(other, "", "stop");
        ws_client_expect_nothing(watcher);
        ws_client_expect_nothing(other); /* it did not ask to watch */
        ws_client_close(watcher);
        ws_client_close(other);
        fake_host_free(test.host);
    }
}

/* Goal: resume gives the rest from a position in bytes, several on one socket; positions inside a character, past the end and foreign ids
 * are errors in the protocol's form. */
static void test_resume(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    struct fake_stream *stream = fake_stream_new(test.host, "tea", "room"), *foreign = fake_stream_new(test.host, "odd", "room");
    static const struct {
        int position;
        const char *content;
    } good[] = {{0, "a\xe8\x8c\xb6z"}, {1, "\xe8\x8c\xb6z"}, {4, "z"}, {5, ""}};
    char text[128];

    (void)state;
    fake_stream_text(stream, "a\xe8\x8c\xb6");
    fake_stream_text(stream, "z");
    finish(stream);
    finish(foreign);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "{\"resume\":\"%s:%d\"}", fake_stream_info(stream)->id, good[i].position);
        ws_client_text(client, text);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (*good[i].content)
            assert_string_equal(ws_client_expect_content(client, good[i].content, ""), fake_stream_info(stream)->id);
        assert_string_equal(ws_client_expect_content(client, "", "stop"), fake_stream_info(stream)->id);
    }
    for (int position = 2; position <= 6; position += 4) {
        snprintf(text, sizeof text, "{\"resume\":\"%s:%d\"}", fake_stream_info(stream)->id, position);
        ws_client_text(client, text);
        ws_client_expect_content(client, "Invalid request: no such position in this answer.", "");
        ws_client_expect_content(client, "", "stop");
    }
    snprintf(text, sizeof text, "{\"resume\":\"%s:0\"}", fake_stream_info(foreign)->id);
    ws_client_text(client, text);
    ws_client_expect_content(client, "Invalid request: no such answer.", "");
    ws_client_expect_content(client, "", "stop");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: a client that comes back with resume and watch in its address gets the rest of the running answer once, then what comes next. */
static void test_resume_and_watch(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct fake_stream *stream = fake_stream_new(test.host, "tea", "room");
    char path[160];

    (void)state;
    fake_stream_text(stream, "had, ");
    snprintf(path, sizeof path, "/1/ai/" KEY "?watch=1&session=room&resume=%s:5", fake_stream_info(stream)->id);
    fake_host_hold_resume(test.host, true);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, path);
    WAIT_FOR(test.host, fake_host_stats(test.host)->resumes == 1);
    ws_client_expect_nothing(client);
    assert_int_equal(fake_host_stats(test.host)->watches, 0); /* not before the resume has begun */
    fake_host_hold_resume(test.host, false);
    WAIT_FOR(test.host, fake_host_stats(test.host)->watches == 1);
    fake_stream_text(stream, "missing");
    ws_client_expect_content(client, "missing", "");
    finish(stream);
    ws_client_expect_content(client, "", "stop");
    ws_client_expect_nothing(client);
    fake_stream_text(fake_stream_new(test.host, "tea", "room"), "next");
    ws_client_expect_content(client, "next", "");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: a stop message acts amid the answer, before the questions that wait; a foreign id stops nothing and is not answered. */
static void test_stop(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *client = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    struct fake_stream *foreign = fake_stream_new(test.host, "odd", "room");
    char text[128];

    (void)state;
    ws_client_ask(client, "hi");
    ws_client_ask(client, "waits");
    struct fake_stream *stream = answer(&test, 1);
    fake_stream_text(stream, "a");
    ws_client_expect_content(client, "a", "");
    snprintf(text, sizeof text, "{\"stop\":\"%s\"}", fake_stream_info(foreign)->id);
    ws_client_text(client, text);
    ws_client_expect_nothing(client);
    assert_false(fake_stream_is_closed(foreign));
    snprintf(text, sizeof text, "{\"stop\":\"%s\"}", fake_stream_info(stream)->id);
    ws_client_text(client, text);
    ws_client_expect_content(client, "", "stop");
    assert_true(fake_stream_is_closed(stream));
    finish(answer(&test, 2));
    ws_client_expect_content(client, "", "stop");
    ws_client_close(client);
    fake_host_free(test.host);
}

/* Goal: on drain idle clients go at once with 1001, a running answer ends whole first, what only waits is dropped, newcomers are turned
 * away, and the host is told when the last has gone. */
static void test_drain(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *idle = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    struct ws_client *busy = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);
    struct ws_client *late = ws_client_open(test.host, test.port, false);

    (void)state;
    for (int i = 0; i < 10; i++)
        fake_host_turn(test.host, 1); /* accepts the one that has not asked yet */
    ws_client_ask(busy, "hi");
    ws_client_ask(busy, "waits");
    struct fake_stream *stream = answer(&test, 0);
    ws_client_expect_nothing(busy);
    fake_host_drain(test.host);
    ws_client_expect_close(idle, 1001);
    ws_client_close(idle);
    fake_stream_text(stream, "to the end");
    ws_client_expect_content(busy, "to the end", "");
    assert_false(fake_host_stats(test.host)->drained);
    finish(stream);
    ws_client_expect_content(busy, "", "stop");
    ws_client_expect_close(busy, 1001);
    ws_client_close(busy);
    assert_false(ws_client_next(late));
    ws_client_close(late);
    WAIT_FOR(test.host, fake_host_stats(test.host)->drained);
    assert_int_equal(fake_host_stats(test.host)->asks, 1);
    fake_host_free(test.host);
}

/* Goal: close() with clients in every state frees everything (run under ASan) and says 1001 as far as it can. */
static void test_close_with_clients(void **state)
{
    struct bmob_test test = start(NULL, NULL);
    struct ws_client *half = ws_client_open(test.host, test.port, false);
    struct ws_client *idle = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY "?session=s&watch=1");
    struct ws_client *busy = ws_client_upgrade(test.host, test.port, "/1/ai/" KEY);

    (void)state;
    ws_client_push(half, "GET /1/ai/", 10);
    ws_client_ask(busy, "hi");
    ws_client_ask(busy, "waits");
    ws_client_frame(busy, 0x01, "half a message", 14);
    fake_stream_text(answer(&test, 0), "a");
    ws_client_expect_content(busy, "a", "");
    fake_host_close(test.host);
    assert_int_equal(fake_host_stats(test.host)->clients, 0);
    assert_true(ws_client_next(idle));
    assert_int_equal(idle->first, 0x88);
    ws_client_close(half);
    ws_client_close(idle);
    ws_client_close(busy);
    fake_host_free(test.host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_frames),
        cmocka_unit_test(test_only_text_and_one_final),
        cmocka_unit_test(test_empty_text),
        cmocka_unit_test(test_errors_in_answers),
        cmocka_unit_test(test_refused_questions),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_bad_key),
        cmocka_unit_test(test_messages_before_authorized),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_request_to_core),
        cmocka_unit_test(test_heartbeat),
        cmocka_unit_test(test_heartbeat_keeps),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_flood_stops_reading),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_bad_frames),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_close_amid_answer),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_lagged_too_far),
        cmocka_unit_test(test_watchers_share_encoding),
        cmocka_unit_test(test_watching_and_asking),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_resume_and_watch),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close_with_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
