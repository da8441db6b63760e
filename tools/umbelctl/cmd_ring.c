/* ring show: the ring, the journal, and each host's distance from the ring's head. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "tools/umbelctl/pages.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/rows.h"

static const char *const ring_values[] = {"ring_slots", "ring_head", "ring_records", "ring_batches", "ring_wakes", "ring_wakes_saved"};
static const char *const journal_values[] = {"journal_pages",   "journal_pages_free", "journal_streams",
                                             "journal_evicted", "journal_full"};
static const char *const host_values[] = {"ring_records", "wakes", "catchups", "lapped", "slow", "stale"};

enum { COL_HOST, COL_STATE, COL_CURSOR, COL_BEHIND, COL_P50, COL_P99, COL_MAX, COL_VALUES };

static const struct stats_view *view_of(const struct pages *pages, const char *name)
{
    for (size_t i = 0; i < pages->hosts; i++)
        if (strcmp(pages->host[i].name, name) == 0)
            return pages->host[i].view;
    return NULL;
}

static void fill_from_page(struct stats_cell *cells, const struct stats_view *view)
{
    struct stats_histogram lag;

    if (!view)
        return;
    if (stats_view_histogram(view, HOST_H_LAG, NULL, &lag)) {
        cells[COL_P50].number = lag.p50_ns;
        cells[COL_P99].number = lag.p99_ns;
        cells[COL_MAX].number = lag.max_ns;
    }
    for (size_t i = 0; i < sizeof host_values / sizeof host_values[0]; i++)
        cells[COL_VALUES + i].number = pages_value(view, host_values[i]);
}

static void load_hosts(struct rows *rows, const struct pages *pages, uint64_t head)
{
    struct stats_cell row[HOST_COL_COUNT];

    for (uint32_t i = 0; i < stats_view_capacity(pages->core, CORE_TABLE_HOSTS); i++) {
        struct stats_cell *cells;
        uint64_t cursor;

        if (!stats_view_row(pages->core, CORE_TABLE_HOSTS, i, row, HOST_COL_COUNT) || !(cells = rows_add(rows)))
            continue;
        cursor = row[HOST_COL_CURSOR].number;
        memcpy(cells[COL_HOST].text, row[HOST_COL_NAME].text, STATS_TEXT_MAX);
        memcpy(cells[COL_STATE].text, row[HOST_COL_STATE].text, STATS_TEXT_MAX);
        cells[COL_CURSOR].number = cursor;
        if (row[HOST_COL_PID].number && (int64_t)(head - cursor) > 0) /* the two are read one after the other: it may be ahead */
            cells[COL_BEHIND].number = head - cursor;
        fill_from_page(cells, view_of(pages, row[HOST_COL_NAME].text));
    }
}

static void print_text(const struct pages *pages, const struct rows *rows, bool colour)
{
    uint64_t total = pages_value(pages->core, "journal_pages"), free = pages_value(pages->core, "journal_pages_free");

    printf("ring     %" PRIu64 " slots, head at %" PRIu64 "; %" PRIu64 " records in %" PRIu64 " batches\n",
           pages_value(pages->core, "ring_slots"), pages_value(pages->core, "ring_head"), pages_value(pages->core, "ring_records"),
           pages_value(pages->core, "ring_batches"));
    printf("wakes    %" PRIu64 " sent, %" PRIu64 " saved\n", pages_value(pages->core, "ring_wakes"),
           pages_value(pages->core, "ring_wakes_saved"));
    printf("journal  %" PRIu64 " of %" PRIu64 " pages used (%.0f %%) by %" PRIu64 " streams; %" PRIu64 " evicted, %" PRIu64 " times full\n\n",
           total > free ? total - free : 0, total, total && total > free ? 100.0 * (double)(total - free) / (double)total : 0.0,
           pages_value(pages->core, "journal_streams"), pages_value(pages->core, "journal_evicted"),
           pages_value(pages->core, "journal_full"));
    rows_print(rows, colour);
}

static void put_values(struct umbel_out *out, const struct stats_view *view, const char *const *names, size_t count, size_t prefix)
{
    for (size_t i = 0; i < count; i++)
        umbel_out_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "", names[i] + prefix, pages_value(view, names[i]));
}

static int print_json(const struct pages *pages, const struct rows *rows)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, "{\"ring\":{");
    put_values(&out, pages->core, ring_values, sizeof ring_values / sizeof ring_values[0], strlen("ring_"));
    umbel_out_text(&out, "},\n\"journal\":{");
    put_values(&out, pages->core, journal_values, sizeof journal_values / sizeof journal_values[0], strlen("journal_"));
    umbel_out_text(&out, "},\n\"hosts\":");
    rows_json(rows, &out);
    umbel_out_text(&out, "}");
    return print_document(&out);
}

int ctl_ring_show(const struct ctl *ctl)
{
    struct pages pages;
    struct rows rows;
    int r = pages_open(ctl, true, &pages);

    if (r != CTL_OK)
        return r;
    rows_init(&rows);
    rows_column(&rows, "host", STATS_TEXT, true);
    rows_column(&rows, "state", STATS_TEXT, true);
    rows_column(&rows, "cursor", STATS_U64, true);
    rows_column(&rows, "behind", STATS_U64, true);
    rows_column(&rows, "lag_p50_ns", ROWS_NS, true);
    rows_column(&rows, "lag_p99_ns", ROWS_NS, true);
    rows_column(&rows, "lag_max_ns", ROWS_NS, true);
    for (size_t i = 0; i < sizeof host_values / sizeof host_values[0]; i++)
        rows_column(&rows, host_values[i], STATS_U64, true);
    load_hosts(&rows, &pages, pages_value(pages.core, "ring_head"));
    if (ctl->json)
        r = print_json(&pages, &rows);
    else
        print_text(&pages, &rows, ctl->colour);
    rows_free(&rows);
    pages_close(&pages);
    return r;
}
