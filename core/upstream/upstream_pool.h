/* upstream/upstream_pool.h - internal to the module: connections that wait for their next call.  The one used last goes first.
 * Bound: POOL_IDLE_MAX, each for POOL_IDLE_NS; over it the one idle longest is closed.  One that says or loses anything is
 * closed. */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "core/base/clock.h"
#include "core/base/list.h"
#include "core/upstream/upstream_conn.h"

#define POOL_IDLE_MAX 16u
#define POOL_IDLE_NS (30 * CLOCK_S)

struct upstream_pool {
    struct list idle; /* upstream_conn.link */
};

void upstream_pool_init(struct upstream_pool *pool);
void upstream_pool_put(struct upstream_pool *pool, struct upstream_conn *conn); /* takes it, quiet and between two responses */
struct upstream_conn *upstream_pool_take(struct upstream_pool *pool); /* NULL: none.  The taker sets itself as the owner */
void upstream_pool_clear(struct upstream_pool *pool);

#endif
