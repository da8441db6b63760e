/* config/config_diff.h - two configurations compared: what was added, changed and removed, option by option, and what it takes to
 * apply it.  Pure; any thread.  Secrets are compared but never shown. */
#ifndef CONFIG_DIFF_H
#define CONFIG_DIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "core/config/config.h"

enum config_what { CONFIG_ADDED, CONFIG_CHANGED, CONFIG_REMOVED };

/* What it takes, the stronger one last. */
enum config_effect {
    CONFIG_EFFECT_LIVE,    /* the core applies it at once */
    CONFIG_EFFECT_HOSTS,   /* the transport's processes were told at their start: new ones take their place */
    CONFIG_EFFECT_RESTART, /* only a new daemon can: the running one goes on with what it has */
};

struct config_option_change {
    char *name;      /* "model", "limits.concurrent", "bot.tea.account" */
    char *from, *to; /* at most 60 bytes of each; secrets: "(secret)" or "(none)" and "(secret changed)" */
    enum config_effect effect;
};

struct config_change {
    enum config_what what;
    const char *kind;     /* "upstream", "app", "transport", or a section there is once: "core", "log", ..., "" = the top level */
    char *name;           /* "" for sections there are once */
    enum config_effect effect; /* the strongest of its options */
    struct config_option_change *options; /* CHANGED only */
    size_t option_count, option_capacity;
};

struct config_diff {
    struct config_change *items; /* by the order of sections, then of names in the files */
    size_t count, capacity;
};

/* config_diff_make - what turns `running` into `file`.  0 or -ENOMEM.  *ret_diff is to be cleared by config_diff_clear. */
int config_diff_make(const struct config *running, const struct config *file, struct config_diff *ret_diff);
void config_diff_clear(struct config_diff *diff); /* a zeroed one is fine */

/* config_diff_one_transport - whether two sections of one name differ, and what applying that takes.  0 or -ENOMEM. */
int config_diff_one_transport(const struct config_transport *running, const struct config_transport *file, bool *ret_changed,
                              enum config_effect *ret_effect);

/* config_diff_find - the change of that section, or NULL: it stays as it is. */
const struct config_change *config_diff_find(const struct config_diff *diff, const char *kind, const char *name);

/* config_diff_effect - the strongest of all; LIVE when there is no change. */
enum config_effect config_diff_effect(const struct config_diff *diff);

/* config_diff_keep - what needs a restart is exchanged between the two: `file` then says what runs, and can take running's place. */
void config_diff_keep(struct config *running, struct config *file);

const char *config_what_text(enum config_what what);       /* "added", "changed", "removed" */
const char *config_effect_text(enum config_effect effect); /* "live", "hosts", "restart" */

/* config_diff_json - the array: [{"change":"changed","section":"app","name":"shop","applies":"live","options":[{"name":"model",
 * "from":"a","to":"b","applies":"live"}]}] */
void config_diff_json(const struct config_diff *diff, struct umbel_out *out);

#endif
