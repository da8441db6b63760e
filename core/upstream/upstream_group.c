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

struct upstream_group_call {
    struct uring_loop *loop;
    struct upstream_member *const *members;
    size_t count, at; /* at: the member at hand */
    const struct upstream_call_ops *ops;
    void *owner;
    struct upstream_call *call; /* NULL while it waits */
    struct uring_timer timer;
    uint32_t tries;
    bool begun; /* the answer has begun: nothing is tried again */
    bool inside, over;
    uint32_t error; /* of the last attempt */
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

static void group_free(struct upstream_group_call *call)
{
    uring_timer_clear(call->loop, &call->timer);
    free(call);
}

/* The end for the owner, whatever happened before. */
static void conclude(struct upstream_group_call *call, uint32_t verdict, uint32_t error, const char *text)
{
    call->over = true;
    call->ops->ended(call->owner, verdict, error, text);
    group_free(call);
}

static void on_event(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct upstream_group_call *call = owner;

    call->begun = call->begun || event->kind == PARSE_TEXT || event->kind == PARSE_REASONING || event->kind == PARSE_TOOL;
    call->inside = true;
    call->ops->event(call->owner, event, arrival_ns);
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

static void on_ended(void *owner, uint32_t verdict, uint32_t error, const char *text)
{
    struct upstream_group_call *call = owner;
    struct upstream_member *member = call->members[call->at];
    int64_t retry_after_s = -1;
    bool retryable = upstream_call_may_retry(call->call, &retry_after_s) || error == UMBEL_ERROR_TIMEOUT;

    call->call = NULL;
    if (verdict == UMBEL_VERDICT_COMPLETE || !retryable)
        breaker_good(&member->breaker);
    else if (breaker_bad(&member->breaker, clock_now_ns()))
        log_error("upstream %s failed %u times in a row and is left alone for a while; last: %s", upstream_name(member->upstream),
                  BREAKER_FAILURES, text);
    int64_t wait_ms =
        verdict == UMBEL_VERDICT_COMPLETE ? -1 : next_wait_ms(call, retryable, retry_after_s, error == UMBEL_ERROR_TIMEOUT);
    if (wait_ms < 0) {
        conclude(call, verdict, error, text);
        return;
    }
    call->error = error;
    snprintf(call->text, sizeof call->text, "%s", text);
    log_info("upstream %s failed before the answer began (%s): tries %s in %lld ms", upstream_name(member->upstream), text,
             upstream_name(call->members[call->at]->upstream), (long long)wait_ms);
    uring_timer_set(call->loop, &call->timer, (uint64_t)wait_ms * CLOCK_MS);
}

static const struct upstream_call_ops call_ops = {.event = on_event, .ended = on_ended};

/* Begins an attempt at the first member from `at` on that may be asked now.  -EAGAIN: none may. */
static int begin(struct upstream_group_call *call, struct why *why)
{
    int r = -EAGAIN;

    for (size_t i = 0; i < call->count; i++, call->at = (call->at + 1) % call->count) {
        struct upstream_member *member = call->members[call->at];
        if (call->count > 1 && !breaker_admits(&member->breaker, clock_now_ns()))
            continue;
        call->tries++;
        r = upstream_call_start(member->upstream, &call->question, &call_ops, call, &call->call, why);
        if (r == 0)
            return 0;
        breaker_gone(&member->breaker);
        if (r != -EBUSY)
            return r;
    }
    return r == -EAGAIN ? why_set(why, -EAGAIN, "The model service is not available now, try again later.") : r;
}

static void try_next(struct upstream_group_call *call)
{
    struct why why = {""};
    int r = begin(call, &why);

    if (r == -EAGAIN)
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
    size_t model = strlen(question->model);
    struct upstream_group_call *call = calloc(1, sizeof *call + model + question->messages_size + question->parameters_size + 3);

    if (!call)
        return why_set(why, -ENOMEM, "no memory for the question");
    *call = (struct upstream_group_call){.loop = loop, .members = members, .count = count, .ops = ops, .owner = owner, .question = *question};
    char *at = call->bytes;
    call->question.model = copy(&at, question->model, model);
    call->question.messages = copy(&at, question->messages, question->messages_size);
    call->question.parameters = copy(&at, question->parameters, question->parameters_size);
    call->timer.fired = timer_fired;
    int r = begin(call, why);
    if (r < 0) {
        group_free(call);
        return r == -EAGAIN ? -EBUSY : r;
    }
    *ret_call = call;
    return 0;
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
