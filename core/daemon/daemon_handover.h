/* daemon/daemon_handover.h - other processes for a transport that serves: new ones beside the old, on the same listening sockets.
 *
 *   begin --> STARTING --all READY--> WATCHED --5 s--> DONE: the old ones drain, each until its last answer is out or drain_ms are over
 *                |                       |
 *                | refused, died, late   | died
 *                v                       v
 *             BACK: the new ones end, the old ones accept as before (they never stopped serving; from READY on they only accepted nothing)
 *
 * Listening sockets are shared by reference (struct daemon_listener): a socket is closed only when no process is to serve it any more, so
 * a connection in its queue is accepted by whoever accepts next, and none is refused.
 * A transport whose plugin says UMBEL_NEEDS_ALONE: the old process is asked to leave its work to the next one and ends first; connections
 * wait in the queue meanwhile.  Before
 * that the new plugin has opened once in a process of its own that serves nobody (a trial).  If the new one fails all the same, the old
 * one is started again, with its configuration and from the file that it had (daemon_plugin_file.h).
 * Names: who serves is always "bmob.0"; one that drains is called "bmob.0~N", N counting up, in lists and as stats page.
 * Owner: the core's loop thread.  No callback nests in a call of these functions. */
#ifndef DAEMON_HANDOVER_H
#define DAEMON_HANDOVER_H

#include "core/daemon/daemon.h"

#define HANDOVER_WATCH_MS 5000u /* a new process that ends within so long after READY is not taken */

/* result 0: the new processes serve and the old ones drain.  Else -errno and words say why everything is as it was before. */
typedef void handover_done(void *owner, int result, const char *words);

/* daemon_handover_begin - replaces the workers of a transport, with another configuration (next_config, of the same name; NULL: the same).
 * Addresses that stay keep their sockets, new ones are opened now, those that are gone are closed when the old ones drain.
 * next_config: borrowed from here on, and so is the old one until daemon_transports_use() says otherwise.  done(owner, ...) is called once,
 * later, from the loop; not if the daemon ends first; NULL: nobody asks.  Transports are independent of each other.
 * 0; -EBUSY (one is under way for this transport, or the daemon stops), -ENOSPC (no room for as many processes more: words say what to do), -EADDRINUSE
 * and other errors of a new address: nothing has changed. */
int daemon_handover_begin(struct daemon *daemon, struct daemon_transport *transport, const struct config_transport *next_config,
                          handover_done *done, void *owner, struct why *why);

/* daemon_handover_step - for people: "starting", "watching", or "" when none is under way. */
const char *daemon_handover_step(const struct daemon_transport *transport);

/* daemon_handover_forget - whoever waited with this owner is not there any more: done will not be called. */
void daemon_handover_forget(struct daemon *daemon, const void *owner);

/* daemon_transport_find - by its section's name, or NULL. */
struct daemon_transport *daemon_transport_find(const struct daemon *daemon, const char *name);

/* daemon_transport_add - a new transport: opens its sockets and starts its workers.  config is borrowed.  0 or -errno: nothing was added. */
int daemon_transport_add(struct daemon *daemon, const struct config_transport *config, struct why *why);

/* daemon_transport_remove - its addresses refuse from now on, its workers drain (drain_ms of its configuration), and it is freed some
 * time after.  A hand-over under way ends with -ECANCELED.  transport must not be used any more. */
void daemon_transport_remove(struct daemon *daemon, struct daemon_transport *transport);

/* daemon_transport_rebase - the same values in other memory: a transport that a new configuration did not change. */
void daemon_transport_rebase(struct daemon_transport *transport, const struct config_transport *config);

/* daemon_transports_use - whether any transport or process, also one that drains, still needs a part of this configuration. */
bool daemon_transports_use(const struct daemon *daemon, const struct config *config);

/* For the workers' own module. */
void daemon_handover_changed(struct daemon_host *h);       /* its state has changed */
bool daemon_handover_hello(struct daemon_host *h);         /* it has said HELLO; true: it is not to be welcomed yet */
bool daemon_handover_tried(struct daemon_host *h);         /* it is READY; true: that was its trial, it starts again */
bool daemon_handover_keeps_readers(struct daemon_host *h); /* it has ended, and its successor is about to follow the same answers */
void daemon_handover_tick(struct daemon *daemon);          /* frees who has left */
void daemon_handover_end(struct daemon_transport *transport); /* the transport is about to be freed */

#endif
