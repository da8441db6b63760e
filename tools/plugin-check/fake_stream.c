/* plugin-check/fake_stream.c - scripted answers and their delivery: merged for who is behind, encoded once for who is equal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/plugin-check/fake_host_internal.h"

#define MAX_TEXT 65536u

struct fake_stream *fake_stream_quiet(struct fake_host *host, const char *app, const char *session)
{
    struct fake_stream *stream = fake_memory(sizeof *stream);
    char id[64];

    snprintf(id, sizeof id, "chatcmpl-%032llx", (unsigned long long)++host->next_id);
    stream->host = host;
    stream->app = fake_copy(app);
    stream->session = fake_copy(session);
    list_init(&stream->readers);
    list_append(&host->streams, &stream->link);
    fake_stream_name(stream, id, "demo-1", 1760000000);
    return stream;
}

struct fake_stream *fake_stream_new(struct fake_host *host, const char *app, const char *session)
{
    struct fake_stream *stream = fake_stream_quiet(host, app, session);

    fake_stream_watchers(stream);
    return stream;
}

void fake_stream_name(struct fake_stream *stream, const char *id, const char *model, uint64_t created)
{
    free(stream->id);
    free(stream->model);
    stream->id = fake_copy(id);
    stream->model = fake_copy(model);
    stream->info = (struct umbel_stream){.struct_size = sizeof stream->info,
                                         .id = stream->id,
                                         .app = stream->app,
                                         .session = stream->session,
                                         .model = stream->model,
                                         .created = created};
}

const struct umbel_stream *fake_stream_info(const struct fake_stream *stream)
{
    return &stream->info;
}

bool fake_stream_is_closed(const struct fake_stream *stream)
{
    return stream->closed;
}

struct fake_stream *fake_host_stream(struct fake_host *host, size_t index)
{
    list_for_each(link, spare, &host->streams)
        if (!index--)
            return list_entry(link, struct fake_stream, link);
    return NULL;
}

void fake_stream_event(struct fake_stream *stream, uint32_t kind, const char *text, uint32_t code)
{
    if (stream->closed) {
        fprintf(stderr, "fake_host: an event after CLOSED\n");
        abort();
    }
    if (stream->count == stream->capacity) {
        stream->capacity = stream->capacity ? stream->capacity * 2 : 16;
        stream->events = realloc(stream->events, stream->capacity * sizeof *stream->events);
        if (!stream->events)
            abort();
    }
    stream->events[stream->count++] = (struct fake_event){
        .kind = kind, .code = code, .data = fake_copy(text), .size = strlen(text), .position = stream->text_size};
    if (kind == UMBEL_EVENT_TEXT)
        stream->text_size += strlen(text);
    if (kind == UMBEL_EVENT_CLOSED)
        stream->closed = true;
}

void fake_stream_text(struct fake_stream *stream, const char *text)
{
    fake_stream_event(stream, UMBEL_EVENT_TEXT, text, 0);
}

/* As the core promises: an answer that failed or was cut says so by an ERROR before its end. */
void fake_stream_close(struct fake_stream *stream, uint32_t verdict)
{
    bool failed = verdict == UMBEL_VERDICT_FAILED || verdict == UMBEL_VERDICT_TRUNCATED, said = false;

    for (size_t i = 0; i < stream->count; i++)
        said = said || stream->events[i].kind == UMBEL_EVENT_ERROR;
    if (failed && !said)
        fake_stream_event(stream, UMBEL_EVENT_ERROR, "the upstream went away", UMBEL_ERROR_UPSTREAM);
    fake_stream_event(stream, UMBEL_EVENT_CLOSED, "", verdict);
}

void fake_stream_forget(struct fake_stream *stream)
{
    stream->forgotten = true;
}

void fake_stream_free(struct fake_stream *stream)
{
    for (size_t i = 0; i < stream->count; i++)
        free(stream->events[i].data);
    free(stream->events);
    free(stream->id);
    free(stream->app);
    free(stream->session);
    free(stream->model);
    free(stream);
}

bool fake_stream_place(const struct fake_stream *stream, uint64_t position, size_t *ret_next, size_t *ret_offset)
{
    if (position > stream->text_size)
        return false;
    *ret_next = *ret_offset = 0;
    for (size_t i = 0; i < stream->count; i++) {
        const struct fake_event *event = &stream->events[i];
        if (event->kind != UMBEL_EVENT_TEXT || event->position + event->size < position)
            continue;
        *ret_next = i;
        *ret_offset = (size_t)(position - event->position);
        return *ret_offset == event->size || (event->data[*ret_offset] & 0xc0) != 0x80;
    }
    return true;
}

bool fake_reader_begin(struct umbel_client *client, uint64_t tag, struct fake_stream *stream, uint64_t position)
{
    struct umbel_reader *reader = fake_memory(sizeof *reader);

    reader->client = client;
    reader->stream = stream;
    reader->ready = true;
    reader->position = position;
    if (!fake_stream_place(stream, position, &reader->next, &reader->offset))
        abort(); /* checked before */
    list_append(&stream->readers, &reader->link);
    list_append(&client->readers, &reader->of_client);
    if (client->codec->began(client->client_data, tag, reader, &stream->info, &reader->options) < 0) {
        client->host->stats.declined++;
        fake_reader_remove(reader);
        return false;
    }
    client->host->stats.readers++;
    if (!reader->gone) /* unless the plugin left it at once */
        client->host->stats.live_readers++;
    if (!reader->options.max_text)
        reader->options.max_text = MAX_TEXT;
    return true;
}

void fake_reader_remove(struct umbel_reader *reader)
{
    if (reader->gone)
        return;
    reader->gone = true;
    reader->next_dead = reader->client->host->dead_readers;
    reader->client->host->dead_readers = reader;
}

void fake_readers_sweep(struct fake_host *host)
{
    while (host->dead_readers) {
        struct umbel_reader *reader = host->dead_readers;
        host->dead_readers = reader->next_dead;
        list_remove(&reader->of_client);
        list_remove(&reader->link);
        free(reader);
    }
}

void fake_stream_watchers(struct fake_stream *stream)
{
    list_for_each(link, spare, &stream->host->clients) {
        struct umbel_client *client = list_entry(link, struct umbel_client, link);
        if (client->gone || !client->app || strcmp(client->app, stream->app))
            continue;
        list_for_each(watch_link, watch_spare, &client->watches) {
            struct fake_watch *watch = list_entry(watch_link, struct fake_watch, link);
            if (!client->gone && (!*watch->session || !strcmp(watch->session, stream->session)))
                fake_reader_begin(client, watch->tag, stream, 0);
        }
    }
}

static bool is_mergeable(uint32_t kind)
{
    return kind == UMBEL_EVENT_TEXT || kind == UMBEL_EVENT_REASONING;
}

/* The next event of a reader, merged with what follows it, in text; where the reader is after it. */
static bool next_event(const struct umbel_reader *reader, struct umbel_out *text, struct umbel_event *ret_event, size_t *ret_next,
                       size_t *ret_offset)
{
    const struct fake_stream *stream = reader->stream;
    size_t next = reader->next, offset = reader->offset;

    *ret_event = (struct umbel_event){.struct_size = sizeof *ret_event, .data = "", .position = reader->position};
    if (!reader->opened) {
        ret_event->kind = UMBEL_EVENT_OPEN;
        *ret_next = next;
        *ret_offset = offset;
        return true;
    }
    while (next < stream->count && is_mergeable(stream->events[next].kind) && offset == stream->events[next].size) {
        next++;
        offset = 0;
    }
    if (next == stream->count)
        return false;
    const struct fake_event *event = &stream->events[next];
    ret_event->kind = event->kind;
    ret_event->code = event->code;
    ret_event->data = event->data;
    ret_event->size = event->size;
    if (!is_mergeable(event->kind)) {
        *ret_next = next + 1;
        *ret_offset = 0;
        return true;
    }
    umbel_out_reset(text);
    uint32_t kind = event->kind;
    bool separate = reader->options.flags & UMBEL_READER_SEPARATE;
    for (; next < stream->count && stream->events[next].kind == kind && !(separate && text->size); next++, offset = 0) {
        size_t room = reader->options.max_text - text->size, size = stream->events[next].size - offset;
        const char *from = stream->events[next].data + offset;
        if (size > room) {
            for (size = room; size && (from[size] & 0xc0) == 0x80;)
                size--;
            umbel_out_put(text, from, size);
            offset += size;
            break;
        }
        umbel_out_put(text, from, size);
    }
    ret_event->data = text->data ? text->data : "";
    ret_event->size = text->size;
    *ret_next = next;
    *ret_offset = offset;
    return true;
}

static void end(struct umbel_reader *reader, uint32_t verdict)
{
    struct fake_host *host = reader->client->host;

    host->stats.ended++;
    host->stats.live_readers--;
    fake_reader_remove(reader); /* first: what the plugin does in ended() is not a leaving of this one */
    reader->client->codec->ended(reader->options.reader_data, verdict);
}

static void give(struct umbel_reader *reader, const struct umbel_event *event, size_t next, size_t offset, const struct umbel_out *bytes)
{
    struct fake_host *host = reader->client->host;
    bool last = event->kind == UMBEL_EVENT_CLOSED;

    reader->opened = true;
    reader->next = next;
    reader->offset = offset;
    if (event->kind == UMBEL_EVENT_TEXT)
        reader->position += event->size;
    if (bytes->size) {
        host->stats.writes++;
        int r = reader->client->codec->write(reader->options.reader_data, bytes->data, bytes->size, last);
        if (reader->gone)
            return;
        if (r < 0) {
            host->stats.live_readers--;
            host->stats.left++;
            fake_reader_remove(reader);
            return;
        }
        host->stats.full += r == UMBEL_WRITE_FULL;
        if (r == UMBEL_WRITE_FULL)
            reader->ready = false;
    }
    if (last)
        end(reader, event->code);
}

static bool is_equal(const struct umbel_reader *a, const struct umbel_reader *b)
{
    return a->client->codec == b->client->codec && a->client->self == b->client->self && a->options.variant == b->options.variant &&
           a->options.max_text == b->options.max_text && a->options.flags == b->options.flags &&
           a->next == b->next && a->offset == b->offset && a->opened == b->opened &&
           a->position == b->position;
}

/* One event for the first reader of the stream that can have one, and for all that are at the same place. */
static bool serve_one(struct fake_stream *stream)
{
    struct fake_host *host = stream->host;
    struct umbel_out text = {0};
    struct umbel_event event;
    size_t next, offset;
    bool done = false;

    list_for_each(link, spare, &stream->readers) {
        struct umbel_reader *first = list_entry(link, struct umbel_reader, link);
        if (first->gone || !first->ready || !next_event(first, &text, &event, &next, &offset))
            continue;
        struct umbel_reader like = *first;
        bool shared = like.options.variant != UMBEL_VARIANT_PRIVATE;
        umbel_out_reset(&host->out);
        host->stats.encodes++;
        int r = first->client->codec->encode(first->client->self, like.options.variant, shared ? NULL : like.options.reader_data,
                                             &stream->info, &event, &host->out);
        host->stats.encoded_bytes += host->out.size;
        struct umbel_out bytes = host->out;
        host->out = (struct umbel_out){0};
        list_for_each(other_link, other_spare, &stream->readers) {
            struct umbel_reader *other = list_entry(other_link, struct umbel_reader, link);
            if (other->gone || !other->ready || (other != first && (!shared || !is_equal(other, &like))))
                continue;
            if (r < 0 || bytes.failed)
                end(other, 0);
            else
                give(other, &event, next, offset, &bytes);
        }
        umbel_out_free(&bytes);
        done = true;
        break;
    }
    umbel_out_free(&text);
    return done;
}

static bool end_lagging(struct fake_stream *stream)
{
    bool done = false;

    list_for_each(link, spare, &stream->readers) {
        struct umbel_reader *reader = list_entry(link, struct umbel_reader, link);
        if (!reader->gone && reader->next < stream->count) {
            end(reader, 0);
            done = true;
        }
    }
    return done;
}

bool fake_streams_serve(struct fake_host *host)
{
    bool any = false;

    fake_send_begin(host);
    list_for_each(link, spare, &host->streams) {
        struct fake_stream *stream = list_entry(link, struct fake_stream, link);
        if (stream->forgotten)
            any = end_lagging(stream) || any;
        while (serve_one(stream))
            any = true;
    }
    fake_send_end(host);
    return any;
}
