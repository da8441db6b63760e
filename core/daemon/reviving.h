/* daemon/reviving.h - a resume of an answer that is not in memory: looked for in the history, whatever the id, and put back if it is there.
 * Those who want the same answer at once share one look.  Owner: the core's loop thread. */
#ifndef DAEMON_REVIVING_H
#define DAEMON_REVIVING_H

#include "core/daemon/answer.h"

struct reviving;

/* done: exactly once unless cancelled; error 0 and the answer, or UMBEL_ERROR_* and a line for the client. */
typedef void reviving_done(void *owner, uint32_t error, struct answer *answer, const char *text);

/* reviving_begin - done may be called inside; then *ret_reviving is NULL.  NOT_FOUND: no such answer of this app (or not the whole of it, or
 * the app keeps no history); BUSY: the history cannot be asked now, or there is no room. */
void reviving_begin(struct daemon *daemon, uint32_t app, const char *id, reviving_done *done, void *owner, struct reviving **ret_reviving);

/* reviving_cancel - done is not called.  NULL is fine. */
void reviving_cancel(struct reviving *reviving);

#endif
