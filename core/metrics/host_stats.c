#include "core/metrics/host_stats.h"

#define COUNTER_SPEC(id, name, help) {name, help, false},
#define GAUGE_SPEC(id, name, help) {name, help, true},
#define COLUMN_SPEC(id, name, type, size) {name, type, size},

static const struct stats_counter_spec host_counters[] = {HOST_COUNTERS(COUNTER_SPEC, GAUGE_SPEC)};
static const struct stats_counter_spec host_histograms[] = {HOST_HISTOGRAMS(COUNTER_SPEC)};
static const struct stats_column client_columns[] = {HOST_CLIENT_COLUMNS(COLUMN_SPEC)};

int host_stats_create(const char *path, const char *name, uint32_t clients, struct stats_page **ret_page, struct why *why)
{
    const struct stats_table_spec tables[HOST_TABLES] = {
        [HOST_TABLE_CLIENTS] = {"clients", clients, client_columns, CLIENT_COL_COUNT},
    };

    return stats_page_create(path, "umbel-host", name, host_counters, HOST_COUNTER_COUNT, host_histograms, HOST_HISTOGRAM_COUNT, tables,
                             HOST_TABLES, ret_page, why);
}
