/* authorize/authorize_call.c - one question to a service: made, sent when there is a place, answered or too late. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/authorize/authorize_state.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#define COMPLAIN_S 60u /* a service that fails is named in the log at most so often */

const struct authorize_verdict authorize_failed = {.result = AUTHORIZE_FAILED, .message = "", .user = ""};
const struct authorize_verdict authorize_overload = {.result = AUTHORIZE_FAILED, .message = "", .user = "", .overload = true};

struct authorize_place *authorize_place_make(const struct authorize_options *options)
{
    struct authorize_place *place = calloc(1, sizeof *place);

    if (!place)
        return NULL;
    place->users = 1;
    place->at.url = strdup(options->url);
    place->at.ca_file = strdup(options->ca_file);
    if (asprintf(&place->at.bearer, "%s%s", *options->secret ? "Authorization: Bearer " : "", options->secret) == -1)
        place->at.bearer = NULL;
    if (place->at.url && place->at.ca_file && place->at.bearer)
        return place;
    authorize_place_leave(place);
    return NULL;
}

void authorize_place_leave(struct authorize_place *place)
{
    if (!place || --place->users)
        return;
    free(place->at.url);
    if (place->at.bearer)
        explicit_bzero(place->at.bearer, strlen(place->at.bearer));
    free(place->at.bearer);
    free(place->at.ca_file);
    free(place);
}

void authorize_call_free(struct authorize_exchange *exchange)
{
    struct authorize_call *call = (struct authorize_call *)(void *)exchange;

    if (exchange->body)
        explicit_bzero(exchange->body, exchange->body_room);
    free(exchange->body);
    if (exchange->reply)
        explicit_bzero(exchange->reply, exchange->reply_size);
    free(exchange->reply);
    authorize_place_leave(call->place);
    free(call);
}

void authorize_complain(struct authorize_service *service, const char *why)
{
    uint64_t now_ns = clock_now_ns();

    service->complaints++;
    if (service->complained_ns && now_ns - service->complained_ns < COMPLAIN_S * CLOCK_S)
        return;
    log_warn("app %s: its authorize service gave no good answer: %s (%llu since the last such line)", service->app, why,
             (unsigned long long)service->complaints);
    service->complained_ns = now_ns;
    service->complaints = 0;
}

struct authorize_call **authorize_call_find(struct authorize_service *service, const uint8_t digest[AUTHORIZE_DIGEST])
{
    struct authorize_call **link = &service->calls[digest[0] % AUTHORIZE_BUCKETS];

    while (*link && memcmp((*link)->digest, digest, AUTHORIZE_DIGEST) != 0)
        link = &(*link)->next;
    return link;
}

/* What is told when its time is over.  Of a call that had to wait nobody knows whether the service would have answered in time. */
static const struct authorize_verdict *too_late(const struct authorize_call *call)
{
    return call->waited ? &authorize_overload : &authorize_failed;
}

/* Takes the call out of the service's sight and tells all who ask. */
static void tell(struct authorize_call *call, const struct authorize_verdict *verdict)
{
    struct authorize_service *service = call->service;

    *authorize_call_find(service, call->digest) = call->next;
    uring_timer_clear(service->authorize->loop, &call->late);
    call->service = NULL;
    while (!list_is_empty(&call->asks)) {
        struct authorize_ask *ask = list_entry(call->asks.next, struct authorize_ask, link);
        list_remove(&ask->link);
        service->counts.failures += verdict->result == AUTHORIZE_FAILED;
        ask->done(ask, verdict);
    }
}

void authorize_call_drop(struct authorize_call *call)
{
    struct authorize_service *service = call->service;
    bool waiting = list_is_linked(&call->in_waiting);

    list_remove(&call->in_waiting);
    service->waiting_count -= waiting;
    tell(call, too_late(call));
    if (waiting)
        authorize_call_free(&call->exchange);
}

/* timeout_ms is over. */
static void late(struct uring_timer *timer)
{
    struct authorize_call *call = list_entry(timer, struct authorize_call, late);

    authorize_complain(call->service, "its time was over");
    authorize_call_drop(call);
}

static void give(struct authorize_call *call)
{
    struct authorize_service *service = call->service;
    uint64_t now_ns = clock_now_ns();

    call->exchange.timeout_ms = (uint32_t)(call->deadline_ns > now_ns ? (call->deadline_ns - now_ns) / CLOCK_MS : 0) + 1;
    call->place->running++;
    service->counts.calls++;
    authorize_thread_give(service->authorize->thread, &call->exchange);
}

static void give_next(struct authorize_service *service)
{
    while (service->place->running < AUTHORIZE_CALLS_MAX && !list_is_empty(&service->waiting)) {
        struct authorize_call *call = list_entry(service->waiting.next, struct authorize_call, in_waiting);
        list_remove(&call->in_waiting);
        service->waiting_count--;
        give(call);
    }
}

static struct authorize_call *make(struct authorize_service *service, const struct authorize_question *question,
                                   const uint8_t digest[AUTHORIZE_DIGEST])
{
    struct umbel_out body = {0};
    struct authorize_call *call = calloc(1, sizeof *call);

    if (!call)
        return NULL;
    call->place = service->place;
    call->place->users++;
    authorize_request_write(question, &body);
    call->exchange.body = body.data;
    call->exchange.body_size = body.size;
    call->exchange.body_room = body.capacity;
    call->exchange.target = &call->place->at;
    if (body.failed) {
        authorize_call_free(&call->exchange);
        return NULL;
    }
    call->service = service;
    list_init(&call->exchange.link);
    list_init(&call->in_waiting);
    list_init(&call->asks);
    memcpy(call->digest, digest, AUTHORIZE_DIGEST);
    return call;
}

struct authorize_call *authorize_call_start(struct authorize_service *service, const struct authorize_question *question,
                                            const uint8_t digest[AUTHORIZE_DIGEST])
{
    struct authorize_call *call = make(service, question, digest);

    if (!call)
        return NULL;
    *authorize_call_find(service, digest) = call;
    call->late.fired = late;
    call->deadline_ns = clock_now_ns() + service->timeout_ms * CLOCK_MS;
    uring_timer_set(service->authorize->loop, &call->late, service->timeout_ms * CLOCK_MS);
    if (service->place->running < AUTHORIZE_CALLS_MAX) {
        give(call);
    } else {
        call->waited = true;
        list_append(&service->waiting, &call->in_waiting);
        service->waiting_count++;
    }
    return call;
}

/* What the service has said, in reply's texts; or that it has said nothing good, with the reason in why. */
static struct authorize_verdict read_verdict(const struct authorize_call *call, struct authorize_reply *reply, struct why *why)
{
    const struct authorize_service *service = call->service;
    const struct authorize_exchange *exchange = &call->exchange;

    if (!exchange->whole) {
        why_set(why, 0, "%s", exchange->error);
        return exchange->late ? *too_late(call) : authorize_failed;
    }
    if (exchange->status != 200) {
        why_set(why, 0, "HTTP status %ld", exchange->status);
        return authorize_failed;
    }
    if (authorize_reply_read(exchange->reply ? exchange->reply : "", exchange->reply_size, reply, why) < 0)
        return authorize_failed;
    return (struct authorize_verdict){.result = reply->allow ? AUTHORIZE_ALLOW : AUTHORIZE_DENY,
                                      .code = reply->code,
                                      .message = reply->message,
                                      .user = reply->user,
                                      .limits = reply->limits,
                                      .until_ns = clock_now_ns() + (reply->has_cache_s ? reply->cache_s : service->cache_s) * CLOCK_S};
}

void authorize_call_back(struct authorize_exchange *exchange)
{
    struct authorize_call *call = (struct authorize_call *)(void *)exchange;
    struct authorize_service *service = call->place->service;
    struct authorize_reply reply;
    struct why why = {""};

    call->place->running--;
    if (service && service->took)
        service->took(service->owner, exchange->took_ns);
    if (call->service) {
        struct authorize_verdict verdict = read_verdict(call, &reply, &why);
        if (verdict.result == AUTHORIZE_FAILED)
            authorize_complain(service, why.text);
        else if (verdict.until_ns > clock_now_ns())
            authorize_cache_put(service->cache, call->digest, &verdict);
        tell(call, &verdict);
    }
    if (service)
        give_next(service);
    authorize_call_free(exchange);
}
