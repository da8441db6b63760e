/* Unit tests of core/sandbox and of what the supervisor measures: settings as text, the layers in a child process, memory, budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/transport.h>

#include "core/sandbox/sandbox.h"
#include "core/supervise/host_budget.h"
#include "core/supervise/host_memory.h"

/* Goal: what the core writes on a command line is what the host reads.  Catches: a field forgotten on one side, a name cut short. */
static void settings_survive_the_command_line(void **state)
{
    const struct sandbox_settings all[] = {
        {0},
        {.change_user = true, .user_required = true, .uid = UINT32_MAX - 1, .gid = UINT32_MAX - 2, .user = "a-name-of-thirty-two-characters-",
         .needs = UINT32_MAX, .memory_mb = UINT32_MAX, .connections = UINT32_MAX},
        {.change_user = true, .uid = 1, .gid = 2, .user = "umbel", .needs = UMBEL_NEEDS_OUTBOUND, .memory_mb = 3, .connections = 4},
    };
    char text[SANDBOX_SETTINGS_MAX];
    (void)state;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct sandbox_settings got;
        memset(&got, 0xff, sizeof got);
        sandbox_settings_text(&all[i], text, sizeof text);
        assert_true(strlen(text) < sizeof text - 1);
        assert_int_equal(sandbox_settings_parse(text, &got), 0);
        assert_int_equal(got.change_user, all[i].change_user);
        assert_int_equal(got.user_required, all[i].user_required);
        assert_int_equal(got.uid, all[i].uid);
        assert_int_equal(got.gid, all[i].gid);
        assert_int_equal(got.needs, all[i].needs);
        assert_int_equal(got.memory_mb, all[i].memory_mb);
        assert_int_equal(got.connections, all[i].connections);
        assert_string_equal(got.user, all[i].user);
    }
}

/* Goal: a line that is not ours starts nothing.  Catches: a weaker sandbox because of a field that was not there. */
static void settings_that_are_none_are_refused(void **state)
{
    const char *const bad[] = {"", "1", "0:0:0:0:0:0", "0:0:0:0:0:0:0", "2:0:0:0:0:0:0:", "0:9:0:0:0:0:0:", "x:0:0:0:0:0:0:",
                               "0:0:0:0:0:0:0:a-name-of-thirty-three-characters", "umbel"};
    struct sandbox_settings settings;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(sandbox_settings_parse(bad[i], &settings), -EINVAL);
}

/* Goal: a name that is nobody's is an error with words; the default never is. */
static void users_are_chosen(void **state)
{
    struct sandbox_settings settings = {0};
    struct why why = {""};
    (void)state;

    assert_int_equal(sandbox_user_choose("nobody-has-this-name", &settings, &why), -ENOENT);
    assert_non_null(strstr(why.text, "nobody-has-this-name"));
    assert_int_equal(sandbox_user_choose("", &settings, &why), 0);
    assert_int_equal(settings.change_user, geteuid() == 0);
    assert_false(settings.user_required);
}

enum { TRY_OPEN, TRY_SOCKET, TRY_FORK, TRY_CODE, TRY_LIBRARY, TRY_NEVER };

static int attempt(int what)
{
    switch (what) {
    case TRY_OPEN:
        return open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 ? errno : 0;
    case TRY_SOCKET:
        return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) == -1 ? errno : 0;
    case TRY_FORK:
        return syscall(SYS_execve, "/bin/true", NULL, NULL) == -1 ? errno : 0;
    case TRY_CODE:
        return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
    case TRY_LIBRARY:
        return open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC) == -1 ? errno : 0;
    default:
        return syscall(SYS_unshare, 0) == -1 ? errno : 0;
    }
}

/* In a child that enters the sandbox: the errno of one attempt (0: it succeeded), or 1000 + the signal that ended it; *ret_report: its words. */
static int confined(uint32_t needs, int what, char *ret_report)
{
    int pipe_fds[2], status;

    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sandbox_settings settings = {.needs = needs, .connections = 64, .memory_mb = 64};
        char report[SANDBOX_REPORT_MAX] = "";
        struct why why = {""};
        if (sandbox_user_choose("", &settings, &why) < 0 ||
            sandbox_enter(&settings, &(struct sandbox_keep){.plugin = "/proc/self/exe", .stats_folder = -1}, report, &why) < 0 ||
            write(pipe_fds[1], report, sizeof report) != (ssize_t)sizeof report)
            _exit(255);
        _exit(attempt(what));
    }
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], ret_report, SANDBOX_REPORT_MAX), SANDBOX_REPORT_MAX);
    close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Goal: the report tells the truth: a layer that it names holds.  Method: one attempt a child, judged by what the report says.
 * Catches: a layer reported but not entered, a list that is not loaded. */
static void what_the_report_names_holds(void **state)
{
    char report[SANDBOX_REPORT_MAX];
    (void)state;

    int opened = confined(0, TRY_OPEN, report);
    if (strstr(report, ", landlock v"))
        assert_int_equal(opened, EACCES);
    assert_int_equal(confined(0, TRY_LIBRARY, report), 0);
    if (!strstr(report, ", seccomp")) {
        print_message("not judged here: %s\n", report);
        return;
    }
    assert_int_equal(confined(0, TRY_SOCKET, report), EPERM);
    assert_int_equal(confined(UMBEL_NEEDS_OUTBOUND, TRY_SOCKET, report), 0);
    assert_int_equal(confined(UMBEL_NEEDS_OUTBOUND, TRY_FORK, report), EPERM);
    assert_int_equal(confined(0, TRY_FORK, report), EPERM);
    assert_int_equal(confined(0, TRY_CODE, report), EPERM);
    assert_int_equal(confined(0, TRY_NEVER, report), 1000 + SIGSYS);
}

/* Goal: what a process was given to share is not counted, what it shares beyond that is; nonsense is told apart.  Catches: the wrong line,
 * an underflow, shared memory that nobody counts. */
static void memory_is_what_is_not_given(void **state)
{
    static const char status[] = "Name:\tRssAnon: 7\nVmRSS:\t  900 kB\nRssAnon:\t  380 kB\nRssFile:\t  120 kB\nRssShmem:\t  400 kB\nThreads:\t1\n";
    uint64_t kib = 7, before, after;
    (void)state;

    assert_int_equal(host_memory_parse(status, 500, &kib), 0);
    assert_int_equal(kib, 380);
    assert_int_equal(host_memory_parse(status, 400, &kib), 0);
    assert_int_equal(kib, 380);
    assert_int_equal(host_memory_parse(status, 100, &kib), 0);
    assert_int_equal(kib, 680);
    assert_int_equal(host_memory_parse("Name:\tx\nRssAnon:\t  380 kB\n", 0, &kib), -EPROTO);
    assert_int_equal(host_memory_parse("Name:\tx\nRssAnon:\t\nRssShmem:\t  400 kB\n", 0, &kib), -EPROTO);
    assert_int_equal(host_memory_parse("", 0, &kib), -EPROTO);

    const size_t size = (size_t)64 << 20;
    const uint64_t given = (uint64_t)1 << 40;
    assert_int_equal(host_memory_read(getpid(), given, &before), 0);
    char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    memset(shared, 1, size);
    assert_int_equal(host_memory_read(getpid(), given, &after), 0);
    assert_true(after < before + size / 2); /* it was given */
    assert_int_equal(host_memory_read(getpid(), 0, &after), 0);
    assert_true(after >= before + size / 2); /* it was not */
    char *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(own, MAP_FAILED);
    memset(own, 1, size);
    assert_int_equal(host_memory_read(getpid(), given, &after), 0);
    assert_true(after >= before + size / 2);
    munmap(shared, size);
    munmap(own, size);
}

/* Goal: over any long time one host has a quarter of the core's time at most, and one that takes little never waits.  Method: simulated time:
 * a host that always has work, in pieces of several lengths.  Catches: a window that is forgotten, a debt that is forgiven. */
static void a_flood_gets_a_quarter(void **state)
{
    const uint64_t pieces[] = {CLOCK_MS / 100, CLOCK_MS, 4 * CLOCK_MS, 30 * CLOCK_MS};
    (void)state;

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct host_budget budget = {0};
        uint64_t now = 5 * CLOCK_S, worked = 0, begun = now;
        while (now - begun < 10 * CLOCK_S) {
            uint64_t wait = host_budget_spend(&budget, now, now + pieces[i]);
            worked += pieces[i];
            now += pieces[i] + wait;
        }
        assert_true(worked <= (now - begun) * 3 / 10);
        assert_true(worked >= (now - begun) / 10);
        assert_true(budget.pauses > 0);
    }
    struct host_budget modest = {0};
    for (uint64_t now = 5 * CLOCK_S, i = 0; i < 1000; i++, now += 20 * CLOCK_MS)
        assert_int_equal(host_budget_spend(&modest, now, now + 2 * CLOCK_MS), 0);
}

/* Goal: bytes that were on their way when the channel was paused are paid for too, and do not open a new window. */
static void what_comes_after_the_pause_counts(void **state)
{
    struct host_budget budget = {0};
    uint64_t now = 5 * CLOCK_S;
    (void)state;

    assert_true(host_budget_spend(&budget, now, now + 6 * CLOCK_MS) > 0);
    now += 6 * CLOCK_MS;
    assert_int_equal(host_budget_spend(&budget, now, now + 4 * CLOCK_MS), 0);
    now += 4 * CLOCK_MS;
    uint64_t wait = host_budget_spend(&budget, now, now + 4 * CLOCK_MS);
    assert_true(wait > 20 * CLOCK_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_survive_the_command_line), cmocka_unit_test(settings_that_are_none_are_refused),
        cmocka_unit_test(users_are_chosen),                  cmocka_unit_test(what_the_report_names_holds),
        cmocka_unit_test(memory_is_what_is_not_given),      cmocka_unit_test(a_flood_gets_a_quarter),
        cmocka_unit_test(what_comes_after_the_pause_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
