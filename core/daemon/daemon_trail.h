/* daemon/daemon_trail.h - what the core tells the event ring (metrics/trail.h): RUNTIME_DIR/stats/events.
 * Owner: the core's loop thread.  None of these can fail or block; without a ring they do nothing. */
#ifndef DAEMON_TRAIL_H
#define DAEMON_TRAIL_H

#include "core/daemon/answer.h"
#include "core/metrics/trail.h"
#include "core/upstream/upstream.h"

#define DAEMON_TRAIL_REFUSED_MAX 20u /* refusals listed in one second; more are only counted */

struct daemon_host;

/* daemon_trail_create - opens or makes the ring.  It is not worth failing for: the log says why there is none. */
void daemon_trail_create(struct daemon *daemon);
void daemon_trail_free(struct daemon *daemon);

/* daemon_trail_say - an event about nothing else: STARTED, STOPPING, RELOADED, RELOAD_REFUSED. */
void daemon_trail_say(struct daemon *daemon, enum trail_kind kind, uint64_t count);

/* daemon_trail_refused - a question or credential that got no answer.  app, transport: "" if not known.  reason: a literal, one word; NULL:
 * the limit that daemon.refusals names, if any.  Only so many a second are listed, for a flood must not push everything else out: the next
 * one says how many more there were. */
void daemon_trail_refused(struct daemon *daemon, const char *app, const char *transport, uint32_t error, const char *reason);

/* daemon_trail_host - the state of a host has changed, or may have. */
void daemon_trail_host(struct daemon_host *h);

/* Answers.  _asked: after it was registered; bytes: of its messages.  _note: an upstream_call_ops.note, owner = the answer; what comes before
 * _asked is told after it.  _first_token, _limit, _orphaned: as they say.  _ended: settled usage, before the answer's parts go. */
struct answer_tokens {
    uint64_t prompt, completion;
    uint32_t readers_peak;
};
void answer_trail_asked(struct answer *answer, const char *transport, size_t bytes);
void answer_trail_note(void *owner, enum upstream_note note, const char *upstream, uint64_t number);
void answer_trail_first_token(const struct answer *answer);
void answer_trail_limit(const struct answer *answer, const char *which);
void answer_trail_orphaned(const struct answer *answer);
void answer_trail_ended(const struct answer *answer, uint32_t verdict, uint32_t error, const struct answer_tokens *tokens);

#endif
