/* support/echo_ws.c - a plugin for the tests of the WebSocket carrier: every text message comes back as one text message.
 * Served by umbel-fake-host-run; never installed. */
#include <stdlib.h>

#include <umbel/transport.h>
#include <umbel/ws.h>

#define MESSAGE_MAX (1u << 20)

struct echo {
    struct umbel_ws *ws;
    struct umbel_out out;
};

static int on_upgrade(void *self, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade)
{
    (void)self, (void)client, (void)upgrade;
    return 0;
}

static void on_message(void *self, struct umbel_ws_client *client, const char *text, size_t size)
{
    struct echo *echo = self;

    umbel_out_reset(&echo->out);
    size_t begin = umbel_ws_frame_begin(&echo->out);
    umbel_out_put(&echo->out, text, size);
    umbel_ws_frame_end(&echo->out, begin);
    umbel_ws_say(client, &echo->out);
}

static void on_authorized(void *self, struct umbel_ws_client *client, uint32_t error, const char *text)
{
    (void)self, (void)client, (void)error, (void)text;
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)self, (void)variant, (void)data, (void)stream, (void)event, (void)out;
    return 0;
}

static void on_refused(void *self, struct umbel_ws_client *client, void *data, uint32_t error, const char *text, struct umbel_out *out)
{
    (void)self, (void)client, (void)data, (void)error, (void)text, (void)out;
}

static void on_closed(void *self, struct umbel_ws_client *client)
{
    (void)self, (void)client;
}

static const struct umbel_ws_codec codec = {.struct_size = sizeof codec,
                                            .max_message = MESSAGE_MAX,
                                            .max_waiting = 1000,
                                            .max_in_flight = 1,
                                            .ping_s = 60,
                                            .pong_s = 60,
                                            .upgrade = on_upgrade,
                                            .authorized = on_authorized,
                                            .message = on_message,
                                            .encode = on_encode,
                                            .refused = on_refused,
                                            .closed = on_closed};

static void echo_close(void *self)
{
    struct echo *echo = self;

    if (!echo)
        return;
    umbel_ws_close(echo->ws);
    umbel_out_free(&echo->out);
    free(echo);
}

static int echo_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    struct echo *echo = calloc(1, sizeof *echo);
    int r = echo ? umbel_ws_open(host, config, &codec, echo, &echo->ws) : -1;

    if (r < 0)
        echo_close(echo);
    else
        *ret_self = echo;
    return r;
}

static void echo_drain(void *self, uint32_t deadline_ms)
{
    umbel_ws_drain(((struct echo *)self)->ws, deadline_ms);
}

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
                                                .abi_major = UMBEL_ABI_MAJOR,
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = "echo-ws",
                                                .version = "1.0",
                                                .summary = "sends every message back: for the carrier's tests",
                                                .open = echo_open,
                                                .drain = echo_drain,
                                                .close = echo_close};
