/* carrier/ws_leave.c - giving our place to another process: it accepts, and our clients go over to it one after the other, each at a
 * quiet moment, so that neither an answer is cut nor all of them come at once. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <event2/event.h>

#include "core/base/clock.h"

#define LEAVE_STEP_MS 20

/* Nothing of ours is under way, and nothing that it said waits. */
static bool is_quiet(const struct umbel_ws_client *client)
{
    return client->state == WS_OPEN && !client->end_code && !client->self_test && client->access != WS_ASKED && !client->full &&
           client->message_size == 0 && list_is_empty(&client->running) && list_is_empty(&client->waiting) &&
           list_is_empty(&client->held) && list_is_empty(&client->readers);
}

static void on_leave(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_ws *ws = arg;
    uint64_t gone_ns = clock_now_ns() - ws->leave_began_ns, window_ns = ws->leave_ns / 2 + 1;

    (void)fd;
    (void)what;
    if (gone_ns >= ws->leave_ns / 4 * 3) { /* who was never quiet: what has begun ends, what waits is dropped */
        event_del(ws->leave);
        umbel_ws_drain(ws, 0);
        return;
    }
    uint64_t due = gone_ns >= window_ns ? UINT32_MAX : (ws->leave_first * (gone_ns / 1000) + window_ns / 1000) / (window_ns / 1000 + 1);
    list_for_each(link, spare, &ws->clients)
    {
        struct umbel_ws_client *client = list_entry(link, struct umbel_ws_client, link);
        if (ws->leave_gone >= due)
            break;
        if (!is_quiet(client))
            continue;
        ws->leave_gone++;
        ws_count(ws, "ws_sent_over");
        ws_client_fail(client, 1001, "going away");
    }
}

static void leave(struct umbel_ws *ws, uint32_t ms)
{
    struct timeval often = {0, LEAVE_STEP_MS * 1000};

    if (ws->leaving || ws->draining)
        return;
    ws->leave = event_new(ws->host->base, -1, EV_PERSIST, on_leave, ws);
    if (!ws->leave || event_add(ws->leave, &often) < 0) {
        umbel_ws_drain(ws, ms); /* without memory: all at once */
        return;
    }
    ws_listen_close(ws);
    ws->leaving = true;
    ws->leave_began_ns = clock_now_ns();
    ws->leave_ns = ms * CLOCK_MS;
    ws->leave_first = ws->connections;
}

void umbel_ws_retire(struct umbel_ws *ws, uint32_t step, uint32_t ms)
{
    switch (step) {
    case UMBEL_RETIRE_PAUSE:
        ws_listen_pause(ws, true);
        break;
    case UMBEL_RETIRE_RESUME:
        ws_listen_pause(ws, false);
        break;
    default:
        leave(ws, ms);
        break;
    }
}
