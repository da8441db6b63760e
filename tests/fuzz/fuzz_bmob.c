/* Fuzz: the messages of ws-bmob: whatever text a client sends, what goes to the core is a JSON array of messages with known roles.
 * Input: one text message, a zero byte and another one as the path of the upgrade. */
#include "plugins/ws-bmob/ws_bmob.c" /* itself: the carrier is played below */
#include "core/parse/utf8.h"
#include "tests/fuzz/pieces.h"

struct umbel_ws_client {
    struct bmob_client state;
    int authorized;
};

void *umbel_ws_data(struct umbel_ws_client *client)
{
    return &client->state;
}

void umbel_ws_authorize(struct umbel_ws_client *client, const struct umbel_credential *credentials, uint32_t count)
{
    REQUIRE(count > 0 && count <= 4);
    for (uint32_t i = 0; i < count; i++)
        REQUIRE(credentials[i].size == strlen(credentials[i].value) && credentials[i].size > 0);
    client->authorized++;
}

void umbel_ws_ask(struct umbel_ws_client *client, const struct umbel_ws_question *question)
{
    const struct umbel_request *request = question->request;
    struct umbel_json *messages = umbel_json_parse(request->messages, request->messages_size, NULL, 0);

    (void)client;
    REQUIRE(messages && umbel_json_type(messages) == UMBEL_JSON_ARRAY && umbel_json_count(messages) > 0);
    for (const struct umbel_json *m = umbel_json_first(messages); m; m = umbel_json_next(m)) {
        const char *role = umbel_json_member_text(m, "role", "");
        REQUIRE(!strcmp(role, "system") || !strcmp(role, "user") || !strcmp(role, "assistant"));
        REQUIRE(umbel_json_count(m) == 2 && umbel_json_type(umbel_json_member(m, "content")) == UMBEL_JSON_STRING);
    }
    umbel_json_free(messages);
    REQUIRE(request->session && *request->session && (!request->model || *request->model));
}

void umbel_ws_resume(struct umbel_ws_client *client, uint32_t variant, const char *stream_id, uint64_t position, void *data)
{
    (void)client, (void)variant, (void)position, (void)data;
    REQUIRE(*stream_id && strlen(stream_id) < 64);
}

/* Frames of our own: text, unmasked, whole; what is inside is JSON or the pong. */
static void check_frames(const struct umbel_out *frames)
{
    for (size_t at = 0; at < frames->size;) {
        const unsigned char *f = (const unsigned char *)frames->data + at;
        size_t head = 2, size = f[1];
        REQUIRE(f[0] == 0x81 && (f[1] & 0x80) == 0);
        if (size == 126) {
            size = (size_t)f[2] << 8 | f[3];
            head = 4;
        } else if (size == 127) {
            size = 0;
            for (int i = 2; i < 10; i++)
                size = size << 8 | f[i];
            head = 10;
        }
        REQUIRE(size <= frames->size - at - head);
        REQUIRE(utf8_whole((const char *)f + head, size) == size);
        at += head + size;
    }
}

void umbel_ws_say(struct umbel_ws_client *client, const struct umbel_out *frames)
{
    (void)client;
    check_frames(frames);
}

void umbel_ws_say_now(struct umbel_ws_client *client, const struct umbel_out *frames)
{
    (void)client;
    check_frames(frames);
}

void umbel_ws_watch(struct umbel_ws_client *client, const char *session, uint32_t variant, void *data)
{
    (void)client, (void)variant, (void)data;
    REQUIRE(*session);
}

void umbel_ws_stop(struct umbel_ws_client *client, const char *stream_id)
{
    (void)client;
    REQUIRE(stream_id);
}

void umbel_ws_end(struct umbel_ws_client *client, uint16_t code, const char *reason)
{
    (void)client, (void)reason;
    REQUIRE(code >= 1000);
}

void umbel_ws_end_now(struct umbel_ws_client *client, uint16_t code, const char *reason)
{
    umbel_ws_end(client, code, reason);
}

int umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *c, void *self,
                  struct umbel_ws **ret_ws)
{
    (void)host, (void)config, (void)c, (void)self, (void)ret_ws;
    return -1;
}

void umbel_ws_drain(struct umbel_ws *ws, uint32_t deadline_ms)
{
    (void)ws, (void)deadline_ms;
}

void umbel_ws_retire(struct umbel_ws *ws, uint32_t step, uint32_t ms)
{
    (void)ws, (void)step, (void)ms;
}

int umbel_ws_reload(struct umbel_ws *ws)
{
    (void)ws;
    return 0;
}

void umbel_ws_close(struct umbel_ws *ws)
{
    (void)ws;
}

/* The rest of the address: NAME=VALUE pairs are what the carrier decodes, so any text may be a value. */
static const char *wanted;

static const char *get_value(const struct umbel_ws_upgrade *upgrade, const char *name)
{
    (void)upgrade;
    return wanted && strstr(wanted, name) ? wanted : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bmob bmob;
    struct umbel_ws_client client = {0};
    char *text = malloc(size + 2);
    struct umbel_ws_upgrade upgrade = {.struct_size = sizeof upgrade, .header = get_value, .query = get_value};

    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = text[size + 1] = '\0';
    size_t message = strlen(text);
    char *path = message < size ? text + message + 1 : text + size;
    wanted = path;
    upgrade.path = path;
    if (utf8_whole(text, message) == message && utf8_whole(path, strlen(path)) == strlen(path)) {
        bmob.style = size % 2 ? BMOB_STYLE_TEXT : BMOB_STYLE_FRAME;
        if (*path && on_upgrade(&bmob, &client, &upgrade) != 0)
            client.state.session = NULL; /* freed already */
        char *exact = malloc(message + 1); /* borrowed, and not terminated by a promise */
        memcpy(exact, text, message);
        char *tail = malloc(message ? message : 1);
        memcpy(tail, exact, message);
        on_message(&bmob, &client, tail, message);
        client.state.error = 0;
        on_message(&bmob, &client, tail, message);
        free(tail);
        free(exact);
        on_closed(&bmob, &client);
    }
    free(text);
    return 0;
}
