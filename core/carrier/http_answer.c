/* carrier/http_answer.c - the heads of answers. */
#include "core/carrier/http_carrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *http_answer_words(uint32_t status)
{
    static const struct {
        uint32_t status;
        const char *words;
    } table[] = {{200, "OK"},
                 {204, "No Content"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {414, "URI Too Long"},
                 {415, "Unsupported Media Type"},
                 {417, "Expectation Failed"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {505, "HTTP Version Not Supported"}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].words;
    return "Unknown";
}

static const char *date(struct umbel_http *http)
{
    uint64_t now = clock_wall_s();
    time_t seconds = (time_t)now;
    struct tm tm;

    if (now != http->date_s && gmtime_r(&seconds, &tm) &&
        strftime(http->date, sizeof http->date, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        http->date_s = now;
    return http->date;
}

static bool has_body(const struct umbel_http_request *request, uint32_t status)
{
    return status != 204 && status != 304 && !request->is_head;
}

void http_answer_head(struct umbel_http_request *request, uint32_t status, const char *headers, const void *body, size_t size)
{
    struct http_conn *conn = request->conn;
    struct umbel_http *http = conn->http;
    struct umbel_out *out = &http->head;

    umbel_out_reset(out);
    umbel_out_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, http_answer_words(status), date(http));
    umbel_out_text(out, headers ? headers : "");
    if (status == 405)
        umbel_out_printf(out, "Allow: %s\r\n", http->codec->methods);
    if (!body && request->chunked)
        umbel_out_text(out, "Transfer-Encoding: chunked\r\n");
    else if (!body)
        conn->close_after = true; /* to a client of HTTP/1.0 the end of the connection is the end of the body */
    else if (status != 204 && status != 304)
        umbel_out_printf(out, "Content-Length: %zu\r\n", size);
    conn->close_after = conn->close_after || http->draining || http->leaving;
    umbel_out_text(out, conn->close_after ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
    if (body && has_body(request, status))
        umbel_out_put(out, body, size);
    request->head_out = true;
    http_request_forget_input(request);
    if (out->failed) {
        http_conn_kill(conn);
        return;
    }
    http_io_send(conn, out->data, out->size);
    if (out->capacity > HTTP_READ_SIZE)
        umbel_out_free(out);
}

void http_answer_plain(struct umbel_http_request *request, uint32_t status, const char *text)
{
    char line[160];

    snprintf(line, sizeof line, "%s\n", text);
    umbel_http_answer(request, status, "Content-Type: text/plain; charset=utf-8\r\n", line, strlen(line));
}

void umbel_http_answer(struct umbel_http_request *request, uint32_t status, const char *headers, const void *body, size_t size)
{
    if (request->head_out || request->over || request->conn->state == HTTP_DEAD)
        return;
    request->over = request->done = true;
    request->hold_due = HTTP_NEVER;
    http_answer_head(request, status, headers, body ? body : "", body ? size : 0);
    http_conn_later(request->conn);
}
