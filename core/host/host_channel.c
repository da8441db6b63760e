/* host/host_channel.c - the host's end of the control channel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include <umbel/json.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"

#define CORE_GONE_DRAIN_MS 2000u /* how long clients may take to hear their end when the core has died */

struct control_out *host_channel_begin(struct hosting *hosting, enum control_type type, uint64_t tag)
{
    control_begin(&hosting->out, type, tag);
    return &hosting->out;
}

int host_channel_send_always(struct hosting *hosting)
{
    if (hosting->core_gone || !hosting->channel)
        return -EPIPE;
    if (!control_end(&hosting->out))
        return -EMSGSIZE;
    return bufferevent_write(hosting->channel, hosting->out.data, hosting->out.size) == 0 ? 0 : -ENOMEM;
}

static void wipe_sent(const void *data, size_t size, void *extra)
{
    explicit_bzero(extra, size);
    free(extra);
    (void)data;
}

int host_channel_send_secret(struct hosting *hosting)
{
    struct control_out *out = &hosting->out;
    struct evbuffer *output = hosting->channel ? bufferevent_get_output(hosting->channel) : NULL;
    int r = hosting->core_gone || !output ? -EPIPE : !control_end(out) ? -EMSGSIZE : evbuffer_get_length(output) > HOSTING_CHANNEL_MAX ? -EAGAIN : 0;

    if (r == 0 && evbuffer_add_reference(output, out->data, out->size, wipe_sent, out->data) != 0)
        r = -ENOMEM;
    if (r < 0)
        control_out_free(out);
    *out = (struct control_out){0};
    return r;
}

int host_channel_send(struct hosting *hosting)
{
    if (hosting->channel && evbuffer_get_length(bufferevent_get_output(hosting->channel)) > HOSTING_CHANNEL_MAX)
        return -EAGAIN;
    return host_channel_send_always(hosting);
}

struct host_request *host_request_new(struct hosting *hosting, enum host_request_kind kind, struct umbel_client *client, uint64_t tag)
{
    struct host_request *request = calloc(1, sizeof *request);

    if (!request)
        return NULL;
    if (++hosting->next_request == 0)
        hosting->next_request = 1; /* 0 is nobody's */
    *request = (struct host_request){.number = hosting->next_request, .kind = kind, .client = client, .tag = tag};
    list_init(&request->in_resumes);
    list_append(&client->requests, &request->in_client);
    struct host_request **bucket = &hosting->requests[request->number % HOSTING_REQUEST_BUCKETS];
    request->next = *bucket;
    *bucket = request;
    return request;
}

void host_request_free(struct hosting *hosting, struct host_request *request)
{
    struct host_request **link = &hosting->requests[request->number % HOSTING_REQUEST_BUCKETS];

    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    if (request->kind == HOST_REQUEST_RESUME)
        list_remove(&request->in_resumes);
    if (request->client)
        list_remove(&request->in_client);
    free(request);
}

struct host_request *host_request_find(struct hosting *hosting, uint64_t number)
{
    struct host_request *request = hosting->requests[number % HOSTING_REQUEST_BUCKETS];

    while (request && request->number != number)
        request = request->next;
    return request;
}

static uint32_t resume_bucket(const char *stream_id)
{
    uint32_t hash = 2166136261u;

    for (; *stream_id; stream_id++)
        hash = (hash ^ (unsigned char)*stream_id) * 16777619u;
    return hash % HOSTING_RESUME_BUCKETS;
}

void host_request_init(struct hosting *hosting)
{
    for (uint32_t i = 0; i < HOSTING_RESUME_BUCKETS; i++)
        list_init(&hosting->resumes[i]);
}

void host_request_resumes(struct hosting *hosting, struct host_request *request, const char *stream_id)
{
    if (strlen(stream_id) >= sizeof request->stream)
        return; /* no stream has such an id */
    strcpy(request->stream, stream_id);
    list_append(&hosting->resumes[resume_bucket(stream_id)], &request->in_resumes);
}

bool host_request_is_resumed(const struct hosting *hosting, const char *stream_id)
{
    const struct list *bucket = &hosting->resumes[resume_bucket(stream_id)];

    for (const struct list *link = bucket->next; link != bucket; link = link->next)
        if (strcmp(list_entry(link, const struct host_request, in_resumes)->stream, stream_id) == 0)
            return true;
    return false;
}

static void add_option(struct hosting *hosting, const char *name, uint32_t type, const char *text, int64_t integer)
{
    struct config_section *section = &hosting->section;
    struct config_value *values = realloc(section->values, (section->value_count + 1) * sizeof *values);

    if (!values)
        return;
    section->values = values;
    values[section->value_count++] =
        (struct config_value){.name = strdup(name), .type = type, .text = strdup(text), .integer = integer};
}

static int on_welcome(struct hosting *hosting, struct control_in *in)
{
    char tls_cert[4096], tls_key[4096], why[160];

    control_get_string(in, hosting->transport_name, sizeof hosting->transport_name);
    struct span options = control_get_text(in, CONTROL_BODY_MAX);
    control_get_string(in, tls_cert, sizeof tls_cert);
    control_get_string(in, tls_key, sizeof tls_key);
    hosting->max_connections = (uint32_t)control_get(in);
    hosting->connect_rate = (uint32_t)control_get(in);
    uint64_t slow_client_s = control_get(in), drain_ms = control_get(in);
    control_get_string(in, hosting->stats_folder, sizeof hosting->stats_folder);
    if (!control_done(in) || hosting->welcomed)
        return -EPROTO;
    if (hosting->stats_fd >= 0) /* the way there may be closed to us: we have come in already */
        snprintf(hosting->stats_folder, sizeof hosting->stats_folder, "/proc/self/fd/%d", hosting->stats_fd);
    struct umbel_json *json = umbel_json_parse(options.data, options.size, why, sizeof why);
    int r = json ? config_section_parse(json, &hosting->section) : -EPROTO;
    umbel_json_free(json);
    if (r == 0 && host_defaults_add(&hosting->transport, &hosting->section) < 0) {
        hosting->exit_status = 1;
        hosting->done = true;
        return 0;
    }
    if (r < 0)
        return r;
    add_option(hosting, "tls_cert", UMBEL_OPTION_TEXT, tls_cert, 0);
    add_option(hosting, "tls_key", UMBEL_OPTION_TEXT, tls_key, 0);
    host_files_rename(&hosting->files, &hosting->section);
    add_option(hosting, "max_connections", UMBEL_OPTION_INTEGER, "", hosting->max_connections);
    add_option(hosting, "slow_client_s", UMBEL_OPTION_INTEGER, "", (int64_t)slow_client_s);
    add_option(hosting, "drain_ms", UMBEL_OPTION_INTEGER, "", (int64_t)drain_ms);
    hosting->api.transport = hosting->transport_name;
    hosting->welcomed = true;
    r = hosting->transport.open(&hosting->api, (const struct umbel_config *)(const void *)&hosting->section, &hosting->self);
    if (r < 0) {
        log_error("the plugin did not open: %s", strerror(-r));
        host_files_tell(&hosting->files);
        hosting->exit_status = 1;
        hosting->done = true;
        return 0;
    }
    host_channel_begin(hosting, CONTROL_READY, 0);
    return host_channel_send(hosting);
}

static int on_kept(struct hosting *hosting, struct control_in *in)
{
    char key[CONTROL_TEXT_MAX + 1];

    control_get_string(in, key, sizeof key);
    struct span value = control_get_text(in, CONTROL_VALUE_MAX);
    return control_done(in) ? kept_set(hosting->kept, key, value.data, value.size) : -EPROTO;
}

static int on_file(struct hosting *hosting, struct control_in *in)
{
    char path[HOST_FILES_PATH];

    control_get_string(in, path, sizeof path);
    struct span content = control_get_text(in, CONTROL_BODY_MAX);
    if (!control_done(in))
        return -EPROTO;
    int r = host_files_take(&hosting->files, path, content);
    if (r < 0)
        log_error("cannot keep the content of %s: %s", path, strerror(-r));
    return 0;
}

static void on_authed(struct hosting *hosting, struct host_request *request, struct control_in *in)
{
    struct umbel_client *client = request->client;
    char app[JOURNAL_NAME_MAX], text[CONTROL_TEXT_MAX + 1];

    uint32_t error = (uint32_t)control_get(in);
    uint64_t grant = control_get(in);
    control_get_string(in, app, sizeof app);
    control_get_string(in, text, sizeof text);
    if (!client) {
        host_leave_grant(hosting, grant);
        return;
    }
    if (!error && grant) {
        client->grant = grant;
        memcpy(client->app, app, sizeof client->app);
        client->row_dirty = true;
    }
    client->codec->authorized(client->data, error, text);
}

/* The core counts one reader here for who asked or comes back: make sure that it hears what is true. */
static void disown(struct hosting *hosting, struct journal_ref ref)
{
    struct host_feed *feed = host_feed_get(hosting, ref);

    if (feed) {
        feed->told = UINT32_MAX; /* no count is that: the next report goes out */
        feed->told_ns = 0;
        host_feed_report_later(feed);
    }
}

static void on_began(struct hosting *hosting, struct host_request *request, struct control_in *in)
{
    struct umbel_client *client = request->client;
    char text[WHY_MAX];

    uint32_t error = (uint32_t)control_get(in);
    struct journal_ref ref = {.slot = (uint32_t)control_get(in)};
    ref.generation = (uint32_t)control_get(in);
    control_get_string(in, text, sizeof text);
    if (!error)
        disown(hosting, ref); /* the core counts one reader for who asked or comes back: what is true is reported in any case */
    if (!client)
        return;
    list_remove(&request->in_client); /* done with, whatever the plugin does in its callback */
    request->client = NULL;
    if (request->kind == HOST_REQUEST_GIVEN_UP) {
        if (!error)
            host_watch_own(client, ref);
    } else if (error)
        client->codec->refused(client->data, request->tag, error, text);
    else
        host_reader_begin(hosting, client, request->tag, ref, request->position);
}

static void on_watched(struct host_request *request, struct control_in *in)
{
    struct host_watch *watch = NULL;
    char text[CONTROL_TEXT_MAX + 1];

    uint32_t error = (uint32_t)control_get(in);
    control_get_string(in, text, sizeof text);
    uint64_t count = control_get(in);
    if (request->client)
        watch = host_watch_answered(request->client, request->number, error, text);
    for (uint64_t i = 0; i < count && !in->failed; i++) {
        struct journal_ref ref = {.slot = (uint32_t)control_get(in)};
        ref.generation = (uint32_t)control_get(in);
        if (watch)
            host_watch_runs(watch, ref);
    }
    if (watch)
        host_watch_listed(watch);
    if (request->client && request->kind == HOST_REQUEST_WATCH) /* still there, and the core keeps to the rules */
        host_watch_settled(request->client);
}

static int on_answer(struct hosting *hosting, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct host_request *request = host_request_find(hosting, tag);

    if (!request)
        return -EPROTO;
    switch (type) {
    case CONTROL_AUTHED:
        on_authed(hosting, request, in);
        break;
    case CONTROL_BEGAN:
        on_began(hosting, request, in);
        break;
    case CONTROL_WATCHED:
        on_watched(request, in);
        break;
    default: /* STOPPED */
        if (control_get(in) && request->client && request->tag)
            request->client->codec->refused(request->client->data, request->tag, UMBEL_ERROR_NOT_FOUND, "no such answer");
        break;
    }
    host_request_free(hosting, request);
    return control_done(in) ? 0 : -EPROTO;
}

#define ARGUMENTS_MAX 8u

static int on_command(struct hosting *hosting, uint64_t tag, struct control_in *in)
{
    char word[64], texts[ARGUMENTS_MAX][CONTROL_TEXT_MAX + 1];
    const char *arguments[ARGUMENTS_MAX];

    control_get_string(in, word, sizeof word);
    uint64_t count = control_get(in);
    if (count > ARGUMENTS_MAX)
        return -EPROTO;
    for (uint64_t i = 0; i < count; i++) {
        control_get_string(in, texts[i], sizeof texts[i]);
        arguments[i] = texts[i];
    }
    if (!control_done(in))
        return -EPROTO;
    if (hosting->self && hosting->transport.command)
        hosting->transport.command(hosting->self, tag, word, arguments, (uint32_t)count);
    else
        hosting->api.reply(&hosting->api, tag, "this transport knows no commands", "");
    return 0;
}

/* What the operator may change while clients are served: the form of log lines, and what is in the transport's files. */
static int on_reload(struct hosting *hosting, struct control_in *in)
{
    char level[16];

    control_get_string(in, level, sizeof level);
    bool json = control_get(in) == 1;
    if (!control_done(in) || !log_level_parse(level))
        return -EPROTO;
    log_change(log_level_parse(level), json);
    if (hosting->self && hosting->transport.reload && hosting->transport.reload(hosting->self) < 0)
        host_files_tell(&hosting->files);
    return 0;
}

static int frame(void *owner, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct hosting *hosting = owner;

    switch (type) {
    case CONTROL_WELCOME:
        return on_welcome(hosting, in);
    case CONTROL_KEPT:
        return on_kept(hosting, in);
    case CONTROL_AUTHED:
    case CONTROL_BEGAN:
    case CONTROL_WATCHED:
    case CONTROL_STOPPED:
        return on_answer(hosting, type, tag, in);
    case CONTROL_DRAIN:
        return host_leave_drain(hosting, control_get(in));
    case CONTROL_RETIRE:
        return host_leave_retire(hosting, in);
    case CONTROL_COMMAND:
        return on_command(hosting, tag, in);
    case CONTROL_RELOAD:
        return on_reload(hosting, in);
    case CONTROL_FILE:
        return on_file(hosting, in);
    default:
        return -EPROTO;
    }
}

/* The core is gone: what runs here is ended honestly in each protocol, then this process ends too. */
static void core_gone(struct hosting *hosting, const char *how)
{
    if (hosting->core_gone)
        return;
    log_error("the core is gone (%s): clients are told and this host ends", how);
    hosting->core_gone = true;
    hosting->exit_status = 1;
    alarm(10); /* whatever happens from here on, this process ends */
    if (!hosting->self) {
        hosting->done = true;
        return;
    }
    host_feeds_fail(hosting);
    if (!hosting->draining)
        hosting->transport.drain(hosting->self, CORE_GONE_DRAIN_MS);
    for (uint32_t i = 0; i < hosting->listener_count; i++)
        close(CONTROL_FD_LISTEN + (int)i); /* nothing is accepted any more: a new core may bind the address at once */
    hosting->listener_count = 0;
    hosting->draining = true;
    hosting->drain_until_ns = clock_now_ns() + CORE_GONE_DRAIN_MS * CLOCK_MS;
}

static void channel_readable(struct bufferevent *channel, void *owner)
{
    struct hosting *hosting = owner;
    struct evbuffer *input = bufferevent_get_input(channel);
    size_t size;

    host_feeds_take(hosting, hosting->ring.mask + 1); /* what was published before these frames were sent is handled before them */
    while ((size = evbuffer_get_contiguous_space(input)) > 0) {
        int r = control_feed(&hosting->parser, (const char *)evbuffer_pullup(input, (ev_ssize_t)size), size, frame, hosting);
        evbuffer_drain(input, size);
        if (r < 0) {
            log_error("a frame of the core makes no sense: %s", strerror(-r));
            core_gone(hosting, "protocol");
            return;
        }
    }
}

static void channel_event(struct bufferevent *channel, short what, void *owner)
{
    (void)channel;
    core_gone(owner, what & BEV_EVENT_EOF ? "it closed the channel" : "the channel failed");
}

int host_channel_open(struct hosting *hosting, struct why *why)
{
    const struct umbel_transport *transport = &hosting->transport;

    hosting->channel = bufferevent_socket_new(hosting->base, CONTROL_FD_CHANNEL, BEV_OPT_CLOSE_ON_FREE);
    if (!hosting->channel)
        return why_set(why, -ENOMEM, "no memory for the control channel");
    bufferevent_setcb(hosting->channel, channel_readable, NULL, channel_event, hosting);
    bufferevent_enable(hosting->channel, EV_READ | EV_WRITE);
    host_channel_begin(hosting, CONTROL_CONFINED, 0);
    control_put_text(&hosting->out, hosting->confined, strlen(hosting->confined));
    host_channel_send(hosting);
    struct control_out *out = host_channel_begin(hosting, CONTROL_HELLO, 0);
    control_put(out, CONTROL_VERSION);
    control_put_text(out, transport->name, strlen(transport->name));
    control_put_text(out, transport->version, strlen(transport->version));
    return host_channel_send(hosting);
}

void host_channel_close(struct hosting *hosting)
{
    if (hosting->channel)
        bufferevent_free(hosting->channel);
    hosting->channel = NULL;
    control_parser_free(&hosting->parser);
    control_out_free(&hosting->out);
    for (uint32_t i = 0; i < HOSTING_REQUEST_BUCKETS; i++)
        while (hosting->requests[i])
            host_request_free(hosting, hosting->requests[i]);
}
