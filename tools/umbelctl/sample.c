#include "tools/umbelctl/sample.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"

static const char *const ended[] = {"streams_complete", "streams_truncated", "streams_failed", "streams_cancelled"};
static const char *const failed[] = {"streams_truncated", "streams_failed"};
static const char *const refused[] = {"streams_refused", "limited_concurrent", "limited_rate", "limited_day",
                                      "limited_prompt",  "limited_full",       "requests_bad", "auth_bad"};

#define SUM(view, names) sum(view, names, sizeof(names) / sizeof(names)[0])

static uint64_t sum(const struct stats_view *view, const char *const *names, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += pages_value(view, names[i]);
    return total;
}

static uint64_t slowest(const struct stats_view *core, uint64_t head)
{
    struct stats_cell cells[HOST_COL_COUNT];
    uint64_t most = 0;

    for (uint32_t row = 0; row < stats_view_capacity(core, CORE_TABLE_HOSTS); row++)
        if (stats_view_row(core, CORE_TABLE_HOSTS, row, cells, HOST_COL_COUNT) && cells[HOST_COL_PID].number &&
            strcmp(cells[HOST_COL_STATE].text, "running") == 0 && (int64_t)(head - cells[HOST_COL_CURSOR].number) > (int64_t)most)
            most = head - cells[HOST_COL_CURSOR].number;
    return most;
}

static void add_buckets(const struct stats_view *view, uint32_t histogram, uint64_t *to)
{
    uint64_t counts[STATS_BUCKETS], total, max;

    if (stats_view_buckets(view, histogram, counts, &total, &max))
        for (uint32_t i = 0; i < STATS_BUCKETS; i++)
            to[i] += counts[i];
}

void sample_take(const struct pages *pages, struct sample *ret_sample)
{
    const struct stats_view *core = pages->core;
    uint64_t pages_free = pages_value(core, "journal_pages_free");

    memset(ret_sample, 0, sizeof *ret_sample);
    ret_sample->at_ns = pages->stuck && pages->who.beat_ns ? pages->who.beat_ns : clock_now_ns();
    ret_sample->started_wall_s = pages->who.started_wall_s;
    ret_sample->pid = pages->who.pid;
    ret_sample->answers = pages_value(core, "streams_opened");
    ret_sample->ended = SUM(core, ended);
    ret_sample->failed = SUM(core, failed);
    ret_sample->refused = SUM(core, refused);
    ret_sample->deltas = pages_value(core, "deltas");
    ret_sample->tokens = pages_value(core, "tokens_completion");
    ret_sample->running = pages_value(core, "streams_live");
    ret_sample->sessions = pages_value(core, "sessions");
    ret_sample->ring_slots = pages_value(core, "ring_slots");
    ret_sample->ring_behind = slowest(core, pages_value(core, "ring_head"));
    ret_sample->journal_pages = pages_value(core, "journal_pages");
    ret_sample->journal_used = ret_sample->journal_pages > pages_free ? ret_sample->journal_pages - pages_free : 0;
    add_buckets(core, CORE_H_FIRST_TOKEN, ret_sample->first_token);
    for (size_t i = 0; i < pages->hosts; i++) {
        const struct stats_view *host = pages->host[i].view;

        ret_sample->clients += pages_value(host, "clients");
        ret_sample->readers += pages_value(host, "readers");
        add_buckets(host, HOST_H_LAG, ret_sample->lag);
    }
}

static uint64_t grown(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}

static void compare_buckets(const uint64_t *before, const uint64_t *now, struct stats_histogram *ret_histogram)
{
    uint64_t counts[STATS_BUCKETS], max = 0;

    for (uint32_t i = 0; i < STATS_BUCKETS; i++) {
        counts[i] = before ? grown(before[i], now[i]) : now[i];
        if (counts[i])
            max = stats_bucket_upper_ns(i);
    }
    stats_quantiles(counts, 0, max, ret_histogram);
}

void sample_compare(const struct sample *before, const struct sample *now, struct sample_rates *ret_rates)
{
    static const struct sample nothing;
    const struct sample *from = before && before->pid == now->pid ? before : &nothing;
    uint64_t wall_s = clock_wall_s(), ns = grown(from->at_ns, now->at_ns);
    struct sample_rates rates = {.running = now->running, .clients = now->clients, .readers = now->readers};

    if (from == &nothing)
        ns = (wall_s > now->started_wall_s ? wall_s - now->started_wall_s : 1) * CLOCK_S;
    rates.seconds = (double)(ns ? ns : 1) / (double)CLOCK_S;
    rates.answers_count = grown(from->answers, now->answers);
    rates.ended = grown(from->ended, now->ended);
    rates.failed = grown(from->failed, now->failed);
    rates.refused = grown(from->refused, now->refused);
    rates.answers = (double)rates.answers_count / rates.seconds;
    rates.deltas = (double)grown(from->deltas, now->deltas) / rates.seconds;
    rates.tokens = (double)grown(from->tokens, now->tokens) / rates.seconds;
    rates.ring = now->ring_slots ? (double)now->ring_behind / (double)now->ring_slots : 0;
    rates.ring = rates.ring > 1 ? 1 : rates.ring; /* it is lapped, and reads the journal */
    rates.journal = now->journal_pages ? (double)now->journal_used / (double)now->journal_pages : 0;
    compare_buckets(from == &nothing ? NULL : from->first_token, now->first_token, &rates.first_token);
    compare_buckets(from == &nothing ? NULL : from->lag, now->lag, &rates.lag);
    *ret_rates = rates;
}

void sample_json(const struct sample_rates *rates, struct umbel_out *out)
{
    umbel_out_printf(out,
                     "\"seconds\":%.3f,\"answers\":%" PRIu64 ",\"answers_per_s\":%.3f,\"deltas_per_s\":%.3f,\"tokens_per_s\":%.3f,"
                     "\"ended\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"running\":%" PRIu64 ",\"clients\":%" PRIu64
                     ",\"readers\":%" PRIu64,
                     rates->seconds, rates->answers_count, rates->answers, rates->deltas, rates->tokens, rates->ended, rates->failed,
                     rates->refused, rates->running, rates->clients, rates->readers);
    umbel_out_printf(out,
                     ",\"ttft_p50_ns\":%" PRIu64 ",\"ttft_p99_ns\":%" PRIu64 ",\"lag_p50_ns\":%" PRIu64 ",\"lag_p99_ns\":%" PRIu64
                     ",\"ring\":%.4f,\"journal\":%.4f",
                     rates->first_token.p50_ns, rates->first_token.p99_ns, rates->lag.p50_ns, rates->lag.p99_ns, rates->ring,
                     rates->journal);
}
