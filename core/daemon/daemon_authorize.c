#include "core/daemon/daemon_authorize.h"

#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>

#include "core/base/log.h"

struct daemon_authorize {
    struct authorize *authorize;                         /* NULL until an app has a service */
    struct authorize_service *services[DAEMON_APPS_MAX]; /* by the app's number */
    struct authorize_counts dropped[DAEMON_APPS_MAX];    /* what former services of the app had counted */
    uint64_t told[5];                                    /* on the stats page already */
};

static struct authorize_options options_of(const struct config_authorize *config)
{
    return (struct authorize_options){.url = config->url,
                                      .secret = config->secret,
                                      .ca_file = config->ca_file,
                                      .timeout_ms = config->timeout_ms,
                                      .cache_s = config->cache_s,
                                      .cache_entries = config->cache_entries};
}

static void took(void *owner, uint64_t ns)
{
    struct daemon *daemon = owner;

    stats_observe(daemon->stats, CORE_H_AUTHORIZE, ns);
}

bool daemon_authorize_wanted(const struct daemon *daemon, uint32_t app)
{
    return app < daemon->app_count && !daemon->apps[app].removed && *daemon->apps[app].config->authorize.url;
}

static void add(struct authorize_counts *to, const struct authorize_counts *from)
{
    to->calls += from->calls;
    to->cached += from->cached;
    to->joined += from->joined;
    to->failures += from->failures;
    to->full += from->full;
}

static void drop(struct daemon_authorize *mine, uint32_t app)
{
    struct authorize_service *service = mine->services[app];
    struct authorize_counts counts;

    if (!service)
        return;
    mine->services[app] = NULL; /* who is told may ask again at once */
    authorize_service_counts(service, &counts);
    add(&mine->dropped[app], &counts);
    authorize_service_free(service);
}

static bool has_service(const struct daemon *daemon)
{
    for (uint32_t a = 0; a < daemon->app_count; a++)
        if (daemon_authorize_wanted(daemon, a))
            return true;
    return false;
}

static void follow(struct daemon *daemon, uint32_t app)
{
    struct daemon_authorize *mine = daemon->authorize;
    const struct config_app *config = daemon->apps[app].config;
    struct authorize_options options = options_of(&config->authorize);

    if (mine->services[app] && daemon_authorize_wanted(daemon, app) && authorize_service_is(mine->services[app], &options))
        return;
    drop(mine, app);
    if (daemon_authorize_wanted(daemon, app) && mine->authorize &&
        authorize_service_create(mine->authorize, config->name, &options, took, daemon, &mine->services[app]) < 0)
        log_error("app %s: no memory for its authorize service", config->name);
}

void daemon_authorize_follow(struct daemon *daemon)
{
    struct why why = {""};

    if (!daemon->authorize && !has_service(daemon))
        return;
    if (!daemon->authorize)
        daemon->authorize = calloc(1, sizeof *daemon->authorize);
    if (!daemon->authorize) {
        log_error("no memory for authorize services: nobody is let in by one");
        return;
    }
    if (!daemon->authorize->authorize && authorize_create(daemon->loop, &daemon->authorize->authorize, &why) < 0)
        log_error("%s: nobody is let in by one", why.text);
    for (uint32_t a = 0; a < daemon->app_count; a++)
        follow(daemon, a);
}

void daemon_authorize_free(struct daemon *daemon)
{
    struct daemon_authorize *mine = daemon->authorize;

    if (!mine)
        return;
    for (uint32_t a = 0; a < DAEMON_APPS_MAX; a++)
        drop(mine, a);
    authorize_free(mine->authorize);
    free(mine);
    daemon->authorize = NULL;
}

void daemon_authorize_tick(struct daemon *daemon)
{
    static const uint32_t counters[5] = {CORE_AUTHORIZE_CALLS, CORE_AUTHORIZE_CACHED, CORE_AUTHORIZE_JOINED, CORE_AUTHORIZE_FAILURES,
                                         CORE_AUTHORIZE_FULL};
    struct daemon_authorize *mine = daemon->authorize;
    struct authorize_counts all = {0}, one;

    if (!mine)
        return;
    for (uint32_t a = 0; a < daemon->app_count; a++) {
        add(&all, &mine->dropped[a]);
        if (!mine->services[a])
            continue;
        authorize_service_counts(mine->services[a], &one);
        add(&all, &one);
        all.entries += one.entries;
        all.running += one.running;
        all.waiting += one.waiting;
    }
    const uint64_t now[5] = {all.calls, all.cached, all.joined, all.failures, all.full};
    for (size_t i = 0; i < 5; i++) {
        stats_add(daemon->stats, counters[i], now[i] - mine->told[i]);
        mine->told[i] = now[i];
    }
    stats_set(daemon->stats, CORE_AUTHORIZE_ENTRIES, all.entries);
    stats_set(daemon->stats, CORE_AUTHORIZE_WAITING, all.running + all.waiting);
}

int daemon_authorize_ask(struct daemon *daemon, uint32_t app, const struct authorize_question *question, struct authorize_ask *ask,
                         struct authorize_verdict *ret_verdict)
{
    struct authorize_service *service = daemon->authorize ? daemon->authorize->services[app] : NULL;

    if (service)
        return authorize_ask(service, question, ask, ret_verdict);
    list_init(&ask->link);
    *ret_verdict = (struct authorize_verdict){.result = AUTHORIZE_FAILED, .message = "", .user = ""};
    return 1;
}

uint32_t daemon_authorize_error(const struct authorize_verdict *verdict)
{
    return verdict->code == 101 ? UMBEL_ERROR_QUOTA : verdict->code == 102 ? UMBEL_ERROR_RATE : UMBEL_ERROR_AUTH;
}
