/* host/host_loop.c - the host's turn: ring, deliveries, sweep, reports, hooks, wait. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"

void hosting_sweep(struct hosting *hosting)
{
    while (!list_is_empty(&hosting->dead_readers)) {
        struct umbel_reader *reader = list_entry(hosting->dead_readers.next, struct umbel_reader, in_client);
        list_remove(&reader->in_client);
        list_remove(&reader->in_feed);
        free(reader);
    }
    if (!list_is_empty(&hosting->dead_watches)) {
        for (uint32_t i = 0; i < HOSTING_WATCH_BUCKETS; i++)
            for (struct host_watch **link = &hosting->watches[i]; *link;) {
                struct host_watch *watch = *link;
                if (watch->dead)
                    *link = watch->next;
                else
                    link = &watch->next;
            }
        while (!list_is_empty(&hosting->dead_watches)) {
            struct host_watch *watch = list_entry(hosting->dead_watches.next, struct host_watch, in_client);
            list_remove(&watch->in_client);
            free(watch);
        }
    }
    while (!list_is_empty(&hosting->dead_clients)) {
        struct umbel_client *client = list_entry(hosting->dead_clients.next, struct umbel_client, link);
        list_remove(&client->link);
        free(client);
    }
}

/* Runs the hooks; returns the shortest wait they want in ms, -1 = none. */
static int run_hooks(struct hosting *hosting)
{
    int shortest = -1;

    for (uint32_t i = 0; i < hosting->hook_count; i++) {
        int ms = hosting->hooks[i].turn(hosting->hooks[i].arg);
        if (ms >= 0 && (shortest < 0 || ms < shortest))
            shortest = ms;
    }
    return shortest;
}

static void wait_for_events(struct hosting *hosting, int ms)
{
    if (ms > 0) {
        struct timeval limit = {ms / 1000, ms % 1000 * 1000};
        event_add(hosting->wait_event, &limit);
    }
    if (event_base_loop(hosting->base, ms == 0 ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE) < 0) {
        log_error("the event loop is broken: a plugin has closed a descriptor that is not its own, or memory ran out");
        hosting->exit_status = 1;
        hosting->done = true;
    }
    if (ms > 0)
        event_del(hosting->wait_event);
}

static void turn(struct hosting *hosting)
{
    bool more = host_feeds_take(hosting, HOSTING_RING_TURN);
    struct ring_record peek;

    host_send_begin(hosting);
    host_feeds_flush(hosting);
    host_send_end(hosting);
    host_tell_unasked(hosting);
    int ms = run_hooks(hosting);
    hosting_sweep(hosting);
    host_reports(hosting, clock_now_ns());
    atomic_fetch_add_explicit(&hosting->page->turns, 1, memory_order_relaxed);
    if (more || host_feeds_busy(hosting) || !list_is_empty(&hosting->unasked))
        ms = 0;
    if (ms != 0) {
        struct ring_reader look = hosting->ring;
        ring_wake_sleep_begin(hosting->page);
        if (ring_read(&look, &peek) != RING_EMPTY) {
            ring_wake_sleep_end(hosting->page);
            ms = 0;
        }
    }
    wait_for_events(hosting, ms);
    ring_wake_sleep_end(hosting->page);
}

static void on_wake(evutil_socket_t fd, short what, void *owner)
{
    struct hosting *hosting = owner;
    uint64_t calls[64]; /* those that came before it looked are one */

    (void)what;
    if (read(fd, calls, sizeof calls) > 0)
        stats_add(hosting->stats, HOST_WAKES, 1);
}

static void on_wait(evutil_socket_t fd, short what, void *owner)
{
    (void)fd, (void)what, (void)owner; /* only bounds the wait */
}

static void on_tick(evutil_socket_t fd, short what, void *owner)
{
    struct hosting *hosting = owner;
    uint64_t now_ns = clock_now_ns();

    (void)fd, (void)what;
    atomic_store_explicit(&hosting->page->beat_ns, now_ns, memory_order_relaxed);
    stats_beat(hosting->stats, now_ns);
    process_stats_note(&hosting->process, hosting->stats, now_ns);
    host_client_rows(hosting);
    if (hosting->draining && now_ns >= hosting->drain_until_ns) {
        log_info("the time to drain is over with %u clients left", hosting->client_count);
        hosting->done = true;
    }
}

static int make_events(struct hosting *hosting)
{
    struct timeval often = {0, 500000};

    hosting->wake_event = event_new(hosting->base, CONTROL_FD_WAKE, EV_READ | EV_PERSIST, on_wake, hosting);
    hosting->tick_event = event_new(hosting->base, -1, EV_PERSIST, on_tick, hosting);
    hosting->wait_event = event_new(hosting->base, -1, 0, on_wait, hosting);
    if (!hosting->wake_event || !hosting->tick_event || !hosting->wait_event)
        return -1;
    event_add(hosting->wake_event, NULL);
    event_add(hosting->tick_event, &often);
    return 0;
}

int hosting_run(struct hosting *hosting)
{
    if (make_events(hosting) < 0)
        return 1;
    on_tick(-1, 0, hosting);
    while (!hosting->done && !(hosting->draining && hosting->drained))
        turn(hosting);
    if (hosting->self)
        hosting->transport.close(hosting->self);
    hosting->self = NULL;
    hosting_sweep(hosting);
    host_reports(hosting, clock_now_ns());
    host_leave_flush(hosting);
    event_free(hosting->wake_event);
    event_free(hosting->tick_event);
    event_free(hosting->wait_event);
    return hosting->exit_status;
}
