/* carrier/ws_time.c - every clock of the carrier: handshake, ping, hang-up, close answer, idle, slow.
 *
 * All clients share each delay, so a list in order of entry is in order of deadline: looking costs nothing but the heads, moving a client
 * is O(1).  One libevent timer is set for the earliest head. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <event2/event.h>

#include "core/base/clock.h"
#include "core/carrier/ws_progress.h"

static void set_deadline(struct umbel_ws *ws, uint64_t due_ns)
{
    uint64_t now = clock_now_ns(), wait = due_ns > now ? due_ns - now : 0;

    if (due_ns >= ws->deadline_ns || ws->closing_down)
        return;
    wait += CLOCK_MS; /* never a moment too early, which would cost another round */
    struct timeval tv = {(time_t)(wait / CLOCK_S), (suseconds_t)(wait % CLOCK_S / 1000)};
    ws->deadline_ns = due_ns;
    event_add(ws->deadline, &tv);
}

static void life(struct umbel_ws_client *client, struct list *list, uint64_t delay_ns)
{
    list_remove(&client->life);
    list_append(list, &client->life);
    client->life_due_ns = clock_now_ns() + delay_ns;
    set_deadline(client->ws, client->life_due_ns);
}

static void rest(struct umbel_ws_client *client, struct list *list, uint64_t delay_ns)
{
    list_remove(&client->rest);
    list_append(list, &client->rest);
    client->rest_due_ns = clock_now_ns() + delay_ns;
    set_deadline(client->ws, client->rest_due_ns);
}

void ws_time_start(struct umbel_ws_client *client)
{
    life(client, &client->ws->starting, WS_HANDSHAKE_MS * CLOCK_MS);
}

void ws_time_closing(struct umbel_ws_client *client)
{
    life(client, &client->ws->closing, WS_CLOSE_ACK_MS * CLOCK_MS);
}

void ws_time_touch(struct umbel_ws_client *client)
{
    if (client->state == WS_OPEN && client->ws->ping_ns)
        life(client, &client->ws->quiet, client->ws->ping_ns);
    else if (client->state == WS_OPEN)
        list_remove(&client->life);
}

void ws_time_rest(struct umbel_ws_client *client)
{
    struct umbel_ws *ws = client->ws;

    if (client->state == WS_OPEN && client->full) {
        if (client->slow_clock)
            return;
        client->slow_clock = true;
        client->acked = ws_progress_acked(lws_get_socket_fd(client->wsi));
        rest(client, &ws->slow, ws->slow_ns);
        return;
    }
    client->slow_clock = false;
    if (client->state != WS_OPEN) {
        list_remove(&client->rest);
    } else if (ws->idle_ns && list_is_empty(&client->readers) && list_is_empty(&client->running) &&
               list_is_empty(&client->waiting) && list_is_empty(&client->watches)) {
        rest(client, &ws->idle, ws->idle_ns);
    } else {
        list_remove(&client->rest);
    }
}

void ws_time_forget(struct umbel_ws_client *client)
{
    list_remove(&client->life);
    list_remove(&client->rest);
}

/* A client that is full is judged by its slow clock, one we do not read from cannot answer a ping. */
static void ping(struct umbel_ws_client *client)
{
    if (client->full || client->rx_off) {
        ws_time_touch(client);
        return;
    }
    life(client, &client->ws->pinged, client->ws->pong_ns);
    ws_write_put(client, ws_frame_ping, sizeof ws_frame_ping);
}

static void starting_over(struct umbel_ws_client *client)
{
    list_remove(&client->life);
    if (!client->wsi) {
        ws_client_free(client); /* libwebsockets refused to adopt it and has forgotten it */
        return;
    }
    ws_count(client->ws, "ws_handshake_timeouts");
    ws_loop_kill(client);
}

static void hung_up(struct umbel_ws_client *client)
{
    list_remove(&client->life);
    ws_count(client->ws, "ws_hung_up");
    ws_loop_kill(client);
}

static void closing_over(struct umbel_ws_client *client)
{
    list_remove(&client->life);
    ws_count(client->ws, "ws_close_unanswered");
    ws_loop_kill(client);
}

static void idle_over(struct umbel_ws_client *client)
{
    ws_client_end(client, 1000, "idle");
}

static void slow_over(struct umbel_ws_client *client)
{
    if (ws_progress_acked(lws_get_socket_fd(client->wsi)) != client->acked) {
        client->slow_clock = false; /* it moved: the clock starts anew */
        ws_time_rest(client);
        return;
    }
    ws_count(client->ws, "ws_slow_closed");
    ws_client_end(client, 1013, "not reading");
}

static void expire(struct list *list, size_t offset, uint64_t now, void (*over)(struct umbel_ws_client *))
{
    while (!list_is_empty(list)) {
        struct umbel_ws_client *client = (struct umbel_ws_client *)(void *)((char *)list->next - offset);
        uint64_t due = offset == offsetof(struct umbel_ws_client, life) ? client->life_due_ns : client->rest_due_ns;
        if (due > now) {
            set_deadline(client->ws, due);
            return;
        }
        over(client);
    }
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_ws *ws = arg;
    uint64_t now = clock_now_ns();

    (void)fd;
    (void)what;
    ws->deadline_ns = UINT64_MAX;
    expire(&ws->starting, offsetof(struct umbel_ws_client, life), now, starting_over);
    expire(&ws->quiet, offsetof(struct umbel_ws_client, life), now, ping);
    expire(&ws->pinged, offsetof(struct umbel_ws_client, life), now, hung_up);
    expire(&ws->closing, offsetof(struct umbel_ws_client, life), now, closing_over);
    expire(&ws->idle, offsetof(struct umbel_ws_client, rest), now, idle_over);
    expire(&ws->slow, offsetof(struct umbel_ws_client, rest), now, slow_over);
}

int ws_time_open(struct umbel_ws *ws)
{
    ws->deadline_ns = UINT64_MAX;
    ws->deadline = evtimer_new(ws->host->base, on_deadline, ws);
    return ws->deadline ? 0 : -ENOMEM;
}

void ws_time_close(struct umbel_ws *ws)
{
    if (ws->deadline)
        event_free(ws->deadline);
    ws->deadline = NULL;
}
