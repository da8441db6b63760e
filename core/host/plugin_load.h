/* host/plugin_load.h - dlopen with distrust, in the host process only. */
#ifndef PLUGIN_LOAD_H
#define PLUGIN_LOAD_H

#include <umbel/transport.h>

#include "core/base/why.h"

/* plugin_load - opens path (RTLD_NOW | RTLD_LOCAL), finds and checks its table.  *ret_handle is for plugin_unload.  0 or -errno; the
 * reason names the file. */
int plugin_load(const char *path, struct umbel_transport *ret_transport, void **ret_handle, struct why *why);
void plugin_unload(void *handle);

/* plugin_manifest - the table as JSON, for umbel-host --manifest. */
struct umbel_out;
void plugin_manifest(const struct umbel_transport *transport, struct umbel_out *out);

#endif
