/* example-line - a protocol of lines on plain TCP: the plugin that docs/writing-a-plugin.md builds.
 *
 *     client   key KEY | ask QUESTION | resume ID BYTES | stop
 *     server   ok | answer ID | text "JSON STRING" | done | error WORD "JSON STRING" */
#include <stdio.h>
#include <string.h>

#include <umbel/tcp.h>

static void put_error(uint32_t error, const char *text, size_t size, struct umbel_out *out)
{
    umbel_out_printf(out, "error %s ", umbel_error_word(error));
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

static void ask(struct umbel_tcp_client *client, const char *text, size_t size)
{
    struct umbel_out messages = {0};

    umbel_out_question(&messages, text, size);
    umbel_tcp_ask(client, 0, &(struct umbel_request){.struct_size = sizeof(struct umbel_request), .messages = messages.data, .messages_size = messages.size});
    umbel_out_free(&messages);
}

static int on_line(void *self, struct umbel_tcp_client *client, const char *text, size_t size)
{
    char id[64];
    unsigned long long position;

    if (size >= 4 && !memcmp(text, "key ", 4)) {
        umbel_tcp_authorize(client, &(struct umbel_credential){.kind = UMBEL_CREDENTIAL_KEY, .value = text + 4, .size = size - 4}, 1);
    } else if (size == 4 && !memcmp(text, "stop", 4)) {
        umbel_tcp_stop(client);
    } else if (umbel_tcp_is_answering(client)) {
        return UMBEL_TCP_LATER; /* one answer after the other: they share this connection */
    } else if (size >= 4 && !memcmp(text, "ask ", 4)) {
        ask(client, text + 4, size - 4);
    } else {
        char line[128]; /* sscanf needs a zero */
        snprintf(line, sizeof line, "%.*s", (int)(size < sizeof line ? size : 0), text);
        if (sscanf(line, "resume %63s %llu", id, &position) == 2)
            umbel_tcp_resume(client, 0, id, position);
        else
            on_refused(self, client, UMBEL_ERROR_BAD_REQUEST, "key, ask, resume or stop");
    }
    return UMBEL_TCP_TAKEN;
}

static int on_encode(void *self, uint32_t variant, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out)
{
    (void)self, (void)variant;
    switch (event->kind) {
    case UMBEL_EVENT_OPEN:
        umbel_out_printf(out, "answer %s\n", stream->id);
        break;
    case UMBEL_EVENT_TEXT: /* one delta, or many merged into one for a client that was slow */
        umbel_out_text(out, "text ");
        umbel_out_json(out, event->data, event->size);
        umbel_out_text(out, "\n");
        break;
    case UMBEL_EVENT_ERROR: /* stands before every FAILED and TRUNCATED: it is their last line */
        put_error(event->code, event->data, event->size, out);
        break;
    case UMBEL_EVENT_CLOSED:
        if (event->code == UMBEL_VERDICT_COMPLETE || event->code == UMBEL_VERDICT_CANCELLED)
            umbel_out_text(out, "done\n");
        break;
    default: /* thinking, tools, usage: not in this protocol */
        break;
    }
    return 0;
}

static void on_too_long(void *self, struct umbel_tcp_client *client)
{
    on_refused(self, client, UMBEL_ERROR_BAD_REQUEST, "a line is too long");
}

static const struct umbel_tcp_codec codec = {.struct_size = sizeof codec,
                                             .max_line = 64u << 10,
                                             .idle_s = 600,
                                             .line = on_line,
                                             .authorized = on_authorized,
                                             .encode = on_encode,
                                             .refused = on_refused,
                                             .too_long = on_too_long};

UMBEL_TCP_TRANSPORT(codec, .name = "example-line", .version = "1.0", .summary = "lines on plain TCP: the plugin of the tutorial");
