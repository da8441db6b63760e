#include "ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
static const char path_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/%";

/* Bytes of a host at text; 0: there is none.  IPv6 addresses stand in brackets. */
static size_t host_size(const char *text)
{
    size_t size;

    if (*text != '[')
        return strspn(text, name_characters);
    size = strspn(text + 1, "0123456789abcdefABCDEF:.");
    return size && text[size + 1] == ']' ? size + 2 : 0;
}

/* Bytes of ":PORT" at text, 0 if there is none; -1: a colon, but no port. */
static int port_size(const char *text)
{
    size_t digits;

    if (*text != ':')
        return 0;
    digits = strspn(text + 1, "0123456789");
    return digits >= 1 && digits <= 5 && strtoul(text + 1, NULL, 10) <= 65535 ? (int)digits + 1 : -1;
}

bool ways_host_ok(const char *host)
{
    size_t size = host_size(host);
    int port = size && size <= 253 ? port_size(host + size) : -1;

    return port >= 0 && host[size + (size_t)port] == '\0';
}

bool ways_host_is_loopback(const char *host)
{
    size_t size = ways_host_ok(host) ? host_size(host) : 0;

    if (size == 9 && strncasecmp(host, "localhost", 9) == 0)
        return true;
    if (size == 5 && strncmp(host, "[::1]", 5) == 0)
        return true;
    /* An address and not a name like 127.0.0.1.example.com */
    return size >= 7 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == size;
}

bool ways_peer_is_loopback(const char *peer)
{
    return strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 || strncmp(peer, "::ffff:127.", 11) == 0;
}

/* Bytes up to the host; 0: no scheme of ours. */
static size_t scheme_size(const char *url)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
            return strlen(schemes[i]);
    return 0;
}

/* Bytes of the host of a good url: an IPv6 address other than ::1 cannot be named in a policy, so it is not good. */
static size_t url_host_size(const char *host)
{
    if (*host == '*')
        return 1;
    return *host != '[' || strncmp(host, "[::1]", 5) == 0 ? host_size(host) : 0;
}

bool ways_url_ok(const char *url)
{
    size_t scheme = scheme_size(url), host = scheme ? url_host_size(url + scheme) : 0;
    int port = host ? port_size(url + scheme + host) : -1;

    if (port < 0 || strlen(url) >= WAYS_URL_MAX)
        return false;
    const char *path = url + scheme + host + port;
    return *path == '\0' || (*path == '/' && path[strspn(path, path_characters)] == '\0');
}

/* The url as the page uses it: * is the page's own host, and [::1], which no policy can name, is localhost.  False: the page was opened by an
 * IPv6 address that no policy can name. */
static bool resolve(const char *url, const char *page, char ret_url[WAYS_URL_MAX + 256])
{
    size_t scheme = scheme_size(url), size = url_host_size(url + scheme), page_size = host_size(page);
    const char *host = url + scheme, *rest = host + size;

    if (*host == '*') {
        host = page;
        size = page_size;
    }
    if (*host == '[') {
        if (strncmp(host, "[::1]", 5) != 0)
            return false;
        host = "localhost";
        size = 9;
    }
    snprintf(ret_url, WAYS_URL_MAX + 256, "%.*s%.*s%s", (int)scheme, url, (int)size, host, rest);
    return true;
}

static void put_origin(const char *url, const char *page, struct umbel_out *out)
{
    char whole[WAYS_URL_MAX + 256];

    if (!*url || !resolve(url, page, whole))
        return;
    size_t size = scheme_size(whole);
    size += strcspn(whole + size, "/");
    umbel_out_printf(out, " %.*s", (int)size, whole);
}

void ways_policy(const struct ways *ways, const char *host, struct umbel_out *out)
{
    umbel_out_text(out, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'");
    for (uint32_t i = 0; i < ways->count; i++)
        put_origin(ways->items[i].url, host, out);
    put_origin(ways->im_view, host, out);
    umbel_out_text(out, "; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
}

static void put_member(const char *name, const char *text, struct umbel_out *out)
{
    umbel_out_printf(out, "\"%s\":", name);
    if (text)
        umbel_out_json(out, text, strlen(text));
    else
        umbel_out_text(out, "null");
}

void ways_json(const struct ways *ways, const char *host, const char *key, struct umbel_out *out)
{
    char url[WAYS_URL_MAX + 256];
    const char *before = "";

    umbel_out_text(out, "{");
    put_member("app", ways->app, out);
    umbel_out_text(out, ",");
    put_member("key", key, out);
    umbel_out_text(out, ",\"ways\":[");
    for (uint32_t i = 0; i < ways->count; i++) {
        if (!resolve(ways->items[i].url, host, url))
            continue;
        umbel_out_text(out, before);
        umbel_out_text(out, "{");
        put_member("name", ways->items[i].name, out);
        umbel_out_text(out, ",");
        put_member("protocol", ways->items[i].protocol, out);
        umbel_out_text(out, ",");
        put_member("url", url, out);
        umbel_out_text(out, ",");
        put_member("note", ways->items[i].note, out);
        umbel_out_text(out, "}");
        before = ",";
    }
    umbel_out_printf(out, "],\"im\":{\"mirrors\":%s,", ways->im_mirrors ? "true" : "false");
    put_member("view", *ways->im_view && resolve(ways->im_view, host, url) ? url : NULL, out);
    umbel_out_text(out, "}}\n");
}
