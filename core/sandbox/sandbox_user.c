#include "core/sandbox/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const default_users[] = {"umbel", "nobody"};

static void take_user(const struct passwd *user, struct sandbox_settings *settings)
{
    settings->change_user = true;
    settings->uid = user->pw_uid;
    settings->gid = user->pw_gid;
    snprintf(settings->user, sizeof settings->user, "%s", user->pw_name);
}

int sandbox_user_choose(const char *name, struct sandbox_settings *settings, struct why *why)
{
    const struct passwd *user;

    settings->change_user = settings->user_required = false;
    if (!*name) {
        for (size_t i = 0; geteuid() == 0 && !settings->change_user && i < sizeof default_users / sizeof default_users[0]; i++)
            if ((user = getpwnam(default_users[i])))
                take_user(user, settings);
        return 0;
    }
    user = getpwnam(name);
    if (!user)
        return why_set(why, -ENOENT, "host_user: there is no user %.64s on this machine", name);
    if (user->pw_uid == geteuid() && geteuid() != 0)
        return 0;
    if (geteuid() != 0)
        return why_set(why, -EPERM, "host_user: only root can start hosts as another user, %.64s", name);
    take_user(user, settings);
    settings->user_required = true;
    return 0;
}

/* Can that user read the plugin?  Asked as that user, for a moment; this process runs nobody else's code yet. */
static bool can_read(const struct sandbox_settings *settings, const char *plugin)
{
    bool readable = false;

    if (setresgid((gid_t)-1, settings->gid, (gid_t)-1) == -1)
        return false;
    if (setresuid((uid_t)-1, settings->uid, (uid_t)-1) == 0) {
        readable = faccessat(AT_FDCWD, plugin, R_OK, AT_EACCESS) == 0;
        if (setresuid((uid_t)-1, 0, (uid_t)-1) == -1)
            _exit(127); /* neither one nor the other */
    }
    if (setresgid((gid_t)-1, 0, (gid_t)-1) == -1)
        _exit(127);
    return readable;
}

/* The pages are their group's to read: the operators'. */
static int set_groups(const struct sandbox_keep *keep)
{
    struct stat st;

    if (keep->stats_folder >= 0 && fstat(keep->stats_folder, &st) == 0)
        return setgroups(1, &st.st_gid);
    return setgroups(0, NULL);
}

int sandbox_user_change(const struct sandbox_settings *settings, const struct sandbox_keep *keep, bool *ret_needs_reading, char *ret_text, size_t room,
                        struct why *why)
{
    *ret_needs_reading = false;
    if (!settings->change_user) {
        snprintf(ret_text, room, "unchanged");
        return 0;
    }
    if (set_groups(keep) == -1) {
        if (settings->user_required)
            return why_errno(why, errno, "cannot become user %s", settings->user);
        snprintf(ret_text, room, "unchanged (may not change)"); /* a container's root without these capabilities */
        return 0;
    }
    if (!can_read(settings, keep->plugin)) {
        if (settings->user_required)
            return why_set(why, -EACCES, "user %s cannot read %s", settings->user, keep->plugin);
        *ret_needs_reading = true;
        snprintf(ret_text, room, "root (%s cannot read the plugin)", settings->user);
        return 0;
    }
    if (setresgid(settings->gid, settings->gid, settings->gid) == -1 || setresuid(settings->uid, settings->uid, settings->uid) == -1)
        return why_errno(why, errno, "cannot become user %s", settings->user);
    snprintf(ret_text, room, "%s", settings->user);
    return 0;
}

void sandbox_capabilities_bound(void)
{
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int sandbox_capabilities_drop(bool keep_reading)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}, {0, 0, 0}};

    if (keep_reading)
        sets[0].effective = sets[0].permitted = 1u << CAP_DAC_READ_SEARCH;
    if (syscall(SYS_capset, &header, sets) == 0)
        return 0;
    return -errno;
}
