/* ws-bmob/bmob_frames.c - Bmob's frames, byte exact: compact JSON, members in this order, role always "", content and finish_reason
 * always strings, empty content only in the final frame.  Each of these rules keeps one of the published SDKs from breaking. */
#include "bmob.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <umbel/ws.h>

void bmob_random_hex(size_t size, char *ret_text)
{
    static const char digit[] = "0123456789abcdef";
    unsigned char bytes[32];
    size_t got = 0;

    while (got < size) { /* up to 256 bytes come whole, but a signal may interrupt before the first */
        ssize_t r = getrandom(bytes + got, size - got, 0);
        if (r > 0)
            got += (size_t)r;
        else if (errno != EINTR)
            break;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned byte = i < got ? bytes[i] : 0;
        ret_text[2 * i] = digit[byte >> 4];
        ret_text[2 * i + 1] = digit[byte & 15];
    }
    ret_text[2 * size] = 0;
}

static void put_frame(const struct umbel_stream *stream, const char *lead, const char *text, size_t size, const char *finish,
                      struct umbel_out *out)
{
    size_t begin = umbel_ws_frame_begin(out);

    umbel_out_text(out, "{\"id\":");
    umbel_out_json(out, stream->id, strlen(stream->id));
    umbel_out_text(out, ",\"object\":\"chat.completion.chunk\",\"created\":");
    umbel_out_u64(out, stream->created);
    umbel_out_text(out, ",\"model\":");
    umbel_out_json(out, stream->model, strlen(stream->model));
    umbel_out_text(out, ",\"choices\":[{\"delta\":{\"role\":\"\",\"content\":\"");
    umbel_out_json_bare(out, lead, strlen(lead));
    umbel_out_json_bare(out, text, size);
    umbel_out_text(out, "\"},\"index\":0,\"finish_reason\":\"");
    umbel_out_text(out, finish);
    umbel_out_text(out, "\"}]}");
    umbel_ws_frame_end(out, begin);
}

static void put_error(enum bmob_style style, const struct umbel_stream *stream, uint64_t position, const char *text, struct umbel_out *out)
{
    if (style == BMOB_STYLE_FRAME)
        put_frame(stream, "", text, strlen(text), "stop", out);
    else
        put_frame(stream, position ? "\n" : "", text, strlen(text), "", out);
}

/* Android takes a message with the word "Incorrect" for a lost login: a bad key says it in any case, and nothing else does.  what: the core's
 * or the operator's own words about this client, "" if there are none. */
static const char *words(uint32_t error, const char *what, char *room, size_t size)
{
    bool incorrect = strstr(what, "Incorrect") != NULL;

    switch (error) {
    case UMBEL_ERROR_AUTH:
        if (!*what)
            return "Incorrect API key provided.";
        snprintf(room, size, "%s%s", incorrect ? "" : "Incorrect API key provided: ", what);
        return room;
    case UMBEL_ERROR_QUOTA:
        return *what && !incorrect ? what : "You exceeded your current quota.";
    case UMBEL_ERROR_RATE:
        return *what && !incorrect ? what : "Too many requests, try again later.";
    case UMBEL_ERROR_BUSY:
        return "Too many requests, try again later.";
    case UMBEL_ERROR_NOT_FOUND:
        return "Invalid request: no such answer.";
    case UMBEL_ERROR_POSITION:
        return "Invalid request: no such position in this answer.";
    default:
        return "The model service failed, try again later.";
    }
}

/* "Invalid request: WHAT." with one full stop, WHAT cut to something a chat window can show. */
static void bad_request(const char *what, size_t size, char *ret_text, size_t room)
{
    struct umbel_out out = {.limit = 512};

    while (size && (what[size - 1] == '.' || what[size - 1] == '\n'))
        size--;
    if (size > 200)
        for (size = 200; size && (what[size] & 0xc0) == 0x80;)
            size--; /* not inside a character */
    umbel_out_printf(&out, "Invalid request: %.*s.", (int)size, what);
    size_t length = out.size < room - 1 ? out.size : room - 1;
    if (length)
        memcpy(ret_text, out.data, length);
    ret_text[length] = 0;
    umbel_out_free(&out);
}

void bmob_encode(enum bmob_style style, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out)
{
    char text[256];
    uint32_t failed = event->code == UMBEL_VERDICT_FAILED || event->code == UMBEL_VERDICT_TRUNCATED;

    if (event->kind == UMBEL_EVENT_TEXT && event->size) {
        put_frame(stream, "", event->data, event->size, "", out);
    } else if (event->kind == UMBEL_EVENT_ERROR && event->code == UMBEL_ERROR_BAD_REQUEST) {
        bad_request(event->data, event->size, text, sizeof text);
        put_error(style, stream, event->position, text, out);
    } else if (event->kind == UMBEL_EVENT_ERROR) {
        /* Inside an answer a refused key can only be the operator's, at the model service. */
        uint32_t error = event->code == UMBEL_ERROR_AUTH ? UMBEL_ERROR_UPSTREAM : event->code;
        put_error(style, stream, event->position, words(error, "", text, sizeof text), out);
    } else if (event->kind == UMBEL_EVENT_CLOSED && !(failed && style == BMOB_STYLE_FRAME)) {
        put_frame(stream, "", "", 0, "stop", out); /* an answer that failed has said so by an ERROR before */
    }
}

void bmob_refuse(enum bmob_style style, uint32_t error, const char *what, struct umbel_out *out)
{
    char id[sizeof "chatcmpl-" + 32] = "chatcmpl-", text[320];
    struct umbel_stream stream = {
        .struct_size = sizeof stream, .id = id, .app = "", .session = "", .model = "umbel", .created = (uint64_t)time(NULL)};

    bmob_random_hex(16, id + strlen(id));
    if (error == UMBEL_ERROR_BAD_REQUEST)
        bad_request(what, strlen(what), text, sizeof text);
    put_error(style, &stream, 0, error == UMBEL_ERROR_BAD_REQUEST ? text : words(error, what, text, sizeof text), out);
    if (style == BMOB_STYLE_TEXT)
        put_frame(&stream, "", "", 0, "stop", out);
}

void bmob_pong(struct umbel_out *out)
{
    size_t begin = umbel_ws_frame_begin(out);

    umbel_out_text(out, "{\"success\":\"ok\"}");
    umbel_ws_frame_end(out, begin);
}
