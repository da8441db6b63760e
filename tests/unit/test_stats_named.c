/* Unit tests of what gets its name while a page lives: histograms, each upstream's numbers; and of a process's own costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/daemon/answer_stats.c"
#include "core/metrics/process_stats.h"
#include "core/metrics/stats_view.h"
#include "core/upstream/upstream_breaker.h"

struct bench {
    char folder[64], path[128];
    struct stats_page *page;
    struct stats_view *view;
};

static int make_bench(void **state, uint32_t upstreams)
{
    static struct bench bench;
    struct why why = {""};

    snprintf(bench.folder, sizeof bench.folder, "/tmp/umbel-named-XXXXXX");
    assert_non_null(mkdtemp(bench.folder));
    snprintf(bench.path, sizeof bench.path, "%s/core", bench.folder);
    assert_int_equal(core_stats_create(bench.path, 4, 4, upstreams, &bench.page, &why), 0);
    assert_int_equal(stats_view_open(bench.path, &bench.view, &why), 0);
    *state = &bench;
    return 0;
}

static int setup(void **state)
{
    return make_bench(state, 3);
}

static int setup_many(void **state)
{
    return make_bench(state, 500);
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    stats_view_close(bench->view);
    stats_page_free(bench->page);
    unlink(bench->path);
    rmdir(bench->folder);
    return 0;
}

/* How many values a histogram of the page has, or UINT64_MAX if there is none of this name. */
static uint64_t observed(const struct bench *bench, const char *name)
{
    for (uint32_t i = 0; i < stats_view_histograms(bench->view); i++) {
        struct stats_histogram histogram;
        const char *found;
        assert_true(stats_view_histogram(bench->view, i, &found, &histogram));
        if (strcmp(found, name) == 0)
            return histogram.count;
    }
    return UINT64_MAX;
}

static uint64_t counted(const struct bench *bench, const char *name)
{
    uint64_t value = UINT64_MAX;

    stats_view_find(bench->view, name, &value);
    return value;
}

/* Goal: a histogram named later is seen by a view that was open before, and the room for them is a bound.  Catches: a count that readers
 * never look at again; one name made twice; a write past the room. */
static void histograms_are_named_while_the_page_lives(void **state)
{
    struct bench *bench = *state;
    uint32_t before = stats_view_histograms(bench->view), made = 0;
    char name[32];

    assert_int_equal(observed(bench, "first_token/a"), UINT64_MAX);
    uint32_t at = stats_name_histogram(bench->page, "first_token/a", "help");
    assert_int_equal(at, before);
    assert_int_equal(stats_name_histogram(bench->page, "first_token/a", "help"), at);
    stats_observe(bench->page, at, 1000);
    assert_int_equal(observed(bench, "first_token/a"), 1);
    assert_string_equal(stats_view_histogram_help(bench->view, at), "help");
    do
        snprintf(name, sizeof name, "made/%u", made);
    while (stats_name_histogram(bench->page, name, "") != UINT32_MAX && ++made < 1000);
    assert_int_equal(made + 1, CORE_UPSTREAM_HISTOGRAM_COUNT * (3 + 1));
    assert_int_equal(stats_view_histograms(bench->view), before + made + 1);
    assert_int_equal(stats_name_histogram(bench->page, "first_token/a", ""), at);
}

/* Goal: an answer's numbers go to its upstream and to the whole, errors to their kind.  Catches: first and later deltas mixed up; an
 * error counted for a good answer; a kind without a name. */
static void numbers_go_to_their_upstream(void **state)
{
    struct bench *bench = *state;
    struct answer_stats one, other;

    answer_stats_setup(bench->page);
    answer_stats_choose(bench->page, "one", &one);
    answer_stats_choose(bench->page, "other", &other);
    answer_stats_delta(bench->page, &one, true, 5);
    answer_stats_delta(bench->page, &one, false, 6);
    answer_stats_delta(bench->page, &one, false, 7);
    answer_stats_end(bench->page, &one, 18, 0);
    answer_stats_tokens(bench->page, &one, 11, 3);
    answer_stats_end(bench->page, &other, 1, UMBEL_ERROR_TIMEOUT);
    answer_stats_end(bench->page, &other, 1, UMBEL_ERROR_NOT_FOUND); /* ends no answer: counted as our own failure */
    assert_int_equal(observed(bench, "first_token/one"), 1);
    assert_int_equal(observed(bench, "token_gap/one"), 2);
    assert_int_equal(observed(bench, "duration/one"), 1);
    assert_int_equal(observed(bench, "first_token/other"), 0);
    assert_int_equal(observed(bench, "duration/other"), 2);
    assert_int_equal(observed(bench, "first_token"), 1);
    assert_int_equal(observed(bench, "token_gap"), 2);
    assert_int_equal(observed(bench, "duration"), 3);
    assert_int_equal(counted(bench, "prompt_tokens/one"), 11);
    assert_int_equal(counted(bench, "completion_tokens/one"), 3);
    assert_int_equal(counted(bench, "completion_tokens/other"), 0);
    assert_int_equal(counted(bench, "errors/timeout"), 1);
    assert_int_equal(counted(bench, "errors/internal"), 1);
    assert_int_equal(counted(bench, "errors/auth"), 0);
}

/* Goal: more upstreams than the page has room for lose nothing: the rest share one name.  Method: 500.  Catches: an index of "no room"
 * used as one (the writer asserts); room for fewer than promised. */
static void further_upstreams_share_a_name(void **state)
{
    struct bench *bench = *state;
    struct answer_stats stats;
    char name[80];

    answer_stats_setup(bench->page);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "upstream-with-a-name-of-63-bytes-as-long-as-the-file-allows-%03d", i);
        answer_stats_choose(bench->page, name, &stats);
        answer_stats_delta(bench->page, &stats, true, 1);
        answer_stats_tokens(bench->page, &stats, 1, 1);
    }
    for (uint32_t i = 0; i < CORE_UPSTREAMS_NAMED_MAX; i++) {
        char whole[STATS_NAME_SIZE];
        snprintf(whole, sizeof whole, "first_token/upstream-with-a-name-of-63-bytes-as-long-as-the-file-allows-%03u", i);
        assert_int_equal(observed(bench, whole), 1);
    }
    assert_int_equal(observed(bench, "first_token/others"), 500 - CORE_UPSTREAMS_NAMED_MAX);
    assert_int_equal(counted(bench, "prompt_tokens/others"), 500 - CORE_UPSTREAMS_NAMED_MAX);
}

/* Goal: what the process costs is what the kernel says.  Method: descriptors are opened and closed, memory is touched, time is burnt.
 * Catches: numbers that never move; the wrong column; its own descriptors counted as they come and go. */
static void process_costs_move(void **state)
{
    struct bench *bench = *state;
    struct process_stats process = {0};
    uint64_t fds, rss, cpu;
    size_t size = 32u << 20;
    int more[5];

    process_stats_close(&process); /* one that was only zeroed */
    process_stats_open(&process, CORE_PROCESS_CPU_US, CORE_PROCESS_RSS_BYTES, CORE_PROCESS_FDS);
    process_stats_note(&process, bench->page, CLOCK_S);
    fds = counted(bench, "process_fds");
    rss = counted(bench, "process_rss_bytes");
    cpu = counted(bench, "process_cpu_us");
    assert_true(fds > 3 && rss > 100000);
    for (int i = 0; i < 5; i++)
        assert_true((more[i] = dup(1)) != -1);
    char *memory = malloc(size);
    assert_non_null(memory);
    memset(memory, 1, size);
    void *room = mmap(NULL, 1u << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); /* addresses are not memory */
    assert_true(room != MAP_FAILED);
    while (counted(bench, "process_cpu_us") < cpu + 10000)
        process_stats_note(&process, bench->page, 100 * CLOCK_S); /* the burning */
    assert_int_equal(counted(bench, "process_fds"), fds + 5);
    assert_true(counted(bench, "process_rss_bytes") >= rss + size / 2 && memory[size / 2] == 1);
    assert_true(counted(bench, "process_rss_bytes") < rss + (1u << 29));
    munmap(room, 1u << 30);
    for (int i = 0; i < 5; i++)
        close(more[i]);
    free(memory);
    process_stats_note(&process, bench->page, 200 * CLOCK_S);
    assert_int_equal(counted(bench, "process_fds"), fds);
    process_stats_close(&process);
}

/* Goal: lists see a breaker as calls would find it, and looking changes nothing.  Catches: "open" for ever, which would keep a load
 * balancer away from a service that has recovered. */
static void breaker_is_told_as_it_is(void **state)
{
    struct upstream_breaker breaker = {0};
    const uint64_t now = 1000 * CLOCK_S, first = BREAKER_FIRST_MS * CLOCK_MS;

    (void)state;
    assert_string_equal(breaker_state_text(&breaker, now), "closed");
    for (uint32_t i = 0; i < BREAKER_FAILURES; i++)
        breaker_bad(&breaker, now);
    assert_string_equal(breaker_state_text(&breaker, now + first - 1), "open");
    assert_string_equal(breaker_state_text(&breaker, now + first), "half");
    assert_true(breaker_admits(&breaker, now + first));
    assert_string_equal(breaker_state_text(&breaker, now + first), "half");
    breaker_bad(&breaker, now + first);
    assert_string_equal(breaker_state_text(&breaker, now + first + 1), "open");
    breaker_good(&breaker);
    assert_string_equal(breaker_state_text(&breaker, now + first + 2), "closed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(histograms_are_named_while_the_page_lives, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_go_to_their_upstream, setup, teardown),
        cmocka_unit_test_setup_teardown(further_upstreams_share_a_name, setup_many, teardown),
        cmocka_unit_test_setup_teardown(process_costs_move, setup, teardown),
        cmocka_unit_test(breaker_is_told_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
