/* support/both_backends.h - runs every test of a unit once on io_uring and once on epoll; the names say which.
 * Included by a test after cmocka.h.  The tests make their loops with .io = backend. */
#ifndef SUPPORT_BOTH_BACKENDS_H
#define SUPPORT_BOTH_BACKENDS_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/uring/uring_loop.h"

#define BOTH_TESTS_MAX 64
#define BOTH_QUIET_NS (20 * CLOCK_MS)

static const char *backend = "auto"; /* "io_uring" or "epoll" while a test runs */

static int both_setup(void **state)
{
    backend = *state;
    return 0;
}

/* Whether this machine lets nobody use io_uring (sysctl, container), asked of the kernel itself: no bug of ours can answer yes.
 */
static bool both_ring_is_forbidden(void)
{
    return syscall(__NR_io_uring_setup, 0, NULL) == -1 && (errno == EPERM || errno == EACCES || errno == ENOSYS);
}

/* Turns until nothing happens three turns in a row: each waits for its whole time and completes nothing.  False: it never came to
 * rest.  A slow machine only makes turns longer, so it cannot make this fail. */
static inline bool both_comes_to_rest(struct uring_loop *loop)
{
    int still = 0;

    for (int turn = 0; turn < 1000 && still < 3; turn++) {
        struct uring_loop_counts before, after;
        uint64_t began = clock_now_ns();

        uring_loop_counts(loop, &before);
        if (uring_loop_turn(loop, (int)(BOTH_QUIET_NS / CLOCK_MS)) < 0)
            return false;
        uring_loop_counts(loop, &after);
        still = before.completions == after.completions && clock_now_ns() - began >= BOTH_QUIET_NS ? still + 1 : 0;
    }
    return still == 3;
}

static int both_run(const struct CMUnitTest *tests, size_t count)
{
    static const char *const names[] = {"io_uring", "epoll"};
    static struct CMUnitTest doubled[2 * BOTH_TESTS_MAX];
    static char text[2 * BOTH_TESTS_MAX][128];
    size_t used = 0;

    if (count > BOTH_TESTS_MAX) {
        fprintf(stderr, "%zu tests, there is room for %d\n", count, BOTH_TESTS_MAX);
        return 1;
    }
    for (size_t b = both_ring_is_forbidden() ? 1 : 0; b < 2; b++)
        for (size_t i = 0; i < count; i++, used++) {
            snprintf(text[used], sizeof text[used], "%s on %s", tests[i].name, names[b]);
            doubled[used] = tests[i];
            doubled[used].name = text[used];
            doubled[used].setup_func = both_setup;
            doubled[used].initial_state = (void *)(uintptr_t)names[b];
        }
    if (used == count)
        printf("# io_uring is not permitted here: the tests run on epoll only\n");
    return _cmocka_run_group_tests(backend, doubled, used, NULL, NULL);
}

#endif
