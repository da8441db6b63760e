/* daemon/daemon_tail.h - umbelctl stream tail: an operator reads along, an answer or all of a session.
 *
 * Reads the journal at its own pace and never more than DAEMON_TAIL_QUEUE ahead of what umbelctl has taken, so a slow one costs the core
 * a cursor an answer; one that takes nothing for DAEMON_TAIL_PATIENCE_S is cut, with the place to go on from.  It does not count as a
 * reader: an answer nobody else reads is stopped as ever.  Owner: the core's loop thread. */
#ifndef DAEMON_TAIL_H
#define DAEMON_TAIL_H

#include "core/daemon/answer.h"

#define DAEMON_TAIL_QUEUE ((size_t)256 << 10)
#define DAEMON_TAIL_PATIENCE_S 10u
#define DAEMON_TAIL_ANSWERS_MAX 64u /* of one session at once; further ones are named, not read */

void daemon_tail_admin(struct daemon *daemon);
/* daemon_tail_opened - an answer has begun: those who tail its session read it, too. */
void daemon_tail_opened(struct answer *answer);

#endif
