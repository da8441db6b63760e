/* counters [PATTERN]: every counter, gauge and histogram of the core and of each host. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "tools/umbelctl/pages.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/rows.h"

enum { COL_PAGE, COL_NAME, COL_KIND, COL_VALUE, COL_SUM, COL_MAX, COL_P50, COL_P90, COL_P99, COL_P999, COL_HELP };

/* A pattern without wildcards matches anywhere in the name. */
static bool is_wanted(const char *pattern, const char *name)
{
    if (!pattern)
        return true;
    return strpbrk(pattern, "*?[") ? fnmatch(pattern, name, 0) == 0 : strstr(name, pattern) != NULL;
}

static struct stats_cell *begin_row(struct rows *rows, const char *page, const char *name, const char *kind, const char *help)
{
    struct stats_cell *cells = rows_add(rows);

    if (!cells)
        return NULL;
    snprintf(cells[COL_PAGE].text, sizeof cells[COL_PAGE].text, "%s", page);
    snprintf(cells[COL_NAME].text, sizeof cells[COL_NAME].text, "%s", name);
    snprintf(cells[COL_KIND].text, sizeof cells[COL_KIND].text, "%s", kind);
    snprintf(cells[COL_HELP].text, sizeof cells[COL_HELP].text, "%s", help);
    return cells;
}

static void load_page(struct rows *rows, const char *page, const struct stats_view *view, const char *pattern)
{
    const char *name, *help;
    struct stats_cell *cells;
    uint64_t value;
    bool gauge;

    for (uint32_t i = 0; stats_view_counter(view, i, &name, &help, &gauge, &value); i++)
        if (is_wanted(pattern, name) && (cells = begin_row(rows, page, name, gauge ? "gauge" : "counter", help)))
            cells[COL_VALUE].number = value;
    for (uint32_t i = 0; i < stats_view_histograms(view); i++) {
        struct stats_histogram histogram;

        if (!stats_view_histogram(view, i, &name, &histogram) || !is_wanted(pattern, name))
            continue;
        cells = begin_row(rows, page, name, "histogram", stats_view_histogram_help(view, i));
        if (!cells)
            continue;
        cells[COL_VALUE].number = histogram.count;
        cells[COL_SUM].number = histogram.sum_ns;
        cells[COL_MAX].number = histogram.max_ns;
        cells[COL_P50].number = histogram.p50_ns;
        cells[COL_P90].number = histogram.p90_ns;
        cells[COL_P99].number = histogram.p99_ns;
        cells[COL_P999].number = histogram.p999_ns;
    }
}

static int print_json(const struct rows *rows)
{
    struct umbel_out out = {0};

    rows_json(rows, &out);
    return print_document(&out);
}

int ctl_counters(const struct ctl *ctl)
{
    const char *pattern = ctl->word_count ? ctl->words[0] : NULL;
    struct pages pages;
    struct rows rows;
    int r = pages_open(ctl, true, &pages);

    if (r != CTL_OK)
        return r;
    rows_init(&rows);
    rows_column(&rows, "page", STATS_TEXT, true);
    rows_column(&rows, "name", STATS_TEXT, true);
    rows_column(&rows, "kind", STATS_TEXT, false);
    rows_column(&rows, "value", STATS_U64, true);
    rows_column(&rows, "sum_ns", ROWS_NS, false);
    rows_column(&rows, "max_ns", ROWS_NS, false);
    rows_column(&rows, "p50_ns", ROWS_NS, true);
    rows_column(&rows, "p90_ns", ROWS_NS, false);
    rows_column(&rows, "p99_ns", ROWS_NS, true);
    rows_column(&rows, "p999_ns", ROWS_NS, false);
    rows_column(&rows, "help", STATS_TEXT, true);
    load_page(&rows, "core", pages.core, pattern);
    for (size_t i = 0; i < pages.hosts; i++)
        load_page(&rows, pages.host[i].name, pages.host[i].view, pattern);
    if (pattern && rows.count == 0)
        r = ctl_complain(CTL_FAILED, "umbelctl counters lists all names; a pattern may use * and ?", "no counter matches %s", pattern);
    if (ctl->json)
        r = print_json(&rows) != CTL_OK ? CTL_FAILED : r;
    else if (rows.count > 0)
        rows_print(&rows, ctl->colour);
    rows_free(&rows);
    pages_close(&pages);
    return r;
}
