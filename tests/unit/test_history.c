/* core/history: conversations on disk, on a real loop with the real thread; other programs are played by a second connection or by fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/history/history.h"
#include "core/history/history_store.h"
#include "core/history/history_store_inner.h"

#define PATIENCE_NS (60 * CLOCK_S) /* a bound for a hung test, not a speed that is asked for */
#define NEVER_MS 3600000u          /* sync_ms: only asks and full batches move anything */
#define SEEN_MAX 64

static struct {
    char folder[64], path[96];
    struct uring_loop *loop;
    struct history *history;
} now;

/* A reply, copied. */
static struct {
    unsigned calls;
    int error;
    char text[WHY_MAX];
    size_t count;
    uint64_t forgotten;
    struct history_turn turns[SEEN_MAX];
    char message[SEEN_MAX][256], stream[SEEN_MAX][64];
    char app[SEEN_MAX][32], session[SEEN_MAX][32];
    char about[SEEN_MAX][64], of_session[64];
    uint64_t conversation_turns[SEEN_MAX];
} seen;

static void see(void *owner, const struct history_reply *reply)
{
    (void)owner;
    seen.calls++;
    seen.error = reply->error;
    seen.count = reply->count;
    seen.forgotten = reply->forgotten;
    snprintf(seen.text, sizeof seen.text, "%s", reply->text);
    snprintf(seen.of_session, sizeof seen.of_session, "%s", reply->session ? reply->session : "");
    for (size_t i = 0; i < reply->count && i < SEEN_MAX; i++) {
        if (reply->turns) {
            seen.turns[i] = reply->turns[i];
            snprintf(seen.message[i], sizeof seen.message[i], "%s", reply->turns[i].message);
            snprintf(seen.stream[i], sizeof seen.stream[i], "%s", reply->turns[i].stream);
            snprintf(seen.about[i], sizeof seen.about[i], "%s", reply->turns[i].about);
        }
        if (reply->conversations) {
            snprintf(seen.app[i], sizeof seen.app[i], "%s", reply->conversations[i].app);
            snprintf(seen.session[i], sizeof seen.session[i], "%s", reply->conversations[i].session);
            seen.conversation_turns[i] = reply->conversations[i].turns;
        }
    }
}

static int make_folder(void **state)
{
    struct why why = {""};

    (void)state;
    memset(&now, 0, sizeof now);
    strcpy(now.folder, "/tmp/umbel-history-XXXXXX");
    if (!mkdtemp(now.folder) || uring_loop_create(NULL, &now.loop, &why) < 0) {
        fprintf(stderr, "%s\n", why.text);
        return -1;
    }
    snprintf(now.path, sizeof now.path, "%s/history.db", now.folder);
    return 0;
}

static void close_history(void)
{
    history_close(now.history);
    now.history = NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"history.db", "history.db-wal", "history.db-shm", "history.db-journal", "away.db"};
    char path[128];

    (void)state;
    close_history();
    uring_loop_free(now.loop);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", now.folder, names[i]);
        unlink(path);
    }
    return rmdir(now.folder);
}

static void open_history(const struct history_options *options)
{
    struct why why = {""};

    if (history_open(now.loop, now.path, options, &now.history, &why) < 0)
        fail_msg("%s", why.text);
}

static void turn_once(void)
{
    assert_int_equal(uring_loop_turn(now.loop, 5), 0);
}

#define wait_until(condition)                                                                                                          \
    do {                                                                                                                               \
        uint64_t until_ns = clock_now_ns() + PATIENCE_NS;                                                                              \
        while (!(condition)) {                                                                                                         \
            if (clock_now_ns() > until_ns)                                                                                             \
                fail_msg("waited for %s", #condition);                                                                                 \
            turn_once();                                                                                                               \
        }                                                                                                                              \
    } while (0)

static struct history_counts counts(void)
{
    struct history_counts all;

    history_get_counts(now.history, &all);
    return all;
}

static enum history_state state(void)
{
    return history_state(now.history, NULL);
}

static void wait_for_state(enum history_state wanted, const char *words)
{
    struct why text;

    wait_until(history_state(now.history, &text) == wanted && strstr(text.text, words));
}

static int add_turn(const char *app, const char *session, const char *message, uint32_t flags, uint64_t wall_ms)
{
    struct history_turn turn = {
        .role = HISTORY_ROLE_USER, .flags = flags, .wall_ms = wall_ms, .stream = "", .message = message, .size = strlen(message)};

    return history_add(now.history, app, session, &turn, 1);
}

static void add(const char *app, const char *session, const char *message)
{
    assert_int_equal(add_turn(app, session, message, 0, clock_wall_ms()), 0);
}

static void add_numbered(const char *app, const char *session, int from, int to)
{
    char message[64];

    for (int i = from; i <= to; i++) {
        snprintf(message, sizeof message, "{\"n\":%d}", i);
        add(app, session, message);
    }
}

static void answered(unsigned before)
{
    wait_until(seen.calls > before);
}

static void load_within(const char *app, const char *session, uint32_t turns, size_t bytes)
{
    unsigned before = seen.calls;

    assert_int_equal(history_load(now.history, app, session, turns, bytes, see, NULL, NULL), 0);
    answered(before);
}

static void load(const char *app, const char *session)
{
    load_within(app, session, 16, 16384);
    if (seen.error)
        fail_msg("%s", seen.text);
}

/* The messages seen are {"n":from} to {"n":to}. */
static void assert_numbered(int from, int to)
{
    char message[64];

    assert_int_equal(seen.count, to - from + 1);
    for (int i = from; i <= to; i++) {
        snprintf(message, sizeof message, "{\"n\":%d}", i);
        assert_string_equal(seen.message[i - from], message);
    }
}

static void forget(const char *app, const char *session)
{
    unsigned before = seen.calls;

    assert_int_equal(history_forget(now.history, app, session, see, NULL, NULL), 0);
    answered(before);
}

static void list(const char *app, uint32_t limit)
{
    unsigned before = seen.calls;

    assert_int_equal(history_list(now.history, app, limit, see, NULL, NULL), 0);
    answered(before);
    assert_int_equal(seen.error, 0);
}

/* Whether the bytes are anywhere in the database's files. */
static bool files_hold(const char *needle)
{
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    bool found = false;

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char path[128], *data;
        size_t size;

        snprintf(path, sizeof path, "%s%s", now.path, suffixes[i]);
        if (fd_read_file(path, 1u << 30, &data, &size) < 0)
            continue;
        found = found || memmem(data, size, needle, strlen(needle)) != NULL;
        free(data);
    }
    return found;
}

static sqlite3 *open_beside(void)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(now.path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 60000);
    return db;
}

static void run_beside(sqlite3 *db, const char *text)
{
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
}

static int64_t number_beside(sqlite3 *db, const char *query)
{
    sqlite3_stmt *row;
    int64_t number;

    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    number = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    return number;
}

/* ---- what is kept ---- */

/* Goal: what was added comes back, whole, in order, also after a restart.  Method: a question and an answer with quotes, zeros of JSON and
 * characters of several bytes in one add, loaded before and after a close.  Catches: lost members, wrong order, text cut or
 * re-encoded, a close that does not write. */
static void turns_come_back_whole_and_in_order(void **unused)
{
    const char *question = "{\"role\":\"user\",\"content\":\"h\xc3\xa4? \\u0000 \\\" \xe8\x8c\xb6\"}", *answer = "{\"role\":\"assistant\",\"content\":\"\"}";
    struct history_turn pair[2] = {
        {.role = HISTORY_ROLE_USER, .wall_ms = 1700000000123u, .stream = "", .message = question, .size = strlen(question)},
        {.role = HISTORY_ROLE_ASSISTANT, .verdict = UMBEL_VERDICT_TRUNCATED, .wall_ms = 1700000001456u,
         .stream = "chatcmpl-0123456789abcdef0123456789abcdef", .message = answer, .size = strlen(answer)}};
    struct stat status;

    (void)unused;
    open_history(NULL);
    assert_int_equal(history_add(now.history, "tea", "visitor-17", pair, 2), 0);
    for (int round = 0; round < 2; round++) {
        load("tea", "visitor-17");
        assert_int_equal(seen.count, 2);
        assert_string_equal(seen.message[0], question);
        assert_string_equal(seen.message[1], answer);
        assert_string_equal(seen.stream[0], "");
        assert_string_equal(seen.stream[1], pair[1].stream);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(seen.turns[i].role, pair[i].role);
            assert_int_equal(seen.turns[i].verdict, pair[i].verdict);
            assert_int_equal(seen.turns[i].wall_ms, pair[i].wall_ms);
            assert_int_equal(seen.turns[i].size, pair[i].size);
        }
        close_history();
        open_history(NULL);
    }
    assert_int_equal(stat(now.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

/* Goal: a load is bounded by turns and by bytes, keeps the newest, leaves a giant out alone and stops at a new beginning.  Method: the same
 * conversation once waiting and once on disk, and half and half.  Catches: oldest instead of newest, off by one, a giant that hides
 * what is before it, bounds that hold for each source alone. */
static void a_load_keeps_the_newest_within_its_bounds(void **unused)
{
    struct history_options options = {.sync_ms = NEVER_MS};
    char giant[600];

    (void)unused;
    open_history(&options);
    memset(giant, 'x', sizeof giant - 1);
    giant[sizeof giant - 1] = '\0';
    for (int written = 0; written < 3; written++) {
        char session[16];

        snprintf(session, sizeof session, "s%d", written);
        add_numbered("a", session, 10, 14);
        add("a", session, giant);
        if (written == 2) { /* the rest waits */
            list(NULL, 1);
            assert_int_equal(counts().waiting, 0);
        }
        add_numbered("a", session, 15, 19);
        if (written == 1)
            list(NULL, 1);
        assert_int_equal(counts().waiting, written == 1 ? 0 : written == 0 ? 11 : 5);
        load_within("a", session, 3, 500);
        assert_numbered(17, 19);
        load_within("a", session, 100, 500); /* the giant alone is left out */
        assert_numbered(10, 19);
        load_within("a", session, 100, 8 * 7); /* {"n":12} has 8 bytes */
        assert_numbered(13, 19);
        load_within("a", session, 100, 8 * 8 - 1);
        assert_numbered(13, 19);
        load_within("a", session, 100, 600);
        assert_numbered(15, 19);
        load_within("a", session, 0, 500);
        assert_int_equal(seen.count, 0);
        assert_int_equal(add_turn("a", session, "{\"n\":20}", HISTORY_TURN_FIRST, 1), 0);
        add_numbered("a", session, 21, 21);
        load_within("a", session, 100, 500);
        assert_numbered(20, 21);
        unsigned before = seen.calls;
        assert_int_equal(history_show(now.history, "a", session, see, NULL, NULL), 0);
        answered(before);
        assert_int_equal(seen.count, 13); /* a person sees what was before, and the giant */
        list(NULL, 1);
    }
}

/* Goal: conversations do not mix.  Method: names whose joins are equal, the same session in two apps, before and after writing.
 * Catches: a key made by concatenation, a query without the app. */
static void apps_and_sessions_are_apart(void **unused)
{
    struct history_options options = {.sync_ms = NEVER_MS};

    (void)unused;
    open_history(&options);
    add("a", "bc", "1");
    add("ab", "c", "2");
    add("b", "bc", "3");
    add("a", "BC", "4");
    for (int round = 0; round < 2; round++) {
        load("a", "bc");
        assert_int_equal(seen.count, 1);
        assert_string_equal(seen.message[0], "1");
        load("ab", "c");
        assert_int_equal(seen.count, 1);
        assert_string_equal(seen.message[0], "2");
        load("b", "bc");
        assert_string_equal(seen.message[0], "3");
        load("a", "b");
        assert_int_equal(seen.count, 0);
        list(NULL, 10);
        assert_int_equal(seen.count, 4);
    }
    list("a", 10);
    assert_int_equal(seen.count, 2);
    list("a", 1);
    assert_int_equal(seen.count, 1);
    load("a' OR 1=1 --", "bc");
    assert_int_equal(seen.count, 0);
}

static void add_answer(const char *app, const char *session, const char *stream, const char *message, const char *about)
{
    const struct history_turn turns[] = {
        {.role = HISTORY_ROLE_USER, .wall_ms = 5, .stream = stream, .message = "\"q\"", .size = 3},
        {.role = HISTORY_ROLE_ASSISTANT,
         .verdict = UMBEL_VERDICT_CANCELLED,
         .wall_ms = 6,
         .stream = stream,
         .message = message,
         .size = strlen(message),
         .about = about},
    };

    assert_int_equal(history_add(now.history, app, session, turns, 2), 0);
}

static void find(const char *app, const char *stream)
{
    unsigned before = seen.calls;

    assert_int_equal(history_find(now.history, app, stream, see, NULL, NULL), 0);
    answered(before);
    if (seen.error)
        fail_msg("%s", seen.text);
}

static void expect_found(const char *session, const char *message, const char *about)
{
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.of_session, session);
    assert_string_equal(seen.message[0], message);
    assert_string_equal(seen.about[0], about);
    assert_int_equal(seen.turns[0].role, HISTORY_ROLE_ASSISTANT);
    assert_int_equal(seen.turns[0].verdict, UMBEL_VERDICT_CANCELLED);
}

/* Goal: an answer is found by its id, by its app alone, until its conversation is forgotten.  Method: while it waits to be written, when it
 * is on disk (list writes all), and after a new start; the id in another app, an unknown one, none, and after the forget.
 * Catches: a question found in place of its answer, an app that is not looked at, a turn told of whose conversation was forgotten. */
static void an_answer_is_found_by_its_id(void **unused)
{
    struct history_options options = {.sync_ms = NEVER_MS};

    (void)unused;
    open_history(&options);
    add_answer("a", "s", "id-1", "\"one\"", "{1}");
    add_answer("b", "s", "id-2", "\"two\"", NULL);
    add("a", "s", "\"no id\"");
    for (int round = 0; round < 3; round++) {
        find("a", "id-1");
        expect_found("s", "\"one\"", "{1}");
        find("b", "id-2");
        expect_found("s", "\"two\"", "");
        find("b", "id-1");
        assert_int_equal(seen.count, 0);
        assert_string_equal(seen.of_session, "");
        find("a", "id-3");
        assert_int_equal(seen.count, 0);
        if (round == 0)
            list(NULL, 10);
        if (round == 1) {
            close_history();
            open_history(&options);
        }
    }
    assert_int_equal(history_find(now.history, "a", "", see, NULL, NULL), -EINVAL);
    forget("a", "s");
    find("a", "id-1");
    assert_int_equal(seen.count, 0);
    find("b", "id-2");
    expect_found("s", "\"two\"", "");
    add_answer("a", "s", "id-4", "\"four\"", "{4}");
    forget("a", "s");
    find("a", "id-4");
    assert_int_equal(seen.count, 0);
}

/* Goal: what is older than the ask is found, what is younger is not.  Method: an ask between two adds in one turn of the loop.
 * Catches: a look into the queue without regard to order. */
static void a_find_sees_earlier_adds_only(void **unused)
{
    struct history_options options = {.sync_ms = NEVER_MS};
    unsigned before = seen.calls;

    (void)unused;
    open_history(&options);
    assert_int_equal(history_find(now.history, "a", "id-1", see, NULL, NULL), 0);
    add_answer("a", "s", "id-1", "\"one\"", "{1}");
    answered(before);
    assert_int_equal(seen.count, 0);
    find("a", "id-1");
    expect_found("s", "\"one\"", "{1}");
}

/* Goal: finding one answer among very many costs a step in an index, not a walk through all.  Method: the database's own plan of the
 * statement.  Catches: an index whose condition the statement does not repeat, and which is then never used. */
static void an_answer_is_found_by_an_index(void **unused)
{
    static const char *const texts[] = {
#define TEXT(name, text) [HISTORY_SQL_##name] = text,
        HISTORY_STATEMENTS(TEXT)
#undef TEXT
    };
    struct history_options options = {0};
    char query[1024], plan[1024] = "";
    sqlite3_stmt *row;
    sqlite3 *db;

    (void)unused;
    open_history(&options);
    wait_for_state(HISTORY_OK, "");
    db = open_beside();
    snprintf(query, sizeof query, "EXPLAIN QUERY PLAN %s", texts[HISTORY_SQL_FIND]);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &row, NULL), SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW)
        snprintf(plan + strlen(plan), sizeof plan - strlen(plan), "%s; ", (const char *)sqlite3_column_text(row, 3));
    sqlite3_finalize(row);
    sqlite3_close(db);
    if (!strstr(plan, "turn_of_stream (stream=?)") || strstr(plan, "SCAN"))
        fail_msg("%s", plan);
}

/* Goal: asks see what waits, and nothing that was added after them.  Method: sync_ms is an hour, so nothing is written; adds before and
 * after a load in one turn of the loop.  Catches: asks that look at the disk only, asks that see the future. */
static void asks_see_earlier_adds_only(void **unused)
{
    struct history_options options = {.sync_ms = NEVER_MS};
    unsigned before = seen.calls;

    (void)unused;
    open_history(&options);
    wait_for_state(HISTORY_OK, "");
    add_numbered("a", "s", 1, 3);
    assert_int_equal(history_load(now.history, "a", "s", 16, 16384, see, NULL, NULL), 0);
    add_numbered("a", "s", 4, 6);
    answered(before);
    assert_numbered(1, 3);
    assert_int_equal(counts().written, 0);
    load("a", "s");
    assert_numbered(1, 6);
    list(NULL, 10); /* writes, and tells */
    assert_int_equal(seen.conversation_turns[0], 6);
    assert_int_equal(counts().written, 6);
    add_numbered("a", "s", 7, 9);
    load("a", "s");
    assert_numbered(1, 9);
    assert_int_equal(counts().waiting, 3);
}

/* Goal: a batch begins at twenty turns, and for fewer after sync_ms.  Method: twenty with an hour's sync_ms; one with a millisecond's; an
 * add of more turns than a batch's.  Catches: a thread that is not woken, a timer that is not set, an add that is divided or stuck. */
static void batches_are_written_when_due(void **unused)
{
    struct history_options slow = {.sync_ms = NEVER_MS}, quick = {.sync_ms = 1, .full_sync = true};
    static struct history_turn many[HISTORY_ADD_TURNS_MAX];

    (void)unused;
    open_history(&slow);
    wait_for_state(HISTORY_OK, "");
    add_numbered("a", "s", 1, 19);
    load("a", "s");
    assert_int_equal(counts().written, 0);
    add_numbered("a", "s", 20, 20);
    wait_until(counts().written == 20);
    assert_true(counts().batches >= 1 && counts().last_commit_ms > 0);
    close_history();
    open_history(&quick);
    add_numbered("a", "s", 21, 21);
    wait_until(counts().written == 1);
    for (size_t i = 0; i < HISTORY_ADD_TURNS_MAX; i++)
        many[i] = (struct history_turn){.role = HISTORY_ROLE_USER, .stream = "", .message = "m", .size = 1};
    assert_int_equal(history_add(now.history, "a", "many", many, HISTORY_ADD_TURNS_MAX), 0);
    wait_until(counts().written == 1 + HISTORY_ADD_TURNS_MAX);
    assert_int_equal(counts().waiting, 0);
    assert_int_equal(history_add(now.history, "a", "many", many, HISTORY_ADD_TURNS_MAX + 1), -EINVAL);
    assert_int_equal(history_add(now.history, "a", "", many, 1), -EINVAL);
    assert_int_equal(history_load(now.history, "", "s", 1, 1, see, NULL, NULL), -EINVAL);
}

/* ---- forgetting ---- */

/* Goal: what is forgotten is gone: from asks, from the queue, and its bytes from the files.  Method: long secrets on disk, in the log and in
 * the queue; one session, then an app; an add after the forget survives.  Catches: deleted rows whose bytes stay, waiting turns that
 * come back, a forget that takes later or foreign turns. */
static void forgotten_turns_leave_no_bytes(void **unused)
{
    struct history_options options = {.sync_ms = NEVER_MS};
    char secret[9000];

    (void)unused;
    open_history(&options);
    memset(secret, 's', sizeof secret - 1);
    memcpy(secret, "SECRET-ON-DISK", 14);
    memcpy(secret + sizeof secret - 20, "SECRET-AT-THE-END", 17);
    secret[sizeof secret - 1] = '\0';
    for (int i = 0; i < 150; i++) /* more than a step of deleting */
        add("a", "s", secret);
    add("a", "other", "OTHER");
    add("b", "s", "FOREIGN");
    list(NULL, 10);
    assert_true(files_hold("SECRET-ON-DISK") && files_hold("SECRET-AT-THE-END") && files_hold("OTHER"));
    add("a", "s", "SECRET-WAITING");
    unsigned before = seen.calls;
    assert_int_equal(history_forget(now.history, "a", "s", see, NULL, NULL), 0);
    add("a", "s", "LATER");
    answered(before);
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.forgotten, 1);
    assert_false(files_hold("SECRET-"));
    load("a", "s");
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.message[0], "LATER");
    forget("a", "nothing");
    assert_int_equal(seen.error, 0);
    assert_int_equal(seen.forgotten, 0);
    add("a", "young", "SECRET-WAITING");
    forget("a", "young");
    assert_int_equal(seen.forgotten, 1);
    list("a", 10);
    assert_int_equal(seen.count, 2);
    forget("a", NULL);
    assert_int_equal(seen.forgotten, 2);
    assert_false(files_hold("OTHER") || files_hold("LATER") || files_hold("SECRET-"));
    list(NULL, 10);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.app[0], "b");
    assert_true(files_hold("FOREIGN"));
}

/* Goal: a forget that a crash cut short is finished at the next start.  Method: only its first step is done, by the store itself.
 * Catches: turns without a conversation that stay for ever. */
static void a_forget_cut_short_is_finished_at_the_next_start(void **unused)
{
    struct history_store *store;
    struct history_trouble trouble;
    uint64_t found;

    (void)unused;
    open_history(NULL);
    for (int i = 0; i < 200; i++)
        add("a", "s", "SECRET-ON-DISK");
    close_history();
    assert_int_equal(history_store_open(now.path, false, &store, &trouble), 0);
    assert_int_equal(history_store_forget(store, "a", NULL, &found, &trouble), 0);
    assert_int_equal(found, 1);
    history_store_close(store, false);
    assert_true(files_hold("SECRET-ON-DISK"));
    open_history(NULL);
    load("a", "s");
    assert_int_equal(seen.count, 0);
    wait_until(!files_hold("SECRET-ON-DISK"));
}

/* Goal: while another program reads, a forget is honest about the log.  Method: a second connection holds a read transaction, which keeps
 * the write-ahead log; it ends after the answer.  Catches: "forgotten" although the bytes are there, a scrub that is given up. */
static void a_forget_tells_when_a_reader_keeps_the_log(void **unused)
{
    sqlite3 *beside;

    (void)unused;
    open_history(NULL);
    wait_for_state(HISTORY_OK, "");
    beside = open_beside();
    add("a", "s", "SECRET-ON-DISK");
    list(NULL, 1);
    run_beside(beside, "BEGIN; SELECT count(*) FROM turn");
    forget("a", "s");
    assert_int_equal(seen.error, -EBUSY);
    assert_non_null(strstr(seen.text, "another program"));
    load("a", "s");
    assert_int_equal(seen.count, 0);
    run_beside(beside, "COMMIT");
    wait_until(!files_hold("SECRET-ON-DISK"));
    sqlite3_close(beside);
    assert_int_equal(state(), HISTORY_OK);
}

/* ---- limits ---- */

/* Goal: the queue is bounded by adds and bytes, drops the oldest and counts them.  Method: a second connection holds the write lock, so
 * nothing leaves the queue; then it lets go.  Catches: a queue without a bound, dropping the newest, bytes that are not counted back. */
static void a_full_queue_drops_the_oldest(void **unused)
{
    struct history_options few = {.sync_ms = 1, .queue_max = 4}, small = {.sync_ms = NEVER_MS, .queue_bytes = 4096};
    char large[5000];
    sqlite3 *beside;

    (void)unused;
    open_history(NULL);
    wait_for_state(HISTORY_OK, "");
    close_history();
    beside = open_beside();
    run_beside(beside, "BEGIN IMMEDIATE");
    open_history(&few);
    wait_for_state(HISTORY_OFF, "locked by another program");
    add_numbered("a", "s", 1, 10);
    load("a", "s");
    assert_true(seen.count <= 4);
    assert_string_equal(seen.message[seen.count - 1], "{\"n\":10}");
    assert_int_equal(counts().dropped, 6);
    assert_int_equal(counts().waiting, 4);
    run_beside(beside, "COMMIT");
    wait_until(counts().written == 4);
    wait_for_state(HISTORY_OK, "");
    load("a", "s");
    assert_numbered(7, 10);
    assert_int_equal(counts().waiting_bytes, 0);
    close_history();

    open_history(&small);
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(add_turn("a", "t", large, 0, 1), -EMSGSIZE);
    assert_int_equal(counts().dropped, 1);
    large[1500] = '\0';
    for (int i = 0; i < 5; i++)
        add("a", "t", large);
    assert_true(counts().waiting_bytes <= 4096);
    assert_int_equal(counts().waiting, 2);
    assert_int_equal(counts().dropped, 4);
    sqlite3_close(beside);
}

static unsigned many_seen;

static void see_many(void *owner, const struct history_reply *reply)
{
    (void)owner;
    assert_int_equal(reply->error, 0);
    assert_int_equal(reply->count, 2);
    many_seen++;
}

/* Goal: ten thousand conversations are kept and found.  Method: an add and a load each, many at once.  Catches: a table that cannot grow,
 * asks that are lost when many are on their way, a bound of asks that does not hold. */
static void ten_thousand_conversations(void **unused)
{
    struct history_options options = {.queue_max = 20000, .load_wait_ms = NEVER_MS};
    struct history_turn pair[2] = {{.role = HISTORY_ROLE_USER, .stream = "", .message = "{\"q\":1}", .size = 7},
                                   {.role = HISTORY_ROLE_ASSISTANT, .stream = "id", .message = "{\"a\":1}", .size = 7}};
    char session[32];
    unsigned refused = 0;

    (void)unused;
    open_history(&options);
    for (int i = 0; i < 10000; i++) {
        snprintf(session, sizeof session, "session-%d", i);
        assert_int_equal(history_add(now.history, "a", session, pair, 2), 0);
    }
    wait_until(counts().written == 20000);
    assert_int_equal(counts().dropped, 0);
    many_seen = 0;
    for (int i = 0; i < 10000; i++) {
        snprintf(session, sizeof session, "session-%d", i);
        int r = history_load(now.history, "a", session, 16, 16384, see_many, NULL, NULL);
        if (r != 0)
            assert_int_equal(r, -EBUSY); /* no turn of the loop has come yet */
        refused += r != 0;
    }
    assert_int_equal(refused, 10000 - HISTORY_ASKS_MAX);
    wait_until(many_seen == HISTORY_ASKS_MAX);
    list("a", 60);
    assert_int_equal(seen.count, 60);
}

/* ---- retention ---- */

/* Goal: turns past their age go, younger ones stay, the rows of conversations follow.  Method: turns of 31 and 29 days, limit 30.
 * Catches: an age in the wrong unit, conversations that stay empty, counts that are not kept. */
static void old_turns_are_retired(void **unused)
{
    struct history_options options = {.retention_days = 30};
    uint64_t past_ms = clock_wall_ms() - 31 * 86400000ull;

    (void)unused;
    open_history(NULL);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(add_turn("a", "old", "{}", 0, past_ms), 0);
        assert_int_equal(add_turn("a", "both", "{}", 0, past_ms), 0);
    }
    assert_int_equal(add_turn("a", "young", "{}", 0, clock_wall_ms() - 29 * 86400000ull), 0);
    add("a", "both", "{}");
    close_history();
    open_history(&options);
    wait_until(counts().retired == 400);
    list(NULL, 10);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.session[0], "both");
    assert_int_equal(seen.conversation_turns[0], 1);
    assert_string_equal(seen.session[1], "young");
}

/* Goal: the database stays under its size, the newest turns survive, and the file shrinks when the limit does.  Method: 6 MB of turns under
 * a limit of 1 MB; then the file written without a limit opened with one.  Catches: no limit, the newest gone, pages kept for ever. */
static void a_large_history_is_cut_from_its_old_end(void **unused)
{
    struct history_options limited = {.retention_mb = 1, .sync_ms = 1};
    struct stat status;
    char message[10001];
    uint64_t at_ms = clock_wall_ms();

    (void)unused;
    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    for (int round = 0; round < 2; round++) {
        open_history(round == 0 ? &limited : NULL);
        for (int i = 0; i < 600; i++) {
            message[snprintf(message, 32, "{\"n\":%d}", i)] = ' ';
            assert_int_equal(add_turn("a", "s", message, 0, at_ms + (uint64_t)(round * 1000 + i)), 0);
        }
        wait_until(counts().waiting == 0);
        if (round == 0) {
            wait_until(counts().bytes < 1200000 && counts().retired > 400);
        } else {
            close_history();
            open_history(&limited);
            wait_until(counts().retired > 400);
        }
        load_within("a", "s", 1, 20000);
        assert_int_equal(seen.count, 1);
        assert_memory_equal(seen.message[0], "{\"n\":599}", 9);
        if (round == 1) {
            wait_until(counts().bytes <= 1u << 20);
            close_history(); /* and with it the log is in the file */
            open_history(&limited);
            wait_until(stat(now.path, &status) == 0 && status.st_size < 3 << 20);
        }
        close_history();
    }
}

/* ---- what can be wrong with the file ---- */

/* A copy of the file; the caller frees it. */
static char *read_all(size_t *ret_size)
{
    char *data;

    assert_int_equal(fd_read_file(now.path, 1u << 30, &data, ret_size), 0);
    return data;
}

static void write_all(const char *data, size_t size)
{
    int fd = open(now.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

static void assert_file_is(const char *data, size_t size)
{
    size_t is_size;
    char *is = read_all(&is_size);

    assert_int_equal(is_size, size);
    assert_memory_equal(is, data, size);
    free(is);
}

static void move_away(void)
{
    char away[128];

    snprintf(away, sizeof away, "%s/away.db", now.folder);
    assert_int_equal(rename(now.path, away), 0);
}

/* Serves on without the file, leaves it alone, goes on when it is moved away. */
static void unusable_file(const char *words)
{
    struct history_options options = {.sync_ms = 1};
    size_t size;
    char *data = read_all(&size);

    open_history(&options);
    wait_for_state(HISTORY_DAMAGED, words);
    add("a", "s", "1");
    load_within("a", "s", 16, 16384);
    assert_int_equal(seen.error, -EBADMSG);
    assert_non_null(strstr(seen.text, words));
    assert_int_equal(seen.count, 1); /* what waits is seen */
    forget("a", "nobody");
    assert_int_equal(seen.error, -EBADMSG);
    close_history();
    assert_file_is(data, size);
    open_history(&options);
    wait_for_state(HISTORY_DAMAGED, words);
    add("a", "s", "2");
    assert_file_is(data, size);
    move_away();
    wait_for_state(HISTORY_OK, "");
    wait_until(counts().written == 1);
    load("a", "s");
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.message[0], "2");
    free(data);
}

/* Goal: a file of random bytes is told, left alone, and replaced by the operator without a restart.  Method: as unusable_file says.
 * Catches: a file that is deleted, moved or overwritten; a daemon that needs it; a state that stays. */
static void random_bytes_are_left_alone(void **unused)
{
    char bytes[20000];
    uint32_t seed = 4711;

    (void)unused;
    for (size_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (char)(seed >> 24);
    }
    write_all(bytes, sizeof bytes);
    unusable_file("damaged");
}

/* Goal and method as before, with a database of ours that was cut in the middle.  Catches also: a cut that is not noticed. */
static void a_truncated_file_is_left_alone(void **unused)
{
    struct stat status;

    (void)unused;
    open_history(NULL);
    for (int i = 0; i < 500; i++)
        add("a", "s", "{\"role\":\"user\",\"content\":\"a turn of some length, so that there are pages\"}");
    close_history();
    assert_int_equal(stat(now.path, &status), 0);
    assert_int_equal(truncate(now.path, status.st_size / 2 / 4096 * 4096), 0);
    unusable_file("damaged");
}

/* Goal and method as before, with the database of another program.  Catches also: our tables in it, its journal mode changed. */
static void a_foreign_database_is_left_alone(void **unused)
{
    sqlite3 *db = open_beside();

    (void)unused;
    run_beside(db, "CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)");
    sqlite3_close(db);
    unusable_file("another program");
}

/* Goal and method as before, with a database of a version to come, and with one of ours whose tables are others. */
static void a_newer_database_is_left_alone(void **unused)
{
    sqlite3 *db;

    (void)unused;
    open_history(NULL);
    wait_for_state(HISTORY_OK, "");
    close_history();
    db = open_beside();
    run_beside(db, "PRAGMA user_version = 99");
    sqlite3_close(db);
    unusable_file("newer");
    close_history();
    db = open_beside();
    run_beside(db, "ALTER TABLE turn RENAME COLUMN message TO text");
    sqlite3_close(db);
    unusable_file("not those of an umbel history");
}

/* Waits until a history that cannot be opened has been tried four times: three pauses of the same length as everybody's. */
static void let_retries_pass(void)
{
    struct history_counts tried;
    struct history *nowhere;

    assert_int_equal(history_open(now.loop, "/tmp/umbel-history-nowhere/at/all.db", NULL, &nowhere, NULL), 0);
    do {
        turn_once();
        history_get_counts(nowhere, &tried);
    } while (tried.errors < 4);
    history_close(nowhere);
}

/* Goal: damage in the middle of the file, met while it is in use, is told and ends all writing: the log of a killed daemon stays too.
 * Method: the pages behind the first are overwritten and the log of a running history put beside them; opening succeeds, reading meets
 * the damage.  Catches: OK in spite of it, wrong answers, a flapping state, a checkpoint into the damaged file. */
static void damage_in_the_middle_is_noticed_when_it_is_met(void **unused)
{
    struct history_options options = {.sync_ms = 1};
    size_t size, log_size, is_size;
    char *data, *log, *is, log_path[128];

    (void)unused;
    snprintf(log_path, sizeof log_path, "%s-wal", now.path);
    open_history(NULL);
    for (int i = 0; i < 500; i++)
        add("a", "s", "{\"role\":\"user\",\"content\":\"a turn of some length, so that there are pages\"}");
    close_history();
    open_history(&options);
    add("b", "t", "{}");
    wait_until(counts().written == 1);
    data = read_all(&size);
    assert_int_equal(fd_read_file(log_path, 1u << 30, &log, &log_size), 0);
    close_history();
    assert_true(log_size > 0);
    memset(data + 4096 * 4, 0xee, size - 4096 * 4);
    write_all(data, size);
    int fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, log, log_size), log_size);
    close(fd);

    open_history(&options);
    load_within("a", "s", 16, 16384);
    assert_int_equal(seen.error, -EBADMSG);
    wait_for_state(HISTORY_DAMAGED, "damaged");
    uint64_t errors = counts().errors;
    add("a", "s", "1");
    load_within("a", "s", 16, 16384);
    assert_int_equal(seen.count, 1);
    let_retries_pass();
    assert_int_equal(state(), HISTORY_DAMAGED);
    assert_int_equal(counts().errors, errors); /* not tried again while the file is the same */
    close_history();
    assert_file_is(data, size);
    assert_int_equal(fd_read_file(log_path, 1u << 30, &is, &is_size), 0);
    assert_int_equal(is_size, log_size);
    assert_memory_equal(is, log, log_size);
    free(is);
    free(log);
    free(data);
}

/* Goal: a file that is deleted under us is begun anew instead of writing into nothing.  Method: unlink between two adds.  Catches: turns that
 * are counted as written and are nowhere. */
static void a_deleted_file_is_begun_anew(void **unused)
{
    struct history_options options = {.sync_ms = 1};

    (void)unused;
    open_history(&options);
    add("a", "s", "1");
    wait_until(counts().written == 1);
    assert_int_equal(unlink(now.path), 0);
    add("a", "s", "2");
    wait_until(counts().written == 2);
    close_history();
    open_history(&options);
    load("a", "s");
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.message[0], "2");
}

/* ---- what can be wrong around it ---- */

/* A child that holds the database, until the pipe it is given is closed. */
static pid_t hold_in_child(const char *transaction, int *ret_release)
{
    int ready[2], release[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(release), 0);
    pid = fork();
    if (pid == 0) {
        sqlite3 *db;

        close(release[1]);
        if (sqlite3_open(now.path, &db) != SQLITE_OK || sqlite3_exec(db, transaction, NULL, NULL, NULL) != SQLITE_OK ||
            write(ready[1], "r", 1) != 1)
            _exit(1);
        (void)!read(release[0], &byte, 1);
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        sqlite3_close(db);
        _exit(0);
    }
    assert_true(pid > 0);
    close(ready[1]);
    close(release[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *ret_release = release[1];
    return pid;
}

/* Goal: a lock of another process costs nothing but delay.  Method: a child holds an exclusive transaction while the history is opened and
 * used, then lets go; once more with a file that is being made.  Catches: turns lost or refused, a state that stays. */
static void another_process_holds_the_lock(void **unused)
{
    struct history_options options = {.sync_ms = 1};
    int release, status;
    struct stat file;
    pid_t pid;

    (void)unused;
    for (int fresh = 0; fresh < 2; fresh++) {
        if (!fresh) {
            open_history(NULL);
            add("a", "s", "{\"n\":0}");
            close_history();
        }
        pid = hold_in_child("BEGIN EXCLUSIVE", &release);
        open_history(&options);
        wait_for_state(HISTORY_OFF, "locked by another program");
        add_numbered("a", "s", 1, 3);
        load_within("a", "s", 16, 16384);
        if (fresh)
            assert_numbered(1, 3);
        else
            assert_numbered(0, 3); /* reading needs no lock */
        forget("a", "t");
        assert_int_equal(seen.error, -EBUSY);
        close(release);
        wait_for_state(HISTORY_OK, "");
        wait_until(counts().written == 3);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        load("a", "s");
        assert_int_equal(seen.count, fresh ? 3 : 4);
        assert_int_equal(stat(now.path, &file), 0);
        assert_int_equal(file.st_mode & 0777, 0600); /* the fresh one was made by the child, for all to read */
        close_history();
        assert_int_equal(unlink(now.path), 0);
    }
}

static int child_result(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

/* In a child: no asserts.  0, or the step that failed. */
static int use_unwritable(void)
{
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;
    struct history_options options = {.sync_ms = 1};
    struct history *history;
    struct uring_loop *loop;
    struct history_turn turn = {.role = HISTORY_ROLE_USER, .stream = "", .message = "1", .size = 1};
    struct why text = {""};

    if (uring_loop_create(NULL, &loop, &text) < 0 || history_open(loop, now.path, &options, &history, &text) < 0)
        return 1;
    while (!strstr(text.text, "writ")) {
        if (history_state(history, &text) == HISTORY_OK || clock_now_ns() > until_ns)
            return 2;
        uring_loop_turn(loop, 5);
    }
    if (!strstr(text.text, now.path) || !strstr(text.text, "must own"))
        return 3;
    if (history_add(history, "a", "s", &turn, 1) != 0)
        return 4;
    seen.calls = 0;
    history_load(history, "a", "s", 16, 100, see, NULL, NULL);
    while (seen.calls == 0 && clock_now_ns() < until_ns)
        uring_loop_turn(loop, 5);
    if (seen.calls != 1 || seen.error != -EACCES || seen.count != 1)
        return 5;
    history_close(history);
    uring_loop_free(loop);
    return 0;
}

/* Goal: a directory or file that may not be written is told with its name and the remedy, and the daemon goes on.  Method: a child without
 * privileges; no file in a closed directory, then a file of somebody else.  Catches: OK that is none, words without the path. */
static void unwritable_places_are_told(void **unused)
{
    (void)unused;
    for (int exists = 0; exists < 2; exists++) {
        if (exists) {
            assert_int_equal(chmod(now.folder, 0755), 0);
            open_history(NULL);
            wait_for_state(HISTORY_OK, "");
            close_history();
            assert_int_equal(chmod(now.path, 0444), 0);
        }
        assert_int_equal(chmod(now.folder, 0555), 0);
        pid_t pid = fork();
        if (pid == 0) {
            if (getuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
                _exit(99);
            _exit(use_unwritable());
        }
        assert_int_equal(child_result(pid), 0);
    }
    assert_int_equal(chmod(now.folder, 0755), 0);
}

/* Goal: a full disk stops nothing, and when there is room again all that waited is written.  Method: the file size limit of the process as
 * the disk's end, then lifted.  Catches: turns lost, a crash, a state that stays, half of a batch. */
static void a_full_disk_ends_by_itself(void **unused)
{
    struct history_options options = {.sync_ms = 1};
    struct rlimit before, small;
    char message[4001];
    int sent = 0;

    (void)unused;
    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    open_history(&options);
    wait_for_state(HISTORY_OK, "");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){300000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; state() == HISTORY_OK && i < 5000; i++, sent++) {
        add("a", "s", message);
        turn_once();
    }
    enum history_state full = state();
    struct why text;
    history_state(now.history, &text);
    add("a", "s", "THE LAST");
    load_within("a", "s", 2, 100000);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(full, HISTORY_OFF);
    assert_non_null(strstr(text.text, "no room"));
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.message[1], "THE LAST");
    wait_for_state(HISTORY_OK, "");
    wait_until(counts().waiting == 0);
    assert_int_equal(counts().written, sent + 1);
    assert_int_equal(counts().dropped, 0);
    close_history();
    sqlite3 *db = open_beside();
    assert_int_equal(number_beside(db, "SELECT count(*) FROM turn"), sent + 1);
    assert_int_equal(number_beside(db, "SELECT turns FROM conversation"), sent + 1);
    sqlite3_close(db);
}

/* Goal: a turn is on disk without a close, and outlives kill -9.  Method: a child adds one turn and turns its loop for ever; when another
 * connection sees the row the child is killed; a fresh history finds the turn.  Catches: commits only at the end or only at full
 * batches, a log that cannot be recovered. */
static void a_turn_survives_kill(void **unused)
{
    struct history_options options = {.sync_ms = 50};
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;
    sqlite3 *beside;
    int64_t rows = 0;
    pid_t pid;

    (void)unused;
    open_history(NULL);
    wait_for_state(HISTORY_OK, "");
    close_history();
    pid = fork();
    if (pid == 0) {
        struct uring_loop *loop;
        struct history *history;
        struct history_turn turn = {.role = HISTORY_ROLE_USER, .stream = "", .message = "{\"n\":1}", .size = 7};

        if (uring_loop_create(NULL, &loop, NULL) < 0 || history_open(loop, now.path, &options, &history, NULL) < 0 ||
            history_add(history, "a", "s", &turn, 1) != 0)
            _exit(1);
        while (clock_now_ns() < until_ns)
            uring_loop_turn(loop, 100);
        _exit(2);
    }
    beside = open_beside();
    while (rows == 0 && clock_now_ns() < until_ns)
        rows = number_beside(beside, "SELECT count(*) FROM turn");
    sqlite3_close(beside);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(child_result(pid), 1000 + SIGKILL);
    assert_int_equal(rows, 1);
    open_history(NULL);
    load("a", "s");
    assert_numbered(1, 1);
}

/* ---- asks that nobody waits for ---- */

static struct history_ask *other;

static void cancel_other(void *owner, const struct history_reply *reply)
{
    see(owner, reply);
    history_cancel(other);
}

/* Goal: a cancelled ask is silent, a cancelled forget is carried out, closing with asks on their way leaves nothing behind.  Method: cancel
 * at once, cancel inside another's callback, close right after asking; the sanitizers watch.  Catches: callbacks to who has gone, leaks,
 * timers of freed asks. */
static void cancelled_asks_are_silent(void **unused)
{
    struct history_options options = {.sync_ms = NEVER_MS};
    struct history_ask *ask;
    unsigned before;

    (void)unused;
    open_history(&options);
    add("a", "s", "1");
    before = seen.calls;
    assert_int_equal(history_load(now.history, "a", "s", 1, 100, see, NULL, &ask), 0);
    history_cancel(ask);
    assert_int_equal(history_forget(now.history, "a", "s", see, NULL, &ask), 0);
    history_cancel(ask);
    assert_int_equal(history_load(now.history, "a", "s", 1, 100, cancel_other, NULL, NULL), 0);
    assert_int_equal(history_load(now.history, "a", "s", 1, 100, see, NULL, &other), 0);
    assert_int_equal(history_load(now.history, "a", "s", 1, 100, see, NULL, NULL), 0); /* answered after them all */
    wait_until(seen.calls >= before + 2);
    assert_int_equal(seen.calls, before + 2);
    assert_int_equal(seen.count, 0);
    add("a", "t", "2");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(history_load(now.history, "a", "t", 1, 100, see, NULL, NULL), 0);
        assert_int_equal(history_list(now.history, NULL, 10, see, NULL, NULL), 0);
    }
    add("a", "gone", "3");
    assert_int_equal(history_forget(now.history, "a", "gone", see, NULL, NULL), 0);
    before = seen.calls;
    close_history();
    turn_once();
    assert_int_equal(seen.calls, before);
    open_history(&options);
    list(NULL, 10);
    assert_int_equal(seen.count, 1); /* t was written at the end, gone was forgotten */
    assert_string_equal(seen.session[0], "t");
}

/* Goal: who loads is not held up by a slow disk.  Method: a second connection has the database for itself alone, which makes each read
 * wait HISTORY_STORE_BUSY_MS; load_wait_ms is 1; asked until one load was too slow.  Catches: no limit, a second callback when the late
 * answer comes. */
static void a_slow_disk_holds_up_nobody(void **unused)
{
    struct history_options options = {.load_wait_ms = 1};
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;
    sqlite3 *beside;
    unsigned asked;

    (void)unused;
    open_history(&options);
    wait_for_state(HISTORY_OK, "");
    close_history();
    beside = open_beside();
    run_beside(beside, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    open_history(&options);
    asked = seen.calls;
    do {
        assert_true(clock_now_ns() < until_ns);
        load_within("a", "s", 1, 100);
        asked++;
        assert_int_not_equal(seen.error, 0);
    } while (seen.error != -ETIMEDOUT);
    assert_true(counts().load_timeouts >= 1);
    run_beside(beside, "COMMIT");
    sqlite3_close(beside);
    list(NULL, 1); /* comes after the late answer */
    assert_int_equal(seen.calls, asked + 1);
}

#define HISTORY_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HISTORY_TEST(turns_come_back_whole_and_in_order),
        HISTORY_TEST(a_load_keeps_the_newest_within_its_bounds),
        HISTORY_TEST(apps_and_sessions_are_apart),
        HISTORY_TEST(asks_see_earlier_adds_only),
        HISTORY_TEST(an_answer_is_found_by_its_id),
        HISTORY_TEST(a_find_sees_earlier_adds_only),
        HISTORY_TEST(an_answer_is_found_by_an_index),
        HISTORY_TEST(batches_are_written_when_due),
        HISTORY_TEST(forgotten_turns_leave_no_bytes),
        HISTORY_TEST(a_forget_cut_short_is_finished_at_the_next_start),
        HISTORY_TEST(a_forget_tells_when_a_reader_keeps_the_log),
        HISTORY_TEST(a_full_queue_drops_the_oldest),
        HISTORY_TEST(ten_thousand_conversations),
        HISTORY_TEST(old_turns_are_retired),
        HISTORY_TEST(a_large_history_is_cut_from_its_old_end),
        HISTORY_TEST(random_bytes_are_left_alone),
        HISTORY_TEST(a_truncated_file_is_left_alone),
        HISTORY_TEST(a_foreign_database_is_left_alone),
        HISTORY_TEST(a_newer_database_is_left_alone),
        HISTORY_TEST(damage_in_the_middle_is_noticed_when_it_is_met),
        HISTORY_TEST(a_deleted_file_is_begun_anew),
        HISTORY_TEST(another_process_holds_the_lock),
        HISTORY_TEST(unwritable_places_are_told),
        HISTORY_TEST(a_full_disk_ends_by_itself),
        HISTORY_TEST(a_turn_survives_kill),
        HISTORY_TEST(cancelled_asks_are_silent),
        HISTORY_TEST(a_slow_disk_holds_up_nobody),
    };

    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
