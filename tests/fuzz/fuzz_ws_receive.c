/* Fuzz: what the ws carrier makes of the pieces that libwebsockets gives it: however the frames of a message are cut, the codec gets the same
 * whole messages, all of them valid UTF-8 and within max_message, or the client is failed with the same close code.
 * Input: frames, each: one byte (bit 7 final, bit 6 binary, bits 0..5 size of the payload / 4), then its payload. */
#include "core/carrier/ws_receive.c" /* itself: libwebsockets is played below */
#include "core/parse/utf8.h"
#include "tests/fuzz/pieces.h"

#define MESSAGE_MAX 512u

static struct {
    struct umbel_ws ws;
    struct umbel_ws_codec codec;
    struct umbel_ws_client *client;
    struct umbel_out got;
    uint32_t failed; /* close code, 0 = none */
    bool first, final, binary;
    size_t remaining;
} t;

int lws_is_first_fragment(struct lws *wsi)
{
    (void)wsi;
    return t.first;
}

int lws_is_final_fragment(struct lws *wsi)
{
    (void)wsi;
    return t.final && t.remaining == 0;
}

int lws_frame_is_binary(struct lws *wsi)
{
    (void)wsi;
    return t.binary;
}

size_t lws_remaining_packet_payload(struct lws *wsi)
{
    (void)wsi;
    return t.remaining;
}

int lws_rx_flow_control(struct lws *wsi, int enable)
{
    (void)wsi, (void)enable;
    return 0;
}

void ws_client_fail(struct umbel_ws_client *client, uint16_t code, const char *reason)
{
    (void)client, (void)reason;
    if (!t.failed)
        t.failed = code;
}

void ws_turn_hold(struct umbel_ws_client *client, const char *text, size_t size)
{
    (void)client, (void)text, (void)size;
    abort(); /* nobody is asked about this client */
}

bool ws_turn_is_over(const struct umbel_ws_client *client)
{
    (void)client;
    return false;
}

static void on_message(void *self, struct umbel_ws_client *client, const char *text, size_t size)
{
    uint32_t length = (uint32_t)size;

    (void)self, (void)client;
    REQUIRE(size <= MESSAGE_MAX && utf8_whole(text, size) == size);
    umbel_out_put(&t.got, &length, sizeof length);
    umbel_out_put(&t.got, text, size);
}

static void feed_frame(const uint8_t *data, size_t size, uint64_t seed)
{
    struct pieces pieces = pieces_of(data, size, seed);
    const char *piece;
    size_t piece_size, left = size;

    if (size == 0) {
        t.remaining = 0;
        ws_receive(t.client, "", 0);
        t.first = t.final;
        return;
    }
    while (!t.failed && (piece = pieces_next(&pieces, &piece_size))) {
        left -= piece_size;
        t.remaining = left;
        ws_receive(t.client, piece, piece_size);
        t.first = false;
    }
    pieces_end(&pieces);
    t.first = t.final;
}

static void feed(const uint8_t *data, size_t size, uint64_t seed)
{
    memset(&t.got, 0, sizeof t.got);
    t.failed = 0;
    t.codec = (struct umbel_ws_codec){.max_message = MESSAGE_MAX, .message = on_message};
    t.ws.codec = &t.codec;
    t.client = calloc(1, sizeof *t.client);
    REQUIRE(t.client);
    t.client->ws = &t.ws;
    list_init(&t.client->held);
    t.first = true;
    while (size > 0 && !t.failed) {
        size_t frame = (size_t)(*data & 63) * 4;
        t.final = *data & 0x80;
        if (t.first)
            t.binary = *data & 0x40;
        data++;
        size--;
        if (frame > size)
            frame = size;
        feed_frame(data, frame, seed);
        data += frame;
        size -= frame;
        REQUIRE(t.client->message_size <= MESSAGE_MAX && t.client->message_size <= t.client->message_capacity);
    }
    forget(t.client);
    free(t.client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    feed(data, size, 0);
    struct umbel_out whole = t.got;
    uint32_t failed = t.failed;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        feed(data, size, seed);
        REQUIRE(t.failed == failed && t.got.size == whole.size);
        REQUIRE(whole.size == 0 || memcmp(t.got.data, whole.data, whole.size) == 0);
        umbel_out_free(&t.got);
    }
    umbel_out_free(&whole);
    REQUIRE(ws_utf8_is_valid((const char *)data, size) == (utf8_whole((const char *)data, size) == size && true));
    return 0;
}
