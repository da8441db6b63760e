/* upstream/upstream_group.h - the upstreams of one app, in order of preference, and a call that may try several of them.
 *
 * Before the first piece of an answer a failure that may pass is tried again: at the next upstream, at most GROUP_TRIES_MAX attempts in
 * all with a jittered pause between rounds; a lone upstream is asked once more, after a jittered pause or its own Retry-After (up to
 * GROUP_RETRY_AFTER_MAX_S), unless it was silent.  After the first piece the verdict is told as it is, unless group_call_may_continue was
 * said: then the next upstream goes on from the text so far (a lone one is asked itself, once, unless it was silent), with as many attempts
 * for each continuation, the failed one among them; if none succeeds the verdict is that of the service that broke off.
 * Where there is a choice an upstream whose breaker is open is passed over; when all are, the call ends at once with
 * UMBEL_ERROR_BUSY.  Owner: the core's loop thread. */
#ifndef UPSTREAM_GROUP_H
#define UPSTREAM_GROUP_H

#include "core/upstream/upstream.h"
#include "core/upstream/upstream_breaker.h"

#define GROUP_TRIES_MAX 4u
#define GROUP_RETRY_AFTER_MAX_S 5u
#define GROUP_WAIT_MS 200u /* a pause: this and up to as much again by chance */

struct upstream_member { /* one configured upstream, shared by all groups it is in */
    struct upstream *upstream;
    struct upstream_breaker breaker;
};

struct upstream_group_call;

/* group_call_start - as upstream_call_start, over members (borrowed, as is the array, until the call has ended).  The question is copied. */
int group_call_start(struct uring_loop *loop, struct upstream_member *const *members, size_t count, const struct upstream_question *question,
                     const struct upstream_call_ops *ops, void *owner, struct upstream_group_call **ret_call, struct why *why);
void group_call_cancel(struct upstream_group_call *call); /* as upstream_call_cancel */

/* group_call_may_continue - right after the start: when a service fails within the answer another one may go on with it, bounds in
 * upstream_continue.h.  stream: the answer's id for log lines, borrowed until the call has ended.  0 or -ENOMEM: it will not. */
int group_call_may_continue(struct upstream_group_call *call, const char *stream);

/* group_call_member - who answers now, or was tried last; group_call_tries - attempts so far; group_call_continued - how often another
 * service has gone on with the answer: those that really did. */
const struct upstream_member *group_call_member(const struct upstream_group_call *call);
uint32_t group_call_tries(const struct upstream_group_call *call);
uint32_t group_call_continued(const struct upstream_group_call *call);

#endif
