#include "tests/unit/host_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/metrics/core_stats.h"

static void on_authorized(void *data, uint32_t error, const char *text)
{
    (void)data, (void)error, (void)text;
}

static int on_began(void *data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct sink *sink = data;

    assert_int_equal(tag, 42);
    assert_int_equal(strlen(stream->id), 41);
    strcpy(sink->stream, stream->id);
    sink->reader = reader;
    sink->begun++;
    ret_options->reader_data = sink;
    ret_options->variant = sink->variant;
    ret_options->max_batch = sink->max_batch;
    ret_options->max_text = sink->max_text;
    ret_options->flags = sink->flags;
    return 0;
}

static void on_refused(void *data, uint64_t tag, uint32_t error, const char *text)
{
    struct sink *sink = data;

    assert_int_equal(tag, 42);
    assert_non_null(text);
    sink->refused++;
    sink->refusal = error;
}

static void put_what(struct umbel_out *out, char what, uint32_t variant, const void *data)
{
    umbel_out_put(out, &what, 1);
    umbel_out_put(out, &variant, sizeof variant);
    umbel_out_put(out, &data, sizeof data);
}

/* O for open, T text, U tool, E verdict, each with whom it is for: readable and joined by the sink, which sees that they are its own. */
static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    struct bench *bench = self;
    uint32_t size = (uint32_t)event->size;

    assert_true((variant == UMBEL_VARIANT_PRIVATE) == (data != NULL));
    assert_non_null(stream->model);
    bench->encodes++;
    if (event->kind == UMBEL_EVENT_OPEN) {
        put_what(out, 'O', variant, data);
        umbel_out_put(out, &event->position, sizeof event->position);
    } else if (event->kind == UMBEL_EVENT_TEXT) {
        put_what(out, 'T', variant, data);
        umbel_out_put(out, &event->position, sizeof event->position);
        umbel_out_put(out, &size, sizeof size);
        umbel_out_put(out, event->data, event->size);
    } else if (event->kind == UMBEL_EVENT_CLOSED) {
        put_what(out, 'E', variant, data);
        umbel_out_put(out, &event->code, sizeof event->code);
        strcpy(bench->ended, stream->id);
    } else if (event->kind == UMBEL_EVENT_TOOL) {
        put_what(out, 'U', variant, data);
        umbel_out_put(out, &size, sizeof size);
    }
    return 0;
}

static void take(const char **at, void *to, size_t size)
{
    memcpy(to, *at, size);
    *at += size;
}

static void take_text(struct sink *sink, const char *text, uint32_t size)
{
    assert_true(sink->max_text == 0 || size <= sink->max_text);
    if (sink->size + size > sink->capacity) {
        sink->capacity = (sink->size + size) * 2;
        sink->text = realloc(sink->text, sink->capacity);
    }
    memcpy(sink->text + sink->size, text, size);
    sink->size += size;
}

static int on_write(void *data, const void *bytes, size_t size, int last)
{
    struct sink *sink = data;
    const char *at = bytes, *end = at + size;
    size_t before = sink->size, tool = 0, count = 0;

    assert_int_equal(sink->ended, 0);
    if (last) /* the HTTP carrier counts on it */
        assert_string_equal(sink->bench->ended, sink->stream);
    while (at < end) {
        char what = *at++;
        uint32_t variant, length;
        uint64_t position;
        const void *whose;
        take(&at, &variant, sizeof variant);
        take(&at, &whose, sizeof whose);
        assert_int_equal(variant, sink->variant);
        assert_ptr_equal(whose, variant == UMBEL_VARIANT_PRIVATE ? sink : NULL);
        if (what == 'O') {
            take(&at, &position, sizeof position);
            assert_int_equal(position, sink->from);
            sink->opens++;
        } else if (what == 'T') {
            take(&at, &position, sizeof position);
            take(&at, &length, sizeof length);
            assert_int_equal(position, sink->from + sink->size);
            take_text(sink, at, length);
            sink->events++;
            count++;
            at += length;
        } else if (what == 'U') {
            take(&at, &length, sizeof length);
            sink->tools++;
            tool += length;
            count++;
        } else {
            assert_int_equal(what, 'E');
            take(&at, &sink->verdict, sizeof sink->verdict);
            assert_true(last);
        }
    }
    assert_true(sink->max_batch == 0 || sink->size - before + tool <= sink->max_batch || (sink->size == before && count == 1));
    sink->writes++;
    return sink->fill_after && --sink->fill_after == 0 ? UMBEL_WRITE_FULL : UMBEL_WRITE_READY;
}

static void on_ended(void *data, uint32_t verdict)
{
    struct sink *sink = data;

    sink->ended++;
    sink->verdict = verdict;
    sink->reader = NULL;
}

static const struct umbel_codec codec = {.struct_size = sizeof codec,
                                         .authorized = on_authorized,
                                         .began = on_began,
                                         .refused = on_refused,
                                         .encode = on_encode,
                                         .write = on_write,
                                         .ended = on_ended};

void bench_open(struct bench *bench, uint32_t ring_slots, size_t journal)
{
    struct why why = {""};
    char path[128];

    memset(bench, 0, sizeof *bench);
    strcpy(bench->directory, "/tmp/umbel-feed-XXXXXX");
    assert_non_null(mkdtemp(bench->directory));
    snprintf(path, sizeof path, "%s/core", bench->directory);
    assert_int_equal(core_stats_create(path, 64, 4, 4, &bench->core_stats, &why), 0);
    assert_int_equal(bus_create(ring_slots, journal, bench->core_stats, &bench->bus, &why), 0);
    struct hosting *h = bench->hosting = calloc(1, sizeof *h);
    struct list *lists[] = {&h->all_feeds, &h->dirty, &h->reports, &h->catchup, &h->clients, &h->dead_clients, &h->dead_readers, &h->dead_watches, &h->unasked};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        list_init(lists[i]);
    host_request_init(h);
    assert_int_equal(ring_memory_map(bus_ring_fd(bench->bus), 0, 0, &h->ring_memory, &why), 0);
    assert_int_equal(ring_reader_open(&h->ring_memory, &h->ring, &why), 0);
    assert_int_equal(ring_memory_map(bus_journal_fd(bench->bus), 0, 0, &h->journal_memory, &why), 0);
    assert_int_equal(journal_reader_open(&h->journal_memory, &h->journal, &why), 0);
    assert_int_equal(ring_memory_create_shared("page", sizeof(struct ring_reader_page), &h->page_memory, &why), 0);
    h->page = h->page_memory.base;
    snprintf(path, sizeof path, "%s/host", bench->directory);
    assert_int_equal(host_stats_create(path, "test", READERS_MAX, &h->stats, &why), 0);
    h->feeds = calloc(h->journal.slots, sizeof(struct host_feed *));
    h->scratch_size = HOSTING_TEXT_MAX;
    h->scratch = malloc(h->scratch_size);
    h->max_connections = READERS_MAX;
    h->core_gone = true; /* nobody to report to */
    assert_int_equal(host_watch_init(h), 0);
    host_services_fill(h);
}

void turn(struct bench *bench, uint32_t records)
{
    struct hosting *h = bench->hosting;

    host_feeds_take(h, records);
    host_feeds_flush(h);
    hosting_sweep(h);
    host_reports(h, clock_now_ns());
}

void settle(struct bench *bench)
{
    do
        turn(bench, UINT32_MAX);
    while (host_feeds_busy(bench->hosting));
    turn(bench, UINT32_MAX);
}

void bench_close(struct bench *bench)
{
    struct hosting *h = bench->hosting;
    char path[128];

    settle(bench);
    assert_int_equal(h->reader_count, 0);
    assert_int_equal(h->feed_count, 0);
    ring_memory_free(&h->ring_memory);
    ring_memory_free(&h->journal_memory);
    ring_memory_free(&h->page_memory);
    stats_page_free(h->stats);
    umbel_out_free(&h->encoded);
    host_channel_close(h);
    free(h->feeds);
    free(h->shown);
    free(h->scratch);
    free(h);
    bus_free(bench->bus);
    stats_page_free(bench->core_stats);
    snprintf(path, sizeof path, "%s/core", bench->directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/host", bench->directory);
    unlink(path);
    rmdir(bench->directory);
}

struct journal_ref open_stream(struct bench *bench)
{
    return open_asked(bench, 0);
}

struct journal_ref open_asked(struct bench *bench, uint64_t asker)
{
    struct journal_identity identity = {
        .opened_ns = clock_now_ns(), .asker = asker, .app = "shop", .model = "demo-1", .session = "s"};
    struct journal_ref ref;

    static uint8_t count;

    identity.id[0] = (uint8_t)rand();
    identity.id[1] = ++count;
    assert_int_equal(bus_open(bench->bus, &identity, &ref), 0);
    return ref;
}

void say(struct bench *bench, struct journal_ref ref, const char *text)
{
    assert_int_equal(bus_event(bench->bus, ref, UMBEL_EVENT_TEXT, text, strlen(text), clock_now_ns()), 0);
}

void end_stream(struct bench *bench, struct journal_ref ref, uint32_t verdict)
{
    struct journal_ending ending = {.verdict = verdict, .finish = verdict == UMBEL_VERDICT_COMPLETE ? UMBEL_FINISH_STOP : 0};

    bus_close(bench->bus, ref, &ending);
}

void attach(struct bench *bench, struct sink *sink, struct journal_ref ref, uint64_t position)
{
    sink->bench = bench;
    sink->from = position;
    sink->client = host_client_open(&bench->hosting->api, &codec, bench, sink, "test");
    assert_non_null(sink->client);
    host_reader_begin(bench->hosting, sink->client, 42, ref, position);
}

void detach(struct sink *sink)
{
    host_client_close(sink->client);
    free(sink->text);
}

void expect_text(const struct sink *sink, const char *text)
{
    assert_int_equal(sink->size, strlen(text));
    assert_memory_equal(sink->text, text, sink->size);
}
