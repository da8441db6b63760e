/* plugin-check/check_wire.c - sockets and framing of the check's clients. */
#include "tools/plugin-check/check_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_FRAME 0x81u
#define READ_MAX (64u << 10)
#define UNIT_MAX (64u << 20) /* no unit of a sane protocol is longer */

void wire_open(struct wire *wire, const struct plan *plan, int port, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};

    *wire = (struct wire){.plan = plan, .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .length = -2};
    wire->opened = plan->carrier != PLAN_WS;
    wire->ready = !plan->has_ready;
    if (receive_buffer)
        setsockopt(wire->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (wire->fd == -1 || (connect(wire->fd, (struct sockaddr *)&address, sizeof address) == -1 && errno != EINPROGRESS)) {
        perror("umbel-plugin-check: connect");
        abort();
    }
}

void wire_free(struct wire *wire)
{
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
    umbel_out_free(&wire->send);
    umbel_out_free(&wire->in);
    umbel_out_free(&wire->body);
    umbel_out_free(&wire->text);
    umbel_out_free(&wire->last);
}

void wire_reset(struct wire *wire)
{
    struct linger now = {1, 0};

    setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    wire_free(wire);
}

void wire_raw(struct wire *wire, const void *bytes, size_t size)
{
    umbel_out_put(&wire->send, bytes, size);
}

/* With a mask of zeros: allowed, and it keeps the bytes readable. */
void wire_frame(struct wire *wire, unsigned char first, const void *bytes, size_t size)
{
    unsigned char head[14] = {first};
    size_t head_size = 2;

    if (size < 126) {
        head[1] = (unsigned char)(0x80u | size);
    } else if (size < 65536) {
        head[1] = 0x80u | 126u;
        head[2] = (unsigned char)(size >> 8);
        head[3] = (unsigned char)size;
        head_size = 4;
    } else {
        head[1] = 0x80u | 127u;
        for (size_t i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)size >> (56 - 8 * i));
        head_size = 10;
    }
    wire_raw(wire, head, head_size + 4);
    wire_raw(wire, bytes, size);
}

void wire_unit(struct wire *wire, const char *template, const char *key, const char *question)
{
    struct umbel_out unit = {0};

    plan_fill(template, key, question, &unit);
    if (wire->plan->carrier == PLAN_WS)
        wire_frame(wire, TEXT_FRAME, unit.data, unit.size);
    else
        wire_raw(wire, unit.data, unit.size);
    if (wire->plan->carrier == PLAN_TCP)
        wire_raw(wire, wire->plan->separator, strlen(wire->plan->separator));
    umbel_out_free(&unit);
}

static void put_headers(const struct umbel_json *headers, const char *key, struct umbel_out *out)
{
    for (const struct umbel_json *each = umbel_json_first(headers); each; each = umbel_json_next(each)) {
        const char *text = umbel_json_text(each, NULL);
        plan_fill(text ? text : "", key, "", out);
        umbel_out_text(out, "\r\n");
    }
}

void wire_hello(struct wire *wire, const char *key)
{
    struct umbel_out head = {0};

    if (wire->plan->carrier == PLAN_WS) {
        umbel_out_text(&head, "GET ");
        plan_fill(wire->plan->path, key, "", &head);
        umbel_out_text(&head, " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        put_headers(wire->plan->headers, key, &head);
        umbel_out_text(&head, "\r\n");
        wire_raw(wire, head.data, head.size);
        umbel_out_free(&head);
    }
    if (wire->plan->carrier == PLAN_HTTP)
        return;
    for (const struct umbel_json *each = umbel_json_first(wire->plan->connect); each; each = umbel_json_next(each))
        wire_unit(wire, umbel_json_text(each, NULL) ? umbel_json_text(each, NULL) : "", key, "");
}

void wire_request(struct wire *wire, const struct umbel_json *request, const char *key, const char *question)
{
    struct umbel_out out = {0}, body = {0};

    plan_fill(umbel_json_member_text(request, "body", ""), key, question, &body);
    umbel_out_text(&out, umbel_json_member_text(request, "method", "GET"));
    umbel_out_text(&out, " ");
    plan_fill(umbel_json_member_text(request, "path", "/"), key, question, &out);
    umbel_out_text(&out, " HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    put_headers(umbel_json_member(request, "headers"), key, &out);
    if (body.size)
        umbel_out_printf(&out, "Content-Length: %zu\r\n", body.size);
    umbel_out_text(&out, "\r\n");
    umbel_out_put(&out, body.data, body.size);
    wire_raw(wire, out.data, out.size);
    umbel_out_free(&out);
    umbel_out_free(&body);
}

void wire_ask(struct wire *wire, const char *key, const char *question)
{
    if (wire->plan->carrier == PLAN_HTTP)
        wire_request(wire, wire->plan->request, key, question);
    else
        wire_unit(wire, wire->plan->ask, key, question);
}

static const struct umbel_json *follow(const struct umbel_json *value, const char *pointer)
{
    char name[64];

    while (value && *pointer == '/') {
        size_t size = strcspn(++pointer, "/");
        snprintf(name, sizeof name, "%.*s", (int)size, pointer);
        pointer += size;
        if (umbel_json_type(value) == UMBEL_JSON_ARRAY) {
            unsigned long index = strtoul(name, NULL, 10);
            for (value = umbel_json_first(value); value && index; index--)
                value = umbel_json_next(value);
        } else {
            value = umbel_json_member(value, name);
        }
    }
    return value;
}

static void take_text(struct wire *wire, const char *unit, size_t size)
{
    const struct plan *plan = wire->plan;
    size_t prefix = strlen(plan->prefix), length;
    char why[120];

    if (size < prefix || memcmp(unit, plan->prefix, prefix) != 0)
        return;
    if (!plan->pointer) {
        umbel_out_put(&wire->text, unit + prefix, size - prefix);
        return;
    }
    struct umbel_json *json = umbel_json_parse(unit + prefix, size - prefix, why, sizeof why);
    const char *text = umbel_json_text(follow(json, plan->pointer), &length);
    if (text)
        umbel_out_put(&wire->text, text, length);
    if (!json && regexec(&plan->terminal, unit, 0, NULL, 0) != 0)
        wire->unreadable++;
    umbel_json_free(json);
}

/* One message, line or event.  It gets a zero behind it for the expressions. */
static void take_unit(struct wire *wire, const char *bytes, size_t size)
{
    const struct plan *plan = wire->plan;

    if (!size)
        return;
    umbel_out_reset(&wire->last);
    umbel_out_put(&wire->last, bytes, size);
    umbel_out_put(&wire->last, "", 1);
    const char *unit = wire->last.data;
    wire->units++;
    if (wire->want && regexec(wire->want, unit, 0, NULL, 0) == 0)
        wire->got = true;
    if (!wire->ready && regexec(&plan->ready, unit, 0, NULL, 0) == 0) {
        wire->ready = true;
        return;
    }
    if (plan->carrier == PLAN_HTTP && wire->terminals)
        wire->after_end++;
    bool error = regexec(&plan->error, unit, 0, NULL, 0) == 0;
    wire->errors += error;
    wire->terminals += regexec(&plan->terminal, unit, 0, NULL, 0) == 0;
    take_text(wire, unit, size);
}

/* Cuts from's bytes at separators. */
static void take_pieces(struct wire *wire, struct umbel_out *from, bool whole)
{
    size_t at = 0, length = strlen(wire->plan->separator);
    const char *end;

    while (at < from->size && (end = memmem(from->data + at, from->size - at, wire->plan->separator, length))) {
        take_unit(wire, from->data + at, (size_t)(end - from->data) - at);
        at = (size_t)(end - from->data) + length;
    }
    if (whole && at < from->size) {
        take_unit(wire, from->data + at, from->size - at);
        at = from->size;
    }
    from->size -= at;
    if (from->size && at)
        memmove(from->data, from->data + at, from->size);
}

static void drop(struct umbel_out *out, size_t size)
{
    out->size -= size;
    if (out->size)
        memmove(out->data, out->data + size, out->size);
}

/* The head of an HTTP answer.  False: not whole yet. */
static bool take_head(struct wire *wire)
{
    const char *end = wire->in.size ? memmem(wire->in.data, wire->in.size, "\r\n\r\n", 4) : NULL;

    if (!end)
        return false;
    size_t size = (size_t)(end - wire->in.data) + 4;
    char *head = strndup(wire->in.data, size);
    wire->status = size > 12 && head ? strtol(head + 9, NULL, 10) : -1;
    for (char *line = head; line && (line = strstr(line, "\r\n"));) {
        line += 2;
        if (strncasecmp(line, "content-length:", 15) == 0)
            wire->length = strtol(line + 15, NULL, 10);
        else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
            wire->length = -1;
    }
    if (wire->status == 204 || wire->status == 304)
        wire->length = 0;
    free(head);
    drop(&wire->in, size);
    return true;
}

static void take_chunks(struct wire *wire)
{
    char *data_end;

    for (;;) {
        const char *line = wire->in.size ? memmem(wire->in.data, wire->in.size, "\r\n", 2) : NULL;
        if (!line)
            return;
        size_t head = (size_t)(line - wire->in.data) + 2, size = strtoul(wire->in.data, &data_end, 16);
        if (data_end == wire->in.data || size > UNIT_MAX || wire->in.size < head + size + 2) {
            wire->unreadable += data_end == wire->in.data || size > UNIT_MAX;
            return;
        }
        umbel_out_put(&wire->body, wire->in.data + head, size);
        drop(&wire->in, head + size + 2);
        if (!size) {
            wire->ended = true;
            return;
        }
    }
}

static void take_http(struct wire *wire)
{
    if (!wire->status && !take_head(wire))
        return;
    if (wire->length == -1) {
        take_chunks(wire);
    } else {
        umbel_out_put(&wire->body, wire->in.data, wire->in.size);
        wire->in.size = 0;
        if (wire->length >= 0 && wire->body.size >= (size_t)wire->length)
            wire->ended = true;
    }
    if (wire->status >= 400 && wire->ended) {
        wire->errors++;
        if (wire->want) {
            umbel_out_put(&wire->body, "", 1);
            wire->got = wire->got || regexec(wire->want, wire->body.data, 0, NULL, 0) == 0;
            wire->body.size--;
        }
    } else {
        take_pieces(wire, &wire->body, wire->ended);
    }
}

/* One frame from a server.  False: not whole yet. */
static bool take_frame(struct wire *wire)
{
    const unsigned char *in = (const unsigned char *)wire->in.data;
    size_t head = 2, size = wire->in.size >= 2 ? in[1] & 0x7fu : 0;

    if (size == 126)
        head = 4;
    else if (size == 127)
        head = 10;
    if (wire->in.size < head)
        return false;
    if (head > 2) {
        size = 0;
        for (size_t i = 2; i < head; i++)
            size = size << 8 | in[i];
    }
    if (size > UNIT_MAX) {
        wire->unreadable++;
        wire->ended = true;
        return false;
    }
    if (wire->in.size < head + size)
        return false;
    unsigned opcode = in[0] & 0xfu;
    if (opcode == 1)
        take_unit(wire, wire->in.data + head, size);
    else if (opcode == 8)
        wire->ended = true;
    else if (opcode == 9)
        wire_frame(wire, 0x8a, wire->in.data + head, size);
    else if (opcode != 10)
        wire->unreadable++;
    drop(&wire->in, head + size);
    return true;
}

static void take(struct wire *wire, bool end)
{
    if (wire->plan->carrier == PLAN_HTTP) {
        take_http(wire);
    } else if (wire->plan->carrier == PLAN_TCP) {
        take_pieces(wire, &wire->in, end);
    } else {
        if (!wire->opened && take_head(wire)) {
            wire->opened = wire->status == 101;
            wire->errors += !wire->opened;
        }
        while (wire->opened && wire->in.size >= 2 && take_frame(wire))
            ;
    }
}

bool wire_pump(struct wire *wire, bool deaf)
{
    bool moved = false;

    while (wire->fd >= 0 && wire->sent < wire->send.size) {
        ssize_t n = send(wire->fd, wire->send.data + wire->sent, wire->send.size - wire->sent, MSG_NOSIGNAL);
        if (n <= 0) {
            if (n == -1 && errno != EAGAIN && errno != EINTR)
                wire->sent = wire->send.size; /* the other side has gone; what it said last may still be read */
            break;
        }
        wire->sent += (size_t)n;
        moved = true;
    }
    if (wire->sent == wire->send.size)
        wire->sent = wire->send.size = 0;
    for (unsigned i = 0; i < 4 && !deaf && wire->fd >= 0; i++) {
        char *room = umbel_out_reserve(&wire->in, READ_MAX);
        ssize_t n = room ? recv(wire->fd, room, READ_MAX, 0) : -1;
        if (n == -1 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            take(wire, true);
            moved = moved || !wire->ended;
            wire->ended = true;
            break;
        }
        wire->in.size += (size_t)n;
        wire->received += (uint64_t)n;
        moved = true;
        take(wire, false);
    }
    return moved;
}
