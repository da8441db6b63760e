/* sandbox/sandbox_core_seccomp.c - sandbox_core_calls.def and what hosts may do as a filter, and the calls of which only some arguments
 * pass. */
#include "core/sandbox/sandbox_core_filter.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "core/base/fnv.h"
#include "core/sandbox/sandbox_core.h"
#include "core/sandbox/sandbox_filter.h"

#define CALL(group, name) {group, name},
static const struct sandbox_call host_calls[] = {
#include "core/sandbox/sandbox_calls.def"
};
static const struct sandbox_call core_calls[] = {
#include "core/sandbox/sandbox_core_calls.def"
};
#undef CALL

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define INT SANDBOX_INT
#define ALL SANDBOX_ALL

#define HOST_GROUPS (SANDBOX_GROUP(BASE) | SANDBOX_GROUP(OUTBOUND) | (SANDBOX_SANITIZER ? SANDBOX_GROUP(SANITIZER) : 0))
#define CORE_GROUPS (SANDBOX_GROUP(CORE) | SANDBOX_GROUP(ABSENT) | SANDBOX_GROUP(NEVER))

#if defined(__s390__)
#define CLONE_FLAGS_AT 1
#else
#define CLONE_FLAGS_AT 0
#endif
#define CLONE_NEW_ANY (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define SOCKET_TYPE UINT64_C(0xf)
#define SET_VMA 0x53564d41 /* PR_SET_VMA */
#define TERMIOS2 0x802c542a /* TCGETS2; its header does not go with termios.h */

/* A prctl that no kernel knows: the filter answers with a number instead of an error. */
#define MARK_CALL 0x554d4243
#define MARK_FIRST 1024u /* above every error there is */
#define MARK_LIST_MAX 1000u

_Static_assert(SANDBOX_CORE_LIST <= MARK_LIST_MAX, "an error number is at most 4095");

static const struct sandbox_argument arguments[] = {
    /* memory is never writable and executable at once, and never becomes executable */
    {"mmap", CORE, {2, PROT_EXEC, 0}, {0, 0, 0}},
    {"mmap", CORE, {2, PROT_WRITE, 0}, {0, 0, 0}},
    {"mprotect", CORE, {2, PROT_EXEC, 0}, {0, 0, 0}},
    /* threads and processes, no namespaces */
    {"clone", CORE, {CLONE_FLAGS_AT, CLONE_NEW_ANY, 0}, {0, 0, 0}},
    /* its own limits, nobody else's */
    {"prlimit64", CORE, {0, INT, 0}, {0, 0, 0}},
    /* no raw sockets and no packets; of the kernel's own only the list of addresses */
    {"socket", CORE, {0, INT, AF_UNIX}, {0, 0, 0}},
    {"socket", CORE, {0, INT, AF_INET}, {1, SOCKET_TYPE, SOCK_STREAM}},
    {"socket", CORE, {0, INT, AF_INET}, {1, SOCKET_TYPE, SOCK_DGRAM}},
    {"socket", CORE, {0, INT, AF_INET6}, {1, SOCKET_TYPE, SOCK_STREAM}},
    {"socket", CORE, {0, INT, AF_INET6}, {1, SOCKET_TYPE, SOCK_DGRAM}},
    {"socket", CORE, {0, INT, AF_NETLINK}, {2, INT, NETLINK_ROUTE}},
    {"socketpair", CORE, {0, INT, AF_UNIX}, {0, 0, 0}},
    /* no TIOCSTI: standard error may be a terminal */
    {"ioctl", CORE, {1, INT, FIONREAD}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, FIONBIO}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, FIOCLEX}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, FIONCLEX}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, TCGETS}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, TERMIOS2}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, TIOCGWINSZ}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, SIOCGIFNAME}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, SIOCGIFCONF}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, SIOCGIFFLAGS}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, SIOCGIFADDR}, {0, 0, 0}},
    {"ioctl", CORE, {1, INT, SIOCGIFINDEX}, {0, 0, 0}},
    /* names for threads and memory; the rest is what a host does to itself, and cannot be taken back.  Nothing becomes dumpable */
    {"prctl", CORE, {0, INT, PR_SET_NAME}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_GET_NAME}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, SET_VMA}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_SET_DUMPABLE}, {1, ALL, 0}},
    {"prctl", CORE, {0, INT, PR_GET_DUMPABLE}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_SET_PDEATHSIG}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_GET_PDEATHSIG}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_SET_NO_NEW_PRIVS}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_GET_NO_NEW_PRIVS}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_SET_SECCOMP}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_GET_SECCOMP}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_CAPBSET_READ}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_CAPBSET_DROP}, {0, 0, 0}},
    {"prctl", CORE, {0, INT, PR_CAP_AMBIENT}, {1, INT, PR_CAP_AMBIENT_IS_SET}},
    {"prctl", CORE, {0, INT, PR_CAP_AMBIENT}, {1, INT, PR_CAP_AMBIENT_CLEAR_ALL}},
};

/* A row of SANITIZER allows prctl as a whole, which leaves no room for the mark: there it is all but the mark. */
static int add_calls(scmp_filter_ctx filter)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < COUNT(host_calls); i++)
        if (strcmp(host_calls[i].name, "prctl") != 0)
            r = sandbox_filter_calls(filter, &host_calls[i], 1, HOST_GROUPS);
    if (r == 0 && SANDBOX_SANITIZER)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_NE, MARK_CALL, 0));
    if (r == 0)
        r = sandbox_filter_calls(filter, core_calls, COUNT(core_calls), CORE_GROUPS);
    if (r == 0)
        r = sandbox_filter_arguments(filter, arguments, COUNT(arguments), CORE_GROUPS);
    return r;
}

/* Nothing is refused but what has an older way; what would end the process is logged as the rest. */
static int add_logged_calls(scmp_filter_ctx filter)
{
    int r = sandbox_filter_calls(filter, host_calls, COUNT(host_calls), HOST_GROUPS & ~SANDBOX_GROUP(SANITIZER));

    if (r == 0)
        r = sandbox_filter_calls(filter, core_calls, COUNT(core_calls), CORE_GROUPS & ~SANDBOX_GROUP(NEVER));
    if (r == 0)
        r = sandbox_filter_arguments(filter, arguments, COUNT(arguments), CORE_GROUPS);
    return r;
}

int sandbox_core_filter(bool only_logs)
{
    scmp_filter_ctx filter = sandbox_filter_begin(only_logs ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM));
    const uint32_t mark = MARK_FIRST + SANDBOX_CORE_LIST * 2 + only_logs;

    if (!filter)
        return -ENOMEM;
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(mark), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, MARK_CALL, 0));
    if (r == 0)
        r = only_logs ? add_logged_calls(filter) : add_calls(filter);
    if (r == 0) /* no code of others runs here; older kernels would slow it down.  Unknown to old ones, which then do */
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    return sandbox_filter_end(filter, r);
}

bool sandbox_core_filter_held(unsigned *ret_list, bool *ret_only_logs)
{
    if (prctl(MARK_CALL, 0, 0, 0, 0) != -1 || errno < (int)MARK_FIRST)
        return false;
    *ret_list = ((unsigned)errno - MARK_FIRST) / 2;
    *ret_only_logs = ((unsigned)errno - MARK_FIRST) % 2;
    return true;
}

static uint64_t sum_call(const struct sandbox_call *row)
{
    const char letter = row->group == NEVER ? 'n' : row->group == ABSENT ? 'a' : '+';

    return fnv_add(fnv_add(FNV_START, &letter, 1), row->name, strlen(row->name));
}

static bool is_core_call(const char *name)
{
    for (size_t i = 0; i < COUNT(core_calls); i++)
        if (strcmp(core_calls[i].name, name) == 0)
            return true;
    return false;
}

/* Of what the filter does, not of how it is written down: neither order nor a call that stands in both lists counts. */
uint64_t sandbox_core_sum(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < COUNT(host_calls); i++)
        if ((host_calls[i].group == BASE || host_calls[i].group == OUTBOUND) && !is_core_call(host_calls[i].name))
            sum += sum_call(&host_calls[i]);
    for (size_t i = 0; i < COUNT(core_calls); i++)
        sum += sum_call(&core_calls[i]);
    for (size_t i = 0; i < COUNT(arguments); i++) {
        const struct sandbox_comparison *first = &arguments[i].first, *second = &arguments[i].second;
        const uint64_t numbers[] = {first->argument, first->mask, first->value, second->argument, second->mask, second->value};
        sum += fnv_add(fnv_add(FNV_START, arguments[i].name, strlen(arguments[i].name)), numbers, sizeof numbers);
    }
    return sum;
}
