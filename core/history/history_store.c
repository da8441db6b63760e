/* Opening, closing, transactions, and what a failure means to a person. */
#include "core/history/history_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/history/history_store_inner.h"

#define SETTINGS                                                                                                                       \
    "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304; PRAGMA trusted_schema = OFF; "         \
    "PRAGMA cell_size_check = ON; PRAGMA synchronous = "

static const char *const statement_text[HISTORY_SQL_COUNT] = {
#define HISTORY_STATEMENT_TEXT(name, text) text,
    HISTORY_STATEMENTS(HISTORY_STATEMENT_TEXT)
#undef HISTORY_STATEMENT_TEXT
};

static int no_room(const char *path, struct history_trouble *trouble)
{
    why_set(&trouble->why, 0, "there is no room for %s: turns wait in memory; make room and it goes on by itself", path);
    return -ENOSPC;
}

/* error: the system's, 0 if it did not say */
static int trouble_of(const char *path, int rc, int error, const char *text, struct history_trouble *trouble)
{
    trouble->state = HISTORY_OFF;
    trouble->reopen = true;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        trouble->reopen = false; /* what is there can still be read */
        return no_room(path, trouble);
    }
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        trouble->reopen = false;
        why_set(&trouble->why, 0, "%s is locked by another program: turns wait in memory until it lets go", path);
        return -EBUSY;
    case SQLITE_FULL:
        trouble->reopen = false;
        return no_room(path, trouble);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        trouble->state = HISTORY_DAMAGED;
        why_set(&trouble->why, 0,
                "%s is damaged (%s): it is left as it is; move it away with its -wal and -shm files, or put a good copy in its place, "
                "and it goes on by itself; `sqlite3 %s .recover` reads what can be saved", path, text, path);
        return -EBADMSG;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        why_set(&trouble->why, 0, "%s cannot be opened for writing (%s): the user that umbeld runs as must own it and be able to write to "
                "its directory", path, error ? strerror(error) : text);
        return -EACCES;
    case SQLITE_NOMEM:
        trouble->reopen = false;
        why_set(&trouble->why, 0, "no memory for the database");
        return -ENOMEM;
    default:
        why_set(&trouble->why, 0, "%s fails: %s%s%s", path, text, error ? ": " : "", error ? strerror(error) : "");
        return -EIO;
    }
}

/* SQLite keeps the system's error of most failures, but not of a commit's: then errno still has it, which history_store_begin cleared. */
int history_store_failed(const struct history_store *store, int rc, struct history_trouble *trouble)
{
    int last = errno, error = 0;

    if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN)
        error = sqlite3_system_errno(store->db) ? sqlite3_system_errno(store->db) : last;
    trouble->error = trouble_of(store->path, rc, error, sqlite3_errstr(rc), trouble);
    return trouble->error;
}

/* SQLite would make the file with the mode of the umask.  Opened by us only while it does not exist yet: closing any descriptor of
 * a file gives up the locks that SQLite holds on it. */
static int make_file(const char *path, struct history_trouble *trouble)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd != -1)
        close(fd);
    else if (errno != EEXIST)
        return trouble->error = trouble_of(path, SQLITE_CANTOPEN, errno, "", trouble);
    return 0;
}

/* A file of ours that somebody opened to others, or made with another program. */
static void close_to_others(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct stat status;

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[4096];

        if ((size_t)snprintf(name, sizeof name, "%s%s", path, suffixes[i]) >= sizeof name || stat(name, &status) == -1)
            continue;
        if (S_ISREG(status.st_mode) && status.st_mode & 077 && chmod(name, 0600) == 0)
            log_warn("history: %s was open to others: now its mode is 0600", name);
    }
}

static int open_connection(struct history_store *store, bool full_sync)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    char settings[sizeof SETTINGS + 8];
    int rc = sqlite3_open_v2(store->path, &store->db, flags, NULL);

    if (rc == SQLITE_OK && sqlite3_db_readonly(store->db, "main") == 1)
        rc = SQLITE_READONLY; /* it falls back to reading without a word */
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_busy_timeout(store->db, HISTORY_STORE_BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL);
    snprintf(settings, sizeof settings, "%s%s", SETTINGS, full_sync ? "FULL" : "NORMAL");
    return sqlite3_exec(store->db, settings, NULL, NULL, NULL);
}

static int prepare_statements(struct history_store *store)
{
    for (int i = 0; i < HISTORY_SQL_COUNT; i++) {
        int rc = sqlite3_prepare_v3(store->db, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

int history_store_open(const char *path, bool full_sync, struct history_store **ret_store, struct history_trouble *trouble)
{
    struct history_store *store = calloc(1, sizeof *store + strlen(path) + 1);
    int rc, r;

    memset(trouble, 0, sizeof *trouble);
    if (!store)
        return trouble->error = trouble_of(path, SQLITE_NOMEM, 0, "", trouble);
    memcpy(store->path, path, strlen(path));
    r = make_file(path, trouble);
    if (r < 0)
        goto fail;
    rc = open_connection(store, full_sync);
    if (rc != SQLITE_OK) {
        r = history_store_failed(store, rc, trouble);
        goto fail;
    }
    r = history_schema_prepare(store, trouble);
    if (r < 0)
        goto fail;
    close_to_others(path);
    rc = prepare_statements(store);
    if (rc == SQLITE_ERROR) { /* it says it is ours, but has other tables */
        why_set(&trouble->why, 0, "the tables of %s are not those of an umbel history (%s): it is left as it is; move it away", path,
                sqlite3_errmsg(store->db));
        trouble->error = r = -EBADMSG;
        trouble->state = HISTORY_DAMAGED;
        goto fail;
    }
    if (rc != SQLITE_OK) {
        r = history_store_failed(store, rc, trouble);
        goto fail;
    }
    *ret_store = store;
    return 0;
fail:
    history_store_close(store, trouble->state == HISTORY_DAMAGED);
    return r;
}

void history_store_close(struct history_store *store, bool untouched)
{
    if (!store)
        return;
    for (int i = 0; i < HISTORY_SQL_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    if (store->db && untouched)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    sqlite3_close(store->db);
    free(store);
}

bool history_store_moved(struct history_store *store)
{
    int moved = 0;

    return sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

sqlite3_stmt *history_store_statement(struct history_store *store, enum history_statement which)
{
    return store->statements[which];
}

int history_store_run(sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);

    sqlite3_reset(statement);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int history_store_begin(struct history_store *store)
{
    errno = 0;
    return history_store_run(store->statements[HISTORY_SQL_BEGIN]);
}

int history_store_end(struct history_store *store, int rc, struct history_trouble *trouble)
{
    int r;

    if (rc == SQLITE_OK)
        rc = history_store_run(store->statements[HISTORY_SQL_COMMIT]);
    if (rc == SQLITE_OK)
        return 0;
    r = history_store_failed(store, rc, trouble); /* before the rollback overwrites it */
    if (!sqlite3_get_autocommit(store->db))
        history_store_run(store->statements[HISTORY_SQL_ROLLBACK]);
    return r;
}

int history_store_probe(struct history_store *store, struct history_trouble *trouble)
{
    return history_store_end(store, history_store_begin(store), trouble);
}

int history_store_size(struct history_store *store, struct history_size *ret_size, struct history_trouble *trouble)
{
    sqlite3_stmt *size = store->statements[HISTORY_SQL_SIZE];
    int rc = sqlite3_step(size);

    if (rc == SQLITE_ROW) {
        uint64_t pages = (uint64_t)sqlite3_column_int64(size, 0), unused = (uint64_t)sqlite3_column_int64(size, 1);

        ret_size->page = (uint64_t)sqlite3_column_int64(size, 2);
        ret_size->used = (pages - unused) * ret_size->page;
        ret_size->free = unused * ret_size->page;
    }
    sqlite3_reset(size);
    return rc == SQLITE_ROW ? 0 : history_store_failed(store, rc, trouble);
}
