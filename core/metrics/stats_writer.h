/* metrics/stats_writer.h - the writer's side of one page, shared by stats_page.c and stats_row.c. */
#ifndef STATS_WRITER_H
#define STATS_WRITER_H

#include "core/metrics/stats_layout.h"

struct stats_table_state {
    uint32_t *free_rows; /* released rows, a stack with room for capacity */
    uint32_t free_count;
    uint32_t high;          /* rows below were used at least once */
    uint64_t backed_bytes;  /* of the rows, from the first on, that the file system has promised room for */
};

struct stats_page {
    int fd;
    bool backs_rows; /* room for rows is asked from the file system before they are touched */
    size_t size;
    struct stats_header *header;
    struct stats_counter_entry *counters;
    struct stats_histogram_entry *histograms;
    struct stats_table_entry *tables;
    struct stats_shape shape; /* trusted geometry: a stranger with the file open for writing moves nothing here */
    struct stats_table_state table[STATS_TABLES_MAX];
};

/* stats_rows_reset - frees all rows of a page that is adopted, mending the ones a dead writer left half-written. */
void stats_rows_reset(struct stats_page *page, uint32_t table);

#endif
