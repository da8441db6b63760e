/* daemon/daemon_upstreams.h - the model services of the configuration, and the routes of apps over them.
 *
 * A service whose section changes is replaced: new calls go to the new one, calls that run or wait stay with the old one, which is
 * retired and goes when the last route over it has gone.  A route is what one app asked at one time: answers hold the one they
 * began with.
 * Owner: the core's loop thread. */
#ifndef DAEMON_UPSTREAMS_H
#define DAEMON_UPSTREAMS_H

#include "core/base/list.h"
#include "core/config/config.h"
#include "core/upstream/upstream_group.h"

#define DAEMON_UPSTREAMS_SPARE 64u /* rows of the upstreams table beyond those of the start: for services that come later */

struct daemon;

struct daemon_upstream {
    struct upstream_member member;
    struct list link;                      /* daemon.upstreams in the order of the file, or daemon.retired */
    const struct config_upstream *config;  /* of daemon.config; NULL: retired */
    uint32_t row;                          /* of the upstreams table, UINT32_MAX: it has none */
    uint32_t references;                   /* routes */
    struct upstream_counts before;         /* what retired ones of this name had counted when they went */
};

struct daemon_route {
    struct daemon *daemon;
    struct list link; /* daemon.dropped: nobody holds it, but a callback may still be inside a call over it */
    uint32_t references;
    size_t count;
    struct upstream_member *members[]; /* in order of preference */
};

/* daemon_upstream_make - a service that nobody uses yet.  why: FILE:LINE: ... */
int daemon_upstream_make(struct daemon *daemon, const struct config *config, const struct config_upstream *section,
                         struct daemon_upstream **ret_upstream, struct why *why);
void daemon_upstream_free(struct daemon *daemon, struct daemon_upstream *upstream); /* one that nobody uses; NULL is fine */

struct daemon_upstream *daemon_upstream_find(struct daemon *daemon, const char *name); /* NULL: there is none, or it is retired */

/* daemon_upstream_put - from now on the service of its name; the one before is retired.  daemon_upstream_retire - no new calls.  */
void daemon_upstream_put(struct daemon *daemon, struct daemon_upstream *upstream);
void daemon_upstream_retire(struct daemon *daemon, struct daemon_upstream *upstream);

/* daemon_upstreams_tick - frees routes that were dropped, and retired services without routes.  Not from inside a call's callback. */
void daemon_upstreams_tick(struct daemon *daemon);
void daemon_upstreams_refresh(struct daemon *daemon, uint64_t now_ns); /* the upstreams table */
void daemon_upstreams_free(struct daemon *daemon);

/* daemon_route_new - an empty one with room for so many services; one reference.  NULL: no memory.  _add - there is room.  _hold
 * returns its argument; NULL is fine for _drop. */
struct daemon_route *daemon_route_new(struct daemon *daemon, size_t room);
void daemon_route_add(struct daemon_route *route, struct daemon_upstream *upstream);
struct daemon_route *daemon_route_hold(struct daemon_route *route);
void daemon_route_drop(struct daemon_route *route);

#endif
