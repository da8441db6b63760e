/* sandbox/sandbox.h - what umbel-host gives up before it loads a line of a plugin: user, capabilities, limits, files, network, system calls.
 *
 *   sandbox_enter:  limits -> user and groups -> capabilities -> no-new-privileges, not dumpable -> Landlock -> seccomp
 * Nothing of it can be taken back, and everything is in force when the plugin's constructors run.  A kernel that lacks a layer makes the
 * sandbox weaker, never the host unusable: the report says in words which layers hold.  docs/internals/sandbox.md explains each list.
 * Once in a process, from its only thread. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"

#define SANDBOX_USER_MAX 33u      /* a user's name with its zero */
#define SANDBOX_SETTINGS_MAX 160u /* settings as text */
#define SANDBOX_REPORT_MAX 176u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZER 1
#endif
#endif
#ifndef SANDBOX_SANITIZER
#define SANDBOX_SANITIZER 0
#endif

#define SANDBOX_PLAIN_SENDS (1u << 30) /* in needs too: the operator wants no io_uring (io = epoll) */
#define SANDBOX_KEEPS_FILES (1u << 31) /* in needs, beside UMBEL_NEEDS_*: it keeps files of the operator's in memory files */

struct sandbox_settings {
    bool change_user;            /* to the user below; needs root */
    bool user_required;          /* the operator named it: rather not start than run as another */
    uint32_t uid, gid;
    char user[SANDBOX_USER_MAX]; /* for words only */
    uint32_t needs;              /* UMBEL_NEEDS_* of the plugin's manifest */
    uint32_t memory_mb;          /* 0: none.  What may be allocated at all is twice that (RLIMIT_DATA); the core acts at the limit itself */
    uint32_t connections;        /* descriptors: so many and some more */
};

/* sandbox_settings_text - as one argument of a command line: no blanks, no secrets.  room >= SANDBOX_SETTINGS_MAX holds every one. */
void sandbox_settings_text(const struct sandbox_settings *settings, char *ret_text, size_t room);
/* sandbox_settings_parse - the reverse.  0, or -EINVAL. */
int sandbox_settings_parse(const char *text, struct sandbox_settings *ret_settings);

/* sandbox_user_choose - fills in the user's part of *settings.  name: the operator's word, or "" for the default: for root the user
 * "umbel" if it exists, else "nobody"; for others no change.  0, or -ENOENT, -EPERM (a name, but we are not root) with words. */
int sandbox_user_choose(const char *name, struct sandbox_settings *settings, struct why *why);

/* What stays open. */
struct sandbox_keep {
    const char *plugin; /* the file that is loaded afterwards */
    int stats_folder;   /* with UMBEL_NEEDS_STATS: a descriptor of the folder of stats pages; else -1 */
    int death_signal;   /* sent to this process when its parent dies, 0: none.  Armed by sandbox_enter: a change of user disarms it, and
                         * afterwards nobody can change it */
};

/* sandbox_enter - see above.  ret_report: one line on what holds.  0, or -errno with words when what must hold (the user that was asked
 * for) cannot be had. */
int sandbox_enter(const struct sandbox_settings *settings, const struct sandbox_keep *keep, char ret_report[SANDBOX_REPORT_MAX],
                  struct why *why);

#endif
