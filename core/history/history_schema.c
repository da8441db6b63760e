/* The tables, whose file it is, and the steps from one version of them to the next. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/history/history_store_inner.h"

#define APPLICATION_ID 0x756d6265 /* "umbe" */

/* migrations[v] makes version v + 1 out of version v, inside one transaction; what was released is never edited. */
static const char *const migrations[HISTORY_STORE_VERSION] = {
    /* Ids are never used twice: a turn added after a forget can never fall under it.  Messages stay out of all indexes. */
    "CREATE TABLE conversation(id INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, session TEXT NOT NULL, turns INTEGER NOT NULL, "
    "  bytes INTEGER NOT NULL, last_ms INTEGER NOT NULL, UNIQUE(app, session));"
    "CREATE INDEX conversation_by_use ON conversation(last_ms);"
    "CREATE INDEX conversation_by_use_of_app ON conversation(app, last_ms);"
    "CREATE TABLE turn(id INTEGER PRIMARY KEY AUTOINCREMENT, conversation INTEGER NOT NULL, at_ms INTEGER NOT NULL, role INTEGER NOT NULL, "
    "  verdict INTEGER NOT NULL, flags INTEGER NOT NULL, size INTEGER NOT NULL, stream TEXT NOT NULL, message TEXT NOT NULL);"
    "CREATE INDEX turn_of_conversation ON turn(conversation);"
    "CREATE INDEX turn_by_time ON turn(at_ms);"
    "CREATE TABLE forgotten(conversation INTEGER PRIMARY KEY);",
    /* What answers have used: a row each, and the sums of each hour (since 1970) by which questions over any time are answered quickly. */
    "CREATE TABLE usage(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, stream TEXT NOT NULL, app TEXT NOT NULL, key TEXT NOT NULL, "
    "  upstream TEXT NOT NULL, model TEXT NOT NULL, transport TEXT NOT NULL, verdict INTEGER NOT NULL, estimated INTEGER NOT NULL, "
    "  prompt INTEGER NOT NULL, completion INTEGER NOT NULL, bytes INTEGER NOT NULL);"
    "CREATE INDEX usage_by_time ON usage(at_ms);"
    "CREATE TABLE usage_hour(hour INTEGER NOT NULL, app TEXT NOT NULL, key TEXT NOT NULL, upstream TEXT NOT NULL, answers INTEGER NOT NULL, "
    "  estimated INTEGER NOT NULL, prompt INTEGER NOT NULL, completion INTEGER NOT NULL, bytes INTEGER NOT NULL, "
    "  PRIMARY KEY(hour, app, key, upstream)) WITHOUT ROWID;",
    /* Answers found by their id (role 3: ASSISTANT), and what is needed to tell them again; turns of before have nothing about them. */
    ("ALTER TABLE turn ADD COLUMN about TEXT NOT NULL DEFAULT '';"
     "CREATE INDEX turn_of_stream ON turn(stream) WHERE stream <> '' AND role = 3;"),
};

/* One number that a query gives.  SQLite's code. */
static int ask_number(sqlite3 *db, const char *query, int64_t *ret_number)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(db, query, -1, &statement, NULL);

    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_ERROR : rc;
}

static int refuse(struct history_trouble *trouble, int error)
{
    trouble->error = error;
    trouble->state = HISTORY_DAMAGED;
    trouble->reopen = true;
    return error;
}

/* Whose file is it?  Only reads. */
static int check_owner(struct history_store *store, int64_t *ret_version, struct history_trouble *trouble)
{
    int64_t application = 0, version = 0, objects = 0;
    int rc = ask_number(store->db, "PRAGMA application_id", &application);

    if (rc == SQLITE_OK)
        rc = ask_number(store->db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = ask_number(store->db, "SELECT count(*) FROM sqlite_schema", &objects);
    if (rc != SQLITE_OK)
        return history_store_failed(store, rc, trouble);
    if (application != APPLICATION_ID && (application != 0 || version != 0 || objects != 0)) {
        why_set(&trouble->why, 0, "%s is a database of another program: it is left as it is; name another state_dir, or move it away",
                store->path);
        return refuse(trouble, -EBADMSG);
    }
    if (version > HISTORY_STORE_VERSION) {
        why_set(&trouble->why, 0, "%s was written by a newer umbel (tables of version %lld, this one knows %d): use that one, or move it away",
                store->path, (long long)version, HISTORY_STORE_VERSION);
        return refuse(trouble, -EBADMSG);
    }
    *ret_version = version;
    return 0;
}

static int migrate(sqlite3 *db, int64_t version)
{
    char text[80];
    int rc = SQLITE_OK;

    for (; rc == SQLITE_OK && version < HISTORY_STORE_VERSION; version++)
        rc = sqlite3_exec(db, migrations[version], NULL, NULL, NULL);
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, HISTORY_STORE_VERSION);
    return rc == SQLITE_OK ? sqlite3_exec(db, text, NULL, NULL, NULL) : rc;
}

/* The switch needs the file for itself for a moment; a file system without shared memory refuses it. */
static int use_wal(struct history_store *store, struct history_trouble *trouble)
{
    sqlite3_stmt *statement;
    bool wal = false;
    int rc = sqlite3_prepare_v2(store->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);

    if (rc != SQLITE_OK)
        return history_store_failed(store, rc, trouble);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        wal = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    if (rc != SQLITE_ROW)
        return history_store_failed(store, rc, trouble);
    if (wal)
        return 0;
    why_set(&trouble->why, 0, "%s cannot have a write-ahead log where it is: put state_dir on a local file system", store->path);
    trouble->error = -EIO;
    trouble->state = HISTORY_OFF;
    trouble->reopen = true;
    return -EIO;
}

int history_schema_prepare(struct history_store *store, struct history_trouble *trouble)
{
    int64_t version = 0;
    int rc, r = check_owner(store, &version, trouble);

    if (r < 0)
        return r;
    if (version < HISTORY_STORE_VERSION) {
        /* before the first table, or it has no effect */
        rc = version == 0 ? sqlite3_exec(store->db, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL) : SQLITE_OK;
        if (rc == SQLITE_OK)
            rc = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            rc = migrate(store->db, version);
        if (rc == SQLITE_OK)
            rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
        if (rc != SQLITE_OK) {
            r = history_store_failed(store, rc, trouble);
            sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    }
    return use_wal(store, trouble);
}
