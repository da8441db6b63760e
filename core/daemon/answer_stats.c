#include "core/daemon/answer_stats.h"

#include <stdio.h>

#include <umbel/event.h>

#define NAME_SPEC(id, name, help) {name, help, false},

static const struct stats_counter_spec counters[] = {CORE_UPSTREAM_COUNTERS(NAME_SPEC)};
static const struct stats_counter_spec histograms[] = {CORE_UPSTREAM_HISTOGRAMS(NAME_SPEC)};

/* By UMBEL_ERROR_*. */
#define KIND_NAME(id, kind) [UMBEL_ERROR_##id] = kind,
static const char *const kinds[] = {CORE_ERROR_KINDS(KIND_NAME)};

static uint32_t error_counter(struct stats_page *page, uint32_t error)
{
    char name[STATS_NAME_SIZE];

    if (error >= sizeof kinds / sizeof kinds[0] || !kinds[error])
        error = UMBEL_ERROR_INTERNAL;
    snprintf(name, sizeof name, "errors/%s", kinds[error]);
    return stats_name_counter(page, name, CORE_ERROR_HELP, false);
}

/* False: the page is full. */
static bool name_all(struct stats_page *page, const char *upstream, struct answer_stats *ret_stats)
{
    char name[STATS_NAME_SIZE];
    bool all = true;

    for (uint32_t i = 0; i < CORE_UPSTREAM_HISTOGRAM_COUNT; i++) {
        snprintf(name, sizeof name, "%s/%s", histograms[i].name, upstream);
        ret_stats->histogram[i] = stats_name_histogram(page, name, histograms[i].help);
        all = all && ret_stats->histogram[i] != UINT32_MAX;
    }
    for (uint32_t i = 0; all && i < CORE_UPSTREAM_COUNTER_COUNT; i++) {
        snprintf(name, sizeof name, "%s/%s", counters[i].name, upstream);
        ret_stats->counter[i] = stats_name_counter(page, name, counters[i].help, false);
        all = ret_stats->counter[i] != UINT32_MAX;
    }
    return all;
}

void answer_stats_setup(struct stats_page *page)
{
    struct answer_stats others;

    for (uint32_t error = 0; error < sizeof kinds / sizeof kinds[0]; error++)
        if (kinds[error])
            error_counter(page, error);
    name_all(page, CORE_UPSTREAM_OTHERS, &others);
}

void answer_stats_choose(struct stats_page *page, const char *upstream, struct answer_stats *ret_stats)
{
    if (!name_all(page, upstream, ret_stats))
        name_all(page, CORE_UPSTREAM_OTHERS, ret_stats);
}

void answer_stats_delta(struct stats_page *page, const struct answer_stats *stats, bool first, uint64_t wait_ns)
{
    stats_observe(page, first ? CORE_H_FIRST_TOKEN : CORE_H_TOKEN_GAP, wait_ns);
    stats_observe(page, stats->histogram[first ? CORE_UH_FIRST_TOKEN : CORE_UH_TOKEN_GAP], wait_ns);
}

void answer_stats_end(struct stats_page *page, const struct answer_stats *stats, uint64_t duration_ns, uint32_t error)
{
    stats_observe(page, CORE_H_DURATION, duration_ns);
    stats_observe(page, stats->histogram[CORE_UH_DURATION], duration_ns);
    if (error)
        stats_add(page, error_counter(page, error), 1);
}

void answer_stats_tokens(struct stats_page *page, const struct answer_stats *stats, uint64_t prompt, uint64_t completion)
{
    stats_add(page, stats->counter[CORE_UC_PROMPT_TOKENS], prompt);
    stats_add(page, stats->counter[CORE_UC_COMPLETION_TOKENS], completion);
}
