/* support/chaos.c - a transport plugin that misbehaves on request, for the integration tests; it is never installed.
 *
 * It answers plain HTTP on its own listening socket.  GET /ok is a sign of life, GET /forbidden?... tries what chaos_try.c lists and tells
 * the errno of each as JSON, every other path is a way to go wrong:
 *   /crash /hang /busy /leak /hoard /flood /never /poke?fd=N /close?seed=N (every other descriptor) /close (all) */
#include "tests/support/chaos.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <event2/event.h>

#include <umbel/transport.h>

#define LEAK_STEP ((size_t)8 << 20)
#define FLOOD_FRAMES 512u
#define FIRST_FD 3
#define PAST_FD 64

struct chaos {
    const struct umbel_host *host;
    struct event *acceptor, *leak;
    void *lost;
    bool hoards; /* it leaks shared memory */
    char flood[FLOOD_FRAMES * 64];
    size_t flood_size, flood_at;
};

/* Whole frames of the control channel, as many as it takes: how many readers an answer has that does not exist.  The core checks each and
 * answers none. */
static int flood_turn(void *arg)
{
    struct chaos *chaos = arg;

    if (!chaos->flood_size)
        return -1;
    for (int i = 0; i < 64; i++) {
        ssize_t n = write(FIRST_FD, chaos->flood + chaos->flood_at, chaos->flood_size - chaos->flood_at);
        if (n <= 0)
            return 1;
        chaos->flood_at = (chaos->flood_at + (size_t)n) % chaos->flood_size;
    }
    return 0;
}

static void flood_begin(struct chaos *chaos)
{
    const struct {
        uint32_t size;
        uint16_t type, zero;
        uint64_t tag, slot, generation, count;
    } frame = {.size = 24, .type = 8 /* CONTROL_READERS */, .generation = UINT32_MAX};

    for (unsigned i = 0; i < FLOOD_FRAMES; i++) {
        memcpy(chaos->flood + chaos->flood_size, &frame, sizeof frame);
        chaos->flood_size += sizeof frame;
    }
}

/* Memory of no descriptor's, shared with nobody: no resource limit counts it. */
static void *hoard_step(void)
{
    int fd = memfd_create("hoard", MFD_CLOEXEC);
    void *memory = MAP_FAILED;

    if (fd != -1 && ftruncate(fd, LEAK_STEP) == 0)
        memory = mmap(NULL, LEAK_STEP, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

static void leak_more(evutil_socket_t fd, short what, void *arg)
{
    struct chaos *chaos = arg;
    void **lost = chaos->hoards ? hoard_step() : malloc(LEAK_STEP);

    (void)fd, (void)what;
    if (!lost)
        return;
    memset(lost, 1, LEAK_STEP);
    *lost = chaos->lost; /* a chain that nobody frees: without it the compiler would leave all of this out */
    chaos->lost = lost;
}

static void leak_begin(struct chaos *chaos, bool hoards)
{
    const struct timeval often = {0, 50000};

    chaos->hoards = hoards;
    if (!chaos->leak)
        chaos->leak = event_new(chaos->host->base, -1, EV_PERSIST, leak_more, chaos);
    event_add(chaos->leak, &often);
}

static void close_some(const char *seed)
{
    unsigned state = seed ? (unsigned)strtoul(seed, NULL, 10) : 0;

    for (int fd = FIRST_FD; fd < PAST_FD; fd++) {
        state = state * 1103515245u + 12345u;
        if (!seed || state & 0x10000u)
            close(fd);
    }
}

/* Writes through a mapping that may only be read: the process must die of it. */
static void poke(const char *fd)
{
    char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd ? (int)strtol(fd, NULL, 10) : -1, 0);

    memory[64] = 1;
}

static void misbehave(struct chaos *chaos, const char *path, const char *query)
{
    char text[32];

    if (strcmp(path, "/crash") == 0)
        abort();
    else if (strcmp(path, "/hang") == 0)
        poll(NULL, 0, -1);
    else if (strcmp(path, "/busy") == 0)
        for (_Atomic unsigned turns = 0;; turns++)
            ;
    else if (strcmp(path, "/leak") == 0)
        leak_begin(chaos, false);
    else if (strcmp(path, "/hoard") == 0)
        leak_begin(chaos, true);
    else if (strcmp(path, "/flood") == 0)
        flood_begin(chaos);
    else if (strcmp(path, "/never") == 0)
        syscall(SYS_unshare, 0);
    else if (strcmp(path, "/poke") == 0)
        poke(chaos_query(query, "fd", text, sizeof text));
    else if (strcmp(path, "/close") == 0)
        close_some(chaos_query(query, "seed", text, sizeof text));
}

const char *chaos_query(const char *query, const char *name, char *ret_text, size_t room)
{
    size_t size = strlen(name);

    for (const char *at = query; at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL)
        if (strncmp(at, name, size) == 0 && at[size] == '=') {
            snprintf(ret_text, room, "%.*s", (int)strcspn(at + size + 1, "& "), at + size + 1);
            return ret_text;
        }
    return NULL;
}

static void answer(int fd, const char *body)
{
    char head[160];
    int size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                        strlen(body));

    if (send(fd, head, (size_t)size, MSG_NOSIGNAL) > 0)
        send(fd, body, strlen(body), MSG_NOSIGNAL);
    shutdown(fd, SHUT_RDWR);
}

/* One small request in one piece is all that the tests send. */
static void serve(struct chaos *chaos, int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char request[4096], body[8192];

    if (poll(&readable, 1, 1000) != 1)
        return;
    ssize_t n = recv(fd, request, sizeof request - 1, 0);
    if (n <= 4)
        return;
    request[n] = '\0';
    char *path = request + 4, *query, *end = strchr(path, ' ');
    if (!end)
        return;
    *end = '\0';
    query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    if (strcmp(path, "/forbidden") == 0) {
        chaos_try(query, body, sizeof body);
    } else {
        snprintf(body, sizeof body, "{\"pid\":%d}", (int)getpid());
    }
    answer(fd, body);
    misbehave(chaos, path, query);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    (void)what;
    if (fd == -1)
        return;
    serve(arg, fd);
    close(fd);
}

static int chaos_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    struct chaos *chaos = calloc(1, sizeof *chaos);

    if (!chaos)
        return -ENOMEM;
    chaos->host = host;
    chaos->acceptor = event_new(host->base, host->listener(host, 0), EV_READ | EV_PERSIST, on_accept, chaos);
    if (strcmp(host->config_text(config, "at_open"), "crash") == 0)
        abort();
    if (!chaos->acceptor || event_add(chaos->acceptor, NULL) < 0 || host->on_turn(host, flood_turn, chaos) < 0) {
        free(chaos);
        return -ENOMEM;
    }
    *ret_self = chaos;
    return 0;
}

static void chaos_drain(void *self, uint32_t deadline_ms)
{
    const struct chaos *chaos = self;

    (void)deadline_ms;
    chaos->host->drained(chaos->host);
}

static void chaos_close(void *self)
{
    struct chaos *chaos = self;

    event_free(chaos->acceptor);
    if (chaos->leak)
        event_free(chaos->leak);
    free(chaos);
}

static const struct umbel_option options[] = {
    {.type = UMBEL_OPTION_TEXT, .name = "at_open", .choices = "nothing|crash", .otherwise = "nothing", .help = "what to do when it is opened"},
};

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
                                                .abi_major = UMBEL_ABI_MAJOR,
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = CHAOS_NAME,
                                                .version = "0",
                                                .summary = "misbehaves, for tests",
                                                .options = options,
                                                .option_count = sizeof options / sizeof options[0],
                                                .option_size = sizeof options[0],
                                                .needs = CHAOS_NEEDS,
                                                .open = chaos_open,
                                                .drain = chaos_drain,
                                                .close = chaos_close};
