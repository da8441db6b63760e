/* Deliveries that leave together: every byte once and in order, whatever each socket takes. */
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
#include <unistd.h>

#include "core/host/hosting.h"

static struct hosting *h;
static char folder[] = "/tmp/umbel-test-send-XXXXXX";

struct end {
    int pair[2];
    unsigned told;
    size_t rest;
    char first; /* of the rest */
    int error;
};

static void on_sent(void *owner, const void *rest, size_t size, int error)
{
    struct end *end = owner;

    end->told++;
    end->rest = size;
    end->first = size ? *(const char *)rest : '\0';
    end->error = error;
}

static int set_up(void **state)
{
    char path[128];
    struct why why = {""};

    (void)state;
    h = calloc(1, sizeof *h);
    assert_non_null(h);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/host", folder);
    assert_int_equal(host_stats_create(path, "test", 4, &h->stats, &why), 0);
    unlink(path);
    rmdir(folder);
    h->api = (struct umbel_host){.struct_size = sizeof h->api, .context = h};
    host_send_open(&h->send, &why);
    if (!h->send)
        print_message("skipped: %s\n", why.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    host_send_free(h->send);
    stats_page_free(h->stats);
    free(h);
    return 0;
}

static void end_open(struct end *end)
{
    *end = (struct end){.rest = SIZE_MAX};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, end->pair), 0);
}

static void end_close(struct end *end)
{
    close(end->pair[0]);
    close(end->pair[1]);
}

static int put(struct end *end, const char *bytes, size_t size)
{
    return host_send_put(&h->api, end->pair[0], bytes, size, on_sent, end);
}

static void receives(const struct end *end, const char *expected)
{
    char bytes[64] = "";

    assert_int_equal(read(end->pair[1], bytes, sizeof bytes - 1), strlen(expected));
    assert_string_equal(bytes, expected);
}

#define NEEDS_RING() \
    do {             \
        if (!h->send) \
            skip();  \
    } while (0)

/* Goal: nothing goes out before its time, all of it then, to the right socket, and each owner is told once.
 * Method: pairs with equal, different and changed bytes.  Catches: bytes borrowed instead of copied, a shared copy that is not equal, a lost one. */
static void all_go_out_together(void **state)
{
    enum { COUNT = 40 };
    static struct end ends[COUNT];
    char text[32];

    (void)state;
    NEEDS_RING();
    host_send_begin(h);
    for (int i = 0; i < COUNT; i++) {
        end_open(&ends[i]);
        snprintf(text, sizeof text, "hello %d", i / 4);
        assert_int_equal(put(&ends[i], text, strlen(text)), 1);
        memset(text, 'x', sizeof text);
    }
    for (int i = 0; i < COUNT; i++) {
        char byte;
        assert_int_equal(read(ends[i].pair[1], &byte, 1), -1);
        assert_int_equal(ends[i].told, 0);
    }
    host_send_end(h);
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "hello %d", i / 4);
        receives(&ends[i], text);
        assert_int_equal(ends[i].told, 1);
        assert_int_equal(ends[i].rest, 0);
        assert_int_equal(ends[i].error, 0);
        end_close(&ends[i]);
    }
}

/* Goal: more than there is room for goes out in time, also by bytes.
 * Method: over twice HOST_SEND_MAX to a few pairs; big pieces.  Catches: an overrun, a piece that is dropped when the table is full. */
static void there_is_always_room(void **state)
{
    enum { PAIRS = 8 };
    static char big[HOST_SEND_ONE_MAX];
    struct end ends[PAIRS], end;
    size_t got, sent = 0;

    (void)state;
    NEEDS_RING();
    for (unsigned i = 0; i < PAIRS; i++)
        end_open(&ends[i]);
    host_send_begin(h);
    for (unsigned i = 0; i < 2 * HOST_SEND_MAX + PAIRS; i++)
        assert_int_equal(put(&ends[i % PAIRS], "abcd" + i / PAIRS % 4, 1), 1);
    host_send_end(h);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_int_equal(ends[i].told, 2 * HOST_SEND_MAX / PAIRS + 1);
        got = 0;
        for (char byte; read(ends[i].pair[1], &byte, 1) == 1; got++)
            assert_int_equal(byte, "abcd"[got % 4]);
        assert_int_equal(got, 2 * HOST_SEND_MAX / PAIRS + 1);
        end_close(&ends[i]);
    }

    end_open(&end);
    host_send_begin(h);
    for (int i = 0; i < 40; i++) {
        char drained[HOST_SEND_ONE_MAX];
        memset(big, 'a' + i % 26, sizeof big);
        assert_int_equal(put(&end, big, sizeof big), 1);
        sent += sizeof big;
        host_send_now(&h->api);
        assert_int_equal(end.rest, 0);
        for (ssize_t n; (n = read(end.pair[1], drained, sizeof drained)) > 0; sent -= (size_t)n)
            assert_int_equal(drained[0], 'a' + i % 26);
    }
    host_send_end(h);
    assert_int_equal(sent, 0);
    end_close(&end);
}

/* Goal: a full socket and a broken one are told apart, at once, and the others do not notice.
 * Method: a pair filled to the brim, one whose peer is gone, a good one between them.
 * Catches: a wait for the full one, bytes lost that it did not take, an error for a full one, a signal. */
static void a_full_and_a_broken_socket(void **state)
{
    static char big[HOST_SEND_ONE_MAX];
    struct end full, good, broken;
    size_t taken = 0;

    (void)state;
    NEEDS_RING();
    end_open(&full);
    end_open(&good);
    end_open(&broken);
    signal(SIGPIPE, SIG_IGN);
    close(broken.pair[1]);
    memset(big, 'b', sizeof big);
    do {
        host_send_begin(h);
        assert_int_equal(put(&full, big, sizeof big), 1);
        assert_int_equal(put(&good, "fine", 4), 1);
        assert_int_equal(put(&broken, "gone", 4), 1);
        host_send_end(h);
        taken += sizeof big - full.rest;
        receives(&good, "fine");
        assert_int_equal(full.error, 0);
        assert_int_equal(broken.error, -EPIPE);
    } while (full.rest == 0);
    assert_int_equal(full.first, 'b');
    for (char bytes[4096]; taken > 0;) {
        ssize_t n = read(full.pair[1], bytes, sizeof bytes);
        assert_true(n > 0);
        taken -= (size_t)n;
    }
    assert_int_equal(read(full.pair[1], big, 1), -1);
    end_close(&full);
    end_close(&good);
    close(broken.pair[0]);
}

/* Goal: outside of deliveries, for too many bytes, and where there is no ring, carriers write by themselves.
 * Method: those calls.  Catches: bytes that wait for a turn that does not come. */
static void declines_what_is_not_its_own(void **state)
{
    static char big[HOST_SEND_ONE_MAX + 1];
    struct host_send *send = h->send;
    struct end end;

    (void)state;
    end_open(&end);
    assert_int_equal(put(&end, "x", 1), 0);
    host_send_begin(h);
    assert_int_equal(put(&end, big, sizeof big), 0);
    assert_int_equal(put(&end, "", 0), 0);
    host_send_end(h);
    assert_int_equal(put(&end, "x", 1), 0);
    h->send = NULL;
    host_send_begin(h);
    assert_int_equal(put(&end, "x", 1), 0);
    host_send_now(&h->api);
    host_send_end(h);
    h->send = send;
    assert_int_equal(end.told, 0);
    end_close(&end);
}

/* Goal: the ring does nothing but write, whoever holds it.  Method: other operations on it, and a list of its own for it.
 * Catches: a ring without its list, a list that can be replaced. */
static void the_ring_can_only_write(void **state)
{
    struct io_uring_cqe *cqe;
    struct end end;

    (void)state;
    NEEDS_RING();
    end_open(&end);
    for (int i = 0; i < 3; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&h->send->io);
        if (i == 0)
            io_uring_prep_nop(sqe);
        else if (i == 1)
            io_uring_prep_send(sqe, end.pair[0], "x", 1, 0);
        else
            io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
        assert_true(io_uring_submit_and_wait(&h->send->io, 1) >= 0);
        assert_int_equal(io_uring_peek_cqe(&h->send->io, &cqe), 0);
        assert_int_equal(cqe->res, -EACCES);
        io_uring_cqe_seen(&h->send->io, cqe);
    }
    assert_true(io_uring_register_probe(&h->send->io, &(struct io_uring_probe){0}, 0) < 0);
    end_close(&end);
}

/* Goal: the lag of a delivery ends when its bytes leave.  Method: a mark before and after.  Catches: a lag counted twice or not at all. */
static void lag_is_counted_once(void **state)
{
    struct end end;

    (void)state;
    NEEDS_RING();
    end_open(&end);
    host_send_begin(h);
    uint64_t mark = host_send_mark(h);
    assert_false(host_send_lag(h, mark, 5));
    assert_int_equal(put(&end, "x", 1), 1);
    assert_true(host_send_lag(h, mark, 5));
    host_send_now(&h->api);
    assert_false(host_send_lag(h, mark, 5));
    host_send_end(h);
    end_close(&end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_go_out_together),        cmocka_unit_test(there_is_always_room), cmocka_unit_test(a_full_and_a_broken_socket),
        cmocka_unit_test(declines_what_is_not_its_own), cmocka_unit_test(lag_is_counted_once),
        cmocka_unit_test(the_ring_can_only_write),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
