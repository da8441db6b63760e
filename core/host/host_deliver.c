/* host/host_deliver.c - the one fan-out path of every transport: what is new to those who are level, what was missed to the others. */
#include <errno.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"

/* After its last byte. */
static void reader_end(struct umbel_reader *reader)
{
    uint32_t verdict = reader->feed->ending.verdict;
    const struct umbel_codec *codec = reader->client->codec;
    void *data = reader->options.reader_data;

    host_reader_kill(reader);
    codec->ended(data, verdict);
}

/* Hands encoded bytes to one reader.  Afterwards it is level at the feed's cursor (or behind from there, if it is full now). */
static void deliver(struct umbel_reader *reader, const struct umbel_out *bytes, uint64_t arrival_ns, bool last)
{
    struct hosting *hosting = reader->client->hosting;
    struct umbel_client *client = reader->client;
    int r = UMBEL_WRITE_READY;

    if (bytes->size > 0 || last) {
        uint64_t mark = host_send_mark(hosting);
        r = client->codec->write(reader->options.reader_data, bytes->size ? bytes->data : "", bytes->size, last);
        if (reader->dead)
            return;
        stats_add(hosting->stats, HOST_DELIVERIES, 1);
        stats_add(hosting->stats, HOST_DELIVERED_BYTES, bytes->size);
        uint64_t lag_ns = arrival_ns ? clock_now_ns() - arrival_ns : 0;
        if (!host_send_lag(hosting, mark, arrival_ns) && arrival_ns)
            stats_observe(hosting->stats, HOST_H_LAG, lag_ns);
        host_trail_write(reader->feed, bytes->size, lag_ns);
        client->delivered += bytes->size;
        client->row_dirty = true;
    }
    if (r < 0) {
        host_reader_kill(reader);
        return;
    }
    if (last) {
        host_trail_end(reader->feed, arrival_ns != 0);
        reader_end(reader);
        return;
    }
    if (r == UMBEL_WRITE_FULL) {
        reader->ready = false;
        stats_add(hosting->stats, HOST_SLOW, 1);
    }
}

/* One codec failing to encode is a bug of the plugin: its reader ends, the others do not notice. */
static void encode_failed(struct umbel_reader *reader)
{
    log_line(LOG_ERROR, reader->feed->id, "the plugin could not encode an event: its reader is ended");
    host_reader_lost(reader);
}

#define VARIANTS_MAX 8u

/* Encoded forms of one batch, one per variant. */
struct batch {
    struct batch_variant {
        const struct umbel_codec *codec;
        uint32_t variant;
        int failed;
        struct umbel_out out;
    } variants[VARIANTS_MAX];
    uint32_t count;
};

static int encode_batch(struct umbel_reader *reader, struct umbel_out *out)
{
    int r = host_encode_news(reader->feed, reader, out);

    if (r == 0 && reader->feed->closed)
        r = host_encode_ending(reader->feed, reader, out);
    stats_add(reader->feed->hosting->stats, HOST_ENCODES, 1);
    return r;
}

static const struct umbel_out *batch_bytes(struct batch *batch, struct umbel_reader *reader)
{
    struct hosting *hosting = reader->client->hosting;
    bool shared = reader->options.variant != UMBEL_VARIANT_PRIVATE;

    for (uint32_t i = 0; shared && i < batch->count; i++)
        if (batch->variants[i].codec == reader->client->codec && batch->variants[i].variant == reader->options.variant)
            return batch->variants[i].failed ? NULL : &batch->variants[i].out;
    if (!shared || batch->count == VARIANTS_MAX) {
        umbel_out_reset(&hosting->encoded);
        return encode_batch(reader, &hosting->encoded) < 0 ? NULL : &hosting->encoded;
    }
    struct batch_variant *fresh = &batch->variants[batch->count++];
    fresh->codec = reader->client->codec;
    fresh->variant = reader->options.variant;
    umbel_out_reset(&fresh->out);
    fresh->failed = encode_batch(reader, &fresh->out);
    return fresh->failed ? NULL : &fresh->out;
}

/* Such a reader never joins the shared path: it is served entry by entry from the journal. */
static bool separate(const struct umbel_reader *reader)
{
    return (reader->options.flags & UMBEL_READER_SEPARATE) != 0;
}

static int read_next(struct hosting *hosting, struct umbel_reader *reader, size_t room, size_t *ret_size)
{
    return (separate(reader) ? journal_read_entry : journal_read)(&hosting->journal, &reader->cursor, hosting->scratch, room, ret_size);
}

/* A reader that has read back up to the feed's place joins the shared path; one that read ahead waits for the feed to come up. */
static void settle(struct host_feed *feed)
{
    list_for_each(link, spare, &feed->readers) {
        struct umbel_reader *reader = list_entry(link, struct umbel_reader, in_feed);
        if (reader->dead || reader->level || !reader->ready || reader->queued)
            continue;
        if (reader->opened && !separate(reader) && reader->cursor.skip == 0 && feed->cursor.skip == 0 && reader->cursor.offset == feed->cursor.offset &&
            !feed->closed)
            reader->level = true;
        else if (!reader->opened || reader->cursor.offset < feed->cursor.offset || feed->closed)
            host_reader_queue(reader);
    }
}

static size_t max_batch(const struct umbel_reader *reader)
{
    return reader->options.max_batch ? reader->options.max_batch : HOSTING_TEXT_MAX;
}

static void fall_behind(struct umbel_reader *reader, const struct journal_cursor *cursor)
{
    reader->level = false;
    reader->cursor = *cursor;
}

static void flush_feed(struct host_feed *feed, struct batch *batch)
{
    uint64_t arrival_ns = feed->news_count ? feed->news[0].arrival_ns : 0;

    batch->count = 0;
    if (feed->news_count || feed->closed || feed->bytes.failed) {
        list_for_each(link, spare, &feed->readers) {
            struct umbel_reader *reader = list_entry(link, struct umbel_reader, in_feed);
            if (reader->dead || !reader->level)
                continue;
            if (feed->bytes.failed || feed->bytes.size > max_batch(reader)) { /* it goes on alone, from the journal */
                fall_behind(reader, &feed->flushed);
                continue;
            }
            const struct umbel_out *bytes = batch_bytes(batch, reader);
            if (!bytes) {
                encode_failed(reader);
                continue;
            }
            deliver(reader, bytes, arrival_ns, feed->closed);
            if (!reader->dead && !reader->ready) /* full: from here on it keeps only its place */
                fall_behind(reader, &feed->cursor);
        }
    }
    feed->flushed = feed->cursor;
    feed->news_count = 0;
    umbel_out_reset(&feed->bytes);
    settle(feed);
}

/* Reads back what one reader has missed, at most max_batch bytes. */
static void catch_up(struct hosting *hosting, struct umbel_reader *reader)
{
    struct host_feed *feed = reader->feed;
    size_t total = 0, size, budget = max_batch(reader);
    bool first = !reader->opened;
    int r = 0;

    umbel_out_reset(&hosting->encoded);
    if (!reader->opened)
        r = host_encode_open(feed, reader, &hosting->encoded);
    reader->opened = true;
    while (r == 0 && total < budget) {
        uint64_t position = reader->cursor.text;
        size_t room = budget - total < 8 ? 8 : budget - total;
        if (room > hosting->scratch_size)
            room = hosting->scratch_size;
        int kind = read_next(hosting, reader, room, &size);
        if (kind == -EMSGSIZE && total == 0 && host_grow_scratch(hosting, size)) /* one entry larger than all the budget goes alone */
            kind = read_next(hosting, reader, hosting->scratch_size, &size);
        if (kind == -EMSGSIZE || kind == 0)
            break;
        if (kind < 0) {
            stats_add(hosting->stats, HOST_STALE, 1);
            host_reader_lost(reader);
            return;
        }
        r = host_encode_one(feed, reader, (uint32_t)kind, hosting->scratch, size, position, &hosting->encoded);
        total += size;
    }
    bool at_end = feed->closed && reader->cursor.skip == 0 && reader->cursor.offset >= feed->cursor.offset;
    if (r == 0 && at_end)
        r = host_encode_ending(feed, reader, &hosting->encoded);
    if (r < 0) {
        encode_failed(reader);
        return;
    }
    if (!first)
        stats_add(hosting->stats, HOST_CATCHUPS, 1);
    deliver(reader, &hosting->encoded, 0, at_end);
    if (reader->dead || !reader->ready)
        return;
    if (reader->cursor.skip == 0 && reader->cursor.offset == feed->cursor.offset && !feed->news_count && !feed->closed &&
        feed->cursor.skip == 0 && !separate(reader))
        reader->level = true;
    else if (reader->cursor.offset < feed->cursor.offset || reader->cursor.skip || feed->closed)
        host_reader_queue(reader);
    /* else it read ahead of the feed: settle() joins it when the ring has brought the feed up */
}

void host_feeds_flush(struct hosting *hosting)
{
    static struct batch batch; /* one thread: keeps its buffers from turn to turn */
    struct list turn;

    list_init(&turn);
    while (!list_is_empty(&hosting->dirty)) {
        struct list *link = hosting->dirty.next;
        struct host_feed *feed = list_entry(link, struct host_feed, in_dirty);
        list_remove(link);
        feed->dirty = false;
        flush_feed(feed, &batch);
        if (feed->unfinished_sync)
            list_append(&turn, &feed->in_dirty);
    }
    while (!list_is_empty(&turn)) { /* the rest of a long sync, next turn */
        struct host_feed *feed = list_entry(turn.next, struct host_feed, in_dirty);
        list_remove(&feed->in_dirty);
        host_feed_sync(feed);
    }
    for (uint32_t n = 0; n < HOSTING_CATCHUP_TURN && !list_is_empty(&hosting->catchup); n++) {
        struct umbel_reader *reader = list_entry(hosting->catchup.next, struct umbel_reader, in_catchup);
        list_remove(&reader->in_catchup);
        reader->queued = false;
        if (!reader->dead && reader->ready && !reader->level)
            catch_up(hosting, reader);
    }
}

bool host_feeds_busy(const struct hosting *hosting)
{
    return !list_is_empty(&hosting->dirty) || !list_is_empty(&hosting->catchup);
}
