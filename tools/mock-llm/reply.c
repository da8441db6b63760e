#include "reply.h"

#include "conn.h"
#include "record.h"
#include "server.h"
#include "voice.h"

const char *reply_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {402, "Payment Required"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {413, "Content Too Large"},
                   {422, "Unprocessable Content"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {505, "HTTP Version Not Supported"}};

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return status < 500 ? "Refused" : "Failed";
}

void reply_send(struct conn *conn, struct record *record, const char *end, unsigned status, const char *type, const char *extra,
                const struct bytes *body)
{
    struct bytes out = {0};

    bytes_printf(&out, "HTTP/1.1 %u %s\r\nServer: umbel-mock-llm\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", status,
                 reply_reason(status), type, body->len);
    if (!conn->keep_alive)
        bytes_puts(&out, "Connection: close\r\n");
    bytes_puts(&out, extra ? extra : "");
    bytes_puts(&out, "\r\n");
    if (!conn->head_only)
        bytes_put(&out, body->data, body->len);
    conn_send(conn, out.data, out.len);
    bytes_free(&out);
    if (record) {
        record->status = status;
        record->bytes = conn->sent;
        record_end(&conn->server->log, record, end);
        record_drop(record);
    }
    conn_answered(conn, true);
}

void reply_error(struct conn *conn, struct record *record, const char *end, unsigned status, const char *extra,
                 const char *message, const char *type, const char *param, const char *code)
{
    struct bytes body = {0};

    (conn->voice ? conn->voice : &voice_openai)->refusal(&body, status, message, type, param, code);
    reply_send(conn, record, end, status, "application/json", extra, &body);
    bytes_free(&body);
}
