/* metrics/stats_layout.h - the bytes of a stats page, shared by the writer (stats_page.c, stats_row.c) and the reader (stats_view.c).
 * Native byte order: both sides run on one machine.  Every offset is a multiple of 8.  What changes while a page lives is an atomic word
 * stored relaxed; everything else is written once, before the magic (what is named at run time: before counter_count, histogram_count). */
#ifndef STATS_LAYOUT_H
#define STATS_LAYOUT_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/metrics/stats_page.h"

#define STATS_MAGIC 0x544154534c424d55ull /* "UMBLSTAT" */
#define STATS_LAYOUT 2u
#define STATS_ROW_HEAD 16u     /* seqlock word, in-use word */
#define STATS_ROW_MAX 4096u    /* bytes of a row, with its head */
#define STATS_ROWS_MAX 262144u /* rows of a table */

struct stats_header {
    _Atomic uint64_t magic; /* stored last (release): who sees it sees a finished page */
    uint32_t layout;        /* checked first */
    uint32_t header_size;
    uint64_t size; /* of the file */
    char program[32], name[64], version[16];
    uint64_t started_wall_s;
    _Atomic uint64_t beat_ns;
    _Atomic uint32_t pid;
    uint32_t counter_capacity;
    _Atomic uint32_t counter_count; /* grows; stored (release) after the counter it adds */
    _Atomic uint32_t histogram_count; /* as counter_count */
    uint32_t histogram_capacity;
    uint32_t table_count;
    uint32_t bucket_count, reserved;
    uint64_t counters_at, histograms_at, tables_at;
};

struct stats_counter_entry {
    char name[STATS_NAME_SIZE], help[80];
    uint32_t gauge, reserved;
    _Atomic uint64_t value;
};

struct stats_histogram_entry {
    char name[STATS_NAME_SIZE], help[80];
    _Atomic uint64_t sum_ns, max_ns;
    _Atomic uint64_t bucket[STATS_BUCKETS];
};

struct stats_column_entry {
    char name[24];
    uint32_t type, offset, size, reserved; /* offset from the row's begin; size in bytes, a multiple of 8 */
};

struct stats_table_entry {
    char name[32];
    uint32_t column_count, row_size, capacity;
    _Atomic uint32_t high; /* rows at and above were never used: their bytes do not exist yet */
    uint64_t rows_at;
    struct stats_column_entry column[STATS_COLUMNS_MAX];
};

_Static_assert(sizeof(struct stats_header) % 8 == 0 && sizeof(struct stats_counter_entry) % 8 == 0 &&
                   sizeof(struct stats_histogram_entry) % 8 == 0 && sizeof(struct stats_table_entry) % 8 == 0,
               "entries follow each other aligned");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "words are shared between processes");

/* stats_shape - where things are in one page: a private copy, checked once, so that nothing a stranger changes later moves an offset. */
struct stats_shape {
    struct stats_header header;
    struct stats_table_entry table[STATS_TABLES_MAX];
};

/* stats_shape_read - reads and checks the descriptive parts of the page behind fd.  Everything it accepts lies inside the file as it is
 * now.  0; -EPROTO with words; -errno of fstat and pread. */
int stats_shape_read(int fd, struct stats_shape *ret_shape, struct why *why);

#endif
