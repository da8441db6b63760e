/* host/host_deliver.c - the one fan-out path of every transport: what is new to those who are level, what was missed to the others. */
#include <errno.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"

#define VARIANTS_MAX 8u   /* of one feed in one turn that share what is new; others have it encoded for each reader */
#define ROOM_LEAST 8u     /* bytes that the journal wants to read into: any character fits */
#define READ_BACKS_MAX 8u /* places on streams whose bytes are kept for the next reader that stands there */
#define READ_BACK_KEEP (256u << 10) /* bytes of such a buffer that stay ours after the turn */

/* After its last byte. */
static void reader_end(struct umbel_reader *reader)
{
    uint32_t verdict = reader->feed->ending.verdict;
    const struct umbel_codec *codec = reader->client->codec;
    void *data = reader->options.reader_data;

    host_watch_ended(reader->client, reader->feed->cursor.ref);
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

/* Encoded forms of one batch, one per variant (and length of its events). */
struct batch {
    struct batch_variant {
        const struct umbel_codec *codec;
        const void *self;
        uint32_t variant, max_text;
        int failed;
        struct umbel_out out;
    } variants[VARIANTS_MAX];
    uint32_t count;
    uint32_t offered; /* readers that had news in this turn, of all feeds */
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

    for (uint32_t i = 0; shared && i < batch->count; i++) {
        const struct batch_variant *made = &batch->variants[i];
        if (made->codec == reader->client->codec && made->self == reader->client->self && made->variant == reader->options.variant &&
            made->max_text == reader->options.max_text)
            return made->failed ? NULL : &made->out;
    }
    if (!shared || batch->count == VARIANTS_MAX) {
        umbel_out_reset(&hosting->encoded);
        return encode_batch(reader, &hosting->encoded) < 0 ? NULL : &hosting->encoded;
    }
    struct batch_variant *fresh = &batch->variants[batch->count++];
    fresh->codec = reader->client->codec;
    fresh->self = reader->client->self;
    fresh->variant = reader->options.variant;
    fresh->max_text = reader->options.max_text;
    umbel_out_reset(&fresh->out);
    fresh->failed = encode_batch(reader, &fresh->out);
    return fresh->failed ? NULL : &fresh->out;
}

/* Such a reader never joins the shared path: it is served entry by entry from the journal. */
static bool separate(const struct umbel_reader *reader)
{
    return (reader->options.flags & UMBEL_READER_SEPARATE) != 0;
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

/* Hands a feed's news to a level reader.  Returns whether it is level still. */
static bool offer(struct umbel_reader *reader, struct batch *batch, uint64_t arrival_ns)
{
    const struct host_feed *feed = reader->feed;
    const struct umbel_out *bytes;

    if (feed->bytes.failed || feed->bytes.size > max_batch(reader)) { /* it reads on from the journal, with those who do as well */
        fall_behind(reader, &feed->flushed);
        return false;
    }
    bytes = batch_bytes(batch, reader);
    if (!bytes) {
        encode_failed(reader);
        return true;
    }
    if (bytes->size)
        batch->offered++;
    deliver(reader, bytes, arrival_ns, feed->closed);
    if (reader->dead || reader->ready)
        return true;
    fall_behind(reader, &feed->cursor); /* full: from here on it keeps only its place */
    return false;
}

static void flush_feed(struct host_feed *feed, struct batch *batch)
{
    uint64_t arrival_ns = feed->news_count ? feed->news[0].arrival_ns : 0;
    bool all_level = true;

    batch->count = 0;
    if (feed->news_count || feed->closed || feed->bytes.failed) {
        list_for_each(link, spare, &feed->readers) {
            struct umbel_reader *reader = list_entry(link, struct umbel_reader, in_feed);
            if (!reader->dead && !(reader->level && offer(reader, batch, arrival_ns)))
                all_level = false;
        }
    }
    feed->flushed = feed->cursor;
    feed->news_count = 0;
    umbel_out_reset(&feed->bytes);
    if (!all_level)
        settle(feed);
}

/* ---- reading back ---- */

/* What a reader that is behind gets next.  All that the bytes depend on is its place: readers that agree in it share them. */
struct read_back {
    struct read_place {
        const struct host_feed *feed; /* NULL: nobody shares it */
        const struct umbel_codec *codec;
        const void *self;
        uint32_t variant, max_text;
        size_t budget; /* bytes of text */
        uint64_t offset;
        uint32_t skip;
        bool opened;
    } place;
    struct journal_cursor end;
    bool last; /* the end of the answer is in it */
    struct umbel_out out;
};

/* The newest of this turn: those who fell behind together stand in the queue one behind the other. */
struct read_backs {
    struct read_back kept[READ_BACKS_MAX], alone;
    uint32_t next;
    const struct host_feed *ended; /* the one whose end was encoded last: a codec may remember it until it is written */
};

static struct read_place place_of(const struct umbel_reader *reader)
{
    bool alone = separate(reader) || reader->options.variant == UMBEL_VARIANT_PRIVATE;

    return (struct read_place){.feed = alone ? NULL : reader->feed,
                               .codec = reader->client->codec,
                               .self = reader->client->self,
                               .variant = reader->options.variant,
                               .max_text = reader->options.max_text,
                               .budget = max_batch(reader),
                               .offset = reader->cursor.offset,
                               .skip = reader->cursor.skip,
                               .opened = reader->opened};
}

static bool same_place(const struct read_place *a, const struct read_place *b)
{
    return a->feed == b->feed && a->codec == b->codec && a->self == b->self && a->variant == b->variant && a->max_text == b->max_text &&
           a->budget == b->budget && a->offset == b->offset && a->skip == b->skip && a->opened == b->opened;
}

/* The journal's next event at cursor, at most room bytes; one that cannot be cut and is larger comes if it is to be the first. */
static int read_next(const struct umbel_reader *reader, struct journal_cursor *cursor, size_t room, bool first, size_t *ret_size)
{
    struct hosting *hosting = reader->feed->hosting;
    int (*read)(const struct journal_reader *, struct journal_cursor *, void *, size_t, size_t *) = separate(reader) ? journal_read_entry : journal_read;
    int kind = read(&hosting->journal, cursor, hosting->scratch, room < hosting->scratch_size ? room : hosting->scratch_size, ret_size);

    if (kind == -EMSGSIZE && first && (*ret_size <= hosting->scratch_size || host_grow_scratch(hosting, *ret_size)))
        kind = read(&hosting->journal, cursor, hosting->scratch, hosting->scratch_size, ret_size);
    return kind;
}

/* Reads and encodes what follows a reader's place, at most max_batch bytes of text.  0, or why the reader has been ended. */
static int read_back(struct umbel_reader *reader, struct read_back *ret)
{
    struct host_feed *feed = reader->feed;
    struct hosting *hosting = feed->hosting;
    size_t total = 0, size;
    int r = 0;

    umbel_out_reset(&ret->out);
    ret->end = reader->cursor;
    if (!reader->opened)
        r = host_encode_open(feed, reader, &ret->out);
    while (r == 0 && (total == 0 || ret->place.budget - total >= ROOM_LEAST)) {
        const struct journal_cursor before = ret->end;
        size_t room = total || ret->place.budget >= ROOM_LEAST ? ret->place.budget - total : ROOM_LEAST;
        int kind = read_next(reader, &ret->end, room, total == 0, &size);
        if (kind > 0 && total && separate(reader) && ret->end.skip) { /* it does not fit in: the next piece begins with it, whole */
            ret->end = before;
            break;
        }
        if (kind == -EMSGSIZE || kind == 0)
            break;
        if (kind < 0) {
            stats_add(hosting->stats, HOST_STALE, 1);
            host_reader_lost(reader);
            return kind;
        }
        r = host_encode_one(feed, reader, (uint32_t)kind, hosting->scratch, size, before.text, &ret->out);
        total += size < ret->place.budget - total ? size : ret->place.budget - total;
    }
    ret->last = feed->closed && ret->end.skip == 0 && ret->end.offset >= feed->cursor.offset;
    if (r == 0 && ret->last)
        r = host_encode_ending(feed, reader, &ret->out);
    if (ret->out.size)
        stats_add(hosting->stats, HOST_ENCODES, 1);
    if (r < 0)
        encode_failed(reader);
    return r;
}

/* What this reader gets next, made now or for another one before it.  NULL: there is none, and the reader has been ended. */
static const struct read_back *take_back(struct umbel_reader *reader, struct read_backs *backs)
{
    struct read_place place = place_of(reader);
    struct read_back *fresh = place.feed ? NULL : &backs->alone;

    for (uint32_t i = 0; !fresh && i < READ_BACKS_MAX; i++)
        if (same_place(&backs->kept[i].place, &place))
            fresh = &backs->kept[i];
    if (fresh && place.feed && (!fresh->last || backs->ended == place.feed))
        return fresh;
    if (!fresh)
        fresh = &backs->kept[backs->next++ % READ_BACKS_MAX];
    fresh->place = place;
    if (read_back(reader, fresh) < 0) {
        fresh->place.feed = backs->ended = NULL;
        return NULL;
    }
    if (fresh->last)
        backs->ended = reader->feed;
    return fresh;
}

/* Returns the bytes that were delivered. */
static size_t catch_up(struct umbel_reader *reader, struct read_backs *backs)
{
    struct host_feed *feed = reader->feed;
    const struct read_back *back = take_back(reader, backs);

    if (!back)
        return 0;
    if (reader->opened)
        stats_add(feed->hosting->stats, HOST_CATCHUPS, 1);
    reader->opened = true;
    reader->cursor = back->end;
    deliver(reader, &back->out, 0, back->last);
    if (reader->dead || !reader->ready)
        return back->out.size;
    if (reader->cursor.skip == 0 && reader->cursor.offset == feed->cursor.offset && !feed->news_count && !feed->closed &&
        feed->cursor.skip == 0 && !separate(reader))
        reader->level = true;
    else if (reader->cursor.offset < feed->cursor.offset || reader->cursor.skip || feed->closed)
        host_reader_queue(reader);
    /* else it read ahead of the feed: settle() joins it when the ring has brought the feed up */
    return back->out.size;
}

static void forget(struct read_back *back)
{
    back->place.feed = NULL; /* until the next turn the journal grows and feeds go */
    if (back->out.capacity > READ_BACK_KEEP)
        umbel_out_free(&back->out);
}

/* So many pieces, each to the first in the queue, who may come again; none after as many bytes as HOSTING_CATCHUP_TURN of the largest texts have. */
static void catch_ups(struct hosting *hosting, uint32_t count)
{
    static struct read_backs backs; /* one thread: keeps its buffers from turn to turn */
    size_t bytes = 0;

    if (list_is_empty(&hosting->catchup))
        return;
    for (uint32_t n = 0; n < count && bytes < (size_t)HOSTING_CATCHUP_TURN * HOSTING_TEXT_MAX && !list_is_empty(&hosting->catchup); n++) {
        struct umbel_reader *reader = list_entry(hosting->catchup.next, struct umbel_reader, in_catchup);
        list_remove(&reader->in_catchup);
        reader->queued = false;
        if (!reader->dead && reader->ready && !reader->level)
            bytes += catch_up(reader, &backs);
    }
    for (uint32_t i = 0; i < READ_BACKS_MAX; i++)
        forget(&backs.kept[i]);
    forget(&backs.alone);
    backs.ended = NULL;
}

void host_feeds_flush(struct hosting *hosting)
{
    static struct batch batch; /* one thread: keeps its buffers from turn to turn */
    struct list turn;

    list_init(&turn);
    batch.offered = 0;
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
    /* Those who are behind get as much of the turn as those who are not: when news fill it, they would never come up. */
    catch_ups(hosting, batch.offered > HOSTING_CATCHUP_TURN ? batch.offered : HOSTING_CATCHUP_TURN);
}

bool host_feeds_busy(const struct hosting *hosting)
{
    return !list_is_empty(&hosting->dirty) || !list_is_empty(&hosting->catchup);
}
