/* carrier/http_leave.c - giving our place to another process: it accepts, ours are answered and told to come again, idle connections end
 * one after the other.  A connection that has not asked yet is answered first: it came for that. */
#include "core/carrier/http_carrier.h"

#include <errno.h>

#define LEAVE_STEP_MS 20

/* true: it was idle, and goes. */
static bool send_over(struct http_conn *conn)
{
    struct umbel_http_request *request = conn->request;

    if (conn->state == HTTP_HEAD && conn->served && conn->in.size == 0) {
        http_conn_finish(conn);
        return true;
    }
    if (conn->state == HTTP_BUSY && request->begun && !request->over && !request->reader && request->errand == HTTP_WATCH) {
        http_stream_cut(request);
        http_conn_later(conn);
        return true;
    }
    return false;
}

static void on_leave(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_http *http = arg;
    uint64_t gone_ns = clock_now_ns() - http->leave_began_ns, window_ns = http->leave_ns / 2 + 1;

    (void)fd;
    (void)what;
    if (gone_ns >= http->leave_ns / 4 * 3) {
        event_del(http->leave);
        umbel_http_drain(http, 0);
        return;
    }
    uint64_t due = gone_ns >= window_ns ? UINT32_MAX
                                        : (http->leave_first * (gone_ns / 1000) + window_ns / 1000) / (window_ns / 1000 + 1);
    list_for_each(link, spare, &http->conns)
    {
        if (http->leave_gone >= due)
            break;
        if (!send_over(list_entry(link, struct http_conn, link)))
            continue;
        http->leave_gone++;
        http_count(http, "http_sent_over");
    }
}

static void leave(struct umbel_http *http, uint32_t ms)
{
    struct timeval often = {0, LEAVE_STEP_MS * 1000};

    if (http->leaving || http->draining)
        return;
    http->leave = event_new(http->host->base, -1, EV_PERSIST, on_leave, http);
    if (!http->leave || event_add(http->leave, &often) < 0) {
        umbel_http_drain(http, ms); /* without memory: all at once */
        return;
    }
    http_listen_close(http);
    http->leaving = true;
    http->leave_began_ns = clock_now_ns();
    http->leave_ns = ms * CLOCK_MS;
    http->leave_first = http->connections;
    event_active(http->settle, 0, 0); /* perhaps nobody is there */
}

void umbel_http_retire(struct umbel_http *http, uint32_t step, uint32_t ms)
{
    switch (step) {
    case UMBEL_RETIRE_PAUSE:
        http_listen_pause(http, true);
        break;
    case UMBEL_RETIRE_RESUME:
        http_listen_pause(http, false);
        break;
    default:
        leave(http, ms);
        break;
    }
}
