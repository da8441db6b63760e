#include "core/uring/epoll_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define SLOTS_MIN 64u

void epoll_slots_init(struct epoll_slots *slots, int epoll_fd)
{
    *slots = (struct epoll_slots){.epoll_fd = epoll_fd, .dirty = -1};
}

void epoll_slots_free(struct epoll_slots *slots)
{
    free(slots->slot);
}

void epoll_results_add(struct epoll_results *results, struct uring_op *op, int32_t value)
{
    op->value = value;
    op->next = NULL;
    if (results->last)
        results->last->next = op;
    else
        results->first = op;
    results->last = op;
}

static int grow(struct epoll_slots *slots, int fd)
{
    size_t count = slots->count ? slots->count : SLOTS_MIN;
    struct epoll_slot *more;

    if (fd < 0)
        return -EBADF;
    if ((size_t)fd < slots->count)
        return 0;
    while (count <= (size_t)fd)
        count *= 2;
    more = reallocarray(slots->slot, count, sizeof *more);
    if (!more)
        return -ENOMEM;
    memset(more + slots->count, 0, (count - slots->count) * sizeof *more);
    slots->slot = more;
    slots->count = count;
    return 0;
}

static struct epoll_slot *slot_of(struct epoll_slots *slots, int fd)
{
    return fd >= 0 && (size_t)fd < slots->count ? &slots->slot[fd] : NULL;
}

static void note(struct epoll_slots *slots, int fd)
{
    struct epoll_slot *slot = &slots->slot[fd];

    if (slot->dirty)
        return;
    slot->dirty = true;
    slot->dirty_next = slots->dirty;
    slots->dirty = fd;
}

struct epoll_slot *epoll_slots_wait(struct epoll_slots *slots, struct uring_op *op, int fd, enum epoll_kind kind)
{
    int r = grow(slots, fd);

    op->fd = fd;
    if (r < 0) {
        epoll_results_add(&slots->results, op, r);
        return NULL;
    }
    op->next = slots->slot[fd].waiting[kind];
    slots->slot[fd].waiting[kind] = op;
    note(slots, fd);
    return &slots->slot[fd];
}

struct epoll_slot *epoll_slots_at(struct epoll_slots *slots, int fd)
{
    struct epoll_slot *slot = slot_of(slots, fd);

    return slot && slot->interest ? slot : NULL;
}

void epoll_slots_end(struct epoll_slots *slots, int fd, enum epoll_kind kind, int32_t value)
{
    struct epoll_slot *slot = slot_of(slots, fd);

    while (slot && slot->waiting[kind]) {
        struct uring_op *op = slot->waiting[kind];

        slot->waiting[kind] = op->next;
        epoll_results_add(&slots->results, op, value);
        note(slots, fd);
    }
}

struct uring_op *epoll_slots_take(struct epoll_slots *slots, const struct uring_op *op)
{
    struct epoll_slot *slot = slot_of(slots, op->fd);

    for (int kind = 0; slot && kind < EPOLL_KINDS; kind++)
        for (struct uring_op **at = &slot->waiting[kind]; *at; at = &(*at)->next)
            if (*at == op) {
                struct uring_op *taken = *at;

                *at = taken->next;
                note(slots, taken->fd);
                return taken;
            }
    return NULL;
}

static uint32_t wanted(const struct epoll_slot *slot)
{
    uint32_t events = 0;

    if (slot->waiting[EPOLL_RECEIVE] || slot->waiting[EPOLL_POLL])
        events |= EPOLLIN;
    if (slot->waiting[EPOLL_SEND] || slot->waiting[EPOLL_CONNECT])
        events |= EPOLLOUT;
    return events;
}

static void tell(struct epoll_slots *slots, int fd)
{
    struct epoll_slot *slot = &slots->slot[fd];
    struct epoll_event event = {.events = wanted(slot), .data.fd = fd};
    int how = slot->interest == 0 ? EPOLL_CTL_ADD : event.events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    if (event.events == slot->interest)
        return;
    slot->interest = event.events;
    if (epoll_ctl(slots->epoll_fd, how, fd, &event) == -1 && how != EPOLL_CTL_DEL) {
        int error = errno;

        slot->interest = 0;
        for (enum epoll_kind kind = EPOLL_CONNECT; kind < EPOLL_KINDS; kind++)
            epoll_slots_end(slots, fd, kind, -error);
    }
}

int epoll_slots_end_all(struct epoll_slots *slots, int fd, int32_t value)
{
    struct epoll_slot *slot = slot_of(slots, fd);
    int ended = 0;

    if (!slot)
        return 0;
    for (enum epoll_kind kind = EPOLL_CONNECT; kind < EPOLL_KINDS; kind++) {
        for (const struct uring_op *op = slot->waiting[kind]; op; op = op->next)
            ended++;
        epoll_slots_end(slots, fd, kind, value);
    }
    tell(slots, fd);
    return ended;
}

void epoll_slots_let_go(struct epoll_slots *slots, int fd)
{
    struct epoll_slot *slot = slot_of(slots, fd);

    if (slot && wanted(slot) == 0)
        tell(slots, fd);
}

void epoll_slots_tell(struct epoll_slots *slots)
{
    while (slots->dirty != -1) {
        int fd = slots->dirty;
        struct epoll_slot *slot = &slots->slot[fd];

        slots->dirty = slot->dirty_next;
        slot->dirty = false;
        tell(slots, fd);
    }
}
