#include "tools/benchmarks/load_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 256u          /* connections being made */
#define BUFFER (1u << 20)
#define REQUEST_MAX 4096u
#define CONNECT_LIMIT_S 60u

struct client {
    struct load *load;
    struct wire wire;
    struct token_reader reader;
    int fd;
    bool asker, connected, ready;
};

struct load {
    struct load_options options;
    struct client *clients; /* the asker is the last one */
    uint32_t count, opened, connecting, ready, gone, complete;
    int epoll;
    uint64_t now_ns;
    struct load_result result;
    char buffer[BUFFER];
};

static void take_text(void *owner, const char *text, size_t size)
{
    struct client *c = owner;
    struct load *load = c->load;
    uint32_t before = c->reader.next;

    if (!load->result.first_ns)
        load->result.first_ns = load->now_ns;
    token_read(&c->reader, text, size, load->now_ns, &load->result.tally, &load->result.times);
    if (before < load->options.tokens && c->reader.next >= load->options.tokens)
        load->complete++;
}

static void drop(struct client *c)
{
    if (c->fd < 0)
        return;
    close(c->fd);
    c->fd = -1;
    c->load->gone++;
    if (!c->ready) {
        c->ready = true;
        c->load->ready++;
        c->load->result.refused++;
    }
    if (!c->connected)
        c->load->connecting--;
}

static void ready(struct client *c)
{
    if (c->ready)
        return;
    c->ready = true;
    c->load->ready++;
}

static void send_all(struct client *c, const char *data, size_t size)
{
    if (send(c->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) /* it is small and the first thing in the buffer */
        drop(c);
}

static void send_request(struct client *c)
{
    char request[REQUEST_MAX];
    const struct load_options *o = &c->load->options;
    const char *from = c->asker ? o->ask : o->request, *mark = strstr(from, "%u");
    int size = mark ? snprintf(request, sizeof request, "%.*s%u%s", (int)(mark - from), from, (unsigned)(c - c->load->clients), mark + 2)
                    : snprintf(request, sizeof request, "%s", from);

    send_all(c, request, (size_t)size);
}

/* A masked text frame; the mask is zero, which is one. */
static void send_frame(struct client *c, const char *text)
{
    char frame[REQUEST_MAX];
    size_t size = strlen(text), head = size < 126 ? 6 : 8;

    if (size + head > sizeof frame)
        return;
    memset(frame, 0, head);
    frame[0] = (char)0x81;
    frame[1] = (char)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) {
        frame[2] = (char)(size >> 8);
        frame[3] = (char)size;
    }
    memcpy(frame + head, text, size);
    send_all(c, frame, head + size);
}

static void take(struct client *c)
{
    struct load *load = c->load;

    for (;;) {
        ssize_t n = recv(c->fd, load->buffer, sizeof load->buffer, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            drop(c);
            return;
        }
        load->result.bytes += (uint64_t)n;
        if (!wire_take(&c->wire, load->buffer, (size_t)n, take_text, c)) {
            drop(c);
            return;
        }
        if (c->wire.head_done)
            ready(c);
        if ((size_t)n < sizeof load->buffer)
            return;
    }
}

static void on_event(struct client *c, uint32_t events)
{
    struct load *load = c->load;

    if (!c->connected && events & EPOLLOUT) {
        c->connected = true;
        load->connecting--;
        load->result.connected++;
        epoll_ctl(load->epoll, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
        if (c->asker ? load->options.wire == WIRE_WS : !load->options.request_at_go)
            send_request(c);
        if (c->fd >= 0 && (load->options.wire != WIRE_WS)) /* the head of an answer that nobody has asked for yet comes later */
            ready(c);
    }
    if (c->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        take(c);
}

static int connect_one(struct load *load, struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(load->options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd == -1)
        return -errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    load->connecting++;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        drop(c);
        return 0;
    }
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.ptr = c});
    return 0;
}

static void turn(struct load *load, int wait_ms)
{
    struct epoll_event events[512];
    int n = epoll_wait(load->epoll, events, 512, wait_ms);

    load->now_ns = token_now_ns();
    for (int i = 0; i < n; i++) {
        if (i % 16 == 15) /* times of arrival within a long turn */
            load->now_ns = token_now_ns();
        on_event(events[i].data.ptr, events[i].events);
    }
}

int load_open(const struct load_options *options, struct load **ret_load)
{
    struct load *load = calloc(1, sizeof *load);
    int r = 0;

    if (!load)
        return -ENOMEM;
    load->options = *options;
    load->count = options->clients + (options->ask ? 1 : 0);
    load->clients = calloc(load->count, sizeof *load->clients);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!load->clients || load->epoll == -1)
        return -ENOMEM;
    for (uint32_t i = 0; i < load->count; i++)
        load->clients[i] = (struct client){.load = load, .fd = -1, .wire.kind = options->wire, .asker = options->ask && i == options->clients};
    uint64_t limit = token_now_ns() + (uint64_t)CONNECT_LIMIT_S * 1000000000u;
    while ((load->opened < load->count || load->ready < load->count) && token_now_ns() < limit) {
        while (load->opened < load->count && load->opened - load->ready < AT_ONCE && r == 0)
            r = connect_one(load, &load->clients[load->opened++]);
        if (r < 0)
            return r;
        turn(load, 100);
    }
    *ret_load = load;
    if (load->ready == load->count && !load->result.refused)
        return 0;
    fprintf(stderr, "bench-load: %u readers wanted, %u connected, %u answered, %u of these refused\n", load->count, load->result.connected,
            load->ready, load->result.refused);
    return load->result.refused ? -ECONNREFUSED : -ETIMEDOUT;
}

void load_run(struct load *load, struct load_result *ret_result)
{
    const struct load_options *o = &load->options;
    uint64_t limit;

    load->result.began_ns = token_now_ns();
    if (load->options.settle_ms > 0)
        load->result.times.settled_ns = load->result.began_ns + load->options.settle_ms * UINT64_C(1000000);
    load->result.bytes = 0;
    for (uint32_t i = 0; i < load->count; i++) {
        struct client *c = &load->clients[i];
        if (c->asker && o->wire == WIRE_WS)
            send_frame(c, o->ask_then);
        else if (c->asker || o->request_at_go)
            send_request(c);
        else if (o->then)
            send_frame(c, o->then);
    }
    limit = token_now_ns() + (uint64_t)o->limit_s * 1000000000u;
    while (load->complete < load->count && load->gone < load->count && token_now_ns() < limit)
        turn(load, 100);
    load->result.ended_ns = token_now_ns();
    for (uint32_t i = 0; i < load->count; i++)
        if (load->clients[i].reader.next < o->tokens)
            load->result.tally.lost += o->tokens - load->clients[i].reader.next;
    *ret_result = load->result;
}

void load_close(struct load *load)
{
    for (uint32_t i = 0; i < load->count; i++) {
        if (load->clients[i].fd >= 0)
            close(load->clients[i].fd);
        wire_free(&load->clients[i].wire);
    }
    close(load->epoll);
    free(load->clients);
    free(load);
}
