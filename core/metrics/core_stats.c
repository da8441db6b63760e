#include "core/metrics/core_stats.h"

#define COUNTER_SPEC(id, name, help) {name, help, false},
#define GAUGE_SPEC(id, name, help) {name, help, true},
#define COLUMN_SPEC(id, name, type, size) {name, type, size},

static const struct stats_counter_spec core_counters[] = {CORE_COUNTERS(COUNTER_SPEC, GAUGE_SPEC)};
static const struct stats_counter_spec core_histograms[] = {CORE_HISTOGRAMS(COUNTER_SPEC)};
static const struct stats_column stream_columns[] = {CORE_STREAM_COLUMNS(COLUMN_SPEC)};
static const struct stats_column host_columns[] = {CORE_HOST_COLUMNS(COLUMN_SPEC)};
static const struct stats_column upstream_columns[] = {CORE_UPSTREAM_COLUMNS(COLUMN_SPEC)};

int core_stats_create(const char *path, uint32_t streams, uint32_t hosts, uint32_t upstreams, struct stats_page **ret_page,
                      struct why *why)
{
    const struct stats_table_spec tables[CORE_TABLES] = {
        [CORE_TABLE_STREAMS] = {"streams", streams, stream_columns, STREAM_COL_COUNT},
        [CORE_TABLE_HOSTS] = {"hosts", hosts, host_columns, HOST_COL_COUNT},
        [CORE_TABLE_UPSTREAMS] = {"upstreams", upstreams, upstream_columns, UPSTREAM_COL_COUNT},
    };
    const uint32_t named = upstreams < CORE_UPSTREAMS_NAMED_MAX ? upstreams : CORE_UPSTREAMS_NAMED_MAX;

    return stats_page_create_spare(path, "umbeld", "core", core_counters, CORE_COUNTER_COUNT, core_histograms, CORE_HISTOGRAM_COUNT,
                                   CORE_UPSTREAM_HISTOGRAM_COUNT * (named + 1), tables, CORE_TABLES, ret_page, why);
}
