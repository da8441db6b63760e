#include "server.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "conn.h"

#define BACKLOG 4096 /* many test clients connect at the same moment */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *data)
{
    (void)listener;
    (void)length;
    conn_open(data, fd, peer);
}

/* Without a free descriptor the listener would report the same waiting client over and over. */
static void on_accept_error(struct evconnlistener *listener, void *data)
{
    struct server *server = data;

    fprintf(stderr, "umbel-mock-llm: accept: %s\n", strerror(errno));
    if (LIST_EMPTY(&server->conns))
        return;
    evconnlistener_disable(listener);
    server->paused = true;
}

static void on_signal(evutil_socket_t number, short what, void *data)
{
    struct server *server = data;

    (void)number;
    (void)what;
    event_base_loopbreak(server->base);
}

static int tls_open(struct server *server)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    server->tls = tls;
    if (!tls || !SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) ||
        SSL_CTX_use_certificate_chain_file(tls, server->options.tls_cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, server->options.tls_key, SSL_FILETYPE_PEM) != 1) {
        char why[256];
        ERR_error_string_n(ERR_get_error(), why, sizeof why);
        fprintf(stderr, "umbel-mock-llm: --tls-cert, --tls-key: %s\n", why);
        return -EINVAL;
    }
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); /* most of a waiting connection's memory */
    return 0;
}

static int address_print(struct server *server)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[46] = "?";

    if (getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address, &length) == -1)
        return -errno;
    if (address.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &address, sizeof in);
        evutil_inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
        printf("listening on %s:%u\n", host, ntohs(in.sin_port));
    } else {
        struct sockaddr_in6 in;
        memcpy(&in, &address, sizeof in);
        evutil_inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host);
        printf("listening on [%s]:%u\n", host, ntohs(in.sin6_port));
    }
    fflush(stdout);
    return 0;
}

/* "127.0.0.1:8080" or "[::1]:8080".  libevent's own parser takes no port 0, which tests need. */
static bool address_parse(const char *text, struct sockaddr_storage *ret_address, int *ret_length)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    const char *colon = strrchr(text, ':');
    bool six = *text == '[';
    char host[64], *end;

    if (!colon || (size_t)(colon - text) >= sizeof host || (six && (colon - text < 3 || colon[-1] != ']')))
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (!isdigit((unsigned char)colon[1]) || *end || port > 65535)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)(colon - text) - (six ? 2 : 0), text + (six ? 1 : 0));
    in.sin_port = in6.sin6_port = htons((uint16_t)port);
    if (evutil_inet_pton(six ? AF_INET6 : AF_INET, host, six ? (void *)&in6.sin6_addr : (void *)&in.sin_addr) != 1)
        return false;
    if (six)
        memcpy(ret_address, &in6, sizeof in6);
    else
        memcpy(ret_address, &in, sizeof in);
    *ret_length = six ? (int)sizeof in6 : (int)sizeof in;
    return true;
}

static int listener_open(struct server *server)
{
    struct sockaddr_storage address;
    int length;

    memset(&address, 0, sizeof address);
    if (!address_parse(server->options.listen, &address, &length)) {
        fprintf(stderr, "umbel-mock-llm: --listen %s: expected ADDR:PORT such as 127.0.0.1:0\n", server->options.listen);
        return -EINVAL;
    }
    server->listener = evconnlistener_new_bind(server->base, on_accept, server,
                                               LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG,
                                               (struct sockaddr *)&address, length);
    if (!server->listener) {
        int r = -errno;
        fprintf(stderr, "umbel-mock-llm: --listen %s: %s\n", server->options.listen, strerror(errno));
        return r ? r : -EIO;
    }
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    return 0;
}

static int log_open(struct server *server)
{
    const char *name = server->options.log;

    if (!name)
        return 0;
    server->log.file = strcmp(name, "-") ? fopen(name, "ae") : stdout;
    if (server->log.file)
        return 0;
    int r = -errno;
    fprintf(stderr, "umbel-mock-llm: --log %s: %s\n", name, strerror(errno));
    return r;
}

static int base_open(struct server *server)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    struct event_config *config = event_config_new();

    /* Fractions of a millisecond matter for fast paces; epoll alone rounds up to whole ones. */
    if (config)
        event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    server->base = config ? event_base_new_with_config(config) : NULL;
    if (config)
        event_config_free(config);
    if (!server->base || pacer_open(&server->pacer, server->base) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < 2; i++) {
        server->signals[i] = evsignal_new(server->base, numbers[i], on_signal, server);
        if (!server->signals[i] || evsignal_add(server->signals[i], NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

int server_open(struct server *server, const struct options *options)
{
    struct rlimit files;
    int r;

    *server = (struct server){.options = *options};
    LIST_INIT(&server->conns);
    signal(SIGPIPE, SIG_IGN); /* a client that goes away is an error code, not a death */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max; /* one descriptor per stream, and 10,000 streams are ordinary */
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (RAND_bytes((unsigned char *)&server->ids.state, sizeof server->ids.state) != 1)
        server->ids.state = pacer_now_us();
    r = base_open(server);
    if (!r)
        r = log_open(server);
    if (!r && options->tls_cert)
        r = tls_open(server);
    if (!r)
        r = listener_open(server);
    if (!r)
        r = address_print(server);
    return r;
}

void server_run(struct server *server)
{
    event_base_dispatch(server->base);
}

void server_room(struct server *server)
{
    if (!server->paused || server->closing)
        return;
    server->paused = false;
    evconnlistener_enable(server->listener);
}

void server_close(struct server *server)
{
    struct conn *conn, *next;

    server->closing = true;
    if (server->listener)
        evconnlistener_free(server->listener);
    for (conn = LIST_FIRST(&server->conns); conn; conn = next) {
        next = LIST_NEXT(conn, link);
        conn_free(conn, "shutdown");
    }
    record_reset(&server->log);
    if (server->log.file && server->log.file != stdout)
        fclose(server->log.file);
    attempts_clear(&server->attempts);
    pacer_close(&server->pacer);
    for (size_t i = 0; i < 2; i++)
        if (server->signals[i])
            event_free(server->signals[i]);
    if (server->base) {
        event_base_loop(server->base, EVLOOP_NONBLOCK); /* connections close in the loop, not in their free */
        event_base_free(server->base);
    }
    SSL_CTX_free(server->tls);
    bytes_free(&server->body);
    bytes_free(&server->wire);
    bytes_free(&server->scratch);
    libevent_global_shutdown();
}
