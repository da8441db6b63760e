/* upstream/upstream_probe.h - a tiny question to one upstream, for the operator: what was met on the way, stage by stage.
 *
 * It takes the way of every call: look-up, proxy, TLS, room among max_concurrent, the upstream's time limits, the dialect's reader; but always
 * a fresh connection, so that each stage is there to be measured.  It goes past the breakers (it neither waits for one nor tells it
 * anything: an operator's test must not lead clients away, nor back) and is counted among the upstream's calls, which it is.  Bounds: one
 * at a time an upstream; PROBE_LIMIT_MS in all; an answer of PROBE_ANSWER_MAX bytes.  Owner: the core's loop thread. */
#ifndef UPSTREAM_PROBE_H
#define UPSTREAM_PROBE_H

#include "core/upstream/upstream.h"
#include "core/upstream/upstream_trace.h"

#define PROBE_LIMIT_MS 120000u
#define PROBE_ANSWER_MAX 16384u /* bytes of text and thinking; a longer answer is enough of one */
#define PROBE_SAID_MAX 160u     /* bytes of the text that are told */

/* How far it came, and what became of it. */
enum probe_class {
    PROBE_OK,
    PROBE_NO_ROOM,   /* max_concurrent calls run */
    PROBE_RESOLVE,
    PROBE_CONNECT,
    PROBE_PROXY,
    PROBE_TLS,
    PROBE_KEY,       /* 401, 403 */
    PROBE_NOT_FOUND, /* 404, 405 */
    PROBE_REQUEST,   /* other 4xx */
    PROBE_RATE,      /* 429 */
    PROBE_SERVICE,   /* 5xx, and statuses nobody expects */
    PROBE_ENCODING,  /* gzip or the like */
    PROBE_TYPE,      /* HTML, or another type that is no stream */
    PROBE_SILENT,    /* asked, and nothing came in time */
    PROBE_ERROR,     /* an error within the answer */
    PROBE_CUT,       /* the answer ended before its end */
    PROBE_BROKEN     /* what came is no answer of this dialect, or no HTTP */
};

struct probe_report {
    enum probe_class class;
    bool has_proxy, has_tls;
    bool late;               /* PROBE_LIMIT_MS was over */
    bool long_answer;        /* PROBE_ANSWER_MAX was reached: the rest was not waited for */
    uint32_t verdict, error; /* as upstream_call_ops.ended */
    char text[1040];         /* its words, with those of the connection */
    struct upstream_trace trace;
    uint64_t deltas, thoughts, text_bytes;
    bool usage;
    uint64_t prompt_tokens, completion_tokens;
    char finish[64]; /* the service's own word; "" none */
    char said[PROBE_SAID_MAX + 1];
    const struct dialect_quirks *quirks; /* as configured; good inside the callback */
};

struct upstream_probe;

/* upstream_probe_start - done is called once, later, unless cancelled; the probe is freed when it returns.  model, upstream: model is copied,
 * the upstream outlives the probe.  -EBUSY: it is being probed, or has no room even in its queue; else as upstream_call_start. */
int upstream_probe_start(struct uring_loop *loop, struct upstream *upstream, const char *model,
                         void (*done)(void *owner, const struct probe_report *report), void *owner, struct upstream_probe **ret_probe,
                         struct why *why);
void upstream_probe_cancel(struct upstream_probe *probe); /* NULL is fine */

/* probe_judge - the class, from everything else in the report.  Pure.  probe_class_word - its stable word.  probe_advice - what to look at next,
 * one or two sentences; "" for PROBE_OK. */
enum probe_class probe_judge(const struct probe_report *report);
const char *probe_class_word(enum probe_class class);
const char *probe_advice(enum probe_class class);

#endif
