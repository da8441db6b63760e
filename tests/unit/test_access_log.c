/* core/access: lines through a thread into a file, whole, in order, counted when they are lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/access/access_log.h"
#include "core/base/clock.h"
#include "core/base/fd.h"

#define PATIENCE_NS (60 * CLOCK_S)

static char folder[64], path[96], old[96];
static struct access_log *access_log_;

static int make_folder(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    strcpy(folder, "/tmp/umbel-access-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/access.log", folder);
    snprintf(old, sizeof old, "%s/access.log.1", folder);
    access_log_ = NULL;
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    access_log_close(access_log_);
    unlink(path);
    unlink(old);
    return rmdir(folder);
}

static void open_log(const char *name)
{
    struct why why = {""};

    if (access_log_open(name, &access_log_, &why) < 0)
        fail_msg("%s", why.text);
}

static void close_log(void)
{
    access_log_close(access_log_);
    access_log_ = NULL;
}

static void say(const char *line)
{
    access_log_write(access_log_, line, strlen(line));
}

static void expect_file(const char *name, const char *text)
{
    char *data;
    size_t size;

    assert_int_equal(fd_read_file(name, 1 << 20, &data, &size), 0);
    assert_string_equal(data, text);
    free(data);
}

#define wait_until(condition)                                                                                                          \
    do {                                                                                                                               \
        uint64_t until_ns = clock_now_ns() + PATIENCE_NS;                                                                              \
        while (!(condition)) {                                                                                                         \
            if (clock_now_ns() > until_ns)                                                                                             \
                fail_msg("waited for %s", #condition);                                                                                 \
            poll(NULL, 0, 1);                                                                                                              \
        }                                                                                                                              \
    } while (0)

/* Goal: what was written is in the file when the log is closed; files are appended to, and not open to others.
 * Method: write, close, again.  Catches: a thread that ends before it has written; O_TRUNC; a mode of 0666. */
static void test_lines_are_there_after_close(void **state)
{
    struct stat status;

    (void)state;
    umask(0);
    open_log(path);
    say("{\"a\":1}");
    say("{\"b\":2}");
    close_log();
    open_log(path);
    say("{\"c\":3}");
    close_log();
    expect_file(path, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

/* Goal: logrotate: after a reopen each line is in exactly one file, the older ones in the old one.  Method: rename, write, reopen, write,
 * without ever waiting for the thread.  Catches: buffered lines that go to the new file; a second reopen that moves the border. */
static void test_reopen(void **state)
{
    (void)state;
    open_log(path);
    say("one");
    assert_int_equal(rename(path, old), 0);
    say("two");
    access_log_reopen(access_log_);
    say("three");
    access_log_reopen(access_log_); /* twice before the thread has seen the first: the border stays, or "three" stands in the new file */
    say("four");
    close_log();
    expect_file(old, "one\ntwo\n");
    expect_file(path, "three\nfour\n");
}

/* Goal: a reader that takes nothing costs lines, not the caller.  Method: a pipe that nobody empties, much more than fits.
 * Catches: a write that blocks, lines lost without being counted, half lines. */
static void test_full_buffer(void **state)
{
    enum { LINES = 100000, SIZE = 100 };
    char line[SIZE + 1], *text, *end;
    size_t size = 0, at;
    uint64_t seen = 0;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    open_log(path);
    memset(line, 'x', SIZE);
    line[SIZE] = '\0';
    for (int i = 0; i < LINES; i++)
        access_log_write(access_log_, line, SIZE);
    uint64_t dropped = access_log_dropped(access_log_);
    assert_true(dropped > 0);
    text = malloc((size_t)LINES * (SIZE + 1));
    assert_non_null(text);
    for (bool over = false; !over;) {
        /* all that was not dropped arrives; what the thread gave up meanwhile, if this went slowly, is counted and may leave a piece */
        ssize_t n = read(reader, text + size, (size_t)LINES * (SIZE + 1) - size);
        if (n > 0)
            size += (size_t)n;
        for (seen = 0, at = 0; at < size; at += (size_t)(end - (text + at)) + 1) {
            end = memchr(text + at, '\n', size - at);
            if (!end)
                break;
            seen += end - (text + at) == SIZE && memcmp(text + at, line, SIZE) == 0;
        }
        over = seen + access_log_dropped(access_log_) >= LINES;
        if (n <= 0)
            poll(NULL, 0, 1);
    }
    assert_true(seen > 0);
    assert_int_equal(seen + access_log_dropped(access_log_), LINES);
    free(text);
    close(reader);
}

/* Goal: a disk that is full loses lines and says how many; it goes on by itself.  Method: /dev/full by a link, which then leads to a file.
 * Catches: counting nothing, retrying never, a log that stays dead. */
static void test_full_disk(void **state)
{
    (void)state;
    assert_int_equal(symlink("/dev/full", path), 0);
    open_log(path);
    say("one");
    say("two");
    wait_until(access_log_dropped(access_log_) == 2);
    assert_int_equal(access_log_written(access_log_), 0);
    assert_int_equal(unlink(path), 0);
    access_log_reopen(access_log_);
    say("three");
    wait_until(access_log_written(access_log_) == 6);
    assert_int_equal(access_log_dropped(access_log_), 2);
    expect_file(path, "three\n");
}

/* Goal: a path that cannot be is told at the start, with words.  Method: a folder that is missing; a pipe without reader.
 * Catches: a daemon that runs without its log; one that hangs at its start. */
static void test_bad_paths(void **state)
{
    struct why why = {""};
    char missing[128];

    (void)state;
    snprintf(missing, sizeof missing, "%s/no/access.log", folder);
    assert_int_equal(access_log_open(missing, &access_log_, &why), -ENOENT);
    assert_non_null(strstr(why.text, missing));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(access_log_open(path, &access_log_, &why), -ENXIO);
}

static void *write_many(void *argument)
{
    char line[64];

    for (int i = 0; i < 5000; i++) {
        int size = snprintf(line, sizeof line, "%d %d", *(int *)argument, i);
        access_log_write(access_log_, line, (size_t)size);
        if (i % 1000 == 0)
            access_log_reopen(access_log_);
    }
    return NULL;
}

/* Goal: several writers, the thread and reopens at once.  Method: four threads, then all lines are looked for in order per writer.
 * Catches: a race (ThreadSanitizer), a lost or mixed line. */
static void test_many_writers(void **state)
{
    pthread_t threads[4];
    int numbers[4], next[4] = {0}, writer, number;
    char *data;
    size_t size;

    (void)state;
    open_log(path);
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(access_log_dropped(access_log_), 0);
    close_log();
    assert_int_equal(fd_read_file(path, 1 << 20, &data, &size), 0);
    for (char *rest = data, *line; (line = strtok_r(NULL, "\n", &rest));) {
        assert_int_equal(sscanf(line, "%d %d", &writer, &number), 2);
        assert_in_range(writer, 0, 3);
        assert_int_equal(number, next[writer]++);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(next[i], 5000);
    free(data);
}

#define ACCESS_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ACCESS_TEST(test_lines_are_there_after_close),
        ACCESS_TEST(test_reopen),
        ACCESS_TEST(test_full_buffer),
        ACCESS_TEST(test_full_disk),
        ACCESS_TEST(test_bad_paths),
        ACCESS_TEST(test_many_writers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
