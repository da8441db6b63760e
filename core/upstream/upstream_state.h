/* upstream/upstream_state.h - internal to the module: an upstream, a call, and who does what.
 *
 *   upstream.c         the section, its counts, which calls run and which wait
 *   upstream_call.c    one call: connection, timers, the end
 *   upstream_answer.c  one response: head, body, dialect, verdict
 *
 * A call:  waiting -> connecting -> asked (request sent) -> answering (first content seen) -> concluded
 * Everything that ends a call but a cancellation passes through upstream_call_conclude with an outcome: there, before the first
 * content, is the place where another attempt may begin one day. */
#ifndef UPSTREAM_STATE_H
#define UPSTREAM_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <umbel/event.h>
#include <umbel/out.h>

#include "core/base/list.h"
#include "core/http/http_response.h"
#include "core/parse/dialect.h"
#include "core/tls/tls_session.h"
#include "core/upstream/upstream.h"
#include "core/upstream/upstream_conn.h"
#include "core/upstream/upstream_pool.h"
#include "core/upstream/upstream_record.h"
#include "core/upstream/upstream_request.h"
#include "core/upstream/upstream_trace.h"
#include "core/upstream/upstream_url.h"

#define UPSTREAM_TEXT_MAX DIALECT_TEXT_MAX
#define UPSTREAM_REFUSAL_MAX 65536u /* bytes of a refusal's body that are read */

/* What the operator is told at most once a minute each. */
enum upstream_complaint { COMPLAINT_KEY, COMPLAINT_CONNECT, COMPLAINT_ANSWER, COMPLAINT_COUNT };

struct upstream {
    struct uring_loop *loop;
    struct upstream_resolver *resolver;
    char *name, *api_key;
    struct upstream_url url;
    struct upstream_service service; /* what it speaks */
    struct tls_context *tls_context; /* NULL: http:// */
    struct upstream_proxy *proxy;    /* NULL: directly */
    struct upstream_route route;     /* the three above, as a connection wants them */
    uint32_t max_concurrent, queue, answer_max_bytes;
    uint64_t connect_ns, first_token_ns, idle_ns, total_ns; /* 0: no limit */
    struct upstream_pool pool;
    bool probed;  /* by upstream_probe.c, now */
    bool retired; /* connections are not kept */
    struct list running, waiting; /* upstream_call.link */
    const struct upstream_recorder *recorder; /* NULL: none */
    struct upstream_counts counts;
    uint64_t complained_ns[COMPLAINT_COUNT]; /* 0: never */
    uint64_t unsaid[COMPLAINT_COUNT];        /* complaints kept back since */
};

enum call_phase { CALL_WAITING, CALL_CONNECTING, CALL_ASKED, CALL_ANSWERING };
enum call_body { BODY_STREAM, BODY_DOCUMENT, BODY_REFUSAL };

struct upstream_outcome {
    uint32_t verdict; /* UMBEL_VERDICT_*, 0: not known yet */
    uint32_t error;   /* UMBEL_ERROR_*, 0 when COMPLETE */
    bool retryable;
    bool ran_out;           /* of its total time */
    int64_t retry_after_s; /* -1: not told */
    char text[UPSTREAM_TEXT_MAX + 1];
    char words[UPSTREAM_TEXT_MAX + 1]; /* what clients may not know, for probes; "" = text says it */
};

struct upstream_call {
    struct upstream *upstream; /* NULL: dropped, only waiting to be freed */
    struct list link;          /* in running or waiting */
    const struct upstream_call_ops *ops;
    void *owner;
    enum call_phase phase;
    struct umbel_out request; /* kept until the end: a dead kept connection means sending it again */
    struct upstream_conn *conn;
    bool reused; /* conn comes from the pool, and no byte of a response has come */
    bool paused;
    bool ending;              /* the end marker has come, the response's end has not */
    bool inside;              /* the owner's event callback may be on the stack */
    bool over;                /* concluded or cancelled: no callback any more */
    struct uring_timer timer; /* asked: first token; answering: idle; after the end marker: its grace */
    struct uring_timer total;
    uint64_t begun_ns, arrival_ns; /* of the call; of the bytes at hand */
    enum call_body body;
    bool has_head, reusable; /* the response's head has come; the connection may be used after it */
    unsigned status;
    bool page;                     /* REFUSAL: HTML */
    struct umbel_out collected;    /* DOCUMENT, REFUSAL: the body */
    struct dialect_reader *reader; /* STREAM, DOCUMENT */
    uint64_t answer_bytes;
    struct upstream_outcome outcome;
    struct {                       /* what upstream_record.h is told */
        const struct upstream_recorder *recorder;
        uint64_t number; /* 0: it is not recorded */
        enum upstream_record_how how;
        bool clean;
        struct upstream_digest digest;
    } record;
    struct upstream_trace *trace;  /* NULL, or borrowed: what is met is noted, and the connection is a fresh one */
    struct http_response response;
};

/* upstream.c */
void upstream_run_waiting(struct upstream *upstream); /* begins waiting calls while there is room */
void upstream_complain(struct upstream *upstream, enum upstream_complaint complaint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* upstream_call.c */
void upstream_call_begin(struct upstream_call *call); /* waiting -> connecting; no callback comes from inside */
void upstream_call_conclude(struct upstream_call *call);
void upstream_call_drop(struct upstream_call *call); /* no callback; freed now, or when the callback it is in returns */

/* upstream_call_start_traced - as upstream_call_start, with a trace (borrowed until the call has ended) or NULL. */
int upstream_call_start_traced(struct upstream *upstream, const struct upstream_question *question, const struct upstream_call_ops *ops,
                               void *owner, struct upstream_trace *trace, struct upstream_call **ret_call, struct why *why);

void upstream_call_trace(struct upstream_call *call); /* brings its trace, if it has one, up to now */

/* upstream_record.c.  Each does nothing when nobody records the call.  _end only once: later ones do nothing. */
void upstream_record_call(struct upstream_call *call, const struct upstream_question *question);
void upstream_record_bytes(struct upstream_call *call, const char *bytes, size_t size);
void upstream_record_end(struct upstream_call *call, bool cancelled);

/* upstream_answer.c.  The calls below may run the owner's event callback. */
int upstream_answer_begin(struct upstream_call *call); /* ready for a response; 0 or -ENOMEM */
/* upstream_answer_feed - bytes of the response.  True: it is whole, or nothing more is wanted, and the outcome is set. */
bool upstream_answer_feed(struct upstream_call *call, const char *bytes, size_t size);
/* upstream_answer_end - no more bytes: clean as in struct upstream_end.  Sets the outcome. */
void upstream_answer_end(struct upstream_call *call, bool clean, const char *text);
/* upstream_answer_give_up - a timer says so: the verdict is what the answer so far deserves; its error is UMBEL_ERROR_TIMEOUT
 * with text. */
void upstream_answer_give_up(struct upstream_call *call, const char *text);
void upstream_answer_free(struct upstream_call *call); /* adds the reader's counts to the upstream's */
bool upstream_answer_saw_done(const struct upstream_call *call);

/* upstream_fail - sets the outcome FAILED unless there is one. */
void upstream_fail(struct upstream_call *call, uint32_t error, bool retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
