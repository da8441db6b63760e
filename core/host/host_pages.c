/* host/host_pages.c - shows a plugin everybody's stats pages (umbel_host.stats).  Which hosts run is the core's word; of a host's own page
 * only what it counts is taken, within bounds. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <umbel/stats.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "core/metrics/stats_view.h"

#define OWN_MAX 64u /* counters of a plugin's own that are shown of one host */

struct visit {
    const struct umbel_stats_visitor *to;
    void *arg;
    const struct stats_view *view;
    struct umbel_stats_page page;
};

/* What every host counts, by number: a host that was taken over must not rename it, or call a gauge a counter, in everybody's metrics. */
#define KNOWN_COUNTER(id, name, help) {name, help, false},
#define KNOWN_GAUGE(id, name, help) {name, help, true},
static const struct stats_counter_spec known_counters[] = {HOST_COUNTERS(KNOWN_COUNTER, KNOWN_GAUGE)};
static const struct stats_counter_spec known_histograms[] = {HOST_HISTOGRAMS(KNOWN_COUNTER)};

/* Cuts "first_token/demo" in two; without a stroke *ret_of is "". */
static const char *cut_name(const char *whole, char *buffer, size_t room, const char **ret_of)
{
    snprintf(buffer, room, "%s", whole);
    char *stroke = strchr(buffer, '/');
    if (stroke)
        *stroke = '\0';
    *ret_of = stroke ? stroke + 1 : "";
    return buffer;
}

static void visit_counters(const struct visit *visit)
{
    bool is_host = visit->page.kind == UMBEL_STATS_HOST;
    uint32_t own = 0;
    const char *whole, *help;
    char name[STATS_NAME_SIZE];
    uint64_t value;
    bool gauge;

    for (uint32_t i = 0; visit->to->counter && stats_view_counter(visit->view, i, &whole, &help, &gauge, &value); i++) {
        struct umbel_stats_counter counter = {.struct_size = sizeof counter, .help = help, .value = value};

        if (is_host && i < HOST_COUNTER_COUNT) {
            counter.name = known_counters[i].name;
            counter.of = "";
            counter.help = known_counters[i].help;
            counter.flags = known_counters[i].gauge ? UMBEL_STATS_GAUGE : 0;
        } else if (is_host) {
            counter.name = whole; /* umbel_host.count makes counters only */
            counter.of = "";
            counter.flags = UMBEL_STATS_OWN;
        } else {
            counter.name = cut_name(whole, name, sizeof name, &counter.of);
            counter.flags = gauge ? UMBEL_STATS_GAUGE : 0;
        }
        if (!(counter.flags & UMBEL_STATS_OWN) || own++ < OWN_MAX)
            visit->to->counter(visit->arg, &visit->page, &counter);
    }
}

static void visit_histograms(const struct visit *visit)
{
    static uint64_t below_ns[STATS_BUCKETS]; /* filled once: the same for ever */
    uint64_t counts[STATS_BUCKETS];
    char name[STATS_NAME_SIZE];

    for (uint32_t i = 0; below_ns[STATS_BUCKETS - 1] == 0 && i < STATS_BUCKETS; i++)
        below_ns[i] = stats_bucket_upper_ns(i);
    for (uint32_t i = 0; visit->to->histogram && i < stats_view_histograms(visit->view); i++) {
        struct umbel_stats_histogram histogram = {.struct_size = sizeof histogram,
                                                  .bucket_count = STATS_BUCKETS,
                                                  .help = stats_view_histogram_help(visit->view, i),
                                                  .counts = counts,
                                                  .below_ns = below_ns};
        const char *whole;

        if (!stats_view_histogram(visit->view, i, &whole, NULL) ||
            !stats_view_buckets(visit->view, i, counts, &histogram.sum_ns, &histogram.max_ns))
            continue;
        histogram.name = cut_name(whole, name, sizeof name, &histogram.of);
        if (visit->page.kind == UMBEL_STATS_HOST && i >= HOST_HISTOGRAM_COUNT)
            return;
        if (visit->page.kind == UMBEL_STATS_HOST) {
            histogram.name = known_histograms[i].name;
            histogram.of = "";
            histogram.help = known_histograms[i].help;
        }
        visit->to->histogram(visit->arg, &visit->page, &histogram);
    }
}

static void visit_rows(const struct visit *visit, uint32_t table)
{
    const char *name = stats_view_table_name(visit->view, table);
    struct umbel_stats_cell cells[STATS_COLUMNS_MAX];
    struct stats_cell values[STATS_COLUMNS_MAX];
    uint32_t columns = stats_view_columns(visit->view, table);

    for (uint32_t row = 0; row < stats_view_capacity(visit->view, table); row++) {
        if (!stats_view_row(visit->view, table, row, values, STATS_COLUMNS_MAX))
            continue;
        for (uint32_t i = 0; i < columns; i++) {
            cells[i] = (struct umbel_stats_cell){.text = values[i].text, .number = values[i].number};
            stats_view_column(visit->view, table, i, &cells[i].column, NULL);
        }
        visit->to->row(visit->arg, &visit->page, name, cells, columns);
    }
}

static void visit_page(struct visit *visit)
{
    struct stats_who who;
    uint64_t now_ns = clock_now_ns();

    stats_view_who(visit->view, &who);
    visit->page.struct_size = sizeof visit->page;
    visit->page.version = who.version;
    visit->page.pid = who.pid;
    visit->page.started_s = who.started_wall_s;
    visit->page.silent_ns = now_ns > who.beat_ns ? now_ns - who.beat_ns : 0;
    if (visit->to->page)
        visit->to->page(visit->arg, &visit->page);
    visit_counters(visit);
    visit_histograms(visit);
    for (uint32_t i = 0; visit->to->table && visit->to->row && i < stats_view_tables(visit->view); i++)
        if (visit->to->table(visit->arg, &visit->page, stats_view_table_name(visit->view, i)))
            visit_rows(visit, i);
}

/* name: TRANSPORT.WORKER, as the core says it. */
static void visit_host(const struct hosting *hosting, struct visit *visit, const char *name, const char *transport)
{
    const char *dot = strrchr(name, '.');
    struct stats_view *view;
    struct why why = {""};
    char path[PATH_MAX];

    if (!dot || snprintf(path, sizeof path, "%s/host-%s", hosting->stats_folder, name) >= (int)sizeof path)
        return;
    if (stats_view_open(path, &view, &why) < 0) {
        log_debug("%s is left out: %s", name, why.text); /* its host may just have gone */
        return;
    }
    visit->view = view;
    visit->page = (struct umbel_stats_page){.kind = UMBEL_STATS_HOST, .transport = transport, .worker = dot + 1};
    visit_page(visit);
    stats_view_close(view);
}

int host_pages(const struct umbel_host *host, const struct umbel_stats_visitor *visitor, void *arg)
{
    const struct hosting *hosting = host->context;
    struct umbel_stats_visitor to = {0};
    struct visit visit = {.to = &to, .arg = arg, .page = {.kind = UMBEL_STATS_CORE, .transport = "", .worker = ""}};
    struct stats_cell cells[HOST_COL_COUNT];
    struct stats_view *core;
    struct why why = {""};
    char path[PATH_MAX];

    if (!(hosting->transport.needs & UMBEL_NEEDS_STATS))
        return -EPERM;
    memcpy(&to, visitor, visitor->struct_size < sizeof to ? visitor->struct_size : sizeof to);
    if (snprintf(path, sizeof path, "%s/core", hosting->stats_folder) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int r = stats_view_open(path, &core, &why);
    if (r < 0) {
        log_warn("the core's stats page cannot be read: %s", why.text);
        return r;
    }
    visit.view = core;
    visit_page(&visit);
    for (uint32_t row = 0; row < stats_view_capacity(core, CORE_TABLE_HOSTS); row++)
        if (stats_view_row(core, CORE_TABLE_HOSTS, row, cells, HOST_COL_COUNT) && cells[HOST_COL_PID].number != 0)
            visit_host(hosting, &visit, cells[HOST_COL_NAME].text, cells[HOST_COL_TRANSPORT].text);
    stats_view_close(core);
    return 0;
}
