/* carrier/http_receive.c - what comes from a client: heads, bodies, and what it sends ahead. */
#include "core/carrier/http_carrier.h"

#include <stdlib.h>
#include <string.h>

static void consume(struct http_conn *conn, size_t size)
{
    conn->in.size -= size;
    memmove(conn->in.data, conn->in.data + size, conn->in.size);
    explicit_bzero(conn->in.data + conn->in.size, size);
    conn->scanned = 0;
}

/* A head that cannot be served.  From here on what comes is not understood. */
static void refuse(struct http_conn *conn, uint32_t status, const char *text)
{
    conn->state = HTTP_BUSY;
    conn->deadline_ns = HTTP_NEVER;
    conn->close_after = true;
    http_request_fail(conn->request, status, text);
}

static void serve(struct http_conn *conn)
{
    conn->state = HTTP_BUSY;
    conn->deadline_ns = HTTP_NEVER;
    http_request_serve(conn->request);
}

static const char *words_of(int status)
{
    switch (status) {
    case 413:
        return "the body is too large";
    case 414:
        return "the request line is too long";
    case 417:
        return "the expectation cannot be met";
    case 431:
        return "the headers are too large";
    case 501:
        return "the transfer coding is not known";
    case 505:
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    default:
        return "the request is malformed";
    }
}

/* Moves the first size bytes of conn->in into a fresh request.  False: no memory, the connection is dead. */
static bool begin_request(struct http_conn *conn, size_t size)
{
    struct umbel_http_request *request = http_request_new(conn);

    conn->request = request;
    if (!request || !(request->input->bytes = malloc(size + 1))) {
        http_conn_kill(conn);
        return false;
    }
    memcpy(request->input->bytes, conn->in.data, size);
    request->input->bytes[size] = '\0';
    request->input->size = size;
    consume(conn, size);
    return true;
}

/* Takes what there is of the body. */
static void take_body(struct http_conn *conn)
{
    struct umbel_http_request *request = conn->request;
    struct umbel_out *body = &request->input->body;
    size_t part = conn->in.size < conn->body_left ? conn->in.size : (size_t)conn->body_left;

    if (request->input->head.chunked) {
        long used = http_dechunk_feed(&conn->dechunk, conn->in.data, conn->in.size, conn->http->codec->max_body, body);
        if (used < 0) {
            refuse(conn, (uint32_t)-used, words_of((int)-used));
            return;
        }
        consume(conn, (size_t)used);
    } else if (part) {
        umbel_out_put(body, conn->in.data, part);
        conn->body_left -= part;
        consume(conn, part);
    }
    if (body->failed)
        http_conn_kill(conn);
    else if (request->input->head.chunked ? conn->dechunk.done : conn->body_left == 0)
        serve(conn);
}

static void begin_body(struct http_conn *conn)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct http_head *head = &conn->request->input->head;

    if (head->content_length > conn->http->codec->max_body) {
        refuse(conn, 413, words_of(413));
        return;
    }
    conn->body_left = head->content_length;
    conn->dechunk = (struct http_dechunk){0};
    conn->state = HTTP_BODY;
    if (head->expect && conn->in.size == 0 && (head->chunked || head->content_length))
        http_io_send(conn, go_on, sizeof go_on - 1);
    if (conn->state == HTTP_DEAD)
        return;
    http_conn_deadline(conn, HTTP_BODY_MS);
    take_body(conn);
}

static void parse_head(struct http_conn *conn, size_t size)
{
    if (!begin_request(conn, size))
        return;
    struct umbel_http_request *request = conn->request;
    struct http_head *head = &request->input->head;
    int status = http_head_parse(request->input->bytes, size, head);
    request->chunked = head->minor > 0;
    request->is_head = span_is(head->method, "HEAD");
    conn->close_after = head->close || status != 0;
    if (head->method.size && http_request_aim(request) && !status)
        status = 400;
    if (status)
        refuse(conn, (uint32_t)status, words_of(status));
    else
        begin_body(conn);
}

/* The scan gave up.  The line, if it could be read, tells the codec whom it talks to; so do the headers that came whole. */
static void refuse_head(struct http_conn *conn, int status, size_t line)
{
    size_t size = line;

    for (size_t at = line; at < conn->in.size; at++)
        if (conn->in.data[at] == '\n')
            size = at + 1;
    if (!begin_request(conn, line ? size : 0))
        return;
    struct http_head *head = &conn->request->input->head;
    http_head_parse(conn->request->input->bytes, size && line ? size : 0, head);
    conn->request->chunked = true;
    if (head->method.size)
        http_request_aim(conn->request);
    refuse(conn, (uint32_t)status, words_of(status));
}

void http_receive_next(struct http_conn *conn)
{
    const struct umbel_http_codec *codec = conn->http->codec;

    if (conn->state == HTTP_HEAD && conn->in.size) {
        size_t line;
        long size = http_head_scan(conn->in.data, conn->in.size, codec->max_line, codec->max_headers, &conn->scanned, &line);
        if (size < 0)
            refuse_head(conn, (int)-size, line);
        else if (size > 0)
            parse_head(conn, (size_t)size);
    } else if (conn->state == HTTP_BODY) {
        take_body(conn);
    }
}

void http_receive(struct http_conn *conn, const char *bytes, size_t size)
{
    bool first = conn->state == HTTP_HEAD && conn->in.size == 0;

    umbel_out_put(&conn->in, bytes, size);
    if (conn->in.failed) {
        http_conn_kill(conn);
        return;
    }
    uint64_t head_ns = clock_now_ns() + HTTP_HEAD_MS * CLOCK_MS;
    if (first && head_ns < conn->deadline_ns) { /* of the first request the clock runs since accept */
        conn->deadline_ns = head_ns;
        http_time_arm(conn);
    }
    http_receive_next(conn);
}

void http_receive_late(struct http_conn *conn)
{
    if (conn->state == HTTP_BODY)
        refuse(conn, 408, "the body took too long");
    else if (conn->in.size == 0)
        http_conn_finish(conn);
    else
        http_conn_kill(conn);
}
