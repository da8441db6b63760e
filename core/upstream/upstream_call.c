#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/upstream/upstream_request.h"
#include "core/upstream/upstream_state.h"

/* After the end marker only the response's own end is missing.  Services send it at once; whoever does not loses the connection's
 * reuse, nobody waits for it. */
#define DONE_GRACE_NS CLOCK_S

static const struct upstream_conn_ops conn_ops;

static void call_free(struct upstream_call *call)
{
    upstream_answer_free(call);
    upstream_request_wipe(&call->request);
    free(call);
}

/* Takes the call out of everything that could call it again. */
static void detach(struct upstream_call *call)
{
    call->over = true;
    uring_timer_clear(call->upstream->loop, &call->timer);
    uring_timer_clear(call->upstream->loop, &call->total);
    list_remove(&call->link);
    if (call->phase == CALL_WAITING)
        call->upstream->counts.waiting--;
    else
        call->upstream->counts.active--;
    upstream_conn_close(call->conn);
    call->conn = NULL;
}

void upstream_call_drop(struct upstream_call *call)
{
    upstream_record_end(call, true);
    detach(call);
    call->upstream->counts.cancelled++;
    if (call->inside)
        call->upstream = NULL; /* which may be freed before the callback returns */
    else
        call_free(call);
}

void upstream_call_cancel(struct upstream_call *call)
{
    struct upstream *upstream = call->upstream;

    if (call->over)
        return;
    upstream_call_drop(call);
    upstream_run_waiting(upstream);
}

void upstream_call_conclude(struct upstream_call *call)
{
    struct upstream *upstream = call->upstream;
    const struct upstream_outcome *outcome = &call->outcome;

    upstream_call_trace(call); /* before the connection goes */
    upstream_record_end(call, false);
    /* A finished response on a quiet connection: the next call may use it. */
    if (call->conn && call->reusable && !upstream->retired && http_response_is_over(&call->response) && upstream_conn_is_quiet(call->conn)) {
        upstream_conn_pause(call->conn, false);
        upstream_pool_put(&upstream->pool, call->conn);
        call->conn = NULL;
    }
    detach(call);
    if (outcome->verdict == UMBEL_VERDICT_COMPLETE)
        upstream->counts.completed++;
    else if (outcome->verdict == UMBEL_VERDICT_TRUNCATED)
        upstream->counts.truncated++;
    else
        upstream->counts.failed++;
    upstream_answer_free(call);
    call->upstream = NULL; /* the owner may free it in its callback */
    upstream_run_waiting(upstream);
    bool all = call->trace && *outcome->words; /* who traces is an operator */
    call->ops->ended(call->owner, outcome->verdict, outcome->error, all ? outcome->words : outcome->text);
    call_free(call);
}

bool upstream_call_may_retry(const struct upstream_call *call, int64_t *ret_after_s)
{
    *ret_after_s = call->outcome.retry_after_s;
    return call->outcome.retryable;
}

bool upstream_call_ran_out(const struct upstream_call *call)
{
    return call->outcome.ran_out;
}

/* What is known of the connection; trouble "": nothing new. */
static void trace_connection(struct upstream_call *call, const char *trouble)
{
    struct upstream_trace *trace = call->trace;

    if (!trace)
        return;
    trace->ended_ns = clock_now_ns();
    if (call->conn) {
        trace->times = call->conn->times;
        tls_session_facts(call->conn->tls, &trace->tls);
    }
    if (*trouble)
        snprintf(trace->trouble, sizeof trace->trouble, "%s", trouble);
}

void upstream_call_trace(struct upstream_call *call)
{
    trace_connection(call, "");
}

/* ---- time ---- */

/* The limit that holds in this phase. */
static void set_timer(struct upstream_call *call)
{
    uint64_t limit_ns = call->phase == CALL_ASKED       ? call->upstream->first_token_ns
                        : call->phase == CALL_ANSWERING ? call->upstream->idle_ns
                                                        : 0;

    if (call->ending)
        return;
    if (call->paused || limit_ns == 0)
        uring_timer_clear(call->upstream->loop, &call->timer);
    else
        uring_timer_set(call->upstream->loop, &call->timer, limit_ns);
}

static void give_up(struct upstream_call *call, const char *text)
{
    if (call->phase >= CALL_ASKED)
        call->record.how = RECORD_TIME;
    call->inside = true;
    upstream_answer_give_up(call, text);
    call->inside = false;
    if (call->over)
        call_free(call);
    else
        upstream_call_conclude(call);
}

static void timer_fired(struct uring_timer *timer)
{
    struct upstream_call *call = list_entry(timer, struct upstream_call, timer);

    if (call->outcome.verdict != 0) /* it could not even begin: see begin_failed */
        upstream_call_conclude(call);
    else if (call->phase == CALL_ANSWERING)
        give_up(call, "the model service fell silent in the middle of the answer");
    else
        give_up(call, "the model service did not begin to answer in time");
}

static void total_fired(struct uring_timer *timer)
{
    struct upstream_call *call = list_entry(timer, struct upstream_call, total);

    call->outcome.ran_out = true;
    give_up(call, call->phase == CALL_WAITING ? "no room at the model service in time" : "the answer took longer than it may");
}

/* ---- the connection ---- */

static void begin_failed(struct upstream_call *call)
{
    upstream_fail(call, UMBEL_ERROR_INTERNAL, true, "no memory for a connection to the model service");
    uring_timer_set(call->upstream->loop, &call->timer, 0);
}

static void open_fresh(struct upstream_call *call)
{
    struct upstream *upstream = call->upstream;

    call->phase = CALL_CONNECTING;
    call->record.how = RECORD_UNREACHED;
    call->reused = false;
    if (upstream_conn_open(upstream->loop, upstream->resolver, &upstream->route, upstream->connect_ns, &conn_ops, call, &call->conn) < 0)
        begin_failed(call);
}

static void tell(struct upstream_call *call, enum upstream_note note, uint64_t number)
{
    if (call->ops->note && !call->over && call->upstream)
        call->ops->note(call->owner, note, upstream_name(call->upstream), number);
}

/* Sends the request on a ready connection.  0 or -errno. */
static int ask(struct upstream_call *call)
{
    int r = upstream_answer_begin(call);

    if (r == 0)
        r = upstream_conn_send(call->conn, call->request.data, call->request.size);
    if (r < 0)
        return r;
    call->upstream->counts.bytes_out += call->request.size;
    call->phase = CALL_ASKED;
    call->record.how = RECORD_DECIDED;
    if (call->trace)
        call->trace->asked_ns = clock_now_ns();
    tell(call, UPSTREAM_ASKED, call->reused);
    if (call->paused)
        upstream_conn_pause(call->conn, true);
    set_timer(call);
    return 0;
}

void upstream_call_begin(struct upstream_call *call)
{
    call->begun_ns = uring_loop_now_ns(call->upstream->loop);
    call->phase = CALL_CONNECTING;
    if (call->trace)
        call->trace->begun_ns = clock_now_ns();
    call->conn = call->trace ? NULL : upstream_pool_take(&call->upstream->pool);
    if (call->conn) {
        upstream_conn_set_owner(call->conn, &conn_ops, call);
        call->reused = true;
        call->upstream->counts.reused++;
        if (ask(call) == 0)
            return;
        call->upstream->counts.resent++;
        upstream_conn_close(call->conn);
        call->conn = NULL;
    }
    open_fresh(call);
}

static void conn_ready(void *owner)
{
    struct upstream_call *call = owner;

    call->upstream->counts.connects++;
    if (ask(call) < 0) {
        upstream_fail(call, UMBEL_ERROR_INTERNAL, true, "the question cannot be sent to the model service");
        upstream_call_conclude(call);
    }
}

/* Bytes came, and more are to come. */
static void note_progress(struct upstream_call *call)
{
    if (call->ending)
        return;
    if (upstream_answer_saw_done(call)) {
        call->ending = true;
        uring_timer_set(call->upstream->loop, &call->timer, DONE_GRACE_NS);
    } else if (call->phase == CALL_ANSWERING) {
        upstream_request_wipe(&call->request); /* nobody sends it again */
        set_timer(call);
    }
}

static void conn_received(void *owner, const char *bytes, size_t size)
{
    struct upstream_call *call = owner;
    bool ended;

    call->upstream->counts.bytes_in += size;
    if (call->arrival_ns == 0)
        tell(call, UPSTREAM_REPLIES, 0);
    call->arrival_ns = uring_loop_now_ns(call->upstream->loop);
    if (call->trace && call->trace->first_byte_ns == 0)
        call->trace->first_byte_ns = clock_now_ns();
    call->reused = false;
    upstream_record_bytes(call, bytes, size);
    call->inside = true;
    ended = upstream_answer_feed(call, bytes, size);
    call->inside = false;
    if (call->over)
        call_free(call);
    else if (ended)
        upstream_call_conclude(call);
    else
        note_progress(call);
}

static void connect_failed(struct upstream_call *call, const struct upstream_end *end)
{
    bool late = end->error == -ETIMEDOUT;

    call->upstream->counts.connect_errors++;
    call->upstream->counts.timeouts += late;
    trace_connection(call, end->text);
    upstream_complain(call->upstream, COMPLAINT_CONNECT, "%s", end->text);
    if (end->refused)
        upstream_fail(call, UMBEL_ERROR_UPSTREAM, true, "the proxy refused a connection to the model service (HTTP %u)", end->refused);
    else
        upstream_fail(call, late ? UMBEL_ERROR_TIMEOUT : UMBEL_ERROR_UPSTREAM, true, "the model service cannot be reached");
    upstream_call_conclude(call);
}

static void conn_closed(void *owner, const struct upstream_end *end)
{
    struct upstream_call *call = owner;

    if (!end->was_ready) {
        connect_failed(call, end);
        return;
    }
    if (call->reused) {
        /* It had died while it was idle, and the service has not seen the question: nobody needs to know. */
        upstream_conn_close(call->conn);
        call->conn = NULL;
        uring_timer_clear(call->upstream->loop, &call->timer);
        call->upstream->counts.resent++;
        open_fresh(call);
        return;
    }
    trace_connection(call, end->error < 0 || !call->has_head ? end->text : "");
    call->arrival_ns = uring_loop_now_ns(call->upstream->loop);
    call->record.how = RECORD_CLOSED;
    call->record.clean = end->clean;
    call->inside = true;
    upstream_answer_end(call, end->clean, end->text);
    call->inside = false;
    if (call->over)
        call_free(call);
    else
        upstream_call_conclude(call);
}

static const struct upstream_conn_ops conn_ops = {conn_ready, conn_received, conn_closed};

/* ---- life ---- */

int upstream_call_start(struct upstream *upstream, const struct upstream_question *question, const struct upstream_call_ops *ops,
                        void *owner, struct upstream_call **ret_call, struct why *why)
{
    return upstream_call_start_traced(upstream, question, ops, owner, NULL, ret_call, why);
}

int upstream_call_start_traced(struct upstream *upstream, const struct upstream_question *question, const struct upstream_call_ops *ops,
                               void *owner, struct upstream_trace *trace, struct upstream_call **ret_call, struct why *why)
{
    struct upstream_call *call;
    bool room = upstream->counts.active < upstream->max_concurrent;
    int r;

    if (!room && upstream->counts.waiting >= upstream->queue) {
        upstream->counts.refused_busy++;
        return why_set(why, -EBUSY, "the model service is busy: %u answers at once, %u waiting", upstream->max_concurrent,
                       upstream->queue);
    }
    call = calloc(1, sizeof *call);
    if (!call)
        return why_set(why, -ENOMEM, "no memory for a call");
    r = upstream_request_build(&call->request, &upstream->service, &upstream->url, upstream->api_key, question, why);
    if (r < 0) {
        free(call);
        return r;
    }
    call->upstream = upstream;
    call->ops = ops;
    call->owner = owner;
    call->trace = trace;
    if (trace)
        *trace = (struct upstream_trace){.started_ns = clock_now_ns()};
    call->timer.fired = timer_fired;
    call->total.fired = total_fired;
    call->outcome.retry_after_s = -1;
    upstream_record_call(call, question);
    upstream->counts.started++;
    upstream->counts.waiting++;
    list_append(&upstream->waiting, &call->link);
    if (upstream->total_ns > 0)
        uring_timer_set(upstream->loop, &call->total, upstream->total_ns);
    upstream_run_waiting(upstream);
    *ret_call = call;
    return 0;
}

void upstream_call_pause(struct upstream_call *call, bool paused)
{
    if (call->over || call->paused == paused)
        return;
    call->paused = paused;
    if (call->phase == CALL_ASKED || call->phase == CALL_ANSWERING) {
        upstream_conn_pause(call->conn, paused);
        set_timer(call); /* silence that we ask for is nobody's fault */
    }
}
