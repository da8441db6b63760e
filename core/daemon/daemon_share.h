/* daemon/daemon_share.h - a transport's share of the core: its questions that wait or are being answered.  One transport with tens of thousands
 * of clients cannot take all places at the services and in the journal from the others.
 * Owner: the core's loop thread.  An answer may outlive its transport, so the count is held by both. */
#ifndef DAEMON_SHARE_H
#define DAEMON_SHARE_H

#include <stdint.h>

struct daemon_share;

/* daemon_share_take - one place of *share, which is made when it is NULL; most: places there are.  The caller, or who it hands the place to,
 * gives it back with daemon_share_drop.  NULL: all are taken, or no memory. */
struct daemon_share *daemon_share_take(struct daemon_share **share, uint32_t most);

/* daemon_share_drop - gives a place back; NULL is fine. */
void daemon_share_drop(struct daemon_share *share);

/* daemon_share_leave - the transport goes; its answers may still run.  NULL is fine. */
void daemon_share_leave(struct daemon_share *share);

#endif
