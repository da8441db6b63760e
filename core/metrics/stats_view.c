/* The reader.  pread(2) copies a page's bytes out of the page cache, which is the very memory the writer has mapped.  An aligned 8-byte
 * word is copied whole on the 64-bit machines this runs on; rows are checked by their seqlock in any case. */
#include "core/metrics/stats_view.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/metrics/stats_layout.h"

#define ROW_TRIES 64

struct view_name {
    char name[STATS_NAME_SIZE], help[80];
    bool gauge;
};

/* Names of counters and histograms, filled as the page grows: behind a pointer, since looking is const to the caller. */
struct view_names {
    uint32_t known, histograms_known;
    struct view_name counter[STATS_COUNTERS_MAX];
    struct view_name histogram[STATS_HISTOGRAMS_MAX];
};

struct stats_view {
    int fd;
    struct stats_shape shape;
    struct view_names *names;
};

/* False when the file has become too short or cannot be read: nothing is known then. */
static bool read_at(const struct stats_view *view, void *to, size_t size, uint64_t offset)
{
    ssize_t n;

    do
        n = pread(view->fd, to, size, (off_t)offset);
    while (n == -1 && errno == EINTR);
    return n == (ssize_t)size;
}

/* Terminates a name or help text and leaves nothing in it that could steer a terminal. */
static void make_plain(char *text, size_t room)
{
    text[room - 1] = '\0';
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            *text = '?';
}

static uint64_t counter_at(const struct stats_view *view, uint32_t index)
{
    return view->shape.header.counters_at + (uint64_t)index * sizeof(struct stats_counter_entry);
}

static uint64_t histogram_at(const struct stats_view *view, uint32_t index)
{
    return view->shape.header.histograms_at + (uint64_t)index * sizeof(struct stats_histogram_entry);
}

int stats_view_open(const char *path, struct stats_view **ret_view, struct why *why)
{
    struct stats_view *view = calloc(1, sizeof *view);
    int r;

    if (!view)
        return why_set(why, -ENOMEM, "no memory for a stats view");
    view->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO put in its place must not hang us */
    if (view->fd == -1) {
        r = why_errno(why, errno, "opening %s", path);
        goto fail;
    }
    view->names = calloc(1, sizeof *view->names);
    if (!view->names) {
        r = why_set(why, -ENOMEM, "no memory for a stats view");
        goto fail;
    }
    r = stats_shape_read(view->fd, &view->shape, why);
    if (r < 0)
        goto fail;
    *ret_view = view;
    return 0;
fail:
    stats_view_close(view);
    return r;
}

void stats_view_close(struct stats_view *view)
{
    if (!view)
        return;
    fd_close(&view->fd);
    free(view->names);
    free(view);
}

void stats_view_who(const struct stats_view *view, struct stats_who *ret_who)
{
    struct stats_who who = {0};
    const struct stats_header *header = &view->shape.header;

    memcpy(who.program, header->program, sizeof who.program);
    memcpy(who.name, header->name, sizeof who.name);
    memcpy(who.version, header->version, sizeof who.version);
    make_plain(who.version, sizeof who.version);
    make_plain(who.program, sizeof who.program);
    make_plain(who.name, sizeof who.name);
    who.started_wall_s = header->started_wall_s;
    if (!read_at(view, &who.pid, sizeof who.pid, offsetof(struct stats_header, pid)))
        who.pid = 0;
    if (!read_at(view, &who.beat_ns, sizeof who.beat_ns, offsetof(struct stats_header, beat_ns)))
        who.beat_ns = 0;
    *ret_who = who;
}

uint32_t stats_view_counters(const struct stats_view *view)
{
    struct view_names *names = view->names;
    uint32_t count = 0;

    if (!read_at(view, &count, sizeof count, offsetof(struct stats_header, counter_count)))
        return names->known;
    atomic_thread_fence(memory_order_acquire); /* the count first, then the names it promises */
    if (count > view->shape.header.counter_capacity)
        count = view->shape.header.counter_capacity;
    for (; names->known < count; names->known++) {
        struct view_name *to = &names->counter[names->known];
        struct stats_counter_entry entry;

        if (!read_at(view, &entry, sizeof entry, counter_at(view, names->known)))
            break;
        memcpy(to->name, entry.name, sizeof to->name);
        memcpy(to->help, entry.help, sizeof to->help);
        make_plain(to->name, sizeof to->name);
        make_plain(to->help, sizeof to->help);
        to->gauge = entry.gauge != 0;
    }
    return names->known;
}

bool stats_view_counter(const struct stats_view *view, uint32_t index, const char **ret_name, const char **ret_help, bool *ret_gauge,
                        uint64_t *ret_value)
{
    uint64_t value;

    if (index >= view->names->known && index >= stats_view_counters(view))
        return false;
    if (!read_at(view, &value, sizeof value, counter_at(view, index) + offsetof(struct stats_counter_entry, value)))
        return false;
    if (ret_name)
        *ret_name = view->names->counter[index].name;
    if (ret_help)
        *ret_help = view->names->counter[index].help;
    if (ret_gauge)
        *ret_gauge = view->names->counter[index].gauge;
    if (ret_value)
        *ret_value = value;
    return true;
}

bool stats_view_find(const struct stats_view *view, const char *counter, uint64_t *ret_value)
{
    uint32_t count = stats_view_counters(view);

    for (uint32_t i = 0; i < count; i++)
        if (strcmp(view->names->counter[i].name, counter) == 0)
            return stats_view_counter(view, i, NULL, NULL, NULL, ret_value);
    return false;
}

uint32_t stats_view_histograms(const struct stats_view *view)
{
    struct view_names *names = view->names;
    uint32_t count = 0;

    if (!read_at(view, &count, sizeof count, offsetof(struct stats_header, histogram_count)))
        return names->histograms_known;
    atomic_thread_fence(memory_order_acquire); /* the count first, then the names it promises */
    if (count > view->shape.header.histogram_capacity)
        count = view->shape.header.histogram_capacity;
    for (; names->histograms_known < count; names->histograms_known++) {
        struct view_name *to = &names->histogram[names->histograms_known];
        uint64_t at = histogram_at(view, names->histograms_known);

        if (!read_at(view, to->name, sizeof to->name, at) ||
            !read_at(view, to->help, sizeof to->help, at + offsetof(struct stats_histogram_entry, help)))
            break;
        make_plain(to->name, sizeof to->name);
        make_plain(to->help, sizeof to->help);
    }
    return names->histograms_known;
}

static bool has_histogram(const struct stats_view *view, uint32_t index)
{
    return index < view->names->histograms_known || index < stats_view_histograms(view);
}

const char *stats_view_histogram_help(const struct stats_view *view, uint32_t index)
{
    return has_histogram(view, index) ? view->names->histogram[index].help : "";
}

bool stats_view_buckets(const struct stats_view *view, uint32_t index, uint64_t *ret_counts, uint64_t *ret_sum_ns, uint64_t *ret_max_ns)
{
    struct stats_histogram_entry entry;

    if (!has_histogram(view, index) || !read_at(view, &entry, sizeof entry, histogram_at(view, index)))
        return false;
    memcpy(ret_counts, entry.bucket, sizeof entry.bucket);
    *ret_sum_ns = entry.sum_ns;
    *ret_max_ns = entry.max_ns;
    return true;
}

/* The upper bound of the bucket in which the value of that rank lies, and never more than the greatest value seen. */
static uint64_t value_at_rank(const uint64_t *counts, uint64_t rank, uint64_t max_ns)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < STATS_BUCKETS; i++) {
        if (counts[i] >= rank - seen)
            return stats_bucket_upper_ns(i) < max_ns ? stats_bucket_upper_ns(i) : max_ns;
        seen += counts[i];
    }
    return max_ns;
}

void stats_quantiles(const uint64_t *counts, uint64_t sum_ns, uint64_t max_ns, struct stats_histogram *ret_histogram)
{
    struct stats_histogram result = {.sum_ns = sum_ns, .max_ns = max_ns};

    for (uint32_t i = 0; i < STATS_BUCKETS; i++)
        if (__builtin_add_overflow(result.count, counts[i], &result.count))
            result.count = UINT64_MAX; /* only a page of lies: stays within the type */
    if (result.count > 0) {
        uint64_t n = result.count;

        result.p50_ns = value_at_rank(counts, n - n / 2, max_ns);
        result.p90_ns = value_at_rank(counts, n - n / 10, max_ns);
        result.p99_ns = value_at_rank(counts, n - n / 100, max_ns);
        result.p999_ns = value_at_rank(counts, n - n / 1000, max_ns);
    }
    *ret_histogram = result;
}

bool stats_view_histogram(const struct stats_view *view, uint32_t index, const char **ret_name, struct stats_histogram *ret_histogram)
{
    uint64_t counts[STATS_BUCKETS], sum_ns, max_ns;

    if (!stats_view_buckets(view, index, counts, &sum_ns, &max_ns))
        return false;
    if (ret_name)
        *ret_name = view->names->histogram[index].name;
    if (ret_histogram)
        stats_quantiles(counts, sum_ns, max_ns, ret_histogram);
    return true;
}

uint32_t stats_view_tables(const struct stats_view *view)
{
    return view->shape.header.table_count;
}

const char *stats_view_table_name(const struct stats_view *view, uint32_t table)
{
    return table < view->shape.header.table_count ? view->shape.table[table].name : NULL;
}

uint32_t stats_view_columns(const struct stats_view *view, uint32_t table)
{
    return table < view->shape.header.table_count ? view->shape.table[table].column_count : 0;
}

bool stats_view_column(const struct stats_view *view, uint32_t table, uint32_t column, const char **ret_name, enum stats_type *ret_type)
{
    if (column >= stats_view_columns(view, table))
        return false;
    if (ret_name)
        *ret_name = view->shape.table[table].column[column].name;
    if (ret_type)
        *ret_type = (enum stats_type)view->shape.table[table].column[column].type;
    return true;
}

uint32_t stats_view_capacity(const struct stats_view *view, uint32_t table)
{
    return table < view->shape.header.table_count ? view->shape.table[table].capacity : 0;
}

/* Copies one row's words.  The reader's half of the seqlock in stats_row.c. */
static enum stats_row_seen copy_row(const struct stats_view *view, const struct stats_table_entry *table, uint64_t at, uint64_t *words)
{
    uint64_t head[2], again;

    for (int i = 0; i < ROW_TRIES; i++) {
        if (i > 0)
            sched_yield(); /* the writer may be waiting for this processor */
        if (!read_at(view, head, sizeof head, at))
            return STATS_ROW_FREE;
        if (!(head[0] & 1) && !head[1])
            return STATS_ROW_FREE;
        atomic_thread_fence(memory_order_acquire);
        if (!read_at(view, words, table->row_size, at))
            return STATS_ROW_FREE;
        atomic_thread_fence(memory_order_acquire);
        if (!read_at(view, &again, sizeof again, at))
            return STATS_ROW_FREE;
        if (!(head[0] & 1) && again == head[0])
            return STATS_ROW_WHOLE;
    }
    return words[1] ? STATS_ROW_TORN : STATS_ROW_FREE;
}

static void fill_cells(const struct stats_table_entry *shape, const uint64_t *words, struct stats_cell *cells, uint32_t cell_count)
{
    for (uint32_t i = 0; i < shape->column_count && i < cell_count; i++) {
        const struct stats_column_entry *column = &shape->column[i];
        struct stats_cell *cell = &cells[i];

        cell->type = (enum stats_type)column->type;
        cell->number = column->type == STATS_TEXT ? 0 : words[column->offset / 8];
        cell->text[0] = '\0';
        if (column->type == STATS_TEXT) {
            memcpy(cell->text, &words[column->offset / 8], column->size);
            cell->text[column->size - 1] = '\0';
        }
    }
}

enum stats_row_seen stats_view_row_seen(const struct stats_view *view, uint32_t table, uint32_t row, struct stats_cell *ret_cells,
                                        uint32_t cell_count)
{
    const struct stats_table_entry *shape;
    uint64_t words[STATS_ROW_MAX / 8], entry_at;
    enum stats_row_seen seen;
    uint32_t high = 0;

    if (table >= view->shape.header.table_count || row >= view->shape.table[table].capacity)
        return STATS_ROW_FREE;
    shape = &view->shape.table[table];
    entry_at = view->shape.header.tables_at + (uint64_t)table * sizeof *shape;
    if (!read_at(view, &high, sizeof high, entry_at + offsetof(struct stats_table_entry, high)) || row >= high)
        return STATS_ROW_FREE;
    seen = copy_row(view, shape, shape->rows_at + (uint64_t)row * shape->row_size, words);
    if (seen != STATS_ROW_FREE)
        fill_cells(shape, words, ret_cells, cell_count);
    return seen;
}

bool stats_view_row(const struct stats_view *view, uint32_t table, uint32_t row, struct stats_cell *ret_cells, uint32_t cell_count)
{
    return stats_view_row_seen(view, table, row, ret_cells, cell_count) != STATS_ROW_FREE;
}
