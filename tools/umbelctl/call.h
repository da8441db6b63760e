/* umbelctl/call.h - one command to the daemon over its admin socket. */
#ifndef CALL_H
#define CALL_H

#include <umbel/json.h>

#include "tools/umbelctl/ctl.h"

#define CALL_PATIENCE_S 10 /* without a reply: ordinary commands; the whole wait for those that may take long, if the daemon is stuck */

struct call {
    bool may_take_long; /* the daemon answers when it can; only a stuck one is given up */
    int (*event)(void *owner, const struct umbel_json *line); /* each intermediate line; non-zero ends the call with that exit code */
    void *owner;
    struct umbel_json *reply; /* out: the last line, or NULL; the caller frees it */
};

/* call_daemon - sends ctl's command, words and options and reads until the reply.  CTL_OK: reply has "ok":true.  CTL_FAILED: it has not
 * (nothing printed), or the call failed (reply is NULL, the complaint printed).  CTL_NOT_RUNNING, or what event() said. */
int call_daemon(const struct ctl *ctl, struct call *call);

/* call_complain - prints the error and the hint of a reply that is not ok; returns CTL_FAILED. */
int call_complain(const struct umbel_json *reply);

#endif
