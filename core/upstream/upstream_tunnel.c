#include "core/upstream/upstream_tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <umbel/version.h>

#define REFUSED (-ECANCELED) /* from our callback */

static int head_came(void *owner, const struct http_head *head)
{
    struct upstream_tunnel *tunnel = owner;

    tunnel->status = head->status;
    return head->status / 100 == 2 ? 0 : REFUSED; /* whatever page follows a refusal is of no interest */
}

static int body_came(void *owner, struct span bytes)
{
    (void)owner;
    (void)bytes;
    return REFUSED; /* never: a tunnel's head has no body, and a refusal stops at its head */
}

static const struct http_response_calls calls = {NULL, head_came, body_came, NULL};

struct upstream_tunnel *upstream_tunnel_create(const struct upstream_proxy *proxy, const struct upstream_url *url)
{
    struct upstream_tunnel *tunnel = calloc(1, sizeof *tunnel);

    if (!tunnel)
        return NULL;
    tunnel->proxy = proxy;
    tunnel->url = url;
    http_response_begin(&tunnel->response, HTTP_REQUEST_CONNECT, &calls, tunnel);
    return tunnel;
}

void upstream_tunnel_free(struct upstream_tunnel *tunnel)
{
    if (!tunnel)
        return;
    http_response_end(&tunnel->response);
    free(tunnel);
}

int upstream_tunnel_request(const struct upstream_tunnel *tunnel, struct umbel_out *out)
{
    const char *login = tunnel->proxy->login, *host = tunnel->url->host;
    bool brackets = strchr(host, ':') != NULL;

    /* Room for all of it first: a buffer that grows leaves copies of the login behind. */
    if (!umbel_out_reserve(out, 2 * UPSTREAM_HOST_MAX + 2 * PROXY_LOGIN_MAX + 512u))
        return out->failed;
    for (int i = 0; i < 2; i++)
        umbel_out_printf(out, "%s%s%s%s:%u%s", i == 0 ? "CONNECT " : "Host: ", brackets ? "[" : "", host, brackets ? "]" : "",
                         (unsigned)tunnel->url->port, i == 0 ? " HTTP/1.1\r\n" : "\r\n");
    umbel_out_printf(out, "%s%s%sUser-Agent: umbel/" UMBEL_VERSION "\r\n\r\n", login ? "Proxy-Authorization: Basic " : "",
                     login ? login : "", login ? "\r\n" : "");
    return out->failed;
}

static const char *advice(const struct upstream_tunnel *tunnel)
{
    if (tunnel->status == 407)
        return tunnel->proxy->login ? ": it does not accept the user and password in proxy"
                                    : ": it wants a login, write http://USER:PASSWORD@HOST:PORT";
    if (tunnel->status == 403 || tunnel->status == 405)
        return ": its rules do not allow CONNECT to there";
    return tunnel->status >= 500 ? ": it cannot reach the service" : "";
}

int upstream_tunnel_feed(struct upstream_tunnel *tunnel, const char *bytes, size_t size, size_t *ret_consumed, struct why *why)
{
    struct why reason = {""};
    size_t consumed = 0;
    int r = http_response_feed(&tunnel->response, bytes, size, &consumed, &reason);

    if (tunnel->status / 100 == 2 && http_response_is_over(&tunnel->response)) {
        *ret_consumed = consumed;
        return 1;
    }
    if (tunnel->status != 0)
        return why_set(why, -ECONNREFUSED, "the proxy %s refused a connection to %s port %u (HTTP %u)%s", tunnel->proxy->name,
                       tunnel->url->host, (unsigned)tunnel->url->port, tunnel->status, advice(tunnel));
    if (r < 0)
        return why_set(why, -EPROTO, "the proxy %s did not answer as an HTTP proxy does: %s", tunnel->proxy->name, reason.text);
    return 0;
}
