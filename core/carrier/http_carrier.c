/* carrier/http_carrier.c - opening, draining, reloading and closing the HTTP carrier. */
#include "core/carrier/http_carrier.h"

#include <errno.h>
#include <stdlib.h>

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    http_conn_settle_all(arg);
}

static int open_all(struct umbel_http *http)
{
    const struct umbel_host *host = http->host;
    const char *cert = host->config_text(http->config, "tls_cert"), *key = host->config_text(http->config, "tls_key");
    int64_t most = host->config_integer(http->config, "max_connections");
    int64_t slow_s = host->config_integer(http->config, "slow_client_s");
    int r = 0;

    http->max_connections = most > 0 && most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    http->slow_ns = (slow_s > 0 ? (uint64_t)slow_s : 30) * CLOCK_S;
    http->settle = event_new(host->base, -1, 0, on_settle, http);
    if (!http->settle)
        return -ENOMEM;
    if (*cert)
        r = http_tls_load(http, cert, key, &http->tls);
    return r < 0 ? r : http_listen_open(http);
}

int umbel_http_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_http_codec *codec,
                    void *self, struct umbel_http **ret_http)
{
    struct umbel_http *http = calloc(1, sizeof *http);

    if (!http)
        return -ENOMEM;
    http->host = host;
    http->config = config;
    http->codec = codec;
    http->self = self;
    http->ending.closed = true;
    list_init(&http->conns);
    list_init(&http->later);
    int r = open_all(http);
    if (r < 0) {
        umbel_http_close(http);
        return r;
    }
    *ret_http = http;
    return 0;
}

static bool is_waiting_watch(const struct http_conn *conn)
{
    const struct umbel_http_request *request = conn->request;

    return conn->state == HTTP_BUSY && request->begun && !request->over && !request->reader && request->errand == HTTP_WATCH;
}

void umbel_http_drain(struct umbel_http *http, uint32_t deadline_ms)
{
    (void)deadline_ms; /* the host keeps it: it calls close */
    if (http->draining)
        return;
    http->draining = true;
    http_listen_close(http);
    list_for_each(link, spare, &http->conns)
    {
        struct http_conn *conn = list_entry(link, struct http_conn, link);
        if (is_waiting_watch(conn))
            http_stream_cut(conn->request);
        http_conn_later(conn);
    }
    event_active(http->settle, 0, 0); /* perhaps nobody is there */
}

int umbel_http_reload(struct umbel_http *http)
{
    const char *cert = http->host->config_text(http->config, "tls_cert"), *key = http->host->config_text(http->config, "tls_key");
    SSL_CTX *fresh;

    if (!http->tls)
        return 0;
    int r = http_tls_load(http, cert, key, &fresh);
    if (r < 0) {
        http_log(http, UMBEL_LOG_WARN, "the old TLS certificate stays in use");
        return r;
    }
    SSL_CTX_free(http->tls); /* connections that exist hold the old one */
    http->tls = fresh;
    http_log(http, UMBEL_LOG_INFO, "new connections use the TLS certificate read from %s", cert);
    return 0;
}

void umbel_http_close(struct umbel_http *http)
{
    if (!http)
        return;
    http_listen_close(http);
    list_for_each(link, spare, &http->conns) http_conn_free(list_entry(link, struct http_conn, link));
    if (http->settle)
        event_free(http->settle);
    if (http->leave)
        event_free(http->leave);
    SSL_CTX_free(http->tls);
    umbel_out_free(&http->scratch);
    umbel_out_free(&http->head);
    free(http);
}
