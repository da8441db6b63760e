/* What changes the database: batches of turns, and deleting in small steps. */
#include <string.h>

#include "core/history/history_queue.h"
#include "core/history/history_store_inner.h"

static uint64_t newest_ms(const struct history_added *added)
{
    uint64_t newest = 0;

    for (uint32_t i = 0; i < added->count; i++)
        newest = added->turns[i].wall_ms > newest ? added->turns[i].wall_ms : newest;
    return newest;
}

/* The conversation's id, which its row gets if need be. */
static int count_conversation(struct history_store *store, const struct history_added *added, int64_t *ret_id)
{
    sqlite3_stmt *row = history_store_statement(store, HISTORY_SQL_CONVERSATION);
    int rc;

    sqlite3_bind_text(row, 1, added->app, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 2, added->session, -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 3, added->count);
    sqlite3_bind_int64(row, 4, (int64_t)added->message_bytes);
    sqlite3_bind_int64(row, 5, (int64_t)newest_ms(added));
    rc = sqlite3_step(row);
    if (rc == SQLITE_ROW) /* all changes are made before the first row comes */
        *ret_id = sqlite3_column_int64(row, 0);
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_ERROR : rc;
}

static int append_turn(struct history_store *store, int64_t conversation, const struct history_turn *turn)
{
    sqlite3_stmt *row = history_store_statement(store, HISTORY_SQL_TURN);
    int rc;

    sqlite3_bind_int64(row, 1, conversation);
    sqlite3_bind_int64(row, 2, (int64_t)turn->wall_ms);
    sqlite3_bind_int64(row, 3, turn->role);
    sqlite3_bind_int64(row, 4, turn->verdict);
    sqlite3_bind_int64(row, 5, turn->flags);
    sqlite3_bind_int64(row, 6, (int64_t)turn->size);
    sqlite3_bind_text(row, 7, turn->stream, -1, SQLITE_STATIC);
    sqlite3_bind_text64(row, 8, turn->message, turn->size, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_text(row, 9, history_turns_about(turn), -1, SQLITE_STATIC);
    rc = history_store_run(row);
    sqlite3_clear_bindings(row);
    return rc;
}

int history_store_append(struct history_store *store, const struct list *batch, struct history_trouble *trouble)
{
    int rc = history_store_begin(store);

    for (const struct list *link = batch->next; rc == SQLITE_OK && link != batch; link = link->next) {
        const struct history_added *added = list_entry(link, const struct history_added, link);
        int64_t conversation = 0;

        rc = count_conversation(store, added, &conversation);
        for (uint32_t i = 0; rc == SQLITE_OK && i < added->count; i++)
            rc = append_turn(store, conversation, &added->turns[i]);
    }
    return history_store_end(store, rc, trouble);
}

static int run_on(struct history_store *store, enum history_statement which, int64_t id, int64_t number)
{
    sqlite3_stmt *statement = history_store_statement(store, which);

    sqlite3_bind_int64(statement, 1, id);
    if (sqlite3_bind_parameter_count(statement) > 1)
        sqlite3_bind_int64(statement, 2, number);
    return history_store_run(statement);
}

static int run_on_names(struct history_store *store, enum history_statement which, const char *app, const char *session)
{
    sqlite3_stmt *statement = history_store_statement(store, which);
    int rc;

    sqlite3_bind_text(statement, 1, app, -1, SQLITE_STATIC);
    if (session)
        sqlite3_bind_text(statement, 2, session, -1, SQLITE_STATIC);
    rc = history_store_run(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

int history_store_forget(struct history_store *store, const char *app, const char *session, uint64_t *ret_conversations,
                         struct history_trouble *trouble)
{
    uint64_t found = 0;
    int r, rc = history_store_begin(store);

    if (rc == SQLITE_OK)
        rc = run_on_names(store, session ? HISTORY_SQL_NOTE_ONE : HISTORY_SQL_NOTE_APP, app, session);
    if (rc == SQLITE_OK)
        rc = run_on_names(store, session ? HISTORY_SQL_HIDE_ONE : HISTORY_SQL_HIDE_APP, app, session);
    if (rc == SQLITE_OK)
        found = (uint64_t)sqlite3_changes64(store->db);
    r = history_store_end(store, rc, trouble);
    if (r == 0)
        *ret_conversations = found;
    return r;
}

struct doomed {
    int64_t id, conversation, size;
};

/* A step's worth of the rows that `which` (bound to number) selects; read first, so that nothing is deleted under a running select. */
static int choose(struct history_store *store, enum history_statement which, int64_t number, struct doomed *doomed, int *ret_count)
{
    sqlite3_stmt *row = history_store_statement(store, which);
    int64_t bytes = 0;
    int rc, count = 0;

    sqlite3_bind_int64(row, 1, number);
    sqlite3_bind_int64(row, 2, HISTORY_STEP_TURNS);
    while ((rc = sqlite3_step(row)) == SQLITE_ROW && bytes < HISTORY_STEP_BYTES) {
        doomed[count] = (struct doomed){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2)};
        bytes += doomed[count++].size;
    }
    sqlite3_reset(row);
    *ret_count = count;
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int history_store_purge(struct history_store *store, struct history_trouble *trouble)
{
    sqlite3_stmt *row = history_store_statement(store, HISTORY_SQL_FORGOTTEN);
    struct doomed doomed[HISTORY_STEP_TURNS];
    int64_t conversation;
    int r, count = 0, rc = sqlite3_step(row);

    conversation = rc == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc != SQLITE_ROW)
        return history_store_failed(store, rc, trouble);
    rc = history_store_begin(store);
    if (rc == SQLITE_OK)
        rc = choose(store, HISTORY_SQL_FORGOTTEN_TURNS, conversation, doomed, &count);
    for (int i = 0; rc == SQLITE_OK && i < count; i++)
        rc = run_on(store, HISTORY_SQL_DELETE_TURN, doomed[i].id, 0);
    if (rc == SQLITE_OK && count == 0)
        rc = run_on(store, HISTORY_SQL_FORGOTTEN_DONE, conversation, 0);
    r = history_store_end(store, rc, trouble);
    return r < 0 ? r : 1;
}

int history_store_retire(struct history_store *store, uint64_t before_ms, struct history_trouble *trouble)
{
    struct doomed doomed[HISTORY_STEP_TURNS];
    int64_t before = before_ms > INT64_MAX ? INT64_MAX : (int64_t)before_ms;
    int r, count = 0, rc = choose(store, HISTORY_SQL_OLD_TURNS, before, doomed, &count);

    if (rc == SQLITE_OK && count == 0)
        return 0;
    if (rc == SQLITE_OK)
        rc = history_store_begin(store);
    for (int i = 0; rc == SQLITE_OK && i < count; i++) {
        rc = run_on(store, HISTORY_SQL_DELETE_TURN, doomed[i].id, 0);
        if (rc == SQLITE_OK)
            rc = run_on(store, HISTORY_SQL_LESS, doomed[i].conversation, doomed[i].size);
        if (rc == SQLITE_OK)
            rc = run_on(store, HISTORY_SQL_EMPTY, doomed[i].conversation, 0);
    }
    r = history_store_end(store, rc, trouble);
    return r < 0 ? r : count;
}

int history_store_vacuum(struct history_store *store, struct history_trouble *trouble)
{
    struct history_size before, after;
    char text[48] = "PRAGMA incremental_vacuum(";
    int rc, r = history_store_size(store, &before, trouble);

    if (r < 0)
        return r;
    sqlite3_snprintf((int)(sizeof text - strlen(text)), text + strlen(text), "%d)", HISTORY_STEP_PAGES);
    rc = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return history_store_failed(store, rc, trouble);
    r = history_store_size(store, &after, trouble);
    return r < 0 ? r : after.free < before.free;
}

int history_store_scrub(struct history_store *store, struct history_trouble *trouble)
{
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    return rc == SQLITE_OK ? 0 : history_store_failed(store, rc, trouble);
}
