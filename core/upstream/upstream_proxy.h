/* upstream/upstream_proxy.h - internal to the module: which HTTP proxy an upstream is reached through.  Pure but for the
 * environment, which is handed in.
 *
 * `proxy` of an upstream is "" (none), a URL http://[USER:PASSWORD@]HOST[:PORT], or "env": then HTTPS_PROXY for https://,
 * HTTP_PROXY for http://, else ALL_PROXY, unless NO_PROXY names the host; the names in lower case go before those in upper case.
 */
#ifndef UPSTREAM_PROXY_H
#define UPSTREAM_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/upstream/upstream_url.h"

#define PROXY_LOGIN_MAX 512u     /* bytes of USER:PASSWORD, decoded */
#define PROXY_NO_PROXY_MAX 8192u /* bytes of NO_PROXY that are looked at */

struct upstream_proxy {
    uint16_t port;
    char host[UPSTREAM_HOST_MAX + 1]; /* lower case; an IPv6 address without its brackets */
    char name[UPSTREAM_HOST_MAX + 9]; /* HOST:PORT, for words; never with the login */
    char *login;                      /* NULL, or base64 of USER:PASSWORD: a secret, wiped at free */
};

/* upstream_proxy_parse - a URL, or HOST[:PORT] as the environment may have it.  0 and *ret (free it); -EINVAL with words that
 * never hold the login; -ENOMEM. */
int upstream_proxy_parse(const char *text, struct upstream_proxy **ret_proxy, struct why *why);

/* upstream_proxy_choose - setting as above (NULL: none); environment: as getenv.  0 and *ret, which is NULL when it goes without.
 */
int upstream_proxy_choose(const char *setting, const struct upstream_url *url, char *(*environment)(const char *name),
                          struct upstream_proxy **ret_proxy, struct why *why);

/* upstream_proxy_exempts - does NO_PROXY name this host?  Its items, between commas or blanks: "*"; a name, which stands for
 * itself and everything below it, with or without a dot before it; an address; addresses as 10.0.0.0/8; each but "*" with an
 * optional :PORT. */
bool upstream_proxy_exempts(const char *no_proxy, const char *host, uint16_t port);

void upstream_proxy_free(struct upstream_proxy *proxy); /* NULL is fine */

#endif
