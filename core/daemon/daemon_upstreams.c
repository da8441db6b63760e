#include "core/daemon/daemon_upstreams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_capture.h"

static struct daemon_upstream *of_link(struct list *link)
{
    return list_entry(link, struct daemon_upstream, link);
}

static const char *name_of(const struct daemon_upstream *upstream)
{
    return upstream_name(upstream->member.upstream);
}

int daemon_upstream_make(struct daemon *daemon, const struct config *config, const struct config_upstream *u,
                         struct daemon_upstream **ret_upstream, struct why *why)
{
    struct daemon_upstream *upstream = calloc(1, sizeof *upstream);
    struct upstream_options options = {.name = u->name,
                                       .dialect = u->dialect,
                                       .quirks = (const char *const *)u->quirks.items,
                                       .quirk_count = u->quirks.count,
                                       .base_url = u->base_url,
                                       .api_key = u->api_key,
                                       .ca_file = u->ca_file,
                                       .client_cert = u->client_cert,
                                       .client_key = u->client_key,
                                       .proxy = u->proxy,
                                       .max_concurrent = u->max_concurrent,
                                       .queue = u->queue,
                                       .connect_timeout_ms = u->connect_timeout_ms,
                                       .first_token_timeout_ms = u->first_token_timeout_ms,
                                       .idle_timeout_ms = u->idle_timeout_ms,
                                       .total_timeout_ms = u->total_timeout_ms};
    struct why reason = {""};
    int r;

    if (!upstream)
        return why_set(why, -ENOMEM, "no memory for the upstreams");
    list_init(&upstream->link);
    upstream->row = UINT32_MAX;
    upstream->config = u;
    r = upstream_create(daemon->loop, daemon->resolver, &options, &upstream->member.upstream, &reason);
    if (r < 0) {
        free(upstream);
        return why_set(why, r, "%s:%u: upstream %s: %s", config->path, u->line, u->name, reason.text);
    }
    upstream_set_recorder(upstream->member.upstream, daemon_capture_recorder(daemon->capture));
    *ret_upstream = upstream;
    return 0;
}

void daemon_upstream_free(struct daemon *daemon, struct daemon_upstream *upstream)
{
    if (!upstream)
        return;
    if (upstream->row != UINT32_MAX)
        stats_row_release(daemon->stats, CORE_TABLE_UPSTREAMS, upstream->row);
    list_remove(&upstream->link);
    upstream_free(upstream->member.upstream);
    free(upstream);
}

struct daemon_upstream *daemon_upstream_find(struct daemon *daemon, const char *name)
{
    list_for_each(link, spare, &daemon->upstreams)
        if (strcmp(name_of(of_link(link)), name) == 0)
            return of_link(link);
    return NULL;
}

void daemon_upstream_retire(struct daemon *daemon, struct daemon_upstream *upstream)
{
    upstream->config = NULL;
    upstream_retire(upstream->member.upstream);
    list_remove(&upstream->link);
    list_append(&daemon->retired, &upstream->link);
}

static void fill_row(struct daemon *daemon, struct daemon_upstream *upstream)
{
    if (upstream->row == UINT32_MAX)
        upstream->row = stats_row_take(daemon->stats, CORE_TABLE_UPSTREAMS);
    if (upstream->row == UINT32_MAX) {
        log_warn("upstream %s works, but does not fit the upstreams table until the daemon starts again", name_of(upstream));
        return;
    }
    stats_row_text(daemon->stats, CORE_TABLE_UPSTREAMS, upstream->row, UPSTREAM_COL_NAME, upstream->config->name);
    stats_row_text(daemon->stats, CORE_TABLE_UPSTREAMS, upstream->row, UPSTREAM_COL_DIALECT, upstream->config->dialect);
    stats_row_text(daemon->stats, CORE_TABLE_UPSTREAMS, upstream->row, UPSTREAM_COL_URL, upstream->config->base_url);
}

void daemon_upstream_put(struct daemon *daemon, struct daemon_upstream *upstream)
{
    struct daemon_upstream *before = daemon_upstream_find(daemon, name_of(upstream));

    if (before) {
        upstream->row = before->row;
        upstream->before = before->before;
        before->row = UINT32_MAX;
        before->before = (struct upstream_counts){0};
        daemon_upstream_retire(daemon, before);
    }
    list_append(&daemon->upstreams, &upstream->link);
    fill_row(daemon, upstream);
}

/* What an operator sees adds up over all services that had this name. */
static void add_counts(struct upstream_counts *to, const struct upstream_counts *more)
{
    to->active += more->active;
    to->waiting += more->waiting;
    to->started += more->started;
    to->completed += more->completed;
    to->truncated += more->truncated;
    to->failed += more->failed;
    to->cancelled += more->cancelled;
    to->bytes_in += more->bytes_in;
}

static void free_routes(struct daemon *daemon)
{
    list_for_each(link, spare, &daemon->dropped)
    {
        struct daemon_route *route = list_entry(link, struct daemon_route, link);
        for (size_t i = 0; i < route->count; i++)
            list_entry(route->members[i], struct daemon_upstream, member)->references--;
        list_remove(link);
        free(route);
    }
}

void daemon_upstreams_tick(struct daemon *daemon)
{
    free_routes(daemon);
    list_for_each(link, spare, &daemon->retired)
    {
        struct daemon_upstream *upstream = of_link(link), *now = daemon_upstream_find(daemon, name_of(upstream));
        struct upstream_counts counts;

        if (upstream->references)
            continue;
        upstream_get_counts(upstream->member.upstream, &counts);
        if (now)
            add_counts(&now->before, &counts);
        log_info("upstream %s: the last call of its former settings has ended", name_of(upstream));
        daemon_upstream_free(daemon, upstream);
    }
}

static void refresh(struct daemon *daemon, struct daemon_upstream *upstream, uint64_t now_ns)
{
    struct upstream_counts c, other;

    upstream_get_counts(upstream->member.upstream, &c);
    add_counts(&c, &upstream->before);
    if (upstream->config)
        list_for_each(link, spare, &daemon->retired)
            if (strcmp(name_of(of_link(link)), upstream->config->name) == 0) {
                upstream_get_counts(of_link(link)->member.upstream, &other);
                add_counts(&c, &other);
            }
    const uint64_t values[][2] = {
        {UPSTREAM_COL_ACTIVE, c.active},       {UPSTREAM_COL_WAITING, c.waiting},     {UPSTREAM_COL_STARTED, c.started},
        {UPSTREAM_COL_COMPLETED, c.completed}, {UPSTREAM_COL_TRUNCATED, c.truncated}, {UPSTREAM_COL_FAILED, c.failed},
        {UPSTREAM_COL_CANCELLED, c.cancelled}, {UPSTREAM_COL_BYTES_IN, c.bytes_in},
        {UPSTREAM_COL_FIRST_TOKEN_MS, c.first_token_ns_last / CLOCK_MS},
    };
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
        stats_row_u64(daemon->stats, CORE_TABLE_UPSTREAMS, upstream->row, (uint32_t)values[k][0], values[k][1]);
    stats_row_text(daemon->stats, CORE_TABLE_UPSTREAMS, upstream->row, UPSTREAM_COL_BREAKER,
                   breaker_state_text(&upstream->member.breaker, now_ns));
}

void daemon_upstreams_refresh(struct daemon *daemon, uint64_t now_ns)
{
    struct list *lists[] = {&daemon->upstreams, &daemon->retired};

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_for_each(link, spare, lists[i])
            if (of_link(link)->row != UINT32_MAX)
                refresh(daemon, of_link(link), now_ns);
}

void daemon_upstreams_free(struct daemon *daemon)
{
    struct list *lists[] = {&daemon->upstreams, &daemon->retired};

    free_routes(daemon);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_for_each(link, spare, lists[i])
            daemon_upstream_free(daemon, of_link(link));
}

struct daemon_route *daemon_route_new(struct daemon *daemon, size_t room)
{
    struct daemon_route *route = calloc(1, sizeof *route + room * sizeof route->members[0]);

    if (!route)
        return NULL;
    route->daemon = daemon;
    route->references = 1;
    list_init(&route->link);
    return route;
}

void daemon_route_add(struct daemon_route *route, struct daemon_upstream *upstream)
{
    upstream->references++;
    route->members[route->count++] = &upstream->member;
}

struct daemon_route *daemon_route_hold(struct daemon_route *route)
{
    route->references++;
    return route;
}

void daemon_route_drop(struct daemon_route *route)
{
    if (route && --route->references == 0)
        list_append(&route->daemon->dropped, &route->link);
}
