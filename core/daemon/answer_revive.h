/* daemon/answer_revive.h - an ended answer that memory has forgotten, put back from its turn in the history: kept linger_s as if it had just
 * ended, for those who resume it.  Nobody is told of it but who asked.  Owner: the core's loop thread. */
#ifndef DAEMON_ANSWER_REVIVE_H
#define DAEMON_ANSWER_REVIVE_H

#include "core/daemon/answer.h"
#include "core/history/history.h"

/* answer_revive - turn: as history_find told it, session its conversation's.  The text, the verdict, the finish, the usage, model and time
 * are those of the turn; reasoning is not kept.  0 and the answer, owned by the table; UMBEL_ERROR_NOT_FOUND: the turn does not hold the
 * whole answer; UMBEL_ERROR_BUSY: the journal has no room; UMBEL_ERROR_INTERNAL: no memory. */
uint32_t answer_revive(struct daemon *daemon, uint32_t app, const struct history_turn *turn, const char *session,
                       struct answer **ret_answer);

#endif
