#include "names.h"

#include <stdio.h>
#include <string.h>

#define FIRST 13u /* 8.2 us */
#define LAST 37u  /* 137 s */

/* Counters that are not simply umbel_NAME or umbel_host_NAME.  metric NULL: not shown. */
static const struct row {
    uint32_t kind;
    const char *name, *metric, *help;
    struct exposition_label fixed;
    const char *of;
    uint32_t decimals;
} rows[] = {
    {UMBEL_STATS_CORE, "streams_opened", "umbel_answers_started", "answers begun", {0}, NULL, 0},
    {UMBEL_STATS_CORE, "streams_complete", "umbel_answers", "answers ended, by verdict", {"verdict", "complete"}, NULL, 0},
    {UMBEL_STATS_CORE, "streams_truncated", "umbel_answers", "answers ended, by verdict", {"verdict", "truncated"}, NULL, 0},
    {UMBEL_STATS_CORE, "streams_failed", "umbel_answers", "answers ended, by verdict", {"verdict", "failed"}, NULL, 0},
    {UMBEL_STATS_CORE, "streams_cancelled", "umbel_answers", "answers ended, by verdict", {"verdict", "cancelled"}, NULL, 0},
    {UMBEL_STATS_CORE, "streams_orphaned", "umbel_answers_orphaned", NULL, {0}, NULL, 0},
    {UMBEL_STATS_CORE, "streams_refused", "umbel_questions_refused", NULL, {0}, NULL, 0},
    {UMBEL_STATS_CORE, "streams_live", "umbel_answers_running", NULL, {0}, NULL, 0},
    {UMBEL_STATS_CORE, "requests", "umbel_questions", NULL, {0}, NULL, 0},
    {UMBEL_STATS_CORE, "requests_bad", "umbel_questions_malformed", NULL, {0}, NULL, 0},
    {UMBEL_STATS_CORE, "errors", "umbel_answer_errors", NULL, {0}, "error", 0},
    {UMBEL_STATS_CORE, "prompt_tokens", "umbel_input_tokens", NULL, {0}, "upstream", 0},
    {UMBEL_STATS_CORE, "completion_tokens", "umbel_output_tokens", NULL, {0}, "upstream", 0},
    {UMBEL_STATS_CORE, "coalesce_us", "umbel_coalesce_seconds", "how long the busy engine may wait for more; 0 = never", {0}, NULL, 6},
    {UMBEL_STATS_CORE, "process_cpu_us", "umbel_process_cpu_seconds", "processor time of the core", {0}, NULL, 6},
    {UMBEL_STATS_CORE, "process_rss_bytes", "umbel_process_resident_memory_bytes", "resident memory of the core", {0}, NULL, 0},
    {UMBEL_STATS_CORE, "process_fds", "umbel_process_open_fds", "file descriptors that the core has open", {0}, NULL, 0},
    {UMBEL_STATS_CORE, "engine_io_uring", NULL, NULL, {0}, NULL, 0}, /* both in umbel_build_info */
    {UMBEL_STATS_CORE, "engine_epoll", NULL, NULL, {0}, NULL, 0},
    {UMBEL_STATS_HOST, "clients_total", "umbel_host_clients_accepted", NULL, {0}, NULL, 0}, /* else counter and gauge of one name */
    {UMBEL_STATS_HOST, "process_cpu_us", "umbel_host_process_cpu_seconds", "processor time of the host", {0}, NULL, 6},
    {UMBEL_STATS_HOST, "process_rss_bytes", "umbel_host_process_resident_memory_bytes", "resident memory of the host", {0}, NULL, 0},
    {UMBEL_STATS_HOST, "process_fds", "umbel_host_process_open_fds", "file descriptors that the host has open", {0}, NULL, 0},
};

/* Those with a label are shown one by one, without the page's sum over all. */
static const struct histogram_row {
    uint32_t kind;
    const char *name, *metric, *of;
    uint32_t first, last;
} histogram_rows[] = {
    {UMBEL_STATS_CORE, "first_token", "umbel_time_to_first_token_seconds", "upstream", 20, 36}, /* 1 ms to 69 s */
    {UMBEL_STATS_CORE, "token_gap", "umbel_token_gap_seconds", "upstream", 16, 36},             /* 66 us to 69 s */
    {UMBEL_STATS_CORE, "duration", "umbel_answer_duration_seconds", "upstream", 20, 37},        /* 1 ms to 137 s */
    {UMBEL_STATS_CORE, "publish", "umbel_publish_delay_seconds", NULL, 10, 30},                 /* 1 us to 1.1 s */
    {UMBEL_STATS_HOST, "lag", "umbel_delivery_lag_seconds", NULL, FIRST, 35},                   /* 8.2 us to 34 s */
};

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* A plugin's own: its name must not become a sample's name of another family. */
static void name_own(const struct umbel_stats_counter *counter, char *buffer)
{
    static const char *const reserved[] = {"_total", "_created", "_bucket", "_count", "_sum", "_info"};
    bool clash = false;

    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        clash = clash || ends_with(counter->name, reserved[i]);
    snprintf(buffer, NAMES_BUFFER, "umbel_plugin_%.80s%s", counter->name, clash ? "_value" : "");
}

bool names_counter(const struct umbel_stats_page *page, const struct umbel_stats_counter *counter, char buffer[NAMES_BUFFER],
                   struct names_place *ret_place)
{
    struct names_place place = {.metric = {.help = counter->help}};

    place.metric.type = counter->flags & UMBEL_STATS_GAUGE ? EXPOSITION_GAUGE : EXPOSITION_COUNTER;
    place.metric.name = buffer;
    if (counter->flags & UMBEL_STATS_OWN) {
        name_own(counter, buffer);
        *ret_place = place;
        return true;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].kind != page->kind || strcmp(rows[i].name, counter->name) != 0)
            continue;
        if (!rows[i].metric)
            return false;
        place.metric.name = rows[i].metric;
        place.metric.help = rows[i].help ? rows[i].help : counter->help;
        place.fixed = rows[i].fixed;
        place.of = rows[i].of;
        place.decimals = rows[i].decimals;
        *ret_place = place;
        return true;
    }
    snprintf(buffer, NAMES_BUFFER, "umbel_%s%.80s", page->kind == UMBEL_STATS_HOST ? "host_" : "", counter->name);
    *ret_place = place;
    return true;
}

bool names_histogram(const struct umbel_stats_page *page, const struct umbel_stats_histogram *histogram, char buffer[NAMES_BUFFER],
                     struct names_place *ret_place)
{
    struct names_place place = {.metric = {.name = buffer, .help = histogram->help, .type = EXPOSITION_HISTOGRAM}, .first = FIRST, .last = LAST};

    snprintf(buffer, NAMES_BUFFER, "umbel_%s%.80s_seconds", page->kind == UMBEL_STATS_HOST ? "host_" : "", histogram->name);
    for (size_t i = 0; i < sizeof histogram_rows / sizeof histogram_rows[0]; i++) {
        const struct histogram_row *row = &histogram_rows[i];
        if (row->kind != page->kind || strcmp(row->name, histogram->name) != 0)
            continue;
        if (row->of && !histogram->of[0])
            return false; /* the sum over all, which the reader can make */
        place.metric.name = row->metric;
        place.of = row->of;
        place.first = row->first;
        place.last = row->last;
    }
    *ret_place = place;
    return true;
}
