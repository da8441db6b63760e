/* host/host_feed.c - feeds: what is new on the streams that have readers here, from the ring or from the journal. */
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

bool host_grow_scratch(struct hosting *hosting, size_t size)
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
        host_reader_lost(reader);
    }
}

struct host_feed *host_feed_get(struct hosting *hosting, struct journal_ref ref)
{
    struct journal_identity identity;
    struct host_feed *feed;

    if (ref.slot >= hosting->journal.slots)
        return NULL;
    feed = hosting->feeds[ref.slot];
    if (feed && feed->cursor.ref.generation == ref.generation)
        return feed;
    if (journal_identity(&hosting->journal, ref, &identity) < 0)
        return NULL; /* who names it is late: the feed that stands here may be of the stream that came after */
    if (feed)
        feed_stale(feed); /* its readers lagged until the slot was given to another stream */
    feed = calloc(1, sizeof *feed);
    if (!feed)
        return NULL;
    feed->hosting = hosting;
    feed->identity = identity;
    feed->cursor.ref = feed->flushed.ref = ref;
    interest(hosting, ref.slot, true); /* before the first look at the text: what comes later wakes us */
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

/* The core is gone, and this is all that it has said. */
static void fail(struct host_feed *feed)
{
    feed->ending = (struct journal_ending){.verdict = UMBEL_VERDICT_FAILED, .error = UMBEL_ERROR_INTERNAL};
    strcpy(feed->ending.error_text, "The service failed, try again later.");
    feed->closed = true;
    mark_dirty(feed);
}

static void check_closed(struct host_feed *feed)
{
    struct hosting *hosting = feed->hosting;
    uint64_t state, committed;
    int r = feed->closed ? 0 : journal_stat(&hosting->journal, feed->cursor.ref, &state, &committed);

    if (r == 0 && !feed->closed && state == JOURNAL_CLOSED && feed->cursor.offset >= committed) {
        r = journal_ending(&hosting->journal, feed->cursor.ref, &feed->ending);
        if (r == 0) {
            feed->closed = true;
            feed->trail.closed_ns = clock_now_ns();
            mark_dirty(feed);
        }
    }
    if (r < 0) /* it ended and was forgotten since we have read its last text: nobody will say so again */
        feed_stale(feed);
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
        if (kind == -EMSGSIZE && host_grow_scratch(hosting, size))
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
    if (hosting->failing && !feed->closed)
        fail(feed);
}

static void take_record(struct hosting *hosting, const struct ring_record *record)
{
    struct host_feed *feed = record->stream_slot < hosting->journal.slots ? hosting->feeds[record->stream_slot] : NULL;

    if (record->kind == UMBEL_EVENT_OPEN)
        host_watch_opened(hosting, (struct journal_ref){record->stream_slot, record->generation});
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

/* The ring has overtaken us: first the new place, then what the journal has until there. */
static void lapped(struct hosting *hosting)
{
    stats_add(hosting->stats, HOST_LAPPED, 1);
    ring_reader_resync(&hosting->ring);
    list_for_each(link, spare, &hosting->all_feeds)
        host_feed_sync(list_entry(link, struct host_feed, in_feeds));
    host_watch_missed(hosting);
}

bool host_feeds_take(struct hosting *hosting, uint64_t max)
{
    struct ring_record record;
    uint64_t taken = 0;

    while (taken < max) {
        enum ring_result result = ring_read(&hosting->ring, &record);
        if (result == RING_EMPTY)
            break;
        if (result == RING_LAPPED)
            lapped(hosting);
        else
            take_record(hosting, &record);
        taken++; /* a lap counts too: damaged memory must not hold the turn for ever */
    }
    stats_add(hosting->stats, HOST_RING_RECORDS, taken);
    atomic_store_explicit(&hosting->page->cursor, hosting->ring.next, memory_order_relaxed);
    return taken == max;
}

void host_feed_report_later(struct host_feed *feed)
{
    if (!list_is_linked(&feed->in_reports))
        list_append(&feed->hosting->reports, &feed->in_reports);
}

void host_feeds_fail(struct hosting *hosting)
{
    hosting->failing = true;
    list_for_each(link, spare, &hosting->all_feeds)
        host_feed_sync(list_entry(link, struct host_feed, in_feeds)); /* of a very long rest the end comes in a later turn */
}

/* Tells the core how many readers a stream has here: at once when it is the first or the last, else now and then. */
void host_reports(struct hosting *hosting, uint64_t now_ns)
{
    list_for_each(link, spare, &hosting->reports) {
        struct host_feed *feed = list_entry(link, struct host_feed, in_reports);
        bool turned = (feed->told == 0) != (feed->reader_count == 0);
        if (!turned && feed->told != feed->reader_count && now_ns - feed->told_ns < REPORT_EVERY_NS)
            continue;
        if (feed->reader_count == 0 && host_request_is_resumed(hosting, feed->id))
            continue; /* somebody may be coming back to it: his place, which the core counts, must not be taken for the one that is left */
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
