/* daemon/daemon_apps.h - the apps of the configuration in slots that keep their numbers for the daemon's life.
 *
 * An app's number stands in grants, sessions and answers, so it stays its own, by its name, when the file changes: an app that is
 * removed leaves its slot behind, closed, and gets it back if it ever returns.  A key's number is its text's, and is never given to
 * another one.
 * Owner: the core's loop thread. */
#ifndef DAEMON_APPS_H
#define DAEMON_APPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config/config.h"
#include "core/daemon/daemon_upstreams.h"

#define DAEMON_APPS_MAX 4096u /* names of apps in the daemon's life; a file with more new ones is refused until it starts again */

struct daemon_app {
    const struct config_app *config; /* never NULL: of a removed app what its last answers need (name, policies), no lists */
    bool removed;
    bool lent;                        /* by daemon_apps_lend: every transport serves it, nobody may name it */
    struct daemon_route *route;       /* NULL: removed */
    struct upstream_member **members; /* of route, in order of preference */
    const struct config_upstream **upstream_configs; /* the same */
    size_t member_count;
    uint32_t *key_numbers; /* as config->keys */
    uint32_t last_key;
    struct config_app *former; /* owned: config of a removed app */
};

/* daemon_apps_prepare, _commit - the apps of `config` take their slots.  The services they name stand in daemon->upstreams when
 * commit is called, and the configuration before is still there.  prepare allocates and changes nothing: 0, -ENOSPC (FILE:LINE: too
 * many names) or -ENOMEM; commit cannot fail and frees the change; discard frees one that was not committed. */
struct daemon_apps_change;
int daemon_apps_prepare(struct daemon *daemon, const struct config *config, struct daemon_apps_change **ret_change, struct why *why);
void daemon_apps_commit(struct daemon *daemon, struct daemon_apps_change *change);
void daemon_apps_discard(struct daemon_apps_change *change); /* NULL is fine */
void daemon_apps_free(struct daemon *daemon);

/* daemon_apps_lend - an app that stands in no file, for as long as its lender likes: config (borrowed until the daemon ends) with one key,
 * over members of upstreams that outlive the daemon's routes (references are counted).  Its name is none that a file can have.  Until
 * daemon_apps_end_loan, or the next change of the configuration, which ends it, too.  0; -EEXIST: it is lent already; -ENOSPC; -ENOMEM. */
int daemon_apps_lend(struct daemon *daemon, struct config_app *config, struct daemon_upstream *const *upstreams, size_t count);
void daemon_apps_end_loan(struct daemon *daemon, const char *name);

/* daemon_app_key - which of config->keys has this number; false: none has any more. */
bool daemon_app_key(const struct daemon_app *app, uint32_t number, size_t *ret_index);

#endif
