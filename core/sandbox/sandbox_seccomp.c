/* sandbox/sandbox_seccomp.c - sandbox_calls.def as a filter, and the calls of which only some arguments pass. */
#include "core/sandbox/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "core/sandbox/sandbox_filter.h"

#define CALL(group, name) {group, name},
static const struct sandbox_call calls[] = {
#include "core/sandbox/sandbox_calls.def"
};
#undef CALL

#define INT SANDBOX_INT
#define ALL SANDBOX_ALL

static int add_arguments(scmp_filter_ctx filter, unsigned groups)
{
    const uint64_t self = (uint64_t)getpid();
    const struct sandbox_argument rows[] = {
        /* memory is never writable and executable at once, and never becomes executable */
        {"mmap", BASE, {2, PROT_EXEC, 0}, {3, MAP_SHARED, 0}},
        {"mmap", BASE, {2, PROT_WRITE, 0}, {3, MAP_SHARED, 0}},
        /* shared memory of descriptors only: what has none is seen by no limit at all */
        {"mmap", BASE, {2, PROT_EXEC, 0}, {3, MAP_ANONYMOUS, 0}},
        {"mmap", BASE, {2, PROT_WRITE, 0}, {3, MAP_ANONYMOUS, 0}},
        {"mprotect", BASE, {2, PROT_EXEC, 0}, {0, 0, 0}},
        /* signals go to itself: abort(), raise() */
        {"kill", BASE, {0, INT, self}, {0, 0, 0}},
        {"tgkill", BASE, {0, INT, self}, {0, 0, 0}},
        /* limits are read, never set */
        {"prlimit64", BASE, {0, INT, 0}, {2, ALL, 0}},
        /* names for threads and memory */
        {"prctl", BASE, {0, INT, PR_SET_NAME}, {0, 0, 0}},
        {"prctl", BASE, {0, INT, PR_GET_NAME}, {0, 0, 0}},
        {"prctl", BASE, {0, INT, 0x53564d41 /* PR_SET_VMA */}, {0, 0, 0}},
        /* no TIOCSTI: standard error may be a terminal */
        {"ioctl", BASE, {1, INT, FIONREAD}, {0, 0, 0}},
        {"ioctl", BASE, {1, INT, FIONBIO}, {0, 0, 0}},
        {"ioctl", BASE, {1, INT, FIOCLEX}, {0, 0, 0}},
        {"ioctl", BASE, {1, INT, TCGETS}, {0, 0, 0}},
        {"ioctl", BASE, {1, INT, TIOCGWINSZ}, {0, 0, 0}},
        /* no F_SETOWN: it sends signals */
        {"fcntl", BASE, {1, INT, F_DUPFD}, {0, 0, 0}},
        {"fcntl", BASE, {1, INT, F_DUPFD_CLOEXEC}, {0, 0, 0}},
        {"fcntl", BASE, {1, INT, F_GETFD}, {0, 0, 0}},
        {"fcntl", BASE, {1, INT, F_SETFD}, {0, 0, 0}},
        {"fcntl", BASE, {1, INT, F_GETFL}, {0, 0, 0}},
        {"fcntl", BASE, {1, INT, F_SETFL}, {2, O_NONBLOCK, O_NONBLOCK}}, /* what is shared with others never blocks them */
        {"fcntl", BASE, {1, INT, F_ADD_SEALS}, {0, 0, 0}},
        {"fcntl", BASE, {1, INT, F_GET_SEALS}, {0, 0, 0}},
        /* no datagrams to named unix sockets; no connection by the first data that are sent */
        {"socketpair", BASE, {0, INT, AF_UNIX}, {1, 0xf, SOCK_STREAM}},
        {"sendto", BASE, {3, MSG_FASTOPEN, 0}, {0, 0, 0}},
        {"sendmsg", BASE, {2, MSG_FASTOPEN, 0}, {0, 0, 0}},
        {"sendmmsg", BASE, {3, MSG_FASTOPEN, 0}, {0, 0, 0}},
        /* threads, no processes */
        {"clone", OUTBOUND, {0, CLONE_THREAD, CLONE_THREAD}, {0, 0, 0}},
        /* the internet, and the kernel's list of addresses; no unix sockets, so no admin socket */
        {"socket", OUTBOUND, {0, INT, AF_INET}, {0, 0, 0}},
        {"socket", OUTBOUND, {0, INT, AF_INET6}, {0, 0, 0}},
        {"socket", OUTBOUND, {0, INT, AF_NETLINK}, {2, INT, NETLINK_ROUTE}},
    };

    return sandbox_filter_arguments(filter, rows, sizeof rows / sizeof rows[0], groups);
}

int sandbox_seccomp(const struct sandbox_settings *settings)
{
    const unsigned groups = SANDBOX_GROUP(BASE) | SANDBOX_GROUP(ABSENT) | SANDBOX_GROUP(NEVER) |
                            (sandbox_calls_out(settings) ? SANDBOX_GROUP(OUTBOUND) : 0) | (SANDBOX_SANITIZER ? SANDBOX_GROUP(SANITIZER) : 0);
    scmp_filter_ctx filter = sandbox_filter_begin(SCMP_ACT_ERRNO(EPERM));

    if (!filter)
        return -ENOMEM;
    int r = sandbox_filter_calls(filter, calls, sizeof calls / sizeof calls[0], groups);
    if (r == 0 && (settings->needs & SANDBOX_KEEPS_FILES))
        r = sandbox_filter_calls(filter, &(const struct sandbox_call){BASE, "memfd_create"}, 1, groups);
    if (r == 0)
        r = add_arguments(filter, groups);
    return sandbox_filter_end(filter, r);
}
