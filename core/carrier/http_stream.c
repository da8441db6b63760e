/* carrier/http_stream.c - the frames of one stream to one client, each in its time: held heads, quiet gaps, pace, end. */
#include "core/carrier/http_carrier.h"

#include <stdlib.h>
#include <string.h>

void http_stream_start(struct umbel_http_request *request, const struct umbel_http_start *start)
{
    request->start = *start;
    request->start.headers = NULL;
    request->begun = true;
    if (request->head_out)
        return;
    free(request->headers);
    request->headers = strdup(start->headers ? start->headers : "");
    if (!request->headers) {
        http_conn_kill(request->conn);
        return;
    }
    if (start->hold_ms)
        request->hold_due = clock_now_ns() + start->hold_ms * CLOCK_MS;
    else
        http_stream_head(request);
    http_time_arm(request->conn);
}

void http_stream_head(struct umbel_http_request *request)
{
    if (request->head_out || request->conn->state == HTTP_DEAD)
        return;
    request->hold_due = HTTP_NEVER;
    http_answer_head(request, request->start.status ? request->start.status : 200, request->headers, NULL, 0);
    free(request->headers);
    request->headers = NULL;
    http_time_arm(request->conn);
}

/* Body bytes to the socket, and what they mean for the pace. */
static void say(struct umbel_http_request *request, const char *bytes, size_t size)
{
    uint32_t pace_bytes = request->start.pace_bytes;
    uint64_t pace_ns = request->start.pace_ms * CLOCK_MS;

    if (request->is_head || size == 0)
        return;
    http_io_send(request->conn, bytes, size);
    request->said = true;
    if (pace_bytes == 0)
        return;
    uint64_t now = clock_now_ns();
    if (now - request->pace_ns >= pace_ns) {
        request->pace_ns = now;
        request->pace_sent = 0;
    }
    request->pace_sent += (uint32_t)size;
    if (request->pace_sent >= pace_bytes)
        request->pace_due = request->pace_ns + (request->pace_sent + pace_bytes - 1) / pace_bytes * pace_ns;
}

/* Whether the client has been left in peace for ms.  If not, the gap's clock is set. */
static bool gap_is_over(struct umbel_http_request *request, uint32_t ms)
{
    struct http_conn *conn = request->conn;
    uint64_t now;

    if (!request->said)
        return true;
    http_io_settle(conn); /* the gap begins when the bytes before it have gone out */
    now = clock_now_ns();
    if (http_io_is_full(conn))
        return false; /* http_stream_go comes when the socket has taken it */
    if (now >= conn->sent_ns + ms * CLOCK_MS && request->gap_tries < HTTP_GAP_TRIES && !http_io_is_acked(conn)) {
        request->gap_tries++; /* on a slow link the client would get both at once */
        conn->sent_ns = now;
    }
    request->gap_due = conn->sent_ns + ms * CLOCK_MS;
    if (now < request->gap_due)
        return false;
    request->gap_due = HTTP_NEVER;
    request->gap_tries = 0;
    return true;
}

/* Sends frames as far as they are due; returns how many bytes of text are done with. */
static size_t give(struct umbel_http_request *request, struct span text)
{
    bool joins = request->chunked && !(request->start.flags & UMBEL_HTTP_APART);
    struct span at = text;
    struct http_frame frame;
    size_t done = 0;

    while (request->conn->state != HTTP_DEAD && http_frame_next(&at, &frame)) {
        size_t here = (size_t)(at.data - text.data);
        if (frame.kind == HTTP_FRAME_CHUNK && joins) {
            if (at.size)
                continue; /* goes out together with what follows */
            say(request, text.data + done, here - done);
        } else if (frame.kind == HTTP_FRAME_CHUNK) {
            struct span bytes = request->chunked ? frame.chunk : frame.data;
            say(request, bytes.data, bytes.size);
        } else {
            say(request, text.data + done, here - HTTP_MARK_SIZE - done);
            done = here - HTTP_MARK_SIZE;
            if (frame.kind == HTTP_FRAME_GAP && !gap_is_over(request, frame.ms))
                return done;
        }
        done = here;
    }
    return text.size;
}

bool http_stream_is_full(const struct umbel_http_request *request)
{
    return http_io_is_full(request->conn) || (request->head_out && request->wait.size) || request->pace_due != HTTP_NEVER;
}

void http_stream_room(struct umbel_http_request *request)
{
    if (!request->blocked || !request->reader || http_stream_is_full(request))
        return;
    request->blocked = false;
    request->conn->http->host->reader_ready(request->reader);
}

static void keep(struct umbel_http_request *request, const char *bytes, size_t size)
{
    umbel_out_put(&request->wait, bytes, size);
    if (request->wait.failed)
        http_conn_kill(request->conn);
}

void http_stream_put(struct umbel_http_request *request, const char *bytes, size_t size)
{
    if (request->conn->state == HTTP_DEAD || request->done)
        return;
    if (!request->head_out) {
        bool says = http_frame_says(bytes, size);
        keep(request, bytes, size);
        if (says) {
            http_stream_head(request);
            http_stream_go(request);
        }
    } else if (request->wait.size) {
        keep(request, bytes, size);
    } else {
        size_t done = give(request, span_of(bytes, size));
        if (done < size)
            keep(request, bytes + done, size - done);
    }
    http_time_arm(request->conn);
}

static void end_body(struct umbel_http_request *request)
{
    static const char end[] = "0\r\n\r\n";

    request->done = true;
    if (request->chunked && !request->is_head)
        http_io_send(request->conn, end, sizeof end - 1);
    http_conn_later(request->conn);
}

void http_stream_go(struct umbel_http_request *request)
{
    struct umbel_out *wait = &request->wait;

    if (request->conn->state == HTTP_DEAD || request->done)
        return;
    if (!request->head_out && request->over)
        http_stream_head(request);
    if (!request->head_out)
        return;
    request->gap_due = HTTP_NEVER;
    if (wait->size) {
        request->wait_at += give(request, span_of(wait->data + request->wait_at, wait->size - request->wait_at));
        if (request->wait_at == wait->size) {
            umbel_out_free(wait);
            request->wait_at = 0;
        }
    }
    if (request->conn->state == HTTP_DEAD)
        return;
    if (request->over && wait->size == 0)
        end_body(request);
    http_stream_room(request);
    http_time_arm(request->conn);
}

void http_stream_over(struct umbel_http_request *request)
{
    request->over = true;
    http_stream_go(request);
}

void http_stream_cut(struct umbel_http_request *request)
{
    struct umbel_http *http = request->conn->http;
    struct umbel_reader *reader = request->reader;
    struct umbel_out *out = &http->scratch;

    umbel_out_reset(out);
    if (http->codec->deadline)
        http->codec->deadline(http->self, request, reader ? http->host->reader_stream(reader) : NULL,
                              reader ? http->host->reader_position(reader) : 0, out);
    request->reader = NULL;
    request->blocked = false;
    if (reader)
        http->host->reader_leave(reader);
    else if (request->errand == HTTP_WATCH)
        http->host->unwatch(request->client, 1);
    else if (request->errand != HTTP_NO_ERRAND)
        http->host->abandon(request->client, 1);
    http_stream_head(request);
    http_stream_go(request); /* what was held */
    if (!out->failed)
        http_stream_put(request, out->data, out->size);
    http_stream_over(request);
}

void umbel_http_begin(struct umbel_http_request *request, const struct umbel_http_start *start)
{
    if (!request->over && request->conn->state != HTTP_DEAD)
        http_stream_start(request, start);
}

void umbel_http_say(struct umbel_http_request *request, const struct umbel_out *frames)
{
    if (request->begun && !request->over && !frames->failed)
        http_stream_put(request, frames->data, frames->size);
}

void umbel_http_end(struct umbel_http_request *request)
{
    if (request->begun && !request->over)
        http_stream_over(request);
}

int umbel_http_is_leaving(struct umbel_http_request *request)
{
    const struct umbel_http *http = request->conn->http;

    return http->leaving || http->draining;
}

int umbel_http_is_begun(struct umbel_http_request *request)
{
    return request->head_out;
}
