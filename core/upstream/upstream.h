/* upstream/upstream.h - calls to model services: one struct upstream per `upstream NAME {}` section, one upstream_call per
 * answer. Owner: the core's loop thread; nothing blocks. */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/parse/event.h"
#include "core/uring/uring_loop.h"

struct upstream;
struct upstream_call;
struct upstream_resolver; /* the thread that looks up names, shared by all */

struct upstream_options { /* all text is copied */
    const char *name;
    const char *dialect;     /* "openai", "anthropic", "ollama", "gemini", "dashscope" */
    const char *const *quirks; /* quirk_count words as dialect_quirks_set takes them, in order; NULL when there are none */
    size_t quirk_count;
    const char *base_url;    /* http:// or https://, host, optional port, path prefix; the dialect's path follows it */
    const char *api_key;     /* "" = none; wiped at free, never logged */
    const char *ca_file;     /* NULL or "": the system's */
    const char *client_cert, *client_key; /* PEM files to show the service; both, or neither (NULL or "") */
    const char *proxy;       /* http://[USER:PASSWORD@]HOST[:PORT]; "env": as the environment says; NULL or "": none */
    uint32_t max_concurrent; /* calls at once; 0 = 1024; over it calls wait in a queue */
    uint32_t queue;          /* waiting calls; over it: UMBEL_ERROR_BUSY */
    /* 0: no limit.  connect: look-up, connecting and TLS; first token: from the request to the first text, thinking or tool
     * fragment, whatever signs of life come meanwhile; idle: between any two reads after that; total: from upstream_call_start to
     * the end. */
    uint32_t connect_timeout_ms, first_token_timeout_ms, idle_timeout_ms, total_timeout_ms;
    uint32_t answer_max_bytes; /* text + reasoning + tool bytes of one answer; 0 = 16 MiB; over it: finish "length" */
};

struct upstream_question { /* borrowed until upstream_call_start returns */
    const char *model;
    const char *messages; /* JSON array */
    size_t messages_size;
    const char *parameters; /* JSON object with further members of the request, or NULL */
    size_t parameters_size;
    const char *so_far; /* the beginning of the answer, which this service is to continue (upstream_prefill.h); NULL: it begins */
    size_t so_far_size;
    const char *app, *stream; /* for records (upstream_record.h); NULL: nobody has said */
};

/* What happened on the way; number: ASKED 1 on a kept connection, CONTINUED bytes of the answer so far, else 0. */
enum upstream_note {
    UPSTREAM_ASKED,         /* the question went out to the upstream */
    UPSTREAM_REPLIES,       /* the first bytes of its response have come */
    UPSTREAM_TRIED_AGAIN,   /* it failed before the answer began, and is asked again */
    UPSTREAM_GAVE_WAY,      /* it failed, and another one is asked */
    UPSTREAM_CONTINUES,     /* it goes on with an answer that another one broke off */
    UPSTREAM_LEFT_ALONE,    /* its breaker has opened */
    UPSTREAM_BACK           /* its breaker has closed */
};

struct upstream_call_ops {
    /* One neutral event: TEXT, REASONING, TOOL, USAGE, FINISH (never ERROR: that is told by `ended`); arrival_ns: when its bytes
     * came off the network (CLOCK_MONOTONIC).  The call may be cancelled inside, the upstream may be freed. */
    void (*event)(void *owner, const struct parse_event *event, uint64_t arrival_ns);
    /* The end, exactly once unless cancelled: UMBEL_VERDICT_*.  error: UMBEL_ERROR_* when not COMPLETE, text: one line without
     * secrets.  The call is freed when this returns. */
    void (*ended)(void *owner, uint32_t verdict, uint32_t error, const char *text);
    /* May be NULL.  For the record only: the call must not be cancelled inside.  ASKED may come inside upstream_call_start. */
    void (*note)(void *owner, enum upstream_note note, const char *upstream, uint64_t number);
};

struct upstream_counts {
    uint64_t started, active, waiting, completed, truncated, failed, cancelled, refused_busy;
    uint64_t reused, resent; /* calls that began on a kept connection; ... which was dead, so the question went to a fresh one */
    uint64_t bytes_in, bytes_out, connects, connect_errors, timeouts, comments, missing_done, malformed;
    uint64_t first_token_ns_last; /* duration of the last one */
};

/* The resolver lives longer than the upstreams, the loop longer than both. */
int upstream_resolver_create(struct uring_loop *loop, struct upstream_resolver **ret_resolver, struct why *why);
void upstream_resolver_free(struct upstream_resolver *resolver);

/* upstream_create - -EINVAL with words that say what to write instead when an option is wrong. */
int upstream_create(struct uring_loop *loop, struct upstream_resolver *resolver, const struct upstream_options *options,
                    struct upstream **ret_upstream, struct why *why);
/* upstream_free - cancels what runs (no callbacks).  NULL is fine. */
void upstream_free(struct upstream *upstream);
/* upstream_retire - a successor takes the new calls: those that run or wait here go on, connections are not kept for others any more. */
void upstream_retire(struct upstream *upstream);
const char *upstream_name(const struct upstream *upstream);
void upstream_get_counts(const struct upstream *upstream, struct upstream_counts *ret_counts);

/* upstream_call_start - callbacks come later, never inside.  0; -EBUSY: queue full; -EINVAL: messages or parameters are not the
 * JSON they should be; -EMSGSIZE: over 16 MiB; -ENOMEM. */
int upstream_call_start(struct upstream *upstream, const struct upstream_question *question, const struct upstream_call_ops *ops,
                        void *owner, struct upstream_call **ret_call, struct why *why);

/* upstream_call_may_retry - only inside ended(): may the same question work later, or elsewhere?  *ret_after_s: what the service said
 * of when, -1 = nothing. */
bool upstream_call_may_retry(const struct upstream_call *call, int64_t *ret_after_s);

/* upstream_call_ran_out - only inside ended(): was it the total limit that ended it? */
bool upstream_call_ran_out(const struct upstream_call *call);

/* upstream_call_cancel - no callback follows; the connection to the service is really closed. */
void upstream_call_cancel(struct upstream_call *call);

/* upstream_call_pause - flow control: stop and resume reading from the service.  Events of bytes that have been read already
 * still come. The timers but the total one stand still meanwhile. */
void upstream_call_pause(struct upstream_call *call, bool paused);

#endif
