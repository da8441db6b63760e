#include "core/upstream/upstream_proxy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/number.h"
#include "core/base/span.h"

#define EXAMPLE "write for example http://10.0.0.1:3128"

/* ---- the URL ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX decoded.  Returns the number of bytes, or -1: a broken escape, a control character, too long. */
static int decode(struct span text, unsigned char bytes[PROXY_LOGIN_MAX])
{
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c == '%') {
            if (text.size - i < 3 || hex(text.data[i + 1]) < 0 || hex(text.data[i + 2]) < 0)
                return -1;
            c = (unsigned char)(hex(text.data[i + 1]) * 16 + hex(text.data[i + 2]));
            i += 2;
        }
        if (c < ' ' || c == 0x7f || size == PROXY_LOGIN_MAX)
            return -1;
        bytes[size++] = c;
    }
    return (int)size;
}

static char *base64(const unsigned char *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((size + 2) / 3 * 4 + 1), *at = text;

    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i += 3, at += 4) {
        uint32_t three =
            (uint32_t)bytes[i] << 16 | (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) | (i + 2 < size ? bytes[i + 2] : 0);

        at[0] = digits[three >> 18];
        at[1] = digits[three >> 12 & 63];
        at[2] = i + 1 < size ? digits[three >> 6 & 63] : '=';
        at[3] = i + 2 < size ? digits[three & 63] : '=';
    }
    *at = '\0';
    return text;
}

/* USER:PASSWORD as it stands in the URL. */
static int read_login(struct span text, struct upstream_proxy *proxy, struct why *why)
{
    unsigned char bytes[PROXY_LOGIN_MAX];
    int size = decode(text, bytes);

    if (size < 0)
        return why_set(why, -EINVAL,
                       "proxy: what stands before @ is over %u bytes, or has a %% that is not followed by two hexadecimal digits",
                       PROXY_LOGIN_MAX);
    if (!memchr(bytes, ':', (size_t)size)) {
        explicit_bzero(bytes, sizeof bytes);
        return why_set(why, -EINVAL, "proxy: what stands before @ must be USER:PASSWORD (with %%40 for an @)");
    }
    proxy->login = base64(bytes, (size_t)size);
    explicit_bzero(bytes, sizeof bytes);
    return proxy->login ? 0 : why_set(why, -ENOMEM, "no memory for a proxy");
}

/* HOST[:PORT][/]: read as the host of a base_url, whose words would speak of base_url. */
static int read_host(const char *text, struct upstream_proxy *proxy, struct why *why)
{
    char url_text[UPSTREAM_HOST_MAX + 32];
    struct upstream_url url;
    int n = snprintf(url_text, sizeof url_text, "http://%s", text);

    if (n < 0 || (size_t)n >= sizeof url_text || upstream_url_parse(url_text, &url, NULL) < 0 || url.path[0])
        return why_set(why, -EINVAL, "proxy has no proper host or port: " EXAMPLE);
    strcpy(proxy->host, url.host);
    proxy->port = url.port;
    snprintf(proxy->name, sizeof proxy->name, strchr(url.host, ':') ? "[%s]:%u" : "%s:%u", url.host, (unsigned)url.port);
    return 0;
}

int upstream_proxy_parse(const char *text, struct upstream_proxy **ret_proxy, struct why *why)
{
    struct upstream_proxy *proxy;
    const char *at = text, *end, *login_end;
    int r = 0;

    if (strncasecmp(at, "http://", 7) == 0)
        at += 7;
    else if (strstr(at, "://"))
        return why_set(why, -EINVAL, "proxy must begin with http:// (the proxy itself is spoken to in clear text): " EXAMPLE);
    proxy = calloc(1, sizeof *proxy);
    if (!proxy)
        return why_set(why, -ENOMEM, "no memory for a proxy");
    end = at + strcspn(at, "/?#");
    login_end = memrchr(at, '@', (size_t)(end - at));
    if (login_end) {
        r = read_login(span_of(at, (size_t)(login_end - at)), proxy, why);
        at = login_end + 1;
    }
    if (r == 0)
        r = read_host(at, proxy, why);
    if (r < 0) {
        upstream_proxy_free(proxy);
        return r;
    }
    *ret_proxy = proxy;
    return 0;
}

void upstream_proxy_free(struct upstream_proxy *proxy)
{
    if (!proxy)
        return;
    if (proxy->login)
        explicit_bzero(proxy->login, strlen(proxy->login));
    free(proxy->login);
    free(proxy);
}

/* ---- NO_PROXY ---- */

/* An address as 4 or 16 bytes, or 0: it is none. */
static size_t read_address(struct span text, unsigned char bytes[16])
{
    char number[INET6_ADDRSTRLEN];

    if (text.size >= 2 && text.data[0] == '[' && text.data[text.size - 1] == ']')
        text = span_of(text.data + 1, text.size - 2);
    if (text.size >= sizeof number)
        return 0;
    memcpy(number, text.data, text.size);
    number[text.size] = '\0';
    return inet_pton(AF_INET, number, bytes) == 1 ? 4 : inet_pton(AF_INET6, number, bytes) == 1 ? 16 : 0;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, uint64_t bits)
{
    size_t whole = (size_t)(bits / 8);
    unsigned rest = (unsigned)(bits % 8), mask = (0xff00u >> rest) & 0xffu;

    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

/* An address, or a block of them. */
static bool address_fits(struct span item, const unsigned char *address, size_t size)
{
    const char *slash = memchr(item.data, '/', item.size);
    unsigned char base[16];
    uint64_t bits = 8 * size;

    if (slash && (!number_parse_u64(slash + 1, item.size - (size_t)(slash + 1 - item.data), &bits) || bits > 8 * size))
        return false;
    return read_address(span_of(item.data, slash ? (size_t)(slash - item.data) : item.size), base) == size &&
           same_bits(base, address, bits);
}

static bool name_fits(struct span item, struct span host)
{
    while (item.size > 0 && item.data[0] == '.')
        item = span_of(item.data + 1, item.size - 1);
    if (item.size == 0 || item.size > host.size || strncasecmp(host.data + host.size - item.size, item.data, item.size) != 0)
        return false;
    return item.size == host.size || host.data[host.size - item.size - 1] == '.';
}

/* Takes :PORT off the end.  False: it is another port. */
static bool port_fits(struct span *item, uint16_t port)
{
    const char *colon = memrchr(item->data, ':', item->size);
    uint64_t number;

    /* An IPv6 address without brackets has colons of its own. */
    if (!colon || (memchr(item->data, ':', item->size) != colon && colon[-1] != ']'))
        return true;
    if (!number_parse_u64(colon + 1, item->size - (size_t)(colon + 1 - item->data), &number))
        return false;
    item->size = (size_t)(colon - item->data);
    return number == port;
}

static bool item_fits(struct span item, struct span host, uint16_t port)
{
    unsigned char address[16];
    size_t size = read_address(host, address);

    if (span_is(item, "*"))
        return true;
    if (!port_fits(&item, port))
        return false;
    return size > 0 ? address_fits(item, address, size) : name_fits(item, host);
}

bool upstream_proxy_exempts(const char *no_proxy, const char *host, uint16_t port)
{
    static const char between[] = ", \t";
    size_t seen = 0;

    while (no_proxy[seen] && seen < PROXY_NO_PROXY_MAX) {
        size_t size;

        seen += strspn(no_proxy + seen, between);
        size = strcspn(no_proxy + seen, between);
        if (size > 0 && item_fits(span_of(no_proxy + seen, size), span_text(host), port))
            return true;
        seen += size;
    }
    return false;
}

/* ---- the choice ---- */

/* The first of these variables that is set to something; NULL: none. */
static const char *first_of(char *(*environment)(const char *name), const char *const *names, const char **ret_name)
{
    for (; *names; names++) {
        const char *value = environment(*names);

        if (value && *value) {
            *ret_name = *names;
            return value;
        }
    }
    return NULL;
}

int upstream_proxy_choose(const char *setting, const struct upstream_url *url, char *(*environment)(const char *name),
                          struct upstream_proxy **ret_proxy, struct why *why)
{
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const for_http[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const for_none[] = {"no_proxy", "NO_PROXY", NULL};
    const char *value, *exempt, *name;
    struct why reason = {""};
    int r;

    *ret_proxy = NULL;
    if (!setting || !*setting)
        return 0;
    if (strcmp(setting, "env") != 0)
        return upstream_proxy_parse(setting, ret_proxy, why);
    value = first_of(environment, url->tls ? for_https : for_http, &name);
    if (!value)
        return 0;
    exempt = first_of(environment, for_none, &(const char *){NULL});
    if (exempt && upstream_proxy_exempts(exempt, url->host, url->port))
        return 0;
    r = upstream_proxy_parse(value, ret_proxy, &reason);
    return r < 0 ? why_set(why, r, "%s of the environment: %s", name, reason.text) : 0;
}
