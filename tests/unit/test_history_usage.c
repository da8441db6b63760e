/* core/history: what answers have used, through the real thread into a real database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/history/history.h"
#include "core/history/history_store.h"

#define PATIENCE_NS (60 * CLOCK_S)
#define NEVER_MS 3600000u /* sync_ms: only asks and full batches write */
#define HOUR_MS 3600000ull
#define DAY_MS 86400000ull
#define DAY_0 (20000 * DAY_MS)

static char folder[64], path[96];
static struct uring_loop *loop;
static struct history *history;

static struct {
    unsigned calls;
    int error;
    char text[WHY_MAX];
    size_t count;
    struct history_usage_sum sums[32];
    char names[32][3][32];
} seen;

static int make_folder(void **state)
{
    struct why why = {""};

    (void)state;
    strcpy(folder, "/tmp/umbel-usage-XXXXXX");
    if (!mkdtemp(folder) || uring_loop_create(NULL, &loop, &why) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/history.db", folder);
    history = NULL;
    memset(&seen, 0, sizeof seen);
    return 0;
}

static void close_history(void)
{
    history_close(history);
    history = NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"history.db", "history.db-wal", "history.db-shm"};
    char file[128];

    (void)state;
    close_history();
    uring_loop_free(loop);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, names[i]);
        unlink(file);
    }
    return rmdir(folder);
}

static void open_history(const struct history_options *options)
{
    struct why why = {""};

    if (history_open(loop, path, options, &history, &why) < 0)
        fail_msg("%s", why.text);
}

#define wait_until(condition)                                                                                                          \
    do {                                                                                                                               \
        uint64_t until_ns = clock_now_ns() + PATIENCE_NS;                                                                              \
        while (!(condition)) {                                                                                                         \
            if (clock_now_ns() > until_ns)                                                                                             \
                fail_msg("waited for %s", #condition);                                                                                 \
            assert_int_equal(uring_loop_turn(loop, 5), 0);                                                                             \
        }                                                                                                                              \
    } while (0)

static void see(void *owner, const struct history_reply *reply)
{
    (void)owner;
    seen.calls++;
    seen.error = reply->error;
    seen.count = reply->count;
    snprintf(seen.text, sizeof seen.text, "%s", reply->text);
    for (size_t i = 0; i < reply->count && i < 32; i++) {
        seen.sums[i] = reply->usage[i];
        snprintf(seen.names[i][0], 32, "%s", reply->usage[i].app);
        snprintf(seen.names[i][1], 32, "%s", reply->usage[i].key);
        snprintf(seen.names[i][2], 32, "%s", reply->usage[i].upstream);
    }
}

static void ask(uint64_t since_ms, enum history_usage_by by, const char *app, const char *key)
{
    unsigned before = seen.calls;

    assert_int_equal(history_usage_sums(history, since_ms, by, app, key, 1000, see, NULL, NULL), 0);
    wait_until(seen.calls > before);
}

static void add(uint64_t wall_ms, const char *app, const char *key, const char *upstream, uint64_t prompt, uint64_t completion)
{
    struct history_usage usage = {.wall_ms = wall_ms,
                                  .stream = "chatcmpl-1",
                                  .app = app,
                                  .key = key,
                                  .upstream = upstream,
                                  .model = "m",
                                  .transport = "t",
                                  .verdict = UMBEL_VERDICT_COMPLETE,
                                  .estimated = completion % 2,
                                  .prompt_tokens = prompt,
                                  .completion_tokens = completion,
                                  .text_bytes = 10};

    assert_int_equal(history_usage_add(history, &usage), 0);
}

static void expect(size_t i, const char *app, const char *key, const char *upstream, uint64_t answers, uint64_t prompt, uint64_t completion)
{
    assert_true(i < seen.count);
    assert_string_equal(seen.names[i][0], app);
    assert_string_equal(seen.names[i][1], key);
    assert_string_equal(seen.names[i][2], upstream);
    assert_int_equal(seen.sums[i].answers, answers);
    assert_int_equal(seen.sums[i].prompt_tokens, prompt);
    assert_int_equal(seen.sums[i].completion_tokens, completion);
    assert_int_equal(seen.sums[i].text_bytes, answers * 10);
}

static void add_examples(void)
{
    add(DAY_0, "shop", "a", "x", 1, 10);
    add(DAY_0 + 5 * HOUR_MS, "shop", "b", "y", 2, 20);
    add(DAY_0 + DAY_MS - 1, "shop", "a", "x", 4, 41);
    add(DAY_0 + DAY_MS, "desk", "a", "x", 8, 80);
    add(DAY_0 + DAY_MS + HOUR_MS / 2, "desk", "", "y", 16, 160);
}

/* Goal: sums by everything they can be asked by, before they are written and after a restart.  Method: five answers, all groupings and
 * filters, twice.  Catches: a wrong group, a filter that is ignored, an ask that does not see what waits. */
static void test_sums(void **state)
{
    struct history_options options = {.sync_ms = NEVER_MS};

    (void)state;
    open_history(&options);
    add_examples();
    for (int round = 0; round < 2; round++) {
        ask(0, HISTORY_BY_KEY, NULL, NULL);
        assert_int_equal(seen.error, 0);
        assert_int_equal(seen.count, 4);
        expect(0, "desk", "", "", 1, 16, 160);
        expect(1, "desk", "a", "", 1, 8, 80);
        expect(2, "shop", "a", "", 2, 5, 51);
        assert_int_equal(seen.sums[2].estimated, 1);
        expect(3, "shop", "b", "", 1, 2, 20);
        ask(0, HISTORY_BY_APP, NULL, NULL);
        assert_int_equal(seen.count, 2);
        expect(0, "desk", "", "", 2, 24, 240);
        expect(1, "shop", "", "", 3, 7, 71);
        ask(0, HISTORY_BY_UPSTREAM, NULL, NULL);
        assert_int_equal(seen.count, 2);
        expect(0, "", "", "x", 3, 13, 131);
        ask(0, HISTORY_BY_DAY, NULL, NULL);
        assert_int_equal(seen.count, 2);
        expect(0, "", "", "", 3, 7, 71);
        assert_true(seen.sums[0].day_ms == DAY_0);
        assert_true(seen.sums[1].day_ms == DAY_0 + DAY_MS);
        ask(0, HISTORY_BY_APP, "shop", "a");
        assert_int_equal(seen.count, 1);
        expect(0, "shop", "", "", 2, 5, 51);
        ask(0, HISTORY_BY_APP, "none", NULL);
        assert_int_equal(seen.count, 0);
        close_history();
        open_history(&options);
    }
}

/* Goal: a time that begins within an hour is exact.  Method: since around the examples' times, to the millisecond.
 * Catches: whole hours only; an answer counted in its hour and by itself. */
static void test_since_is_exact(void **state)
{
    static const struct {
        uint64_t since_ms, answers;
    } cases[] = {{DAY_0, 5},
                 {DAY_0 + 1, 4},
                 {DAY_0 + 5 * HOUR_MS, 4},
                 {DAY_0 + 5 * HOUR_MS + 1, 3},
                 {DAY_0 + DAY_MS - 1, 3},
                 {DAY_0 + DAY_MS, 2},
                 {DAY_0 + DAY_MS + 1, 1},
                 {DAY_0 + DAY_MS + HOUR_MS / 2, 1},
                 {DAY_0 + DAY_MS + HOUR_MS / 2 + 1, 0},
                 {UINT64_MAX, 0}};

    (void)state;
    open_history(NULL);
    add_examples();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t answers = 0;
        ask(cases[i].since_ms, HISTORY_BY_DAY, NULL, NULL);
        for (size_t k = 0; k < seen.count; k++)
            answers += seen.sums[k].answers;
        assert_int_equal(answers, cases[i].answers);
    }
}

/* Goal: what was counted survives a kill, once it had sync_ms.  Method: a child adds, tells when it is written, is killed; its row is there.
 * Catches: a batch that stays in memory; a transaction that is never ended. */
static void test_kill(void **state)
{
    int pipes[2];
    char byte = 0;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct why why = {""};
        struct history_counts counts = {0};
        struct uring_loop *own;
        if (uring_loop_create(NULL, &own, &why) < 0 || history_open(own, path, NULL, &history, &why) < 0)
            _exit(1);
        add(DAY_0, "shop", "a", "x", 3, 4);
        while (counts.usage_written == 0) {
            uring_loop_turn(own, 5);
            history_get_counts(history, &counts);
        }
        if (write(pipes[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    open_history(NULL);
    ask(0, HISTORY_BY_KEY, NULL, NULL);
    assert_int_equal(seen.count, 1);
    expect(0, "shop", "a", "", 1, 3, 4);
}

static void run_beside(sqlite3 *db, const char *text)
{
    char *words = NULL;

    if (sqlite3_exec(db, text, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s: %s", text, words);
}

static sqlite3 *open_beside(void)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    return db;
}

/* The tables as the first version made them, with a turn in them. */
#define VERSION_1                                                                                                                      \
    "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"                                                                     \
    "CREATE TABLE conversation(id INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, session TEXT NOT NULL, turns INTEGER NOT NULL, " \
    "  bytes INTEGER NOT NULL, last_ms INTEGER NOT NULL, UNIQUE(app, session));"                                                        \
    "CREATE INDEX conversation_by_use ON conversation(last_ms);"                                                                       \
    "CREATE INDEX conversation_by_use_of_app ON conversation(app, last_ms);"                                                           \
    "CREATE TABLE turn(id INTEGER PRIMARY KEY AUTOINCREMENT, conversation INTEGER NOT NULL, at_ms INTEGER NOT NULL, role INTEGER NOT NULL, " \
    "  verdict INTEGER NOT NULL, flags INTEGER NOT NULL, size INTEGER NOT NULL, stream TEXT NOT NULL, message TEXT NOT NULL);"          \
    "CREATE INDEX turn_of_conversation ON turn(conversation);"                                                                         \
    "CREATE INDEX turn_by_time ON turn(at_ms);"                                                                                        \
    "CREATE TABLE forgotten(conversation INTEGER PRIMARY KEY);"                                                                        \
    "INSERT INTO conversation VALUES(7, 'shop', 's', 1, 2, 1000);"                                                                     \
    "INSERT INTO turn VALUES(9, 7, 1000, 2, 0, 0, 2, '', '{}');"                                                                       \
    "PRAGMA application_id = 1970102885; PRAGMA user_version = 1"

/* What the second version added, and an answer as it kept them. */
#define VERSION_2                                                                                                                      \
    "CREATE TABLE usage(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, stream TEXT NOT NULL, app TEXT NOT NULL, key TEXT NOT NULL, "   \
    "  upstream TEXT NOT NULL, model TEXT NOT NULL, transport TEXT NOT NULL, verdict INTEGER NOT NULL, estimated INTEGER NOT NULL, "    \
    "  prompt INTEGER NOT NULL, completion INTEGER NOT NULL, bytes INTEGER NOT NULL);"                                                 \
    "CREATE INDEX usage_by_time ON usage(at_ms);"                                                                                      \
    "CREATE TABLE usage_hour(hour INTEGER NOT NULL, app TEXT NOT NULL, key TEXT NOT NULL, upstream TEXT NOT NULL, "                     \
    "  answers INTEGER NOT NULL, estimated INTEGER NOT NULL, prompt INTEGER NOT NULL, completion INTEGER NOT NULL, "                   \
    "  bytes INTEGER NOT NULL, PRIMARY KEY(hour, app, key, upstream)) WITHOUT ROWID;"                                                  \
    "INSERT INTO turn VALUES(10, 7, 1001, 3, 1, 0, 5, 'chatcmpl-old', '\"old\"');"                                                     \
    "PRAGMA user_version = 2"

static struct {
    unsigned calls;
    size_t turns;
    char stream[32], about[32], session[32];
} old;

static void see_turns(void *owner, const struct history_reply *reply)
{
    (void)owner;
    old.calls++;
    old.turns = reply->count;
    if (reply->count) {
        snprintf(old.stream, sizeof old.stream, "%s", reply->turns[reply->count - 1].stream);
        snprintf(old.about, sizeof old.about, "%s", reply->turns[reply->count - 1].about);
        snprintf(old.session, sizeof old.session, "%s", reply->session);
    }
}

/* Goal: a database of a version before gets the new tables and keeps its turns; its answers are found, with nothing about them.  Method: one of
 * each version made by hand, opened, asked for all.  Catches: a migration that begins anew, one that is not run, a version that is not written. */
static void migrate_from(int version)
{
    sqlite3 *db = open_beside();
    sqlite3_stmt *statement;

    run_beside(db, VERSION_1);
    if (version == 2)
        run_beside(db, VERSION_2);
    sqlite3_close(db);
    memset(&old, 0, sizeof old);
    open_history(NULL);
    add_examples();
    ask(0, HISTORY_BY_APP, NULL, NULL);
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(history_load(history, "shop", "s", 10, 1000, see_turns, NULL, NULL), 0);
    wait_until(old.calls == 1);
    assert_int_equal(old.turns, version);
    memset(&old, 0, sizeof old);
    assert_int_equal(history_find(history, "shop", "chatcmpl-old", see_turns, NULL, NULL), 0);
    wait_until(old.calls == 1);
    assert_int_equal(old.turns, version - 1);
    assert_string_equal(old.stream, version == 2 ? "chatcmpl-old" : "");
    assert_string_equal(old.session, version == 2 ? "s" : "");
    assert_string_equal(old.about, "");
    close_history();
    db = open_beside();
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), HISTORY_STORE_VERSION);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void test_migration(void **state)
{
    (void)state;
    migrate_from(1);
}

static void test_migration_from_2(void **state)
{
    (void)state;
    migrate_from(2);
}

static struct history_counts counts(void)
{
    struct history_counts all;

    history_get_counts(history, &all);
    return all;
}

/* Goal: a database that cannot be written costs the oldest usage, counted, and nothing else.  Method: another connection holds it, more
 * is added than may wait, then it lets go.  Catches: a queue without end, lost ones that are not counted, a batch written twice. */
static void test_full_queue(void **state)
{
    enum { OVER = 1000 };
    sqlite3 *beside;

    (void)state;
    open_history(NULL);
    add(DAY_0, "shop", "first", "x", 1, 1);
    wait_until(counts().usage_written == 1);
    beside = open_beside();
    run_beside(beside, "BEGIN IMMEDIATE");
    for (uint32_t i = 0; i < HISTORY_USAGE_WAITING_MAX + OVER; i++)
        add(DAY_0 + i, "shop", i < OVER ? "old" : "new", "x", 1, 1);
    assert_int_equal(counts().usage_dropped, OVER);
    assert_true(counts().usage_waiting <= HISTORY_USAGE_WAITING_MAX);
    run_beside(beside, "COMMIT");
    sqlite3_close(beside);
    wait_until(counts().usage_waiting == 0);
    ask(0, HISTORY_BY_KEY, "shop", NULL);
    uint64_t answers = 0;
    for (size_t i = 0; i < seen.count; i++)
        answers += seen.sums[i].answers;
    assert_int_equal(answers, HISTORY_USAGE_WAITING_MAX + 1);
    assert_string_equal(seen.names[0][1], "first");
}

/* Goal: usage is not kept for ever.  Method: two days are kept; older rows, in more than one step, and hours go, younger ones stay.
 * Catches: rows or sums that stay; a step that takes all. */
static void test_retention(void **state)
{
    struct history_options options = {.retention_days = 2};
    uint64_t now_ms = clock_wall_ms();
    sqlite3 *db;
    sqlite3_stmt *statement;

    (void)state;
    open_history(NULL);
    for (uint32_t i = 0; i < 3 * HISTORY_STEP_USAGE; i++)
        add(now_ms - 3 * DAY_MS - i * HOUR_MS, "shop", "old", "x", 1, 1);
    add(now_ms - DAY_MS, "shop", "young", "x", 1, 1);
    close_history();
    open_history(&options);
    do {
        ask(0, HISTORY_BY_KEY, NULL, NULL);
        assert_int_equal(seen.error, 0);
    } while (seen.count > 1);
    expect(0, "shop", "young", "", 1, 1, 1);
    do {
        db = open_beside();
        assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM usage", -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        seen.count = (size_t)sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        sqlite3_close(db);
    } while (seen.count > 1);
    assert_int_equal(seen.count, 1);
}

/* Goal: numbers of strangers do not break the sums.  Method: the largest there are.  Catches: an overflow in SQLite, which is an error
 * for the whole ask. */
static void test_large_numbers(void **state)
{
    (void)state;
    open_history(NULL);
    for (int i = 0; i < 100; i++)
        add(DAY_0, "shop", "a", "x", UINT64_MAX, UINT64_MAX - 1);
    ask(0, HISTORY_BY_APP, NULL, NULL);
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.sums[0].answers, 100);
    assert_true(seen.sums[0].prompt_tokens > INT64_MAX / 65536);
}

#define USAGE_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        USAGE_TEST(test_sums),      USAGE_TEST(test_since_is_exact), USAGE_TEST(test_kill),         USAGE_TEST(test_migration),
        USAGE_TEST(test_migration_from_2),
        USAGE_TEST(test_full_queue), USAGE_TEST(test_retention),     USAGE_TEST(test_large_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
