#include "core/daemon/daemon_load.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/daemon/daemon.h"
#include "core/daemon/daemon_builtin.h"

/* Plugins are looked up with the path of umbel-host as owner, warnings go to the caller's. */
struct loading {
    const char *host_program;
    void (*warn)(void *owner, const char *line);
    void *owner;
};

static int look_up(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why)
{
    const struct loading *loading = owner;

    return daemon_plugin_lookup((void *)(uintptr_t)loading->host_program, plugin, ret_path, ret_manifest, why);
}

static void warn(void *owner, const char *line)
{
    const struct loading *loading = owner;

    if (loading->warn)
        loading->warn(loading->owner, line);
}

static int use_runtime_dir(struct config *config, const char *runtime_dir, struct why *why)
{
    char *copy = strdup(runtime_dir);

    if (!copy)
        return why_set(why, -ENOMEM, "no memory");
    free(config->runtime_dir);
    config->runtime_dir = copy;
    config->runtime_dir_given = true;
    return 0;
}

int daemon_load(const char *path, const char *host_program, const char *runtime_dir, void (*warn_line)(void *owner, const char *line),
                void *owner, struct config **ret_config, struct why *why)
{
    struct loading loading = {host_program, warn_line, owner};
    struct config *config;
    int r = config_load(path, look_up, &loading, warn, &config, why);

    if (r < 0)
        return r;
    r = daemon_builtin_add(config, look_up, &loading, why);
    if (r == 0)
        r = daemon_check(config, why);
    if (r == 0 && runtime_dir)
        r = use_runtime_dir(config, runtime_dir, why);
    if (r < 0) {
        config_free(config);
        return r;
    }
    *ret_config = config;
    return 0;
}
