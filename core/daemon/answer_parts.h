/* daemon/answer_parts.h - internal to answer*.c: the parts of an answer's life that stand in files of their own. */
#ifndef DAEMON_ANSWER_PARTS_H
#define DAEMON_ANSWER_PARTS_H

#include "core/daemon/answer.h"

/* answer_prefix - the longest prefix of at most max bytes that ends between characters. */
size_t answer_prefix(const char *text, size_t size, size_t max);

/* answer.c: an answer without an id and a stream yet; freed with free() until it is registered.  NULL: no memory. */
struct answer *answer_alloc(struct daemon *daemon, uint32_t app);
/* ... with id, ref (closed in the journal) and ended_ns (now): kept as if it had just ended. */
void answer_register_ended(struct answer_table *table, struct answer *answer);

/* answer_memory.c: question and answer into the session's memory and history; what a client sent as the conversation into the history. */
void answer_remember(struct answer *answer, const struct journal_ending *ending);
void answer_replace_history(struct daemon *daemon, uint32_t app, struct session *session);

/* answer_readers.c: counts them anew and decides about orphans; the timer of an answer that nobody reads. */
void answer_readers_changed(struct answer *answer);
void answer_orphan_fired(struct uring_timer *timer);

#endif
