/* metrics/stats_page.h - a stats page: a file in the runtime directory, mapped shared, that describes itself.
 *
 *   +-----------------+
 *   | header          |  magic, layout, who wrote it (program, name, pid, start time), counts of what follows
 *   | counter table   |  name[96], help[80], kind (counter, gauge), value
 *   | histogram table |  name[96], help[80]; STATS_BUCKETS log-linear buckets
 *   | table headers   |  name[32], columns (name[24], type, offset, size), row size, capacity
 *   | rows            |  each row: seqlock word, then its bytes as relaxed words
 *   +-----------------+
 * One writer per page (one thread of a core, or of a host), any number of readers in other processes, which never block it and see it
 * while the writer is stopped.  A reader trusts nothing: every offset and count is checked against the file's size.
 * File mode 0640: prompts, answers and keys never go in. */
#ifndef STATS_PAGE_H
#define STATS_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"

#define STATS_COUNTERS_MAX 256u
#define STATS_HISTOGRAMS_MAX 512u
#define STATS_NAME_SIZE 96u /* of a counter or histogram, with its zero */
#define STATS_TABLES_MAX 8u
#define STATS_COLUMNS_MAX 32u
#define STATS_TEXT_MAX 160u /* bytes of a text column, with its zero */

/* Histogram buckets are log-linear: 16 to an octave from 64 ns to 2^37 ns (137 s), so a value is known to 6.25 %; one more bucket
 * below and one above. */
#define STATS_BUCKETS 498u
uint32_t stats_bucket_of(uint64_t value_ns);
uint64_t stats_bucket_upper_ns(uint32_t bucket); /* exclusive upper bound; UINT64_MAX for the last */

enum stats_type { STATS_U64 = 1, STATS_TEXT, STATS_MONOTONIC_NS, STATS_WALL_S, STATS_BYTES, STATS_MS, STATS_FLAG };

struct stats_column {
    const char *name;     /* JSON member and column heading, [a-z0-9_]+ */
    enum stats_type type;
    uint32_t size;        /* bytes, TEXT only */
};

struct stats_table_spec {
    const char *name;     /* "streams" */
    uint32_t capacity;    /* rows */
    const struct stats_column *columns;
    uint32_t column_count;
};

struct stats_counter_spec {
    const char *name; /* "streams_opened", or "first_token/demo": of one of several, behind the stroke its name */
    const char *help;
    bool gauge;
};

struct stats_page; /* one mapped page, writer or reader side */

/* stats_page_create - makes (replaces) the file and maps it.  The order of the specs gives the indexes used below.  A missing last
 * folder of path is made (0750).  The file appears at path finished or not at all; who has the old one open keeps the old one.  Room for
 * rows is taken from the file system as rows are first used.  0; -EINVAL (a spec passes a limit above), -errno; words in why. */
int stats_page_create(const char *path, const char *program, const char *name, const struct stats_counter_spec *counters,
                      uint32_t counter_count, const struct stats_counter_spec *histograms, uint32_t histogram_count,
                      const struct stats_table_spec *tables, uint32_t table_count, struct stats_page **ret_page, struct why *why);
/* stats_page_create_spare - the same, with room for so many histograms that get their names later (stats_name_histogram). */
int stats_page_create_spare(const char *path, const char *program, const char *name, const struct stats_counter_spec *counters,
                            uint32_t counter_count, const struct stats_counter_spec *histograms, uint32_t histogram_count,
                            uint32_t spare_histograms, const struct stats_table_spec *tables, uint32_t table_count,
                            struct stats_page **ret_page, struct why *why);
/* stats_page_adopt - the writer side of a page that another process created (a host's page, made by the core): maps fd writable and owns
 * it on success.  What described the earlier writer's present is cleared (gauges are 0, all rows free, half-written ones mended); what
 * it counted stays.  0; -EPROTO (not a page), -errno. */
int stats_page_adopt(int fd, struct stats_page **ret_page, struct why *why);
/* stats_page_rename - another name in its header; the file keeps its own. */
void stats_page_rename(struct stats_page *page, const char *name);
int stats_page_fd(const struct stats_page *page);
void stats_page_free(struct stats_page *page); /* unmaps, closes; the file stays; NULL is fine */

/* Writer: all by one thread.  Indexes out of range are our bugs: asserted. */
void stats_add(struct stats_page *page, uint32_t counter, uint64_t add); /* a gauge goes down by adding (uint64_t)-1 */
void stats_set(struct stats_page *page, uint32_t counter, uint64_t value);
/* stats_name_counter - finds or makes a counter at run time.  Returns its index, or UINT32_MAX when the table is full. */
uint32_t stats_name_counter(struct stats_page *page, const char *name, const char *help, bool gauge);
/* stats_name_histogram - the same for histograms, in the room that stats_page_create_spare left. */
uint32_t stats_name_histogram(struct stats_page *page, const char *name, const char *help);
void stats_observe(struct stats_page *page, uint32_t histogram, uint64_t value_ns);
void stats_pid(struct stats_page *page, uint32_t pid);   /* who writes it now; also resets nothing else */
void stats_beat(struct stats_page *page, uint64_t now_ns);

/* stats_row_take - a free row of the table, cleared; UINT32_MAX when full (counted by the caller).  stats_row_release gives it back. */
uint32_t stats_row_take(struct stats_page *page, uint32_t table);
void stats_row_release(struct stats_page *page, uint32_t table, uint32_t row);
/* stats_row_u64/_text - one column, by the index in the spec; each is a seqlock section of its own: cheap enough for hot paths. */
void stats_row_u64(struct stats_page *page, uint32_t table, uint32_t row, uint32_t column, uint64_t value);
/* Text is cut at a code point to fit its column; NULL is "". */
void stats_row_text(struct stats_page *page, uint32_t table, uint32_t row, uint32_t column, const char *text);
/* stats_row_begin, _end - joins the column stores between them into one section: readers see all of them or none.  Not nested. */
void stats_row_begin(struct stats_page *page, uint32_t table, uint32_t row);
void stats_row_end(struct stats_page *page, uint32_t table, uint32_t row);

#endif
