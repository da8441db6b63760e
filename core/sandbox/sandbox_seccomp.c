/* sandbox/sandbox_seccomp.c - sandbox_calls.def as a filter, and the calls of which only some arguments pass. */
#include "core/sandbox/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum group { BASE, OUTBOUND, SANITIZER, ABSENT, NEVER };

#define CALL(group, name) {group, name},
static const struct call {
    enum group group;
    const char *name;
} calls[] = {
#include "core/sandbox/sandbox_calls.def"
};
#undef CALL

#define INT UINT64_C(0xffffffff) /* the kernel reads no more of an int */
#define ALL UINT64_MAX

/* (argument & mask) == value, for one argument or two.  A call is allowed when one of its rows fits. */
struct argument {
    const char *name;
    enum group group;
    struct comparison {
        unsigned argument;
        uint64_t mask, value;
    } first, second; /* second.mask 0: one comparison only */
};

static int add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned count, const struct scmp_arg_cmp *comparisons)
{
    int number = seccomp_syscall_resolve_name(name);

    return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(filter, action, number, count, comparisons);
}

static int add_lists(scmp_filter_ctx filter, bool outbound)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof calls / sizeof calls[0]; i++) {
        enum group group = calls[i].group;
        uint32_t action = group == ABSENT ? SCMP_ACT_ERRNO(ENOSYS) : group == NEVER ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ALLOW;
        if ((group == OUTBOUND && !outbound) || (group == SANITIZER && !SANDBOX_SANITIZER))
            continue;
        r = add(filter, action, calls[i].name, 0, NULL);
        if (r == -EEXIST)
            r = 0; /* in two groups */
    }
    return r;
}

static int add_arguments(scmp_filter_ctx filter, bool outbound)
{
    const uint64_t self = (uint64_t)getpid();
    const struct argument rows[] = {
        /* memory is never writable and executable at once, and never becomes executable */
        {"mmap", BASE, {2, PROT_EXEC, 0}, {0, 0, 0}},
        {"mmap", BASE, {2, PROT_WRITE, 0}, {0, 0, 0}},
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
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof rows / sizeof rows[0]; i++) {
        const struct comparison *first = &rows[i].first, *second = &rows[i].second;
        const struct scmp_arg_cmp comparisons[] = {{first->argument, SCMP_CMP_MASKED_EQ, first->mask, first->value},
                                                   {second->argument, SCMP_CMP_MASKED_EQ, second->mask, second->value}};
        if (rows[i].group == OUTBOUND && !outbound)
            continue;
        r = add(filter, SCMP_ACT_ALLOW, rows[i].name, second->mask ? 2 : 1, comparisons);
        if (r == -EEXIST)
            r = 0; /* a sanitizer build allows all of it */
    }
    return r;
}

int sandbox_seccomp(const struct sandbox_settings *settings)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r;

    if (!filter)
        return -ENOMEM;
    r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = add_lists(filter, sandbox_calls_out(settings));
    if (r == 0)
        r = add_arguments(filter, sandbox_calls_out(settings));
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list: a call costs less */
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}
