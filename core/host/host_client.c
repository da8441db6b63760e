/* host/host_client.c - clients, and what they ask of the core. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/host/hosting.h"

struct umbel_client *host_client_open(const struct umbel_host *host, const struct umbel_codec *codec, void *self, void *data,
                                      const char *peer)
{
    struct hosting *hosting = host->context;
    struct umbel_client *client = NULL;

    if (hosting->client_count < hosting->max_connections)
        client = calloc(1, sizeof *client);
    if (!client) {
        stats_add(hosting->stats, HOST_CLIENTS_REFUSED, 1);
        return NULL;
    }
    *client = (struct umbel_client){.hosting = hosting, .codec = codec, .self = self, .data = data};
    list_init(&client->readers);
    list_init(&client->watches);
    list_init(&client->requests);
    list_init(&client->unasked);
    list_append(&hosting->clients, &client->link);
    snprintf(client->peer, sizeof client->peer, "%s", peer);
    client->row = stats_row_take(hosting->stats, HOST_TABLE_CLIENTS);
    if (client->row != UINT32_MAX) {
        stats_row_text(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_PEER, peer);
        stats_row_text(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_STATE, "new");
        stats_row_u64(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_CONNECTED, clock_now_ns());
    }
    stats_set(hosting->stats, HOST_CLIENTS, ++hosting->client_count);
    stats_add(hosting->stats, HOST_CLIENTS_TOTAL, 1);
    return client;
}

void host_leave_grant(struct hosting *hosting, uint64_t grant)
{
    if (!(grant & CONTROL_GRANT_HELD))
        return;
    control_put(host_channel_begin(hosting, CONTROL_LEAVE, 0), grant);
    host_channel_send_always(hosting); /* else the core would keep the place as long as this process lives */
}

void host_client_close(struct umbel_client *client)
{
    struct hosting *hosting;

    if (!client || client->dead)
        return;
    hosting = client->hosting;
    client->dead = true;
    list_for_each(link, spare, &client->readers)
        host_reader_kill(list_entry(link, struct umbel_reader, in_client));
    host_watch_leave(client);
    list_for_each(request_link, request_spare, &client->requests) {
        list_entry(request_link, struct host_request, in_client)->client = NULL;
        list_remove(request_link);
    }
    if (client->row != UINT32_MAX)
        stats_row_release(hosting->stats, HOST_TABLE_CLIENTS, client->row);
    host_leave_grant(hosting, client->grant);
    list_remove(&client->unasked);
    list_remove(&client->link);
    list_append(&hosting->dead_clients, &client->link);
    stats_set(hosting->stats, HOST_CLIENTS, --hosting->client_count);
}

/* Sends what host_channel_begin started; on failure the request is forgotten again. */
static int send_request(struct hosting *hosting, struct host_request *request)
{
    int r = host_channel_send(hosting);

    if (r < 0)
        host_request_free(hosting, request);
    return r;
}

/* The loop will say so: the plugin is never called back during its call. */
static void tell_later(struct umbel_client *client, uint32_t error)
{
    client->unasked_error = error;
    list_append(&client->hosting->unasked, &client->unasked);
}

void host_authorize(struct umbel_client *client, const struct umbel_credential *credentials, uint32_t count)
{
    struct hosting *hosting = client->hosting;
    bool fits = count <= CONTROL_CREDENTIALS_MAX;

    for (uint32_t i = 0; fits && i < count; i++)
        fits = credentials[i].size <= CONTROL_CREDENTIAL_MAX;
    if (!fits) { /* no key is that long: the core need not be asked */
        tell_later(client, UMBEL_ERROR_AUTH);
        return;
    }
    struct host_request *request = host_request_new(hosting, HOST_REQUEST_AUTH, client, 0);
    if (!request) {
        tell_later(client, UMBEL_ERROR_INTERNAL);
        return;
    }
    struct control_out *out = host_channel_begin(hosting, CONTROL_AUTH, request->number);
    control_put(out, count);
    for (uint32_t i = 0; i < count; i++) {
        control_put(out, credentials[i].kind);
        control_put_text(out, credentials[i].value, credentials[i].size);
    }
    control_put_text(out, client->peer, strlen(client->peer));
    if (host_channel_send_secret(hosting) < 0) {
        host_request_free(hosting, request);
        tell_later(client, UMBEL_ERROR_INTERNAL);
    }
}

void host_tell_unasked(struct hosting *hosting)
{
    while (!list_is_empty(&hosting->unasked)) {
        struct umbel_client *client = list_entry(hosting->unasked.next, struct umbel_client, unasked);
        list_remove(&client->unasked);
        client->codec->authorized(client->data, client->unasked_error, "");
    }
}

static void put_string(struct control_out *out, const char *text)
{
    control_put_text(out, text ? text : "", text ? strlen(text) : 0);
}

static int check_asker(const struct umbel_client *client, const char *text)
{
    if (client->dead || client->hosting->core_gone)
        return -EPIPE;
    if (!client->grant)
        return -EPERM;
    return text && strlen(text) > CONTROL_TEXT_MAX ? -EMSGSIZE : 0;
}

int host_ask(struct umbel_client *client, uint64_t tag, const struct umbel_request *request)
{
    struct hosting *hosting = client->hosting;
    int r = check_asker(client, request->session);

    if (r == 0)
        r = check_asker(client, request->model);
    if (r < 0)
        return r;
    struct host_request *pending = host_request_new(hosting, HOST_REQUEST_ASK, client, tag);
    if (!pending)
        return -ENOMEM;
    struct control_out *out = host_channel_begin(hosting, CONTROL_ASK, pending->number);
    control_put(out, client->grant);
    control_put(out, request->flags);
    put_string(out, request->session);
    put_string(out, request->model);
    control_put_text(out, request->messages, request->messages_size);
    control_put_text(out, request->parameters ? request->parameters : "", request->parameters ? request->parameters_size : 0);
    r = send_request(hosting, pending);
    if (r < 0)
        return r;
    client->questions++;
    client->row_dirty = true;
    stats_add(hosting->stats, HOST_QUESTIONS, 1);
    return 0;
}

int host_resume(struct umbel_client *client, uint64_t tag, const char *stream_id, uint64_t position)
{
    struct hosting *hosting = client->hosting;
    int r = check_asker(client, stream_id);

    if (r < 0)
        return r;
    struct host_request *request = host_request_new(hosting, HOST_REQUEST_RESUME, client, tag);
    if (!request)
        return -ENOMEM;
    request->position = position;
    host_request_resumes(hosting, request, stream_id ? stream_id : "");
    struct control_out *out = host_channel_begin(hosting, CONTROL_RESUME, request->number);
    control_put(out, client->grant);
    put_string(out, stream_id);
    return send_request(hosting, request);
}

void host_abandon(struct umbel_client *client, uint64_t tag)
{
    list_for_each(link, spare, &client->requests) {
        struct host_request *request = list_entry(link, struct host_request, in_client);
        if (request->tag != tag)
            continue;
        if (request->kind == HOST_REQUEST_ASK)
            request->kind = HOST_REQUEST_GIVEN_UP;
        if (request->kind == HOST_REQUEST_RESUME) {
            request->client = NULL;
            list_remove(link);
        }
    }
}

int host_stop_stream(struct umbel_client *client, uint64_t tag, const char *stream_id)
{
    struct hosting *hosting = client->hosting;
    int r = check_asker(client, stream_id);

    if (r < 0)
        return r;
    struct host_request *request = host_request_new(hosting, HOST_REQUEST_STOP, client, tag);
    if (!request)
        return -ENOMEM;
    struct control_out *out = host_channel_begin(hosting, CONTROL_STOP, request->number);
    control_put(out, client->grant);
    put_string(out, stream_id);
    return send_request(hosting, request);
}

static const char *state_of(const struct umbel_client *client)
{
    const char *state = list_is_empty(&client->requests) ? "idle" : "waiting";

    if (!client->grant)
        return "new";
    list_for_each(link, spare, &client->readers) {
        if (!list_entry(link, struct umbel_reader, in_client)->ready)
            return "slow";
        state = "streaming";
    }
    return state;
}

void host_client_rows(struct hosting *hosting)
{
    list_for_each(link, spare, &hosting->clients) {
        struct umbel_client *client = list_entry(link, struct umbel_client, link);
        uint64_t readers = 0;
        if (!client->row_dirty || client->row == UINT32_MAX)
            continue;
        client->row_dirty = false;
        list_for_each(reader_link, reader_spare, &client->readers) {
            struct umbel_reader *reader = list_entry(reader_link, struct umbel_reader, in_client);
            client->position = reader->level ? reader->feed->flushed.text : reader->cursor.text;
            readers++;
        }
        client->row_dirty = readers > 0; /* its place goes on moving */
        stats_row_text(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_APP, client->app);
        stats_row_text(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_STATE, state_of(client));
        stats_row_text(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_STREAM, client->stream);
        stats_row_u64(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_READERS, readers);
        stats_row_u64(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_POSITION, client->position);
        stats_row_u64(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_DELIVERED, client->delivered);
        stats_row_u64(hosting->stats, HOST_TABLE_CLIENTS, client->row, CLIENT_COL_QUESTIONS, client->questions);
    }
}
