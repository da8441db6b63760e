#include "core/stream/bus.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/metrics/core_stats.h"

#define BEAT_EVERY_NS (200 * CLOCK_MS)

struct bus {
    struct ring_writer ring;
    struct journal_writer *journal;
    struct journal_reader reader; /* over the writer's own mapping: reads answers back for the history */
    struct stats_page *stats;
    uint64_t touched[RING_INTEREST_WORDS]; /* streams of this batch */
    bool dirty;
    uint64_t beat_ns, evicted_told;
    struct bus_reader {
        struct ring_reader_page *page; /* NULL: free */
        int eventfd;
    } readers[BUS_READERS_MAX];
    uint32_t readers_end; /* all beyond are free: each flush looks at the others only */
};

int bus_create(uint32_t ring_slots, size_t journal_bytes, struct stats_page *stats, struct bus **ret_bus, struct why *why)
{
    struct bus *bus = calloc(1, sizeof *bus);
    uint64_t epoch = clock_wall_ms() ^ clock_now_ns() << 20;
    int r;

    if (!bus)
        return why_set(why, -ENOMEM, "no memory for the bus");
    bus->stats = stats;
    bus->ring.memory.fd = -1;
    r = ring_writer_create(ring_slots, epoch, &bus->ring, why);
    if (r < 0)
        goto fail;
    r = journal_writer_create(journal_bytes, epoch, &bus->journal, why);
    if (r < 0)
        goto fail;
    r = journal_reader_open(journal_writer_memory(bus->journal), &bus->reader, why);
    if (r < 0)
        goto fail;
    stats_set(stats, CORE_RING_SLOTS, ring_slots);
    ring_writer_beat(&bus->ring, clock_now_ns());
    *ret_bus = bus;
    return 0;
fail:
    bus_free(bus);
    return r;
}

void bus_free(struct bus *bus)
{
    if (!bus)
        return;
    journal_writer_free(bus->journal);
    if (bus->ring.header)
        ring_writer_free(&bus->ring);
    free(bus);
}

int bus_ring_fd(const struct bus *bus)
{
    return bus->ring.memory.fd;
}

int bus_journal_fd(const struct bus *bus)
{
    return journal_writer_memory(bus->journal)->fd;
}

struct journal_writer *bus_journal(struct bus *bus)
{
    return bus->journal;
}

const struct journal_reader *bus_journal_reader(const struct bus *bus)
{
    return &bus->reader;
}

static void publish(struct bus *bus, struct ring_record *record)
{
    ring_publish(&bus->ring, record);
    bus->touched[record->stream_slot / 64 % RING_INTEREST_WORDS] |= 1ull << record->stream_slot % 64;
    bus->dirty = true;
    stats_add(bus->stats, CORE_RING_RECORDS, 1);
}

int bus_open(struct bus *bus, const struct journal_identity *identity, struct journal_ref *ret_ref)
{
    int r = journal_open(bus->journal, identity, ret_ref);

    if (r < 0)
        return r;
    struct ring_record record = {
        .stream_slot = ret_ref->slot, .generation = ret_ref->generation, .kind = UMBEL_EVENT_OPEN, .arrival_ns = identity->opened_ns};
    publish(bus, &record);
    return 0;
}

int bus_event(struct bus *bus, struct journal_ref ref, uint32_t kind, const char *data, size_t size, uint64_t arrival_ns)
{
    uint64_t offset;
    struct ring_record record;
    int r = journal_append(bus->journal, ref, kind, data, size, &offset);

    if (r < 0) {
        stats_add(bus->stats, CORE_JOURNAL_FULL, 1);
        return r;
    }
    record.stream_slot = ref.slot;
    record.generation = ref.generation;
    record.kind = (uint8_t)kind;
    record.journal_offset = (uint32_t)offset;
    record.arrival_ns = arrival_ns;
    if (size <= RING_DATA_MAX) {
        record.flags = 0;
        record.size = (uint16_t)size;
        memcpy(record.data, data, size);
    } else {
        record.flags = RING_IN_JOURNAL;
        record.size = 0;
    }
    publish(bus, &record);
    return 0;
}

void bus_close(struct bus *bus, struct journal_ref ref, const struct journal_ending *ending)
{
    journal_close(bus->journal, ref, ending);
    struct ring_record record = {
        .stream_slot = ref.slot, .generation = ref.generation, .kind = UMBEL_EVENT_CLOSED, .arrival_ns = clock_now_ns()};
    publish(bus, &record);
}

int bus_reader_add(struct bus *bus, struct ring_reader_page *page, int eventfd)
{
    for (uint32_t i = 0; i < BUS_READERS_MAX; i++)
        if (!bus->readers[i].page) {
            bus->readers[i] = (struct bus_reader){page, eventfd};
            if (bus->readers_end <= i)
                bus->readers_end = i + 1;
            return (int)i;
        }
    return -ENOSPC;
}

void bus_reader_remove(struct bus *bus, int reader)
{
    assert(reader >= 0 && (uint32_t)reader < BUS_READERS_MAX);
    bus->readers[reader] = (struct bus_reader){NULL, -1};
    while (bus->readers_end > 0 && !bus->readers[bus->readers_end - 1].page)
        bus->readers_end--;
}

void bus_flush(struct bus *bus, uint64_t now_ns, void (*wake)(void *owner, int eventfd, bool near), void *owner)
{
    if (now_ns - bus->beat_ns >= BEAT_EVERY_NS) {
        bus->beat_ns = now_ns;
        ring_writer_beat(&bus->ring, now_ns);
    }
    if (!bus->dirty)
        return;
    ring_wake_fence();
    for (uint32_t i = 0; i < bus->readers_end; i++) {
        if (!bus->readers[i].page)
            continue;
        if (ring_wake_wanted(bus->readers[i].page, bus->touched)) {
            stats_add(bus->stats, CORE_RING_WAKES, 1);
            wake(owner, bus->readers[i].eventfd, ring_wake_near(bus->readers[i].page));
        } else {
            stats_add(bus->stats, CORE_RING_WAKES_SAVED, 1);
        }
    }
    stats_add(bus->stats, CORE_RING_BATCHES, 1);
    memset(bus->touched, 0, sizeof bus->touched);
    bus->dirty = false;
}

void bus_gauges(struct bus *bus)
{
    struct journal_counts counts;

    journal_writer_counts(bus->journal, &counts);
    stats_set(bus->stats, CORE_RING_HEAD, bus->ring.next);
    stats_set(bus->stats, CORE_JOURNAL_PAGES, counts.pages_free + counts.pages_live + counts.pages_finished);
    stats_set(bus->stats, CORE_JOURNAL_PAGES_FREE, counts.pages_free);
    stats_set(bus->stats, CORE_JOURNAL_STREAMS, counts.streams_live + counts.streams_finished);
    stats_add(bus->stats, CORE_JOURNAL_EVICTED, counts.evicted - bus->evicted_told);
    bus->evicted_told = counts.evicted;
}
