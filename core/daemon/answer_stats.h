/* daemon/answer_stats.h - what each upstream's answers leave on the core's stats page: times, tokens, kinds of errors.
 *
 * Counters and histograms of an upstream are named NAME/UPSTREAM at its first answer and keep their numbers for the core's life; upstreams
 * for which the page has no room count together under NAME/others.  Owner: the core's loop thread; no locks, no allocation. */
#ifndef DAEMON_ANSWER_STATS_H
#define DAEMON_ANSWER_STATS_H

#include <stdint.h>

#include "core/metrics/core_stats.h"

/* Where one upstream's numbers stand on the page: chosen once an answer, used with every delta. */
struct answer_stats {
    uint32_t counter[CORE_UPSTREAM_COUNTER_COUNT], histogram[CORE_UPSTREAM_HISTOGRAM_COUNT];
};

/* answer_stats_setup - names what exists without any upstream; once, before the first choose. */
void answer_stats_setup(struct stats_page *page);
/* answer_stats_choose - finds or makes the places of this upstream. */
void answer_stats_choose(struct stats_page *page, const char *upstream, struct answer_stats *ret_stats);
/* answer_stats_delta - a delta: wait_ns since the question (first) or since the delta before. */
void answer_stats_delta(struct stats_page *page, const struct answer_stats *stats, bool first, uint64_t wait_ns);
/* answer_stats_end - the answer is over, duration_ns after the question; error UMBEL_ERROR_*, 0 = none. */
void answer_stats_end(struct stats_page *page, const struct answer_stats *stats, uint64_t duration_ns, uint32_t error);
void answer_stats_tokens(struct stats_page *page, const struct answer_stats *stats, uint64_t prompt, uint64_t completion);

#endif
