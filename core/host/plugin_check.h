/* host/plugin_check.h - judges a plugin's table before anything in it is called.  Pure: tests feed it bad tables without a .so. */
#ifndef PLUGIN_CHECK_H
#define PLUGIN_CHECK_H

#include <umbel/transport.h>

#include "core/base/why.h"

/* plugin_check - 0 and a copy in which members that an older plugin does not have are NULL or 0; else -EPROTO and what differs. */
int plugin_check(const struct umbel_transport *theirs, struct umbel_transport *ret_transport, struct why *why);

#endif
