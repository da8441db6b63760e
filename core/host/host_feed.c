/* host/host_feed.c - feeds and readers: the one fan-out path of every transport. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/host/hosting.h"

#define REPORT_EVERY_NS (250 * CLOCK_MS)

/* ---- interest: which streams are worth waking this host for ---- */

static void interest(struct hosting *hosting, uint32_t slot, bool on)
{
    uint32_t bit = slot % (64 * RING_INTEREST_WORDS);

    if (on && hosting->interest_uses[bit]++ == 0)
        ring_wake_interest(hosting->page, slot, true);
    if (!on && --hosting->interest_uses[bit] == 0 && hosting->watch_count == 0)
        ring_wake_interest(hosting->page, slot, false);
}

/* ---- feeds ---- */

/* Ends a reader that cannot have the rest. */
static void reader_lost(struct umbel_reader *reader)
{
    const struct umbel_codec *codec = reader->client->codec;
    void *data = reader->options.reader_data;

    host_reader_kill(reader);
    codec->ended(data, 0);
}

static bool grow_scratch(struct hosting *hosting, size_t size)
{
    char *larger = size > hosting->scratch_size ? realloc(hosting->scratch, size) : NULL;

    if (!larger)
        return false;
    hosting->scratch = larger;
    hosting->scratch_size = size;
    return true;
}

static void mark_dirty(struct host_feed *feed)
{
    if (!feed->dirty) {
        feed->dirty = true;
        list_append(&feed->hosting->dirty, &feed->in_dirty);
    }
}

/* The stream's memory has a new owner: what its readers here still miss is lost, and they are told so. */
static void feed_stale(struct host_feed *feed)
{
    list_for_each(link, spare, &feed->readers) {
        struct umbel_reader *reader = list_entry(link, struct umbel_reader, in_feed);
        if (reader->dead)
            continue;
        stats_add(feed->hosting->stats, HOST_STALE, 1);
        reader_lost(reader);
    }
}

struct host_feed *host_feed_get(struct hosting *hosting, struct journal_ref ref)
{
    struct host_feed *feed;

    if (ref.slot >= hosting->journal.slots)
        return NULL;
    feed = hosting->feeds[ref.slot];
    if (feed && feed->cursor.ref.generation == ref.generation)
        return feed;
    if (feed)
        feed_stale(feed); /* its readers lagged until the slot was given to another stream */
    feed = calloc(1, sizeof *feed);
    if (!feed)
        return NULL;
    feed->hosting = hosting;
    feed->cursor.ref = feed->flushed.ref = ref;
    interest(hosting, ref.slot, true); /* before the first look at the journal: what comes later wakes us */
    if (journal_identity(&hosting->journal, ref, &feed->identity) < 0) {
        interest(hosting, ref.slot, false);
        free(feed);
        return NULL;
    }
    memcpy(feed->id, "chatcmpl-", 9);
    number_format_hex(feed->identity.id, sizeof feed->identity.id, feed->id + 9);
    feed->identity.app[sizeof feed->identity.app - 1] = '\0';
    feed->identity.model[sizeof feed->identity.model - 1] = '\0';
    feed->identity.session[sizeof feed->identity.session - 1] = '\0';
    feed->stream = (struct umbel_stream){.struct_size = sizeof feed->stream,
                                         .id = feed->id,
                                         .app = feed->identity.app,
                                         .session = feed->identity.session,
                                         .model = feed->identity.model,
                                         .created = feed->identity.created_s};
    list_init(&feed->readers);
    list_init(&feed->in_dirty);
    list_init(&feed->in_reports);
    list_init(&feed->in_feeds);
    list_append(&hosting->all_feeds, &feed->in_feeds);
    hosting->feeds[ref.slot] = feed;
    stats_set(hosting->stats, HOST_FEEDS, ++hosting->feed_count);
    host_feed_sync(feed); /* up to where the journal is: the ring tells what comes after, if anything does */
    return feed;
}

static void feed_free(struct host_feed *feed)
{
    struct hosting *hosting = feed->hosting;

    host_trail_left(feed);
    if (hosting->feeds[feed->cursor.ref.slot] == feed)
        hosting->feeds[feed->cursor.ref.slot] = NULL;
    interest(hosting, feed->cursor.ref.slot, false);
    list_remove(&feed->in_dirty);
    list_remove(&feed->in_reports);
    list_remove(&feed->in_feeds);
    free(feed->news);
    umbel_out_free(&feed->bytes);
    free(feed);
    stats_set(hosting->stats, HOST_FEEDS, --hosting->feed_count);
}

static void add_news(struct host_feed *feed, uint32_t kind, const void *data, size_t size, uint64_t position, uint64_t arrival_ns)
{
    struct host_news *last = feed->news_count ? &feed->news[feed->news_count - 1] : NULL;

    umbel_out_put(&feed->bytes, data, size);
    if (last && last->kind == kind && kind != UMBEL_EVENT_TOOL) {
        last->size += size;
        return;
    }
    if (feed->news_count == feed->news_capacity) {
        size_t capacity = feed->news_capacity ? feed->news_capacity * 2 : 4;
        struct host_news *news = realloc(feed->news, capacity * sizeof *news);
        if (!news) {
            feed->bytes.failed = -ENOMEM;
            return;
        }
        feed->news = news;
        feed->news_capacity = capacity;
    }
    feed->news[feed->news_count++] = (struct host_news){kind, feed->bytes.size - size, size, position, arrival_ns};
}

static void check_closed(struct host_feed *feed)
{
    struct hosting *hosting = feed->hosting;
    uint64_t state, committed;

    if (feed->closed || journal_stat(&hosting->journal, feed->cursor.ref, &state, &committed) < 0 || state != JOURNAL_CLOSED ||
        feed->cursor.offset < committed)
        return;
    if (journal_ending(&hosting->journal, feed->cursor.ref, &feed->ending) == 0) {
        feed->closed = true;
        feed->trail.closed_ns = clock_now_ns();
        mark_dirty(feed);
    }
}

void host_feed_sync(struct host_feed *feed)
{
    struct hosting *hosting = feed->hosting;

    feed->unfinished_sync = false;
    for (;;) {
        uint64_t position = feed->cursor.text;
        size_t size;
        if (feed->bytes.size >= HOSTING_PENDING_MAX) {
            feed->unfinished_sync = true;
            mark_dirty(feed);
            return;
        }
        int kind = journal_read(&hosting->journal, &feed->cursor, hosting->scratch, hosting->scratch_size, &size);
        if (kind == -EMSGSIZE && grow_scratch(hosting, size))
            continue;
        if (kind < 0) {
            feed_stale(feed);
            return;
        }
        if (kind == 0)
            break;
        add_news(feed, (uint32_t)kind, hosting->scratch, size, position, 0);
        mark_dirty(feed);
    }
    check_closed(feed);
}

void host_feed_record(struct hosting *hosting, const struct ring_record *record)
{
    struct host_feed *feed = record->stream_slot < hosting->journal.slots ? hosting->feeds[record->stream_slot] : NULL;

    if (record->kind == UMBEL_EVENT_OPEN && record->arrival_ns > hosting->newest_open_ns)
        hosting->newest_open_ns = record->arrival_ns; /* which is the stream's opened_ns */
    if (record->kind == UMBEL_EVENT_OPEN && hosting->watch_count > 0)
        host_watch_open(hosting, (struct journal_ref){record->stream_slot, record->generation});
    if (!feed || feed->cursor.ref.generation != record->generation || feed->closed)
        return;
    switch (record->kind) {
    case UMBEL_EVENT_TEXT:
    case UMBEL_EVENT_REASONING:
    case UMBEL_EVENT_TOOL:
        if (record->journal_offset < feed->cursor.offset)
            return; /* already taken from the journal */
        if (record->journal_offset > feed->cursor.offset || feed->cursor.skip || record->flags & RING_IN_JOURNAL ||
            feed->bytes.size >= HOSTING_PENDING_MAX) {
            host_feed_sync(feed);
            return;
        }
        add_news(feed, record->kind, record->data, record->size, feed->cursor.text, record->arrival_ns);
        feed->cursor.offset += JOURNAL_ENTRY_HEAD + record->size;
        if (record->kind == UMBEL_EVENT_TEXT)
            feed->cursor.text += record->size;
        mark_dirty(feed);
        return;
    case UMBEL_EVENT_CLOSED:
        host_feed_sync(feed);
        return;
    default:
        return;
    }
}

void host_feeds_lapped(struct hosting *hosting)
{
    stats_add(hosting->stats, HOST_LAPPED, 1);
    ring_reader_resync(&hosting->ring);
    list_for_each(link, spare, &hosting->all_feeds)
        host_feed_sync(list_entry(link, struct host_feed, in_feeds));
}

/* ---- readers ---- */

static void queue_catchup(struct umbel_reader *reader)
{
    if (!reader->queued && !reader->dead) {
        reader->queued = true;
        list_append(&reader->client->hosting->catchup, &reader->in_catchup);
    }
}

void host_feed_report_later(struct host_feed *feed)
{
    if (!list_is_linked(&feed->in_reports))
        list_append(&feed->hosting->reports, &feed->in_reports);
}

void host_reader_begin(struct hosting *hosting, struct umbel_client *client, uint64_t tag, struct journal_ref ref, uint64_t position)
{
    struct host_feed *feed = host_feed_get(hosting, ref);
    struct umbel_reader *reader = NULL;
    uint32_t error = UMBEL_ERROR_NOT_FOUND;
    const char *text = "no such answer";
    struct journal_cursor cursor = {.ref = ref};
    int r;

    if (!feed)
        goto refuse;
    if (position > 0) {
        r = journal_seek_text(&hosting->journal, ref, position, &cursor);
        if (r < 0) {
            error = r == -ESTALE ? UMBEL_ERROR_NOT_FOUND : UMBEL_ERROR_POSITION;
            text = r == -ESTALE ? "no such answer" : r == -EILSEQ ? "the position is inside a character" : "the position is past the end";
            goto refuse;
        }
    }
    reader = calloc(1, sizeof *reader);
    if (!reader) {
        error = UMBEL_ERROR_INTERNAL;
        text = "";
        goto refuse;
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
    if (client->codec->began(client->data, tag, reader, &feed->stream, &reader->options) < 0) {
        host_reader_kill(reader);
        return;
    }
    if (!reader->dead)
        queue_catchup(reader);
    return;
refuse:
    if (feed)
        host_feed_report_later(feed); /* it may have been made for nothing */
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

void host_reader_make_ready(struct umbel_reader *reader)
{
    if (reader->dead || reader->ready)
        return;
    reader->ready = true;
    if (!reader->level)
        queue_catchup(reader);
}

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
    reader_lost(reader);
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
            queue_catchup(reader);
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
        if (kind == -EMSGSIZE && total == 0 && grow_scratch(hosting, size)) /* one entry larger than all the budget goes alone */
            kind = read_next(hosting, reader, hosting->scratch_size, &size);
        if (kind == -EMSGSIZE || kind == 0)
            break;
        if (kind < 0) {
            stats_add(hosting->stats, HOST_STALE, 1);
            reader_lost(reader);
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
        queue_catchup(reader);
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

void host_feeds_fail(struct hosting *hosting)
{
    list_for_each(link, spare, &hosting->all_feeds) {
        struct host_feed *feed = list_entry(link, struct host_feed, in_feeds);
        host_feed_sync(feed);
        if (feed->closed || feed->unfinished_sync)
            continue;
        feed->ending = (struct journal_ending){.verdict = UMBEL_VERDICT_FAILED, .error = UMBEL_ERROR_INTERNAL};
        strcpy(feed->ending.error_text, "The service failed, try again later.");
        feed->closed = true;
        mark_dirty(feed);
    }
}

/* Tells the core how many readers a stream has here: at once when it is the first or the last, else now and then. */
void host_reports(struct hosting *hosting, uint64_t now_ns)
{
    list_for_each(link, spare, &hosting->reports) {
        struct host_feed *feed = list_entry(link, struct host_feed, in_reports);
        bool turned = (feed->told == 0) != (feed->reader_count == 0);
        if (!turned && feed->told != feed->reader_count && now_ns - feed->told_ns < REPORT_EVERY_NS)
            continue;
        if (feed->told != feed->reader_count) {
            struct control_out *out = host_channel_begin(hosting, CONTROL_READERS, 0);
            control_put(out, feed->cursor.ref.slot);
            control_put(out, feed->cursor.ref.generation);
            control_put(out, feed->reader_count);
            if (host_channel_send(hosting) < 0 && !hosting->core_gone)
                continue; /* stays in the list */
            feed->told = feed->reader_count;
            feed->told_ns = now_ns;
        }
        list_remove(link);
        if (feed->reader_count == 0)
            feed_free(feed);
    }
}
