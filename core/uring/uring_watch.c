/* One poll at a time, begun again after each callback: the kernel then looks at the present level, so nothing that is left unread
 * is forgotten.  (A multishot poll tells only edges.)  It costs one more entry in a submission that happens anyway. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/uring/uring_loop.h"
#include "core/uring/uring_op.h"

struct uring_watch {
    struct uring_object object; /* first */
    struct uring_op poll, cancel;
    void (*readable)(void *owner, int fd);
    void *owner;
    int fd;
};

static void watch_begin(struct uring_watch *watch)
{
    uring_object_began(&watch->object);
    watch->object.loop->backend->poll(watch->object.loop, &watch->poll, watch->fd);
}

static void poll_done(struct uring_op *op, const struct uring_result *result)
{
    struct uring_watch *watch = list_entry(op, struct uring_watch, poll);

    if (!watch->object.closing) {
        if (result->value >= 0)
            watch->readable(watch->owner, watch->fd);
        else
            log_error("descriptor %d cannot be watched any more: %s", watch->fd, strerror(-result->value));
    }
    if (!watch->object.closing && result->value >= 0)
        watch_begin(watch);
    uring_object_ended(&watch->object);
}

static void cancel_done(struct uring_op *op, const struct uring_result *result)
{
    (void)result;
    uring_object_ended(&list_entry(op, struct uring_watch, cancel)->object);
}

static void watch_close_object(struct uring_object *object)
{
    uring_watch_close((struct uring_watch *)(void *)object);
}

static void watch_free(struct uring_object *object)
{
    free(object);
}

int uring_watch_open(struct uring_loop *loop, int fd, void (*readable)(void *owner, int fd), void *owner,
                     struct uring_watch **ret_watch)
{
    struct uring_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return -ENOMEM;
    uring_object_init(&watch->object, loop, watch_close_object, watch_free);
    watch->poll.done = poll_done;
    watch->cancel.done = cancel_done;
    watch->readable = readable;
    watch->owner = owner;
    watch->fd = fd;
    watch_begin(watch);
    *ret_watch = watch;
    return 0;
}

void uring_watch_close(struct uring_watch *watch)
{
    if (!watch || watch->object.closing)
        return;
    if (watch->object.in_flight > 0) {
        uring_object_began(&watch->object);
        watch->object.loop->backend->cancel(watch->object.loop, &watch->cancel, &watch->poll);
    }
    uring_object_closing(&watch->object);
}
