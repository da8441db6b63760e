/* What is read out of the database. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/history/history_store_inner.h"

/* Messages too large to be wanted are passed over, but not for ever. */
#define ROWS_PER_TURN 4u

static const char *column_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return text ? text : "";
}

static struct history_turn read_turn(sqlite3_stmt *row)
{
    return (struct history_turn){.wall_ms = (uint64_t)sqlite3_column_int64(row, 0),
                                 .role = (uint32_t)sqlite3_column_int64(row, 1),
                                 .verdict = (uint32_t)sqlite3_column_int64(row, 2),
                                 .flags = (uint32_t)sqlite3_column_int64(row, 3),
                                 .stream = column_text(row, 4),
                                 .message = (const char *)sqlite3_column_text(row, 6),
                                 .size = (size_t)sqlite3_column_bytes(row, 6)};
}

int history_store_collect(struct history_store *store, const char *app, const char *session, struct history_turns *turns,
                          struct history_trouble *trouble)
{
    sqlite3_stmt *row = history_store_statement(store, HISTORY_SQL_COLLECT);
    bool more = !turns->full;
    int rc = SQLITE_DONE;

    sqlite3_bind_text(row, 1, app, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 2, session, -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 3, (int64_t)turns->bytes_max);
    sqlite3_bind_int64(row, 4, (int64_t)(turns->max - turns->count) * ROWS_PER_TURN);
    while (more && (rc = sqlite3_step(row)) == SQLITE_ROW) {
        struct history_turn turn = read_turn(row);

        more = history_turns_take(turns, &turn);
    }
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : history_store_failed(store, rc, trouble);
}

int history_store_find(struct history_store *store, const char *app, const char *stream, struct history_turns *turns, char **ret_session,
                       struct history_trouble *trouble)
{
    sqlite3_stmt *row = history_store_statement(store, HISTORY_SQL_FIND);
    int rc;

    sqlite3_bind_text(row, 1, app, -1, SQLITE_STATIC);
    sqlite3_bind_text(row, 2, stream, -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 3, (int64_t)turns->bytes_max);
    rc = sqlite3_step(row);
    if (rc == SQLITE_ROW) {
        struct history_turn turn = read_turn(row);
        char *session = strdup(column_text(row, 8));

        turn.about = column_text(row, 7);
        turns->failed = !session;
        if (session) {
            history_turns_take(turns, &turn);
            *ret_session = session;
        }
    }
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : history_store_failed(store, rc, trouble);
}

/* Both names in one block that begins at app. */
static bool keep_conversation(struct history_list_found *found, sqlite3_stmt *row)
{
    const char *app = column_text(row, 0), *session = column_text(row, 1);
    size_t app_size = strlen(app) + 1, session_size = strlen(session) + 1;
    char *block = malloc(app_size + session_size);

    if (!block)
        return false;
    memcpy(block, app, app_size);
    memcpy(block + app_size, session, session_size);
    found->conversations[found->count++] = (struct history_conversation){.app = block,
                                                                         .session = block + app_size,
                                                                         .turns = (uint64_t)sqlite3_column_int64(row, 2),
                                                                         .bytes = (uint64_t)sqlite3_column_int64(row, 3),
                                                                         .last_ms = (uint64_t)sqlite3_column_int64(row, 4)};
    return true;
}

int history_store_list(struct history_store *store, const char *app, uint32_t limit, struct history_list_found *ret_found,
                       struct history_trouble *trouble)
{
    sqlite3_stmt *row = history_store_statement(store, app ? HISTORY_SQL_LIST_APP : HISTORY_SQL_LIST);
    struct history_list_found found = {0};
    int rc = SQLITE_NOMEM;

    found.conversations = calloc(limit ? limit : 1, sizeof *found.conversations);
    if (!found.conversations)
        return history_store_failed(store, rc, trouble);
    sqlite3_bind_int64(row, 1, limit);
    if (app)
        sqlite3_bind_text(row, 2, app, -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(row)) == SQLITE_ROW)
        if (!keep_conversation(&found, row)) {
            rc = SQLITE_NOMEM;
            break;
        }
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    if (rc != SQLITE_DONE) {
        history_list_free(&found);
        return history_store_failed(store, rc, trouble);
    }
    *ret_found = found;
    return 0;
}

void history_list_free(struct history_list_found *found)
{
    for (uint32_t i = 0; i < found->count; i++)
        free((char *)(uintptr_t)found->conversations[i].app);
    free(found->conversations);
    found->conversations = NULL;
    found->count = 0;
}
