#include "pacer.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "bytes.h"

uint64_t pacer_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void place(struct pacer *pacer, size_t index, struct pacer_node *node)
{
    pacer->heap[index] = node;
    node->place = index + 1;
}

static void sift_up(struct pacer *pacer, size_t index, struct pacer_node *node)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (pacer->heap[parent]->due_us <= node->due_us)
            break;
        place(pacer, index, pacer->heap[parent]);
        index = parent;
    }
    place(pacer, index, node);
}

static void sift_down(struct pacer *pacer, size_t index, struct pacer_node *node)
{
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= pacer->count)
            break;
        if (child + 1 < pacer->count && pacer->heap[child + 1]->due_us < pacer->heap[child]->due_us)
            child++;
        if (node->due_us <= pacer->heap[child]->due_us)
            break;
        place(pacer, index, pacer->heap[child]);
        index = child;
    }
    place(pacer, index, node);
}

/* Sets the libevent timer for the earliest node, or leaves it unset if nothing waits. */
static void arm(struct pacer *pacer)
{
    uint64_t now = pacer_now_us(), at, wait;

    if (!pacer->count || pacer->running)
        return;
    at = pacer->heap[0]->due_us;
    if (!pacer->hurry && at < pacer->last_run_us + PACER_TICK_US)
        at = pacer->last_run_us + PACER_TICK_US;
    wait = pacer->hurry || at <= now ? 0 : at - now;
    struct timeval delay = {.tv_sec = (time_t)(wait / 1000000u), .tv_usec = (suseconds_t)(wait % 1000000u)};
    evtimer_add(pacer->timer, &delay);
}

static void run(evutil_socket_t fd, short what, void *data)
{
    struct pacer *pacer = data;
    uint64_t now = pacer_now_us();

    (void)fd;
    (void)what;
    pacer->last_run_us = now;
    pacer->hurry = false;
    pacer->running = true;
    /* A node set again while we are in here is due after now, so this loop ends. */
    while (pacer->count && pacer->heap[0]->due_us <= now) {
        struct pacer_node *node = pacer->heap[0];
        pacer_cancel(pacer, node);
        node->fire(node);
    }
    pacer->running = false;
    arm(pacer);
}

int pacer_open(struct pacer *pacer, struct event_base *base)
{
    *pacer = (struct pacer){0};
    pacer->timer = evtimer_new(base, run, pacer);
    return pacer->timer ? 0 : -ENOMEM;
}

void pacer_set(struct pacer *pacer, struct pacer_node *node, uint64_t due_us)
{
    pacer_cancel(pacer, node);
    if (pacer->count == pacer->cap) {
        size_t cap = pacer->cap ? pacer->cap * 2 : 64;
        struct pacer_node **heap = bytes_alloc(cap * sizeof *heap);
        for (size_t i = 0; i < pacer->count; i++)
            heap[i] = pacer->heap[i];
        free(pacer->heap);
        pacer->heap = heap;
        pacer->cap = cap;
    }
    node->due_us = due_us > pacer->last_run_us ? due_us : pacer->last_run_us + 1;
    pacer->count++;
    sift_up(pacer, pacer->count - 1, node);
    if (node->place == 1)
        arm(pacer);
}

void pacer_yield(struct pacer *pacer, struct pacer_node *node)
{
    pacer->hurry = true;
    pacer_set(pacer, node, pacer->last_run_us + 1);
    arm(pacer);
}

void pacer_cancel(struct pacer *pacer, struct pacer_node *node)
{
    if (!node->place)
        return;
    size_t index = node->place - 1;
    struct pacer_node *last = pacer->heap[--pacer->count];
    node->place = 0;
    if (last == node)
        return;
    if (index > 0 && pacer->heap[(index - 1) / 2]->due_us > last->due_us)
        sift_up(pacer, index, last);
    else
        sift_down(pacer, index, last);
}

void pacer_close(struct pacer *pacer)
{
    if (pacer->timer)
        event_free(pacer->timer);
    free(pacer->heap);
    *pacer = (struct pacer){0};
}
