#include "core/host/host_trail.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/host/hosting.h"
#include "core/metrics/stats_page.h"

_Static_assert(HOST_TRAIL_BUCKETS * 4 >= STATS_BUCKETS, "every bucket has a place");

static struct trail_record record_of(const struct hosting *hosting, const struct host_feed *feed, enum trail_kind kind)
{
    struct trail_record record = {.kind = (uint16_t)kind};

    if (feed) {
        memcpy(record.stream, feed->identity.id, sizeof record.stream);
        trail_text(&record, TRAIL_T_APP, feed->identity.app);
    }
    trail_text(&record, TRAIL_T_TRANSPORT, hosting->transport_name);
    trail_text(&record, TRAIL_T_HOST, hosting->name);
    return record;
}

void host_trail_reader(struct host_feed *feed)
{
    if (feed->trail.readers++ == 0)
        feed->trail.begun_ns = clock_now_ns();
}

static void note_lag(struct host_trail *trail, uint64_t lag_ns)
{
    trail->lag[stats_bucket_of(lag_ns) / 4]++;
    if (lag_ns > trail->lag_max_ns)
        trail->lag_max_ns = lag_ns;
}

void host_trail_write(struct host_feed *feed, size_t bytes, uint64_t lag_ns)
{
    struct host_trail *trail = &feed->trail;

    trail->writes++;
    trail->bytes += bytes;
    if (!lag_ns)
        return;
    note_lag(trail, lag_ns);
    if (!trail->first_told) {
        struct trail_record record = record_of(feed->hosting, feed, TRAIL_DELIVERED_FIRST);

        trail->first_told = true;
        record.value[TRAIL_V_LAG] = lag_ns;
        trail_put(feed->hosting->trail, &record);
    }
}

void host_trail_end(struct host_feed *feed, bool known_lag)
{
    uint64_t now_ns = clock_now_ns();

    if (!known_lag && feed->trail.closed_ns && now_ns > feed->trail.closed_ns && feed->trail.begun_ns < feed->trail.closed_ns)
        note_lag(&feed->trail, now_ns - feed->trail.closed_ns);
}

/* The upper bound of the bucket in which the value of that rank lies. */
static uint64_t lag_at(const struct host_trail *trail, uint64_t rank)
{
    uint64_t seen = 0, bound;

    for (uint32_t i = 0; i < HOST_TRAIL_BUCKETS; i++) {
        seen += trail->lag[i];
        if (seen < rank)
            continue;
        bound = i * 4 + 3 < STATS_BUCKETS ? stats_bucket_upper_ns(i * 4 + 3) : UINT64_MAX;
        return bound < trail->lag_max_ns ? bound : trail->lag_max_ns;
    }
    return 0; /* nothing was delivered live */
}

void host_trail_left(struct host_feed *feed)
{
    struct host_trail *trail = &feed->trail;
    struct trail_record record = record_of(feed->hosting, feed, TRAIL_DELIVERED);
    uint64_t known = 0;

    if (trail->readers == 0)
        return;
    for (uint32_t i = 0; i < HOST_TRAIL_BUCKETS; i++)
        known += trail->lag[i];
    if (known) {
        record.value[TRAIL_V_LAG_P50] = lag_at(trail, known - known / 2);
        record.value[TRAIL_V_LAG] = lag_at(trail, known - known / 100);
        record.value[TRAIL_V_LAG_MAX] = trail->lag_max_ns;
    }
    record.value[TRAIL_V_DURATION] = clock_now_ns() - trail->begun_ns;
    record.value[TRAIL_V_READERS] = trail->readers;
    record.value[TRAIL_V_BYTES] = trail->bytes;
    record.value[TRAIL_V_COUNT] = trail->writes;
    if (feed->closed)
        record.verdict = (uint8_t)feed->ending.verdict;
    trail_put(feed->hosting->trail, &record);
    *trail = (struct host_trail){0};
}

void host_trail_counted(struct hosting *hosting, const char *counter)
{
    static const char tail[] = "slow_closed";
    size_t size = strlen(counter);
    struct trail_record record;

    if (size < sizeof tail - 1 || strcmp(counter + size - (sizeof tail - 1), tail) != 0)
        return;
    record = record_of(hosting, NULL, TRAIL_SLOW_CLOSED);
    trail_put(hosting->trail, &record);
}
