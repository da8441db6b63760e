/* carrier/ws_write.c - frames to one client.
 *
 * The bytes are whole frames already, encoded once for all clients, so they must go out unchanged: LWS_WRITE_HTTP on a WebSocket connection
 * does that, through TLS and libwebsockets' buffer for what the socket refuses (ws_selftest.c checks it at every start).  The same buffer is
 * what makes a write take all or fail. */
#include "core/carrier/ws_carrier.h"

int ws_write_put(struct umbel_ws_client *client, const void *bytes, size_t size)
{
    if (client->doomed || !client->wsi)
        return -1;
    /* lws_write does not write into what it is given here; its argument is not const for the sake of its other forms. */
    if (lws_write(client->wsi, (unsigned char *)(uintptr_t)bytes, size, LWS_WRITE_HTTP) < 0) {
        client->doomed = true;
        ws_client_dirty(client);
        return -1;
    }
    if (!client->full && lws_partial_buffered(client->wsi)) {
        client->full = true;
        ws_time_rest(client);
    }
    return 0;
}

void ws_write_now(struct umbel_ws_client *client, const void *bytes, size_t size)
{
    if (client->state != WS_OPEN)
        return;
    if (client->full) {
        client->now_bytes += (uint32_t)size;
        if (client->now_bytes > WS_NOW_BYTES) {
            ws_client_fail(client, 1013, "not reading");
            return;
        }
    }
    ws_write_put(client, bytes, size);
}
