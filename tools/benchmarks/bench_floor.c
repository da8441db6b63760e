/* bench-floor - the least a fan-out server can do: one send() of the same bytes to every client for every token, nothing else.  No JSON, no
 * journal, no joining, no care for slow readers (it waits for them).  What it reaches is the machine's limit without joining.
 *
 *   bench-floor PORT SOURCE_PORT     clients connect to PORT and are upgraded; one source connects to SOURCE_PORT */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/benchmarks/load_token.h"

#define CLIENTS_MAX 65536

static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
static int clients[CLIENTS_MAX];
static size_t count;

static int listening(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0) {
        perror("bench-floor");
        exit(1);
    }
    return fd;
}

static void welcome(int listener)
{
    char request[4096];
    int fd = accept(listener, NULL, NULL), on = 1;

    if (fd < 0 || count == CLIENTS_MAX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (recv(fd, request, sizeof request, 0) > 0 && send(fd, upgraded, sizeof upgraded - 1, MSG_NOSIGNAL) > 0)
        clients[count++] = fd;
}

static void fan_out(const char *token)
{
    char frame[2 + TOKEN_SIZE] = {(char)0x81, TOKEN_SIZE};

    memcpy(frame + 2, token, TOKEN_SIZE);
    for (size_t i = 0; i < count; i++)
        if (send(clients[i], frame, sizeof frame, MSG_NOSIGNAL) != (ssize_t)sizeof frame)
            continue; /* it has left */
}

static bool read_source(int fd)
{
    static char tokens[64 * TOKEN_SIZE]; /* one source: what is left of the last read stays */
    static size_t have;
    ssize_t n = recv(fd, tokens + have, sizeof tokens - have, 0);

    if (n <= 0)
        return false;
    have += (size_t)n;
    size_t whole = have / TOKEN_SIZE;
    for (size_t i = 0; i < whole; i++)
        fan_out(tokens + i * TOKEN_SIZE);
    have -= whole * TOKEN_SIZE;
    memmove(tokens, tokens + whole * TOKEN_SIZE, have);
    return true;
}

int main(int argc, char **argv)
{
    struct rlimit files = {1u << 20, 1u << 20};

    if (argc != 3)
        return 2;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = listening(argv[1]), source_listener = listening(argv[2]), source = -1, epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    epoll_ctl(epoll, EPOLL_CTL_ADD, source_listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = source_listener});
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, -1) < 1)
            continue;
        if (event.data.fd == listener) {
            welcome(listener);
        } else if (event.data.fd == source_listener) {
            source = accept(source_listener, NULL, NULL);
            epoll_ctl(epoll, EPOLL_CTL_ADD, source, &(struct epoll_event){.events = EPOLLIN, .data.fd = source});
        } else if (!read_source(event.data.fd)) {
            close(event.data.fd);
        }
    }
}
