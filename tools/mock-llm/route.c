#include "route.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "chat_request.h"
#include "conn.h"
#include "model_spec.h"
#include "record.h"
#include "refusal.h"
#include "reply.h"
#include "server.h"
#include "stream.h"
#include "text.h"
#include "voice.h"

static struct record *record_open(struct conn *conn, const struct http_head *head, size_t size, const struct chat_request *chat)
{
    struct record_facts facts = {
        .peer = conn->peer, .connection = conn->id, .nth = conn->requests, .head = head, .body_bytes = size};

    if (chat) {
        facts.model = chat->model;
        facts.messages = chat->message_count;
        facts.stream = chat->stream;
    }
    return record_begin(&conn->server->log, &facts);
}

static void refuse(struct conn *conn, struct record *record, const char *param, const char *code, const char *message)
{
    reply_error(conn, record, "complete", 400, NULL, message, "invalid_request_error", param, code);
}

/* True if the key is right; else the request is answered. */
static bool key_check(struct conn *conn, const struct http_head *head, size_t size)
{
    const char *name = conn->voice ? conn->voice->key_header : "authorization";
    const char *wanted = conn->server->options.require_key, *given = http_head_get(head, name), *key = given;

    if (given && !strcmp(name, "authorization"))
        key = strncasecmp(given, "Bearer ", 7) ? NULL : given + 7;
    if (!wanted || (key && !strcmp(key, wanted)))
        return true;
    refusal_key(conn, record_open(conn, head, size, NULL), given != NULL);
    return false;
}

/* What a model's name says, over what the command line says.  false: not understood, in words in why. */
static bool spec_read(const struct conn *conn, const char *model, struct model_spec *spec, struct bytes *why)
{
    const struct options *options = &conn->server->options;

    model_spec_defaults(spec, options->tokens, options->token_bytes, options->pace_us, options->seed);
    spec->cut = options->benchmark ? CUT_COALESCE : spec->cut;
    if (!model_spec_parse(spec, model, why))
        return false;
    if (options->benchmark && !spec->text_given)
        spec->text = TEXT_ASCII;
    return true;
}

static void ask(struct conn *conn, const struct http_head *head, const char *body, size_t size, const struct voice *voice)
{
    struct chat_request request = {0};
    struct chat_refusal refusal = {0};
    struct model_spec spec;
    struct bytes why = {0};
    struct record *record;

    conn->voice = voice;
    if (!key_check(conn, head, size))
        return;
    if (!chat_request_read(voice, head, body, size, &request, &refusal)) {
        refuse(conn, record_open(conn, head, size, NULL), refusal.param, refusal.code, bytes_string(&refusal.message));
        bytes_free(&refusal.message);
        return;
    }
    record = record_open(conn, head, size, &request);
    if (!spec_read(conn, request.model, &spec, &why)) {
        refuse(conn, record, "model", "model_option", bytes_string(&why));
    } else {
        if (spec.times != MODEL_UNSET && attempts_next(&conn->server->attempts, request.model) >= spec.times)
            model_spec_calm(&spec);
        if (!refusal_send(conn, record, &spec) && !stream_open(conn, record, &request, &spec))
            refuse(conn, record, "model", "model_option",
                   "the whole answer would be longer than 16 MiB: ask for fewer tokens, or stream");
    }
    bytes_free(&why);
    chat_request_free(&request);
}

static void chat(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    ask(conn, head, body, size, &voice_openai);
}

static void anthropic(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    ask(conn, head, body, size, &voice_anthropic);
}

static void ollama(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    ask(conn, head, body, size, &voice_ollama);
}

static void gemini(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    ask(conn, head, body, size, &voice_gemini);
}

static void dashscope(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    ask(conn, head, body, size, &voice_dashscope);
}

static void models(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    static const char *const names[] = {"demo-1",
                                        "demo-fast:pace=5",
                                        "mock:text=echo:pace=0",
                                        "mock:text=count:tokens=1000:pace=0",
                                        "mock:text=cjk:cut=utf8",
                                        "mock:text=mixed:cut=any:chunks=any:pace=1"};
    struct bytes out = {0};

    (void)body;
    if (!key_check(conn, head, size))
        return;
    bytes_puts(&out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        bytes_printf(&out, "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"umbel-mock-llm\"}",
                     i ? "," : "", names[i]);
    bytes_puts(&out, "]}\n");
    reply_send(conn, record_open(conn, head, size, NULL), "complete", 200, "application/json", NULL, &out);
    bytes_free(&out);
}

static void mock_requests(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    struct bytes out = {0};
    char *model = http_query_get(head->target, "model");

    (void)body;
    (void)size;
    record_list(&conn->server->log, model, &out);
    reply_send(conn, NULL, NULL, 200, "application/json", NULL, &out);
    bytes_free(&out);
    free(model);
}

static void mock_reset(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    struct bytes out = {0};

    (void)head;
    (void)body;
    (void)size;
    record_reset(&conn->server->log);
    attempts_clear(&conn->server->attempts);
    bytes_puts(&out, "{\"ok\":true}\n");
    reply_send(conn, NULL, NULL, 200, "application/json", NULL, &out);
    bytes_free(&out);
}

/* Answers with the text of the answer that request would get. */
static void text_reply(struct conn *conn, const struct chat_request *request)
{
    struct model_spec spec;
    struct text_source source;
    struct bytes out = {0};
    uint64_t tokens;

    if (!spec_read(conn, request->model, &spec, &out)) {
        refuse(conn, NULL, "model", "model_option", bytes_string(&out));
    } else {
        char *messages = spec.text == TEXT_REQUEST ? chat_request_whole(request) : chat_request_messages(request);
        out.len = 0;
        text_open(&source, &spec, request->prompt, messages, request->max_tokens);
        if (text_all(&source, &out, HTTP_BODY_MAX, &tokens))
            reply_send(conn, NULL, NULL, 200, "text/plain; charset=utf-8", NULL, &out);
        else
            refuse(conn, NULL, "model", "model_option", "the text is longer than 16 MiB");
        text_close(&source);
        free(messages);
    }
    bytes_free(&out);
}

/* GET takes model and prompt from the query and makes a request of one user message; POST takes a chat request. */
static void mock_text(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    struct chat_request request = {0};
    struct chat_refusal refusal = {0};
    struct bytes made = {0};

    if (strcmp(head->method, "POST")) {
        char *model = http_query_get(head->target, "model"), *prompt = http_query_get(head->target, "prompt");
        bytes_puts(&made, "{\"model\":");
        bytes_json_string(&made, model ? model : "");
        bytes_puts(&made, ",\"messages\":[{\"role\":\"user\",\"content\":");
        bytes_json_string(&made, prompt ? prompt : "");
        bytes_puts(&made, "}]}");
        body = made.data;
        size = made.len;
        free(model);
        free(prompt);
    }
    if (chat_request_parse(body, size, &request, &refusal))
        text_reply(conn, &request);
    else
        refuse(conn, NULL, refusal.param, refusal.code, bytes_string(&refusal.message));
    bytes_free(&refusal.message);
    bytes_free(&made);
    chat_request_free(&request);
}

static const struct route {
    const char *path, *methods; /* " GET POST": what Allow says, too */
    void (*handle)(struct conn *conn, const struct http_head *head, const char *body, size_t size);
} routes[] = {
    {"/v1/chat/completions", " POST", chat}, {"/v1/models", " GET", models},         {"/mock/requests", " GET", mock_requests},
    {"/mock/reset", " POST", mock_reset},    {"/mock/text", " GET POST", mock_text},
    {"/v1/messages", " POST", anthropic},    {"/api/chat", " POST", ollama},
    {"/v1beta/models/*:streamGenerateContent", " POST", gemini},
    {"/api/v1/services/aigc/text-generation/generation", " POST", dashscope},
};

/* One * in the pattern stands for anything but nothing. */
static bool path_is(const char *pattern, const char *path, size_t size)
{
    size_t before = strcspn(pattern, "*"), after = strlen(pattern);

    if (!pattern[before])
        return before == size && !strncmp(pattern, path, size);
    after -= before + 1;
    return size > before + after && !strncmp(pattern, path, before) && !strncmp(pattern + before + 1, path + size - after, after);
}

static bool method_allowed(const char *methods, const char *method)
{
    const char *at = strstr(methods, method);

    return at && at[-1] == ' ' && strchr(" ", at[strlen(method)]);
}

void route_request(struct conn *conn, const struct http_head *head, const char *body, size_t size)
{
    struct bytes text = {0}, allow = {0};
    size_t path = strcspn(head->target, "?#");
    const struct route *route = NULL;

    conn->voice = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (path_is(routes[i].path, head->target, path))
            route = &routes[i];
    if (route && method_allowed(route->methods, head->method)) {
        route->handle(conn, head, body, size);
        return;
    }
    if (route) {
        bytes_puts(&allow, "Allow:");
        for (const char *at = route->methods; *at; at++)
            bytes_printf(&allow, "%s%c", *at == ' ' && at > route->methods ? "," : "", *at);
        bytes_puts(&allow, "\r\n");
        bytes_printf(&text, "Not allowed to %s on %s.", head->method, route->path);
    } else {
        bytes_printf(&text, "Invalid URL (%s %s)", head->method, head->target);
    }
    reply_error(conn, record_open(conn, head, size, NULL), "complete", route ? 405 : 404, bytes_string(&allow),
                bytes_string(&text), "invalid_request_error", NULL, route ? "method_not_supported" : NULL);
    bytes_free(&text);
    bytes_free(&allow);
}

void route_refuse(struct conn *conn, const struct http_head *head, unsigned status, const char *why)
{
    reply_error(conn, record_open(conn, head, 0, NULL), "complete", status, NULL, why, "invalid_request_error", NULL, NULL);
}
