#include "core/metrics/stats_page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <umbel/version.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/metrics/stats_writer.h"

/* Copies text into a fixed zeroed field, cut to fit. */
static void put_text(char *field, size_t room, const char *text)
{
    snprintf(field, room, "%s", text ? text : "");
}

static uint32_t round_up_8(uint32_t size)
{
    return (size + 7u) & ~7u;
}

static int plan_table(const struct stats_table_spec *spec, struct stats_table_entry *ret_table, struct why *why)
{
    struct stats_table_entry table = {.column_count = spec->column_count, .capacity = spec->capacity, .row_size = STATS_ROW_HEAD};

    if (spec->column_count > STATS_COLUMNS_MAX || spec->capacity > STATS_ROWS_MAX)
        return why_set(why, -EINVAL, "stats table %s: at most %u columns and %u rows", spec->name, STATS_COLUMNS_MAX, STATS_ROWS_MAX);
    put_text(table.name, sizeof table.name, spec->name);
    for (uint32_t i = 0; i < spec->column_count; i++) {
        const struct stats_column *from = &spec->columns[i];
        struct stats_column_entry *column = &table.column[i];

        if (from->type == STATS_TEXT && (from->size < 2 || from->size > STATS_TEXT_MAX))
            return why_set(why, -EINVAL, "stats column %s.%s: text has 2 to %u bytes", spec->name, from->name, STATS_TEXT_MAX);
        put_text(column->name, sizeof column->name, from->name);
        column->type = (uint32_t)from->type;
        column->offset = table.row_size;
        column->size = from->type == STATS_TEXT ? round_up_8(from->size) : 8;
        table.row_size += column->size;
    }
    if (table.row_size > STATS_ROW_MAX)
        return why_set(why, -EINVAL, "stats table %s: a row has at most %u bytes", spec->name, STATS_ROW_MAX);
    *ret_table = table;
    return 0;
}

/* Lays the page out: header, counters, histograms, table descriptions, then each table's rows from a memory page's begin on. */
static int plan_page(uint32_t counters, uint32_t histograms, uint32_t spare, const struct stats_table_spec *tables, uint32_t table_count,
                     struct stats_shape *shape, struct why *why)
{
    struct stats_header *header = &shape->header;
    uint64_t at = sizeof *header;
    int r;

    memset(shape, 0, sizeof *shape);
    if (counters > STATS_COUNTERS_MAX || histograms + spare > STATS_HISTOGRAMS_MAX || table_count > STATS_TABLES_MAX)
        return why_set(why, -EINVAL, "a stats page holds at most %u counters, %u histograms, %u tables", STATS_COUNTERS_MAX,
                       STATS_HISTOGRAMS_MAX, STATS_TABLES_MAX);
    header->layout = STATS_LAYOUT;
    header->header_size = sizeof *header;
    header->bucket_count = STATS_BUCKETS;
    header->counter_capacity = STATS_COUNTERS_MAX;
    header->counter_count = counters;
    header->histogram_count = histograms;
    header->histogram_capacity = histograms + spare;
    header->table_count = table_count;
    header->counters_at = at;
    at += (uint64_t)STATS_COUNTERS_MAX * sizeof(struct stats_counter_entry);
    header->histograms_at = at;
    at += (uint64_t)header->histogram_capacity * sizeof(struct stats_histogram_entry);
    header->tables_at = at;
    at += (uint64_t)table_count * sizeof(struct stats_table_entry);
    for (uint32_t i = 0; i < table_count; i++) {
        r = plan_table(&tables[i], &shape->table[i], why);
        if (r < 0)
            return r;
        at = (at + 4095) & ~4095ull;
        shape->table[i].rows_at = at;
        at += (uint64_t)shape->table[i].capacity * shape->table[i].row_size;
    }
    header->size = at;
    return 0;
}

static int map_page(int fd, const struct stats_shape *shape, struct stats_page **ret_page, struct why *why)
{
    struct stats_page *page = calloc(1, sizeof *page);
    void *base;

    if (!page)
        return why_set(why, -ENOMEM, "no memory for a stats page");
    page->fd = -1; /* the caller's until all is well */
    page->size = (size_t)shape->header.size;
    memcpy(&page->shape, shape, sizeof *shape);
    for (uint32_t i = 0; i < shape->header.table_count; i++) {
        page->table[i].free_rows = malloc(sizeof(uint32_t) * (shape->table[i].capacity + 1ul));
        if (!page->table[i].free_rows) {
            stats_page_free(page);
            return why_set(why, -ENOMEM, "no memory for a stats page");
        }
    }
    base = mmap(NULL, page->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        int error = errno;
        stats_page_free(page);
        return why_errno(why, error, "mapping a stats page");
    }
    page->header = base;
    page->counters = (void *)((char *)base + shape->header.counters_at);
    page->histograms = (void *)((char *)base + shape->header.histograms_at);
    page->tables = (void *)((char *)base + shape->header.tables_at);
    page->fd = fd;
    *ret_page = page;
    return 0;
}

static void fill_page(struct stats_page *page, const char *program, const char *name, const struct stats_counter_spec *counters,
                      const struct stats_counter_spec *histograms)
{
    struct stats_header *header = page->header;

    memcpy(header, &page->shape.header, sizeof *header); /* the magic is still 0 */
    put_text(header->program, sizeof header->program, program);
    put_text(header->name, sizeof header->name, name);
    put_text(header->version, sizeof header->version, UMBEL_VERSION);
    header->started_wall_s = clock_wall_s();
    atomic_store_explicit(&header->beat_ns, clock_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&header->pid, (uint32_t)getpid(), memory_order_relaxed);
    for (uint32_t i = 0; i < header->counter_count; i++) {
        put_text(page->counters[i].name, sizeof page->counters[i].name, counters[i].name);
        put_text(page->counters[i].help, sizeof page->counters[i].help, counters[i].help);
        page->counters[i].gauge = counters[i].gauge;
    }
    for (uint32_t i = 0; i < header->histogram_count; i++) {
        put_text(page->histograms[i].name, sizeof page->histograms[i].name, histograms[i].name);
        put_text(page->histograms[i].help, sizeof page->histograms[i].help, histograms[i].help);
    }
    memcpy(page->tables, page->shape.table, header->table_count * sizeof page->tables[0]);
    atomic_store_explicit(&header->magic, STATS_MAGIC, memory_order_release);
}

static int make_folder_of(const char *path, struct why *why)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path || (size_t)(slash - path) >= sizeof folder)
        return 0;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    if (mkdir(folder, 0750) == -1 && errno != EEXIST)
        return why_errno(why, errno, "making %s", folder);
    return 0;
}

/* Opens a fresh file of that size beside path.  Only the part before the rows is backed at once, so that a full file system is an error
 * here and not a SIGBUS later. */
static int make_file(const char *fresh, const struct stats_shape *shape, struct why *why)
{
    uint64_t fixed = shape->header.tables_at + shape->header.table_count * sizeof(struct stats_table_entry);
    int r, fd;

    unlink(fresh); /* left by a creator that was killed */
    fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd == -1)
        return why_errno(why, errno, "making %s", fresh);
    if (fchmod(fd, 0640) == -1 || ftruncate(fd, (off_t)shape->header.size) == -1) {
        r = why_errno(why, errno, "making %s", fresh);
        goto fail;
    }
    if (fallocate(fd, 0, 0, (off_t)fixed) == -1 && errno != EOPNOTSUPP) {
        r = why_errno(why, errno, "room for %s", fresh);
        goto fail;
    }
    return fd;
fail:
    close(fd);
    unlink(fresh);
    return r;
}

int stats_page_create(const char *path, const char *program, const char *name, const struct stats_counter_spec *counters,
                      uint32_t counter_count, const struct stats_counter_spec *histograms, uint32_t histogram_count,
                      const struct stats_table_spec *tables, uint32_t table_count, struct stats_page **ret_page, struct why *why)
{
    return stats_page_create_spare(path, program, name, counters, counter_count, histograms, histogram_count, 0, tables, table_count,
                                   ret_page, why);
}

int stats_page_create_spare(const char *path, const char *program, const char *name, const struct stats_counter_spec *counters,
                            uint32_t counter_count, const struct stats_counter_spec *histograms, uint32_t histogram_count,
                            uint32_t spare_histograms, const struct stats_table_spec *tables, uint32_t table_count,
                            struct stats_page **ret_page, struct why *why)
{
    char fresh[PATH_MAX];
    struct stats_shape shape;
    struct stats_page *page;
    int r, fd;

    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return why_set(why, -ENAMETOOLONG, "%s: the path is too long", path);
    r = plan_page(counter_count, histogram_count, spare_histograms, tables, table_count, &shape, why);
    if (r < 0)
        return r;
    r = make_folder_of(path, why);
    if (r < 0)
        return r;
    fd = make_file(fresh, &shape, why);
    if (fd < 0)
        return fd;
    r = map_page(fd, &shape, &page, why);
    if (r < 0)
        goto fail;
    page->backs_rows = true;
    fill_page(page, program, name, counters, histograms);
    if (rename(fresh, path) == -1) {
        r = why_errno(why, errno, "putting %s in place", path);
        stats_page_free(page);
        fd = -1;
        goto fail;
    }
    *ret_page = page;
    return 0;
fail:
    fd_close(&fd);
    unlink(fresh);
    return r;
}

int stats_page_adopt(int fd, struct stats_page **ret_page, struct why *why)
{
    struct stats_shape shape;
    struct stats_page *page;
    uint32_t count;
    int r = stats_shape_read(fd, &shape, why);

    if (r < 0)
        return r;
    r = map_page(fd, &shape, &page, why);
    if (r < 0)
        return r;
    count = atomic_load_explicit(&page->header->counter_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count && i < shape.header.counter_capacity; i++)
        if (page->counters[i].gauge)
            stats_set(page, i, 0);
    for (uint32_t i = 0; i < shape.header.table_count; i++)
        stats_rows_reset(page, i);
    *ret_page = page;
    return 0;
}

void stats_page_rename(struct stats_page *page, const char *name)
{
    char field[sizeof page->header->name] = {0};

    put_text(field, sizeof field, name);
    /* not through the mapping: whoever else holds the file may have cut it short */
    if (pwrite(page->fd, field, sizeof field, offsetof(struct stats_header, name)) != (ssize_t)sizeof field)
        return; /* a list shows the old name */
}

int stats_page_fd(const struct stats_page *page)
{
    return page->fd;
}

void stats_page_free(struct stats_page *page)
{
    if (!page)
        return;
    if (page->header)
        munmap(page->header, page->size);
    for (uint32_t i = 0; i < STATS_TABLES_MAX; i++)
        free(page->table[i].free_rows);
    fd_close(&page->fd);
    free(page);
}

/* One writer: a load and a store are enough, and cost less than a locked addition. */
static void word_add(_Atomic uint64_t *word, uint64_t add)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + add, memory_order_relaxed);
}

void stats_add(struct stats_page *page, uint32_t counter, uint64_t add)
{
    assert(counter < page->shape.header.counter_capacity);
    word_add(&page->counters[counter].value, add);
}

void stats_set(struct stats_page *page, uint32_t counter, uint64_t value)
{
    assert(counter < page->shape.header.counter_capacity);
    atomic_store_explicit(&page->counters[counter].value, value, memory_order_relaxed);
}

uint32_t stats_name_counter(struct stats_page *page, const char *name, const char *help, bool gauge)
{
    struct stats_counter_entry *entry;
    uint32_t count = atomic_load_explicit(&page->header->counter_count, memory_order_relaxed);

    for (uint32_t i = 0; i < count && i < page->shape.header.counter_capacity; i++)
        if (strncmp(page->counters[i].name, name, sizeof page->counters[i].name - 1) == 0)
            return i;
    if (count >= page->shape.header.counter_capacity)
        return UINT32_MAX;
    entry = &page->counters[count];
    put_text(entry->name, sizeof entry->name, name);
    put_text(entry->help, sizeof entry->help, help);
    entry->gauge = gauge;
    atomic_store_explicit(&entry->value, 0, memory_order_relaxed);
    atomic_store_explicit(&page->header->counter_count, count + 1, memory_order_release);
    return count;
}

uint32_t stats_name_histogram(struct stats_page *page, const char *name, const char *help)
{
    struct stats_histogram_entry *entry;
    uint32_t count = atomic_load_explicit(&page->header->histogram_count, memory_order_relaxed);

    for (uint32_t i = 0; i < count && i < page->shape.header.histogram_capacity; i++)
        if (strncmp(page->histograms[i].name, name, sizeof page->histograms[i].name - 1) == 0)
            return i;
    if (count >= page->shape.header.histogram_capacity)
        return UINT32_MAX;
    entry = &page->histograms[count]; /* its numbers are 0: the file was made so */
    put_text(entry->name, sizeof entry->name, name);
    put_text(entry->help, sizeof entry->help, help);
    atomic_store_explicit(&page->header->histogram_count, count + 1, memory_order_release);
    return count;
}

void stats_observe(struct stats_page *page, uint32_t histogram, uint64_t value_ns)
{
    struct stats_histogram_entry *entry;

    assert(histogram < page->shape.header.histogram_capacity);
    entry = &page->histograms[histogram];
    word_add(&entry->bucket[stats_bucket_of(value_ns)], 1);
    word_add(&entry->sum_ns, value_ns);
    if (value_ns > atomic_load_explicit(&entry->max_ns, memory_order_relaxed))
        atomic_store_explicit(&entry->max_ns, value_ns, memory_order_relaxed);
}

void stats_pid(struct stats_page *page, uint32_t pid)
{
    atomic_store_explicit(&page->header->pid, pid, memory_order_relaxed);
}

void stats_beat(struct stats_page *page, uint64_t now_ns)
{
    atomic_store_explicit(&page->header->beat_ns, now_ns, memory_order_relaxed);
}
