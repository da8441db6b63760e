/* metrics/process_stats.h - what a process itself costs: processor time, resident memory, open descriptors.
 *
 * The two files of /proc are opened once, before a sandbox may close the file system, and read again from then on.  What cannot be known
 * stays 0.  One thread; nothing blocks. */
#ifndef PROCESS_STATS_H
#define PROCESS_STATS_H

#include "core/metrics/stats_page.h"

struct process_stats {
    int statm, fds;                    /* /proc/self/statm and the folder /proc/self/fd; -1: not there */
    uint32_t cpu_us, rss_bytes, count; /* counters of the page */
    uint64_t told_us;                  /* of cpu_us */
    uint64_t counted_ns;               /* when descriptors were counted one by one, which an old kernel makes us do */
};

/* process_stats_open - opens what is needed; cpu_us, rss_bytes and count are counters of the page that process_stats_note is given. */
void process_stats_open(struct process_stats *process, uint32_t cpu_us, uint32_t rss_bytes, uint32_t count);
/* process_stats_note - puts the present on the page. */
void process_stats_note(struct process_stats *process, struct stats_page *page, uint64_t now_ns);
void process_stats_close(struct process_stats *process); /* also of one that was only zeroed */

#endif
