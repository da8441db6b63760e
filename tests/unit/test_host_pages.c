/* Unit tests of umbel_host.stats: what a plugin is shown of everybody's stats pages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <umbel/stats.h>

#include "core/host/hosting.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "core/metrics/stats_layout.h"

struct bench {
    struct hosting hosting;
    struct umbel_host host;
    struct stats_page *core;
    char path[8][128];
    uint32_t paths;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    char folder[] = "/tmp/umbel-pages-XXXXXX";
    struct why why = {""};

    assert_non_null(bench);
    assert_non_null(mkdtemp(folder));
    snprintf(bench->hosting.stats_folder, sizeof bench->hosting.stats_folder, "%s", folder);
    bench->hosting.transport.needs = UMBEL_NEEDS_STATS;
    bench->host.context = &bench->hosting;
    snprintf(bench->path[bench->paths], sizeof bench->path[0], "%s/core", folder);
    assert_int_equal(core_stats_create(bench->path[bench->paths++], 4, 8, 2, &bench->core, &why), 0);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    stats_page_free(bench->core);
    for (uint32_t i = 0; i < bench->paths; i++)
        unlink(bench->path[i]);
    rmdir(bench->hosting.stats_folder);
    free(bench);
    return 0;
}

/* A host that the core knows, with a page if it is wanted. */
static struct stats_page *add_host(struct bench *bench, const char *transport, const char *worker, uint64_t pid, bool with_page)
{
    uint32_t row = stats_row_take(bench->core, CORE_TABLE_HOSTS);
    struct stats_page *page = NULL;
    struct why why = {""};
    char name[80];

    snprintf(name, sizeof name, "%s.%s", transport, worker);
    stats_row_text(bench->core, CORE_TABLE_HOSTS, row, HOST_COL_NAME, name);
    stats_row_text(bench->core, CORE_TABLE_HOSTS, row, HOST_COL_TRANSPORT, transport);
    stats_row_u64(bench->core, CORE_TABLE_HOSTS, row, HOST_COL_PID, pid);
    if (!with_page)
        return NULL;
    snprintf(bench->path[bench->paths], sizeof bench->path[0], "%.64s/host-%.40s", bench->hosting.stats_folder, name);
    assert_int_equal(host_stats_create(bench->path[bench->paths++], name, 4, &page, &why), 0);
    return page;
}

struct seen {
    char pages[256];
    uint32_t counters, own, histograms, rows;
    uint64_t clients, tokens, lag;
};

static void see_page(void *arg, const struct umbel_stats_page *page)
{
    struct seen *seen = arg;
    size_t size = strlen(seen->pages);

    snprintf(seen->pages + size, sizeof seen->pages - size, "%s[%s.%s]", page->kind == UMBEL_STATS_CORE ? "core" : "host",
             page->transport, page->worker);
    assert_true(page->silent_ns < 60000000000ull);
}

static void see_counter(void *arg, const struct umbel_stats_page *page, const struct umbel_stats_counter *counter)
{
    struct seen *seen = arg;

    seen->counters++;
    seen->own += (counter->flags & UMBEL_STATS_OWN) != 0;
    if (page->kind == UMBEL_STATS_HOST && strcmp(counter->name, "clients") == 0) {
        assert_int_equal(counter->flags, UMBEL_STATS_GAUGE);
        seen->clients += counter->value;
    }
    if (strcmp(counter->name, "prompt_tokens") == 0) {
        assert_string_equal(counter->of, "demo");
        seen->tokens = counter->value;
    }
    assert_true(counter->flags & UMBEL_STATS_OWN || !strchr(counter->name, '/'));
    assert_string_not_equal(counter->name, "renamed");
    assert_true(!(counter->flags & UMBEL_STATS_OWN) || !(counter->flags & UMBEL_STATS_GAUGE));
}

static void see_histogram(void *arg, const struct umbel_stats_page *page, const struct umbel_stats_histogram *histogram)
{
    struct seen *seen = arg;

    (void)page;
    seen->histograms++;
    assert_int_equal(histogram->bucket_count, STATS_BUCKETS);
    assert_true(histogram->below_ns[STATS_BUCKETS - 1] == UINT64_MAX);
    for (uint32_t i = 0; i < histogram->bucket_count; i++) {
        assert_true(i == 0 || histogram->below_ns[i] > histogram->below_ns[i - 1]);
        if (strcmp(histogram->name, "lag") == 0 && histogram->counts[i]) {
            assert_true(histogram->below_ns[i] > 5000 && histogram->below_ns[i - 1] <= 5000);
            seen->lag += histogram->counts[i];
        }
    }
}

static int want_table(void *arg, const struct umbel_stats_page *page, const char *name)
{
    (void)arg, (void)page;
    return strcmp(name, "hosts") == 0;
}

static void see_row(void *arg, const struct umbel_stats_page *page, const char *table, const struct umbel_stats_cell *cells, uint32_t count)
{
    struct seen *seen = arg;

    assert_int_equal(page->kind, UMBEL_STATS_CORE);
    assert_string_equal(table, "hosts");
    assert_int_equal(count, HOST_COL_COUNT);
    assert_string_equal(cells[HOST_COL_PID].column, "pid");
    seen->rows++;
}

static const struct umbel_stats_visitor visitor = {.struct_size = sizeof visitor,
                                                   .page = see_page,
                                                   .counter = see_counter,
                                                   .histogram = see_histogram,
                                                   .table = want_table,
                                                   .row = see_row};

/* Goal: the core's page, then those of hosts that run, with their names in two; only the tables that were asked for.  Method: a host
 * with a page, one that has ended and left its page, one whose page is not there yet.  Catches: dead hosts shown; a missing page that
 * ends the visit. */
static void pages_of_those_that_run_are_shown(void **state)
{
    struct bench *bench = *state;
    struct stats_page *page = add_host(bench, "bmob", "0", 11, true);
    struct stats_page *dead = add_host(bench, "wx", "0", 0, true);
    struct seen seen = {0};

    add_host(bench, "api", "3", 12, false);
    struct stats_page *dotted = add_host(bench, "a.b", "12", 13, true);
    stats_set(page, HOST_CLIENTS, 5);
    stats_set(dead, HOST_CLIENTS, 100);
    stats_observe(page, HOST_H_LAG, 5000);
    stats_set(bench->core, stats_name_counter(bench->core, "prompt_tokens/demo", "", false), 7);
    assert_int_equal(host_pages(&bench->host, &visitor, &seen), 0);
    assert_string_equal(seen.pages, "core[.]host[bmob.0]host[a.b.12]");
    assert_int_equal(seen.clients, 5);
    assert_int_equal(seen.tokens, 7);
    assert_int_equal(seen.lag, 1);
    assert_int_equal(seen.rows, 4);
    assert_int_equal(seen.own, 0);
    assert_int_equal(seen.histograms, CORE_HISTOGRAM_COUNT + 2 * HOST_HISTOGRAM_COUNT);
    stats_page_free(page);
    stats_page_free(dead);
    stats_page_free(dotted);
}

/* Goal: what a host names itself is marked and bounded, whatever it writes.  Method: as many counters as a page holds, called
 * gauges, with strokes; the first counter of all hosts renamed and called a counter in the file.  Catches: a taken-over host that floods
 * everybody's monitoring, takes a family's type away from the others, or puts on labels that only the core has. */
static void counters_of_a_hosts_own_are_bounded(void **state)
{
    struct bench *bench = *state;
    struct stats_page *page = add_host(bench, "evil", "0", 11, true);
    struct seen seen = {0};
    char name[32];

    for (uint32_t i = 0; i < STATS_COUNTERS_MAX; i++) {
        snprintf(name, sizeof name, "made_%u/x", i);
        stats_name_counter(page, name, "", true);
    }
    struct stats_header header;
    uint32_t no_gauge = 0;
    assert_int_equal(pread(stats_page_fd(page), &header, sizeof header, 0), sizeof header);
    assert_int_equal(pwrite(stats_page_fd(page), "renamed", 8, (off_t)header.counters_at), 8);
    assert_int_equal(pwrite(stats_page_fd(page), &no_gauge, 4, (off_t)(header.counters_at + offsetof(struct stats_counter_entry, gauge))), 4);
    stats_set(page, HOST_CLIENTS, 5);
    assert_int_equal(host_pages(&bench->host, &visitor, &seen), 0);
    assert_int_equal(seen.clients, 5);
    assert_int_equal(seen.own, 64);
    assert_int_equal(seen.counters, CORE_COUNTER_COUNT + HOST_COUNTER_COUNT + 64);
    stats_page_free(page);
}

/* Goal: only who declared it is shown anything; without a core there is nothing; an older, shorter visitor is not read past its end.
 * Catches: the need taken for granted; callbacks beyond struct_size called. */
static void rules_of_the_visit(void **state)
{
    struct bench *bench = *state;
    struct umbel_stats_visitor shorter = visitor;
    struct seen seen = {0};

    shorter.struct_size = offsetof(struct umbel_stats_visitor, histogram);
    assert_int_equal(host_pages(&bench->host, &shorter, &seen), 0);
    assert_int_equal(seen.histograms, 0);
    assert_true(seen.counters > 0);
    bench->hosting.transport.needs = 0;
    assert_int_equal(host_pages(&bench->host, &visitor, &seen), -EPERM);
    bench->hosting.transport.needs = UMBEL_NEEDS_STATS;
    unlink(bench->path[0]);
    assert_int_equal(host_pages(&bench->host, &visitor, &seen), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_of_those_that_run_are_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(counters_of_a_hosts_own_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_of_the_visit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
