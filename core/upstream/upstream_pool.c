#include "core/upstream/upstream_pool.h"

static void close_received(void *owner, const char *bytes, size_t size)
{
    (void)bytes;
    (void)size;
    upstream_conn_close(owner); /* nobody has asked: what it says now could be taken for the next answer */
}

static void close_closed(void *owner, const struct upstream_end *end)
{
    (void)end;
    upstream_conn_close(owner);
}

static const struct upstream_conn_ops idle_ops = {NULL, close_received, close_closed};

static void idle_too_long(struct uring_timer *timer)
{
    upstream_conn_close(list_entry(timer, struct upstream_conn, timer));
}

void upstream_pool_init(struct upstream_pool *pool)
{
    list_init(&pool->idle);
}

void upstream_pool_put(struct upstream_pool *pool, struct upstream_conn *conn)
{
    unsigned count = 1;

    upstream_conn_set_owner(conn, &idle_ops, conn);
    conn->timer.fired = idle_too_long;
    uring_timer_set(conn->loop, &conn->timer, POOL_IDLE_NS);
    list_prepend(&pool->idle, &conn->link);
    list_for_each(link, spare, &pool->idle) if (count++ > POOL_IDLE_MAX)
        upstream_conn_close(list_entry(link, struct upstream_conn, link));
}

struct upstream_conn *upstream_pool_take(struct upstream_pool *pool)
{
    struct upstream_conn *conn;

    if (list_is_empty(&pool->idle))
        return NULL;
    conn = list_entry(pool->idle.next, struct upstream_conn, link);
    list_remove(&conn->link);
    uring_timer_clear(conn->loop, &conn->timer);
    return conn;
}

void upstream_pool_clear(struct upstream_pool *pool)
{
    while (!list_is_empty(&pool->idle))
        upstream_conn_close(list_entry(pool->idle.next, struct upstream_conn, link));
}
