/* Fuzz: readers of a stats page whose writer is a stranger: umbelctl, and the metrics of everybody.  Whatever the bytes, no read outside, every
 * call ends, and what is handed out is what stats_view.h promises: terminated, and names without anything that steers a terminal.
 * Input: byte 0, bit 0: the bytes are the file; else a good page with changes, ten bytes each: u16 place, u64 what is written there.  Bit 1: the
 * file is cut to half its size once it is open. */
#include <sys/mman.h>
#include <unistd.h>

#include "core/metrics/stats_layout.h"
#include "core/metrics/stats_view.h"
#include "tests/fuzz/pieces.h"

#define PAGE_MAX ((size_t)1 << 20)

static const struct stats_column columns[] = {{"id", STATS_TEXT, 48}, {"bytes", STATS_U64, 0}, {"since", STATS_WALL_S, 0}};
static const struct stats_table_spec tables[] = {{"streams", 4, columns, 3}, {"hosts", 2, columns, 2}};
static const struct stats_counter_spec counters[] = {{"asked", "questions", false}, {"open/demo", "now", true}};
static const struct stats_counter_spec histograms[] = {{"lag", "how late", false}};

/* A good page, made once. */
static size_t good_page(const uint8_t **ret_bytes)
{
    static uint8_t *bytes;
    static size_t size;
    struct stats_page *page;
    struct why why = {""};
    char path[64];

    if (!bytes) {
        snprintf(path, sizeof path, "/tmp/umbel-fuzz-stats-%d", (int)getpid());
        REQUIRE(stats_page_create(path, "fuzz", "page", counters, 2, histograms, 1, tables, 2, &page, &why) == 0);
        stats_add(page, 0, 7);
        stats_observe(page, 0, 12345);
        uint32_t row = stats_row_take(page, 0);
        stats_row_text(page, 0, row, 0, "chatcmpl-1");
        off_t end = lseek(stats_page_fd(page), 0, SEEK_END);
        REQUIRE(end > 0 && (size_t)end <= PAGE_MAX);
        size = (size_t)end;
        bytes = malloc(size);
        REQUIRE(bytes && pread(stats_page_fd(page), bytes, size, 0) == end);
        stats_page_free(page);
        unlink(path);
    }
    *ret_bytes = bytes;
    return size;
}

static void check_name(const char *name, size_t room)
{
    REQUIRE(strnlen(name, room) < room);
    for (; *name; name++)
        REQUIRE((unsigned char)*name >= 0x20 && (unsigned char)*name <= 0x7e);
}

static void look_at_numbers(const struct stats_view *view)
{
    static uint64_t counts[STATS_BUCKETS];
    uint32_t n = stats_view_counters(view);
    uint64_t value, sum, max;

    REQUIRE(n <= STATS_COUNTERS_MAX);
    for (uint32_t i = 0; i <= n; i++) {
        const char *name, *help;
        bool gauge;
        if (stats_view_counter(view, i, &name, &help, &gauge, &value)) {
            check_name(name, STATS_NAME_SIZE);
            check_name(help, 80);
        }
    }
    stats_view_find(view, "asked", &value);
    n = stats_view_histograms(view);
    REQUIRE(n <= STATS_HISTOGRAMS_MAX);
    for (uint32_t i = 0; i <= n; i++) {
        struct stats_histogram h;
        const char *name;
        if (!stats_view_histogram(view, i, &name, &h))
            continue;
        check_name(name, STATS_NAME_SIZE);
        check_name(stats_view_histogram_help(view, i), 80);
        REQUIRE(h.p50_ns <= h.p90_ns && h.p90_ns <= h.p99_ns && h.p99_ns <= h.p999_ns && h.p999_ns <= h.max_ns);
        stats_view_buckets(view, i, counts, &sum, &max);
    }
}

static void look_at_tables(const struct stats_view *view)
{
    struct stats_cell cells[STATS_COLUMNS_MAX];
    uint32_t rows = 0;

    REQUIRE(stats_view_tables(view) <= STATS_TABLES_MAX);
    for (uint32_t t = 0; t < stats_view_tables(view); t++) {
        uint32_t count = stats_view_columns(view, t);
        REQUIRE(count <= STATS_COLUMNS_MAX && strlen(stats_view_table_name(view, t)) < 32);
        for (uint32_t c = 0; c < count; c++) {
            const char *name;
            enum stats_type type;
            REQUIRE(stats_view_column(view, t, c, &name, &type) && strlen(name) < 24);
        }
        for (uint32_t row = 0; row < stats_view_capacity(view, t) && rows < 64; row++, rows++) {
            if (!stats_view_row(view, t, row, cells, STATS_COLUMNS_MAX))
                continue;
            for (uint32_t c = 0; c < count; c++)
                REQUIRE(memchr(cells[c].text, '\0', sizeof cells[c].text));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stats_view *view;
    struct stats_page *page;
    struct stats_who who;
    struct why why = {""};
    const uint8_t *good;
    char path[64];
    uint8_t mode;
    size_t whole;

    if (size == 0 || size > PAGE_MAX)
        return 0;
    mode = *data++;
    size--;
    int fd = memfd_create("page", MFD_CLOEXEC);
    REQUIRE(fd >= 0);
    if (mode & 1) {
        whole = size;
        REQUIRE(write(fd, data, size) == (ssize_t)size);
    } else {
        whole = good_page(&good);
        REQUIRE(write(fd, good, whole) == (ssize_t)whole);
        for (; size >= 10; data += 10, size -= 10) {
            size_t at = ((size_t)data[0] << 8 | data[1]) * 8 % whole & ~(size_t)7; /* words: all fields begin on one, or are half of one */
            REQUIRE(pwrite(fd, data + 2, 8, (off_t)at) == 8);
        }
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (stats_view_open(path, &view, &why) == 0) {
        stats_view_who(view, &who);
        check_name(who.program, sizeof who.program);
        check_name(who.name, sizeof who.name);
        check_name(who.version, sizeof who.version);
        if (mode & 2)
            REQUIRE(ftruncate(fd, (off_t)whole / 2) == 0);
        look_at_numbers(view);
        look_at_tables(view);
        stats_view_close(view);
    } else {
        REQUIRE(why.text[0]);
    }
    /* The writer's side adopts a page that a process before it has left: it may have been a stranger's, too. */
    int copy = dup(fd);
    if (!(mode & 2) && copy >= 0 && stats_page_adopt(copy, &page, &why) == 0) {
        stats_page_free(page);
        copy = -1;
    }
    if (copy >= 0)
        close(copy);
    close(fd);
    return 0;
}
