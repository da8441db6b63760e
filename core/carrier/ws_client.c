/* carrier/ws_client.c - one WebSocket from accept to its end. */
#include "core/carrier/ws_carrier.h"

#include <stdlib.h>

struct umbel_ws_client *ws_client_new(struct umbel_ws *ws)
{
    struct umbel_ws_client *client = calloc(1, sizeof *client + ws->codec->client_size);

    if (!client)
        return NULL;
    client->ws = ws;
    list_init(&client->dirty);
    list_init(&client->life);
    list_init(&client->rest);
    list_init(&client->waiting);
    list_init(&client->running);
    list_init(&client->held);
    list_init(&client->watches);
    list_init(&client->readers);
    list_append(&ws->clients, &client->link);
    ws->connections++;
    ws_time_start(client);
    return client;
}

void ws_client_free(struct umbel_ws_client *client)
{
    ws_write_settle(client);
    ws_client_detach(client);
    ws_time_forget(client);
    list_remove(&client->dirty);
    list_remove(&client->link);
    client->ws->connections--;
    free(client->end_reason);
    free(client);
}

void ws_client_dirty(struct umbel_ws_client *client)
{
    if (client->state != WS_GONE && !list_is_linked(&client->dirty))
        list_append(&client->ws->dirty, &client->dirty);
}

static void drop_turns(struct umbel_ws_client *client, struct list *list)
{
    while (!list_is_empty(list))
        ws_turn_free(client, list_entry(list->next, struct ws_turn, link));
}

void ws_client_detach(struct umbel_ws_client *client)
{
    struct umbel_ws *ws = client->ws;
    struct umbel_client *host_client = client->client;

    if (client->state == WS_OPEN)
        client->state = WS_CLOSING; /* first: what codecs wish from here on is dropped */
    client->client = NULL;
    if (host_client)
        ws->host->client_close(host_client);
    while (!list_is_empty(&client->readers))
        ws_reader_free(list_entry(client->readers.next, struct ws_reader, link));
    drop_turns(client, &client->running);
    drop_turns(client, &client->waiting);
    drop_turns(client, &client->held);
    drop_turns(client, &client->watches);
    free(client->message);
    client->message = NULL;
    client->message_size = client->message_capacity = 0;
    if (client->known_to_codec) {
        client->known_to_codec = false;
        if (ws->codec->closed)
            ws->codec->closed(ws->self, client);
    }
}

void ws_client_end(struct umbel_ws_client *client, uint16_t code, const char *reason)
{
    unsigned char frame[WS_CLOSE_FRAME_MAX];
    bool open = client->state == WS_OPEN;

    ws_client_detach(client);
    if (!open) {
        ws_loop_kill(client);
        return;
    }
    ws_time_rest(client);
    ws_time_closing(client);
    if (client->rx_off) { /* or the peer's answer would never be read */
        client->rx_off = false;
        lws_rx_flow_control(client->wsi, 1);
    }
    if (ws_write_put(client, frame, ws_frame_close(code, reason, frame)) < 0)
        ws_loop_kill(client);
}

void ws_client_fail(struct umbel_ws_client *client, uint16_t code, const char *reason)
{
    if (client->end_code || client->state >= WS_CLOSING)
        return;
    client->end_code = code;
    client->end_reason = strdup(reason); /* without memory the code must do */
    ws_client_dirty(client);
}

void ws_client_gone(struct umbel_ws_client *client)
{
    if (client->state == WS_GONE)
        return;
    ws_client_detach(client);
    client->state = WS_GONE;
    client->wsi = NULL;
    ws_time_forget(client);
    list_remove(&client->dirty);
}

/* Draining: what has begun ends, what only waits is dropped, and 1001 says so. */
static bool drain(struct umbel_ws_client *client)
{
    list_for_each(link, spare, &client->waiting) {
        struct ws_turn *turn = list_entry(link, struct ws_turn, link);
        if (turn->kind == WS_TURN_ASK || turn->kind == WS_TURN_RESUME)
            ws_turn_free(client, turn);
    }
    drop_turns(client, &client->held);
    ws_turn_pump(client);
    if (!list_is_empty(&client->running) || !list_is_empty(&client->readers) || !list_is_empty(&client->waiting))
        return false;
    ws_client_end(client, 1001, "going away");
    return true;
}

void ws_client_work(struct umbel_ws_client *client)
{
    if (client->self_test || client->state == WS_GONE)
        return;
    if (client->doomed || client->state == WS_CLOSING) {
        ws_client_detach(client);
        if (client->doomed)
            ws_loop_kill(client);
        return;
    }
    if (client->end_code) {
        ws_client_end(client, client->end_code, client->end_reason ? client->end_reason : "");
        return;
    }
    if (client->state != WS_OPEN) {
        if (client->ws->draining)
            ws_loop_kill(client);
        return;
    }
    if (client->ws->draining) {
        if (drain(client))
            return;
    } else {
        ws_turn_release(client);
        ws_turn_pump(client);
    }
    if (client->rx_off && !client->end_code && !ws_turn_is_over(client)) {
        client->rx_off = false;
        lws_rx_flow_control(client->wsi, 1);
        ws_time_touch(client);
    }
    ws_time_rest(client);
}
