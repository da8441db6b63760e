/* Very many WebSocket clients of ws-bmob in one process, for many_clients.test.mjs: many_clients PORT SOURCE PATH
 *
 * Every one asks for PATH from the address SOURCE and reads what comes.  Commands on standard input, a line each:
 *   more N   opens N more clients        tell   prints one line of JSON on all of them        (end of input: all leave)
 * Of an answer each client keeps the length and a hash of its text as it stands in JSON; "answers" of tell counts clients by
 * "how many they have had whole:length:hash of the last". */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 256u /* connections that are being made: less than a listening socket's queue */
#define CLIENTS_MAX 100000u
#define FNV_START 14695981039346656037u
#define FNV_PRIME 1099511628211u

enum state { CONNECTING, ASKED, OPEN, GONE };

struct client {
    int fd;
    enum state state;
    char *data; /* what came and is no whole frame (or head) yet */
    size_t size;
    uint32_t answers;
    uint64_t hash, length, last_hash, last_length;
};

static struct client *clients[CLIENTS_MAX];
static uint32_t wanted, begun, on_the_way, opened, refused, closed, failed, bad;
static struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
static const char *path;
static int epoll;
static char buffer[1 << 18];

static void leave(struct client *c)
{
    if (c->state == CONNECTING || c->state == ASKED) {
        on_the_way--;
        *(c->state == ASKED ? &refused : &failed) += 1; /* refused: it was taken, and closed without a word */
    } else {
        closed++;
        opened--;
    }
    c->state = GONE;
    close(c->fd);
    free(c->data);
    c->data = NULL;
}

static void ask(struct client *c)
{
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                        path);

    c->state = ASKED;
    send(c->fd, request, (size_t)size, MSG_NOSIGNAL); /* a failure is seen when it is read from */
}

static void take_text(struct client *c, const char *text, size_t size)
{
    static const char content[] = "\"content\":\"", finish[] = "\"finish_reason\":\"";
    const char *end = text + size, *at = memmem(text, size, content, sizeof content - 1);
    const char *last = memmem(text, size, finish, sizeof finish - 1);

    if (!at || !last || last + sizeof finish - 1 >= end) {
        bad++;
        return;
    }
    at += sizeof content - 1;
    while (at < end && *at != '"')
        for (const char *next = at + (*at == '\\' ? 2 : 1); at < next && at < end; at++, c->length++) /* an escape is two bytes at least */
            c->hash = (c->hash ^ (uint8_t)*at) * FNV_PRIME;
    if (last[sizeof finish - 1] == '"')
        return;
    c->answers++;
    c->last_hash = c->hash;
    c->last_length = c->length;
    c->hash = FNV_START;
    c->length = 0;
}

/* Bytes of the frame at data, 0: not whole.  Frames of a server have no mask. */
static size_t take_frame(struct client *c, const char *data, size_t size)
{
    const uint8_t *head = (const uint8_t *)data;
    size_t at = 2, length;

    if (size < 2)
        return 0;
    length = head[1] & 127u;
    if (length == 126 && size >= 4) {
        length = (size_t)head[2] << 8 | head[3];
        at = 4;
    } else if (length >= 126) {
        bad += length == 127; /* no frame of this protocol is so long */
        return length == 127 ? size : 0;
    }
    if (size < at + length)
        return 0;
    if (head[0] == 0x81) {
        take_text(c, data + at, length);
    } else if (head[0] == 0x89 && length < 126) {
        char pong[6 + 125] = {(char)0x8a, (char)(0x80 | length)};
        memcpy(pong + 6, data + at, length);
        send(c->fd, pong, 6 + length, MSG_NOSIGNAL);
    } else if (head[0] != 0x88) {
        bad++;
    }
    return at + length;
}

static void take(struct client *c, const char *data, size_t size)
{
    size_t done = 0, n;

    if (c->state == ASKED) {
        const char *end = memmem(data, size, "\r\n\r\n", 4);
        if (!end)
            goto keep;
        done = (size_t)(end - data) + 4;
        c->state = OPEN;
        on_the_way--;
        opened++;
        bad += size < 12 || memcmp(data + 9, "101", 3) != 0;
    }
    while ((n = take_frame(c, data + done, size - done)))
        done += n;
keep:;
    char *rest = size > done ? malloc(size - done) : NULL;
    if (rest)
        memcpy(rest, data + done, size - done);
    free(c->data);
    c->data = rest;
    c->size = size - done;
}

static void readable(struct client *c)
{
    memcpy(buffer, c->data ? c->data : "", c->data ? c->size : 0);
    size_t had = c->data ? c->size : 0;
    ssize_t n = recv(c->fd, buffer + had, sizeof buffer - had, MSG_DONTWAIT);

    if (n > 0)
        take(c, buffer, had + (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        leave(c);
}

static void begin(void)
{
    struct client *c = calloc(1, sizeof *c);
    int one = 1;

    if (!c)
        exit(1);
    clients[begun++] = c;
    c->hash = FNV_START;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    on_the_way++;
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (c->fd == -1 || bind(c->fd, (struct sockaddr *)&from, sizeof from) == -1 ||
        (connect(c->fd, (struct sockaddr *)&to, sizeof to) == -1 && errno != EINPROGRESS) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.ptr = c}) == -1)
        leave(c);
}

static void on_event(struct client *c, uint32_t events)
{
    if (c->state == CONNECTING && events & (EPOLLERR | EPOLLHUP)) {
        int error = 0;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
        if (error == 0 || error == ECONNRESET || error == EPIPE)
            c->state = ASKED; /* connected, and closed already */
        leave(c);
        return;
    }
    if (c->state == CONNECTING && events & EPOLLOUT) {
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
        ask(c);
        return;
    }
    if (c->state != GONE)
        readable(c);
}

static void tell(void)
{
    struct kind {
        uint32_t answers, count;
        uint64_t hash, length;
    } kinds[64] = {0};
    size_t used = 0, k;

    for (uint32_t i = 0; i < begun; i++) {
        const struct client *c = clients[i];
        if (c->state != OPEN)
            continue;
        for (k = 0; k < used && (kinds[k].answers != c->answers || kinds[k].hash != c->last_hash || kinds[k].length != c->last_length); k++)
            ;
        if (k == used && used < sizeof kinds / sizeof kinds[0] - 1) /* the last one takes all that are left */
            kinds[used++] = (struct kind){.answers = c->answers, .hash = c->last_hash, .length = c->last_length};
        kinds[k].count++;
    }
    printf("{\"wanted\":%u,\"waiting\":%u,\"open\":%u,\"refused\":%u,\"closed\":%u,\"failed\":%u,\"bad\":%u,\"answers\":{", wanted,
           wanted - begun + on_the_way, opened, refused, closed, failed, bad);
    for (k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        if (kinds[k].count)
            printf("%s\"%u:%llu:%016llx\":%u", k ? "," : "", kinds[k].answers, (unsigned long long)kinds[k].length,
                   (unsigned long long)kinds[k].hash, kinds[k].count);
    printf("}}\n");
    fflush(stdout);
}

static void command(void)
{
    static char line[256];
    static size_t size;
    ssize_t n = read(STDIN_FILENO, line + size, sizeof line - 1 - size);
    char *end;

    if (n <= 0)
        exit(bad ? 1 : 0);
    size += (size_t)n;
    line[size] = '\0';
    while ((end = strchr(line, '\n'))) {
        if (strncmp(line, "more ", 5) == 0 && strtoul(line + 5, NULL, 10) <= CLIENTS_MAX - wanted)
            wanted += (uint32_t)strtoul(line + 5, NULL, 10);
        else if (strncmp(line, "tell", 4) == 0)
            tell();
        size -= (size_t)(end + 1 - line);
        memmove(line, end + 1, size + 1);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[512];
    struct rlimit limit;

    if (argc != 4)
        return 2;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_pton(AF_INET, argv[2], &from.sin_addr);
    path = argv[3];
    epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
    for (;;) {
        while (begun < wanted && on_the_way < AT_ONCE)
            begin();
        int n = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
            else
                command();
    }
}
