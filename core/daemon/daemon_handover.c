#include "core/daemon/daemon_handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <umbel/transport.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon_frames.h"
#include "core/daemon/daemon_hosts.h"
#include "core/daemon/daemon_plugin_file.h"
#include "core/daemon/daemon_sockets.h"

#define TRIAL_END_MS 500u
#define ALONE_LEAVE_MS 8000u /* for the calls under way of a process whose successor waits for its end */

enum handover_step { HANDOVER_STARTING, HANDOVER_WATCHING, HANDOVER_FAILED };

struct daemon_handover {
    struct daemon_transport *transport;
    const struct config_transport *next; /* of those that come */
    handover_done *done;
    void *owner;
    struct uring_timer timer; /* the watch is over; or: it has failed, told from the loop */
    enum handover_step step;
    bool alone;  /* two processes must not run at a time */
    bool leaving; /* alone: those that served have been asked to end */
    bool swapped; /* the newcomers have the plain names */
    char words[WHY_MAX];
};

#define for_each_of(transport, h)                                                                                                   \
    list_for_each(at_, next_at_, &(transport)->workers)                                                                              \
        for (struct daemon_host *h = list_entry(at_, struct daemon_host, link); h; h = NULL)

/* ---- small questions ---- */

static size_t count_role(const struct daemon_transport *transport, enum daemon_role role, enum host_state state, bool any_state)
{
    size_t count = 0;

    for_each_of(transport, h)
        count += h->role == role && (any_state || h->host.state == state);
    return count;
}

static uint32_t index_of(const struct daemon_host *h)
{
    const char *dot = strrchr(h->host.name, '.');

    return dot ? (uint32_t)strtoul(dot + 1, NULL, 10) : 0;
}

const char *daemon_handover_step(const struct daemon_transport *transport)
{
    if (!transport->handover)
        return "";
    return transport->handover->step == HANDOVER_WATCHING ? "watching" : "starting";
}

/* ---- names: who serves has the plain one ---- */

static void name_leaving(struct daemon_host *h, uint32_t generation)
{
    char plain[DAEMON_NAME_MAX], name[DAEMON_NAME_MAX + 16];

    daemon_worker_name(h->config, index_of(h), plain);
    snprintf(name, sizeof name, "%s~%u", plain, generation);
    name[DAEMON_NAME_MAX - 1] = '\0';
    daemon_worker_rename(h, name);
}

static void name_serving(struct daemon_host *h)
{
    char plain[DAEMON_NAME_MAX];

    daemon_worker_name(h->config, index_of(h), plain);
    daemon_worker_rename(h, plain);
}

/* The newcomers and those that served change names; through a third one, because the stats pages are files. */
static void swap_names(struct daemon_transport *transport, enum daemon_role leaving, enum daemon_role serving)
{
    for_each_of(transport, h)
        if (h->role == serving)
            name_leaving(h, 0);
    for_each_of(transport, h)
        if (h->role == leaving)
            name_leaving(h, transport->generation);
    for_each_of(transport, h)
        if (h->role == serving)
            name_serving(h);
}

/* ---- steps ---- */

static void send_step(struct daemon_host *h, uint64_t step)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_RETIRE, 0);
    control_put(&out, step);
    control_put(&out, 0);
    if (control_end(&out))
        host_send(&h->host, &out);
    control_out_free(&out);
}

static void leave(struct daemon_host *h, uint32_t drain_ms, bool successor)
{
    h->role = DAEMON_LEAVES;
    h->host.again = false;
    if (successor)
        host_retire(&h->host, drain_ms);
    else
        host_stop(&h->host, drain_ms);
    daemon_worker_show(h);
}

/* Answers that a process left without readers for its successor: it has had its time to come back to them. */
static void forget_readers(struct daemon_handover *handover)
{
    struct daemon *daemon = handover->transport->daemon;

    for_each_of(handover->transport, h)
        if (handover->alone && h->role != DAEMON_COMES && h->host.state == HOST_DOWN && daemon->answers)
            answer_host_gone(daemon->answers, h->number);
}

static void finish(struct daemon_handover *handover, int result)
{
    handover_done *done = handover->done;
    void *owner = handover->owner;
    char words[WHY_MAX];

    snprintf(words, sizeof words, "%s", handover->words);
    daemon_handover_end(handover->transport);
    if (done)
        done(owner, result, words);
}

static void commit(struct daemon_handover *handover)
{
    struct daemon_transport *transport = handover->transport;

    if (transport->out) { /* they were not started */
        transport->generation++;
        swap_names(transport, DAEMON_SERVES, DAEMON_COMES);
    } else {
        log_info("transport %s: the new processes serve, the old ones drain", transport->config->name);
    }
    forget_readers(handover);
    for_each_of(transport, h)
        if (h->role == DAEMON_WAITS || h->role == DAEMON_SERVES)
            leave(h, h->config->drain_ms, true);
    for_each_of(transport, h)
        if (h->role == DAEMON_COMES)
            h->role = DAEMON_SERVES;
    for_each_of(transport, h)
    {
        if (h->role == DAEMON_LEAVES)
            daemon_sockets_drop(h); /* what is left with it alone: addresses that are not in the new configuration */
        else if (transport->out)
            daemon_sockets_refuse(h);
        daemon_worker_show(h);
    }
    transport->config = handover->next;
    finish(handover, 0);
}

static void roll_back(struct daemon_handover *handover)
{
    struct daemon_transport *transport = handover->transport;

    log_error("transport %s: the new processes are not taken: %s; the old ones serve on", transport->config->name, handover->words);
    forget_readers(handover);
    if (handover->swapped)
        swap_names(transport, DAEMON_COMES, DAEMON_WAITS);
    for_each_of(transport, h)
        if (h->role == DAEMON_COMES)
            leave(h, h->config->drain_ms, false);
    for_each_of(transport, h)
    {
        if (h->role != DAEMON_WAITS)
            continue;
        h->role = DAEMON_SERVES;
        daemon_plugin_file_keep(h);
        if (h->host.state == HOST_RUNNING)
            send_step(h, UMBEL_RETIRE_RESUME);
        else if (h->host.state == HOST_DOWN)
            host_start(&h->host);
        else if (h->host.state == HOST_STOPPING)
            h->host.again = true;
        daemon_worker_show(h);
    }
    finish(handover, -ECANCELED);
}

static void fired(struct uring_timer *timer)
{
    struct daemon_handover *handover = list_entry(timer, struct daemon_handover, timer);

    if (handover->transport->daemon->stopping || handover->transport->removed) {
        if (!*handover->words)
            snprintf(handover->words, sizeof handover->words, "the transport is being stopped");
        finish(handover, -ECANCELED);
    } else if (handover->step == HANDOVER_WATCHING) {
        commit(handover);
    } else {
        roll_back(handover);
    }
}

static void fail(struct daemon_handover *handover, const char *name, const char *what)
{
    if (handover->step == HANDOVER_FAILED)
        return;
    snprintf(handover->words, sizeof handover->words, "%.80s: %.300s", name, what);
    handover->step = HANDOVER_FAILED;
    uring_timer_set(handover->transport->daemon->loop, &handover->timer, 0); /* from the loop: who told us stands on a worker */
}

/* Everybody new is ready: from here on they accept.  The others only serve, until it is clear that the new ones stay. */
static void watch(struct daemon_handover *handover)
{
    struct daemon_transport *transport = handover->transport;

    transport->generation++;
    for_each_of(transport, h)
    {
        if (h->role != DAEMON_SERVES)
            continue;
        h->role = DAEMON_WAITS;
        if (h->host.state == HOST_RUNNING)
            send_step(h, UMBEL_RETIRE_PAUSE);
    }
    swap_names(transport, DAEMON_WAITS, DAEMON_COMES);
    handover->swapped = true;
    handover->step = HANDOVER_WATCHING;
    uring_timer_set(transport->daemon->loop, &handover->timer, HANDOVER_WATCH_MS * CLOCK_MS);
}

/* ---- one at a time ---- */

static bool all_greeted(const struct daemon_transport *transport)
{
    for_each_of(transport, h)
        if (h->role == DAEMON_COMES && (!h->helloed || h->host.state != HOST_STARTING))
            return false;
    return true;
}

/* The newcomers have loaded their plugin: those that served hand over their work and end. */
static void ask_to_leave(struct daemon_handover *handover)
{
    handover->leaving = true;
    for_each_of(handover->transport, h)
    {
        if (h->role != DAEMON_SERVES)
            continue;
        h->role = DAEMON_WAITS;
        h->host.again = false;
        host_retire(&h->host, ALONE_LEAVE_MS);
    }
}

static void welcome_if_free(struct daemon_handover *handover)
{
    for_each_of(handover->transport, h)
        if (h->role == DAEMON_SERVES || (h->role == DAEMON_WAITS && h->host.state != HOST_DOWN))
            return;
    for_each_of(handover->transport, h)
        if (h->role == DAEMON_COMES && h->helloed && !h->welcomed)
            daemon_frames_welcome(h);
}

bool daemon_handover_hello(struct daemon_host *h)
{
    struct daemon_handover *handover = h->transport->handover;

    if (!handover || !handover->alone || h->trial || h->role != DAEMON_COMES || handover->step != HANDOVER_STARTING)
        return false;
    if (all_greeted(h->transport)) {
        ask_to_leave(handover);
        welcome_if_free(handover);
    }
    return true;
}

bool daemon_handover_tried(struct daemon_host *h)
{
    if (!h->trial)
        return false;
    h->tried = true; /* with its next start the trial is over */
    h->host.again = true;
    host_stop(&h->host, TRIAL_END_MS);
    return true;
}

bool daemon_handover_keeps_readers(struct daemon_host *h)
{
    struct daemon_handover *handover = h->transport->handover;

    return handover && handover->alone && handover->leaving && h->role == DAEMON_WAITS && !h->daemon->stopping;
}

/* ---- what happens to processes ---- */

static void newcomer_changed(struct daemon_handover *handover, struct daemon_host *h)
{
    struct daemon_transport *transport = handover->transport;

    if (h->host.state == HOST_BACKOFF || h->host.state == HOST_HELD || h->host.state == HOST_DOWN) {
        fail(handover, h->host.name, h->host.last_error);
    } else if (handover->step == HANDOVER_STARTING &&
               count_role(transport, DAEMON_COMES, HOST_RUNNING, false) == count_role(transport, DAEMON_COMES, HOST_RUNNING, true)) {
        watch(handover);
    }
}

void daemon_handover_changed(struct daemon_host *h)
{
    struct daemon_handover *handover = h->transport->handover;

    if (!handover || handover->step == HANDOVER_FAILED || h->daemon->stopping)
        return;
    if (h->role == DAEMON_COMES)
        newcomer_changed(handover, h);
    else if (h->role == DAEMON_WAITS && handover->alone && handover->step == HANDOVER_STARTING && h->host.state == HOST_DOWN)
        welcome_if_free(handover);
}

/* ---- begin and end ---- */

static int create_newcomers(struct daemon_transport *transport, const struct config_transport *config, bool trial, struct why *why)
{
    char plain[DAEMON_NAME_MAX], name[DAEMON_NAME_MAX + 16];
    struct daemon_host *h;
    int r = 0;

    for (uint32_t i = 0; i < config->workers && r == 0; i++) {
        daemon_worker_name(config, i, plain);
        snprintf(name, sizeof name, "%s~%u", plain, transport->generation + 1);
        name[DAEMON_NAME_MAX - 1] = '\0';
        r = daemon_worker_create(transport, config, name, DAEMON_COMES, &h, why);
        if (r == -ENOSPC)
            r = why_set(why, -ENOSPC,
                        "no room for %u processes of %s beside the old ones: more than %u in all; drain it, then start it, without a hand-over",
                        config->workers, config->name, DAEMON_WORKERS_MAX);
        if (r == 0)
            h->trial = trial;
        if (r == 0)
            r = daemon_sockets_share(h, i, config->workers, why);
    }
    for_each_of(transport, newcomer)
        if (r < 0 && newcomer->role == DAEMON_COMES)
            daemon_worker_free(newcomer);
    return r;
}

int daemon_handover_begin(struct daemon *daemon, struct daemon_transport *transport, const struct config_transport *next_config,
                          handover_done *done, void *owner, struct why *why)
{
    const struct config_transport *next = next_config ? next_config : transport->config;

    if (daemon->stopping || transport->removed)
        return why_set(why, -EBUSY, "the daemon is being stopped");
    if (transport->out && count_role(transport, DAEMON_SERVES, HOST_DOWN, false) != count_role(transport, DAEMON_SERVES, HOST_DOWN, true))
        return why_set(why, -EBUSY, "transport %s is being drained", transport->config->name);
    if (transport->handover)
        return why_set(why, -EBUSY, "new processes for transport %s are being started already", transport->config->name);
    struct daemon_handover *handover = calloc(1, sizeof *handover);
    if (!handover)
        return why_set(why, -ENOMEM, "no memory for a hand-over");
    *handover = (struct daemon_handover){.transport = transport,
                                         .next = next,
                                         .done = done,
                                         .owner = owner,
                                         .timer = {.fired = fired},
                                         .alone = (transport->config->needs & UMBEL_NEEDS_ALONE) || (next->needs & UMBEL_NEEDS_ALONE)};
    int r = create_newcomers(transport, next, handover->alone && !transport->out, why);
    if (r < 0) {
        free(handover);
        return r;
    }
    transport->handover = handover;
    if (transport->out) { /* it stays out: only who would be started is another */
        handover->step = HANDOVER_WATCHING;
        uring_timer_set(daemon->loop, &handover->timer, 0);
        return 0;
    }
    log_info("transport %s: new processes are started beside the old ones", next->name);
    for_each_of(transport, h)
        if (h->role == DAEMON_COMES)
            host_start(&h->host);
    return 0;
}

void daemon_handover_end(struct daemon_transport *transport)
{
    if (!transport->handover)
        return;
    uring_timer_clear(transport->daemon->loop, &transport->handover->timer);
    free(transport->handover);
    transport->handover = NULL;
}

void daemon_handover_forget(struct daemon *daemon, const void *owner)
{
    list_for_each(link, spare, &daemon->transports)
    {
        struct daemon_handover *handover = list_entry(link, struct daemon_transport, link)->handover;
        if (handover && handover->owner == owner)
            handover->done = NULL;
    }
}

void daemon_handover_tick(struct daemon *daemon)
{
    list_for_each(link, spare, &daemon->transports)
    {
        struct daemon_transport *transport = list_entry(link, struct daemon_transport, link);
        for_each_of(transport, h)
            if (h->role == DAEMON_LEAVES && h->host.state == HOST_DOWN)
                daemon_worker_free(h);
        if (transport->removed && list_is_empty(&transport->workers) && !transport->handover)
            daemon_transport_free(transport);
    }
}

/* ---- transports that come and go ---- */

struct daemon_transport *daemon_transport_find(const struct daemon *daemon, const char *name)
{
    list_for_each(link, spare, &daemon->transports)
    {
        struct daemon_transport *transport = list_entry(link, struct daemon_transport, link);
        if (!transport->removed && strcmp(transport->config->name, name) == 0)
            return transport;
    }
    return NULL;
}

int daemon_transport_add(struct daemon *daemon, const struct config_transport *config, struct why *why)
{
    struct daemon_transport *transport;
    int r = daemon_transport_create(daemon, config, daemon_listen_now, &transport, why);

    if (r < 0)
        return r;
    for_each_of(transport, h)
        host_start(&h->host);
    return 0;
}

void daemon_transport_remove(struct daemon *daemon, struct daemon_transport *transport)
{
    transport->removed = true;
    if (transport->handover) {
        transport->handover->step = HANDOVER_FAILED;
        uring_timer_set(daemon->loop, &transport->handover->timer, 0);
    }
    for_each_of(transport, h)
        if (h->role != DAEMON_LEAVES)
            leave(h, h->config->drain_ms, false);
    for_each_of(transport, h)
        daemon_sockets_drop(h);
}

void daemon_transport_rebase(struct daemon_transport *transport, const struct config_transport *config)
{
    const struct config_transport *old = transport->config;

    for_each_of(transport, h)
        if (h->config == old)
            h->config = config;
    if (transport->handover && transport->handover->next == old)
        transport->handover->next = config;
    transport->config = config;
}

static bool is_part(const struct config *config, const struct config_transport *transport)
{
    return (uintptr_t)transport >= (uintptr_t)config->transports &&
           (uintptr_t)transport < (uintptr_t)(config->transports + config->transport_count);
}

bool daemon_transports_use(const struct daemon *daemon, const struct config *config)
{
    list_for_each(link, spare, &daemon->transports)
    {
        const struct daemon_transport *transport = list_entry(link, struct daemon_transport, link);
        if (is_part(config, transport->config) || (transport->handover && is_part(config, transport->handover->next)))
            return true;
        for_each_of(transport, h)
            if (is_part(config, h->config))
                return true;
    }
    return false;
}
