/* upstream/upstream_url.h - base_url taken apart, strictly: what could be meant in two ways is refused with what to write
 * instead.  Pure. */
#ifndef UPSTREAM_URL_H
#define UPSTREAM_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/why.h"

#define UPSTREAM_HOST_MAX 253u /* bytes of a DNS name */
#define UPSTREAM_PATH_MAX 1023u

struct upstream_url {
    bool tls;
    uint16_t port;
    char host[UPSTREAM_HOST_MAX + 1];      /* lower case; an IPv6 address without its brackets */
    char authority[UPSTREAM_HOST_MAX + 9]; /* for the Host header: brackets, and the port unless it is the scheme's own */
    char path[UPSTREAM_PATH_MAX + 1];      /* "" or "/v1": begins with a slash, ends without one */
};

/* upstream_url_parse - http://HOST[:PORT][/PATH] or https://...; -EINVAL with words that say what to write. */
int upstream_url_parse(const char *text, struct upstream_url *ret_url, struct why *why);

#endif
