/* The stats page: what a writer puts there, what a reader in another process makes of it, also when the writer died, lies or is slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/version.h>

#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "core/metrics/stats_layout.h"
#include "core/metrics/stats_view.h"

static char folder[64], path[128];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/umbel-stats-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/stats/page", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char parent[128];

    (void)state;
    unlink(path);
    snprintf(parent, sizeof parent, "%s/stats", folder);
    rmdir(parent);
    return rmdir(folder); /* fails, and the test with it, if anything else was left behind */
}

enum { TEXT_COLUMN, NUMBER_COLUMN, SECOND_COLUMN };
static const struct stats_column columns[] = {{"text", STATS_TEXT, 32}, {"number", STATS_U64, 0}, {"second", STATS_BYTES, 0}};
static const struct stats_counter_spec counters[] = {{"things", "things done", false}, {"level", "things held", true}};
static const struct stats_counter_spec histograms[] = {{"lag", "time taken", false}};

static struct stats_page *small_page(uint32_t rows)
{
    const struct stats_table_spec table = {"rows", rows, columns, 3};
    struct stats_page *page;
    struct why why = {""};

    assert_int_equal(stats_page_create(path, "test", "small", counters, 2, histograms, 1, &table, 1, &page, &why), 0);
    return page;
}

static struct stats_view *open_view(void)
{
    struct stats_view *view;
    struct why why = {""};
    int r = stats_view_open(path, &view, &why);

    if (r < 0)
        fail_msg("%s", why.text);
    return view;
}

/* Goal: everything written is read back under its name.  Method: one of each kind.  Catches: wrong offsets, lost names. */
static void test_round_trip(void **state)
{
    struct stats_page *page = small_page(4);
    struct stats_view *view = open_view();
    struct stats_histogram histogram;
    struct stats_cell cell[3];
    struct stats_who who;
    const char *name, *help;
    enum stats_type type;
    uint64_t value;
    bool gauge;

    (void)state;
    stats_add(page, 0, 5);
    stats_add(page, 0, 2);
    stats_set(page, 1, 9);
    stats_add(page, 1, (uint64_t)-1);
    stats_observe(page, 0, 1000000);
    stats_beat(page, 77);
    stats_pid(page, 4242);
    assert_int_equal(stats_row_take(page, 0), 0);
    assert_int_equal(stats_row_take(page, 0), 1);
    stats_row_text(page, 0, 1, TEXT_COLUMN, "hello");
    stats_row_u64(page, 0, 1, NUMBER_COLUMN, UINT64_MAX);
    stats_row_release(page, 0, 0);

    assert_int_equal(stats_view_counters(view), 2);
    assert_true(stats_view_counter(view, 0, &name, &help, &gauge, &value));
    assert_string_equal(name, "things");
    assert_string_equal(help, "things done");
    assert_false(gauge);
    assert_int_equal(value, 7);
    assert_true(stats_view_counter(view, 1, NULL, NULL, &gauge, &value));
    assert_true(gauge);
    assert_int_equal(value, 8);
    assert_false(stats_view_counter(view, 2, NULL, NULL, NULL, NULL));
    assert_true(stats_view_find(view, "level", &value));
    assert_false(stats_view_find(view, "nothing", &value));
    stats_view_who(view, &who);
    assert_string_equal(who.program, "test");
    assert_string_equal(who.name, "small");
    assert_string_equal(who.version, UMBEL_VERSION);
    assert_int_equal(who.pid, 4242);
    assert_int_equal(who.beat_ns, 77);
    assert_true(stats_view_histogram(view, 0, &name, &histogram));
    assert_string_equal(name, "lag");
    assert_string_equal(stats_view_histogram_help(view, 0), "time taken");
    assert_int_equal(histogram.count, 1);
    assert_int_equal(histogram.max_ns, 1000000);
    assert_int_equal(histogram.p50_ns, 1000000); /* never above the greatest value seen */
    assert_string_equal(stats_view_table_name(view, 0), "rows");
    assert_int_equal(stats_view_columns(view, 0), 3);
    assert_true(stats_view_column(view, 0, 2, &name, &type));
    assert_string_equal(name, "second");
    assert_int_equal(type, STATS_BYTES);
    assert_false(stats_view_row(view, 0, 0, cell, 3));
    assert_true(stats_view_row(view, 0, 1, cell, 3));
    assert_string_equal(cell[TEXT_COLUMN].text, "hello");
    assert_true(cell[NUMBER_COLUMN].number == UINT64_MAX);
    assert_int_equal(cell[SECOND_COLUMN].number, 0);
    assert_false(stats_view_row(view, 0, 2, cell, 3));
    assert_false(stats_view_row(view, 0, 4, cell, 3));
    assert_false(stats_view_row(view, 1, 0, cell, 3));
    stats_view_close(view);
    stats_page_free(page);
}

/* Goal: the file is readable by the group only, replaced whole, and old readers keep the old one.  Method: create twice under a hard
 * umask.  Catches: umask deciding the mode, writing into the file in place, a leftover temporary file (the teardown sees it). */
static void test_replaced_whole(void **state)
{
    mode_t before = umask(0077);
    struct stats_page *first = small_page(4), *second;
    struct stats_view *old = open_view(), *young;
    struct stat about;
    uint64_t value;

    (void)state;
    stats_add(first, 0, 1);
    second = small_page(8);
    umask(before);
    young = open_view();
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0640);
    assert_true(stats_view_find(old, "things", &value));
    assert_int_equal(value, 1);
    assert_true(stats_view_find(young, "things", &value));
    assert_int_equal(value, 0);
    assert_int_equal(stats_view_capacity(old, 0), 4);
    assert_int_equal(stats_view_capacity(young, 0), 8);
    stats_view_close(old);
    stats_view_close(young);
    stats_page_free(first);
    stats_page_free(second);
}

/* Goal: the real tables, full size, take no room before they are used, fill to the last row, refuse the next and give rows back.
 * Method: 16,384 streams, 20,000 clients.  Catches: a dense file, an off-by-one at full, a free list that loses rows. */
static void test_full_tables(void **state)
{
    struct stats_page *page;
    struct stats_view *view;
    struct stats_cell cell[STREAM_COL_COUNT];
    struct stat about;
    struct why why;

    (void)state;
    assert_int_equal(core_stats_create(path, 16384, 64, 64, &page, &why), 0);
    assert_int_equal(fstat(stats_page_fd(page), &about), 0);
    assert_true(about.st_size > 8 * 1024 * 1024);
    assert_true(about.st_blocks * 512 < 1024 * 1024);
    for (uint32_t i = 0; i < 16384; i++)
        assert_int_equal(stats_row_take(page, CORE_TABLE_STREAMS), i);
    assert_int_equal(stats_row_take(page, CORE_TABLE_STREAMS), UINT32_MAX);
    stats_row_text(page, CORE_TABLE_STREAMS, 16383, STREAM_COL_ERROR, "the last one");
    stats_row_text(page, CORE_TABLE_STREAMS, 700, STREAM_COL_ID, "chatcmpl-old");
    stats_row_release(page, CORE_TABLE_STREAMS, 700);
    assert_int_equal(stats_row_take(page, CORE_TABLE_STREAMS), 700);
    assert_int_equal(stats_row_take(page, CORE_TABLE_STREAMS), UINT32_MAX);
    view = open_view();
    assert_true(stats_view_row(view, CORE_TABLE_STREAMS, 16383, cell, STREAM_COL_COUNT));
    assert_string_equal(cell[STREAM_COL_ERROR].text, "the last one");
    assert_true(stats_view_row(view, CORE_TABLE_STREAMS, 700, cell, STREAM_COL_COUNT));
    assert_string_equal(cell[STREAM_COL_ID].text, ""); /* a row taken again remembers nothing */
    stats_view_close(view);
    stats_page_free(page);

    assert_int_equal(host_stats_create(path, "bmob.0", 20000, &page, &why), 0);
    for (uint32_t i = 0; i < 20000; i++)
        assert_int_equal(stats_row_take(page, HOST_TABLE_CLIENTS), i);
    for (uint32_t i = 0; i < 20000; i++)
        stats_row_release(page, HOST_TABLE_CLIENTS, i);
    for (uint32_t i = 0; i < 20000; i++)
        assert_true(stats_row_take(page, HOST_TABLE_CLIENTS) < 20000);
    assert_int_equal(stats_row_take(page, HOST_TABLE_CLIENTS), UINT32_MAX);
    stats_page_free(page);
}

/* Goal: a spec that passes a limit is refused with words.  Method: one beyond each.  Catches: writing past the fixed parts. */
static void test_spec_limits(void **state)
{
    static struct stats_counter_spec many[STATS_COUNTERS_MAX + 1];
    const struct stats_column long_text = {"text", STATS_TEXT, STATS_TEXT_MAX + 1};
    struct stats_table_spec table = {"rows", STATS_ROWS_MAX + 1, columns, 3};
    struct stats_page *page;
    struct why why = {""};

    (void)state;
    for (uint32_t i = 0; i <= STATS_COUNTERS_MAX; i++)
        many[i] = counters[0];
    assert_int_equal(stats_page_create(path, "t", "t", many, STATS_COUNTERS_MAX + 1, NULL, 0, NULL, 0, &page, &why), -EINVAL);
    assert_int_equal(stats_page_create(path, "t", "t", NULL, 0, many, STATS_HISTOGRAMS_MAX + 1, NULL, 0, &page, &why), -EINVAL);
    assert_int_equal(stats_page_create(path, "t", "t", NULL, 0, NULL, 0, &table, 1, &page, &why), -EINVAL);
    table = (struct stats_table_spec){"rows", 1, &long_text, 1};
    assert_int_equal(stats_page_create(path, "t", "t", NULL, 0, NULL, 0, &table, 1, &page, &why), -EINVAL);
    assert_non_null(strstr(why.text, "rows.text"));
    assert_int_equal(access(path, F_OK), -1);
}

/* Goal: a bucket tells its values to 10 % from 1 us to beyond 100 s.  Method: every bucket's bounds, and values around powers of two.
 * Catches: a gap, an overlap, a bound off by one. */
static void test_buckets(void **state)
{
    (void)state;
    for (uint32_t i = 1; i + 1 < STATS_BUCKETS; i++) {
        uint64_t lower = stats_bucket_upper_ns(i - 1), upper = stats_bucket_upper_ns(i);

        assert_true(upper > lower);
        assert_int_equal(stats_bucket_of(lower), i);
        assert_int_equal(stats_bucket_of(upper - 1), i);
        assert_true((upper - lower) * 10 <= lower);
    }
    assert_true(stats_bucket_of(1000) > 0);
    assert_true(stats_bucket_of(100000000000ull) < STATS_BUCKETS - 1);
    assert_int_equal(stats_bucket_of(0), 0);
    assert_int_equal(stats_bucket_of(UINT64_MAX), STATS_BUCKETS - 1);
}

/* Goal: quantiles are right to 10 %, upwards.  Method: 1 .. 1000 us once each.  Catches: ranks off, sums over the wrong words. */
static void test_quantiles(void **state)
{
    struct stats_page *page = small_page(1);
    struct stats_view *view = open_view();
    struct stats_histogram h;

    (void)state;
    assert_true(stats_view_histogram(view, 0, NULL, &h));
    assert_int_equal(h.count, 0);
    assert_int_equal(h.p99_ns, 0);
    for (uint64_t i = 1; i <= 1000; i++)
        stats_observe(page, 0, i * 1000);
    assert_true(stats_view_histogram(view, 0, NULL, &h));
    assert_int_equal(h.count, 1000);
    assert_int_equal(h.sum_ns, 500500000);
    assert_int_equal(h.max_ns, 1000000);
    assert_in_range(h.p50_ns, 500000, 550000);
    assert_in_range(h.p90_ns, 900000, 990000);
    assert_in_range(h.p99_ns, 990000, 1000000);
    assert_in_range(h.p999_ns, 999000, 1000000);
    stats_view_close(view);
    stats_page_free(page);
}

/* Goal: a plugin's counter made at run time reaches a reader that was open before; the same name is the same counter; a full page says
 * so.  Method: fill it.  Catches: a view that read the count once, a count past the capacity. */
static void test_named_counters(void **state)
{
    struct stats_page *page = small_page(1);
    struct stats_view *view = open_view();
    char name[32];
    uint64_t value;
    uint32_t index;

    (void)state;
    assert_int_equal(stats_view_counters(view), 2);
    index = stats_name_counter(page, "frames_bad", "frames that were no JSON", false);
    assert_int_equal(index, 2);
    assert_int_equal(stats_name_counter(page, "frames_bad", "", false), 2);
    stats_add(page, index, 3);
    assert_true(stats_view_find(view, "frames_bad", &value));
    assert_int_equal(value, 3);
    for (uint32_t i = 3; i < STATS_COUNTERS_MAX; i++) {
        snprintf(name, sizeof name, "made_%u", i);
        assert_int_equal(stats_name_counter(page, name, "", true), i);
    }
    assert_int_equal(stats_name_counter(page, "one_more", "", false), UINT32_MAX);
    assert_int_equal(stats_name_counter(page, "frames_bad", "", false), 2);
    assert_int_equal(stats_view_counters(view), STATS_COUNTERS_MAX);
    stats_view_close(view);
    stats_page_free(page);
}

/* Goal: text that does not fit ends at a whole character.  Method: the column has 32 bytes, the text 30 ASCII + a 3-byte character.
 * Catches: half a character, a missing zero, the tail of an earlier, longer text. */
static void test_text_cut(void **state)
{
    struct stats_page *page = small_page(1);
    struct stats_view *view = open_view();
    struct stats_cell cell[3];

    (void)state;
    stats_row_take(page, 0);
    stats_row_text(page, 0, 0, TEXT_COLUMN, "123456789012345678901234567890\xe4\xbd\xa0");
    assert_true(stats_view_row(view, 0, 0, cell, 3));
    assert_string_equal(cell[0].text, "123456789012345678901234567890");
    stats_row_text(page, 0, 0, TEXT_COLUMN, "1234567890123456789012345678\xe4\xbd\xa0");
    assert_true(stats_view_row(view, 0, 0, cell, 3));
    assert_string_equal(cell[0].text, "1234567890123456789012345678\xe4\xbd\xa0"); /* 31 bytes and the zero just fit */
    stats_row_text(page, 0, 0, TEXT_COLUMN, "12345678");
    assert_true(stats_view_row(view, 0, 0, cell, 3));
    assert_string_equal(cell[0].text, "12345678");
    stats_row_text(page, 0, 0, TEXT_COLUMN, NULL);
    assert_true(stats_view_row(view, 0, 0, cell, 3));
    assert_string_equal(cell[0].text, "");
    stats_view_close(view);
    stats_page_free(page);
}

static void wait_byte(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 1);
}

/* Goal: a writer killed in the middle of a row stops no reader, and the next writer mends the row.  Method: a child begins a section and
 * is killed; read; adopt; read.  Catches: waiting for ever on an odd number; a mended row that readers go on doubting; a gauge that lies
 * on; a counter that forgets. */
static void test_killed_in_the_middle(void **state)
{
    struct stats_page *page = small_page(4), *next;
    struct stats_view *view = open_view();
    struct stats_cell cell[3];
    struct why why;
    uint64_t value;
    int ready[2];
    pid_t child;

    (void)state;
    stats_row_take(page, 0);
    stats_row_take(page, 0);
    stats_add(page, 0, 6);
    stats_set(page, 1, 6);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        stats_row_begin(page, 0, 1);
        stats_row_u64(page, 0, 1, NUMBER_COLUMN, 11);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    wait_byte(ready[0]);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(stats_view_row_seen(view, 0, 1, cell, 3), STATS_ROW_TORN); /* shown as it is */
    assert_int_equal(cell[NUMBER_COLUMN].number, 11);

    assert_int_equal(stats_page_adopt(dup(stats_page_fd(page)), &next, &why), 0);
    assert_false(stats_view_row(view, 0, 0, cell, 3));
    assert_false(stats_view_row(view, 0, 1, cell, 3));
    assert_int_equal(stats_row_take(next, 0), 0);
    assert_int_equal(stats_row_take(next, 0), 1);
    stats_row_u64(next, 0, 1, NUMBER_COLUMN, 12);
    assert_int_equal(stats_view_row_seen(view, 0, 1, cell, 3), STATS_ROW_WHOLE);
    assert_int_equal(cell[NUMBER_COLUMN].number, 12);
    assert_int_equal(stats_row_take(next, 0), 2);
    assert_int_equal(stats_row_take(next, 0), 3);
    assert_int_equal(stats_row_take(next, 0), UINT32_MAX);
    assert_true(stats_view_find(view, "things", &value));
    assert_int_equal(value, 6);
    assert_true(stats_view_find(view, "level", &value));
    assert_int_equal(value, 0);
    close(ready[0]);
    close(ready[1]);
    stats_view_close(view);
    stats_page_free(next);
    stats_page_free(page);
}

static _Atomic bool stop_writing;

/* Changes a row for ever; text and both numbers always say the same. */
static void write_rows(struct stats_page *page)
{
    char text[32];

    for (uint64_t i = 1; !atomic_load_explicit(&stop_writing, memory_order_relaxed); i++) {
        memset(text, 'a' + (int)(i % 26), sizeof text - 1);
        text[sizeof text - 1] = '\0';
        stats_row_begin(page, 0, 0);
        stats_row_text(page, 0, 0, TEXT_COLUMN, text);
        stats_row_u64(page, 0, 0, NUMBER_COLUMN, i);
        stats_row_u64(page, 0, 0, SECOND_COLUMN, i);
        stats_row_end(page, 0, 0);
        stats_observe(page, 0, i);
        stats_beat(page, i);
        for (uint64_t j = 0; j < 1 + i % 8 * 1000; j++) /* a gap of changing length, so that copies meet a change or miss it */
            stats_add(page, 0, 1);
    }
}

/* Reads until so many whole copies that differ were seen.  A copy called whole must be whole, each single one. */
static void read_rows(const struct stats_view *view, unsigned wanted)
{
    uint64_t last = 0, things = 0, before = 0;
    struct stats_histogram h;
    struct stats_cell cell[3];

    for (unsigned changed = 0; changed < wanted;) {
        enum stats_row_seen seen = stats_view_row_seen(view, 0, 0, cell, 3);

        assert_int_not_equal(seen, STATS_ROW_FREE);
        if (seen == STATS_ROW_WHOLE) {
            assert_int_equal(cell[NUMBER_COLUMN].number, cell[SECOND_COLUMN].number);
            for (size_t i = 0; cell[NUMBER_COLUMN].number > 0 && i < 31; i++)
                assert_int_equal(cell[0].text[i], 'a' + (char)(cell[NUMBER_COLUMN].number % 26));
            assert_true(cell[NUMBER_COLUMN].number >= last);
            changed += cell[NUMBER_COLUMN].number != last;
            last = cell[NUMBER_COLUMN].number;
        }
        assert_true(stats_view_find(view, "things", &things));
        assert_true(things >= before); /* a counter never goes back */
        before = things;
        assert_true(stats_view_histogram(view, 0, NULL, &h));
    }
}

static void *thread_main(void *page)
{
    write_rows(page);
    return NULL;
}

/* Goal: a reader never takes half of a change for a row.  Method: a thread writes one row without pause.  Catches: a reader without its
 * second look, a writer without its odd number; under TSan any access that is no atomic. */
static void test_thread_against_reader(void **state)
{
    struct stats_page *page = small_page(1);
    struct stats_view *view = open_view();
    pthread_t thread;

    (void)state;
    stats_row_take(page, 0);
    atomic_store(&stop_writing, false);
    assert_int_equal(pthread_create(&thread, NULL, thread_main, page), 0);
    read_rows(view, 2000);
    atomic_store(&stop_writing, true);
    pthread_join(thread, NULL);
    stats_view_close(view);
    stats_page_free(page);
}

/* Goal: the same between processes, and with the writer stopped by a signal the page is still read.  Method: a child that adopted the
 * page; SIGSTOP.  Catches: a reader that needs the writer's help. */
static void test_process_against_reader(void **state)
{
    struct stats_page *page = small_page(1);
    struct stats_view *view = open_view();
    struct stats_cell cell[3];
    struct stats_who who, later;
    int status;
    pid_t child;

    (void)state;
    stats_row_take(page, 0);
    atomic_store(&stop_writing, false);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed assertion must not leave it behind */
        write_rows(page);
        _exit(0);
    }
    read_rows(view, 2000);
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
    stats_view_who(view, &who);
    assert_true(stats_view_row(view, 0, 0, cell, 3));
    stats_view_who(view, &later);
    assert_true(who.beat_ns > 0);
    assert_int_equal(who.beat_ns, later.beat_ns);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    stats_view_close(view);
    stats_page_free(page);
}

/* Looks at everything a view offers; what it says does not matter, that it comes back does. */
static void read_everything(const struct stats_view *view)
{
    struct stats_cell cell[STATS_COLUMNS_MAX];
    struct stats_histogram h;
    struct stats_who who;
    const char *name;
    size_t length = 0;

    stats_view_who(view, &who);
    length += strlen(who.program) + strlen(who.name);
    for (uint32_t i = 0; i < stats_view_counters(view); i++)
        if (stats_view_counter(view, i, &name, NULL, NULL, NULL))
            length += strlen(name);
    for (uint32_t i = 0; i < stats_view_histograms(view); i++)
        if (stats_view_histogram(view, i, &name, &h))
            length += strlen(name);
    for (uint32_t t = 0; t < stats_view_tables(view); t++)
        for (uint32_t row = 0; row < stats_view_capacity(view, t); row += row < 8 ? 1 : 1 + stats_view_capacity(view, t) / 8)
            if (stats_view_row(view, t, row, cell, STATS_COLUMNS_MAX))
                for (uint32_t c = 0; c < stats_view_columns(view, t); c++)
                    length += strlen(cell[c].text);
    assert_true(length < 10 * 1024 * 1024);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Goal: no page, whatever its bytes, leads a reader astray.  Method: 4,000 pages that differ from a good one in a few descriptive
 * words, set to values that hurt.  Catches (under ASan, and as a hang): offsets and sizes believed, names without a zero. */
static void test_hostile_words(void **state)
{
    static const uint64_t hurting[] = {0, 1, 7, 8, UINT32_MAX, UINT64_MAX, 1ull << 63, 0x100000001ull, 0xfffffffffffffff8ull, 0x4141414141414141ull};
    struct stats_page *page = small_page(8);
    size_t table_at, words, size;
    struct stats_header header;
    unsigned opened = 0, refused = 0;
    struct stat about;
    uint32_t seed = 12345;
    uint64_t *good;
    int fd;

    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        stats_row_take(page, 0);
    assert_int_equal(pread(stats_page_fd(page), &header, sizeof header, 0), sizeof header);
    table_at = (size_t)header.tables_at;
    assert_int_equal(fstat(stats_page_fd(page), &about), 0);
    size = (size_t)about.st_size;
    good = malloc(size);
    assert_non_null(good);
    assert_int_equal(pread(stats_page_fd(page), good, size, 0), (ssize_t)size);
    fd = open(path, O_RDWR | O_CLOEXEC);
    words = sizeof header / 8 + sizeof(struct stats_table_entry) / 8;
    for (unsigned round = 0; round < 4000; round++) {
        struct stats_view *view;
        struct why why = {""};

        assert_int_equal(pwrite(fd, good, size, 0), (ssize_t)size);
        for (unsigned i = 0; i < 1 + round % 3; i++) {
            size_t word = next_random(&seed) % words;
            size_t at = word < sizeof header / 8 ? word * 8 : table_at + (word - sizeof header / 8) * 8;
            uint64_t value = next_random(&seed) % 4 ? hurting[next_random(&seed) % 10] : next_random(&seed);
            size_t part = next_random(&seed) % 2 ? 8 : 4;

            assert_int_equal(pwrite(fd, &value, part, (off_t)(at + (part == 4 ? next_random(&seed) % 2 * 4 : 0))), (ssize_t)part);
        }
        if (stats_view_open(path, &view, &why) < 0) {
            assert_true(why.text[0] != '\0');
            refused++;
            continue;
        }
        opened++;
        read_everything(view);
        stats_view_close(view);
    }
    assert_true(opened > 100 && refused > 100); /* both ways were taken */
    free(good);
    close(fd);
    stats_page_free(page);
}

/* Goal: text without its zero ends at its column.  Method: fill a row's bytes with letters behind the writer's back.  Catches: a cell that
 * runs on into the next one. */
static void test_hostile_text(void **state)
{
    struct stats_page *page = small_page(1);
    struct stats_view *view = open_view();
    struct stats_table_entry table;
    struct stats_header header;
    struct stats_cell cell[3];
    char letters[48];
    int fd = stats_page_fd(page);

    (void)state;
    stats_row_take(page, 0);
    assert_int_equal(pread(fd, &header, sizeof header, 0), sizeof header);
    assert_int_equal(pread(fd, &table, sizeof table, (off_t)header.tables_at), sizeof table);
    memset(letters, 'A', sizeof letters);
    memset(cell, 'B', sizeof cell);
    assert_int_equal(pwrite(fd, letters, sizeof letters, (off_t)table.rows_at + STATS_ROW_HEAD), sizeof letters);
    assert_true(stats_view_row(view, 0, 0, cell, 3));
    assert_int_equal(strlen(cell[TEXT_COLUMN].text), 31);
    stats_view_close(view);
    stats_page_free(page);
}

/* Goal: rows larger than a reader's buffer are refused.  Method: a file with room for them, and a table that says so.  Catches: a row
 * copied over the stack's end, where the file's size alone forbids nothing. */
static void test_hostile_row_size(void **state)
{
    struct stats_page *page = small_page(1);
    uint32_t row_size = STATS_ROW_MAX + 8;
    uint64_t size = 1 << 20;
    struct stats_header header;
    struct stats_view *view;
    struct why why = {""};
    int fd = stats_page_fd(page);

    (void)state;
    stats_row_take(page, 0);
    assert_int_equal(pread(fd, &header, sizeof header, 0), sizeof header);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(pwrite(fd, &size, 8, offsetof(struct stats_header, size)), 8);
    view = open_view();
    stats_view_close(view);
    assert_int_equal(pwrite(fd, &row_size, 4, (off_t)(header.tables_at + offsetof(struct stats_table_entry, row_size))), 4);
    assert_int_equal(stats_view_open(path, &view, &why), -EPROTO);
    assert_non_null(strstr(why.text, "rows of table rows"));
    stats_page_free(page);
}

/* Goal: a file that is too short, shrinks while it is open, or is no file at all is an error and never a signal or a wait.  Method: each
 * of them.  Catches: reading through a mapping (SIGBUS), opening a FIFO with blocking. */
static void test_short_and_strange_files(void **state)
{
    struct stats_page *page = small_page(64);
    struct stats_view *view;
    struct stat about;
    struct why why = {""};
    int fd;

    (void)state;
    stats_row_take(page, 0);
    assert_int_equal(fstat(stats_page_fd(page), &about), 0);
    view = open_view();
    stats_page_free(page);
    fd = open(path, O_RDWR | O_CLOEXEC);
    for (off_t size = about.st_size; size > 0; size = size * 3 / 4) {
        assert_int_equal(ftruncate(fd, size - 1), 0);
        read_everything(view);
    }
    stats_view_close(view);
    for (off_t size = about.st_size - 1; size > 0; size = size * 3 / 4) {
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(stats_view_open(path, &view, &why), -EPROTO);
    }
    close(fd);
    unlink(path);
    assert_int_equal(stats_view_open(path, &view, &why), -ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(stats_view_open(path, &view, &why), -EPROTO);
    unlink(path);
    assert_int_equal(stats_view_open(folder, &view, &why), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_replaced_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_full_tables, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_spec_limits, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_buckets, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_quantiles, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_named_counters, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_text_cut, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_killed_in_the_middle, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_thread_against_reader, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_process_against_reader, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_hostile_words, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_hostile_text, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_hostile_row_size, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_short_and_strange_files, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
