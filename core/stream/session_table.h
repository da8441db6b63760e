/* stream/session_table.h - conversations: the turns of (app, session) that the next question continues, and the streams running in it.
 * Owner: the core's loop thread.  Bounds: SESSION_TURNS_MAX messages and SESSION_TURN_BYTES_MAX bytes each, sessions_max sessions
 * (the longest unused goes first, never one with a running stream), forgotten after idle_ns without use. */
#ifndef STREAM_SESSION_TABLE_H
#define STREAM_SESSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/out.h>

#include "core/base/list.h"
#include "core/base/why.h"

#define SESSION_TURNS_MAX 16u
#define SESSION_TURN_BYTES_MAX 16384u

struct session_table;

struct session {
    struct list streams; /* running now: whatever the caller links in */
    uint32_t pins;       /* the caller's: above 0 it is not forgotten */
    bool loaded;         /* the caller's: its turns have been read back from the history */
    /* private */
    struct list by_use;
    struct session *next_in_bucket;
    uint64_t used_ns;
    uint32_t app, turn_count, turn_bytes;
    char *turns[SESSION_TURNS_MAX]; /* JSON of one message each */
    struct session_turn {
        enum { SESSION_TURN_OTHER, SESSION_TURN_USER, SESSION_TURN_TOOL } kind;
        uint32_t calls; /* tool calls that it makes */
    } facts[SESSION_TURNS_MAX]; /* of each */
    char name[];
};

int session_table_create(uint32_t sessions_max, uint64_t idle_ns, struct session_table **ret_table);
void session_table_free(struct session_table *table);
uint32_t session_table_count(const struct session_table *table);
uint64_t session_table_evicted(const struct session_table *table);

/* session_get - the session, made if need be.  NULL when memory or room ran out.  session_find - NULL if it does not exist. */
struct session *session_get(struct session_table *table, uint32_t app, const char *name, uint64_t now_ns);
struct session *session_find(struct session_table *table, uint32_t app, const char *name);

/* session_tidy - forgets what has been idle for too long; call it now and then. */
void session_tidy(struct session_table *table, uint64_t now_ns);

/* session_compose - the messages to send upstream as a JSON array into out, by the memory rule: one new non-system message is put behind
 * the stored turns, several replace them.  Of the stored ones only what services accept: from the first user's on, and tool calls with all
 * their results or not at all.  messages: the client's JSON array.  system: the app's own prompt or "" (used if the client
 * sent none).  session NULL: no memory, the messages as they are.  *ret_replaced: the client has sent the turns itself: session_replace
 * is due once the question is on its way.  Returns 0, or -EINVAL with a line for the client. */
int session_compose(struct session *session, const char *messages, size_t size, const char *system, struct umbel_out *out,
                    bool *ret_replaced, struct why *why);

/* session_replace - the stored turns are from now on those of this question, but for system messages and the newest one. */
void session_replace(struct session *session, const char *messages, size_t size);

/* session_restore - puts one turn (JSON text of a message) behind those that are there: read back from the history. */
void session_restore(struct session *session, const char *message, size_t size);

/* session_forget - drops all turns. */
void session_forget(struct session *session);

/* session_remember - after an answer: the newest user message of that question (JSON text, from session_newest) and the answer's text. */
void session_remember(struct session *session, const char *user_message, const char *answer, size_t answer_size);

/* session_newest - the last message of the array as JSON text, malloc'ed; NULL when there is none. */
char *session_newest(const char *messages, size_t size);

#endif
