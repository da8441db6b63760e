/* core/uring: the loop itself: timers, hooks, watches, wake-ups, and what it says where io_uring is forbidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/uring/uring_loop.h"
#include "core/uring/uring_probe.h"
#include "tests/support/both_backends.h"

#define PATIENCE_NS (60 * CLOCK_S)

static struct uring_loop *make_loop(uint32_t entries)
{
    struct uring_loop_options options = {.io = backend, .entries = entries, .buffers = 8, .buffer_size = 256};
    struct uring_loop *loop;
    struct why why = {""};

    if (uring_loop_create(&options, &loop, &why) < 0)
        fail_msg("%s", why.text);
    return loop;
}

/* ---- timers ---- */

#define TIMERS 500

struct ticket {
    struct uring_timer timer;
    struct uring_loop *loop;
    uint64_t due_ns; /* 0: must not fire */
};

static struct ticket tickets[TIMERS];
static uint64_t last_due_ns;
static int fired_count;

static void ticket_fired(struct uring_timer *timer)
{
    struct ticket *ticket = list_entry(timer, struct ticket, timer);

    assert_int_not_equal(ticket->due_ns, 0);
    assert_true(clock_now_ns() >= ticket->due_ns);
    assert_true(ticket->due_ns >= last_due_ns);
    assert_false(uring_timer_is_set(timer));
    last_due_ns = ticket->due_ns;
    ticket->due_ns = 0;
    fired_count++;
}

static void run_until_count(struct uring_loop *loop, const int *count, int wanted)
{
    uint64_t until = clock_now_ns() + PATIENCE_NS;

    while (*count < wanted && clock_now_ns() < until)
        assert_int_equal(uring_loop_turn(loop, 1000), 0);
    assert_int_equal(*count, wanted);
}

/* Goal: timers fire in the order of their times, each once, none early, whatever was set, moved and cleared before.
 * Method: random sets, moves in both directions and clears over 500 timers; the expected time is kept beside each.
 * Catches: a heap that loses or misorders nodes, a lazily moved timer that fires at its old time, a cleared one that fires. */
static void test_timers_fire_in_order(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int expected = 0;

    (void)state;
    srandom(1);
    last_due_ns = 0;
    fired_count = 0;
    memset(tickets, 0, sizeof tickets);
    for (int step = 0; step < 20000; step++) {
        struct ticket *ticket = &tickets[random() % TIMERS];

        ticket->timer.fired = ticket_fired;
        ticket->loop = loop;
        if (random() % 4 == 0) {
            uring_timer_clear(loop, &ticket->timer);
            ticket->due_ns = 0;
        } else {
            uint64_t delay_ns = CLOCK_S + (uint64_t)(random() % 100000) * 1000, before_ns = clock_now_ns();

            uring_timer_set(loop, &ticket->timer, delay_ns);
            ticket->due_ns = ticket->timer.at_ns; /* to the nanosecond, so that the order can be checked exactly */
            assert_in_range(ticket->due_ns, before_ns + delay_ns, clock_now_ns() + delay_ns);
        }
        assert_int_equal(uring_timer_is_set(&ticket->timer), ticket->due_ns != 0);
    }
    for (int i = 0; i < TIMERS; i++)
        expected += tickets[i].due_ns != 0;
    assert_true(expected > TIMERS / 4);
    run_until_count(loop, &fired_count, expected);
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    assert_int_equal(fired_count, expected);
    uring_loop_free(loop);
}

struct again {
    struct uring_timer timer;
    struct uring_loop *loop;
    int count;
};

static void again_fired(struct uring_timer *timer)
{
    struct again *again = list_entry(timer, struct again, timer);

    again->count++;
    uring_timer_set(again->loop, timer, 0);
}

/* Goal: a timer that sets itself again with no delay runs once a turn.  Method: counts over turns.  Catches: a turn that never
 * ends. */
static void test_timer_set_in_callback_waits_a_turn(void **state)
{
    struct uring_loop *loop = make_loop(8);
    struct again again = {.timer.fired = again_fired, .loop = loop};

    (void)state;
    uring_timer_set(loop, &again.timer, 0);
    for (int turn = 1; turn <= 5; turn++) {
        assert_int_equal(uring_loop_turn(loop, 1000), 0);
        assert_int_equal(again.count, turn);
    }
    uring_timer_clear(loop, &again.timer);
    uring_timer_clear(loop, &again.timer);
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    assert_int_equal(again.count, 5);
    uring_loop_free(loop);
}

static struct uring_timer victim;

static void victim_fired(struct uring_timer *timer)
{
    (void)timer;
    fail_msg("a cleared timer fired");
}

static void killer_fired(struct uring_timer *timer)
{
    uring_timer_clear(list_entry(timer, struct again, timer)->loop, &victim);
    list_entry(timer, struct again, timer)->count++;
}

/* Goal: a due timer that an earlier one clears does not fire.  Method: both due in one turn.  Catches: due timers taken out
 * beforehand. */
static void test_timer_cleared_by_another(void **state)
{
    struct uring_loop *loop = make_loop(8);
    struct again killer = {.timer.fired = killer_fired, .loop = loop};

    (void)state;
    victim = (struct uring_timer){.fired = victim_fired};
    uring_timer_set(loop, &killer.timer, 1);
    uring_timer_set(loop, &victim, CLOCK_MS);
    while (clock_now_ns() < victim.at_ns)
        ;
    run_until_count(loop, &killer.count, 1);
    assert_false(uring_timer_is_set(&victim));
    uring_loop_free(loop);
}

/* ---- hooks ---- */

struct counted_hook {
    struct uring_hook hook;
    struct uring_loop *loop;
    struct counted_hook *removes, *adds;
    int count;
};

static void counted_run(struct uring_hook *hook)
{
    struct counted_hook *self = list_entry(hook, struct counted_hook, hook);

    self->count++;
    if (self->removes)
        uring_hook_remove(self->loop, &self->removes->hook);
    if (self->adds)
        uring_hook_add(self->loop, &self->adds->hook);
    self->adds = NULL;
}

/* Goal: each hook runs once a turn, also while hooks remove themselves, each other, or add more.  Method: counts after each turn.
 * Catches: a walk that breaks when its neighbour goes; a hook added by a hook that runs at once. */
static void test_hooks_run_each_turn(void **state)
{
    struct uring_loop *loop = make_loop(8);
    struct counted_hook a = {.hook.run = counted_run, .loop = loop}, b = a, c = a, d = a;

    (void)state;
    uring_hook_add(loop, &a.hook);
    uring_hook_add(loop, &b.hook);
    uring_hook_add(loop, &c.hook);
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    a.removes = &b; /* the next one in the walk */
    c.removes = &c;
    c.adds = &d;
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    assert_int_equal(a.count, 3);
    assert_int_equal(b.count, 1);
    assert_int_equal(c.count, 2);
    assert_int_equal(d.count, 1);
    uring_loop_free(loop);
}

/* ---- watches and wake-ups ---- */

struct listener {
    struct uring_loop *loop;
    struct uring_watch *watch;
    int calls;
    bool leave_unread, close_at_once, stop;
    uint64_t sum;
};

static void listener_readable(void *owner, int fd)
{
    struct listener *listener = owner;
    uint64_t value;

    listener->calls++;
    if (!listener->leave_unread && read(fd, &value, sizeof value) == sizeof value)
        listener->sum += value;
    if (listener->close_at_once)
        uring_watch_close(listener->watch);
    if (listener->stop)
        uring_loop_stop(listener->loop);
}

/* Goal: a watch tells a level: what is left unread is told again, what was read is not.  Method: an eventfd left unread twice,
 * then read. Catches: edge-triggered polls that forget the second connection in a backlog. */
static void test_watch_is_level_triggered(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int fd = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK);
    struct listener listener = {.loop = loop, .leave_unread = true};

    (void)state;
    assert_int_equal(uring_watch_open(loop, fd, listener_readable, &listener, &listener.watch), 0);
    run_until_count(loop, &listener.calls, 2);
    listener.leave_unread = false;
    run_until_count(loop, &listener.calls, 3);
    assert_int_equal(listener.sum, 3);
    assert_int_equal(uring_loop_turn(loop, 20), 0);
    assert_int_equal(listener.calls, 3);
    uring_watch_close(listener.watch);
    close(fd);
    uring_loop_free(loop);
}

/* Goal: no callback after close, inside and outside a callback, though the descriptor stays readable.  Method: as told.
 * Catches: a poll begun again after close, a watch freed while its poll is in flight (ASan). */
static void test_watch_close(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    struct listener inside = {.loop = loop, .leave_unread = true, .close_at_once = true}, outside = {.loop = loop};

    (void)state;
    assert_int_equal(uring_watch_open(loop, fd, listener_readable, &inside, &inside.watch), 0);
    run_until_count(loop, &inside.calls, 1);
    assert_int_equal(uring_watch_open(loop, fd, listener_readable, &outside, &outside.watch), 0);
    uring_watch_close(outside.watch);
    for (int i = 0; i < 5; i++)
        assert_int_equal(uring_loop_turn(loop, 5), 0);
    assert_int_equal(inside.calls, 1);
    assert_int_equal(outside.calls, 0);
    close(fd);
    uring_loop_free(loop);
}

static void let_go_of_both(void *owner, int fd)
{
    struct listener *listener = owner;

    listener->calls++;
    uring_watch_close(listener->watch);
    close(fd);
}

/* Goal: a descriptor that was watched can be closed at once and its number used again, though a duplicate keeps the file alive
 * and readable.  Method: the callback closes watch and descriptor; the next eventfd gets the number.  Catches: a registration
 * that outlives the close: the next owner is called for nothing, and the loop spins. */
static void test_closed_descriptor_with_a_duplicate(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), twin = fcntl(fd, F_DUPFD_CLOEXEC, 100), next;
    struct listener first = {.loop = loop}, second = {.loop = loop};

    (void)state;
    assert_int_equal(uring_watch_open(loop, fd, let_go_of_both, &first, &first.watch), 0);
    run_until_count(loop, &first.calls, 1);
    next = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(next, fd);
    assert_int_equal(uring_watch_open(loop, next, listener_readable, &second, &second.watch), 0);
    assert_true(both_comes_to_rest(loop));
    assert_int_equal(second.calls, 0);
    assert_int_equal(write(next, &(uint64_t){5}, 8), 8);
    run_until_count(loop, &second.calls, 1);
    assert_int_equal(second.sum, 5);
    assert_int_equal(first.calls, 1);
    uring_watch_close(second.watch);
    close(next);
    close(twin);
    uring_loop_free(loop);
}

static struct {
    struct listener watched[2], fresh;
    int fds[2], fresh_fd, calls;
} swap;

static void swap_readable(void *owner, int fd)
{
    int other = owner == &swap.watched[0];

    (void)fd;
    swap.calls++;
    uring_watch_close(swap.watched[other].watch);
    close(swap.fds[other]);
    swap.fresh_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(swap.fresh_fd, swap.fds[other]);
    uring_watch_open(swap.fresh.loop, swap.fresh_fd, listener_readable, &swap.fresh, &swap.fresh.watch);
    uring_watch_close(swap.watched[!other].watch);
}

/* Goal: what happened to a descriptor is not told to who gets its number in the same turn.  Method: two eventfds are readable in
 * one turn; the callback of the first closes the other and watches a new one, unreadable, with the same number.  Catches: results
 * that are looked up by number alone; a registration that stays behind. */
static void test_number_reused_in_a_turn(void **state)
{
    struct uring_loop *loop = make_loop(8);

    (void)state;
    memset(&swap, 0, sizeof swap);
    swap.fresh.loop = loop;
    for (int i = 0; i < 2; i++) {
        swap.fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_int_equal(uring_watch_open(loop, swap.fds[i], swap_readable, &swap.watched[i], &swap.watched[i].watch), 0);
    }
    assert_true(both_comes_to_rest(loop));
    for (int i = 0; i < 2; i++)
        assert_int_equal(write(swap.fds[i], &(uint64_t){1}, 8), 8);
    run_until_count(loop, &swap.calls, 1);
    assert_true(both_comes_to_rest(loop));
    assert_int_equal(swap.calls, 1);
    assert_int_equal(swap.fresh.calls, 0);
    assert_int_equal(write(swap.fresh_fd, &(uint64_t){7}, 8), 8);
    run_until_count(loop, &swap.fresh.calls, 1);
    assert_int_equal(swap.fresh.sum, 7);
    uring_watch_close(swap.fresh.watch);
    close(swap.fds[0]);
    close(swap.fds[1]); /* one of them is fresh_fd */
    uring_loop_free(loop);
}

/* Goal: two watches of one descriptor are both called, and closing one leaves the other.  Method: as told.  Catches: one place
 * for what waits on a descriptor; a close that takes the neighbour's registration along. */
static void test_two_watches_of_one_descriptor(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    struct listener a = {.loop = loop, .leave_unread = true}, b = a;

    (void)state;
    assert_int_equal(uring_watch_open(loop, fd, listener_readable, &a, &a.watch), 0);
    assert_int_equal(uring_watch_open(loop, fd, listener_readable, &b, &b.watch), 0);
    run_until_count(loop, &a.calls, 2);
    run_until_count(loop, &b.calls, 2);
    uring_watch_close(a.watch);
    a.calls = 0;
    run_until_count(loop, &b.calls, b.calls + 3);
    assert_int_equal(a.calls, 0);
    uring_watch_close(b.watch);
    assert_true(both_comes_to_rest(loop));
    close(fd);
    uring_loop_free(loop);
}

/* Goal: a descriptor that cannot be watched is no trouble afterwards.  Method: a number that is not open.
 * Catches: a call for a descriptor that is none; trying for ever; a watch that cannot be closed afterwards. */
static void test_watch_of_nothing(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 300);
    struct listener listener = {.loop = loop};

    (void)state;
    close(fd);
    assert_int_equal(uring_watch_open(loop, fd, listener_readable, &listener, &listener.watch), 0);
    assert_true(both_comes_to_rest(loop));
    assert_int_equal(listener.calls, 0);
    uring_watch_close(listener.watch);
    uring_loop_free(loop);
}

/* Goal: no wake-up is lost when there are more than the submission queue holds.  Method: 5000 writes into a queue of 4, the
 * eventfd adds them up.  Catches: operations dropped when the queue is full. */
static void test_wakes_are_never_lost(void **state)
{
    struct uring_loop *loop = make_loop(4);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct uring_loop_counts counts;
    uint64_t sum = 0;

    (void)state;
    for (int i = 0; i < 5000; i++)
        uring_wake_fd(loop, fd, false);
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    assert_int_equal(read(fd, &sum, sizeof sum), sizeof sum);
    assert_int_equal(sum, 5000);
    uring_loop_counts(loop, &counts);
    assert_int_equal(counts.submissions, 5000);
    assert_int_equal(counts.completions, 0); /* successful wake-ups cost no completion */
    close(fd);
    uring_loop_free(loop);
}

/* Goal: a failed wake-up is counted; uring_close_fd closes behind the wake-up queued before it.  Method: a closed number; a
 * duplicate that is woken and closed in one turn.  Catches: errors in silence; the write going to whoever gets the number next.
 */
static void test_wake_errors_and_close_order(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), twin = fcntl(fd, F_DUPFD_CLOEXEC, 100),
        gone = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    struct uring_loop_counts counts;
    uint64_t sum = 0;

    (void)state;
    close(gone);
    uring_wake_fd(loop, gone, false);
    uring_wake_fd(loop, twin, false);
    uring_close_fd(loop, twin);
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    assert_int_equal(uring_loop_turn(loop, 0), 0);
    uring_loop_counts(loop, &counts);
    assert_int_equal(counts.wake_errors, 1);
    assert_int_equal(read(fd, &sum, sizeof sum), sizeof sum);
    assert_int_equal(sum, 1);
    assert_int_equal(fcntl(twin, F_GETFD), -1);
    close(fd);
    uring_loop_free(loop);
}

struct last_words {
    struct uring_timer timer;
    struct uring_loop *loop;
    int fd;
};

static void last_words_fired(struct uring_timer *timer)
{
    struct last_words *self = list_entry(timer, struct last_words, timer);

    uring_wake_fd(self->loop, self->fd, false);
    uring_loop_stop(self->loop);
}

/* Goal: what the turn that stops the loop has queued still reaches the kernel; the loop can run again.  Method: wake and stop in
 * one callback, twice.  Catches: a run() that leaves before submitting; a stop that sticks. */
static void test_stop_submits_the_rest(void **state)
{
    struct uring_loop *loop = make_loop(8);
    struct last_words words = {.timer.fired = last_words_fired, .loop = loop, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    uint64_t sum;

    (void)state;
    for (int round = 0; round < 2; round++) {
        uring_timer_set(loop, &words.timer, CLOCK_MS);
        assert_int_equal(uring_loop_run(loop), 0);
        assert_int_equal(read(words.fd, &sum, sizeof sum), sizeof sum);
        assert_int_equal(sum, 1);
    }
    close(words.fd);
    uring_loop_free(loop);
}

/* Goal: another thread's (here: nobody's) eventfd ends run(); the loop frees what its user forgot.  Method: a readable watch that
 * stops, then free with the watch and a timer still there.  Catches: leaks (ASan), a free that hangs. */
static void test_free_with_things_open(void **state)
{
    struct uring_loop *loop = make_loop(8);
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    struct listener listener = {.loop = loop, .stop = true};
    struct uring_timer forgotten = {.fired = victim_fired};

    (void)state;
    assert_int_equal(uring_watch_open(loop, fd, listener_readable, &listener, &listener.watch), 0);
    uring_timer_set(loop, &forgotten, 3600 * CLOCK_S);
    assert_int_equal(uring_loop_run(loop), 0);
    assert_int_equal(listener.calls, 1);
    assert_string_equal(uring_loop_backend(loop), backend);
    uring_loop_free(loop);
    uring_loop_free(NULL);
    close(fd);
}

/* Goal: wrong options are named.  Method: 6 buffers for the ring; a way of doing I/O that there is not.  Catches: a ring
 * registered with a mask that is none; a misspelt name that silently means auto. */
static void test_bad_options(void **state)
{
    struct uring_loop_options options = {.io = backend, .buffers = 6}, misspelt = {.io = "uring"};
    struct uring_loop *loop = NULL;
    struct why why = {""};

    (void)state;
    if (strcmp(backend, "io_uring") == 0) {
        assert_int_equal(uring_loop_create(&options, &loop, &why), -EINVAL);
        assert_non_null(strstr(why.text, "6 receive buffers: use a power of two"));
    }
    assert_int_equal(uring_loop_create(&misspelt, &loop, &why), -EINVAL);
    assert_string_equal(why.text, "io = uring: expected auto, io_uring or epoll");
    assert_null(loop);
}

/* ---- where io_uring is forbidden ---- */

/* Goal: each way of forbidding io_uring gets words that name the remedy.  Method: the pure function.  Catches: "Operation not
 * permitted". */
static void test_probe_words(void **state)
{
    static const struct {
        int code, disabled;
        const char *words;
    } rows[] = {
        {-EPERM, 2, "sysctl -w kernel.io_uring_disabled=0"},
        {-EPERM, 1, "kernel.io_uring_group"},
        {-EPERM, 0, "seccomp profile"},
        {-EACCES, -1, "seccomp profile"},
        {-ENOSYS, 0, "Linux 6.1"},
        {-EINVAL, 0, "too old"},
        {-ENOMEM, 0, "LimitMEMLOCK"},
        {-EMFILE, 0, "LimitNOFILE"},
        {-EIO, 0, "Input/output error"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct why why = {""};

        assert_int_equal(uring_probe_words(rows[i].code, rows[i].disabled, &why), rows[i].code);
        if (!strstr(why.text, rows[i].words))
            fail_msg("row %zu: %s", i, why.text);
    }
}

/* Creates a loop with io = auto and uses it; returns how many lines it logged and whether words were in them, or -1. */
static int fall_back(const char *words)
{
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), pipe_fds[2], lines = 0;
    struct uring_loop *loop = NULL;
    struct listener listener = {.stop = true};
    char text[4096] = "";
    ssize_t size;

    if (pipe(pipe_fds) == -1 || dup2(pipe_fds[1], 2) == -1 || uring_loop_create(NULL, &loop, NULL) < 0)
        return -1;
    listener.loop = loop;
    if (strcmp(uring_loop_backend(loop), "epoll") != 0 ||
        uring_watch_open(loop, fd, listener_readable, &listener, &listener.watch) < 0 || uring_loop_run(loop) < 0 ||
        listener.calls != 1)
        return -1;
    uring_loop_free(loop);
    close(2);
    close(pipe_fds[1]);
    size = read(pipe_fds[0], text, sizeof text - 1);
    for (ssize_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return strstr(text, words) && strstr(text, "epoll") ? lines : -1;
}

/* In a child: io_uring_setup answers with refusal; then a loop that must have io_uring is refused with that code and these words,
 * and one that may choose takes epoll and logs them, in one line. */
static int try_under_seccomp(uint32_t refusal, const char *words)
{
    struct uring_loop_options ring = {.io = "io_uring"}, epoll = {.io = "epoll"};
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | refusal),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    struct uring_loop *loop = NULL;
    struct why why = {""};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
        return 77;
    if (uring_loop_create(&ring, &loop, &why) != -(int)refusal)
        return 1;
    if (!strstr(why.text, words) || !strstr(why.text, "; or choose io = auto") || loop)
        return 2;
    if (uring_loop_create(&epoll, &loop, &why) != 0)
        return 3;
    uring_loop_free(loop);
    return fall_back(words) == 1 ? 0 : 4;
}

/* Goal: under a real seccomp filter the refusal is clean and clear, and auto does without.  Method: a child with a filter on
 * io_uring_setup, EPERM and ENOSYS. Catches: a probe that asks differently than the loop does; a crash or leak on the refused
 * path; a fall-back in silence, or one that does not work. */
static void test_forbidden_by_seccomp(void **state)
{
    static const struct {
        uint32_t refusal;
        const char *words;
    } rows[] = {{EPERM, "seccomp profile: allow io_uring_setup"}, {ENOSYS, "has no io_uring, or a seccomp profile hides it"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            _exit(try_under_seccomp(rows[i].refusal, rows[i].words));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order),
        cmocka_unit_test(test_timer_set_in_callback_waits_a_turn),
        cmocka_unit_test(test_timer_cleared_by_another),
        cmocka_unit_test(test_hooks_run_each_turn),
        cmocka_unit_test(test_watch_is_level_triggered),
        cmocka_unit_test(test_watch_close),
        cmocka_unit_test(test_closed_descriptor_with_a_duplicate),
        cmocka_unit_test(test_number_reused_in_a_turn),
        cmocka_unit_test(test_two_watches_of_one_descriptor),
        cmocka_unit_test(test_watch_of_nothing),
        cmocka_unit_test(test_wakes_are_never_lost),
        cmocka_unit_test(test_wake_errors_and_close_order),
        cmocka_unit_test(test_stop_submits_the_rest),
        cmocka_unit_test(test_free_with_things_open),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_probe_words),
        cmocka_unit_test(test_forbidden_by_seccomp),
    };

    return both_run(tests, sizeof tests / sizeof tests[0]);
}
