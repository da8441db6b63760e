/* carrier/tcp_carrier.c - the carrier as a whole: opening, time, drain, giving its place away, closing. */
#include "core/carrier/tcp_carrier.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "core/base/clock.h"

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg; /* the turn that follows does the work */
}

static void look_at(struct umbel_tcp_client *client, uint64_t now_ns)
{
    const struct umbel_tcp *tcp = client->tcp;
    bool sending = client->out.size > client->out_at;

    if (client->shut_ns && now_ns - client->shut_ns > TCP_LINGER_NS) {
        tcp_client_kill(client);
    } else if (sending && now_ns - client->moved_ns > tcp->slow_ns) {
        tcp->host->count(tcp->host, "tcp_slow_clients", 1);
        tcp_client_kill(client);
    } else if (tcp->idle_ns && !sending && !client->tag && now_ns - client->heard_ns > tcp->idle_ns) {
        umbel_tcp_end(client);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_tcp *tcp = arg;
    uint64_t now_ns = clock_now_ns();

    (void)fd;
    (void)what;
    list_for_each(link, spare, &tcp->clients)
        look_at(list_entry(link, struct umbel_tcp_client, link), now_ns);
}

static int make_events(struct umbel_tcp *tcp)
{
    struct timeval second = {1, 0};

    tcp->wake = event_new(tcp->host->base, -1, 0, on_wake, tcp);
    tcp->tick = event_new(tcp->host->base, -1, EV_PERSIST, on_tick, tcp);
    return tcp->wake && tcp->tick && event_add(tcp->tick, &second) == 0 ? 0 : -ENOMEM;
}

int umbel_tcp_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_tcp_codec *codec, void *self,
                   struct umbel_tcp **ret_tcp)
{
    struct umbel_tcp *tcp = calloc(1, sizeof *tcp);
    int r;

    if (!tcp)
        return -ENOMEM;
    tcp->host = host;
    tcp->codec = codec;
    tcp->self = self;
    tcp->max_line = codec->max_line ? codec->max_line : TCP_LINE_DEFAULT;
    tcp->idle_ns = codec->idle_s * CLOCK_S;
    tcp->slow_ns = (uint64_t)host->config_integer(config, "slow_client_s") * CLOCK_S;
    tcp->max_connections = (uint32_t)host->config_integer(config, "max_connections");
    list_init(&tcp->clients);
    list_init(&tcp->due);
    list_init(&tcp->dead);
    if (*host->config_text(config, "tls_cert")) {
        host->log(host, UMBEL_LOG_ERROR, NULL, "this transport has no TLS: leave tls_cert out, and let a proxy do it");
        r = -EINVAL;
    } else {
        r = make_events(tcp);
    }
    if (r == 0)
        r = tcp_listen_open(tcp);
    if (r == 0)
        r = host->on_turn(host, tcp_turn, tcp);
    if (r < 0) {
        umbel_tcp_close(tcp);
        return r;
    }
    *ret_tcp = tcp;
    return 0;
}

static void settle_all(struct umbel_tcp *tcp)
{
    list_for_each(link, spare, &tcp->clients)
        tcp_client_settle(list_entry(link, struct umbel_tcp_client, link));
    event_active(tcp->wake, 0, 0); /* perhaps nobody is there */
}

void umbel_tcp_drain(struct umbel_tcp *tcp, uint32_t deadline_ms)
{
    (void)deadline_ms; /* then the host closes us */
    if (tcp->draining)
        return;
    tcp_listen_close(tcp);
    tcp->draining = true;
    settle_all(tcp);
}

static void on_leave(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_tcp *tcp = arg;
    uint64_t passed_ns = clock_now_ns() - tcp->leave_began_ns;
    uint64_t due = (uint64_t)((double)tcp->leave_first * (double)passed_ns / (double)(tcp->leave_ns / 2 + 1)) + 1;

    (void)fd;
    (void)what;
    if (passed_ns >= tcp->leave_ns / 4 * 3) {
        event_del(tcp->leave);
        umbel_tcp_drain(tcp, 0);
        return;
    }
    list_for_each(link, spare, &tcp->clients)
    {
        struct umbel_tcp_client *client = list_entry(link, struct umbel_tcp_client, link);
        if (tcp->leave_gone >= due)
            return;
        if (client->ending || client->tag || client->in.size || client->access == TCP_ASKED)
            continue;
        umbel_tcp_end(client);
        tcp->leave_gone++;
    }
    if (list_is_empty(&tcp->clients))
        umbel_tcp_drain(tcp, 0);
}

static void leave(struct umbel_tcp *tcp, uint32_t ms)
{
    struct timeval often = {0, TCP_LEAVE_TICK_MS * 1000};

    if (tcp->leave || tcp->draining)
        return;
    tcp->leave = event_new(tcp->host->base, -1, EV_PERSIST, on_leave, tcp);
    if (!tcp->leave || event_add(tcp->leave, &often) < 0) {
        umbel_tcp_drain(tcp, ms); /* without memory: all at once */
        return;
    }
    tcp_listen_close(tcp);
    tcp->leave_began_ns = clock_now_ns();
    tcp->leave_ns = ms * CLOCK_MS;
    tcp->leave_first = tcp->connections;
}

void umbel_tcp_retire(struct umbel_tcp *tcp, uint32_t step, uint32_t ms)
{
    if (step == UMBEL_RETIRE_PAUSE || step == UMBEL_RETIRE_RESUME)
        tcp_listen_pause(tcp, step == UMBEL_RETIRE_PAUSE);
    else
        leave(tcp, ms);
}

void umbel_tcp_close(struct umbel_tcp *tcp)
{
    if (!tcp)
        return;
    tcp_listen_close(tcp);
    while (!list_is_empty(&tcp->clients))
        tcp_client_kill(list_entry(tcp->clients.next, struct umbel_tcp_client, link));
    tcp->drained = true;
    tcp_turn(tcp); /* frees them */
    if (tcp->leave)
        event_free(tcp->leave);
    if (tcp->wake)
        event_free(tcp->wake);
    if (tcp->tick)
        event_free(tcp->tick);
    free(tcp);
}
