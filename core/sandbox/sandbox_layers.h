/* sandbox/sandbox_layers.h - the layers of sandbox_enter, each in a file of its own.  Inside this module only. */
#ifndef SANDBOX_LAYERS_H
#define SANDBOX_LAYERS_H

#include <umbel/transport.h>

#include "core/sandbox/sandbox.h"

static inline bool sandbox_calls_out(const struct sandbox_settings *settings)
{
    return settings->needs & UMBEL_NEEDS_OUTBOUND;
}

/* sandbox_limits_set - resource limits; they only ever get lower. */
void sandbox_limits_set(const struct sandbox_settings *settings);

/* sandbox_user_change - to settings' user, with no groups but, for stats pages, theirs.  Falls back to staying root when that user cannot
 * read the plugin and none was asked for: then *ret_needs_reading is true.  ret_text: the user's part of the report.  0 or -errno with
 * words. */
int sandbox_user_change(const struct sandbox_settings *settings, const struct sandbox_keep *keep, bool *ret_needs_reading, char *ret_text, size_t room,
                        struct why *why);

/* sandbox_capabilities_bound - no exec can bring any back.  Before the user changes: it takes one itself. */
void sandbox_capabilities_bound(void);
/* sandbox_capabilities_drop - all sets empty; keep_reading leaves root what it needs to read a plugin in another user's folder. */
int sandbox_capabilities_drop(bool keep_reading);

/* sandbox_landlock - files, TCP and, where the kernel can, signals and abstract sockets.  Returns the ABI in force, or -errno. */
int sandbox_landlock(const struct sandbox_settings *settings, const struct sandbox_keep *keep);

/* sandbox_seccomp - the allow-list of sandbox_calls.def.  0 or -errno. */
int sandbox_seccomp(const struct sandbox_settings *settings);

#endif
