#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/metrics/stats_layout.h"

static int read_at(int fd, void *to, size_t size, uint64_t offset, struct why *why)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(fd, (char *)to + done, size - done, (off_t)(offset + done));
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return why_errno(why, errno, "reading the stats page");
        if (n == 0)
            return why_set(why, -EPROTO, "the stats page ends too early");
        done += (size_t)n;
    }
    return 0;
}

/* Whether count entries of entry bytes from offset on lie in a file of size bytes; nothing here can overflow: count is below 2^32, entry
 * below 2^16. */
static bool fits(uint64_t offset, uint64_t count, uint64_t entry, uint64_t size)
{
    return offset % 8 == 0 && offset >= sizeof(struct stats_header) && offset <= size && count * entry <= size - offset;
}

/* Names become JSON members, column headings and metric names: plain ASCII or refused. */
static bool is_name(const char *name, size_t room)
{
    size_t size = strnlen(name, room);

    if (size == 0 || size == room)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == size;
}

static int check_header(const struct stats_header *header, uint64_t file_size, struct why *why)
{
    if (atomic_load_explicit(&header->magic, memory_order_relaxed) != STATS_MAGIC)
        return why_set(why, -EPROTO, "not a stats page");
    if (header->layout != STATS_LAYOUT || header->header_size != sizeof *header || header->bucket_count != STATS_BUCKETS)
        return why_set(why, -EPROTO, "stats page of layout %u, this program reads %u: use the umbelctl that came with the daemon",
                       (unsigned)header->layout, STATS_LAYOUT);
    if (header->size > file_size)
        return why_set(why, -EPROTO, "the stats page says %llu bytes, the file has %llu", (unsigned long long)header->size,
                       (unsigned long long)file_size);
    if (header->counter_capacity > STATS_COUNTERS_MAX || header->histogram_capacity > STATS_HISTOGRAMS_MAX ||
        header->table_count > STATS_TABLES_MAX)
        return why_set(why, -EPROTO, "the stats page's counts pass the limits");
    if (!fits(header->counters_at, header->counter_capacity, sizeof(struct stats_counter_entry), header->size) ||
        !fits(header->histograms_at, header->histogram_capacity, sizeof(struct stats_histogram_entry), header->size) ||
        !fits(header->tables_at, header->table_count, sizeof(struct stats_table_entry), header->size))
        return why_set(why, -EPROTO, "the stats page's offsets leave the file");
    return 0;
}

static bool column_is_good(const struct stats_column_entry *column, uint32_t row_size)
{
    bool text = column->type == STATS_TEXT;

    return is_name(column->name, sizeof column->name) && column->type >= STATS_U64 && column->type <= STATS_FLAG &&
           column->offset >= STATS_ROW_HEAD && column->offset % 8 == 0 && column->size % 8 == 0 && column->size > 0 &&
           (text ? column->size <= STATS_TEXT_MAX : column->size == 8) && column->offset <= row_size &&
           column->size <= row_size - column->offset;
}

static int check_table(const struct stats_table_entry *table, uint64_t size, struct why *why)
{
    if (!is_name(table->name, sizeof table->name))
        return why_set(why, -EPROTO, "a table of the stats page has no proper name");
    if (table->column_count > STATS_COLUMNS_MAX || table->capacity > STATS_ROWS_MAX || table->row_size < STATS_ROW_HEAD ||
        table->row_size > STATS_ROW_MAX || table->row_size % 8 || !fits(table->rows_at, table->capacity, table->row_size, size))
        return why_set(why, -EPROTO, "the rows of table %s leave the stats page", table->name);
    for (uint32_t i = 0; i < table->column_count; i++)
        if (!column_is_good(&table->column[i], table->row_size))
            return why_set(why, -EPROTO, "column %u of table %s leaves its row", (unsigned)i, table->name);
    return 0;
}

int stats_shape_read(int fd, struct stats_shape *ret_shape, struct why *why)
{
    struct stats_shape shape;
    struct stat about;
    int r;

    if (fstat(fd, &about) == -1)
        return why_errno(why, errno, "looking at the stats page");
    if (!S_ISREG(about.st_mode) || about.st_size < (off_t)sizeof shape.header)
        return why_set(why, -EPROTO, "not a stats page: too small");
    memset(&shape, 0, sizeof shape);
    r = read_at(fd, &shape.header, sizeof shape.header, 0, why);
    if (r < 0)
        return r;
    r = check_header(&shape.header, (uint64_t)about.st_size, why);
    if (r < 0)
        return r;
    shape.header.program[sizeof shape.header.program - 1] = '\0';
    shape.header.name[sizeof shape.header.name - 1] = '\0';
    r = read_at(fd, shape.table, shape.header.table_count * sizeof shape.table[0], shape.header.tables_at, why);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < shape.header.table_count; i++) {
        r = check_table(&shape.table[i], shape.header.size, why);
        if (r < 0)
            return r;
    }
    memcpy(ret_shape, &shape, sizeof shape);
    return 0;
}
