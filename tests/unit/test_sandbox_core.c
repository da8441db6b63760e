/* Unit tests of core/sandbox/sandbox_core: the list's number and its modes.  What the confinement refuses and allows is tried by
 * tests/integration/core_sandbox.test.mjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sandbox/sandbox_core.h"

/* Goal: the list has a new number whenever it has changed, or an upgrade in place would go on under a filter without the new calls and find
 * out when there is no way back.  Method: the sum of everything on it.  When this fails: raise SANDBOX_CORE_LIST, write the new sum here. */
static void a_changed_list_has_a_new_number(void **state)
{
    (void)state;
#if defined(__x86_64__)
    assert_int_equal(SANDBOX_CORE_LIST, 1);
    assert_int_equal(sandbox_core_sum(), UINT64_C(0x9aa233b5da0f3312));
#else
    skip(); /* numbers of arguments differ between machines */
#endif
}

static void modes_are_words(void **state)
{
    (void)state;
    assert_int_equal(sandbox_core_mode("on"), SANDBOX_CORE_ON);
    assert_int_equal(sandbox_core_mode("log"), SANDBOX_CORE_LOG);
    assert_int_equal(sandbox_core_mode("off"), SANDBOX_CORE_OFF);
    assert_int_equal(sandbox_core_mode("nonsense"), SANDBOX_CORE_ON);
}

static unsigned filters(void)
{
    unsigned count = 0;
    char text[4096];
    FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(text, sizeof text, file))
        if (sscanf(text, "Seccomp_filters: %u", &count) == 1)
            break;
    if (file)
        fclose(file);
    return count;
}

/* In a child: enters as each word of modes says, and tells whether all but the last was as asked (1), the last too (2), and how many
 * filters there are then (4 for each). */
static int entered(const char *const *modes)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        char report[SANDBOX_REPORT_MAX];
        unsigned before = filters();
        bool good = true, last = true;
        for (; *modes; modes++) {
            good = good && last;
            last = sandbox_core_enter(sandbox_core_mode(*modes), report);
        }
        _exit((int)((good ? 1u : 0u) + (last ? 2u : 0u) + 4 * (filters() - before)));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Goal: programs of one list that execute each other do not pile up filters; a stricter mode comes into force, a looser one is said not
 * to.  Catches: one filter more with each upgrade, until the kernel takes no more; "log" that is not true. */
static void a_filter_is_not_added_twice(void **state)
{
    (void)state;
    int once = entered((const char *const[]){"on", NULL});
    if (once == 1) {
        print_message("not judged here: this kernel has no seccomp filters\n");
        skip();
    }
    assert_int_equal(once, 1 + 2 + 4);
    assert_int_equal(entered((const char *const[]){"on", "on", "on", NULL}), 1 + 2 + 4);
    assert_int_equal(entered((const char *const[]){"log", "log", NULL}), 1 + 2 + 4);
    assert_int_equal(entered((const char *const[]){"log", "on", "on", NULL}), 1 + 2 + 8);
    assert_int_equal(entered((const char *const[]){"on", "log", NULL}), 1 + 4);
    assert_int_equal(entered((const char *const[]){"on", "off", NULL}), 1 + 4);
    assert_int_equal(entered((const char *const[]){"off", NULL}), 1 + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_list_has_a_new_number),
        cmocka_unit_test(modes_are_words),
        cmocka_unit_test(a_filter_is_not_added_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
