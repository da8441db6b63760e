/* Unit tests of core/uring/uring_restrict: what a ring of the engine refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "core/uring/uring_probe.h"
#include "core/uring/uring_restrict.h"

static int open_ring(void **state)
{
    static struct io_uring io;
    struct why why = {""};

    int r = uring_probe_open(8, &io, &why);
    *state = r == 0 ? &io : NULL;
    if (r < 0)
        print_message("not judged here: %s\n", why.text);
    return 0;
}

static int close_ring(void **state)
{
    if (*state)
        io_uring_queue_exit(*state);
    return 0;
}

static int32_t result_of(struct io_uring *io)
{
    struct io_uring_cqe *cqe;
    int32_t value;

    assert_int_equal(io_uring_submit_and_wait(io, 1), 1);
    assert_int_equal(io_uring_peek_cqe(io, &cqe), 0);
    value = cqe->res;
    io_uring_cqe_seen(io, cqe);
    return value;
}

/* Goal: the ring cannot be used to do what the engine does not.  Method: the same entries once on the engine's ring, where each must be
 * refused by the kernel.  Catches: a ring that is enabled without its list, a list that lets everything through. */
static void what_the_engine_never_does_is_refused(void **state)
{
    struct io_uring *io = *state;
    struct why why = {""};

    if (!io)
        skip();
    assert_int_equal(uring_restrict(io, &why), 0);
    io_uring_prep_openat(io_uring_get_sqe(io), AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
    assert_int_equal(result_of(io), -EACCES);
    io_uring_prep_socket(io_uring_get_sqe(io), AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
    assert_int_equal(result_of(io), -EACCES);
    io_uring_prep_unlinkat(io_uring_get_sqe(io), AT_FDCWD, "/nothing/of/this/name", 0);
    assert_int_equal(result_of(io), -EACCES);
    io_uring_prep_nop(io_uring_get_sqe(io));
    assert_int_equal(result_of(io), -EACCES);

    struct io_uring_sqe *sqe = io_uring_get_sqe(io);
    io_uring_prep_close(sqe, 0);
    sqe->flags |= IOSQE_IO_DRAIN;
    assert_int_equal(result_of(io), -EACCES);
    const int fds[] = {0};
    assert_int_equal(io_uring_register_files(io, fds, 1), -EACCES);
}

/* Goal: what the engine does goes through.  The rest of it is proven by test_uring_loop and test_uring_socket on the same ring.
 * Catches: an operation missing from the list. */
static void a_ring_that_is_restricted_works(void **state)
{
    static const uint64_t one = 1;
    struct io_uring *io = *state;
    struct why why = {""};
    int pair[2];

    if (!io)
        skip();
    assert_int_equal(uring_restrict(io, &why), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    io_uring_prep_write(io_uring_get_sqe(io), pair[0], &one, sizeof one, 0);
    assert_int_equal(result_of(io), sizeof one);
    io_uring_prep_send(io_uring_get_sqe(io), pair[0], &one, sizeof one, MSG_NOSIGNAL);
    assert_int_equal(result_of(io), sizeof one);
    io_uring_prep_close(io_uring_get_sqe(io), pair[0]);
    assert_int_equal(result_of(io), 0);
    io_uring_prep_close(io_uring_get_sqe(io), pair[1]);
    assert_int_equal(result_of(io), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_engine_never_does_is_refused, open_ring, close_ring),
        cmocka_unit_test_setup_teardown(a_ring_that_is_restricted_works, open_ring, close_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
