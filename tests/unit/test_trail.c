/* The event ring: its file, its writer's rules, and a reader that survives whatever the file holds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/metrics/host_stats.h"
#include "core/metrics/stats_view.h"
#include "core/metrics/trail_layout.h"
#include "core/metrics/trail_view.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_trail.%d", (int)getpid());
    unlink(path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void put(struct trail *trail, uint64_t n)
{
    struct trail_record record = {.kind = TRAIL_ASKED};

    record.value[TRAIL_V_COUNT] = n;
    trail_put(trail, &record);
}

static struct trail_view *open_view(void)
{
    struct trail_view *view = NULL;
    struct why why = {""};

    if (trail_view_open(path, &view, &why) < 0)
        fail_msg("%s", why.text);
    return view;
}

/* Goal: what an earlier process told is still there after a restart, and numbers go on.  Method: write, free, create again, write.
 * Catches: a fresh file at every start, a head that begins at 0, a file of another size that is taken as it is. */
static void goes_on_after_a_restart(void **state)
{
    struct trail *trail;
    struct trail_view *view;
    struct trail_record record;
    struct why why;
    struct stat about;

    (void)state;
    assert_int_equal(trail_create(path, 16, &trail, &why), 0);
    put(trail, 1);
    put(trail, 2);
    trail_free(trail);
    assert_int_equal(trail_create(path, 16, &trail, &why), 0);
    put(trail, 3);
    view = open_view();
    assert_int_equal(trail_view_head(view), 3);
    for (uint64_t n = 0; n < 3; n++) {
        assert_int_equal(trail_view_read(view, n, &record), TRAIL_SEEN);
        assert_int_equal(record.value[TRAIL_V_COUNT], n + 1);
        assert_true(record.wall_ms > 0 && record.time_ns > 0);
    }
    trail_free(trail);
    assert_int_equal(trail_create(path, 32, &trail, &why), 0); /* another size: anew */
    assert_false(trail_view_is_current(view, path));
    trail_view_close(view);
    view = open_view();
    assert_int_equal(trail_view_slots(view), 32);
    assert_int_equal(trail_view_head(view), 0);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    trail_view_close(view);
    trail_free(trail);
    assert_int_equal(trail_create(path, 24, &trail, &why), -EINVAL);
    trail_put(NULL, &record); /* no ring: nothing happens */
}

/* Goal: a host's ring lies behind its stats page in one file, and neither harms the other.  Method: make a page, append, adopt by the same
 * descriptor, write both, read both.  Catches: a ring inside the rows, a page that no longer opens, a place that the two sides do not agree on. */
static void behind_a_stats_page(void **state)
{
    struct stats_page *page;
    struct stats_view *stats;
    struct trail *trail;
    struct trail_view *view;
    struct trail_record record;
    struct why why = {""};

    (void)state;
    assert_int_equal(host_stats_create(path, "bmob.0", 10, &page, &why), 0);
    assert_int_equal(trail_view_open(path, &view, &why), -ENOENT);
    assert_int_equal(trail_adopt(stats_page_fd(page), &trail, &why), -ENOENT);
    assert_int_equal(trail_append(stats_page_fd(page), 64, &why), 0);
    assert_int_equal(trail_adopt(stats_page_fd(page), &trail, &why), 0);
    for (uint64_t n = 0; n < 100; n++)
        put(trail, n);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(stats_row_take(page, HOST_TABLE_CLIENTS), i);
    stats_set(page, HOST_CLIENTS, 7);
    view = open_view();
    assert_int_equal(trail_view_oldest(view), 36);
    assert_int_equal(trail_view_read(view, 35, &record), TRAIL_OVERWRITTEN);
    assert_int_equal(trail_view_read(view, 99, &record), TRAIL_SEEN);
    assert_int_equal(record.value[TRAIL_V_COUNT], 99);
    assert_int_equal(trail_view_read(view, 100, &record), TRAIL_NOT_YET);
    assert_int_equal(stats_view_open(path, &stats, &why), 0);
    assert_true(stats_view_find(stats, "clients", &(uint64_t){0}));
    stats_view_close(stats);
    trail_view_close(view);
    trail_free(trail);
    stats_page_free(page);
}

/* Goal: texts are cut at a character and always end.  Method: a text whose 63rd byte is inside a character.  Catches: half a character, a
 * missing zero, the rest of a longer text that was there before. */
static void texts(void **state)
{
    struct trail_record record;
    char text[80];

    (void)state;
    memset(&record, 0xff, sizeof record);
    memset(text, 'a', sizeof text);
    memcpy(text + 61, "\xe4\xbd\xa0", 3);
    text[79] = '\0';
    trail_text(&record, TRAIL_T_APP, text);
    assert_int_equal(strlen(record.text[TRAIL_T_APP]), 61);
    trail_text(&record, TRAIL_T_APP, "b");
    assert_string_equal(record.text[TRAIL_T_APP], "b");
    assert_int_equal(record.text[TRAIL_T_APP][2], 0);
}

static void spoil(uint64_t at, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), size);
    close(fd);
}

/* Goal: an event whose writer died within it is told as torn, not shown, and its successor's event takes its place.  Method: the odd number is
 * put into the file by hand.  Catches: a mixed event that is shown; a reader or a writer that hangs on it. */
static void a_writer_died_within(void **state)
{
    struct trail *trail;
    struct trail_view *view;
    struct trail_record record;
    struct why why;
    uint64_t odd = 2 * 1 + 1, head = 2;

    (void)state;
    assert_int_equal(trail_create(path, 8, &trail, &why), 0);
    put(trail, 0);
    trail_free(trail);
    spoil(sizeof(struct trail_header) + sizeof(struct trail_slot), &odd, 8);
    view = open_view();
    assert_int_equal(trail_view_read(view, 1, &record), TRAIL_NOT_YET);
    spoil(offsetof(struct trail_header, head), &head, 8);
    assert_int_equal(trail_view_read(view, 1, &record), TRAIL_TORN);
    head = 1;
    spoil(offsetof(struct trail_header, head), &head, 8);
    assert_int_equal(trail_create(path, 8, &trail, &why), 0);
    put(trail, 55);
    assert_int_equal(trail_view_read(view, 1, &record), TRAIL_SEEN);
    assert_int_equal(record.value[TRAIL_V_COUNT], 55);
    trail_view_close(view);
    trail_free(trail);
}

/* Goal: a file that is damaged, cut short or written by a hostile host makes the reader say so, or show nothing: it never crashes, reads
 * outside or hangs.  Method: each word of the header and of a slot set to bad values; every length of the file; then 2,000 files with random
 * bytes.  Catches: geometry that is trusted, a loop up to a head of 2^63, texts without an end. */
static void damaged_files(void **state)
{
    static const uint64_t bad[] = {0, 1, 7, UINT32_MAX, 1ull << 32, UINT64_MAX / 4, UINT64_MAX / 2, UINT64_MAX};
    struct trail *trail;
    struct why why;
    uint64_t random = 88172645463325252ull;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        struct trail_view *view;
        struct trail_record record;
        unsigned word = round / 8 % 72;

        unlink(path);
        assert_int_equal(trail_create(path, 8, &trail, &why), 0);
        for (uint64_t n = 0; n < 20; n++)
            put(trail, n);
        trail_free(trail);
        if (round < 576) {
            spoil(word * 8, &bad[round % 8], 8);
        } else {
            for (unsigned i = 0; i < 6; i++) {
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                spoil(random % (trail_size(8) / 8) * 8, &random, 8);
            }
            if (round % 3 == 0)
                assert_int_equal(truncate(path, (off_t)(random % trail_size(8))), 0);
        }
        if (trail_view_open(path, &view, &why) < 0)
            continue;
        uint64_t head = trail_view_head(view), oldest = trail_view_oldest(view);
        assert_true(head - oldest <= trail_view_slots(view));
        for (uint64_t n = oldest; n < head; n++)
            if (trail_view_read(view, n, &record) == TRAIL_SEEN)
                for (unsigned i = 0; i < TRAIL_TEXT_COUNT; i++)
                    assert_true(strnlen(record.text[i], TRAIL_TEXT_MAX) < TRAIL_TEXT_MAX);
        trail_view_close(view);
        if (trail_create(path, 8, &trail, &why) == 0) { /* the writer comes to terms with it, too */
            put(trail, 1);
            trail_free(trail);
        }
    }
    assert_int_equal(trail_view_open("/tmp", &(struct trail_view *){NULL}, &why), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_on_after_a_restart, setup, teardown), cmocka_unit_test_setup_teardown(behind_a_stats_page, setup, teardown),
        cmocka_unit_test(texts), cmocka_unit_test_setup_teardown(a_writer_died_within, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_files, setup, teardown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
