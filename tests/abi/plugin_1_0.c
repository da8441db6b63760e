/* plugin_1_0.c - built with the headers of ABI 1.0 in include-1.0, and never changed: it must load and work for as long as there is a 1.x.
 * a protocol of JSON messages on WebSockets; the client's key is in the address: ws://HOST/KEY
 *
 *     client   {"ask":"QUESTION"} | {"stop":true}
 *     server   {"text":"..."} | {"done":true} | {"error":NUMBER,"message":"..."} */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>
#include <umbel/ws.h>

struct abi_1_0 {
    struct umbel_ws *carrier;
};

struct abi_1_0_client {
    uint32_t error; /* UMBEL_ERROR_*: why this client may not ask; 0 = it may */
};

/* The question as the array of messages that the core wants. */
static void put_messages(const char *text, size_t size, struct umbel_out *out)
{
    umbel_out_text(out, "[{\"role\":\"user\",\"content\":");
    umbel_out_json(out, text, size);
    umbel_out_text(out, "}]");
}

static void put_error(uint32_t error, const char *text, size_t size, struct umbel_out *out)
{
    size_t begin = umbel_ws_frame_begin(out);

    umbel_out_printf(out, "{\"error\":%u,\"message\":", (unsigned)error);
    umbel_out_json(out, text, size);
    umbel_out_text(out, "}");
    umbel_ws_frame_end(out, begin);
}

static void say_error(struct umbel_ws_client *client, uint32_t error, const char *text)
{
    struct umbel_out out = {0};

    put_error(error, text, strlen(text), &out);
    umbel_ws_say(client, &out);
    umbel_out_free(&out);
}

static int on_upgrade(void *self, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade)
{
    struct umbel_credential key = {.kind = UMBEL_CREDENTIAL_KEY, .value = upgrade->path + 1, .size = strlen(upgrade->path + 1)};

    (void)self;
    umbel_ws_authorize(client, &key, 1);
    return 0;
}

static void on_authorized(void *self, struct umbel_ws_client *client, uint32_t error, const char *text)
{
    struct abi_1_0_client *state = umbel_ws_data(client);

    (void)self;
    state->error = error;
    if (error) {
        say_error(client, error, text);
        umbel_ws_end(client, 1008, "not authorized");
    }
}

static void ask(struct umbel_ws_client *client, const char *text, size_t size)
{
    struct umbel_out messages = {0};

    put_messages(text, size, &messages);
    struct umbel_request request = {.struct_size = sizeof request, .messages = messages.data, .messages_size = messages.size};
    struct umbel_ws_question question = {.struct_size = sizeof question, .request = &request};
    umbel_ws_ask(client, &question);
    umbel_out_free(&messages);
}

static void on_message(void *self, struct umbel_ws_client *client, const char *text, size_t size)
{
    struct abi_1_0_client *state = umbel_ws_data(client);
    struct umbel_json *json = umbel_json_parse(text, size, NULL, 0);
    size_t length;
    const char *question = umbel_json_text(umbel_json_member(json, "ask"), &length);

    (void)self;
    if (state->error)
        say_error(client, state->error, "not authorized");
    else if (question)
        ask(client, question, length);
    else if (umbel_json_bool(umbel_json_member(json, "stop"), 0))
        umbel_ws_stop(client, NULL);
    else
        say_error(client, UMBEL_ERROR_BAD_REQUEST, "neither ask nor stop");
    umbel_json_free(json);
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)self, (void)variant, (void)data, (void)stream;
    if (event->kind == UMBEL_EVENT_TEXT) {
        size_t begin = umbel_ws_frame_begin(out);
        umbel_out_text(out, "{\"text\":");
        umbel_out_json(out, event->data, event->size);
        umbel_out_text(out, "}");
        umbel_ws_frame_end(out, begin);
    } else if (event->kind == UMBEL_EVENT_ERROR) {
        put_error(event->code, event->data, event->size, out); /* comes before every FAILED and TRUNCATED */
    } else if (event->kind == UMBEL_EVENT_CLOSED && (event->code == UMBEL_VERDICT_COMPLETE || event->code == UMBEL_VERDICT_CANCELLED)) {
        size_t begin = umbel_ws_frame_begin(out);
        umbel_out_text(out, "{\"done\":true}");
        umbel_ws_frame_end(out, begin);
    }
    return 0;
}

static void on_refused(void *self, struct umbel_ws_client *client, void *data, uint32_t error, const char *text, struct umbel_out *out)
{
    (void)self, (void)client, (void)data;
    put_error(error, text, strlen(text), out);
}

static void on_closed(void *self, struct umbel_ws_client *client)
{
    (void)self, (void)client; /* what umbel_ws_data() owns is freed here */
}

static const struct umbel_ws_codec codec = {.struct_size = sizeof codec,
                                            .client_size = sizeof(struct abi_1_0_client),
                                            .max_message = 64u << 10,
                                            .max_waiting = 8,
                                            .max_in_flight = 1, /* answers carry nothing to tell them apart */
                                            .ping_s = 25,
                                            .pong_s = 50,
                                            .idle_s = 600,
                                            .upgrade = on_upgrade,
                                            .authorized = on_authorized,
                                            .message = on_message,
                                            .encode = on_encode,
                                            .refused = on_refused,
                                            .closed = on_closed};

static void plugin_close(void *self)
{
    struct abi_1_0 *plugin = self;

    if (plugin)
        umbel_ws_close(plugin->carrier);
    free(plugin);
}

static int plugin_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    struct abi_1_0 *plugin = calloc(1, sizeof *plugin);
    int r = plugin ? umbel_ws_open(host, config, &codec, plugin, &plugin->carrier) : -ENOMEM;

    if (r < 0)
        plugin_close(plugin);
    else
        *ret_self = plugin;
    return r;
}

static void plugin_drain(void *self, uint32_t deadline_ms)
{
    umbel_ws_drain(((struct abi_1_0 *)self)->carrier, deadline_ms);
}

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
                                                .abi_major = UMBEL_ABI_MAJOR,
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = "abi-1-0",
                                                .version = "0.1",
                                                .summary = "a protocol over the ws carrier",
                                                .open = plugin_open,
                                                .drain = plugin_drain,
                                                .close = plugin_close};
