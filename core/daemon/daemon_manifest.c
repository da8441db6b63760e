#include "core/daemon/daemon_manifest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#include "core/config/config_manifest.h"
#include "core/daemon/daemon_ask.h"

struct daemon_manifest {
    struct daemon_ask *ask;
    daemon_manifest_done *done;
    void *owner;
    char plugin[64];
};

/* It is JSON: is it what the loader of configurations would take, too? */
static int check(const struct daemon_manifest *manifest, const char *text, struct config_manifest *ret_parsed, struct why *why)
{
    int r = config_manifest_parse(manifest->plugin, text, ret_parsed, why);

    if (r < 0)
        return r;
    const char *name = umbel_json_member_text(ret_parsed->json, "name", "");
    if (strcmp(name, manifest->plugin) == 0)
        return 0;
    why_set(why, -EPROTO, "the file of plugin %s says that it is %.60s", manifest->plugin, name);
    config_manifest_clear(ret_parsed);
    return -EPROTO;
}

static void answered(void *owner, int r, const char *text)
{
    struct daemon_manifest *manifest = owner;
    struct config_manifest parsed;
    struct why why = {""};

    if (r == 0)
        r = check(manifest, text, &parsed, &why);
    else
        why_set(&why, r, "%s", text);
    manifest->done(manifest->owner, r, r == 0 ? parsed.json : NULL, why.text);
    if (r == 0)
        config_manifest_clear(&parsed);
    free(manifest);
}

int daemon_manifest_ask(struct daemon *daemon, const char *plugin, const char *path, daemon_manifest_done *done, void *owner,
                        struct daemon_manifest **ret_manifest, struct why *why)
{
    struct daemon_manifest *manifest = calloc(1, sizeof *manifest);
    char *const argv[] = {daemon->host_program, (char[]){"--manifest"}, (char *)(uintptr_t)path, NULL};

    if (!manifest)
        return why_set(why, -ENOMEM, "no memory for a manifest");
    manifest->done = done;
    manifest->owner = owner;
    snprintf(manifest->plugin, sizeof manifest->plugin, "%s", plugin);
    int r = daemon_ask_begin(daemon, argv, false, answered, manifest, &manifest->ask, why);
    if (r < 0)
        free(manifest);
    else
        *ret_manifest = manifest;
    return r;
}

void daemon_manifest_cancel(struct daemon_manifest *manifest)
{
    if (!manifest)
        return;
    daemon_ask_cancel(manifest->ask);
    free(manifest);
}
