#include "core/uring/uring_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/uring/uring_op.h"

/* How long uring_loop_free waits for the kernel to give back what it holds. */
#define FREE_WAIT_NS (2 * CLOCK_S)

/* Chooses the backend and opens it. */
static int open_backend(struct uring_loop *loop, const struct uring_loop_options *options, struct why *why)
{
    const char *io = options && options->io ? options->io : "auto";
    bool either = strcmp(io, "auto") == 0;
    struct why refusal = {""};
    int r;

    if (either || strcmp(io, "io_uring") == 0) {
        loop->backend = &uring_backend_ring;
        r = loop->backend->open(loop, options, &refusal);
        if (r == 0)
            return 0;
        if (!either)
            return why_set(why, r, "%s; or choose io = auto", refusal.text);
        log_warn("io = auto takes epoll: %s", refusal.text);
    } else if (strcmp(io, "epoll") != 0) {
        return why_set(why, -EINVAL, "io = %s: expected auto, io_uring or epoll", io);
    }
    loop->backend = &uring_backend_epoll;
    return loop->backend->open(loop, options, why);
}

int uring_loop_create(const struct uring_loop_options *options, struct uring_loop **ret_loop, struct why *why)
{
    struct uring_loop *loop = calloc(1, sizeof *loop);
    int r;

    if (!loop)
        return why_set(why, -ENOMEM, "no memory for the loop");
    loop->now_ns = clock_now_ns();
    list_init(&loop->hooks);
    list_init(&loop->live);
    list_init(&loop->dying);
    list_init(&loop->unsent);
    list_init(&loop->starved);
    r = open_backend(loop, options, why);
    if (r < 0) {
        free(loop);
        return r;
    }
    *ret_loop = loop;
    return 0;
}

/* Frees what nobody uses any more: only here, so that a callback may close its own object and still look at it. */
static void bury(struct uring_loop *loop)
{
    while (!list_is_empty(&loop->dying)) {
        struct uring_object *object = list_entry(loop->dying.next, struct uring_object, link);

        list_remove(&object->link);
        object->free(object);
    }
}

/* Each hook runs once, whatever hooks are added or removed meanwhile. */
static void run_hooks(struct uring_loop *loop)
{
    struct list todo;

    if (list_is_empty(&loop->hooks))
        return;
    todo = loop->hooks;
    todo.next->prev = todo.prev->next = &todo;
    list_init(&loop->hooks);
    while (!list_is_empty(&todo)) {
        struct uring_hook *hook = list_entry(todo.next, struct uring_hook, link);

        list_remove(&hook->link);
        list_append(&loop->hooks, &hook->link);
        hook->run(hook);
    }
}

int uring_loop_turn(struct uring_loop *loop, int wait_ms)
{
    uint64_t wait_ns = wait_ms < 0 ? URING_WAIT_FOREVER : (uint32_t)wait_ms * CLOCK_MS, timer_ns, completions = loop->counts.completions;
    int r;

    assert(!loop->in_turn);
    if (loop->failed)
        return loop->failed;
    uring_socket_flush(loop);
    timer_ns = loop->freeing ? URING_WAIT_FOREVER : uring_timer_wait_ns(loop, clock_now_ns());
    r = loop->backend->wait(loop, timer_ns < wait_ns ? timer_ns : wait_ns);
    if (r < 0) {
        loop->failed = r;
        return r;
    }
    loop->now_ns = clock_now_ns();
    loop->in_turn = true;
    loop->counts.turns++;
    loop->backend->dispatch(loop);
    loop->brought = loop->counts.completions - completions;
    uring_coalesce_note(&loop->coalesce, loop->now_ns, loop->brought);
    if (!loop->freeing)
        uring_timer_run(loop);
    run_hooks(loop);
    uring_socket_feed_starved(loop);
    loop->in_turn = false;
    bury(loop);
    return loop->failed;
}

int uring_loop_run(struct uring_loop *loop)
{
    int r = 0;

    while (!loop->stopping && r == 0)
        r = uring_loop_turn(loop, -1);
    loop->stopping = false;
    if (r < 0)
        return r;
    uring_socket_flush(loop);
    return loop->backend->wait(loop, 0);
}

void uring_loop_stop(struct uring_loop *loop)
{
    loop->stopping = true;
}

void uring_loop_free(struct uring_loop *loop)
{
    uint64_t until;

    if (!loop)
        return;
    until = clock_now_ns() + FREE_WAIT_NS;
    list_init(&loop->hooks);
    loop->freeing = true;
    list_for_each(link, spare, &loop->live)
    {
        struct uring_object *object = list_entry(link, struct uring_object, link);

        if (!object->closing)
            object->close(object);
    }
    do
        bury(loop);
    while (!list_is_empty(&loop->live) && clock_now_ns() < until && uring_loop_turn(loop, 100) == 0);
    loop->backend->close(loop);
    /* With the backend gone nothing writes to these any more. */
    while (!list_is_empty(&loop->live)) {
        struct uring_object *object = list_entry(loop->live.next, struct uring_object, link);

        list_remove(&object->link);
        object->free(object);
    }
    free(loop);
}

void uring_loop_coalesce(struct uring_loop *loop, uint64_t limit_ns)
{
    loop->coalesce.limit_ns = loop->counts.coalesce_ns = limit_ns;
}

uint64_t uring_loop_now_ns(const struct uring_loop *loop)
{
    return loop->in_turn ? loop->now_ns : clock_now_ns();
}

void uring_loop_counts(const struct uring_loop *loop, struct uring_loop_counts *ret_counts)
{
    *ret_counts = loop->counts;
}

const char *uring_loop_backend(const struct uring_loop *loop)
{
    return loop->backend->name;
}

void uring_hook_add(struct uring_loop *loop, struct uring_hook *hook)
{
    list_append(&loop->hooks, &hook->link);
}

void uring_hook_remove(struct uring_loop *loop, struct uring_hook *hook)
{
    (void)loop;
    if (list_is_linked(&hook->link))
        list_remove(&hook->link);
}

void uring_wake_fd(struct uring_loop *loop, int eventfd, bool near)
{
    loop->backend->wake(loop, eventfd, near);
}

void uring_close_fd(struct uring_loop *loop, int fd)
{
    loop->backend->close_fd(loop, fd);
}

void uring_object_init(struct uring_object *object, struct uring_loop *loop, void (*close)(struct uring_object *object),
                       void (*free)(struct uring_object *object))
{
    *object = (struct uring_object){.loop = loop, .close = close, .free = free};
    list_append(&loop->live, &object->link);
}

void uring_object_began(struct uring_object *object)
{
    object->in_flight++;
}

static void bury_if_idle(struct uring_object *object)
{
    if (!object->closing || object->in_flight > 0)
        return;
    list_remove(&object->link);
    list_append(&object->loop->dying, &object->link);
}

void uring_object_ended(struct uring_object *object)
{
    assert(object->in_flight > 0);
    object->in_flight--;
    bury_if_idle(object);
}

void uring_object_closing(struct uring_object *object)
{
    assert(!object->closing);
    object->closing = true;
    bury_if_idle(object);
}
