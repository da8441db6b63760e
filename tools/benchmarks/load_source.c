#include "tools/benchmarks/load_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/benchmarks/load_token.h"

#define REQUEST_MAX (256u << 10)
#define EVENT_MAX 512u /* bytes of one event with its chunk's frame */

struct source_stream {
    int fd;
    bool answering, waiting /* POST: for its answer */;
    uint32_t number;
    uint64_t due_ns;
    struct source_stream *next; /* in source.due */
    char *request;
    size_t request_size;
    char out[8 * EVENT_MAX];
    size_t out_size, out_sent;
};

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char event_begin[] = "data: {\"id\":\"chatcmpl-load\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"load\","
                                  "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
static const char event_end[] = "\"},\"finish_reason\":null}]}\n\n";
static const char finish[] = "data: {\"id\":\"chatcmpl-load\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"load\","
                             "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

static void put(struct source_stream *s, const char *data, size_t size)
{
    memcpy(s->out + s->out_size, data, size);
    s->out_size += size;
}

static void put_token(struct source *source, struct source_stream *s, uint64_t now_ns)
{
    char token[TOKEN_SIZE], line[160];

    token_make(s->number++, now_ns, token);
    if (source->options.kind == SOURCE_OPENAI) {
        size_t size = sizeof event_begin - 1 + TOKEN_SIZE + sizeof event_end - 1;
        put(s, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", size));
        put(s, event_begin, sizeof event_begin - 1);
        put(s, token, TOKEN_SIZE);
        put(s, event_end, sizeof event_end - 1);
        put(s, "\r\n", 2);
    } else {
        if (source->options.kind == SOURCE_POST)
            put(s, line, (size_t)snprintf(line, sizeof line, "POST %s HTTP/1.1\r\nHost: load\r\nContent-Length: %u\r\n\r\n",
                                          source->options.path, TOKEN_SIZE));
        put(s, token, TOKEN_SIZE);
    }
    atomic_fetch_add_explicit(&source->sent, 1, memory_order_relaxed);
}

static void watch(struct source *source, struct source_stream *s, int how, uint32_t events)
{
    epoll_ctl(source->epoll, how, s->fd, &(struct epoll_event){.events = events, .data.ptr = s});
}

/* true: everything has gone out. */
static bool flush(struct source *source, struct source_stream *s)
{
    while (s->out_sent < s->out_size) {
        ssize_t n = send(s->fd, s->out + s->out_sent, s->out_size - s->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) {
            watch(source, s, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return false;
        }
        s->out_sent += (size_t)n;
    }
    s->out_size = s->out_sent = 0;
    return true;
}

/* Behind all others: its time was the first and is now one pace later, and no other's is (schedule_first). */
static void schedule(struct source *source, struct source_stream *s)
{
    s->next = NULL;
    *(source->due ? &source->last->next : &source->due) = s;
    source->last = s;
}

/* The first time of a stream is a point of a grid that the server under test has no part in: how fast it passes requests on must not
 * decide how many streams speak at once.  Nobody is due before now_ns, so that no time is more than a pace behind the first one. */
static void schedule_first(struct source *source, struct source_stream *s, uint64_t now_ns)
{
    uint64_t pace_ns = source->options.pace_ns, phase_ns = 0;
    struct source_stream **at = &source->due;

    if (source->options.spread) /* the golden section puts each new one into the widest gap */
        phase_ns = (uint64_t)((double)(source->begun++ * 2654435769u) / 4294967296.0 * (double)pace_ns);
    s->due_ns = now_ns - now_ns % pace_ns + phase_ns;
    if (s->due_ns < now_ns)
        s->due_ns += pace_ns;
    if (source->due && source->last->due_ns <= s->due_ns) {
        schedule(source, s);
        return;
    }
    while (*at && (*at)->due_ns <= s->due_ns)
        at = &(*at)->next;
    s->next = *at;
    *at = s;
    if (!s->next)
        source->last = s;
}

static void put_end(struct source *source, struct source_stream *s)
{
    char line[32];

    s->answering = false;
    s->number = 0;
    if (source->options.kind != SOURCE_OPENAI)
        return;
    put(s, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", sizeof finish - 1));
    put(s, finish, sizeof finish - 1);
    put(s, "\r\n0\r\n\r\n", 7);
}

/* As much as the reader takes. */
static void run_unpaced(struct source *source, struct source_stream *s)
{
    while (s->answering && flush(source, s)) {
        if (s->number == source->options.tokens) {
            put_end(source, s);
            break;
        }
        if (source->options.kind == SOURCE_POST) {
            if (s->waiting)
                return;
            s->waiting = true;
            put_token(source, s, token_now_ns());
            continue;
        }
        put_token(source, s, token_now_ns()); /* a write each: services flush every token */
    }
    if (!s->answering && s->out_size > 0 && flush(source, s))
        watch(source, s, EPOLL_CTL_MOD, EPOLLIN);
}

static void run_due(struct source *source, uint64_t now_ns)
{
    while (source->due && source->due->due_ns <= now_ns) {
        struct source_stream *s = source->due;
        source->due = s->next;
        if (s->out_size + 4 * EVENT_MAX > sizeof s->out) { /* the reader is behind: the token is made at a later one of its times */
            source->skipped++;
            s->due_ns += source->options.pace_ns;
            schedule(source, s);
            flush(source, s);
            continue;
        }
        if (s->number < source->options.tokens) {
            uint64_t made_ns = token_now_ns();
            token_note(&source->late, made_ns - s->due_ns);
            put_token(source, s, made_ns);
        }
        if (s->number == source->options.tokens)
            put_end(source, s);
        flush(source, s);
        s->due_ns += source->options.pace_ns;
        if (s->answering)
            schedule(source, s);
    }
}

static void begin(struct source *source, struct source_stream *s)
{
    uint64_t now_ns;

    s->answering = true;
    s->number = 0;
    if (source->options.kind == SOURCE_OPENAI)
        put(s, head, sizeof head - 1);
    if (!source->options.pace_ns) {
        run_unpaced(source, s);
        return;
    }
    now_ns = token_now_ns();
    run_due(source, now_ns);
    schedule_first(source, s, now_ns);
}

static void drop(struct source *source, struct source_stream *s)
{
    struct source_stream **at = &source->due;

    while (*at && *at != s)
        at = &(*at)->next;
    if (*at) {
        *at = s->next;
        if (source->last == s)
            for (source->last = source->due; source->last && source->last->next; source->last = source->last->next)
                ;
    }
    close(s->fd);
    free(s->request);
    free(s);
}

/* One request is whole once its head and its announced body are there. */
static bool request_whole(struct source_stream *s)
{
    const char *end = memmem(s->request, s->request_size, "\r\n\r\n", 4);
    size_t body = 0;

    if (!end)
        return false;
    for (const char *at = s->request; at + 15 < end; at++)
        if (strncasecmp(at, "content-length:", 15) == 0)
            body = strtoul(at + 15, NULL, 10);
    return s->request_size >= (size_t)(end - s->request) + 4 + body;
}

/* false: the other side has gone. */
static bool take_request(struct source *source, struct source_stream *s)
{
    if (!s->request && !(s->request = malloc(REQUEST_MAX)))
        return false;
    ssize_t n = recv(s->fd, s->request + s->request_size, REQUEST_MAX - s->request_size, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (source->options.kind != SOURCE_OPENAI) {
        s->waiting = false; /* nchan answers in one piece */
        if (!source->options.pace_ns)
            run_unpaced(source, s);
        return true;
    }
    s->request_size += (size_t)n;
    if (s->request_size == REQUEST_MAX)
        return false;
    if (!s->answering && request_whole(s)) {
        free(s->request);
        s->request = NULL;
        s->request_size = 0;
        begin(source, s);
    }
    return true;
}

static struct source_stream *add(struct source *source, int fd)
{
    struct source_stream *s = calloc(1, sizeof *s);
    int on = 1;

    if (!s) {
        close(fd);
        return NULL;
    }
    s->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(source, s, EPOLL_CTL_ADD, EPOLLIN);
    return s;
}

static void serve(struct source *source, const struct epoll_event *event)
{
    struct source_stream *s = event->data.ptr;

    if (!s) { /* the listener or the wake-up */
        for (int fd; (fd = accept4(source->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
            add(source, fd);
        return;
    }
    if (event->events & EPOLLOUT && s->out_size > 0 && flush(source, s)) {
        watch(source, s, EPOLL_CTL_MOD, EPOLLIN);
        if (!source->options.pace_ns)
            run_unpaced(source, s);
    }
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !take_request(source, s))
        drop(source, s);
}

static void *run(void *argument)
{
    struct source *source = argument;
    struct epoll_event events[256];

    while (!atomic_load(&source->stop)) {
        struct timespec wait = {1, 0};
        if (source->due) {
            uint64_t now_ns = token_now_ns(), left = source->due->due_ns > now_ns ? source->due->due_ns - now_ns : 0;
            if (left < 1000000000u)
                wait = (struct timespec){0, (long)left};
        }
        int n = epoll_pwait2(source->epoll, events, 256, &wait, NULL);
        for (int i = 0; i < n; i++)
            serve(source, &events[i]);
        run_due(source, token_now_ns());
    }
    return NULL;
}

static int open_socket(struct source *source)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(source->options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool listens = source->options.kind == SOURCE_OPENAI;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (listens ? SOCK_NONBLOCK : 0), 0), on = 1;

    if (fd == -1)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listens ? bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0 : connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int source_start(struct source *source, const struct source_options *options)
{
    *source = (struct source){.options = *options, .listener = -1};
    source->epoll = epoll_create1(EPOLL_CLOEXEC);
    source->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int fd = open_socket(source);
    if (fd < 0)
        return fd;
    epoll_ctl(source->epoll, EPOLL_CTL_ADD, source->wake, &(struct epoll_event){.events = EPOLLIN});
    if (options->kind == SOURCE_OPENAI) {
        source->listener = fd;
        epoll_ctl(source->epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
    } else {
        struct source_stream *s = add(source, fd);
        if (!s)
            return -ENOMEM;
        begin(source, s);
    }
    return -pthread_create(&source->thread, NULL, run, source);
}

void source_stop(struct source *source)
{
    atomic_store(&source->stop, true);
    eventfd_write(source->wake, 1);
    pthread_join(source->thread, NULL);
}
