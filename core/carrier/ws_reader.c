/* carrier/ws_reader.c - answers from the host to clients: the host's umbel_codec around the codec of a WebSocket protocol. */
#include "core/carrier/ws_carrier.h"

#include <stdlib.h>

void ws_reader_free(struct ws_reader *reader)
{
    list_remove(&reader->link);
    reader->client->reader_count--;
    if (reader->turn)
        reader->turn->reader = NULL;
    free(reader);
}

static struct ws_reader *find(const struct umbel_ws_client *client, const char *stream_id)
{
    list_for_each(link, spare, &client->readers) {
        struct ws_reader *reader = list_entry(link, struct ws_reader, link);
        if (reader->reader && !strcmp(client->ws->host->reader_stream(reader->reader)->id, stream_id))
            return reader;
    }
    return NULL;
}

static void on_authorized(void *client_data, uint32_t error, const char *text)
{
    struct umbel_ws_client *client = client_data;

    client->access = error ? WS_REFUSED : WS_KNOWN;
    client->ws->codec->authorized(client->ws->self, client, error, text);
    ws_client_dirty(client);
}

static int begin(struct umbel_ws_client *client, struct ws_turn *turn, uint32_t variant, struct umbel_reader *host_reader,
                 struct umbel_reader_options *ret_options)
{
    struct ws_reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        return -1;
    reader->client = client;
    reader->reader = host_reader;
    reader->variant = variant;
    reader->turn = turn;
    if (turn)
        turn->reader = reader;
    list_append(&client->readers, &reader->link);
    client->reader_count++;
    ret_options->reader_data = reader;
    ret_options->variant = variant;
    ret_options->max_text = WS_EVENT_TEXT;
    ret_options->flags = turn ? turn->reader_flags : 0;
    ws_client_dirty(client);
    return 0;
}

/* A watched answer: not twice, and not without end. */
static int begin_watched(struct umbel_ws_client *client, const struct ws_turn *watch, struct umbel_reader *host_reader,
                         const struct umbel_stream *stream, struct umbel_reader_options *ret_options)
{
    if (client->ws->draining || find(client, stream->id))
        return -1;
    if (client->reader_count >= WS_READERS_MAX) {
        ws_count(client->ws, "ws_watched_declined");
        return -1;
    }
    if (begin(client, NULL, watch->variant, host_reader, ret_options) < 0)
        return -1;
    ((struct ws_reader *)ret_options->reader_data)->watch_data = watch->data;
    return 0;
}

/* The answer to a question.  If the client's watch has begun it already, that reader takes the question over: each frame goes out once. */
static int begin_answer(struct umbel_ws_client *client, struct ws_turn *turn, struct umbel_reader *host_reader,
                        const struct umbel_stream *stream, struct umbel_reader_options *ret_options)
{
    struct ws_reader *watched = find(client, stream->id);

    if (turn->stop)
        client->ws->host->stop(client->client, 0, stream->id);
    if (watched && !watched->turn) {
        if (watched->variant == turn->variant && turn->variant != UMBEL_VARIANT_PRIVATE) {
            watched->turn = turn;
            turn->reader = watched;
            return -1;
        }
        client->ws->host->reader_leave(watched->reader);
        ws_reader_free(watched);
    }
    if (!begin(client, turn, turn->variant, host_reader, ret_options))
        return 0;
    ws_turn_refuse(client, turn, UMBEL_ERROR_INTERNAL, "out of memory");
    return -1;
}

static int on_began(void *client_data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct umbel_ws_client *client = client_data;
    struct ws_turn *turn = ws_turn_running(client, tag);

    if (turn)
        return begin_answer(client, turn, reader, stream, ret_options);
    turn = ws_turn_watch(client, tag);
    return turn ? begin_watched(client, turn, reader, stream, ret_options) : -1;
}

static void on_refused(void *client_data, uint64_t tag, uint32_t error, const char *text)
{
    struct umbel_ws_client *client = client_data;
    struct ws_turn *turn = ws_turn_running(client, tag);

    if (!turn)
        turn = ws_turn_watch(client, tag);
    if (turn)
        ws_turn_refuse(client, turn, error, text);
}

static void *data_of(const struct ws_reader *reader)
{
    return reader->turn ? reader->turn->data : reader->watch_data;
}

static int on_encode(void *self, uint32_t variant, void *reader_data, const struct umbel_stream *stream,
                     const struct umbel_event *event, struct umbel_out *out)
{
    struct umbel_ws *ws = self;
    struct ws_reader *reader = reader_data;

    return ws->codec->encode(ws->self, variant, reader ? data_of(reader) : NULL, stream, event, out);
}

static int on_write(void *reader_data, const void *bytes, size_t size, int last)
{
    struct ws_reader *reader = reader_data;
    struct umbel_ws_client *client = reader->client;

    (void)last;
    if (client->state != WS_OPEN || client->end_code || client->doomed || (size && ws_write_deliver(client, bytes, size) < 0)) {
        reader->reader = NULL; /* the host forgets it now, we when the dirty list comes to this client */
        reader->waiting = false;
        return -1;
    }
    reader->waiting = client->full;
    return client->full ? UMBEL_WRITE_FULL : UMBEL_WRITE_READY;
}

/* The answer was taken away while this client lagged.  It must not look like a clean end: say it in the protocol's words. */
static void say_lost(struct ws_reader *reader)
{
    static const char words[] = "you were too slow, the rest is gone";
    struct umbel_ws_client *client = reader->client;
    struct umbel_ws *ws = client->ws;
    const struct umbel_stream *stream = ws->host->reader_stream(reader->reader);
    struct umbel_event event = {.struct_size = sizeof event,
                                .kind = UMBEL_EVENT_ERROR,
                                .data = words,
                                .size = sizeof words - 1,
                                .position = ws->host->reader_position(reader->reader),
                                .code = UMBEL_ERROR_INTERNAL};

    umbel_out_reset(&ws->scratch);
    void *data = reader->variant == UMBEL_VARIANT_PRIVATE ? data_of(reader) : NULL;
    int r = ws->codec->encode(ws->self, reader->variant, data, stream, &event, &ws->scratch);
    event.kind = UMBEL_EVENT_CLOSED;
    event.data = "";
    event.size = 0;
    event.code = UMBEL_VERDICT_FAILED;
    if (r >= 0)
        r = ws->codec->encode(ws->self, reader->variant, data, stream, &event, &ws->scratch);
    if (r >= 0 && !ws->scratch.failed && ws->scratch.size && client->state == WS_OPEN)
        ws_write_put(client, ws->scratch.data, ws->scratch.size);
}

static void on_ended(void *reader_data, uint32_t verdict)
{
    struct ws_reader *reader = reader_data;
    struct umbel_ws_client *client = reader->client;
    struct ws_turn *turn = reader->turn;

    if (!verdict)
        say_lost(reader);
    ws_reader_free(reader);
    if (turn)
        ws_turn_free(client, turn);
    ws_client_dirty(client);
}

void ws_reader_resume(struct umbel_ws_client *client)
{
    /* The host may write, end and free readers from inside reader_ready, so each is looked up anew. */
    for (size_t left = client->reader_count; left && !client->full && client->state == WS_OPEN; left--) {
        struct ws_reader *next = NULL;
        list_for_each(link, spare, &client->readers) {
            struct ws_reader *reader = list_entry(link, struct ws_reader, link);
            if (reader->waiting) {
                next = reader;
                break;
            }
        }
        if (!next)
            return;
        next->waiting = false;
        /* To the end: the next time another one comes first, or one busy answer would starve the rest. */
        list_remove(&next->link);
        list_append(&client->readers, &next->link);
        client->ws->host->reader_ready(next->reader);
    }
}

const struct umbel_codec ws_reader_codec = {.struct_size = sizeof ws_reader_codec,
                                            .authorized = on_authorized,
                                            .began = on_began,
                                            .refused = on_refused,
                                            .encode = on_encode,
                                            .write = on_write,
                                            .ended = on_ended};
