/* Fuzz: addresses that operators and environments write: base_url, proxy, NO_PROXY.  What is accepted has one meaning, is read alike when it is
 * written again, and the words about what is refused never hold the login.
 * Input: three texts between zero bytes: an URL, NO_PROXY, a host. */
#include <ctype.h>
#include <errno.h>

#include "core/upstream/upstream_proxy.h"
#include "tests/fuzz/pieces.h"

static void check_host(const char *host)
{
    REQUIRE(*host && strlen(host) <= UPSTREAM_HOST_MAX);
    for (; *host; host++)
        REQUIRE((unsigned char)*host > ' ' && (unsigned char)*host < 0x7f && !strchr("/?#@[]\\", *host) && !isupper((unsigned char)*host));
}

static void check_url(const char *text)
{
    struct upstream_url url, again;
    char written[UPSTREAM_HOST_MAX + UPSTREAM_PATH_MAX + 64];
    struct why why = {""};
    int r = upstream_url_parse(text, &url, &why);

    REQUIRE(r == 0 || (r == -EINVAL && why.text[0]));
    if (r < 0)
        return;
    check_host(url.host);
    REQUIRE(url.port > 0 && (url.path[0] == '\0' || url.path[0] == '/'));
    for (const char *c = url.path; *c; c++) /* it goes into a request line as it is */
        REQUIRE((unsigned char)*c > ' ' && (unsigned char)*c != 0x7f);
    snprintf(written, sizeof written, "http%s://%s%s", url.tls ? "s" : "", url.authority, url.path);
    REQUIRE(upstream_url_parse(written, &again, &why) == 0);
    REQUIRE(again.tls == url.tls && again.port == url.port && strcmp(again.host, url.host) == 0 && strcmp(again.path, url.path) == 0);
}

static void check_proxy(const char *text)
{
    struct upstream_proxy *proxy;
    struct why why = {""};
    int r = upstream_proxy_parse(text, &proxy, &why);

    REQUIRE(r == 0 || (r == -EINVAL && why.text[0]));
    if (r < 0) {
        const char *at = strchr(text, '@'), *secret = strstr(text, "hunter2");
        REQUIRE(!(secret && at && secret < at && strstr(why.text, "hunter2")));
        return;
    }
    check_host(proxy->host);
    REQUIRE(proxy->port > 0 && strlen(proxy->name) < sizeof proxy->name);
    for (const char *c = proxy->login; c && *c; c++) /* it goes into a header line as it is */
        REQUIRE(isalnum((unsigned char)*c) || strchr("+/=", *c));
    upstream_proxy_free(proxy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 3);

    REQUIRE(text);
    memcpy(text, data, size);
    memset(text + size, 0, 3);
    const char *exempt = text + strlen(text) + 1;
    const char *host = exempt <= text + size ? exempt + strlen(exempt) + 1 : text + size + 1;
    if (exempt > text + size)
        exempt = "";
    if (host > text + size)
        host = "api.example.com";
    check_url(text);
    check_proxy(text);
    REQUIRE(upstream_proxy_exempts("*", host, 443));
    REQUIRE(!upstream_proxy_exempts("", host, 443));
    upstream_proxy_exempts(exempt, host, 443);
    free(text);
    return 0;
}
