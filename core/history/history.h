/* history/history.h - conversations on disk: the turns of (app, session), so that memory outlives idle sessions and restarts; and what each
 * answer has used.
 *
 *      loop: history_add ----> queue (bounded) ----> thread: one transaction a batch ----> SQLite, WAL
 *      loop: history_load, find, show, list, forget -> asks (bounded) ----> thread ----> eventfd ----> loop: done()
 *
 * Owner: the core's loop thread calls everything here and gets every callback; the disk is touched by the history's own thread alone, so
 * nothing here blocks.  Order is as asked: an ask sees every earlier add, written or not, and no later one.
 *
 * Promise: an added turn is on disk sync_ms later (more only while the disk itself is slow), safe from a kill of the daemon; with
 * full_sync also from a power cut.  While the database cannot be written (locked, no room, no permission, damaged) turns wait in the
 * queue, are still seen by asks, and are written when it can be again, which is noticed without a restart; when the queue is
 * full the oldest waiting turns are dropped and counted.  A damaged or foreign file is never changed, moved or deleted.
 *
 * Turns are stored as they are and never logged; the files are readable by their owner alone.  */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/uring/uring_loop.h"

#define HISTORY_NAME_MAX 255u            /* bytes of an app's or a session's name */
#define HISTORY_ADD_TURNS_MAX 1024u      /* turns of one history_add */
#define HISTORY_ASKS_MAX 8192u           /* asks on their way at once */
#define HISTORY_LIST_MAX 10000u          /* conversations of one history_list */
#define HISTORY_USAGE_WAITING_MAX 65536u /* ended answers whose usage is not on disk yet: beyond it the oldest are lost and counted */
#define HISTORY_USAGE_ROWS_MAX 65536u    /* sums of one history_usage_sums */
#define HISTORY_SHOW_TURNS_MAX 1000u     /* the newest turns that history_show tells */
#define HISTORY_SHOW_BYTES_MAX 1048576u  /* ... and their bytes */
#define HISTORY_FIND_BYTES_MAX 8388608u  /* of the message that history_find tells; a larger one is not found */

struct history;
struct history_ask; /* one question on its way */

/* The numbers are in the file: never change one. */
#define HISTORY_ROLE_SYSTEM 1u
#define HISTORY_ROLE_USER 2u
#define HISTORY_ROLE_ASSISTANT 3u
#define HISTORY_ROLE_TOOL 4u

#define HISTORY_TURN_FIRST 1u /* the conversation begins anew here: history_load looks no further back, history_show does */

struct history_turn {
    uint32_t role;       /* HISTORY_ROLE_* */
    uint32_t verdict;    /* UMBEL_VERDICT_* of an answer; 0 for what a client said */
    uint32_t flags;      /* HISTORY_TURN_* */
    uint64_t wall_ms;    /* milliseconds since 1970, UTC */
    const char *stream;  /* the answer's id, or "" */
    const char *message; /* JSON text of one message; need not end in zero when given, does when told */
    size_t size;         /* bytes of message */
    const char *about;   /* what the owner needs to tell this answer again, in its own words; NULL or "": it cannot be.  Told by find only */
};

struct history_conversation {
    const char *app, *session;
    uint64_t turns, bytes; /* bytes: of the messages */
    uint64_t last_ms;      /* wall time of the newest turn */
};

/* What one ended answer has used.  Names only: no text, no session, no secret. */
struct history_usage {
    uint64_t wall_ms;             /* when it ended */
    const char *stream;           /* the answer's id */
    const char *app, *key, *upstream, *model, *transport;
    uint32_t verdict;             /* UMBEL_VERDICT_* */
    bool estimated;               /* the service did not say: counted from the text */
    uint64_t prompt_tokens, completion_tokens, text_bytes;
};

enum history_usage_by { HISTORY_BY_APP, HISTORY_BY_KEY /* and app */, HISTORY_BY_DAY, HISTORY_BY_UPSTREAM, HISTORY_BY_COUNT };

/* A sum; members that it is not grouped by are "" and 0. */
struct history_usage_sum {
    const char *app, *key, *upstream;
    uint64_t day_ms;              /* the day's beginning (UTC), milliseconds since 1970 */
    uint64_t answers, estimated, prompt_tokens, completion_tokens, text_bytes; /* estimated: answers among them */
};

/* What a callback is given; good until it returns. */
struct history_reply {
    int error;                        /* 0 or -errno: -ETIMEDOUT, -EBUSY (locked), -ENOSPC, -EACCES, -EBADMSG (damaged), -EIO, -ENOMEM */
    const char *text;                 /* one line for a person when error is not 0, else "" */
    const struct history_turn *turns; /* load and show: oldest first.  With an error: what still waits in the queue */
    const struct history_conversation *conversations; /* list: the latest used first */
    const struct history_usage_sum *usage; /* usage: by name or day */
    size_t count;                     /* of turns, conversations or sums */
    const char *session;              /* find: whose turn it is; "" when there is none */
    uint64_t forgotten;               /* forget: conversations that were found; 1 when there were only waiting turns */
};

enum history_state {
    HISTORY_OFF,    /* being opened, or it fails for a reason that may pass: tried again by itself */
    HISTORY_OK,
    HISTORY_DAMAGED /* somebody must act: the file is damaged, foreign or of a newer version.  Looked at again when it has changed */
};

struct history_options { /* a zeroed struct is fine */
    uint32_t sync_ms;        /* a waiting turn is written this much later at the latest; 0 = 200 */
    bool full_sync;          /* each batch is flushed to the device */
    uint32_t queue_max;      /* adds that wait; 0 = 8192 */
    size_t queue_bytes;      /* their memory; 0 = 64 MiB */
    uint32_t load_wait_ms;   /* history_load and history_find answer -ETIMEDOUT after this; 0 = 1000 */
    uint32_t retention_days; /* older turns are deleted; 0 = never */
    uint32_t retention_mb;   /* the database without free pages and write-ahead log; the oldest turns go first; 0 = no limit */
};

struct history_counts {
    uint64_t written, batches;        /* turns on disk, transactions */
    uint64_t waiting, waiting_bytes;  /* turns in the queue, memory */
    uint64_t dropped;                 /* turns lost: the queue was full, or the end came first */
    uint64_t loads, load_timeouts;    /* asked; given up after load_wait_ms */
    uint64_t retired;                 /* turns deleted by age or size */
    uint64_t usage_written, usage_waiting, usage_dropped; /* answers */
    uint64_t errors;                  /* operations of the database that failed */
    uint64_t bytes;                   /* the database, as retention_mb counts it */
    uint64_t last_commit_ms;          /* wall time of the last batch, 0 = none yet */
    uint64_t last_commit_us;          /* how long it took */
};

/* history_open - starts the thread, which opens or makes the database at path; its directory must exist.  That the database cannot be
 * used is not an error here: history_state tells, and the log.  options may be NULL; all is copied.  0; -ENAMETOOLONG; -ENOMEM;
 * -errno when no thread or descriptor is to be had. */
int history_open(struct uring_loop *loop, const char *path, const struct history_options *options, struct history **ret_history,
                 struct why *why);

/* history_close - writes what waits (5 seconds at most), ends the thread.  No callbacks follow; forgets already asked are carried out.
 * The one call that blocks.  Not from inside a callback.  NULL is fine. */
void history_close(struct history *history);

/* history_state - with one line for a person in *ret_text (NULL is fine): "" when OK, else what is wrong and what to do. */
enum history_state history_state(struct history *history, struct why *ret_text);
void history_get_counts(struct history *history, struct history_counts *ret_counts);

/* history_add - appends turns (1..HISTORY_ADD_TURNS_MAX, copied) to a conversation; they are written together or not at all.  When the
 * queue is full the oldest waiting adds are dropped for it.  0; -EINVAL: count or a name (1..HISTORY_NAME_MAX bytes) is out of
 * bounds; -EMSGSIZE: larger than the queue, or all the room is in the batch being written; -ENOMEM.  Whatever was dropped is counted. */
int history_add(struct history *history, const char *app, const char *session, const struct history_turn *turns, size_t count);

/* history_usage_add - one ended answer, copied; written as turns are.  When HISTORY_USAGE_WAITING_MAX wait the oldest is lost and counted.
 * 0; -ENOMEM (counted too). */
int history_usage_add(struct history *history, const struct history_usage *usage);

/* The asks.  done is called once, later, from the loop, unless the ask is cancelled or the history closed; *ret_ask is good until
 * then.  ret_ask may be NULL.  0; -EINVAL: a name is out of bounds; -EBUSY: HISTORY_ASKS_MAX are on their way; -ENOMEM. */

/* history_load - the newest turns of a conversation, at most max_turns of them and max_bytes of messages, not before the last
 * HISTORY_TURN_FIRST.  A message larger than max_bytes is left out alone. */
int history_load(struct history *history, const char *app, const char *session, uint32_t max_turns, size_t max_bytes,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask);

/* history_show - as load, for a person: HISTORY_SHOW_TURNS_MAX and HISTORY_SHOW_BYTES_MAX, also before HISTORY_TURN_FIRST. */
int history_show(struct history *history, const char *app, const char *session,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask);

/* history_find - the turn of one answer by its id (role ASSISTANT), if that app has it; none is no error.  Waits as load does. */
int history_find(struct history *history, const char *app, const char *stream,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask);

/* history_list - the conversations of an app, or with NULL of all; limit is cut to HISTORY_LIST_MAX. */
int history_list(struct history *history, const char *app, uint32_t limit,
                 void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask);

/* history_usage_sums - what answers that ended at since_ms or later have used; app and key NULL: all of them.  limit is cut to
 * HISTORY_USAGE_ROWS_MAX; the rest is left out. */
int history_usage_sums(struct history *history, uint64_t since_ms, enum history_usage_by by, const char *app, const char *key, uint32_t limit,
                       void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask);

/* history_forget - deletes a conversation, or with session NULL all of the app, waiting turns included.  No later ask sees
 * them; done is called when their bytes are overwritten in the database and the write-ahead log is cut.  When the
 * database cannot be written only the waiting turns are forgotten, and the error says so.  Deleting goes in small steps and is
 * taken up again after a crash. */
int history_forget(struct history *history, const char *app, const char *session,
                   void (*done)(void *owner, const struct history_reply *reply), void *owner, struct history_ask **ret_ask);

/* history_cancel - done will not be called; a forget is carried out nevertheless.  NULL is fine. */
void history_cancel(struct history_ask *ask);

#endif
