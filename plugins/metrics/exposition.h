/* metrics/exposition.h - writes metrics as Prometheus text (0.0.4) or OpenMetrics text (1.0.0).  Pure: no clock, no I/O.
 *
 * Values come page by page, the text goes family by family: each family gathers its lines in a buffer of its own until the end.  What
 * would make a scraper refuse the whole text cannot come out, whatever goes in: names and labels are cleaned, a series that is there
 * already and a family that changes its type are left out and counted in `dropped`. */
#ifndef METRICS_EXPOSITION_H
#define METRICS_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>

#include <umbel/out.h>

#define EXPOSITION_FAMILIES_MAX 1024u /* further ones are dropped */
#define EXPOSITION_NAME_MAX 128u      /* with its zero; longer names are cut */
#define EXPOSITION_BYTES_MAX (16u << 20)

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

/* A family.  name has its unit but not _total: counters get it.  Its help is that of the first value. */
struct exposition_metric {
    const char *name, *help;
    enum exposition_type type;
};

struct exposition_label {
    const char *name, *value; /* value NULL or "": the label is left out, which is the same */
};
#define EXPOSITION_LABELS_MAX 4u

struct exposition_family {
    char name[EXPOSITION_NAME_MAX];
    enum exposition_type type;
    struct umbel_out head, lines;
    uint64_t *seen; /* hashes of the label sets, in no order */
    uint32_t seen_count, seen_capacity;
};

struct exposition {
    struct exposition_family *families;
    uint32_t count, capacity;
    uint32_t newest; /* where the last value went: the next one often follows it */
    uint64_t dropped;
    bool open_metrics, failed;
};

void exposition_begin(struct exposition *exposition, bool open_metrics); /* on zeroed memory */
/* exposition_value - one sample: value / 10^decimals (0 to 9), printed exactly. */
void exposition_value(struct exposition *exposition, const struct exposition_metric *metric, const struct exposition_label *labels,
                      uint32_t label_count, uint64_t value, uint32_t decimals);
/* exposition_histogram - of nanoseconds, as seconds.  counts[i] of below[i] (exclusive bounds, rising, the last is "no bound"); the bounds
 * 2^first to 2^last ns that are among them become the buckets. */
void exposition_histogram(struct exposition *exposition, const struct exposition_metric *metric, const struct exposition_label *labels,
                          uint32_t label_count, const uint64_t *counts, const uint64_t *below, uint32_t bucket_count, uint64_t sum_ns,
                          uint32_t first, uint32_t last);
/* exposition_end - appends the whole text; false: out of memory or over EXPOSITION_BYTES_MAX.  Frees what was gathered. */
bool exposition_end(struct exposition *exposition, struct umbel_out *out);

#endif
