/* carrier/http_time.c - one libevent timer a connection, set for the earliest of its clocks.
 *
 * Clocks move later all the time (each write moves keepalive and slow): then the timer is left as it is, fires too early, and is
 * set again.  So a write costs no timer call. */
#include "core/carrier/http_carrier.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool wants_keepalive(const struct http_conn *conn, const struct umbel_http_request *request)
{
    return request->begun && request->head_out && !request->over && request->start.keepalive && request->start.keepalive_ms &&
           !http_io_is_full(conn) && request->wait.size == 0;
}

static uint64_t keepalive_due(const struct http_conn *conn, const struct umbel_http_request *request)
{
    return conn->sent_ns + request->start.keepalive_ms * CLOCK_MS;
}

static uint64_t deadline_due(const struct umbel_http_request *request)
{
    return request->begun && !request->over && request->start.max_ms ? request->began_ns + request->start.max_ms * CLOCK_MS
                                                                     : HTTP_NEVER;
}

static uint64_t due(const struct http_conn *conn)
{
    const struct umbel_http_request *request = conn->request;
    uint64_t when = conn->deadline_ns;

    if (http_io_is_full(conn))
        when = earlier(when, conn->progress_ns + conn->http->slow_ns);
    if (!request || conn->state != HTTP_BUSY)
        return when;
    when = earlier(when, earlier(request->gap_due, earlier(request->hold_due, request->pace_due)));
    if (wants_keepalive(conn, request))
        when = earlier(when, keepalive_due(conn, request));
    return earlier(when, deadline_due(request));
}

void http_time_arm(struct http_conn *conn)
{
    uint64_t when, now;

    if (conn->state == HTTP_DEAD)
        return;
    when = due(conn);
    if (when >= conn->armed_ns)
        return;
    now = clock_now_ns();
    uint64_t wait = (when > now ? when - now : 0) + CLOCK_MS / 2; /* never a moment too early, which would cost another round */
    struct timeval tv = {(time_t)(wait / CLOCK_S), (suseconds_t)(wait % CLOCK_S / 1000)};
    conn->armed_ns = when;
    event_add(&conn->timer, &tv);
}

/* The client has taken nothing for slow_client_s.  What the kernel has delivered meanwhile counts as taken. */
static void check_slow(struct http_conn *conn, uint64_t now)
{
    uint64_t acked;

    if (!http_io_is_full(conn) || now < conn->progress_ns + conn->http->slow_ns)
        return;
    acked = http_io_acked(conn);
    if (acked != conn->acked) {
        conn->acked = acked;
        conn->progress_ns = now;
        return;
    }
    http_count(conn->http, "http_slow_closed");
    http_conn_kill(conn);
}

static void check_request(struct http_conn *conn, struct umbel_http_request *request, uint64_t now)
{
    if (now >= deadline_due(request))
        http_stream_cut(request);
    if (now >= request->hold_due) {
        http_stream_head(request);
        http_stream_go(request);
    }
    if (now >= request->gap_due)
        http_stream_go(request);
    if (now >= request->pace_due) {
        request->pace_due = HTTP_NEVER;
        http_stream_room(request);
    }
    if (wants_keepalive(conn, request) && now >= keepalive_due(conn, request)) {
        struct umbel_out *out = &conn->http->scratch;
        umbel_out_reset(out);
        size_t begin = umbel_http_frame_begin(out);
        umbel_out_put(out, request->start.keepalive, request->start.keepalive_size);
        umbel_http_frame_end(out, begin);
        if (!out->failed)
            http_stream_put(request, out->data, out->size);
    }
}

void http_time_fired(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *conn = arg;
    uint64_t now = clock_now_ns();

    (void)fd;
    (void)what;
    conn->armed_ns = HTTP_NEVER;
    check_slow(conn, now);
    if (conn->state != HTTP_DEAD && now >= conn->deadline_ns) {
        conn->deadline_ns = HTTP_NEVER;
        if (conn->state == HTTP_LINGER || conn->state == HTTP_HANDSHAKE)
            http_conn_kill(conn);
        else
            http_receive_late(conn);
    }
    if (conn->state == HTTP_BUSY)
        check_request(conn, conn->request, now);
    http_time_arm(conn);
}
