#include "pages.h"

#include <errno.h>
#include <string.h>

#include "names.h"

struct pages {
    struct exposition exposition;
    const char *engine; /* of the core */
    char version[32];
};

static void put_gauge(struct pages *pages, const char *name, const char *help, const struct exposition_label *labels, uint32_t count,
                      uint64_t value)
{
    const struct exposition_metric metric = {name, help, EXPOSITION_GAUGE};

    exposition_value(&pages->exposition, &metric, labels, count, value, 0);
}

static void on_page(void *arg, const struct umbel_stats_page *page)
{
    struct pages *pages = arg;
    const struct exposition_label labels[] = {{"transport", page->transport}, {"worker", page->worker}};

    if (page->kind == UMBEL_STATS_CORE) {
        size_t size = strnlen(page->version, sizeof pages->version - 1);
        memcpy(pages->version, page->version, size);
        put_gauge(pages, "umbel_start_time_seconds", "when the core started, in seconds since 1970", NULL, 0, page->started_s);
        const struct exposition_metric silent = {"umbel_silent_seconds", "since the core's last sign of life; it gives one a second",
                                                 EXPOSITION_GAUGE};
        exposition_value(&pages->exposition, &silent, NULL, 0, page->silent_ns, 9);
    } else {
        put_gauge(pages, "umbel_host_start_time_seconds", "when the host process started, in seconds since 1970", labels, 2, page->started_s);
    }
}

static void on_counter(void *arg, const struct umbel_stats_page *page, const struct umbel_stats_counter *counter)
{
    struct pages *pages = arg;
    struct names_place place;
    char buffer[NAMES_BUFFER];

    if (page->kind == UMBEL_STATS_CORE && counter->value && strncmp(counter->name, "engine_", 7) == 0)
        pages->engine = strcmp(counter->name, "engine_epoll") == 0 ? "epoll" : "io_uring";
    if (!names_counter(page, counter, buffer, &place) || (counter->value == 0 && strcmp(counter->of, "others") == 0))
        return;
    const struct exposition_label labels[] = {
        {"transport", page->transport}, {"worker", page->worker}, {place.of ? place.of : "of", place.of ? counter->of : ""}, place.fixed};
    exposition_value(&pages->exposition, &place.metric, labels, 4, counter->value, place.decimals);
}

static void on_histogram(void *arg, const struct umbel_stats_page *page, const struct umbel_stats_histogram *histogram)
{
    struct pages *pages = arg;
    struct names_place place;
    char buffer[NAMES_BUFFER];

    if (!names_histogram(page, histogram, buffer, &place) || (histogram->max_ns == 0 && strcmp(histogram->of, "others") == 0))
        return;
    const struct exposition_label labels[] = {
        {"transport", page->transport}, {"worker", page->worker}, {place.of ? place.of : "of", place.of ? histogram->of : ""}};
    exposition_histogram(&pages->exposition, &place.metric, labels, 3, histogram->counts, histogram->below_ns, histogram->bucket_count,
                         histogram->sum_ns, place.first, place.last);
}

static int on_table(void *arg, const struct umbel_stats_page *page, const char *name)
{
    (void)arg;
    return page->kind == UMBEL_STATS_CORE && (strcmp(name, "hosts") == 0 || strcmp(name, "upstreams") == 0);
}

static const struct umbel_stats_cell *cell(const struct umbel_stats_cell *cells, uint32_t count, const char *column)
{
    static const struct umbel_stats_cell none = {"", "", 0};

    for (uint32_t i = 0; i < count; i++)
        if (strcmp(cells[i].column, column) == 0)
            return &cells[i];
    return &none;
}

static void put_host(struct pages *pages, const struct umbel_stats_cell *cells, uint32_t count)
{
    static const struct exposition_metric restarts = {"umbel_host_restarts", "times the host process was started again",
                                                      EXPOSITION_COUNTER};
    const char *name = cell(cells, count, "name")->text, *dot = strrchr(name, '.');
    const struct exposition_label labels[] = {{"transport", cell(cells, count, "transport")->text}, {"worker", dot ? dot + 1 : ""}};

    put_gauge(pages, "umbel_host_up", "1: the host process runs and serves", labels, 2,
              strcmp(cell(cells, count, "state")->text, "running") == 0);
    put_gauge(pages, "umbel_host_held", "1: it failed too often and stays down until an operator restarts it", labels, 2,
              strcmp(cell(cells, count, "state")->text, "held") == 0);
    exposition_value(&pages->exposition, &restarts, labels, 2, cell(cells, count, "restarts")->number, 0);
}

static void put_upstream(struct pages *pages, const struct umbel_stats_cell *cells, uint32_t count)
{
    static const struct exposition_metric started = {"umbel_upstream_calls_started", "calls begun", EXPOSITION_COUNTER};
    static const struct exposition_metric calls = {"umbel_upstream_calls", "calls ended, by verdict", EXPOSITION_COUNTER};
    static const struct exposition_metric bytes = {"umbel_upstream_received_bytes", "bytes received", EXPOSITION_COUNTER};
    static const char *const verdicts[] = {"complete", "truncated", "failed", "cancelled"};
    const struct exposition_label labels[] = {{"upstream", cell(cells, count, "name")->text}};

    put_gauge(pages, "umbel_upstream_calls_active", "calls running now", labels, 1, cell(cells, count, "active")->number);
    put_gauge(pages, "umbel_upstream_calls_waiting", "calls waiting in the queue", labels, 1, cell(cells, count, "waiting")->number);
    put_gauge(pages, "umbel_upstream_breaker_open", "1: it failed too often and is left alone for a while", labels, 1,
              strcmp(cell(cells, count, "breaker")->text, "open") == 0);
    exposition_value(&pages->exposition, &started, labels, 1, cell(cells, count, "calls")->number, 0);
    exposition_value(&pages->exposition, &bytes, labels, 1, cell(cells, count, "bytes_in")->number, 0);
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        const struct exposition_label both[] = {labels[0], {"verdict", verdicts[i]}};
        exposition_value(&pages->exposition, &calls, both, 2, cell(cells, count, verdicts[i])->number, 0);
    }
}

static void on_row(void *arg, const struct umbel_stats_page *page, const char *table, const struct umbel_stats_cell *cells, uint32_t count)
{
    (void)page;
    if (strcmp(table, "hosts") == 0)
        put_host(arg, cells, count);
    else
        put_upstream(arg, cells, count);
}

int pages_write(const struct umbel_host *host, bool open_metrics, struct umbel_out *out)
{
    const struct umbel_stats_visitor visitor = {.struct_size = sizeof visitor,
                                                .page = on_page,
                                                .counter = on_counter,
                                                .histogram = on_histogram,
                                                .table = on_table,
                                                .row = on_row};
    struct pages pages = {.engine = ""};

    exposition_begin(&pages.exposition, open_metrics);
    int r = host->stats(host, &visitor, &pages);
    const struct exposition_label build[] = {{"version", pages.version}, {"engine", pages.engine}};
    put_gauge(&pages, "umbel_build_info", "always 1; the version that runs and what its engine waits on", build, 2, 1);
    put_gauge(&pages, "umbel_metrics_dropped", "series left out of this text: their names clash, or there are too many", NULL, 0,
              pages.exposition.dropped);
    if (!exposition_end(&pages.exposition, out) && r == 0)
        r = -ENOMEM;
    return r;
}
