/* Unit tests of the metrics plugin's pure parts: the text, the names, the health checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/metrics/exposition.c"
#include "plugins/metrics/names.c"
#include "plugins/metrics/health.c"

static const struct exposition_metric answers = {"umbel_answers", "answers ended", EXPOSITION_COUNTER};
static const struct exposition_metric clients = {"umbel_clients", "clients", EXPOSITION_GAUGE};

static void expect(struct exposition *exposition, const char *text)
{
    struct umbel_out out = {0};

    assert_true(exposition_end(exposition, &out));
    umbel_out_put(&out, "", 1);
    assert_string_equal(out.data, text);
    umbel_out_free(&out);
}

/* Goal: a family is one block, whatever order its values come in, and each format names counters its own way.  Method: two families by
 * turns, in both formats, compared byte by byte.  Catches: families torn apart; _total in the wrong place; a missing # EOF. */
static void text_is_grouped_by_family(void **state)
{
    const struct exposition_label complete = {"verdict", "complete"}, failed = {"verdict", "failed"};

    (void)state;
    for (int open = 0; open <= 1; open++) {
        struct exposition exposition;
        exposition_begin(&exposition, open);
        exposition_value(&exposition, &answers, &complete, 1, 7, 0);
        exposition_value(&exposition, &clients, NULL, 0, 3, 0);
        exposition_value(&exposition, &answers, &failed, 1, UINT64_MAX, 0);
        assert_int_equal(exposition.dropped, 0);
        expect(&exposition, open ? "# HELP umbel_answers answers ended\n# TYPE umbel_answers counter\n"
                                   "umbel_answers_total{verdict=\"complete\"} 7\n"
                                   "umbel_answers_total{verdict=\"failed\"} 18446744073709551615\n"
                                   "# HELP umbel_clients clients\n# TYPE umbel_clients gauge\numbel_clients 3\n# EOF\n"
                                 : "# HELP umbel_answers_total answers ended\n# TYPE umbel_answers_total counter\n"
                                   "umbel_answers_total{verdict=\"complete\"} 7\n"
                                   "umbel_answers_total{verdict=\"failed\"} 18446744073709551615\n"
                                   "# HELP umbel_clients clients\n# TYPE umbel_clients gauge\numbel_clients 3\n");
    }
}

/* Goal: no text that goes in can break a line or a quoted value.  Method: quotes, backslashes, line feeds, control characters and bytes
 * that are no UTF-8, in help and labels; a name of strange characters.  Catches: a missing or doubled escape, an escape of help like one
 * of labels (the formats differ). */
static void strange_texts_are_escaped(void **state)
{
    const struct exposition_metric odd = {"umbel_a-b c\"", "back\\slash \"quoted\"\nline", EXPOSITION_GAUGE};
    const struct exposition_label label = {"app", "a\"b\\c\nd\te\x01 \xff \xe4\xbd\xa0"};

    (void)state;
    for (int open = 0; open <= 1; open++) {
        struct exposition exposition;
        exposition_begin(&exposition, open);
        exposition_value(&exposition, &odd, &label, 1, 1, 0);
        expect(&exposition, open ? "# HELP umbel_a_b_c_ back\\\\slash \\\"quoted\\\"\\nline\n# TYPE umbel_a_b_c_ gauge\n"
                                   "umbel_a_b_c_{app=\"a\\\"b\\\\c\\nd e  \xef\xbf\xbd \xe4\xbd\xa0\"} 1\n# EOF\n"
                                 : "# HELP umbel_a_b_c_ back\\\\slash \"quoted\"\\nline\n# TYPE umbel_a_b_c_ gauge\n"
                                   "umbel_a_b_c_{app=\"a\\\"b\\\\c\\nd e  \xef\xbf\xbd \xe4\xbd\xa0\"} 1\n");
    }
}

/* Goal: what would make a scraper refuse everything is left out and counted.  Method: the same series twice, also with an empty label
 * more; one name with two types.  Catches: duplicate series; a family of two types. */
static void clashes_are_dropped(void **state)
{
    const struct exposition_metric other = {"umbel_answers", "as a gauge", EXPOSITION_GAUGE};
    const struct exposition_label twice[] = {{"transport", "a"}, {"worker", ""}};
    struct exposition exposition;

    (void)state;
    exposition_begin(&exposition, false);
    exposition_value(&exposition, &answers, twice, 1, 1, 0);
    exposition_value(&exposition, &answers, twice, 2, 2, 0);
    exposition_value(&exposition, &other, NULL, 0, 3, 0);
    assert_int_equal(exposition.dropped, 2);
    expect(&exposition, "# HELP umbel_answers_total answers ended\n# TYPE umbel_answers_total counter\n"
                        "umbel_answers_total{transport=\"a\"} 1\n");
}

/* Goal: at most EXPOSITION_FAMILIES_MAX families.  Method: one more; then one of the first again, which must still go.  Catches: no
 * bound, or one that also closes families that exist. */
static void families_are_bounded(void **state)
{
    struct exposition exposition;
    struct umbel_out out = {0};
    char name[32];

    (void)state;
    exposition_begin(&exposition, false);
    for (uint32_t i = 0; i <= EXPOSITION_FAMILIES_MAX; i++) {
        const struct exposition_metric metric = {name, "h", EXPOSITION_GAUGE};
        snprintf(name, sizeof name, "m%u", i);
        exposition_value(&exposition, &metric, NULL, 0, i, 0);
    }
    assert_int_equal(exposition.dropped, 1);
    assert_int_equal(exposition.count, EXPOSITION_FAMILIES_MAX);
    const struct exposition_metric first = {"m0", "h", EXPOSITION_GAUGE};
    const struct exposition_label more = {"a", "b"};
    exposition_value(&exposition, &first, &more, 1, 1, 0);
    assert_int_equal(exposition.dropped, 1);
    assert_true(exposition_end(&exposition, &out));
    umbel_out_free(&out);
}

/* Goal: buckets are cumulative, end with +Inf = count, and their bounds and the sum are exact seconds.  Method: sixteen values to an
 * octave in hand-made buckets, some below the first and above the last bound shown.  Catches: counts of one bucket only; values outside
 * the bounds lost; nanoseconds told as seconds; decimals cut. */
static void histogram_is_cumulative(void **state)
{
    const struct exposition_metric metric = {"umbel_lag_seconds", "lag", EXPOSITION_HISTOGRAM};
    const struct exposition_label label = {"transport", "bmob"};
    const uint64_t below[] = {512, 1024, 1536, 2048, 4096, UINT64_MAX}, counts[] = {1, 2, 4, 8, 16, 32};
    struct exposition exposition;

    (void)state;
    exposition_begin(&exposition, false);
    exposition_histogram(&exposition, &metric, &label, 1, counts, below, 6, 12345678901, 10, 11);
    expect(&exposition, "# HELP umbel_lag_seconds lag\n# TYPE umbel_lag_seconds histogram\n"
                        "umbel_lag_seconds_bucket{transport=\"bmob\",le=\"0.000001024\"} 3\n"
                        "umbel_lag_seconds_bucket{transport=\"bmob\",le=\"0.000002048\"} 15\n"
                        "umbel_lag_seconds_bucket{transport=\"bmob\",le=\"+Inf\"} 63\n"
                        "umbel_lag_seconds_sum{transport=\"bmob\"} 12.345678901\numbel_lag_seconds_count{transport=\"bmob\"} 63\n");
    exposition_begin(&exposition, false);
    exposition_histogram(&exposition, &metric, NULL, 0, counts, below, 2, 2000000000, 10, 10);
    expect(&exposition, "# HELP umbel_lag_seconds lag\n# TYPE umbel_lag_seconds histogram\numbel_lag_seconds_bucket{le=\"0.000001024\"} 3\n"
                        "umbel_lag_seconds_bucket{le=\"+Inf\"} 3\numbel_lag_seconds_sum 2.0\numbel_lag_seconds_count 3\n");
}

/* Goal: a hostile host's counts cannot make a histogram fall.  Method: two counts whose sum overflows.  Catches: wrapping sums. */
static void histogram_of_lies_does_not_fall(void **state)
{
    const struct exposition_metric metric = {"h", "h", EXPOSITION_HISTOGRAM};
    const uint64_t below[] = {1024, UINT64_MAX}, counts[] = {UINT64_MAX, 2};
    struct exposition exposition;

    (void)state;
    exposition_begin(&exposition, false);
    exposition_histogram(&exposition, &metric, NULL, 0, counts, below, 2, 0, 10, 10);
    expect(&exposition, "# HELP h h\n# TYPE h histogram\nh_bucket{le=\"0.000001024\"} 18446744073709551615\n"
                        "h_bucket{le=\"+Inf\"} 18446744073709551615\nh_sum 0.0\nh_count 18446744073709551615\n");
}

static const char *name_of(uint32_t kind, uint32_t flags, const char *name, const char *of, struct names_place *ret_place)
{
    static char buffer[NAMES_BUFFER];
    const struct umbel_stats_page page = {.kind = kind};
    const struct umbel_stats_counter counter = {.flags = flags, .name = name, .of = of, .help = "help"};

    return names_counter(&page, &counter, buffer, ret_place) ? ret_place->metric.name : NULL;
}

/* Goal: verdicts share a family, microseconds become seconds, counters of hosts cannot meet those of the core, and a plugin's own names
 * cannot become a sample of another family.  Catches: a counter and a gauge of one name (clients, clients_total) in OpenMetrics; a
 * plugin's gauge x_total beside its counter x. */
static void names_are_mapped(void **state)
{
    struct names_place place;

    (void)state;
    assert_string_equal(name_of(UMBEL_STATS_CORE, 0, "streams_failed", "", &place), "umbel_answers");
    assert_string_equal(place.fixed.value, "failed");
    assert_string_equal(name_of(UMBEL_STATS_CORE, 0, "prompt_tokens", "demo", &place), "umbel_input_tokens");
    assert_string_equal(place.of, "upstream");
    assert_string_equal(name_of(UMBEL_STATS_CORE, 0, "process_cpu_us", "", &place), "umbel_process_cpu_seconds");
    assert_int_equal(place.decimals, 6);
    assert_string_equal(name_of(UMBEL_STATS_CORE, 0, "ring_records", "", &place), "umbel_ring_records");
    assert_string_equal(name_of(UMBEL_STATS_HOST, 0, "ring_records", "", &place), "umbel_host_ring_records");
    assert_string_equal(name_of(UMBEL_STATS_HOST, UMBEL_STATS_GAUGE, "clients", "", &place), "umbel_host_clients");
    assert_string_equal(name_of(UMBEL_STATS_HOST, 0, "clients_total", "", &place), "umbel_host_clients_accepted");
    assert_string_equal(name_of(UMBEL_STATS_HOST, UMBEL_STATS_OWN, "clients_total", "", &place), "umbel_plugin_clients_total_value");
    assert_string_equal(name_of(UMBEL_STATS_HOST, UMBEL_STATS_OWN, "bad_frames", "", &place), "umbel_plugin_bad_frames");
    assert_null(name_of(UMBEL_STATS_CORE, UMBEL_STATS_GAUGE, "engine_epoll", "", &place));
}

static bool ready(const struct health *health, const char *expected)
{
    struct umbel_out out = {0};
    bool good = health_ready(health, false, &out);

    umbel_out_put(&out, "", 1);
    assert_string_equal(out.data, expected);
    umbel_out_free(&out);
    return good;
}

static void see_worker(struct health *health, const char *transport, const char *state, uint64_t builtin)
{
    const struct umbel_stats_page core = {.kind = UMBEL_STATS_CORE};
    const struct umbel_stats_cell cells[] = {{"transport", transport, 0}, {"state", state, 0}, {"builtin", "", builtin}};

    on_row(health, &core, "hosts", cells, 3);
}

static void see_upstream(struct health *health, const char *breaker)
{
    const struct umbel_stats_page core = {.kind = UMBEL_STATS_CORE};
    const struct umbel_stats_cell cell = {"breaker", breaker, 0};

    on_row(health, &core, "upstreams", &cell, 1);
}

/* Goal: ready means what health.h says, and each fault has its line.  Method: rows as the core writes them.  Catches: one running worker
 * of a transport hiding another transport's absence, or one dead worker hiding those that run; half-open breakers taken for open; old
 * pages judged for more than their age. */
static void readiness_follows_its_rules(void **state)
{
    static struct health health;

    (void)state;
    memset(&health, 0, sizeof health);
    assert_false(ready(&health, "core: its stats page cannot be read\n"));
    health.core = health.accepting = true;
    see_upstream(&health, "open");
    assert_false(ready(&health, "upstreams: the breakers of all 1 are open\n"));
    see_upstream(&health, "half");
    assert_true(ready(&health, ""));
    see_worker(&health, "bmob", "running", 0);
    see_worker(&health, "bmob", "backoff", 0);
    see_worker(&health, "metrics", "backoff", 1);
    assert_true(ready(&health, ""));
    see_worker(&health, "wx", "held", 0);
    health.accepting = false;
    assert_false(ready(&health, "core: takes no questions: it starts or drains\ntransport wx: no worker runs (held)\n"));
    health.silent_ns = HEALTH_SILENT_S * 1000000000ull;
    assert_false(ready(&health, "core: takes no questions: it starts or drains\ntransport wx: no worker runs (held)\n"));
    health.silent_ns = 7 * 1000000000ull;
    assert_false(ready(&health, "core: no sign of life for 7 s\n"));
}

/* Goal: reasons are bounded and JSON stays JSON.  Method: more transports down than are told, with a quote in their names.  Catches: a
 * missing comma or quote; no bound. */
static void reasons_are_bounded(void **state)
{
    static struct health health;
    struct umbel_out out = {0};
    char name[16];
    int quotes = 0;

    (void)state;
    memset(&health, 0, sizeof health);
    health.core = health.accepting = true;
    see_upstream(&health, "closed");
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "t\"%d", i);
        see_worker(&health, name, "held", 0);
    }
    assert_int_equal(health.transport_count, HEALTH_TRANSPORTS_MAX);
    assert_false(health_ready(&health, true, &out));
    for (size_t i = 0; i < out.size; i++)
        quotes += out.data[i] == ',';
    assert_int_equal(quotes, HEALTH_REASONS_MAX - 1);
    assert_memory_equal(out.data, "\"transport t\\\"0: no worker runs (held)\",\"", 40);
    umbel_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_grouped_by_family), cmocka_unit_test(strange_texts_are_escaped), cmocka_unit_test(clashes_are_dropped),
        cmocka_unit_test(families_are_bounded),      cmocka_unit_test(histogram_is_cumulative),   cmocka_unit_test(histogram_of_lies_does_not_fall),
        cmocka_unit_test(names_are_mapped),          cmocka_unit_test(readiness_follows_its_rules), cmocka_unit_test(reasons_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
