/* carrier/ws_carrier.c - opening, draining, reloading and closing the WebSocket carrier. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "core/base/clock.h"

static void read_config(struct umbel_ws *ws)
{
    const struct umbel_host *host = ws->host;
    const struct umbel_ws_codec *codec = ws->codec;
    int64_t most = host->config_integer(ws->config, "max_connections");
    int64_t slow_s = host->config_integer(ws->config, "slow_client_s");

    ws->max_connections = most > 0 && most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    ws->slow_ns = (slow_s > 0 ? (uint64_t)slow_s : 30) * CLOCK_S;
    ws->ping_ns = codec->ping_s * CLOCK_S;
    ws->pong_ns = (codec->pong_s ? codec->pong_s : 1) * CLOCK_S;
    ws->idle_ns = codec->idle_s * CLOCK_S;
}

static int open_all(struct umbel_ws *ws)
{
    const char *cert = ws->host->config_text(ws->config, "tls_cert"), *key = ws->host->config_text(ws->config, "tls_key");
    int r = ws_time_open(ws);

    if (!r)
        r = ws_loop_open(ws, cert, key);
    if (!r)
        r = ws_selftest(ws);
    if (!r)
        r = ws_listen_open(ws);
    if (!r)
        r = ws->host->on_turn(ws->host, ws_loop_turn, ws);
    return r;
}

int umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *codec, void *self,
                  struct umbel_ws **ret_ws)
{
    struct umbel_ws *ws = calloc(1, sizeof *ws);
    struct list *lists[] = {&ws->clients, &ws->dirty, &ws->starting, &ws->quiet, &ws->pinged, &ws->closing, &ws->idle, &ws->slow};

    if (!ws)
        return -ENOMEM;
    ws->host = host;
    ws->config = config;
    ws->codec = codec;
    ws->self = self;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    read_config(ws);
    int r = open_all(ws);
    if (r < 0) {
        umbel_ws_close(ws);
        return r;
    }
    *ret_ws = ws;
    return 0;
}

void umbel_ws_drain(struct umbel_ws *ws, uint32_t deadline_ms)
{
    (void)deadline_ms; /* the host keeps it: it calls close */
    if (ws->draining)
        return;
    ws->draining = true;
    ws_listen_close(ws);
    list_for_each(link, spare, &ws->clients)
        ws_client_dirty(list_entry(link, struct umbel_ws_client, link));
}

int umbel_ws_reload(struct umbel_ws *ws)
{
    const char *cert = ws->host->config_text(ws->config, "tls_cert"), *key = ws->host->config_text(ws->config, "tls_key");

    if (!ws->tls)
        return 0;
    int r = ws_tls_load(ws, ws->tls, cert, key);
    if (r < 0)
        ws_log(ws, UMBEL_LOG_WARN, "the old TLS certificate stays in use");
    else
        ws_log(ws, UMBEL_LOG_INFO, "new connections use the TLS certificate read from %s", cert);
    return r;
}

void umbel_ws_close(struct umbel_ws *ws)
{
    if (!ws)
        return;
    ws->closing_down = true;
    ws_listen_close(ws);
    list_for_each(link, spare, &ws->clients) {
        struct umbel_ws_client *client = list_entry(link, struct umbel_ws_client, link);
        if (client->state == WS_OPEN)
            ws_client_end(client, 1001, "going away"); /* as far as the sockets take it */
        else
            ws_client_detach(client);
    }
    ws_loop_close(ws);
    while (!list_is_empty(&ws->clients)) /* those that libwebsockets never took */
        ws_client_free(list_entry(ws->clients.next, struct umbel_ws_client, link));
    ws_time_close(ws);
    if (ws->leave)
        event_free(ws->leave);
    umbel_out_free(&ws->scratch);
    free(ws);
}

void *umbel_ws_data(struct umbel_ws_client *client)
{
    return client->data;
}

void umbel_ws_authorize(struct umbel_ws_client *client, const struct umbel_credential *credentials, uint32_t count)
{
    if (!client->client || client->access == WS_ASKED || client->end_code)
        return;
    client->access = WS_ASKED;
    client->ws->host->authorize(client->client, credentials, count);
}
