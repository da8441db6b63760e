/* Addresses to listen on: numbers only, so that what is opened is what stands in the file. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "core/base/number.h"
#include "core/config/config_value.h"

static int fail_listen(struct config_load *load, const struct config_node *at, const char *text, const char *fault,
                       const char *write)
{
    return config_fail(load->why, at, "%s = %s %s, expected ADDRESS:PORT or unix:/PATH, write %s", at->name,
                       config_show(text).text, fault, write);
}

static int read_unix(struct config_load *load, const struct config_node *at, const char *text, struct config_listen *listen)
{
    const char *path = text + strlen("unix:");

    if (path[0] != '/')
        return fail_listen(load, at, text, "has a relative path", "the whole path: unix:/run/umbel/x.sock");
    if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return fail_listen(load, at, text, "has a path of over 107 bytes", "a shorter one");
    listen->is_unix = true;
    return (listen->host = strdup(path)) ? 0 : config_no_memory(load->why);
}

static int read_inet(struct config_load *load, const struct config_node *at, const char *text, struct config_listen *listen)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    bool six = text[0] == '[';
    unsigned char address[sizeof(struct in6_addr)];
    uint64_t port;

    if (!colon || (six && (size < 2 || text[size - 1] != ']')))
        return fail_listen(load, at, text, "has no port", "for example \"127.0.0.1:8801\" or \"[::1]:8801\"");
    if (!number_parse_u64(colon + 1, strlen(colon + 1), &port) || port < 1 || port > 65535)
        return fail_listen(load, at, text, "has a port out of range", "a port from 1 to 65535");
    if (!(listen->host = six ? strndup(text + 1, size - 2) : strndup(text, size)))
        return config_no_memory(load->why);
    listen->port = (uint16_t)port;
    if (inet_pton(six ? AF_INET6 : AF_INET, listen->host, address) == 1)
        return 0;
    return fail_listen(load, at, text, "has no numeric address",
                       "127.0.0.1 for this machine only, 0.0.0.0 for all of IPv4, [::] for all of IPv6");
}

int config_value_listen(struct config_load *load, const struct config_node *at, const char *text,
                        struct config_listen *ret_listen)
{
    struct config_listen listen = {.text = strdup(text)};
    int r;

    if (!listen.text)
        return config_no_memory(load->why);
    r = strncmp(text, "unix:", 5) == 0 ? read_unix(load, at, text, &listen) : read_inet(load, at, text, &listen);
    if (r < 0) {
        free(listen.text);
        free(listen.host);
        return r;
    }
    *ret_listen = listen;
    return 0;
}
