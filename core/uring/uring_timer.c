/* A pairing heap threaded through the timers themselves: no memory to run out of.  The root is due first; each node's children
 * hang on `child`, younger siblings on `sibling`; `before` leads back, so that any node can be taken out. */
#include "core/base/clock.h"
#include "core/uring/uring_loop.h"
#include "core/uring/uring_op.h"

/* Joins two heaps whose roots have no siblings. */
static struct uring_timer *meld(struct uring_timer *a, struct uring_timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->key_ns < a->key_ns) {
        struct uring_timer *swap = a;

        a = b;
        b = swap;
    }
    b->before = a;
    b->sibling = a->child;
    if (b->sibling)
        b->sibling->before = b;
    a->child = b;
    return a;
}

/* Joins a row of siblings into one heap: in pairs from the left, then the pairs from the right.  The first pass strings the pairs
 * together backwards over `sibling`, so no recursion and no extra memory is needed. */
static struct uring_timer *meld_siblings(struct uring_timer *first)
{
    struct uring_timer *pairs = NULL, *heap = NULL;

    while (first) {
        struct uring_timer *a = first, *b = a->sibling;

        first = b ? b->sibling : NULL;
        a->sibling = a->before = NULL;
        if (b)
            b->sibling = b->before = NULL;
        a = meld(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    while (pairs) {
        struct uring_timer *next = pairs->sibling;

        pairs->sibling = NULL;
        heap = meld(heap, pairs);
        pairs = next;
    }
    return heap;
}

static void insert(struct uring_loop *loop, struct uring_timer *timer)
{
    timer->child = timer->sibling = timer->before = NULL;
    loop->timers = meld(loop->timers, timer);
}

static void take_out(struct uring_loop *loop, struct uring_timer *timer)
{
    struct uring_timer *orphans = meld_siblings(timer->child);

    if (timer == loop->timers) {
        loop->timers = orphans;
    } else {
        if (timer->before->child == timer)
            timer->before->child = timer->sibling;
        else
            timer->before->sibling = timer->sibling;
        if (timer->sibling)
            timer->sibling->before = timer->before;
        loop->timers = meld(loop->timers, orphans);
    }
    timer->child = timer->sibling = timer->before = NULL;
}

void uring_timer_set(struct uring_loop *loop, struct uring_timer *timer, uint64_t delay_ns)
{
    uint64_t now_ns = uring_loop_now_ns(loop);
    /* Strictly after this turn's time: a timer that sets itself again cannot hold the turn for ever. */
    uint64_t at_ns = delay_ns == 0 ? now_ns + 1 : delay_ns >= UINT64_MAX - now_ns ? UINT64_MAX : now_ns + delay_ns;

    /* Later than it is filed: leave it there, uring_timer_run files it anew.  Idle timeouts move with every received byte. */
    if (timer->at_ns != 0 && at_ns >= timer->key_ns) {
        timer->at_ns = at_ns;
        return;
    }
    if (timer->at_ns != 0)
        take_out(loop, timer);
    timer->at_ns = timer->key_ns = at_ns;
    insert(loop, timer);
}

void uring_timer_clear(struct uring_loop *loop, struct uring_timer *timer)
{
    if (timer->at_ns == 0)
        return;
    take_out(loop, timer);
    timer->at_ns = 0;
}

void uring_timer_run(struct uring_loop *loop)
{
    struct uring_timer *timer;

    while ((timer = loop->timers) && timer->key_ns <= loop->now_ns) {
        take_out(loop, timer);
        if (timer->at_ns > timer->key_ns) {
            timer->key_ns = timer->at_ns;
            insert(loop, timer);
            continue;
        }
        timer->at_ns = 0;
        loop->counts.timers_fired++;
        timer->fired(timer);
    }
}

uint64_t uring_timer_wait_ns(const struct uring_loop *loop, uint64_t now_ns)
{
    if (!loop->timers)
        return URING_WAIT_FOREVER;
    return loop->timers->key_ns > now_ns ? loop->timers->key_ns - now_ns : 0;
}
