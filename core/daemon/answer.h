/* daemon/answer.h - one answer from question to oblivion: asked, connecting, streaming, ended, kept for a while, forgotten.
 *
 *   answer_ask: memory rule -> upstream call -> journal slot, OPEN
 *   upstream events -> bus (journal, ring) and listeners in the core
 *   end: COMPLETE / TRUNCATED / FAILED by the upstream, CANCELLED by stop, operator or for want of readers
 *   kept linger_s for those who come back, then evicted; earlier if the journal needs the room
 * Owner: the core's loop thread. */
#ifndef DAEMON_ANSWER_H
#define DAEMON_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/daemon/answer_stats.h"
#include "core/ring/journal_layout.h"
#include "core/stream/session_table.h"
#include "core/upstream/upstream_group.h"
#include "core/uring/uring_loop.h"

#define ANSWER_READERS_MAX (1u << 20) /* readers of one answer that a host may report */
#define ANSWER_ID_SIZE 42 /* "chatcmpl-", 32 digits, zero */

struct daemon;
struct daemon_route;
struct daemon_share;
struct answer_bill;
struct policy_limits;
struct answer_table;

struct answer_question {
    uint32_t app;
    uint32_t flags;       /* UMBEL_REQUEST_* */
    const char *session;  /* "" = none */
    const char *model;    /* "" = the app's */
    struct span messages; /* JSON */
    struct span parameters; /* JSON or empty */
    const char *transport; /* who asks, for lists */
    uint64_t asker;        /* the question's number on its host's channel; 0: the core itself asks */
    uint32_t key;          /* which key or user of the app, 0: none; key_name: fit for logs, "" = none */
    const char *key_name;
    const struct policy_limits *key_limits; /* of this key or user; NULL: the app's key_limits */
};

/* Somebody inside the core who reads along (umbelctl chat). */
struct answer_listener {
    struct list link;
    bool passive; /* does not count as a reader */
    /* kind UMBEL_EVENT_*; CLOSED is the last call and unlinks the listener */
    void (*event)(struct answer_listener *listener, uint32_t kind, uint32_t code, const char *data, size_t size);
};

struct answer {
    char id[ANSWER_ID_SIZE];
    struct journal_ref ref;
    struct daemon *daemon;
    uint32_t app;
    struct session *session; /* NULL: none, or ended */
    struct list in_session;  /* session.streams while it runs */
    struct list in_order;    /* table: live ones, or ended ones by time of end */
    struct answer *next_in_bucket;
    struct upstream_group_call *call; /* NULL once ended */
    struct daemon_route *route;       /* whom it may ask; NULL once ended */
    struct daemon_share *share;       /* its place among its transport's questions; NULL once ended, or if the core itself asked */
    const char *upstream;    /* who answered, or was tried last */
    char transport[JOURNAL_NAME_MAX]; /* where it was asked, for the event ring */
    bool told_asked, was_sent;        /* the ring knows of it; the question went out before */
    struct answer_bill *bill; /* what it may use and has used; NULL once ended */
    uint32_t tries;          /* calls to upstreams before the answer began */
    uint32_t continued;      /* how often another upstream went on with it */
    struct answer_stats figures; /* that upstream's places on the stats page */
    char *question;          /* the newest message as JSON, for the memory; NULL = not wanted */
    uint32_t row;            /* of the streams table */
    uint64_t asked_ns, last_delta_ns, ended_ns, deltas, text_bytes, first_token_ns;
    uint32_t finish;         /* UMBEL_FINISH_* once the upstream has said it */
    char finish_word[JOURNAL_WORD_MAX];
    uint64_t prompt_tokens, completion_tokens;
    bool usage_known, orphaned, forget;
    bool gone;               /* its session was forgotten: nobody finds it any more, who reads it may read on */
    struct uring_timer orphan;
    struct list listeners;
    struct answer_readers {
        uint32_t host, count;
    } *readers;              /* per host that has any */
    uint32_t reader_hosts, reader_total;
};

int answer_table_create(struct daemon *daemon, struct answer_table **ret_table);
/* answer_table_free - cancels what runs. */
void answer_table_free(struct answer_table *table);
uint32_t answer_table_live(const struct answer_table *table);

/* answer_ask - asks now; what the session remembers must be in memory (see asking.h).  0 and the answer, owned by the table; or an
 * UMBEL_ERROR_* with a line for the client in why. */
uint32_t answer_ask(struct daemon *daemon, const struct answer_question *question, struct answer **ret_answer, struct why *why);

/* answer_find - a live or kept answer of this app; NULL for unknown and foreign ids alike (the history may have it: reviving.h).  app -1: any (operators). */
struct answer *answer_find(struct answer_table *table, int app, const char *id);
/* answer_forget_session - the ended answers of a session that are still kept: nobody resumes them any more. */
void answer_forget_session(struct answer_table *table, uint32_t app, const char *session);
struct answer *answer_by_ref(struct answer_table *table, struct journal_ref ref);

/* answer_live_refs - up to max running answers of an app that have a session; *ret_others: how many more there are. */
size_t answer_live_refs(struct answer_table *table, uint32_t app, struct journal_ref *ret_refs, size_t max, uint64_t *ret_others);

/* answer_cancel - ends a running answer at once: CANCELLED for all its readers.  Does nothing to an ended one. */
void answer_cancel(struct answer *answer);

/* answer_set_readers - how many readers a host has for it; decides about orphans. */
void answer_set_readers(struct answer *answer, uint32_t host, uint32_t count);
/* answer_has_readers - does this host count readers of it? */
bool answer_has_readers(const struct answer *answer, uint32_t host);
/* answer_read_by - the transport of those who were just counted, for the record of its end. */
void answer_read_by(struct answer *answer, const char *transport);
/* answer_host_count - how many answers have readers in this host. */
uint32_t answer_host_count(const struct answer_table *table, uint32_t host);
/* answer_host_gone - a host has died: its readers are gone. */
void answer_host_gone(struct answer_table *table, uint32_t host);

void answer_listen(struct answer *answer, struct answer_listener *listener);
void answer_unlisten(struct answer *answer, struct answer_listener *listener);

/* answer_tick - once a second: forgets what has lingered long enough. */
void answer_tick(struct answer_table *table, uint64_t now_ns);

#endif
