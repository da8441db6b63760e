/* umbel/stats.h - what umbel counts, as a plugin sees it: for /metrics, statsd, OpenTelemetry and the like (umbel_host.stats).
 *
 * A visit shows the core's page first, then the page of each host process that runs; of a page its counters, its histograms, then the
 * rows of the tables that were asked for.  All texts are printable ASCII or, in rows, whatever the core put there; they and all structs
 * live until the callback returns.  A host that was taken over writes its own page: what comes from a host may be a lie, but it is
 * bounded and well-formed.  [loop]
 * History: 1.1 first. */
#ifndef UMBEL_STATS_H
#define UMBEL_STATS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UMBEL_STATS_CORE 1u /* umbel_stats_page.kind */
#define UMBEL_STATS_HOST 2u

struct umbel_stats_page {
    uint32_t struct_size;
    uint32_t kind;         /* UMBEL_STATS_CORE, UMBEL_STATS_HOST */
    const char *transport; /* the host's section in the configuration; "" for the core */
    const char *worker;    /* its number in that transport, "0"; "" for the core */
    const char *version;   /* of the program */
    uint32_t pid;
    uint32_t reserved;
    uint64_t started_s; /* since 1970 */
    uint64_t silent_ns; /* since its last sign of life; the core gives one a second, a host two */
};

#define UMBEL_STATS_GAUGE 1u /* umbel_stats_counter.flags: it may fall */
#define UMBEL_STATS_OWN 2u   /* made by the transport's plugin (umbel_host.count), not by umbel: its name is the plugin's choice, 64 a host */

struct umbel_stats_counter {
    uint32_t struct_size;
    uint32_t flags;   /* UMBEL_STATS_* */
    const char *name; /* "streams_opened" */
    const char *of;   /* one of several with this name: an upstream, a kind of error; "" if there is only one */
    const char *help;
    uint64_t value;
};

struct umbel_stats_histogram {
    uint32_t struct_size;
    uint32_t bucket_count;
    const char *name, *of, *help; /* as of a counter */
    const uint64_t *counts;       /* bucket_count of them */
    const uint64_t *below_ns;     /* bucket i holds what is below below_ns[i] and not below below_ns[i - 1]; the last is UINT64_MAX */
    uint64_t sum_ns, max_ns;
};

struct umbel_stats_cell {
    const char *column; /* "state" */
    const char *text;   /* "" for numbers */
    uint64_t number;    /* 0 for texts */
};

/* Each may be NULL: not wanted. */
struct umbel_stats_visitor {
    uint32_t struct_size;
    uint32_t reserved;
    void (*page)(void *arg, const struct umbel_stats_page *page);
    void (*counter)(void *arg, const struct umbel_stats_page *page, const struct umbel_stats_counter *counter);
    void (*histogram)(void *arg, const struct umbel_stats_page *page, const struct umbel_stats_histogram *histogram);
    /* table: whether the rows of this table of the page are wanted ("hosts", "upstreams", "streams" of the core, "clients" of a host). */
    int (*table)(void *arg, const struct umbel_stats_page *page, const char *name);
    void (*row)(void *arg, const struct umbel_stats_page *page, const char *table, const struct umbel_stats_cell *cells, uint32_t count);
};

#ifdef __cplusplus
}
#endif
#endif
