/* metrics/stats_view.h - reading a stats page from outside: umbelctl, metrics, tests.  Works while the writer is stopped or dead.
 *
 * The page's writer may be hostile (a host that was taken over owns its page).  So the reader never maps the file: it copies by pread(2),
 * which a truncated file makes short instead of a SIGBUS.  Names and geometry are copied and checked at open; later only values are read,
 * at offsets that were checked.  Text is whatever the writer put there: zero-terminated here, but not checked to be UTF-8.
 * A view is used by one thread at a time. */
#ifndef STATS_VIEW_H
#define STATS_VIEW_H

#include "core/metrics/stats_page.h"

struct stats_view;

/* stats_view_open - opens the file read-only and checks it.  -ENOENT, other -errno; -EPROTO with words. */
int stats_view_open(const char *path, struct stats_view **ret_view, struct why *why);
void stats_view_close(struct stats_view *view);

struct stats_who {
    char program[32], name[64];
    uint32_t pid;
    uint64_t started_wall_s, beat_ns;
    char version[16]; /* of the program that created the page */
};
void stats_view_who(const struct stats_view *view, struct stats_who *ret_who);

uint32_t stats_view_counters(const struct stats_view *view);
bool stats_view_counter(const struct stats_view *view, uint32_t index, const char **ret_name, const char **ret_help, bool *ret_gauge,
                        uint64_t *ret_value);
bool stats_view_find(const struct stats_view *view, const char *counter, uint64_t *ret_value);

struct stats_histogram {
    uint64_t count, sum_ns, max_ns;
    uint64_t p50_ns, p90_ns, p99_ns, p999_ns; /* upper bounds of their buckets */
};
uint32_t stats_view_histograms(const struct stats_view *view);
const char *stats_view_histogram_help(const struct stats_view *view, uint32_t index);
/* stats_view_buckets - copies STATS_BUCKETS counts; see stats_bucket_upper_ns. */
bool stats_view_buckets(const struct stats_view *view, uint32_t index, uint64_t *ret_counts, uint64_t *ret_sum_ns, uint64_t *ret_max_ns);
/* stats_quantiles - what buckets (possibly added up over several pages) say. */
void stats_quantiles(const uint64_t *counts, uint64_t sum_ns, uint64_t max_ns, struct stats_histogram *ret_histogram);
bool stats_view_histogram(const struct stats_view *view, uint32_t index, const char **ret_name, struct stats_histogram *ret_histogram);

/* Tables: by name; rows in use are visited as consistent copies (a row that stays torn after bounded tries is shown as it is). */
uint32_t stats_view_tables(const struct stats_view *view);
const char *stats_view_table_name(const struct stats_view *view, uint32_t table);
uint32_t stats_view_columns(const struct stats_view *view, uint32_t table);
bool stats_view_column(const struct stats_view *view, uint32_t table, uint32_t column, const char **ret_name, enum stats_type *ret_type);
uint32_t stats_view_capacity(const struct stats_view *view, uint32_t table);

struct stats_cell {
    enum stats_type type;
    uint64_t number;
    char text[STATS_TEXT_MAX];
};
/* stats_view_row - copies row into cells (one per column, as many as fit cell_count).  False if the row is free. */
bool stats_view_row(const struct stats_view *view, uint32_t table, uint32_t row, struct stats_cell *ret_cells, uint32_t cell_count);
/* stats_view_row_seen - the same, and tells a consistent copy from one that stayed torn (the writer died or was stopped inside it). */
enum stats_row_seen { STATS_ROW_FREE, STATS_ROW_WHOLE, STATS_ROW_TORN };
enum stats_row_seen stats_view_row_seen(const struct stats_view *view, uint32_t table, uint32_t row, struct stats_cell *ret_cells,
                                        uint32_t cell_count);

#endif
