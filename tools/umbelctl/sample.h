/* umbelctl/sample.h - the daemon's sums at one moment, and what has happened between two of them: for `stat` and the head of `top`. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <umbel/out.h>

#include "tools/umbelctl/pages.h"

struct sample {
    uint64_t at_ns;      /* of the core's last sign of life, else of the look */
    uint64_t started_wall_s;
    uint32_t pid;
    uint64_t answers, ended, failed, refused, deltas, tokens; /* since the start */
    uint64_t running, clients, readers, sessions;
    uint64_t ring_slots, ring_behind; /* behind: the slowest host */
    uint64_t journal_pages, journal_used;
    uint64_t first_token[STATS_BUCKETS], lag[STATS_BUCKETS]; /* lag: of all hosts that run */
};

struct sample_rates {
    double seconds;
    double answers, tokens, deltas; /* a second */
    uint64_t answers_count, failed, refused, ended;
    uint64_t running, clients, readers;
    struct stats_histogram first_token, lag;
    double ring, journal; /* 0 to 1: how far the slowest host is behind; how full */
};

void sample_take(const struct pages *pages, struct sample *ret_sample);
/* sample_compare - what happened from before (NULL: from the daemon's start) to now.  Counters that went down (a daemon or host that was started
 * again) count from 0. */
void sample_compare(const struct sample *before, const struct sample *now, struct sample_rates *ret_rates);
/* sample_json - the members of one object, without its braces. */
void sample_json(const struct sample_rates *rates, struct umbel_out *out);

#endif
