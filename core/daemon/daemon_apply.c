#include "core/daemon/daemon_apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/access/access_log.h"
#include "core/base/log.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_authorize.h"
#include "core/daemon/daemon_converge.h"

/* All that can fail, before anything changes. */
struct prepared {
    struct daemon_upstream **upstreams; /* new ones; NULL where the section stays as it is */
    struct daemon_apps_change *apps;
    struct access_log *access; /* where the lines go now, if that has changed and is not nowhere */
};

static bool stays(struct daemon *daemon, const struct config_diff *diff, const char *upstream)
{
    return !config_diff_find(diff, "upstream", upstream) && daemon_upstream_find(daemon, upstream);
}

static void discard(struct daemon *daemon, struct prepared *prepared, size_t upstream_count)
{
    for (size_t i = 0; prepared->upstreams && i < upstream_count; i++)
        daemon_upstream_free(daemon, prepared->upstreams[i]);
    free(prepared->upstreams);
    daemon_apps_discard(prepared->apps);
    access_log_close(prepared->access);
}

static bool access_moves(const struct daemon *daemon, const struct config *next)
{
    return strcmp(daemon->config->access_log, next->access_log) != 0;
}

static int prepare(struct daemon *daemon, const struct config *next, const struct config_diff *diff, struct prepared *prepared,
                   struct why *why)
{
    int r = 0;

    prepared->upstreams = calloc(next->upstream_count + 1, sizeof(struct daemon_upstream *));
    if (!prepared->upstreams)
        return why_set(why, -ENOMEM, "no memory for the upstreams");
    for (size_t i = 0; i < next->upstream_count && r == 0; i++)
        if (!stays(daemon, diff, next->upstreams[i].name))
            r = daemon_upstream_make(daemon, next, &next->upstreams[i], &prepared->upstreams[i], why);
    if (r == 0)
        r = daemon_apps_prepare(daemon, next, &prepared->apps, why);
    if (r == 0 && access_moves(daemon, next) && *next->access_log)
        r = access_log_open(next->access_log, &prepared->access, why);
    return r;
}

static bool has_upstream(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (strcmp(config->upstreams[i].name, name) == 0)
            return true;
    return false;
}

static void use_upstreams(struct daemon *daemon, struct prepared *prepared, const struct config *next)
{
    for (size_t i = 0; i < next->upstream_count; i++) {
        if (prepared->upstreams[i])
            daemon_upstream_put(daemon, prepared->upstreams[i]);
        else
            daemon_upstream_find(daemon, next->upstreams[i].name)->config = &next->upstreams[i];
    }
    list_for_each(link, spare, &daemon->upstreams)
    {
        struct daemon_upstream *upstream = list_entry(link, struct daemon_upstream, link);
        if (!has_upstream(next, upstream_name(upstream->member.upstream)))
            daemon_upstream_retire(daemon, upstream);
    }
}

int daemon_apply(struct daemon *daemon, struct config *next, const struct config_diff *diff, struct converge **ret_converge,
                 struct why *why)
{
    struct prepared prepared = {0};
    struct config *before = daemon->config;
    int r = prepare(daemon, next, diff, &prepared, why);

    if (r == 0) {
        r = converge_begin(daemon, before, next, ret_converge);
        if (r < 0)
            why_set(why, r, "no memory for the transports");
    }
    if (r < 0) {
        discard(daemon, &prepared, next->upstream_count);
        return r;
    }
    if (access_moves(daemon, next)) {
        access_log_close(daemon->access);
        daemon->access = prepared.access;
    }
    use_upstreams(daemon, &prepared, next);
    daemon_apps_commit(daemon, prepared.apps);
    free(prepared.upstreams);
    config_diff_keep(before, next);
    daemon->config = next;
    log_change(log_level_parse(next->log_level), next->log_json);
    uring_loop_coalesce(daemon->loop, next->coalesce_us * CLOCK_US);
    daemon_history_want(daemon);
    daemon_authorize_follow(daemon);
    return 0;
}
