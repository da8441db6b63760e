/* config/config_manifest.h - what a plugin says of itself (the JSON of `umbel-host --manifest`), as option rules.  Plugins are
 * strangers: everything is checked, everything has a bound. */
#ifndef CONFIG_MANIFEST_H
#define CONFIG_MANIFEST_H

#include <stdbool.h>

#include "core/base/why.h"
#include "core/config/config_options.h"

#define CONFIG_MANIFEST_OPTIONS_MAX 256u /* in one section */
#define CONFIG_MANIFEST_DEPTH_MAX 4u     /* sections in sections */

struct umbel_json;

struct config_manifest {
    struct umbel_json *json;   /* the rules borrow their texts from it */
    struct config_rule *rules; /* the core's own transport options first, then the plugin's */
    size_t count, common;      /* common: how many are the core's */
    uint32_t needs;            /* UMBEL_NEEDS_* */
    bool outbound;             /* it connects to others, so it may have no listening address */
};

/* config_manifest_parse - 0; -EINVAL with words that begin with the plugin's name; -ENOMEM. */
int config_manifest_parse(const char *plugin, const char *text, struct config_manifest *ret_manifest, struct why *why);
void config_manifest_clear(struct config_manifest *manifest);

#endif
