/* The admin socket served on a real loop, with clients of this same thread: they write, the loop turns, they read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/admin/admin_line.h"
#include "core/admin/admin_lock.h"
#include "core/admin/admin_server.h"
#include "core/admin/admin_socket.h"
#include "core/base/clock.h"
#include "core/base/fd.h"

#define PATIENCE_NS (60 * CLOCK_S) /* a bound for a hung test, not a speed that is asked for */

static struct {
    char folder[64];
    struct uring_loop *loop;
    struct admin_server *server;
    struct admin_request *request; /* the one the handler was given last */
    char argument[64];
    unsigned handled, gone;
} now;

static void keep_request(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    assert_ptr_equal(owner, &now);
    now.handled++;
    now.request = request;
    snprintf(now.argument, sizeof now.argument, "%s", admin_argument(arguments, 0));
}

static void note_gone(void *owner)
{
    assert_ptr_equal(owner, &now);
    now.gone++;
    now.request = NULL;
}

static int open_server_within(uint32_t request_timeout_ms)
{
    struct why why = {""};

    memset(&now, 0, sizeof now);
    strcpy(now.folder, "/tmp/umbel-admin-XXXXXX");
    if (!mkdtemp(now.folder) || uring_loop_create(NULL, &now.loop, &why) < 0 ||
        admin_server_open(now.loop, now.folder, request_timeout_ms, &now.server, &why) < 0) {
        fprintf(stderr, "%s\n", why.text);
        return -1;
    }
    admin_server_handle(now.server, "stream cancel", keep_request, &now);
    return 0;
}

static int open_server(void **state)
{
    (void)state;
    return open_server_within(600000);
}

static int open_impatient_server(void **state)
{
    (void)state;
    return open_server_within(50);
}

static int close_server(void **state)
{
    (void)state;
    admin_server_close(now.server);
    uring_loop_free(now.loop);
    return rmdir(now.folder); /* the socket's name is gone with the server */
}

static void turn(void)
{
    assert_int_equal(uring_loop_turn(now.loop, 10), 0);
}

static int join_server(void)
{
    struct why why = {""};
    int fd = admin_socket_connect(now.folder, &why);

    if (fd < 0)
        fail_msg("%s", why.text);
    assert_int_equal(fd_set_nonblocking(fd, true), 0);
    return fd;
}

static int ask(const char *line)
{
    int fd = join_server();

    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    return fd;
}

/* Reads until text is in what has come, or with text NULL until the end; returns all that came (good until the next call). */
static const char *read_until(int fd, const char *text)
{
    static char all[65536];
    uint64_t until = clock_now_ns() + PATIENCE_NS;
    size_t size = 0;

    for (all[0] = '\0'; !text || !strstr(all, text);) {
        ssize_t n = read(fd, all + size, sizeof all - 1 - size);

        if (n > 0)
            all[size += (size_t)n] = '\0';
        else if (n == 0 || errno != EAGAIN)
            break;
        else
            turn();
        assert_true(clock_now_ns() < until && size < sizeof all - 1);
    }
    if (text && !strstr(all, text))
        fail_msg("%s came instead of %s", all, text);
    return all;
}

static void until_handled(unsigned count)
{
    for (uint64_t until = clock_now_ns() + PATIENCE_NS; now.handled < count;) {
        turn();
        assert_true(clock_now_ns() < until);
    }
}

static void until_gone(unsigned count)
{
    for (uint64_t until = clock_now_ns() + PATIENCE_NS; now.gone < count;) {
        turn();
        assert_true(clock_now_ns() < until);
    }
}

static uint32_t open_now(void)
{
    struct admin_counts counts;

    admin_server_counts(now.server, &counts);
    return counts.open;
}

static const char cancel_line[] = "{\"command\":\"stream cancel\",\"arguments\":[\"chatcmpl-1\"]}\n";

/* Goal: a request reaches its handler; lines, then the end, reach the client, then the connection ends.  Method: answered later, from
 * outside the handler.  Catches: replies lost at close, a missing line end. */
static void test_request_and_replies(void **state)
{
    struct stat about;
    char path[128];
    int fd = ask(cancel_line);

    (void)state;
    snprintf(path, sizeof path, "%s/admin.sock", now.folder);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0660);
    until_handled(1);
    assert_string_equal(now.argument, "chatcmpl-1");
    assert_int_equal(admin_send(now.request, "{\"event\":\"text\"}", 16), 0);
    read_until(fd, "{\"event\":\"text\"}\n");
    admin_finish(now.request, "\"stream\":\"s\"");
    assert_string_equal(read_until(fd, NULL), "{\"ok\":true,\"stream\":\"s\"}\n");
    close(fd);
    fd = ask(cancel_line);
    until_handled(2);
    admin_fail(now.request, "no \"such\" stream", "see umbelctl stream list");
    assert_string_equal(read_until(fd, NULL), "{\"ok\":false,\"error\":\"no \\\"such\\\" stream\",\"hint\":\"see umbelctl stream list\"}\n");
    close(fd);
    assert_int_equal(now.gone, 0);
}

/* Goal: what is no request is answered with an error and the connection ends; nothing reaches the handler.  Method: bad lines, a line
 * that is too long.  Catches: the socket left open, the handler called. */
static void test_bad_requests(void **state)
{
    static char block[65536];
    struct admin_counts counts;
    size_t sent = 0;
    int fd = ask("GET / HTTP/1.1\r\n");

    (void)state;
    assert_non_null(strstr(read_until(fd, NULL), "\"ok\":false"));
    close(fd);
    fd = ask("{\"command\":\"chat\",\"arguments\":[\"hello\"]}\n"); /* known, but nobody handles it here */
    assert_non_null(strstr(read_until(fd, NULL), "does not offer"));
    close(fd);
    fd = join_server();
    memset(block, 'x', sizeof block);
    while (sent < ADMIN_LINE_MAX + sizeof block) {
        ssize_t n = write(fd, block, sizeof block);

        if (n > 0)
            sent += (size_t)n;
        else if (errno != EAGAIN)
            break;
        turn();
    }
    read_until(fd, "longer than 1 MiB");
    close(fd);
    admin_server_counts(now.server, &counts);
    assert_int_equal(counts.malformed, 3);
    assert_int_equal(counts.commands, 0);
    assert_int_equal(now.handled, 0);
}

/* Goal: who says nothing is sent away.  Method: a server that waits 50 ms; one client silent, one with half a line.  Catches: sixteen
 * silent connections that lock everybody out for ever. */
static void test_silent_client(void **state)
{
    int silent = join_server(), half = ask("{\"command\":");

    (void)state;
    assert_non_null(strstr(read_until(silent, NULL), "in time"));
    assert_non_null(strstr(read_until(half, NULL), "in time"));
    close(silent);
    close(half);
    assert_int_equal(open_now(), 0);
}

/* Goal: the connection beyond the last is told so at once, and its place works again when another ends.  Method: 16 running commands,
 * one more, one ends, one more.  Catches: a place lost, the table passed. */
static void test_too_many(void **state)
{
    struct admin_request *first = NULL;
    int fds[ADMIN_CONNECTIONS_MAX], fd;
    struct admin_counts counts;

    (void)state;
    for (unsigned i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        fds[i] = ask(cancel_line);
        until_handled(i + 1);
        if (i == 0)
            first = now.request;
        else
            admin_on_gone(now.request, note_gone, &now);
    }
    fd = join_server();
    assert_non_null(strstr(read_until(fd, NULL), "too many"));
    close(fd);
    admin_finish(first, NULL);
    assert_string_equal(read_until(fds[0], NULL), "{\"ok\":true}\n");
    fd = ask(cancel_line);
    until_handled(ADMIN_CONNECTIONS_MAX + 1);
    admin_finish(now.request, NULL);
    read_until(fd, NULL);
    close(fd);
    for (unsigned i = 0; i < ADMIN_CONNECTIONS_MAX; i++)
        close(fds[i]);
    until_gone(ADMIN_CONNECTIONS_MAX - 1);
    assert_int_equal(open_now(), 0);
    admin_server_counts(now.server, &counts);
    assert_int_equal(counts.refused, 1);
}

/* Goal: a peer that hangs up is noticed without a send, and told of once; one that only finished sending is still served.  Method:
 * close, and shutdown.  Catches: an answer that runs on for nobody, `nc` users cut off. */
static void test_peer_goes(void **state)
{
    int fd = ask(cancel_line);

    (void)state;
    until_handled(1);
    admin_on_gone(now.request, note_gone, &now);
    close(fd);
    until_gone(1);
    assert_int_equal(open_now(), 0);

    fd = ask(cancel_line);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    until_handled(2);
    admin_on_gone(now.request, note_gone, &now);
    for (int i = 0; i < 5; i++)
        turn(); /* the end of file is seen in one of them */
    assert_int_equal(admin_send(now.request, "{}", 2), 0);
    admin_finish(now.request, NULL);
    assert_string_equal(read_until(fd, NULL), "{}\n{\"ok\":true}\n");
    close(fd);
    assert_int_equal(now.gone, 1);
}

/* Goal: a reader that does not read costs at most ADMIN_SEND_MAX and is dropped, told from the loop and not inside admin_send.  Method:
 * send until refused.  Catches: memory without bound; a handler whose request is freed under it. */
static void test_slow_reader(void **state)
{
    static char block[100000];
    struct admin_counts counts;
    size_t sent = 0;
    int r = 0, fd = ask(cancel_line);

    (void)state;
    until_handled(1);
    admin_on_gone(now.request, note_gone, &now);
    memset(block, '1', sizeof block);
    while (r == 0) {
        r = admin_send(now.request, block, sizeof block);
        sent += sizeof block;
        assert_true(sent < 3 * ADMIN_SEND_MAX); /* what the kernel's buffers take is far less */
    }
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(now.gone, 0);
    assert_int_equal(admin_send(now.request, "1", 1), -EPIPE);
    until_gone(1);
    admin_server_counts(now.server, &counts);
    assert_int_equal(counts.dropped, 1);
    assert_int_equal(counts.open, 0);
    close(fd);
}

/* Goal: closing the server ends what runs: with gone() it is told, without it may still finish, into nowhere.  Method: one of each, and
 * a connection without a request.  Catches (ASan): a request that looks at its dead server, a leak. */
static void test_close_while_running(void **state)
{
    struct admin_request *deaf;
    int first = ask(cancel_line), second, third;

    (void)state;
    until_handled(1);
    deaf = now.request;
    second = ask(cancel_line);
    until_handled(2);
    admin_on_gone(now.request, note_gone, &now);
    third = join_server();
    for (uint64_t until = clock_now_ns() + PATIENCE_NS; open_now() < 3;) {
        turn();
        assert_true(clock_now_ns() < until);
    }
    admin_server_close(now.server);
    now.server = NULL;
    assert_int_equal(now.gone, 1);
    assert_int_equal(admin_send(deaf, "1", 1), -EPIPE);
    admin_finish(deaf, NULL);
    assert_string_equal(read_until(first, NULL), "");
    assert_string_equal(read_until(second, NULL), "");
    assert_string_equal(read_until(third, NULL), "");
    close(first);
    close(second);
    close(third);
}

/* Goal: a stale socket is replaced, and the name may be longer than an address holds.  Method: a folder of 200 letters with a leftover.
 * Catches: EADDRINUSE after a crash, a cut name. */
static void test_stale_and_long(void **state)
{
    struct admin_server *server;
    char folder[400], path[512];
    struct why why = {""};
    int fd;

    (void)state;
    snprintf(folder, sizeof folder, "%s/%0200d", now.folder, 1);
    assert_int_equal(mkdir(folder, 0700), 0);
    fd = admin_socket_listen(folder, &why);
    assert_true(fd >= 0);
    close(fd); /* as a crash does: the name stays */
    assert_int_equal(admin_socket_connect(folder, &why), -ECONNREFUSED);
    assert_int_equal(admin_server_open(now.loop, folder, 0, &server, &why), 0);
    fd = admin_socket_connect(folder, &why);
    assert_true(fd >= 0);
    close(fd);
    admin_server_close(server);
    snprintf(path, sizeof path, "%s/admin.sock", folder);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

/* Goal: one daemon a directory; the lock goes with its holder, however that ends; asking does not take it.  Method: a child holds it,
 * is stopped, is killed.  Catches: a lock that a second daemon passes, or that survives a crash, or that a question releases. */
static void test_lock(void **state)
{
    char folder[128], path[160];
    struct why why = {""};
    int ready[2], status, fd;
    pid_t child;
    char byte;

    (void)state;
    snprintf(folder, sizeof folder, "%s/run", now.folder);
    assert_int_equal(admin_lock_is_held(folder, &why), 0);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        byte = admin_lock(folder, NULL) >= 0 ? 'y' : 'n';
        if (write(ready[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    kill(child, SIGSTOP);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_int_equal(admin_lock_is_held(folder, &why), 1);
    assert_int_equal(admin_lock_is_held(folder, &why), 1);
    assert_int_equal(admin_lock(folder, &why), -EBUSY);
    snprintf(path, sizeof path, "pid %ld", (long)child);
    assert_non_null(strstr(why.text, path));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(admin_lock_is_held(folder, &why), 0);
    fd = admin_lock(folder, &why);
    assert_true(fd >= 0);
    assert_int_equal(admin_lock_is_held(folder, &why), 1);
    close(fd);
    assert_int_equal(admin_lock_is_held(folder, &why), 0);
    close(ready[0]);
    close(ready[1]);
    snprintf(path, sizeof path, "%s/umbeld.lock", folder);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_request_and_replies, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_bad_requests, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_silent_client, open_impatient_server, close_server),
        cmocka_unit_test_setup_teardown(test_too_many, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_peer_goes, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_slow_reader, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_close_while_running, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_stale_and_long, open_server, close_server),
        cmocka_unit_test_setup_teardown(test_lock, open_server, close_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
