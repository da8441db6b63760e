/* carrier/ws_write.c - frames to one client.
 *
 * The bytes are whole frames already, encoded once for all clients, so they must go out unchanged: LWS_WRITE_HTTP on a WebSocket connection
 * does that, through TLS and libwebsockets' buffer for what the socket refuses (ws_selftest.c checks it at every start).  The same buffer is
 * what makes a write take all or fail.
 *
 * Deliveries to clients without TLS do not even go through it as long as the socket takes them: the host writes to many sockets with one
 * system call (umbel_host.send), and libwebsockets gets what a socket refused. */
#include "core/carrier/ws_carrier.h"

#include <stddef.h>

int ws_write_put(struct umbel_ws_client *client, const void *bytes, size_t size)
{
    ws_write_settle(client);
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

void ws_write_settle(struct umbel_ws_client *client)
{
    if (client->sending)
        client->ws->host->send_now(client->ws->host);
}

static void on_sent(void *owner, const void *rest, size_t size, int error)
{
    struct umbel_ws_client *client = owner;

    client->sending = false;
    if (error < 0) {
        client->doomed = true;
        ws_client_dirty(client);
    } else if (size > 0) {
        ws_write_put(client, rest, size);
    }
}

static bool can_send(const struct umbel_host *host)
{
    return host->struct_size >= offsetof(struct umbel_host, send_now) + sizeof host->send_now && host->send;
}

int ws_write_deliver(struct umbel_ws_client *client, const void *bytes, size_t size)
{
    const struct umbel_host *host = client->ws->host;

    ws_write_settle(client);
    if (!client->clear || client->full || client->doomed || !client->wsi || !can_send(host) || lws_partial_buffered(client->wsi) ||
        !host->send(host, lws_get_socket_fd(client->wsi), bytes, size, on_sent, client))
        return ws_write_put(client, bytes, size);
    client->sending = true;
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
