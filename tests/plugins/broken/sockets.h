/* broken/sockets.h - the protocol of line.h without a carrier: its own sockets, so that how a slow client is treated is its own business too.
 * FAULT_WRITE says how bytes of an answer go to a client's socket; without one it passes every check. */
#ifndef BROKEN_SOCKETS_H
#define BROKEN_SOCKETS_H

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <umbel/transport.h>

#define LINE_LIMIT (64u << 10)
#define OUT_LIMIT (32u << 10) /* bytes that may wait here for a client that does not read */

struct link {
    struct link *next;
    struct plugin *plugin;
    struct bufferevent *socket;
    struct umbel_client *client;
    struct umbel_reader *reader;
    int asked, full;
};

struct plugin {
    const struct umbel_host *host;
    struct event *listener;
    struct link *links;
    int draining;
};

#ifndef FAULT_WRITE
static int write_bounded(struct link *link, const void *bytes, size_t size)
{
    bufferevent_write(link->socket, bytes, size);
    link->full = evbuffer_get_length(bufferevent_get_output(link->socket)) > OUT_LIMIT;
    return link->full ? UMBEL_WRITE_FULL : UMBEL_WRITE_READY;
}
#define FAULT_WRITE(link, bytes, size) write_bounded(link, bytes, size)
#endif

static void leave(struct link *link)
{
    struct plugin *plugin = link->plugin;
    struct link **place = &plugin->links;

    while (*place != link)
        place = &(*place)->next;
    *place = link->next;
    plugin->host->client_close(link->client);
    bufferevent_free(link->socket);
    free(link);
    if (plugin->draining && !plugin->links)
        plugin->host->drained(plugin->host);
}

static void put_error(uint32_t error, const char *text, size_t size, struct umbel_out *out)
{
    umbel_out_printf(out, "error %u ", (unsigned)error);
    umbel_out_json(out, text, size);
    umbel_out_text(out, "\n");
}

static void say_error(struct link *link, uint32_t error, const char *text)
{
    struct umbel_out out = {0};

    put_error(error, text, strlen(text), &out);
    bufferevent_write(link->socket, out.data, out.size);
    umbel_out_free(&out);
}

static void on_line(struct link *link, const char *text, size_t size)
{
    const struct umbel_host *host = link->plugin->host;
    struct umbel_out messages = {0};

    if (size > 4 && !memcmp(text, "key ", 4)) {
        host->authorize(link->client, &(struct umbel_credential){.kind = UMBEL_CREDENTIAL_KEY, .value = text + 4, .size = size - 4}, 1);
    } else if (size > 4 && !memcmp(text, "ask ", 4)) {
        umbel_out_question(&messages, text + 4, size - 4);
        struct umbel_request request = {.struct_size = sizeof request, .messages = messages.data, .messages_size = messages.size};
        int r = host->ask(link->client, 1, &request);
        link->asked = r == 0;
        if (r < 0)
            say_error(link, r == -EPERM ? UMBEL_ERROR_AUTH : UMBEL_ERROR_BUSY, "not now");
        umbel_out_free(&messages);
    } else {
        say_error(link, UMBEL_ERROR_BAD_REQUEST, "key or ask");
    }
}

/* Lines wait in the socket's buffer, which is bounded, while an answer runs or what was said has not been read. */
static void on_readable(struct bufferevent *socket, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(socket), *out = bufferevent_get_output(socket);
    struct link *link = arg;
    char *line;
    size_t size;

    while (!link->asked && !link->plugin->draining && evbuffer_get_length(out) < OUT_LIMIT &&
           (line = evbuffer_readln(in, &size, EVBUFFER_EOL_LF))) {
        on_line(link, line, size);
        free(line);
    }
    if (!link->asked && evbuffer_get_length(in) >= LINE_LIMIT && evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF).pos == -1)
        leave(link); /* a line without an end */
}

static void on_written(struct bufferevent *socket, void *arg)
{
    struct link *link = arg;

    if (link->plugin->draining && !link->asked) {
        leave(link);
        return;
    }
    if (link->full && link->reader) {
        link->full = 0;
        link->plugin->host->reader_ready(link->reader);
    }
    on_readable(socket, link);
}

static void on_gone(struct bufferevent *socket, short what, void *arg)
{
    (void)socket, (void)what;
    leave(arg);
}

static void on_authorized(void *data, uint32_t error, const char *text)
{
    struct link *link = data;

    if (error)
        say_error(link, error, text);
    else
        bufferevent_write(link->socket, "ok\n", 3);
}

static int on_began(void *data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream, struct umbel_reader_options *options)
{
    struct link *link = data;

    (void)tag, (void)stream;
    link->reader = reader;
    options->reader_data = link;
    return 0;
}

static void on_refused(void *data, uint64_t tag, uint32_t error, const char *text)
{
    struct link *link = data;

    (void)tag;
    link->asked = 0;
    say_error(link, error, text); /* on_written goes on with the lines */
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)self, (void)variant, (void)data, (void)stream;
    if (event->kind == UMBEL_EVENT_TEXT) {
        umbel_out_text(out, "text ");
        umbel_out_json(out, event->data, event->size);
        umbel_out_text(out, "\n");
    } else if (event->kind == UMBEL_EVENT_ERROR) {
        put_error(event->code, event->data, event->size, out);
    } else if (event->kind == UMBEL_EVENT_CLOSED && (event->code == UMBEL_VERDICT_COMPLETE || event->code == UMBEL_VERDICT_CANCELLED)) {
        umbel_out_text(out, "done\n");
    }
    return 0;
}

static int on_write(void *data, const void *bytes, size_t size, int last)
{
    struct link *link = data;

    (void)last;
    return FAULT_WRITE(link, bytes, size);
}

static void on_ended(void *data, uint32_t verdict)
{
    struct link *link = data;

    link->reader = NULL;
    link->asked = 0;
    if (verdict == 0)
        say_error(link, UMBEL_ERROR_INTERNAL, "too slow");
    bufferevent_trigger(link->socket, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS); /* on_written, also if nothing waits */
}

static const struct umbel_codec codec = {.struct_size = sizeof codec,
                                         .authorized = on_authorized,
                                         .began = on_began,
                                         .refused = on_refused,
                                         .encode = on_encode,
                                         .write = on_write,
                                         .ended = on_ended};

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
    struct plugin *plugin = arg;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct link *link = fd == -1 ? NULL : calloc(1, sizeof *link);

    (void)what;
    if (!link)
        return;
    link->plugin = plugin;
    link->socket = bufferevent_socket_new(plugin->host->base, fd, BEV_OPT_CLOSE_ON_FREE);
    link->client = plugin->host->client_open(plugin->host, &codec, plugin, link, "a client");
    link->next = plugin->links;
    plugin->links = link;
    bufferevent_setcb(link->socket, on_readable, on_written, on_gone, link);
    bufferevent_setwatermark(link->socket, EV_READ, 0, LINE_LIMIT + 1);
    bufferevent_enable(link->socket, EV_READ | EV_WRITE);
}

static void plugin_close(void *self)
{
    struct plugin *plugin = self;

    if (!plugin)
        return;
    plugin->draining = 0;
    while (plugin->links)
        leave(plugin->links);
    if (plugin->listener)
        event_free(plugin->listener);
    free(plugin);
}

static int plugin_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    struct plugin *plugin = calloc(1, sizeof *plugin);

    (void)config;
    plugin->host = host;
    plugin->listener = event_new(host->base, host->listener(host, 0), EV_READ | EV_PERSIST, on_accept, plugin);
    event_add(plugin->listener, NULL);
    *ret_self = plugin;
    return 0;
}

static void plugin_drain(void *self, uint32_t deadline_ms)
{
    struct plugin *plugin = self;

    (void)deadline_ms;
    event_del(plugin->listener);
    plugin->draining = 1;
    if (!plugin->links)
        plugin->host->drained(plugin->host);
    for (struct link *link = plugin->links, *next; link; link = next) {
        next = link->next;
        if (!link->asked)
            leave(link);
    }
}

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
                                                .abi_major = UMBEL_ABI_MAJOR,
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = "broken-sockets",
                                                .version = "1",
                                                .summary = "for the check of checks",
                                                .open = plugin_open,
                                                .drain = plugin_drain,
                                                .close = plugin_close};

#endif
