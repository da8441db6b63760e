/* carrier/ws_lws.c - libwebsockets' callback: what happened, to which client, and whose business that is. */
#include "core/carrier/ws_carrier.h"

#include <sys/socket.h>

/* From here on nothing is written to this client; host and codec learn it outside of libwebsockets. */
static void begin_end(struct umbel_ws_client *client)
{
    client->state = WS_CLOSING;
    ws_time_closing(client);
    ws_client_dirty(client);
}

/* libwebsockets found a fault of framing itself and is about to end the connection.  For most faults it sends a close frame with a reason
 * of its own; for the rest (a control frame too long, a length past 63 bits) we do: this is the last callback before the shutdown. */
static void say_why(struct umbel_ws_client *client)
{
    unsigned char frame[WS_CLOSE_FRAME_MAX];
    char byte;

    if (client->state != WS_OPEN || client->doomed || client->full)
        return;
    if (lws_get_close_length(client->wsi)) {
        ws_count(client->ws, "ws_protocol_errors");
    } else if (recv(lws_get_socket_fd(client->wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT)) { /* 0: the peer has just gone */
        ws_count(client->ws, "ws_protocol_errors");
        ws_write_put(client, frame, ws_frame_close(1002, "bad frame", frame));
    }
    begin_end(client);
}

static int on_writeable(struct umbel_ws_client *client)
{
    if (client->doomed)
        return -1;
    if (client->full && !lws_partial_buffered(client->wsi)) {
        client->full = false;
        client->now_bytes = 0;
        ws_time_rest(client);
        ws_reader_resume(client);
        ws_client_dirty(client);
    }
    return client->doomed ? -1 : 0;
}

/* What is wrong with the peer's close frame: the code to answer with, 0 = nothing.  libwebsockets would send it back as it came. */
static uint16_t fault_of_close(const unsigned char *payload, size_t size)
{
    unsigned code = size >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 0;

    if (size == 0)
        return 0;
    if (!((code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)))
        return 1002;
    return ws_utf8_is_valid((const char *)payload + 2, size - 2) ? 0 : 1007;
}

static int on_peer_close(struct umbel_ws_client *client, const void *payload, size_t size)
{
    uint16_t fault = client->state == WS_OPEN ? fault_of_close(payload, size) : 0;
    unsigned char frame[WS_CLOSE_FRAME_MAX];
    bool ours = client->state == WS_CLOSING;

    if (fault) {
        ws_count(client->ws, "ws_protocol_errors");
        if (!client->doomed && !client->full)
            ws_write_put(client, frame, ws_frame_close(fault, "bad close frame", frame));
    }
    if (client->state == WS_OPEN)
        begin_end(client);
    return ours || fault; /* 1: it was the answer to ours, or has been answered; 0: libwebsockets answers it */
}

static int on_piece(struct umbel_ws_client *client, const char *bytes, size_t size)
{
    ws_time_touch(client);
    if (client->state == WS_OPEN && !client->end_code && !client->self_test)
        ws_receive(client, bytes, size);
    return client->doomed ? -1 : 0;
}

static int on_established(struct umbel_ws_client *client, struct lws *wsi)
{
    client->wsi = wsi;
    client->state = WS_OPEN;
    if (client->self_test) {
        ws_selftest_established(client);
        return 0;
    }
    ws_time_touch(client);
    ws_time_rest(client);
    ws_client_dirty(client);
    return 0;
}

int ws_lws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct umbel_ws_client *client;

    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        struct umbel_ws *ws = lws_vhost_user(in); /* wsi is not a real one here */
        ws->tls = user;
        return 0;
    }
    client = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    if (!client)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        client->wsi = wsi;
        return client->self_test ? 0 : ws_upgrade_decide(client, in);
    case LWS_CALLBACK_HTTP:
        client->wsi = wsi;
        return ws_upgrade_plain(client);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(client, wsi);
    case LWS_CALLBACK_RECEIVE:
        return on_piece(client, in, len);
    case LWS_CALLBACK_RECEIVE_PONG:
        ws_time_touch(client);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writeable(client);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_peer_close(client, in, len);
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
        say_why(client);
        return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
        ws_client_gone(client);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        ws_client_gone(client);
        ws_client_free(client);
        return 0;
    default:
        return 0;
    }
}
