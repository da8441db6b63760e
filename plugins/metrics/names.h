/* metrics/names.h - what umbel's counters are called in metrics: base units, and what is one thing seen from several sides under one name.
 * docs/metrics.md lists the outcome; a test compares. */
#ifndef METRICS_NAMES_H
#define METRICS_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include <umbel/stats.h>

#include "exposition.h"

#define NAMES_BUFFER EXPOSITION_NAME_MAX

struct names_place {
    struct exposition_metric metric;
    struct exposition_label fixed; /* a label of its own: {verdict="complete"} */
    const char *of;                /* the label that takes umbel_stats_counter.of; NULL = none */
    uint32_t decimals;             /* of the value: 6 for microseconds */
    uint32_t first, last;          /* histograms: powers of two of nanoseconds, the bounds shown */
};

/* names_counter, names_histogram - where this one goes.  buffer: room for a name that is made.  False: it is not shown. */
bool names_counter(const struct umbel_stats_page *page, const struct umbel_stats_counter *counter, char buffer[NAMES_BUFFER],
                   struct names_place *ret_place);
bool names_histogram(const struct umbel_stats_page *page, const struct umbel_stats_histogram *histogram, char buffer[NAMES_BUFFER],
                     struct names_place *ret_place);

#endif
