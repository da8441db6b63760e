/* plugin-check/check_child.c - one check in a process of its own. */
#include "tools/plugin-check/check_child.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tools/plugin-check/check_rig.h"

#define LIMIT_S 120u /* then it is ended: the plugin blocks the loop, or waits for ever */
#define STDERR_TAIL 600

static _Noreturn void run_child(const struct check *check, const char *path, const struct plan *plan, int say, int log)
{
    if (dup2(say, CHECK_SAY_FD) == -1 || dup2(log, STDERR_FILENO) == -1)
        _exit(CHECK_BROKEN);
    setenv("FAKE_HOST_LOG", "1", 1);
    signal(SIGPIPE, SIG_IGN);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        rig_fail("it cannot be loaded: %s", dlerror());
    const struct umbel_transport *transport = dlsym(handle, UMBEL_TRANSPORT_SYMBOL);
    if (!transport)
        rig_fail("it exports no symbol " UMBEL_TRANSPORT_SYMBOL ": declare the table UMBEL_EXPORT");
    check->run(transport, plan);
    int (*leaks)(void) = NULL;
    *(void **)&leaks = dlsym(RTLD_DEFAULT, "__lsan_do_recoverable_leak_check");
    if (leaks && check->needs_plan && leaks())
        rig_fail("the leak checker found memory that nobody owns any more");
    _exit(CHECK_OK);
}

/* Reads what the check says until it ends; false: it did not within the limit. */
static bool listen_to(int fd, char *ret_words, size_t size)
{
    uint64_t end_ns = clock_now_ns() + LIMIT_S * CLOCK_S;
    size_t at = 0;

    for (;;) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        uint64_t now_ns = clock_now_ns();
        char spare[256];
        ret_words[at] = '\0';
        if (now_ns >= end_ns)
            return false;
        if (poll(&readable, 1, (int)((end_ns - now_ns) / CLOCK_MS) + 1) <= 0)
            continue;
        bool room = at + 1 < size;
        ssize_t n = read(fd, room ? ret_words + at : spare, room ? size - 1 - at : sizeof spare);
        if (n == 0 || (n == -1 && errno != EINTR))
            return true;
        if (n > 0 && room)
            at += (size_t)n;
    }
}

/* The last lines of what the plugin, the host and sanitizers wrote. */
static void add_log(int log, char *words, size_t size)
{
    char tail[STDERR_TAIL + 1];
    off_t length = lseek(log, 0, SEEK_END);
    off_t from = length > STDERR_TAIL ? length - STDERR_TAIL : 0;
    ssize_t n = pread(log, tail, STDERR_TAIL, from);
    size_t at = strlen(words);

    if (n <= 0)
        return;
    tail[n] = '\0';
    const char *begin = from ? strchr(tail, '\n') : tail;
    snprintf(words + at, size - at, "\n%s", begin ? begin + (from != 0) : tail);
    for (at = strlen(words); at && words[at - 1] == '\n'; at--)
        words[at - 1] = '\0';
}

/* Of an AddressSanitizer report the line that says what it is; it is not at the end. */
static bool add_summary(int log, char *words, size_t size)
{
    off_t length = lseek(log, 0, SEEK_END);
    char *text = length > 0 ? mmap(NULL, (size_t)length, PROT_READ, MAP_PRIVATE, log, 0) : MAP_FAILED;

    if (text == MAP_FAILED)
        return false;
    const char *summary = memmem(text, (size_t)length, "SUMMARY: ", 9);
    if (summary) {
        const char *end = memchr(summary, '\n', (size_t)(text + length - summary));
        size_t at = strlen(words);
        snprintf(words + at, size - at, "\n%.*s", (int)((end ? end : text + length) - summary), summary);
    }
    munmap(text, (size_t)length);
    return summary != NULL;
}

enum check_result check_run(const struct check *check, const char *path, const struct plan *plan, char *ret_words, size_t words_size)
{
    int say[2], status = 0, log = memfd_create("umbel-plugin-check", MFD_CLOEXEC);

    ret_words[0] = '\0';
    if (log == -1 || pipe(say) == -1)
        return CHECK_BROKEN;
    pid_t child = fork();
    if (child == -1)
        return CHECK_BROKEN;
    if (child == 0) {
        close(say[0]);
        run_child(check, path, plan, say[1], log);
    }
    close(say[1]);
    bool over = listen_to(say[0], ret_words, words_size);
    if (!over)
        kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(say[0]);
    enum check_result result = CHECK_FAILED;
    size_t at = strlen(ret_words);
    if (!over)
        snprintf(ret_words + at, words_size - at, "it did not end within %u s: the plugin blocks the loop, or waits for ever", LIMIT_S);
    else if (WIFSIGNALED(status))
        snprintf(ret_words + at, words_size - at, "it crashed: %s", strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == CHECK_OK || WEXITSTATUS(status) == CHECK_SKIPPED || WEXITSTATUS(status) == CHECK_BROKEN)
        result = (enum check_result)WEXITSTATUS(status);
    else if (WEXITSTATUS(status) != CHECK_FAILED)
        snprintf(ret_words + at, words_size - at, "the process ended by itself with status %d", WEXITSTATUS(status));
    if (result == CHECK_FAILED && !add_summary(log, ret_words, words_size))
        add_log(log, ret_words, words_size);
    close(log);
    return result;
}
