/* daemon/daemon_playground.h - what the page of `playground { listen }` is told: options of the plugin playground, made of the transports of
 * the file, so that a changed transport is a changed page for config diff and reload too. */
#ifndef DAEMON_PLAYGROUND_H
#define DAEMON_PLAYGROUND_H

#include "core/config/config.h"

/* daemon_playground_fill - checks the section, then fills transport->options (empty so far): the transports a browser can speak to that serve
 * its app, and with offer_key the app's first key.  0; -EINVAL with FILE:LINE and words; -ENOMEM. */
int daemon_playground_fill(const struct config *config, struct config_transport *transport, struct why *why);

#endif
