/* core/uring: stream sockets on the loop: connecting, receiving, sending, every way of ending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/uring/uring_loop.h"
#include "core/uring/uring_socket.h"
#include "core/uring/uring_socket_state.h"
#include "tests/support/both_backends.h"

#define PATIENCE_NS (60 * CLOCK_S)

/* One end of a connection with everything that was told about it. */
struct end {
    struct uring_loop *loop;
    struct uring_socket *socket;
    char *bytes; /* received so far */
    size_t size;
    int connected, drained, closed, error;
    bool echo, pause_at_once;
    enum { CLOSE_NEVER, CLOSE_CONNECTED, CLOSE_RECEIVED, CLOSE_DRAINED, CLOSE_CLOSED } close_in;
};

static void end_close(struct end *end)
{
    uring_socket_close(end->socket);
    end->socket = NULL;
}

static void end_connected(void *owner)
{
    struct end *end = owner;

    assert_non_null(end->socket);
    end->connected++;
    if (end->close_in == CLOSE_CONNECTED)
        end_close(end);
}

static void end_received(void *owner, const char *bytes, size_t size)
{
    struct end *end = owner;

    assert_non_null(end->socket);
    assert_true(size > 0);
    end->bytes = realloc(end->bytes, end->size + size);
    memcpy(end->bytes + end->size, bytes, size);
    end->size += size;
    if (end->echo)
        assert_int_equal(uring_socket_send(end->socket, bytes, size), 0);
    if (end->pause_at_once)
        uring_socket_pause(end->socket, true);
    if (end->close_in == CLOSE_RECEIVED)
        end_close(end);
}

static void end_drained(void *owner)
{
    struct end *end = owner;

    assert_non_null(end->socket);
    assert_int_equal(uring_socket_unsent(end->socket), 0);
    end->drained++;
    if (end->close_in == CLOSE_DRAINED)
        end_close(end);
}

static void end_closed(void *owner, int error)
{
    struct end *end = owner;

    assert_non_null(end->socket);
    end->closed++;
    end->error = error;
    if (end->close_in == CLOSE_CLOSED)
        end_close(end);
}

static const struct uring_socket_ops end_ops = {end_connected, end_received, end_drained, end_closed};

static void end_free(struct end *end)
{
    if (end->socket)
        end_close(end);
    free(end->bytes);
}

static struct uring_loop *make_loop(uint32_t entries, uint32_t buffers, uint32_t buffer_size)
{
    struct uring_loop_options options = {.io = backend, .entries = entries, .buffers = buffers, .buffer_size = buffer_size};
    struct uring_loop *loop;
    struct why why = {""};

    if (uring_loop_create(&options, &loop, &why) < 0)
        fail_msg("%s", why.text);
    return loop;
}

static uint64_t open_sockets(struct uring_loop *loop)
{
    struct uring_loop_counts counts;

    uring_loop_counts(loop, &counts);
    return counts.sockets;
}

/* Turns until the condition holds; a minute is for machines that are asleep. */
#define TURN_UNTIL(loop, condition)                                                                                              \
    do {                                                                                                                         \
        uint64_t until_ns = clock_now_ns() + PATIENCE_NS;                                                                        \
        while (!(condition)) {                                                                                                   \
            if (clock_now_ns() >= until_ns)                                                                                      \
                fail_msg("never: %s", #condition);                                                                               \
            assert_int_equal(uring_loop_turn(loop, 100), 0);                                                                     \
        }                                                                                                                        \
    } while (0)

/* Turns until nothing completes any more, so that what must not happen has had its chance. */
static void settle(struct uring_loop *loop)
{
    struct uring_loop_counts before, after;

    do {
        uring_loop_counts(loop, &before);
        assert_int_equal(uring_loop_turn(loop, 20), 0);
        uring_loop_counts(loop, &after);
    } while (after.completions != before.completions);
}

static void adopt(struct uring_loop *loop, int fd, struct end *end)
{
    end->loop = loop;
    assert_int_equal(uring_socket_adopt(loop, fd, &end_ops, end, &end->socket), 0);
}

/* A pair: one end on the loop, the other a plain descriptor for the test to use. */
static int adopt_pair(struct uring_loop *loop, struct end *end)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    adopt(loop, pair[0], end);
    return pair[1];
}

static int listen_on_loopback(struct sockaddr_in *ret_address, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_address = address;
    return fd;
}

static void begin_connect(struct uring_loop *loop, const struct sockaddr_in *address, uint64_t timeout_ns, struct end *end)
{
    end->loop = loop;
    assert_int_equal(
        uring_socket_connect(loop, (const struct sockaddr *)address, sizeof *address, timeout_ns, &end_ops, end, &end->socket),
        0);
}

static void fill(char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)((i * 31 + i / 251 + seed * 7) & 0xff);
}

/* Goal: connect, send before it is connected, echo, orderly end.  Method: a TCP connection to ourselves, both ends on the loop.
 * Catches: bytes queued early that never leave; a missing or doubled callback. */
static void test_connect_and_echo(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address, 8);
    struct end client = {0}, server = {.echo = true};
    char sent[10000];

    (void)state;
    fill(sent, sizeof sent, 1);
    begin_connect(loop, &address, CLOCK_S, &client);
    assert_int_equal(uring_socket_send(client.socket, sent, sizeof sent), 0);
    TURN_UNTIL(loop, client.connected);
    adopt(loop, accept(listener, NULL, NULL), &server);
    TURN_UNTIL(loop, client.size == sizeof sent);
    assert_memory_equal(client.bytes, sent, sizeof sent);
    assert_int_equal(client.drained, 1);
    end_close(&client);
    TURN_UNTIL(loop, server.closed);
    assert_int_equal(server.error, 0);
    assert_int_equal(client.connected, 1);
    assert_int_equal(client.closed, 0);
    end_free(&server);
    end_free(&client);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    close(listener);
    uring_loop_free(loop);
}

/* Goal: a thousand connections at once, a submission queue far smaller than that.  Method: 1000 pairs with both ends on the loop;
 * every client sends three messages, every server echoes.  Catches: operations lost in a full queue; bytes in the wrong
 * connection. */
static void test_thousand_sockets(void **state)
{
    enum { PAIRS = 1000, SIZE = 700 };
    struct rlimit limit;
    struct uring_loop *loop = make_loop(16, 64, 1024);
    struct end *clients = calloc(PAIRS, sizeof *clients), *servers = calloc(PAIRS, sizeof *servers);
    char message[SIZE];
    int done = 0;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < PAIRS; i++) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        servers[i].echo = true;
        adopt(loop, pair[0], &servers[i]);
        adopt(loop, pair[1], &clients[i]);
    }
    assert_int_equal(open_sockets(loop), 2 * PAIRS);
    for (size_t round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < PAIRS; i++) {
            fill(message, SIZE, i);
            assert_int_equal(uring_socket_send(clients[i].socket, message, SIZE), 0);
        }
        for (int i = 0; i < PAIRS; i++)
            TURN_UNTIL(loop, clients[i].size == round * SIZE);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        fill(message, SIZE, i);
        for (size_t round = 0; round < 3; round++)
            done += memcmp(clients[i].bytes + round * SIZE, message, SIZE) == 0;
        assert_null(clients[i].socket->sending);
        assert_null(clients[i].socket->waiting);
        end_free(&clients[i]);
        end_free(&servers[i]);
    }
    assert_int_equal(done, 3 * PAIRS);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    uring_loop_free(loop);
    free(clients);
    free(servers);
}

/* Goal: too few buffers only make it slower.  Method: 60 sockets with 20 KB waiting each against 2 buffers of 256 bytes; all
 * arrive whole, the work is in proportion, and when all is read the loop is still.  Catches: lost bytes, a forgotten starved
 * socket, a busy loop. */
static void test_no_buffer_free(void **state)
{
    enum { SOCKETS = 60, SIZE = 20000, BUFFERS = 2, BUFFER_SIZE = 256 };
    struct uring_loop *loop = make_loop(16, BUFFERS, BUFFER_SIZE);
    struct end ends[SOCKETS] = {0};
    int peers[SOCKETS];
    static char sent[SIZE];
    struct uring_loop_counts counts, still;

    (void)state;
    for (unsigned i = 0; i < SOCKETS; i++) {
        peers[i] = adopt_pair(loop, &ends[i]);
        fill(sent, SIZE, i);
        assert_int_equal(write(peers[i], sent, SIZE), SIZE);
    }
    for (unsigned i = 0; i < SOCKETS; i++) {
        TURN_UNTIL(loop, ends[i].size == SIZE);
        fill(sent, SIZE, i);
        assert_memory_equal(ends[i].bytes, sent, SIZE);
    }
    uring_loop_counts(loop, &counts);
    if (strcmp(backend, "io_uring") == 0) { /* epoll has one buffer, which is free whenever it is needed */
        assert_true(counts.enobufs > 0);
        assert_int_equal(counts.buffers_total, BUFFERS);
    }
    assert_int_equal(counts.buffers_free, counts.buffers_total);
    /* Each buffer's worth of data may cost its completion and some refusals, never one refusal for each waiting socket. */
    assert_true(counts.completions < 4ull * SOCKETS * SIZE / BUFFER_SIZE);
    settle(loop);
    uring_loop_counts(loop, &counts);
    assert_int_equal(uring_loop_turn(loop, 50), 0);
    uring_loop_counts(loop, &still);
    assert_int_equal(still.completions, counts.completions);
    assert_int_equal(still.submissions, counts.submissions);
    for (int i = 0; i < SOCKETS; i++) {
        close(peers[i]);
        TURN_UNTIL(loop, ends[i].closed);
        end_free(&ends[i]);
    }
    uring_loop_free(loop);
}

/* Goal: a reset is told once, with its name.  Method: the peer closes with unread data on TCP, zero linger.  Catches: a reset
 * that looks like an orderly end; two callbacks. */
static void test_peer_reset(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct sockaddr_in address;
    struct linger now = {1, 0};
    int listener = listen_on_loopback(&address, 8), peer;
    struct end client = {0};

    (void)state;
    begin_connect(loop, &address, 0, &client);
    TURN_UNTIL(loop, client.connected);
    peer = accept(listener, NULL, NULL);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(peer);
    TURN_UNTIL(loop, client.closed);
    assert_int_equal(client.error, -ECONNRESET);
    assert_int_equal(uring_socket_send(client.socket, "x", 1), -EPIPE);
    settle(loop);
    assert_int_equal(client.closed, 1);
    end_free(&client);
    close(listener);
    uring_loop_free(loop);
}

/* Goal: a refused connection and an address family nobody has.  Method: a port that was just closed; family 255.
 * Catches: `connected` after a failure; a leaked descriptor. */
static void test_connect_refused(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct sockaddr_in address;
    struct sockaddr nonsense = {.sa_family = 255};
    struct end client = {0};

    (void)state;
    close(listen_on_loopback(&address, 1));
    begin_connect(loop, &address, CLOCK_S, &client);
    TURN_UNTIL(loop, client.closed);
    assert_int_equal(client.error, -ECONNREFUSED);
    assert_int_equal(client.connected, 0);
    end_free(&client);
    assert_int_equal(uring_socket_connect(loop, &nonsense, sizeof nonsense, 0, &end_ops, &client, &client.socket), -EAFNOSUPPORT);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    uring_loop_free(loop);
}

/* Fills a listener's queue until a connection attempt hangs; returns how many descriptors it used. */
static int fill_backlog(const struct sockaddr_in *address, int *fds, int max)
{
    for (int i = 0; i < max; i++) {
        struct timeval patience = {0, 300000};
        fd_set writable;

        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fds[i], (const struct sockaddr *)address, sizeof *address);
        FD_ZERO(&writable);
        FD_SET(fds[i], &writable);
        if (select(fds[i] + 1, NULL, &writable, NULL, &patience) == 0)
            return i + 1;
    }
    return 0;
}

/* Goal: a connection that is never answered ends with -ETIMEDOUT after the limit; closing one that hangs is quiet.
 * Method: a listener whose queue is full drops further attempts.  Catches: no limit, an early limit, a callback after close. */
static void test_connect_timeout(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address, 0), fds[16];
    int used = fill_backlog(&address, fds, 16);
    struct end client = {0}, given_up = {0};
    uint64_t began = clock_now_ns();

    (void)state;
    assert_true(used > 0);
    begin_connect(loop, &address, 50 * CLOCK_MS, &client);
    begin_connect(loop, &address, 0, &given_up);
    TURN_UNTIL(loop, client.closed);
    assert_int_equal(client.error, -ETIMEDOUT);
    assert_true(clock_now_ns() - began >= 50 * CLOCK_MS);
    end_close(&given_up);
    end_free(&client);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    assert_int_equal(given_up.closed + given_up.connected, 0);
    while (used > 0)
        close(fds[--used]);
    close(listener);
    uring_loop_free(loop);
}

/* Goal: closing with a receive and a blocked send in flight: no callback, descriptor and memory freed, the peer sees the end.
 * Method: a peer that reads nothing.  Catches: freed buffers under the kernel's hands (ASan), a descriptor that stays open. */
static void test_close_while_in_flight(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end end = {0};
    int peer = adopt_pair(loop, &end), fd = uring_socket_fd(end.socket);
    size_t size = 2 << 20;
    char *bytes = calloc(1, size), last;
    ssize_t n;

    (void)state;
    assert_int_equal(uring_socket_send(end.socket, bytes, size), 0);
    settle(loop);
    assert_true(uring_socket_unsent(end.socket) > 0);
    assert_int_equal(uring_socket_send(end.socket, bytes, size), 0);
    end_close(&end);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(end.size + (size_t)end.closed + (size_t)end.drained, 0);
    do
        n = read(peer, &last, 1);
    while (n == 1);
    assert_int_equal(n, 0);
    close(peer);
    free(bytes);
    uring_loop_free(loop);
}

/* Goal: the owner may close inside every callback, and hears nothing afterwards.  Method: one connection for each callback, with
 * further data and the peer's end arriving right behind.  Catches: use after free, late callbacks. */
static void test_close_inside_callbacks(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 16);
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address, 8), peer;
    struct end connected = {.close_in = CLOSE_CONNECTED}, received = {.close_in = CLOSE_RECEIVED},
               drained = {.close_in = CLOSE_DRAINED}, closed = {.close_in = CLOSE_CLOSED};

    (void)state;
    begin_connect(loop, &address, CLOCK_S, &connected);
    assert_int_equal(uring_socket_send(connected.socket, "never", 5), 0);
    TURN_UNTIL(loop, connected.connected && open_sockets(loop) == 0);
    assert_int_equal(connected.closed + connected.drained, 0);

    peer = adopt_pair(loop, &received);
    assert_int_equal(write(peer, "many small buffers of sixteen bytes are filled with this", 56), 56);
    close(peer);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    assert_int_equal(received.size, 16);
    assert_int_equal(received.closed, 0);

    peer = adopt_pair(loop, &drained);
    assert_int_equal(uring_socket_send(drained.socket, "bye", 3), 0);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    assert_int_equal(drained.drained, 1);
    assert_int_equal(drained.closed, 0);
    close(peer);

    peer = adopt_pair(loop, &closed);
    close(peer);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    assert_int_equal(closed.closed, 1);
    settle(loop);
    end_free(&connected);
    end_free(&received);
    end_free(&drained);
    end_free(&closed);
    close(listener);
    uring_loop_free(loop);
}

/* Goal: the send limit is exact and refuses whole messages; drained comes once all is gone; the queue's memory goes with it.
 * Method: a peer that reads late.  Catches: partial queueing, a limit that counts what is already sent, memory kept by idle
 * sockets. */
static void test_send_limit(void **state)
{
    enum { LIMIT = 400000 };
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end end = {0};
    int peer = adopt_pair(loop, &end);
    static char bytes[LIMIT], got[2 * LIMIT];
    size_t have = 0, room;

    (void)state;
    fill(bytes, LIMIT, 3);
    uring_socket_set_send_limit(end.socket, LIMIT);
    assert_int_equal(uring_socket_send(end.socket, bytes, LIMIT + 1), -ENOBUFS);
    assert_int_equal(uring_socket_unsent(end.socket), 0);
    assert_int_equal(uring_socket_send(end.socket, bytes, LIMIT - 1), 0);
    assert_int_equal(uring_socket_send(end.socket, bytes + LIMIT - 1, 1), 0);
    assert_int_equal(uring_socket_send(end.socket, bytes, 1), -ENOBUFS);
    assert_int_equal(uring_socket_unsent(end.socket), LIMIT);
    settle(loop);
    assert_int_equal(end.drained, 0);
    assert_in_range(uring_socket_unsent(end.socket), 1, LIMIT - 1);
    room = LIMIT - uring_socket_unsent(end.socket); /* what the kernel took makes room, behind the send that is in flight */
    assert_int_equal(uring_socket_send(end.socket, bytes, room), 0);
    assert_int_equal(uring_socket_send(end.socket, bytes, 1), -ENOBUFS);
    while (have < LIMIT + room) {
        ssize_t n = read(peer, got + have, sizeof got - have);

        have += n > 0 ? (size_t)n : 0;
        assert_int_equal(uring_loop_turn(loop, 0), 0);
    }
    assert_int_equal(have, LIMIT + room);
    TURN_UNTIL(loop, end.drained);
    assert_memory_equal(got, bytes, LIMIT);
    assert_memory_equal(got + LIMIT, bytes, room);
    assert_null(end.socket->sending);
    assert_null(end.socket->waiting);
    assert_int_equal(uring_socket_send(end.socket, bytes, LIMIT), 0);
    end_free(&end);
    close(peer);
    uring_loop_free(loop);
}

/* Goal: what one turn queues leaves as one send.  Method: 100 small sends, the loop counts its operations.
 * Catches: a system-call entry for every token. */
static void test_sends_coalesce(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end end = {0};
    int peer = adopt_pair(loop, &end);
    struct uring_loop_counts before, after;
    char got[1000];

    (void)state;
    settle(loop);
    uring_loop_counts(loop, &before);
    for (int i = 0; i < 100; i++)
        assert_int_equal(uring_socket_send(end.socket, "0123456789", 10), 0);
    TURN_UNTIL(loop, end.drained);
    uring_loop_counts(loop, &after);
    assert_int_equal(after.submissions - before.submissions, 1);
    assert_int_equal(read(peer, got, sizeof got), 1000);
    end_free(&end);
    close(peer);
    uring_loop_free(loop);
}

static void *echo_thread(void *argument)
{
    int fd = *(int *)argument;
    char byte;

    while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
        ;
    return NULL;
}

static void answer_received(void *owner, const char *bytes, size_t size)
{
    struct end *end = owner;

    (void)bytes;
    end->size += size;
    assert_int_equal(uring_socket_unsent(end->socket), 0);
    assert_int_equal(end->drained, end->size);
}

/* Goal: who hears an answer has heard before that the question was sent.  Method: 5000 single bytes to a thread that sends each
 * back at once.  Catches: a response that is over while its request counts as unsent, so that no connection is ever kept. */
static void test_sent_is_told_before_the_answer(void **state)
{
    static const struct uring_socket_ops ops = {NULL, answer_received, end_drained, end_closed};
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end end = {.loop = loop};
    pthread_t thread;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(uring_socket_adopt(loop, pair[0], &ops, &end, &end.socket), 0);
    assert_int_equal(pthread_create(&thread, NULL, echo_thread, &pair[1]), 0);
    for (size_t i = 1; i <= 5000; i++) {
        assert_int_equal(uring_socket_send(end.socket, "?", 1), 0);
        TURN_UNTIL(loop, end.size == i);
    }
    end_free(&end);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    pthread_join(thread, NULL);
    close(pair[1]);
    uring_loop_free(loop);
}

static void patience_ended(struct uring_timer *timer)
{
    (void)timer;
    fail_msg("nothing came");
}

/* Goal: what has ended is told without waiting for something else to happen.  Method: turns that wait without end, after a send,
 * a pause and a close, on a connection where nothing else comes.  Catches: a result that is known but waits for the next event.
 */
static void test_results_wake_the_loop(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end end = {0};
    int peer = adopt_pair(loop, &end);
    struct uring_timer patience = {.fired = patience_ended};

    (void)state;
    settle(loop);
    uring_timer_set(loop, &patience, PATIENCE_NS);
    assert_int_equal(uring_socket_send(end.socket, "x", 1), 0);
    while (!end.drained)
        assert_int_equal(uring_loop_turn(loop, -1), 0);
    uring_socket_pause(end.socket, true);
    while (end.socket->stopping)
        assert_int_equal(uring_loop_turn(loop, -1), 0);
    uring_socket_pause(end.socket, false);
    end_close(&end);
    while (open_sockets(loop) > 0)
        assert_int_equal(uring_loop_turn(loop, -1), 0);
    uring_timer_clear(loop, &patience);
    close(peer);
    uring_loop_free(loop);
}

/* Goal: a reused descriptor number never brings a stranger's bytes.  Method: 300 times: close a socket that has unread bytes, at
 * once open the next (which soon gets the same number), and check that each owner sees only its own letter.  Catches: close
 * before the cancellation is complete. */
static void test_descriptor_reuse(void **state)
{
    struct uring_loop *loop = make_loop(8, 4, 64);
    struct end ends[300] = {0};
    bool seen[1024] = {false};
    int reused = 0;

    (void)state;
    for (int i = 0; i < 300; i++) {
        char letter[32];
        int peer = adopt_pair(loop, &ends[i]), fd = uring_socket_fd(ends[i].socket);

        assert_in_range(fd, 0, 1023);
        reused += seen[fd];
        seen[fd] = true;
        memset(letter, 'a' + i % 26, sizeof letter);
        assert_int_equal(write(peer, letter, sizeof letter), sizeof letter);
        if (i % 3)
            TURN_UNTIL(loop, ends[i].size > 0);
        assert_int_equal(write(peer, letter, sizeof letter), sizeof letter);
        end_close(&ends[i]);
        close(peer);
        if (i % 2)
            TURN_UNTIL(loop, open_sockets(loop) == 0);
    }
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    assert_true(reused > 50);
    for (int i = 0; i < 300; i++) {
        for (size_t b = 0; b < ends[i].size; b++)
            assert_int_equal(ends[i].bytes[b], 'a' + i % 26);
        end_free(&ends[i]);
    }
    uring_loop_free(loop);
}

struct end_watcher {
    struct uring_hook hook;
    struct end *end;
};

static void close_the_ended(struct uring_hook *hook)
{
    struct end *end = list_entry(hook, struct end_watcher, hook)->end;

    if (end->closed && end->socket)
        end_close(end);
}

/* Goal: a connection that ends and is closed in one turn leaves nothing behind, though a duplicate keeps it alive: the next one
 * with its number is heard.  Method: a hook closes at the end of the turn in which the peer's end was told, with no operation in
 * flight. Catches: a registration that is thought to be there still, so that the next owner of the number waits for ever. */
static void test_number_reused_after_the_end(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end first = {0}, second = {0};
    struct end_watcher watcher = {.hook.run = close_the_ended, .end = &first};
    int peer = adopt_pair(loop, &first), number = uring_socket_fd(first.socket), twin = fcntl(number, F_DUPFD_CLOEXEC, 100);

    (void)state;
    settle(loop);
    uring_hook_add(loop, &watcher.hook);
    close(peer);
    TURN_UNTIL(loop, !first.socket);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    uring_hook_remove(loop, &watcher.hook);
    peer = adopt_pair(loop, &second);
    assert_int_equal(uring_socket_fd(second.socket), number);
    assert_int_equal(write(peer, "heard", 5), 5);
    TURN_UNTIL(loop, second.size == 5);
    assert_true(both_comes_to_rest(loop));
    end_free(&first);
    end_free(&second);
    close(peer);
    close(twin);
    uring_loop_free(loop);
}

/* Goal: pause holds the peer back, resume brings everything in order, many times over.  Method: the owner pauses in each
 * callback; the rest waits in the kernel.  Catches: bytes lost between a cancelled receive and the next, a pause that does not
 * hold. */
static void test_pause(void **state)
{
    enum { SIZE = 50000 };
    struct uring_loop *loop = make_loop(8, 16, 1024);
    struct end end = {.pause_at_once = true};
    int peer = adopt_pair(loop, &end);
    static char sent[SIZE];
    size_t held;

    (void)state;
    fill(sent, SIZE, 9);
    assert_int_equal(write(peer, sent, SIZE), SIZE);
    TURN_UNTIL(loop, end.size > 0);
    settle(loop);
    held = end.size;
    assert_true(held < SIZE);
    assert_int_equal(uring_loop_turn(loop, 50), 0);
    assert_int_equal(end.size, held);
    close(peer);
    while (end.size < SIZE) {
        held = end.size;
        uring_socket_pause(end.socket, false);
        TURN_UNTIL(loop, end.size > held);
    }
    assert_memory_equal(end.bytes, sent, SIZE);
    uring_socket_pause(end.socket, true);
    uring_socket_pause(end.socket, false);
    TURN_UNTIL(loop, end.closed);
    assert_int_equal(end.error, 0);
    end_free(&end);
    uring_loop_free(loop);
}

/* Goal: an end that nobody wants to hear of yet does not keep the loop busy.  Method: the peer of a paused socket goes; a
 * connection that both sides have ended stays open; both must be still, and the paused one hears of it when resumed.  Catches: a
 * hang-up, which epoll reports whether asked or not, spinning the loop. */
static void test_rest_after_the_end(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end paused = {0}, ended = {0};
    int peer = adopt_pair(loop, &paused), other = adopt_pair(loop, &ended);

    (void)state;
    uring_socket_pause(paused.socket, true);
    settle(loop);
    close(peer);
    uring_socket_shutdown_send(ended.socket);
    close(other);
    TURN_UNTIL(loop, ended.closed);
    assert_true(both_comes_to_rest(loop));
    assert_int_equal(paused.closed, 0);
    uring_socket_pause(paused.socket, false);
    TURN_UNTIL(loop, paused.closed);
    assert_int_equal(paused.error, 0);
    assert_true(both_comes_to_rest(loop));
    end_free(&paused);
    end_free(&ended);
    uring_loop_free(loop);
}

/* Goal: a send that waits for room hears that the peer has gone.  Method: a full connection, paused so that only the send is in
 * flight; the peer closes.  Catches: a send that waits for writability only, and for ever. */
static void test_blocked_send_hears_the_end(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end end = {0};
    int peer = adopt_pair(loop, &end);
    size_t size = 2 << 20;
    char *bytes = calloc(1, size);

    (void)state;
    assert_int_equal(uring_socket_send(end.socket, bytes, size), 0);
    uring_socket_pause(end.socket, true);
    assert_true(both_comes_to_rest(loop)); /* blocked, and not busy */
    assert_true(uring_socket_unsent(end.socket) > 0);
    close(peer);
    TURN_UNTIL(loop, uring_socket_unsent(end.socket) == 0);
    assert_int_equal(uring_socket_send(end.socket, "x", 1), -EPIPE);
    assert_int_equal(end.drained + end.closed, 0);
    uring_socket_pause(end.socket, false);
    TURN_UNTIL(loop, end.closed);
    assert_true(end.error == -EPIPE || end.error == -ECONNRESET);
    assert_true(both_comes_to_rest(loop));
    end_free(&end);
    free(bytes);
    uring_loop_free(loop);
}

/* Goal: half-closing by us ends the peer's input after all bytes, and we still receive; half-closing by the peer is told as an
 * orderly end, and we can still send.  Catches: a shutdown that overtakes queued bytes; sending that dies with the receiving
 * side. */
static void test_half_close(void **state)
{
    enum { SIZE = 300000 };
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end ours = {0}, theirs = {0};
    int peer = adopt_pair(loop, &ours), other = adopt_pair(loop, &theirs);
    static char bytes[SIZE], got[SIZE + 1];
    size_t have = 0;
    ssize_t n = 1;

    (void)state;
    fill(bytes, SIZE, 4);
    assert_int_equal(uring_socket_send(ours.socket, bytes, SIZE), 0);
    uring_socket_shutdown_send(ours.socket);
    assert_int_equal(uring_socket_send(ours.socket, "x", 1), -EPIPE);
    while (n != 0) {
        n = read(peer, got + have, sizeof got - have);
        have += n > 0 ? (size_t)n : 0;
        assert_int_equal(uring_loop_turn(loop, 0), 0);
    }
    assert_int_equal(have, SIZE);
    assert_memory_equal(got, bytes, SIZE);
    assert_int_equal(write(peer, "still here", 10), 10);
    TURN_UNTIL(loop, ours.size == 10);
    assert_int_equal(ours.closed, 0);

    assert_int_equal(shutdown(other, SHUT_WR), 0);
    TURN_UNTIL(loop, theirs.closed);
    assert_int_equal(theirs.error, 0);
    assert_int_equal(uring_socket_send(theirs.socket, "answer", 6), 0);
    TURN_UNTIL(loop, theirs.drained);
    assert_int_equal(read(other, got, 10), 6);
    end_free(&ours);
    end_free(&theirs);
    close(peer);
    close(other);
    uring_loop_free(loop);
}

/* Goal: close_after_send delivers every byte, though the peer keeps talking, and then lets go without callbacks.
 * Method: TCP, 1 MiB to a peer that reads late and has sent bytes nobody reads.  Catches: the reset that eats the last bytes. */
static void test_close_after_send(void **state)
{
    enum { SIZE = 1 << 20 };
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address, 8), peer;
    struct end client = {0};
    char *bytes = malloc(SIZE), *got = malloc(SIZE + 1);
    size_t have = 0;
    ssize_t n = 1;

    (void)state;
    fill(bytes, SIZE, 5);
    begin_connect(loop, &address, 0, &client);
    TURN_UNTIL(loop, client.connected);
    peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_int_equal(uring_socket_send(client.socket, bytes, SIZE), 0);
    uring_socket_close_after_send(client.socket);
    client.socket = NULL;
    while (n != 0) {
        n = read(peer, got + have, SIZE + 1 - have);
        have += n > 0 ? (size_t)n : 0;
        if (n == -1)
            assert_int_equal(errno, EAGAIN);
        assert_true(write(peer, "unread", 6) != 0);
        assert_int_equal(uring_loop_turn(loop, 0), 0);
    }
    assert_int_equal(have, SIZE);
    assert_memory_equal(got, bytes, SIZE);
    assert_int_equal(open_sockets(loop), 1);
    close(peer);
    TURN_UNTIL(loop, open_sockets(loop) == 0);
    assert_int_equal(client.closed + client.drained, 0);
    free(bytes);
    free(got);
    end_free(&client);
    close(listener);
    uring_loop_free(loop);
}

/* Goal: what the peer said before it refused our bytes is delivered first; then one `closed` with the error.  Method: the peer
 * writes, then closes; our send fails at once, while its last words are still unread because we were paused.  Catches: an early
 * error response that is thrown away because sending broke. */
static void test_last_words_of_the_peer(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct end end = {0};
    int peer = adopt_pair(loop, &end);

    (void)state;
    uring_socket_pause(end.socket, true);
    settle(loop);
    assert_int_equal(write(peer, "413 too large", 13), 13);
    close(peer);
    assert_int_equal(uring_socket_send(end.socket, "a large body", 12), 0);
    settle(loop);
    assert_int_equal(uring_socket_send(end.socket, "more", 4), -EPIPE);
    uring_socket_pause(end.socket, false);
    TURN_UNTIL(loop, end.closed);
    assert_int_equal(end.size, 13);
    assert_memory_equal(end.bytes, "413 too large", 13);
    assert_int_equal(end.error, -EPIPE);
    settle(loop);
    assert_int_equal(end.closed, 1);
    end_free(&end);
    uring_loop_free(loop);
}

/* Goal: freeing the loop closes what is open, with operations in flight, without callbacks.  Method: an idle socket, one with a
 * blocked send, one lingering, one connecting.  Catches: leaks (ASan), memory given back while the kernel uses it, a free that
 * hangs. */
static void test_free_with_sockets_open(void **state)
{
    struct uring_loop *loop = make_loop(8, 8, 512);
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address, 8);
    struct end idle = {0}, blocked = {0}, lingering = {0}, connecting = {0};
    int peers[] = {adopt_pair(loop, &idle), adopt_pair(loop, &blocked), adopt_pair(loop, &lingering)};
    size_t size = 2 << 20;
    char *bytes = calloc(1, size);

    (void)state;
    assert_int_equal(uring_socket_send(blocked.socket, bytes, size), 0);
    assert_int_equal(uring_socket_send(lingering.socket, bytes, size), 0);
    uring_socket_close_after_send(lingering.socket);
    settle(loop);
    begin_connect(loop, &address, CLOCK_S, &connecting);
    uring_loop_free(loop);
    for (size_t i = 0; i < 3; i++)
        close(peers[i]);
    close(listener);
    free(bytes);
    assert_int_equal(idle.closed + blocked.closed + lingering.closed + connecting.closed + connecting.connected, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_and_echo),
        cmocka_unit_test(test_thousand_sockets),
        cmocka_unit_test(test_no_buffer_free),
        cmocka_unit_test(test_peer_reset),
        cmocka_unit_test(test_connect_refused),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_close_while_in_flight),
        cmocka_unit_test(test_close_inside_callbacks),
        cmocka_unit_test(test_send_limit),
        cmocka_unit_test(test_sends_coalesce),
        cmocka_unit_test(test_sent_is_told_before_the_answer),
        cmocka_unit_test(test_results_wake_the_loop),
        cmocka_unit_test(test_descriptor_reuse),
        cmocka_unit_test(test_number_reused_after_the_end),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_rest_after_the_end),
        cmocka_unit_test(test_blocked_send_hears_the_end),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_close_after_send),
        cmocka_unit_test(test_last_words_of_the_peer),
        cmocka_unit_test(test_free_with_sockets_open),
    };

    return both_run(tests, sizeof tests / sizeof tests[0]);
}
