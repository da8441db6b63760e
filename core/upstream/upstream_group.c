#include "core/upstream/upstream_group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "core/upstream/upstream_continue.h"
#include "core/upstream/upstream_prefill.h"
#include "core/upstream/upstream_state.h"

struct upstream_group_call {
    struct uring_loop *loop;
    struct upstream_member *const *members;
    size_t count, at; /* at: the member at hand */
    const struct upstream_call_ops *ops;
    void *owner;
    struct upstream_call *call; /* NULL while it waits */
    struct uring_timer timer;
    uint32_t tries;
    bool begun; /* the answer has begun: nothing is tried again, but it may be continued */
    bool inside, over;
    struct upstream_continue *further; /* NULL: it may not be continued */
    const char *stream;
    uint32_t round;        /* attempts since it broke off, that one among them; 0: it did not */
    bool going_on;         /* the service at hand has said something since */
    uint32_t continued;    /* services that went on with it */
    uint32_t verdict, error; /* of the last attempt; once it has begun, of the one that broke off */
    char text[512];
    struct upstream_question question; /* texts behind this struct */
    char bytes[];
};

static void try_next(struct upstream_group_call *call);

const struct upstream_member *group_call_member(const struct upstream_group_call *call)
{
    return call->members[call->at];
}

uint32_t group_call_tries(const struct upstream_group_call *call)
{
    return call->tries;
}

uint32_t group_call_continued(const struct upstream_group_call *call)
{
    return call->continued;
}

static void group_free(struct upstream_group_call *call)
{
    uring_timer_clear(call->loop, &call->timer);
    continue_free(call->further);
    free(call);
}

/* The end for the owner, whatever happened before. */
static void conclude(struct upstream_group_call *call, uint32_t verdict, uint32_t error, const char *text)
{
    call->over = true;
    call->ops->ended(call->owner, verdict, error, text);
    group_free(call);
}

static void pass_on(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct upstream_group_call *call = owner;

    call->ops->event(call->owner, event, arrival_ns);
}

static void tell(struct upstream_group_call *call, enum upstream_note note, const struct upstream_member *member, uint64_t number)
{
    if (call->ops->note)
        call->ops->note(call->owner, note, upstream_name(member->upstream), number);
}

static void on_note(void *owner, enum upstream_note note, const char *upstream, uint64_t number)
{
    struct upstream_group_call *call = owner;

    if (call->ops->note)
        call->ops->note(call->owner, note, upstream, number);
}

/* The service that was asked to go on does. */
static void goes_on(struct upstream_group_call *call)
{
    call->going_on = true;
    call->continued++;
    tell(call, UPSTREAM_CONTINUES, call->members[call->at], call->further->so_far.size);
    log_line(LOG_INFO, call->stream, "upstream %s goes on with it from byte %zu", upstream_name(call->members[call->at]->upstream),
             call->further->so_far.size);
}

static void on_event(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct upstream_group_call *call = owner;
    bool content = event->kind == PARSE_TEXT || event->kind == PARSE_REASONING || event->kind == PARSE_TOOL;

    call->begun = call->begun || content;
    if (call->round > 0 && !call->going_on && (content || event->kind == PARSE_FINISH))
        goes_on(call);
    call->inside = true;
    if (call->further)
        continue_event(call->further, event, arrival_ns, pass_on, call, &call->over);
    else
        pass_on(call, event, arrival_ns);
    call->inside = false;
    if (call->over) /* cancelled by its owner just now */
        group_free(call);
}

static uint64_t by_chance(uint64_t below)
{
    uint64_t number = 0;

    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        return below / 2; /* only the spread suffers */
    return number % below;
}

/* How long to wait before the next attempt; -1: there is none. */
static int64_t next_wait_ms(struct upstream_group_call *call, bool retryable, int64_t retry_after_s, bool timeout)
{
    int64_t pause_ms = (int64_t)(GROUP_WAIT_MS + by_chance(GROUP_WAIT_MS));

    if (!retryable || call->begun || call->tries >= GROUP_TRIES_MAX)
        return -1;
    if (call->count > 1) {
        call->at = (call->at + 1) % call->count;
        return call->at ? 0 : pause_ms; /* all were asked: a pause before the second round */
    }
    if (timeout || call->tries >= 2 || retry_after_s > (int64_t)GROUP_RETRY_AFTER_MAX_S)
        return -1; /* a lone service is asked twice; one that was silent is not waited for again */
    return retry_after_s > 0 ? retry_after_s * 1000 + pause_ms : pause_ms;
}

static void keep_verdict(struct upstream_group_call *call, uint32_t verdict, uint32_t error, const char *text)
{
    call->verdict = verdict;
    call->error = error;
    snprintf(call->text, sizeof call->text, "%s", text);
}

/* How long to wait before the next upstream is asked to go on; -1: none is. */
static int64_t next_continue_ms(struct upstream_group_call *call, bool timeout)
{
    int64_t pause_ms = (int64_t)(GROUP_WAIT_MS + by_chance(GROUP_WAIT_MS));

    if (call->round >= (call->count > 1 ? GROUP_TRIES_MAX : 2) || (call->count == 1 && timeout))
        return -1;
    call->at = (call->at + 1) % call->count;
    return call->round < call->count ? 0 : pause_ms;
}

/* The service at hand has broken off within the answer, or did not take it on.  How long to wait for the next; -1: this was the end, with
 * the verdict that is kept.  against: what stands against going on whatever the answer holds, or NULL. */
static int64_t break_off(struct upstream_group_call *call, uint32_t verdict, uint32_t error, const char *text, const char *against)
{
    const char *name = upstream_name(call->members[call->at]->upstream);
    bool taken_on = call->round == 0 || call->going_on;
    size_t bytes = call->further->so_far.size;

    if (taken_on) {
        keep_verdict(call, verdict, error, text);
        call->round = 1;
    } else {
        call->round++;
    }
    if (against || !continue_may(call->further, &against)) {
        log_line(LOG_INFO, call->stream, "upstream %s broke off (%s), and it is not continued: %s", name, text, against);
        return -1;
    }
    int64_t wait_ms = next_continue_ms(call, error == UMBEL_ERROR_TIMEOUT);
    if (wait_ms < 0)
        return -1;
    if (taken_on) {
        continue_break(call->further);
        call->further->count++;
    }
    call->going_on = false;
    log_line(LOG_WARN, call->stream, "upstream %s %s byte %zu (%s): %s is asked to continue in %lld ms", name,
             taken_on ? "broke off after" : "does not go on from", bytes, text, upstream_name(call->members[call->at]->upstream),
             (long long)wait_ms);
    return wait_ms;
}

/* The end, after what was held. */
static void flush_and_conclude(struct upstream_group_call *call, uint32_t verdict, uint32_t error, const char *text)
{
    if (call->further) {
        call->inside = true;
        continue_flush(call->further, pass_on, call, &call->over);
        call->inside = false;
    }
    if (call->over)
        group_free(call);
    else
        conclude(call, verdict, error, text);
}

/* What its end says about a service. */
static void tell_breaker(struct upstream_group_call *call, struct upstream_member *member, bool good, const char *text)
{
    if (good) {
        if (member->breaker.open_ms > 0)
            tell(call, UPSTREAM_BACK, member, 0);
        breaker_good(&member->breaker);
        return;
    }
    if (!breaker_bad(&member->breaker, clock_now_ns()))
        return;
    tell(call, UPSTREAM_LEFT_ALONE, member, 0);
    log_error("upstream %s failed %u times in a row and is left alone for a while; last: %s", upstream_name(member->upstream),
              BREAKER_FAILURES, text);
}

static void on_ended(void *owner, uint32_t verdict, uint32_t error, const char *text)
{
    struct upstream_group_call *call = owner;
    struct upstream_member *member = call->members[call->at];
    int64_t retry_after_s = -1, wait_ms = -1;
    bool complete = verdict == UMBEL_VERDICT_COMPLETE, ran_out = upstream_call_ran_out(call->call);
    bool retryable = upstream_call_may_retry(call->call, &retry_after_s) || error == UMBEL_ERROR_TIMEOUT;
    bool own_fault = call->round == 0 || call->going_on; /* the service at hand has begun, or gone on, and failed */
    bool breaks = !complete && call->begun && call->further;

    call->call = NULL;
    tell_breaker(call, member, complete || !retryable, text);
    if (breaks)
        wait_ms = break_off(call, verdict, error, text, ran_out ? "its time is over" : own_fault && !retryable ? "it would fail again" : NULL);
    else if (!complete)
        wait_ms = next_wait_ms(call, retryable, retry_after_s, error == UMBEL_ERROR_TIMEOUT);
    if (wait_ms < 0) {
        flush_and_conclude(call, breaks ? call->verdict : verdict, breaks ? call->error : error, breaks ? call->text : text);
        return;
    }
    tell(call, call->members[call->at] == member ? UPSTREAM_TRIED_AGAIN : UPSTREAM_GAVE_WAY, member, 0);
    if (!breaks) {
        keep_verdict(call, verdict, error, text);
        log_info("upstream %s failed before the answer began (%s): tries %s in %lld ms", upstream_name(member->upstream), text,
                 upstream_name(call->members[call->at]->upstream), (long long)wait_ms);
    }
    uring_timer_set(call->loop, &call->timer, (uint64_t)wait_ms * CLOCK_MS);
}

static const struct upstream_call_ops call_ops = {.event = on_event, .ended = on_ended, .note = on_note};

/* The next service is shown what there is. */
static void show_so_far(struct upstream_group_call *call, const struct upstream_dialect *dialect)
{
    const struct umbel_out *so_far = &call->further->so_far;

    call->question.so_far = so_far->size > 0 ? so_far->data : NULL;
    call->question.so_far_size = so_far->size;
    continue_join(call->further, so_far->size > 0 ? so_far->size - upstream_prefill_size(dialect, so_far->data, so_far->size) : 0);
}

/* Begins an attempt at the first member from `at` on that may be asked now.  -EAGAIN: none may. */
static int begin(struct upstream_group_call *call, struct why *why)
{
    int r = -EAGAIN;

    for (size_t i = 0; i < call->count; i++, call->at = (call->at + 1) % call->count) {
        struct upstream_member *member = call->members[call->at];
        if (call->count > 1 && !breaker_admits(&member->breaker, clock_now_ns()))
            continue;
        call->tries++;
        if (call->round > 0)
            show_so_far(call, member->upstream->service.dialect);
        r = upstream_call_start(member->upstream, &call->question, &call_ops, call, &call->call, why);
        if (r == 0)
            return 0;
        breaker_gone(&member->breaker);
        if (r != -EBUSY && call->round == 0)
            return r; /* a question that one refuses may be none elsewhere, too; one that has an answer already is worth asking */
    }
    return r == -EAGAIN ? why_set(why, -EAGAIN, "The model service is not available now, try again later.") : r;
}

static void try_next(struct upstream_group_call *call)
{
    struct why why = {""};
    int r = begin(call, &why);

    if (r < 0 && call->round > 0) {
        log_line(LOG_WARN, call->stream, "nobody can be asked to continue it: %s", why.text);
        conclude(call, call->verdict, call->error, call->text);
    } else if (r == -EAGAIN)
        conclude(call, UMBEL_VERDICT_FAILED, call->error ? call->error : UMBEL_ERROR_BUSY, *call->text ? call->text : why.text);
    else if (r < 0)
        conclude(call, UMBEL_VERDICT_FAILED, r == -EBUSY ? UMBEL_ERROR_BUSY : UMBEL_ERROR_INTERNAL, why.text);
}

static void timer_fired(struct uring_timer *timer)
{
    try_next(list_entry(timer, struct upstream_group_call, timer));
}

static const char *copy(char **at, const char *text, size_t size)
{
    char *here = *at;

    if (!text)
        return NULL;
    memcpy(here, text, size);
    here[size] = '\0';
    *at += size + 1;
    return here;
}

int group_call_start(struct uring_loop *loop, struct upstream_member *const *members, size_t count, const struct upstream_question *question,
                     const struct upstream_call_ops *ops, void *owner, struct upstream_group_call **ret_call, struct why *why)
{
    size_t model = strlen(question->model), app = question->app ? strlen(question->app) : 0,
           stream = question->stream ? strlen(question->stream) : 0;
    struct upstream_group_call *call =
        calloc(1, sizeof *call + model + question->messages_size + question->parameters_size + app + stream + 5);

    if (!call)
        return why_set(why, -ENOMEM, "no memory for the question");
    *call = (struct upstream_group_call){.loop = loop, .members = members, .count = count, .ops = ops, .owner = owner, .question = *question};
    char *at = call->bytes;
    call->question.model = copy(&at, question->model, model);
    call->question.messages = copy(&at, question->messages, question->messages_size);
    call->question.parameters = copy(&at, question->parameters, question->parameters_size);
    call->question.app = copy(&at, question->app, app);
    call->question.stream = copy(&at, question->stream, stream);
    call->timer.fired = timer_fired;
    int r = begin(call, why);
    if (r < 0) {
        group_free(call);
        return r == -EAGAIN ? -EBUSY : r;
    }
    *ret_call = call;
    return 0;
}

int group_call_may_continue(struct upstream_group_call *call, const char *stream)
{
    call->further = continue_create();
    call->stream = stream;
    return call->further ? 0 : -ENOMEM;
}

void group_call_cancel(struct upstream_group_call *call)
{
    if (call->call) {
        breaker_gone(&call->members[call->at]->breaker);
        upstream_call_cancel(call->call);
        call->call = NULL;
    }
    uring_timer_clear(call->loop, &call->timer);
    call->over = true;
    if (!call->inside)
        group_free(call);
}
