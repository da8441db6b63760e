#include "core/host/plugin_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <umbel/out.h>

#include "core/config/config.h"
#include "core/host/plugin_check.h"

int plugin_load(const char *path, struct umbel_transport *ret_transport, void **ret_handle, struct why *why)
{
    struct why detail = {""};
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return why_set(why, -ENOENT, "cannot load %s: %s", path, dlerror());
    const struct umbel_transport *theirs = dlsym(handle, UMBEL_TRANSPORT_SYMBOL);
    if (!theirs) {
        dlclose(handle);
        return why_set(why, -EPROTO, "%s is not a transport plugin: it exports no symbol " UMBEL_TRANSPORT_SYMBOL, path);
    }
    int r = plugin_check(theirs, ret_transport, &detail);
    if (r < 0) {
        why_set(why, r, "%s is refused: %s", path, detail.text);
        dlclose(handle);
        return r;
    }
    *ret_handle = handle;
    return 0;
}

void plugin_unload(void *handle)
{
    if (handle)
        dlclose(handle);
}

static void put_member(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
    umbel_out_put(out, ",", 1);
}

void plugin_manifest(const struct umbel_transport *transport, struct umbel_out *out)
{
    umbel_out_put(out, "{", 1);
    put_member(out, "name", transport->name);
    put_member(out, "version", transport->version);
    put_member(out, "summary", transport->summary);
    umbel_out_printf(out, "\"abi\":\"%u.%u\",\"needs\":%u,\"options\":", transport->abi_major, transport->abi_minor, transport->needs);
    config_options_json(transport->options, transport->option_count, out);
    umbel_out_text(out, "}\n");
}
