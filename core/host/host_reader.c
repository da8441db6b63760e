/* host/host_reader.c - readers: a client's place on a stream, from its begin to its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/hosting.h"

void host_reader_queue(struct umbel_reader *reader)
{
    if (!reader->queued && !reader->dead) {
        reader->queued = true;
        list_append(&reader->client->hosting->catchup, &reader->in_catchup);
    }
}

uint32_t host_reader_try(struct hosting *hosting, struct umbel_client *client, uint64_t tag, struct journal_ref ref, uint64_t position,
                         const char **ret_text)
{
    struct host_feed *feed = host_feed_get(hosting, ref);
    struct umbel_reader *reader = NULL;
    struct journal_cursor cursor = {.ref = ref};
    int r = 0;

    *ret_text = "no such answer";
    if (!feed)
        return UMBEL_ERROR_NOT_FOUND;
    if (position > 0)
        r = journal_seek_text(&hosting->journal, ref, position, &cursor);
    if (r == 0)
        reader = calloc(1, sizeof *reader);
    if (!reader) {
        host_feed_report_later(feed); /* it may have been made for nothing */
        if (r == -ESTALE)
            return UMBEL_ERROR_NOT_FOUND;
        *ret_text = r == 0 ? "" : r == -EILSEQ ? "the position is inside a character" : "the position is past the end";
        return r == 0 ? UMBEL_ERROR_INTERNAL : UMBEL_ERROR_POSITION;
    }
    *reader = (struct umbel_reader){.feed = feed, .client = client, .tag = tag, .cursor = cursor, .begun_at = position, .ready = true};
    list_init(&reader->in_catchup);
    list_append(&feed->readers, &reader->in_feed);
    list_append(&client->readers, &reader->in_client);
    feed->reader_count++;
    host_trail_reader(feed);
    stats_set(hosting->stats, HOST_READERS, ++hosting->reader_count);
    memcpy(client->stream, feed->id, sizeof client->stream);
    client->position = position;
    client->row_dirty = true;
    host_feed_report_later(feed);
    if (client->codec->began(client->data, tag, reader, &feed->stream, &reader->options) < 0)
        host_reader_kill(reader);
    else if (!reader->dead)
        host_reader_queue(reader);
    return 0;
}

void host_reader_begin(struct hosting *hosting, struct umbel_client *client, uint64_t tag, struct journal_ref ref, uint64_t position)
{
    const char *text;
    uint32_t error = host_reader_try(hosting, client, tag, ref, position, &text);

    if (error)
        client->codec->refused(client->data, tag, error, text);
}

void host_reader_kill(struct umbel_reader *reader)
{
    struct hosting *hosting = reader->client->hosting;

    if (reader->dead)
        return;
    reader->dead = true;
    list_remove(&reader->in_client);
    if (reader->queued)
        list_remove(&reader->in_catchup);
    reader->queued = false;
    list_append(&hosting->dead_readers, &reader->in_client); /* swept at the end of the turn */
    reader->feed->reader_count--;
    stats_set(hosting->stats, HOST_READERS, --hosting->reader_count);
    host_feed_report_later(reader->feed);
}

/* Ends a reader that cannot have the rest. */
void host_reader_lost(struct umbel_reader *reader)
{
    const struct umbel_codec *codec = reader->client->codec;
    void *data = reader->options.reader_data;

    host_reader_kill(reader);
    codec->ended(data, 0);
}

void host_reader_make_ready(struct umbel_reader *reader)
{
    if (reader->dead || reader->ready)
        return;
    reader->ready = true;
    if (!reader->level)
        host_reader_queue(reader);
}
