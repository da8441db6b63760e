/* history/history_store_inner.h - internal to history_store*.c: the connection and its prepared statements. */
#ifndef HISTORY_STORE_INNER_H
#define HISTORY_STORE_INNER_H

#include <sqlite3.h>

#include "core/history/history_store.h"

/*    name                    text */
/* Whole hours from the sums, the rest of the first one from the single rows: exact, and quick however long the time is.
 * ?1 since, ms; ?2 the first whole hour; ?3 app and ?4 key, NULL = all; ?5 rows at most */
#define HISTORY_SUMS(what, group)                                                                                                      \
    "SELECT " what ", sum(answers), sum(estimated), sum(prompt), sum(completion), sum(bytes) FROM ("                                   \
    "SELECT hour, app, key, upstream, answers, estimated, prompt, completion, bytes FROM usage_hour WHERE hour >= ?2 UNION ALL "       \
    "SELECT at_ms / 3600000, app, key, upstream, 1, estimated, prompt, completion, bytes FROM usage "                                  \
    "WHERE at_ms >= ?1 AND at_ms < ?2 * 3600000) WHERE (?3 IS NULL OR app = ?3) AND (?4 IS NULL OR key = ?4) "                         \
    "GROUP BY " group " ORDER BY " group " LIMIT ?5"

#define HISTORY_STATEMENTS(X)                                                                                                          \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                                            \
    X(CONVERSATION, "INSERT INTO conversation(app, session, turns, bytes, last_ms) VALUES(?1, ?2, ?3, ?4, ?5) "                        \
                    "ON CONFLICT(app, session) DO UPDATE SET turns = turns + excluded.turns, bytes = bytes + excluded.bytes, "         \
                    "last_ms = max(last_ms, excluded.last_ms) RETURNING id")                                                           \
    X(TURN, "INSERT INTO turn(conversation, at_ms, role, verdict, flags, size, stream, message, about) "                               \
            "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                                                              \
    X(COLLECT, "SELECT at_ms, role, verdict, flags, stream, size, CASE WHEN size <= ?3 THEN message END FROM turn "                    \
               "WHERE conversation = (SELECT id FROM conversation WHERE app = ?1 AND session = ?2) ORDER BY id DESC LIMIT ?4")         \
    X(FIND, "SELECT at_ms, role, verdict, flags, stream, size, CASE WHEN size <= ?3 THEN message END, about, session "                 \
            "FROM turn JOIN conversation ON conversation.id = turn.conversation "                                                      \
            "WHERE stream = ?2 AND stream <> '' AND role = 3 AND app = ?1 LIMIT 1")                                                    \
    X(LIST, "SELECT app, session, turns, bytes, last_ms FROM conversation ORDER BY last_ms DESC, id DESC LIMIT ?1")                    \
    X(LIST_APP, "SELECT app, session, turns, bytes, last_ms FROM conversation WHERE app = ?2 ORDER BY last_ms DESC, id DESC LIMIT ?1") \
    X(NOTE_ONE, "INSERT INTO forgotten(conversation) SELECT id FROM conversation WHERE app = ?1 AND session = ?2")                     \
    X(HIDE_ONE, "DELETE FROM conversation WHERE app = ?1 AND session = ?2")                                                            \
    X(NOTE_APP, "INSERT INTO forgotten(conversation) SELECT id FROM conversation WHERE app = ?1")                                      \
    X(HIDE_APP, "DELETE FROM conversation WHERE app = ?1")                                                                             \
    X(FORGOTTEN, "SELECT conversation FROM forgotten LIMIT 1")                                                                         \
    X(FORGOTTEN_TURNS, "SELECT id, conversation, size FROM turn WHERE conversation = ?1 LIMIT ?2")                                     \
    X(FORGOTTEN_DONE, "DELETE FROM forgotten WHERE conversation = ?1")                                                                 \
    X(OLD_TURNS, "SELECT id, conversation, size FROM turn WHERE at_ms < ?1 ORDER BY at_ms, id LIMIT ?2")                               \
    X(DELETE_TURN, "DELETE FROM turn WHERE id = ?1")                                                                                   \
    X(LESS, "UPDATE conversation SET turns = turns - 1, bytes = bytes - ?2 WHERE id = ?1")                                             \
    X(EMPTY, "DELETE FROM conversation WHERE id = ?1 AND turns <= 0")                                                                  \
    X(USAGE, "INSERT INTO usage(at_ms, stream, app, key, upstream, model, transport, verdict, estimated, prompt, completion, bytes) "  \
             "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")                                                              \
    X(USAGE_HOUR, "INSERT INTO usage_hour(hour, app, key, upstream, answers, estimated, prompt, completion, bytes) "                   \
                  "VALUES(?1 / 3600000, ?3, ?4, ?5, 1, ?9, ?10, ?11, ?12) ON CONFLICT DO UPDATE SET answers = answers + 1, "           \
                  "estimated = estimated + excluded.estimated, prompt = prompt + excluded.prompt, "                                    \
                  "completion = completion + excluded.completion, bytes = bytes + excluded.bytes")                                     \
    X(SUMS_BY_APP, HISTORY_SUMS("app, '', '', 0", "app"))                                                                              \
    X(SUMS_BY_KEY, HISTORY_SUMS("app, key, '', 0", "app, key"))                                                                        \
    X(SUMS_BY_DAY, HISTORY_SUMS("'', '', '', hour / 24", "hour / 24"))                                                                 \
    X(SUMS_BY_UPSTREAM, HISTORY_SUMS("'', '', upstream, 0", "upstream"))                                                               \
    X(OLD_USAGE, "DELETE FROM usage WHERE id IN (SELECT id FROM usage WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)")                      \
    X(OLD_HOURS, "DELETE FROM usage_hour WHERE (hour, app, key, upstream) IN "                                                         \
                 "(SELECT hour, app, key, upstream FROM usage_hour WHERE hour < ?1 / 3600000 LIMIT ?2)")                               \
    X(SIZE, "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size")

enum history_statement {
#define HISTORY_STATEMENT_NAME(name, text) HISTORY_SQL_##name,
    HISTORY_STATEMENTS(HISTORY_STATEMENT_NAME)
#undef HISTORY_STATEMENT_NAME
    HISTORY_SQL_COUNT
};

struct history_store {
    sqlite3 *db;
    sqlite3_stmt *statements[HISTORY_SQL_COUNT];
    char path[];
};

/* history_schema_prepare - checks that the file is ours or empty, makes or migrates the tables.  0 or trouble->error. */
int history_schema_prepare(struct history_store *store, struct history_trouble *trouble);

/* history_store_failed - fills trouble from what SQLite said last (rc) and returns its error. */
int history_store_failed(const struct history_store *store, int rc, struct history_trouble *trouble);

/* history_store_statement - ready for binding. */
sqlite3_stmt *history_store_statement(struct history_store *store, enum history_statement which);

/* history_store_run - steps a statement that gives no rows, and resets it.  SQLite's code, SQLITE_OK when done. */
int history_store_run(sqlite3_stmt *statement);
int history_store_begin(struct history_store *store);

/* history_store_end - rc SQLITE_OK: commits; else, and when that fails, rolls back.  0 or trouble->error. */
int history_store_end(struct history_store *store, int rc, struct history_trouble *trouble);

#endif
