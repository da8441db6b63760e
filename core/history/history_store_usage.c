/* What answers have used: rows, sums by the hour, and what is asked of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/history/history_store_inner.h"
#include "core/history/history_usage.h"

#define HOUR_MS 3600000u
#define DAY_MS 86400000u

static void bind_text(sqlite3_stmt *row, int at, const char *text)
{
    if (text)
        sqlite3_bind_text(row, at, text, -1, SQLITE_STATIC);
}

/* Numbers of strangers: SQLite's are signed. */
static void bind_count(sqlite3_stmt *row, int at, uint64_t count)
{
    sqlite3_bind_int64(row, at, count > INT64_MAX / 65536 ? INT64_MAX / 65536 : (int64_t)count); /* sums must not overflow either */
}

/* The statement uses some of these, by number. */
static int run_with(struct history_store *store, enum history_statement which, const struct history_usage *usage)
{
    sqlite3_stmt *row = history_store_statement(store, which);
    int rc;

    sqlite3_bind_int64(row, 1, (int64_t)usage->wall_ms);
    bind_text(row, 2, usage->stream);
    bind_text(row, 3, usage->app);
    bind_text(row, 4, usage->key);
    bind_text(row, 5, usage->upstream);
    bind_text(row, 6, usage->model);
    bind_text(row, 7, usage->transport);
    sqlite3_bind_int64(row, 8, usage->verdict);
    sqlite3_bind_int64(row, 9, usage->estimated);
    bind_count(row, 10, usage->prompt_tokens);
    bind_count(row, 11, usage->completion_tokens);
    bind_count(row, 12, usage->text_bytes);
    rc = history_store_run(row);
    sqlite3_clear_bindings(row);
    return rc;
}

int history_store_append_usage(struct history_store *store, const struct list *batch, struct history_trouble *trouble)
{
    int rc = history_store_begin(store);

    for (const struct list *link = batch->next; rc == SQLITE_OK && link != batch; link = link->next) {
        const struct history_used *used = list_entry(link, const struct history_used, link);

        rc = run_with(store, HISTORY_SQL_USAGE, &used->usage);
        if (rc == SQLITE_OK)
            rc = run_with(store, HISTORY_SQL_USAGE_HOUR, &used->usage);
    }
    return history_store_end(store, rc, trouble);
}

void history_sums_free(struct history_sums_found *found)
{
    for (uint32_t i = 0; i < found->count; i++)
        free((char *)(uintptr_t)found->sums[i].app);
    free(found->sums);
    *found = (struct history_sums_found){0};
}

static uint64_t number_of(sqlite3_stmt *row, int column)
{
    int64_t number = sqlite3_column_int64(row, column);

    return number > 0 ? (uint64_t)number : 0;
}

/* The row at hand, with its names in one block. */
static bool keep(struct history_sums_found *found, sqlite3_stmt *row)
{
    const char *names[3];
    size_t size = 0, sizes[3];

    if (found->count == found->capacity) {
        uint32_t capacity = found->capacity ? found->capacity * 2 : 16;
        struct history_usage_sum *more = realloc(found->sums, capacity * sizeof *more);
        if (!more)
            return false;
        found->sums = more;
        found->capacity = capacity;
    }
    for (int i = 0; i < 3; i++) {
        names[i] = (const char *)sqlite3_column_text(row, i);
        names[i] = names[i] ? names[i] : "";
        sizes[i] = strlen(names[i]) + 1;
        size += sizes[i];
    }
    char *block = malloc(size);
    if (!block)
        return false;
    memcpy(block, names[0], sizes[0]);
    memcpy(block + sizes[0], names[1], sizes[1]);
    memcpy(block + sizes[0] + sizes[1], names[2], sizes[2]);
    found->sums[found->count++] = (struct history_usage_sum){.app = block,
                                                             .key = block + sizes[0],
                                                             .upstream = block + sizes[0] + sizes[1],
                                                             .day_ms = number_of(row, 3) * DAY_MS,
                                                             .answers = number_of(row, 4),
                                                             .estimated = number_of(row, 5),
                                                             .prompt_tokens = number_of(row, 6),
                                                             .completion_tokens = number_of(row, 7),
                                                             .text_bytes = number_of(row, 8)};
    return true;
}

int history_store_usage_sums(struct history_store *store, uint64_t since_ms, enum history_usage_by by, const char *app, const char *key,
                             uint32_t limit, struct history_sums_found *ret_found, struct history_trouble *trouble)
{
    static const enum history_statement which[HISTORY_BY_COUNT] = {[HISTORY_BY_APP] = HISTORY_SQL_SUMS_BY_APP,
                                                                   [HISTORY_BY_KEY] = HISTORY_SQL_SUMS_BY_KEY,
                                                                   [HISTORY_BY_DAY] = HISTORY_SQL_SUMS_BY_DAY,
                                                                   [HISTORY_BY_UPSTREAM] = HISTORY_SQL_SUMS_BY_UPSTREAM};
    sqlite3_stmt *row = history_store_statement(store, which[by]);
    struct history_sums_found found = {0};
    int rc;

    if (since_ms > INT64_MAX / 2)
        since_ms = INT64_MAX / 2;
    sqlite3_bind_int64(row, 1, (int64_t)since_ms);
    sqlite3_bind_int64(row, 2, (int64_t)((since_ms + HOUR_MS - 1) / HOUR_MS));
    bind_text(row, 3, app);
    bind_text(row, 4, key);
    sqlite3_bind_int64(row, 5, limit);
    while ((rc = sqlite3_step(row)) == SQLITE_ROW)
        if (!keep(&found, row)) {
            rc = SQLITE_NOMEM;
            break;
        }
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    if (rc != SQLITE_DONE) {
        history_sums_free(&found);
        return history_store_failed(store, rc, trouble);
    }
    *ret_found = found;
    return 0;
}

int history_store_retire_usage(struct history_store *store, uint64_t before_ms, struct history_trouble *trouble)
{
    static const enum history_statement which[] = {HISTORY_SQL_OLD_USAGE, HISTORY_SQL_OLD_HOURS};
    int count = 0, rc = history_store_begin(store), r;

    for (size_t i = 0; rc == SQLITE_OK && i < sizeof which / sizeof *which; i++) {
        sqlite3_stmt *statement = history_store_statement(store, which[i]);
        sqlite3_bind_int64(statement, 1, before_ms > INT64_MAX ? INT64_MAX : (int64_t)before_ms);
        sqlite3_bind_int64(statement, 2, HISTORY_STEP_USAGE);
        rc = history_store_run(statement);
        count += sqlite3_changes(store->db);
    }
    r = history_store_end(store, rc, trouble);
    return r < 0 ? r : count;
}
