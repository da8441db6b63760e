/* daemon/asking.h - a question on its way to become an answer: at once, or after its session's turns have been read from the history.
 * Owner: the core's loop thread. */
#ifndef DAEMON_ASKING_H
#define DAEMON_ASKING_H

#include "core/daemon/answer.h"

struct asking;

/* done: exactly once unless cancelled; error 0 and the answer, or UMBEL_ERROR_* and a line for the client. */
typedef void asking_done(void *owner, uint32_t error, struct answer *answer, const char *text);

/* asking_begin - the question is copied if it has to wait.  done may be called inside; then *ret_asking is NULL. */
void asking_begin(struct daemon *daemon, const struct answer_question *question, asking_done *done, void *owner,
                  struct asking **ret_asking);

/* asking_cancel - done is not called.  NULL is fine. */
void asking_cancel(struct asking *asking);

#endif
