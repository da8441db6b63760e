#include "core/sandbox/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "core/sandbox/sandbox_layers.h"

void sandbox_settings_text(const struct sandbox_settings *settings, char *ret_text, size_t room)
{
    snprintf(ret_text, room, "%d:%d:%u:%u:%u:%u:%u:%s", settings->change_user, settings->user_required, settings->uid, settings->gid,
             settings->needs, settings->memory_mb, settings->connections, settings->user);
}

int sandbox_settings_parse(const char *text, struct sandbox_settings *ret_settings)
{
    struct sandbox_settings settings = {0};
    unsigned change, required;
    int end = 0;

    if (sscanf(text, "%1u:%1u:%10u:%10u:%10u:%10u:%10u:%n", &change, &required, &settings.uid, &settings.gid, &settings.needs, &settings.memory_mb,
               &settings.connections, &end) != 7 ||
        end == 0 || change > 1 || required > 1 || strlen(text + end) >= SANDBOX_USER_MAX)
        return -EINVAL;
    settings.change_user = change;
    settings.user_required = required;
    memcpy(settings.user, text + end, strlen(text + end) + 1);
    *ret_settings = settings;
    return 0;
}

/* The leak checker traces its own process and reads its /proc, which a change of user has just taken away: there the two cannot both be had. */
static int forbid_dumps(void)
{
    return prctl(PR_SET_DUMPABLE, SANDBOX_SANITIZER ? 1 : 0, 0, 0, 0) == 0 ? 0 : -errno;
}

int sandbox_enter(const struct sandbox_settings *settings, const struct sandbox_keep *keep, char ret_report[SANDBOX_REPORT_MAX],
                  struct why *why)
{
    char user[SANDBOX_USER_MAX + 48], landlock[32];
    bool needs_reading = false;
    int r;

    sandbox_limits_set(settings);
    sandbox_capabilities_bound();
    r = sandbox_user_change(settings, keep, &needs_reading, user, sizeof user, why);
    if (r < 0)
        return r;
    r = sandbox_capabilities_drop(needs_reading);
    if (r < 0)
        return why_errno(why, -r, "cannot give up capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
        return why_errno(why, errno, "cannot forbid new privileges");
    r = forbid_dumps();
    if (r < 0)
        return why_errno(why, -r, "cannot forbid to be traced");
    if (keep->death_signal)
        prctl(PR_SET_PDEATHSIG, keep->death_signal, 0, 0, 0);
    r = sandbox_landlock(settings, keep);
    if (r < 0)
        snprintf(landlock, sizeof landlock, "no landlock (%s)", strerrorname_np(-r));
    else
        snprintf(landlock, sizeof landlock, "landlock v%d", r);
    r = sandbox_seccomp(settings);
    snprintf(ret_report, SANDBOX_REPORT_MAX, "user %s, %s, %s%s", user, landlock, r < 0 ? "no seccomp " : "seccomp",
             r < 0 ? strerrorname_np(-r) : SANDBOX_SANITIZER ? " (widened for the sanitizer)" : "");
    return 0;
}
