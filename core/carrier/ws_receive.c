/* carrier/ws_receive.c - pieces from libwebsockets become whole, valid text messages.
 * A message of one piece is handed on where it lies; only longer ones cost memory, and only until they are whole. */
#include "core/carrier/ws_carrier.h"

#include <stdlib.h>

bool ws_utf8_is_valid(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;

    while (p < end) {
        unsigned char c = *p++, low = 0x80, high = 0xbf;
        size_t more;

        if (c < 0x80)
            continue;
        if (c < 0xc2 || c > 0xf4)
            return false;
        more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0xe0)
            low = 0xa0; /* shorter forms exist */
        else if (c == 0xed)
            high = 0x9f; /* surrogates */
        else if (c == 0xf0)
            low = 0x90;
        else if (c == 0xf4)
            high = 0x8f; /* past U+10FFFF */
        if ((size_t)(end - p) < more || *p < low || *p > high)
            return false;
        for (p++; --more; p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static void forget(struct umbel_ws_client *client)
{
    free(client->message);
    client->message = NULL;
    client->message_size = client->message_capacity = 0;
}

static bool append(struct umbel_ws_client *client, const char *bytes, size_t size)
{
    size_t need = client->message_size + size, most = client->ws->codec->max_message;

    if (need > client->message_capacity) {
        size_t capacity = client->message_capacity * 2;
        if (capacity < 2048)
            capacity = 2048;
        if (capacity > most)
            capacity = most;
        if (capacity < need)
            capacity = need;
        char *grown = realloc(client->message, capacity);
        if (!grown)
            return false;
        client->message = grown;
        client->message_capacity = capacity;
    }
    if (size)
        memcpy(client->message + client->message_size, bytes, size);
    client->message_size = need;
    return true;
}

static void whole(struct umbel_ws_client *client, const char *text, size_t size)
{
    struct umbel_ws *ws = client->ws;

    if (!ws_utf8_is_valid(text, size)) {
        ws_client_fail(client, 1007, "not UTF-8");
        return;
    }
    if (ws->draining)
        return;
    if (client->access == WS_ASKED || !list_is_empty(&client->held))
        ws_turn_hold(client, text, size);
    else
        ws->codec->message(ws->self, client, text, size);
    if (!client->rx_off && ws_turn_is_over(client)) {
        client->rx_off = true; /* ws_client_work turns it on again */
        lws_rx_flow_control(client->wsi, 0);
    }
}

void ws_receive(struct umbel_ws_client *client, const char *bytes, size_t size)
{
    bool first = lws_is_first_fragment(client->wsi), final = lws_is_final_fragment(client->wsi);
    size_t more = lws_remaining_packet_payload(client->wsi);

    if (first && lws_frame_is_binary(client->wsi)) {
        ws_client_fail(client, 1003, "text only");
        return;
    }
    if (more > client->ws->codec->max_message || client->message_size + size + more > client->ws->codec->max_message) {
        ws_client_fail(client, 1009, "message too big");
        forget(client);
        return;
    }
    if (!client->message_size && final) {
        whole(client, bytes, size);
        return;
    }
    if (!append(client, bytes, size)) {
        ws_client_fail(client, 1011, "out of memory");
        forget(client);
        return;
    }
    if (!final)
        return;
    char *message = client->message;
    size_t message_size = client->message_size;
    client->message = NULL;
    forget(client);
    whole(client, message, message_size);
    free(message);
}
