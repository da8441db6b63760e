/* broken/line.h - a small line protocol with a place for each fault; the .c files beside define which.  Without one it passes every check. */
#ifndef BROKEN_LINE_H
#define BROKEN_LINE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/tcp.h>

#ifndef FAULT_CLOSED
#define FAULT_CLOSED(out) ((void)(out)) /* after the terminal */
#endif
#ifndef FAULT_PIECE
#define FAULT_PIECE 0u /* text goes out in pieces of so many bytes; 0 = as it comes */
#endif
#ifndef FAULT_SILENT
#define FAULT_SILENT 0 /* 1: errors are not told */
#endif
#ifndef FAULT_LINE
#define FAULT_LINE(text, size) ((void)(text), (void)(size)) /* with each line */
#endif
#ifndef FAULT_DRAIN
#define FAULT_DRAIN 0 /* 1: drain() does nothing */
#endif
#ifndef FAULT_NAME
#define FAULT_NAME "broken"
#endif

static struct umbel_tcp *tcp;

static void put_error(uint32_t error, const char *text, size_t size, struct umbel_out *out)
{
    if (FAULT_SILENT)
        return;
    umbel_out_printf(out, "error %u ", (unsigned)error);
    umbel_out_json(out, text, size);
    umbel_out_text(out, "\n");
}

static void on_refused(void *self, struct umbel_tcp_client *client, uint32_t error, const char *text)
{
    struct umbel_out out = {0};

    (void)self;
    put_error(error, text, strlen(text), &out);
    umbel_tcp_say(client, out.data, out.size);
    umbel_out_free(&out);
}

static void on_authorized(void *self, struct umbel_tcp_client *client, uint32_t error, const char *text)
{
    if (error)
        on_refused(self, client, error, text);
    else
        umbel_tcp_say(client, "ok\n", 3);
}

static int on_line(void *self, struct umbel_tcp_client *client, const char *text, size_t size)
{
    static const char messages[] = "[{\"role\":\"user\",\"content\":\"hello\"}]";

    FAULT_LINE(text, size);
    if (size > 4 && !memcmp(text, "key ", 4)) {
        struct umbel_credential key = {.kind = UMBEL_CREDENTIAL_KEY, .value = text + 4, .size = size - 4};
        umbel_tcp_authorize(client, &key, 1);
    } else if (umbel_tcp_is_answering(client)) {
        return UMBEL_TCP_LATER;
    } else if (size > 4 && !memcmp(text, "ask ", 4)) {
        struct umbel_request request = {.struct_size = sizeof request, .messages = messages, .messages_size = sizeof messages - 1};
        umbel_tcp_ask(client, 0, &request);
    } else {
        on_refused(self, client, UMBEL_ERROR_BAD_REQUEST, "key or ask");
    }
    return UMBEL_TCP_TAKEN;
}

static int on_encode(void *self, uint32_t variant, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out)
{
    size_t piece = FAULT_PIECE ? FAULT_PIECE : event->size;

    (void)self, (void)variant, (void)stream;
    for (size_t at = 0; event->kind == UMBEL_EVENT_TEXT && at < event->size; at += piece) {
        umbel_out_text(out, "text ");
        umbel_out_json(out, event->data + at, event->size - at < piece ? event->size - at : piece);
        umbel_out_text(out, "\n");
    }
    if (event->kind == UMBEL_EVENT_ERROR)
        put_error(event->code, event->data, event->size, out);
    if (event->kind == UMBEL_EVENT_CLOSED && (event->code == UMBEL_VERDICT_COMPLETE || event->code == UMBEL_VERDICT_CANCELLED)) {
        umbel_out_text(out, "done\n");
        FAULT_CLOSED(out);
    }
    return 0;
}

static const struct umbel_tcp_codec codec = {.struct_size = sizeof codec,
                                             .max_line = 64u << 10,
                                             .line = on_line,
                                             .authorized = on_authorized,
                                             .encode = on_encode,
                                             .refused = on_refused};

static int line_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    *ret_self = &tcp;
    return umbel_tcp_open(host, config, &codec, NULL, &tcp);
}

static void line_drain(void *self, uint32_t deadline_ms)
{
    (void)self;
    if (!FAULT_DRAIN)
        umbel_tcp_drain(tcp, deadline_ms);
}

static void line_close(void *self)
{
    (void)self;
    umbel_tcp_close(tcp);
    tcp = NULL;
}

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
                                                .abi_major = UMBEL_ABI_MAJOR,
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = FAULT_NAME,
                                                .version = "1",
                                                .summary = "for the check of checks",
                                                .open = line_open,
                                                .drain = line_drain,
                                                .close = line_close};

#endif
