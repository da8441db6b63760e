#include "core/daemon/daemon_converge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/config/config_diff.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_handover.h"

enum step_state { STEP_WAITING, STEP_UNDER_WAY, STEP_DONE, STEP_FAILED };

struct step {
    const struct config_transport *wanted;
    enum step_state state;
    char words[WHY_MAX + 96]; /* FAILED: what the operator is told */
};

struct converge {
    struct daemon *daemon;
    uint64_t until_ns; /* so long it is tried again */
    size_t count;
    struct step steps[];
};

static bool listens(const struct config_transport *transport, const char *address)
{
    for (size_t i = 0; i < transport->listen_count; i++)
        if (strcmp(transport->listen[i].text, address) == 0)
            return true;
    return false;
}

/* Ours already: then it passes from transport to transport, or from process to process. */
static bool is_ours(const struct daemon *daemon, const char *address)
{
    list_for_each(link, spare, &daemon->transports)
        if (listens(list_entry(link, struct daemon_transport, link)->config, address))
            return true;
    return false;
}

int converge_check(struct daemon *daemon, const struct config *wanted, struct why *why)
{
    for (size_t i = 0; i < wanted->transport_count; i++) {
        const struct config_transport *transport = &wanted->transports[i];
        for (size_t k = 0; k < transport->listen_count; k++) {
            const struct config_listen *listen = &transport->listen[k];
            struct why reason = {""};
            int fd = -1, r;

            if (listen->is_unix || transport->builtin || is_ours(daemon, listen->text))
                continue;
            r = daemon_listen_now(listen, transport->workers > 1, &fd, &reason);
            if (r < 0)
                return why_set(why, r, "%s:%u: transport %s: %s", wanted->path, transport->line, transport->name, reason.text);
            fd_close(&fd);
        }
    }
    return 0;
}

static const struct config_transport *find_wanted(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->transport_count; i++)
        if (strcmp(config->transports[i].name, name) == 0)
            return &config->transports[i];
    return NULL;
}

static void fail(struct step *step, const char *words)
{
    step->state = STEP_FAILED;
    snprintf(step->words, sizeof step->words, "transport %.64s: %s", step->wanted->name, words);
    log_error("%s; it stays as it was", step->words);
}

static void handed_over(void *owner, int result, const char *words)
{
    struct step *step = owner;

    if (result < 0)
        fail(step, words);
    else
        step->state = STEP_DONE;
}

static int change(struct converge *converge, struct step *step, struct daemon_transport *transport, struct why *why)
{
    bool changed;
    enum config_effect effect;
    int r = config_diff_one_transport(transport->config, step->wanted, &changed, &effect);

    if (r < 0)
        return why_set(why, r, "no memory");
    if (!changed || effect == CONFIG_EFFECT_LIVE) {
        daemon_transport_rebase(transport, step->wanted);
        step->state = STEP_DONE;
        return 0;
    }
    r = daemon_handover_begin(converge->daemon, transport, step->wanted, handed_over, step, why);
    if (r == 0)
        step->state = STEP_UNDER_WAY;
    return r;
}

static void try_step(struct converge *converge, struct step *step)
{
    struct daemon_transport *transport = daemon_transport_find(converge->daemon, step->wanted->name);
    struct why why = {""};
    int r;

    if (converge->daemon->stopping) {
        r = why_set(&why, -ESHUTDOWN, "the daemon stops");
    } else if (transport) {
        r = change(converge, step, transport, &why);
    } else {
        r = daemon_transport_add(converge->daemon, step->wanted, &why);
        if (r == 0)
            step->state = STEP_DONE;
    }
    if (r == 0)
        return;
    /* what holds it up may be one of our own that is just going */
    if ((r == -EADDRINUSE || r == -EBUSY) && clock_now_ns() < converge->until_ns && !converge->daemon->stopping)
        return;
    fail(step, why.text);
}

bool converge_tick(struct converge *converge)
{
    bool settled = true;

    for (size_t i = 0; i < converge->count; i++) {
        if (converge->steps[i].state == STEP_WAITING)
            try_step(converge, &converge->steps[i]);
        settled = settled && converge->steps[i].state >= STEP_DONE;
    }
    return settled;
}

int converge_begin(struct daemon *daemon, const struct config *before, const struct config *wanted, struct converge **ret_converge)
{
    struct converge *converge = calloc(1, sizeof *converge + wanted->transport_count * sizeof converge->steps[0]);

    if (!converge)
        return -ENOMEM;
    converge->daemon = daemon;
    converge->until_ns = clock_now_ns() + CONVERGE_WAIT_S * CLOCK_S;
    for (size_t i = 0; i < before->transport_count; i++) {
        struct daemon_transport *transport = daemon_transport_find(daemon, before->transports[i].name);
        if (transport && !find_wanted(wanted, before->transports[i].name))
            daemon_transport_remove(daemon, transport);
    }
    for (size_t i = 0; i < wanted->transport_count; i++)
        converge->steps[converge->count++].wanted = &wanted->transports[i];
    *ret_converge = converge;
    return 0;
}

const char *converge_failure(const struct converge *converge, size_t index)
{
    for (size_t i = 0; i < converge->count; i++)
        if (converge->steps[i].state == STEP_FAILED && index-- == 0)
            return converge->steps[i].words;
    return NULL;
}

void converge_free(struct converge *converge)
{
    for (size_t i = 0; converge && i < converge->count; i++)
        if (converge->steps[i].state == STEP_UNDER_WAY)
            daemon_handover_forget(converge->daemon, &converge->steps[i]);
    free(converge);
}

struct config_transport *converge_view(const struct daemon *daemon, size_t *ret_count)
{
    struct config_transport *view;
    size_t count = 0;

    for (size_t i = 0; i < daemon->config->transport_count; i++)
        count += daemon_transport_find(daemon, daemon->config->transports[i].name) != NULL;
    view = calloc(count + 1, sizeof *view);
    *ret_count = 0;
    for (size_t i = 0; view && i < daemon->config->transport_count; i++) {
        const struct daemon_transport *transport = daemon_transport_find(daemon, daemon->config->transports[i].name);
        if (transport)
            view[(*ret_count)++] = *transport->config;
    }
    return view;
}
