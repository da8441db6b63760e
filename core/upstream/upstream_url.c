#include "core/upstream/upstream_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/number.h"
#include "core/base/span.h"

#define EXAMPLE "write for example https://api.example.com/v1"

static int parse_scheme(const char **at, struct upstream_url *url, struct why *why)
{
    if (strncasecmp(*at, "https://", 8) == 0) {
        url->tls = true;
        *at += 8;
    } else if (strncasecmp(*at, "http://", 7) == 0) {
        *at += 7;
    } else {
        return why_set(why, -EINVAL, "base_url must begin with https:// or http://: " EXAMPLE);
    }
    return 0;
}

static int parse_name(struct span name, struct upstream_url *url, struct why *why)
{
    if (name.size == 0 || name.size > UPSTREAM_HOST_MAX)
        return why_set(why, -EINVAL, "base_url has a host of %zu bytes, 1 to %u are possible: " EXAMPLE, name.size,
                       UPSTREAM_HOST_MAX);
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];

        if (!isascii(c) || (!isalnum(c) && c != '.' && c != '-' && c != '_'))
            return why_set(why, -EINVAL,
                           "base_url: byte 0x%02x cannot be in a host name (write a foreign name as xn--...): " EXAMPLE, c);
        url->host[i] = (char)tolower(c);
    }
    if (name.data[0] == '.' || name.data[0] == '-' || name.data[name.size - 1] == '.' || strstr(url->host, ".."))
        return why_set(why, -EINVAL, "base_url: %s is not a host name: " EXAMPLE, url->host);
    return 0;
}

static int parse_ipv6(struct span address, struct upstream_url *url, struct why *why)
{
    unsigned char bytes[16];

    if (address.size < INET6_ADDRSTRLEN) {
        for (size_t i = 0; i < address.size; i++)
            url->host[i] = (char)tolower((unsigned char)address.data[i]);
        if (inet_pton(AF_INET6, url->host, bytes) == 1)
            return 0;
    }
    return why_set(why, -EINVAL, "base_url: what stands in [ ] is not an IPv6 address: write for example http://[::1]:8080/v1");
}

/* HOST[:PORT], which ends at `end`. */
static int parse_authority(const char *at, const char *end, struct upstream_url *url, struct why *why)
{
    const char *host_end, *bracket = at < end && *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
    uint64_t port = url->tls ? 443 : 80;
    bool own_port = true;
    int r;

    if (memchr(at, '@', (size_t)(end - at)))
        return why_set(why, -EINVAL, "base_url must not hold a name or password before @: the key goes into api_key");
    if (bracket) {
        host_end = bracket + 1;
        r = parse_ipv6(span_of(at + 1, (size_t)(bracket - at - 1)), url, why);
    } else {
        host_end = memchr(at, ':', (size_t)(end - at));
        host_end = host_end ? host_end : end;
        r = parse_name(span_of(at, (size_t)(host_end - at)), url, why);
    }
    if (r < 0)
        return r;
    if (host_end < end) {
        uint64_t standard = port;

        if (*host_end != ':' || !number_parse_u64(host_end + 1, (size_t)(end - host_end - 1), &port) || port == 0 || port > 65535)
            return why_set(why, -EINVAL, "base_url: the port after the host must be a number from 1 to 65535");
        own_port = port == standard;
    }
    url->port = (uint16_t)port;
    if (own_port)
        snprintf(url->authority, sizeof url->authority, bracket ? "[%s]" : "%s", url->host);
    else
        snprintf(url->authority, sizeof url->authority, bracket ? "[%s]:%u" : "%s:%u", url->host, (unsigned)port);
    return 0;
}

static int parse_path(const char *at, struct upstream_url *url, struct why *why)
{
    static const char added[] = "/chat/completions";
    size_t size = strlen(at);

    while (size > 0 && at[size - 1] == '/')
        size--;
    if (size > UPSTREAM_PATH_MAX)
        return why_set(why, -EINVAL, "base_url has a path of %zu bytes, at most %u are possible", size, UPSTREAM_PATH_MAX);
    for (size_t i = 0; i < size; i++)
        if (at[i] <= ' ' || at[i] >= 0x7f || at[i] == '?' || at[i] == '#' || at[i] == '\\')
            return why_set(why, -EINVAL,
                           "base_url: byte 0x%02x cannot be in its path (no query, no fragment, no blanks): " EXAMPLE,
                           (unsigned)(unsigned char)at[i]);
    memcpy(url->path, at, size);
    if (size >= sizeof added - 1 && strcmp(url->path + size - (sizeof added - 1), added) == 0)
        return why_set(why, -EINVAL, "base_url must not end in %s, which is added: leave it out", added);
    return 0;
}

int upstream_url_parse(const char *text, struct upstream_url *ret_url, struct why *why)
{
    struct upstream_url url = {0};
    const char *at = text, *end;
    int r = parse_scheme(&at, &url, why);

    if (r < 0)
        return r;
    end = at + strcspn(at, "/?#");
    r = parse_authority(at, end, &url, why);
    if (r < 0)
        return r;
    r = parse_path(end, &url, why);
    if (r < 0)
        return r;
    *ret_url = url;
    return 0;
}
