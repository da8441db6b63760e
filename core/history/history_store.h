/* history/history_store.h - internal to the module: the database.  The one home of SQLite.
 * Owner: one thread, the history's own.  Calls block as the disk does, but each is one small step. */
#ifndef HISTORY_STORE_H
#define HISTORY_STORE_H

#include <sys/stat.h>

#include "core/base/list.h"
#include "core/history/history_turns.h"

#define HISTORY_STORE_VERSION 3        /* of the tables; each later one is a step in history_schema.c */
#define HISTORY_STORE_BUSY_MS 100      /* how long one operation waits for another program's lock */
#define HISTORY_STEP_TURNS 64u         /* turns that one step deletes */
#define HISTORY_STEP_BYTES 1048576u    /* ... and about as many bytes of them */
#define HISTORY_STEP_USAGE 256u        /* ended answers whose usage one step deletes */
#define HISTORY_STEP_PAGES 64          /* pages that one step gives back to the file system */

struct sqlite3;
struct history_store;

/* Why something failed, for code and for a person. */
struct history_trouble {
    int error;                /* -errno: see history_reply.error */
    enum history_state state; /* HISTORY_OFF: may pass; HISTORY_DAMAGED: somebody must act */
    bool reopen;              /* the connection is of no more use */
    struct why why;
};

struct history_size {
    uint64_t used, free, page; /* bytes in use, bytes of free pages inside the file, bytes of a page */
};

struct history_list_found {
    struct history_conversation *conversations; /* app and session in one block each: history_list_free */
    uint32_t count;
};

struct history_sums_found {
    struct history_usage_sum *sums; /* app, key and upstream in one block each: history_sums_free */
    uint32_t count, capacity;
};

/* history_store_open - opens or makes the database.  A file that is not ours is left as it is.  0 or trouble->error. */
int history_store_open(const char *path, bool full_sync, struct history_store **ret_store, struct history_trouble *trouble);

/* history_store_close - untouched: leave file and write-ahead log as they are now.  NULL is fine. */
void history_store_close(struct history_store *store, bool untouched);

/* history_store_moved - the file at path is another one than the one that is open, or none. */
bool history_store_moved(struct history_store *store);

/* history_store_probe - whether a transaction can begin now. */
int history_store_probe(struct history_store *store, struct history_trouble *trouble);

/* history_store_append - the batch (list of history_added) in one transaction. */
int history_store_append(struct history_store *store, const struct list *batch, struct history_trouble *trouble);

/* history_store_collect - turns of a conversation, newest first, until turns has enough. */
int history_store_collect(struct history_store *store, const char *app, const char *session, struct history_turns *turns,
                          struct history_trouble *trouble);

/* history_store_find - the turn of an answer of this app, put into turns; *ret_session: the conversation's, for the caller to free, untouched
 * when there is none. */
int history_store_find(struct history_store *store, const char *app, const char *stream, struct history_turns *turns, char **ret_session,
                       struct history_trouble *trouble);

/* history_store_list - app NULL: of all.  The caller frees *ret_found. */
int history_store_list(struct history_store *store, const char *app, uint32_t limit, struct history_list_found *ret_found,
                       struct history_trouble *trouble);
void history_list_free(struct history_list_found *found);

/* history_store_forget - takes the conversations out of sight; their turns are deleted by purge.  session NULL: all of the app. */
int history_store_forget(struct history_store *store, const char *app, const char *session, uint64_t *ret_conversations,
                         struct history_trouble *trouble);

/* history_store_purge - one step of deleting what was forgotten, also before a crash.  1: there is more, 0: none left. */
int history_store_purge(struct history_store *store, struct history_trouble *trouble);

/* history_store_retire - deletes a step's worth of the oldest turns before this wall time.  Returns how many. */
int history_store_retire(struct history_store *store, uint64_t before_ms, struct history_trouble *trouble);

/* Usage (history_store_usage.c).  append: the batch (list of history_used) in one transaction.  sums: the caller frees *ret_found; names NULL:
 * all.  retire_usage: deletes a step's worth of what is older than before_ms; returns how many rows. */
int history_store_append_usage(struct history_store *store, const struct list *batch, struct history_trouble *trouble);
int history_store_usage_sums(struct history_store *store, uint64_t since_ms, enum history_usage_by by, const char *app, const char *key,
                             uint32_t limit, struct history_sums_found *ret_found, struct history_trouble *trouble);
void history_sums_free(struct history_sums_found *found);
int history_store_retire_usage(struct history_store *store, uint64_t before_ms, struct history_trouble *trouble);

/* history_store_vacuum - gives a step's worth of free pages back.  1: it did, 0: there are none to give. */
int history_store_vacuum(struct history_store *store, struct history_trouble *trouble);

/* history_store_scrub - moves the write-ahead log into the database and cuts it to nothing.  -EBUSY: another program is reading. */
int history_store_scrub(struct history_store *store, struct history_trouble *trouble);

int history_store_size(struct history_store *store, struct history_size *ret_size, struct history_trouble *trouble);

#endif
