/* ws-bmob/ws_bmob.c - Bmob's AI WebSocket protocol for umbel: who may enter, and what a text message means. */
#include "bmob.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>
#include <umbel/transport.h>
#include <umbel/ws.h>

#define BAD_KEY_ANSWERS 3u /* requests of a client without a good key that are answered before it is closed */
#define SHARED 0u          /* the one variant: all clients of an answer get the same bytes */

struct bmob {
    struct umbel_out out;      /* frames of our own */
    struct umbel_out messages; /* a request's messages on their way to the core */
    enum bmob_style style;
    bool close_bad; /* bad_key = close */
};

struct bmob_client {
    char *session;    /* from the address; NULL: one of this socket's own */
    char own[4 + 32]; /* its name, made when first needed */
    uint32_t error;   /* why it may not ask: UMBEL_ERROR_*, 0 = it may */
    char *words;      /* and why in the operator's own words, NULL = none */
    uint32_t refused; /* requests answered with that */
    bool watches;
};

static void say_refusal(struct bmob *bmob, struct umbel_ws_client *client, uint32_t error, const char *what)
{
    umbel_out_reset(&bmob->out);
    bmob_refuse(bmob->style, error, what, &bmob->out);
    umbel_ws_say(client, &bmob->out);
}

/* resume: "<id>:<n>", n bytes of answer text that the client has. */
static void resume(struct bmob *bmob, struct umbel_ws_client *client, const char *text)
{
    const char *colon = strrchr(text, ':');
    char id[64], *end = NULL;
    size_t size = colon ? (size_t)(colon - text) : 0;

    if (size && size < sizeof id && colon[1] >= '0' && colon[1] <= '9') {
        errno = 0;
        unsigned long long position = strtoull(colon + 1, &end, 10);
        if (!*end && !errno) {
            memcpy(id, text, size);
            id[size] = 0;
            umbel_ws_resume(client, SHARED, id, position, NULL);
            return;
        }
    }
    say_refusal(bmob, client, UMBEL_ERROR_BAD_REQUEST, "resume is not \"<id>:<bytes>\"");
}

/* NULL, or what is wrong with the array.  Only what the core is to see goes on. */
static const char *read_messages(const struct umbel_json *array, struct umbel_out *out)
{
    size_t content_size;

    if (umbel_json_type(array) != UMBEL_JSON_ARRAY || !umbel_json_count(array))
        return "messages is not an array of one or more";
    umbel_out_reset(out);
    for (const struct umbel_json *message = umbel_json_first(array); message; message = umbel_json_next(message)) {
        const char *role = umbel_json_member_text(message, "role", "");
        const char *content = umbel_json_text(umbel_json_member(message, "content"), &content_size);
        if (!content)
            return "a message's content is not a string";
        if (strcmp(role, "system") && strcmp(role, "user") && strcmp(role, "assistant"))
            return "a message's role is not system, user or assistant";
        umbel_out_text(out, out->size ? ",{\"role\":\"" : "[{\"role\":\"");
        umbel_out_text(out, role);
        umbel_out_text(out, "\",\"content\":");
        umbel_out_json(out, content, content_size);
        umbel_out_text(out, "}");
    }
    umbel_out_text(out, "]");
    return out->failed ? "it is too long" : NULL;
}

static const char *session_of(struct bmob_client *state, const struct umbel_json *object)
{
    const char *session = umbel_json_member_text(object, "session", "");

    if (*session)
        return session;
    if (state->session)
        return state->session;
    if (!*state->own) {
        memcpy(state->own, "ws-", 3);
        bmob_random_hex(16, state->own + 3);
    }
    return state->own;
}

/* NULL, or what is wrong. */
static const char *ask(struct bmob *bmob, struct umbel_ws_client *client, const struct umbel_json *object)
{
    const struct umbel_json *session = umbel_json_member(object, "session"), *model = umbel_json_member(object, "model");
    const char *wrong = read_messages(umbel_json_member(object, "messages"), &bmob->messages);

    if (wrong)
        return wrong;
    if (umbel_json_type(session) > UMBEL_JSON_NULL && umbel_json_type(session) != UMBEL_JSON_STRING)
        return "session is not a string";
    if (umbel_json_type(model) > UMBEL_JSON_NULL && umbel_json_type(model) != UMBEL_JSON_STRING)
        return "model is not a string";
    struct umbel_request request = {.struct_size = sizeof request,
                                    .flags = UMBEL_REQUEST_MEMORY | UMBEL_REQUEST_MODEL_HINT, /* published clients name models of their own */
                                    .session = session_of(umbel_ws_data(client), object),
                                    .messages = bmob->messages.data,
                                    .messages_size = bmob->messages.size,
                                    .model = umbel_json_text(model, NULL)};
    if (request.model && !*request.model)
        request.model = NULL;
    struct umbel_ws_question question = {.struct_size = sizeof question, .variant = SHARED, .request = &request};
    umbel_ws_ask(client, &question);
    return NULL;
}

/* NULL, or what is wrong. */
static const char *act(struct bmob *bmob, struct umbel_ws_client *client, const struct umbel_json *object)
{
    if (umbel_json_type(object) != UMBEL_JSON_OBJECT)
        return "it is not a JSON object";
    if (!umbel_json_member(object, "messages")) {
        const struct umbel_json *stop = umbel_json_member(object, "stop"), *from = umbel_json_member(object, "resume");
        if (umbel_json_type(stop) == UMBEL_JSON_STRING) {
            umbel_ws_stop(client, umbel_json_text(stop, NULL));
            return NULL;
        }
        if (umbel_json_type(from) == UMBEL_JSON_STRING) {
            resume(bmob, client, umbel_json_text(from, NULL));
            return NULL;
        }
        return "it has no messages";
    }
    return ask(bmob, client, object);
}

static bool is_ping(const char *text, size_t size)
{
    while (size && strchr(" \t\r\n", text[size - 1]))
        size--;
    while (size && strchr(" \t\r\n", *text)) {
        text++;
        size--;
    }
    return (size == 4 && !memcmp(text, "ping", 4)) || (size == 6 && !memcmp(text, "\"ping\"", 6));
}

/* The published demos reconnect at once when they are closed: a client without a good key is told why, a few times, before it is. */
static void answer_unknown(struct bmob *bmob, struct umbel_ws_client *client, struct bmob_client *state)
{
    say_refusal(bmob, client, state->error, state->words ? state->words : "");
    if (++state->refused >= BAD_KEY_ANSWERS)
        umbel_ws_end(client, state->error == UMBEL_ERROR_AUTH || state->error == UMBEL_ERROR_QUOTA ? 1008 : 1013, "not authorized");
}

static void on_message(void *self, struct umbel_ws_client *client, const char *text, size_t size)
{
    struct bmob *bmob = self;
    struct bmob_client *state = umbel_ws_data(client);
    char why[160];

    if (is_ping(text, size)) {
        umbel_out_reset(&bmob->out);
        bmob_pong(&bmob->out);
        umbel_ws_say_now(client, &bmob->out);
        return;
    }
    if (state->error) {
        answer_unknown(bmob, client, state);
        return;
    }
    struct umbel_json *value = umbel_json_parse(text, size, why, sizeof why);
    const char *wrong = value ? act(bmob, client, value) : why;
    if (wrong)
        say_refusal(bmob, client, UMBEL_ERROR_BAD_REQUEST, wrong);
    umbel_json_free(value);
}

static uint32_t add_credential(struct umbel_credential *list, uint32_t count, uint32_t kind, const char *value)
{
    if (!value || !*value)
        return count;
    list[count] = (struct umbel_credential){.kind = kind, .value = value, .size = strlen(value)};
    return count + 1;
}

static int read_address(struct bmob *bmob, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade)
{
    struct bmob_client *state = umbel_ws_data(client);
    const char *session = upgrade->query(upgrade, "session"), *watch = upgrade->query(upgrade, "watch");
    const char *from = upgrade->query(upgrade, "resume");

    state->watches = watch && !strcmp(watch, "1");
    if (state->watches && !(session && *session))
        return 400; /* there is nothing to watch */
    if (session && *session) {
        state->session = strdup(session);
        if (!state->session)
            return 503;
    }
    if (from)
        resume(bmob, client, from);
    if (state->watches)
        umbel_ws_watch(client, session, SHARED, NULL);
    return 0;
}

static int on_upgrade(void *self, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade)
{
    static const char base[] = "/1/ai";
    struct bmob *bmob = self;
    struct bmob_client *state = umbel_ws_data(client);
    struct umbel_credential list[4];
    const char *key = upgrade->path + sizeof base - 1;
    uint32_t count;

    if (strncmp(upgrade->path, base, sizeof base - 1) || (*key && *key != '/'))
        return 404;
    if (*key)
        key++;
    count = add_credential(list, 0, UMBEL_CREDENTIAL_KEY, key);
    count = add_credential(list, count, UMBEL_CREDENTIAL_KEY, upgrade->header(upgrade, "x-bmob-secret-key:"));
    count = add_credential(list, count, UMBEL_CREDENTIAL_KEY, upgrade->header(upgrade, "x-bmob-rest-api-key:"));
    count = add_credential(list, count, UMBEL_CREDENTIAL_PUBLIC_ID, upgrade->header(upgrade, "x-bmob-application-id:"));
    if (!count && bmob->close_bad)
        return 401;
    int status = read_address(bmob, client, upgrade);
    if (status) {
        free(state->session);
        return status;
    }
    if (count)
        umbel_ws_authorize(client, list, count);
    else
        state->error = UMBEL_ERROR_AUTH;
    return 0;
}

static void on_authorized(void *self, struct umbel_ws_client *client, uint32_t error, const char *text)
{
    struct bmob *bmob = self;
    struct bmob_client *state = umbel_ws_data(client);

    state->error = error;
    if (!error)
        return;
    state->words = *text ? strdup(text) : NULL; /* without memory the protocol's own words do */
    if (bmob->close_bad)
        umbel_ws_end_now(client, 1008, "not authorized");
    else if (state->watches)
        say_refusal(bmob, client, error, text); /* it may never ask, and would wait for ever */
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)variant;
    (void)data;
    bmob_encode(((struct bmob *)self)->style, stream, event, out);
    return 0;
}

static void on_refused(void *self, struct umbel_ws_client *client, void *data, uint32_t error, const char *text, struct umbel_out *out)
{
    (void)client;
    (void)data;
    bmob_refuse(((struct bmob *)self)->style, error, text, out);
}

static void on_closed(void *self, struct umbel_ws_client *client)
{
    struct bmob_client *state = umbel_ws_data(client);

    (void)self;
    free(state->session);
    free(state->words);
}

static const struct umbel_ws_codec codec = {.struct_size = sizeof codec,
                                            .client_size = sizeof(struct bmob_client),
                                            .max_message = 1u << 20,
                                            .max_waiting = 8,
                                            .max_in_flight = 1, /* answers carry nothing to tell them apart: one after the other */
                                            .ping_s = 25,
                                            .pong_s = 50, /* two missed pongs */
                                            .idle_s = 600,
                                            .upgrade = on_upgrade,
                                            .authorized = on_authorized,
                                            .message = on_message,
                                            .encode = on_encode,
                                            .refused = on_refused,
                                            .closed = on_closed};

static int setup(struct bmob *bmob, const struct umbel_host *host, const struct umbel_config *config)
{
    bmob->style = strcmp(host->config_text(config, "error_style"), "frame") ? BMOB_STYLE_TEXT : BMOB_STYLE_FRAME;
    bmob->close_bad = !strcmp(host->config_text(config, "bad_key"), "close");
    return 0;
}

static void cleanup(struct bmob *bmob)
{
    umbel_out_free(&bmob->out);
    umbel_out_free(&bmob->messages);
}

static const struct umbel_option options[] = {
    {.type = UMBEL_OPTION_TEXT,
     .name = "error_style",
     .otherwise = "text",
     .choices = "text|frame",
     .help = "text: errors are a text chunk and a final frame; frame: one frame with text and \"stop\" (Android's onError)"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "bad_key",
     .otherwise = "accept",
     .choices = "accept|close",
     .help = "accept: tell a client with a bad key why, three times, then close; close: close it with 1008 at once"}};

UMBEL_WS_TRANSPORT_WITH(struct bmob, codec, setup, cleanup, .name = "ws-bmob", .version = UMBEL_VERSION,
                        .summary = "Bmob's AI WebSocket protocol", UMBEL_OPTIONS(options));
