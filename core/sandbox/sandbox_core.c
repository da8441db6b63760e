#include "core/sandbox/sandbox_core.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/sandbox/sandbox_core_filter.h"

/* What a core that root started goes on using, and hands to hosts until they have become who they shall be. */
static const unsigned char kept_capabilities[] = {
    CAP_NET_BIND_SERVICE,                   /* ports below 1024, also of a reload */
    CAP_SETUID, CAP_SETGID, CAP_SETPCAP,    /* hosts: another user, no capabilities */
    CAP_KILL,                               /* hosts of that user */
    CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,  /* folders, keys and plugins that belong to a service's user */
    CAP_CHOWN,                              /* the history's files stay their owner's: the library sees to that */
    CAP_IPC_LOCK,                           /* io_uring's memory is not counted against a limit */
};

enum sandbox_core_mode sandbox_core_mode(const char *text)
{
    return strcmp(text, "off") == 0 ? SANDBOX_CORE_OFF : strcmp(text, "log") == 0 ? SANDBOX_CORE_LOG : SANDBOX_CORE_ON;
}

static uint64_t kept(void)
{
    uint64_t set = 0;

    for (size_t i = 0; i < sizeof kept_capabilities; i++)
        set |= UINT64_C(1) << kept_capabilities[i];
    return set;
}

/* Only ever fewer.  *ret_left: those that are in force. */
static int drop_capabilities(uint64_t *ret_left)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    const uint64_t keep = kept();

    if (syscall(SYS_capget, &header, sets) == -1)
        return -errno;
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (!(keep >> capability & 1))
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* fails for an ordinary user, who gets none by it: no-new-privileges */
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        const uint32_t part = (uint32_t)(keep >> (32 * i));
        sets[i].effective &= part;
        sets[i].permitted &= part;
        sets[i].inheritable &= part;
    }
    if (syscall(SYS_capset, &header, sets) == -1)
        return -errno;
    *ret_left = (uint64_t)sets[1].effective << 32 | sets[0].effective;
    return 0;
}

/* 0; 1: another filter of before an upgrade stays; or -errno. */
static int enter_filter(bool only_logs)
{
    unsigned list = 0;
    bool held_logs = false, held = sandbox_core_filter_held(&list, &held_logs);

    if (held && only_logs && !held_logs)
        return 1;
    return held && held_logs == only_logs && list == SANDBOX_CORE_LIST ? 0 : sandbox_core_filter(only_logs);
}

static bool leave_all(char ret_report[SANDBOX_REPORT_MAX])
{
    unsigned list;
    bool only_logs, held = sandbox_core_filter_held(&list, &only_logs);

    snprintf(ret_report, SANDBOX_REPORT_MAX, "%s",
             held ? "as before the upgrade: restart the service to do without" : "no seccomp, all capabilities kept (sandbox = off)");
    return !held;
}

bool sandbox_core_enter(enum sandbox_core_mode mode, char ret_report[SANDBOX_REPORT_MAX])
{
    static const char *const on = SANDBOX_SANITIZER ? "seccomp (widened for the sanitizer)" : "seccomp";
    char capabilities[48];
    uint64_t left = 0;

    if (mode == SANDBOX_CORE_OFF)
        return leave_all(ret_report);
    int dropped = drop_capabilities(&left);
    if (dropped < 0)
        snprintf(capabilities, sizeof capabilities, "all capabilities (%s)", strerrorname_np(-dropped));
    else
        snprintf(capabilities, sizeof capabilities, "capabilities %llx", (unsigned long long)left);
    int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ? -errno : enter_filter(mode == SANDBOX_CORE_LOG);
    snprintf(ret_report, SANDBOX_REPORT_MAX, "%s, %s%s", capabilities, r < 0 ? "no seccomp " : "",
             r < 0    ? strerrorname_np(-r)
             : r == 1 ? "seccomp (of before the upgrade: restart the service for one that only logs)"
             : mode == SANDBOX_CORE_LOG ? "seccomp (only logs)"
                                        : on);
    return dropped == 0 && r == 0;
}

int sandbox_core_check(struct why *why)
{
    unsigned list;
    bool only_logs;

    if (!sandbox_core_filter_held(&list, &only_logs) || only_logs || list >= SANDBOX_CORE_LIST)
        return 0;
    return why_set(why, -EPERM, "this version makes system calls that the running one has given up (list %u, it has %u): restart the service instead",
                   SANDBOX_CORE_LIST, list);
}
