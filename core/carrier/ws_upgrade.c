/* carrier/ws_upgrade.c - the opening request: what RFC 6455 demands, then the codec's word. */
#include "core/carrier/ws_carrier.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define VALUES_MAX 32u   /* header and query values one codec may look at; more are "absent" */
#define VALUE_MAX 8192u  /* bytes of one: the size of the whole request's header */

struct request {
    struct umbel_ws_upgrade upgrade;
    struct lws *wsi;
    char *value[VALUES_MAX]; /* handed out, freed with the request */
    size_t values;
};

/* Answers without an upgrade; the connection is closed after it.  more: further header lines, each with its end. */
static int answer(struct lws *wsi, int status, const char *more)
{
    char text[LWS_PRE + 512];
    const char *words = status == 401   ? "Unauthorized"
                        : status == 403 ? "Forbidden"
                        : status == 404 ? "Not Found"
                        : status == 426 ? "Upgrade Required"
                        : status == 429 ? "Too Many Requests"
                        : status == 503 ? "Service Unavailable"
                                        : "Bad Request";
    int size = snprintf(text + LWS_PRE, sizeof text - LWS_PRE,
                        "HTTP/1.1 %d %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", status, words, more);

    if (size > 0 && (size_t)size < sizeof text - LWS_PRE)
        lws_write(wsi, (unsigned char *)text + LWS_PRE, (size_t)size, LWS_WRITE_HTTP_HEADERS);
    return -1;
}

static char *slot(struct request *request, size_t size)
{
    if (request->values == VALUES_MAX || size > VALUE_MAX)
        return NULL;
    char *value = malloc(size + 1);
    if (value)
        request->value[request->values++] = value;
    return value;
}

static const char *known_header(struct request *request, enum lws_token_indexes token)
{
    int size = lws_hdr_total_length(request->wsi, token);

    if (size <= 0)
        return NULL;
    char *value = slot(request, (size_t)size);
    return value && lws_hdr_copy(request->wsi, value, size + 1, token) >= 0 ? value : NULL;
}

/* libwebsockets keeps the headers it knows apart from those it does not. */
static const char *get_header(const struct umbel_ws_upgrade *upgrade, const char *name)
{
    struct request *request = upgrade->context;

    for (int token = 0; token < WSI_TOKEN_COUNT; token++) {
        const unsigned char *known = lws_token_to_string((enum lws_token_indexes)token);
        if (known && !strcmp((const char *)known, name))
            return known_header(request, (enum lws_token_indexes)token);
    }
    int size = lws_hdr_custom_length(request->wsi, name, (int)strlen(name));
    if (size < 0)
        return NULL;
    char *value = slot(request, (size_t)size);
    return value && lws_hdr_custom_copy(request->wsi, value, size + 1, name, (int)strlen(name)) >= 0 ? value : NULL;
}

static const char *get_query(const struct umbel_ws_upgrade *upgrade, const char *name)
{
    struct request *request = upgrade->context;
    char key[64], all[VALUE_MAX];
    int size = snprintf(key, sizeof key, "%s=", name); /* without its "=" the value would begin with it */

    if (size < 0 || (size_t)size >= sizeof key)
        return NULL;
    const char *found = lws_get_urlarg_by_name(request->wsi, key, all, sizeof all);
    if (!found)
        return NULL;
    char *value = slot(request, strlen(found));
    return value ? strcpy(value, found) : NULL;
}

static void peer_text(int fd, char *ret_text, size_t size)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char ip[INET6_ADDRSTRLEN] = "";

    snprintf(ret_text, size, "local");
    if (getpeername(fd, (struct sockaddr *)&address, &length) == -1)
        return;
    if (address.ss_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
        snprintf(ret_text, size, "%s:%u", ip, ntohs(in->sin_port));
    } else if (address.ss_family == AF_INET6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof ip);
        snprintf(ret_text, size, "[%s]:%u", ip, ntohs(in->sin6_port));
    }
}

/* A "+" stands for itself in a path, but libwebsockets reads it as a space there; a space itself is no part of any path we serve. */
static void restore_plus(char *path)
{
    for (; *path; path++)
        if (*path == ' ')
            *path = '+';
}

static int ask_codec(struct umbel_ws_client *client, struct request *request)
{
    struct umbel_ws *ws = client->ws;
    char peer[INET6_ADDRSTRLEN + 16];
    const char *path = known_header(request, WSI_TOKEN_GET_URI);

    if (!path)
        return 400;
    restore_plus(request->value[request->values - 1]);
    peer_text(lws_get_socket_fd(request->wsi), peer, sizeof peer);
    client->client = ws->host->client_open(ws->host, &ws_reader_codec, ws, client, peer);
    if (!client->client)
        return 503;
    request->upgrade = (struct umbel_ws_upgrade){.struct_size = sizeof request->upgrade,
                                                 .tls = lws_get_ssl(request->wsi) != NULL,
                                                 .path = path,
                                                 .peer = peer,
                                                 .context = request,
                                                 .header = get_header,
                                                 .query = get_query};
    client->known_to_codec = true;
    int status = ws->codec->upgrade(ws->self, client, &request->upgrade);
    if (!status)
        return 0;
    client->known_to_codec = false; /* it has said no: nothing more about this client */
    ws_client_detach(client);
    return status;
}

static int decide(struct umbel_ws_client *client, struct request *request, const char **ret_more)
{
    static const char version[] = "Sec-WebSocket-Version: 13\r\n";
    struct lws *wsi = request->wsi;
    const char *asked = known_header(request, WSI_TOKEN_VERSION);

    if (!asked || strcmp(asked, "13")) {
        *ret_more = version;
        return 426;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HOST) <= 0 || lws_hdr_total_length(wsi, WSI_TOKEN_KEY) <= 0 ||
        lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0) /* no subprotocol is spoken here, and such a client needs one */
        return 400;
    if (client->ws->draining)
        return 503;
    return ask_codec(client, request);
}

int ws_upgrade_decide(struct umbel_ws_client *client, const char *to)
{
    struct request request = {.wsi = client->wsi};
    const char *more = "";

    if (!to || strcasecmp(to, "websocket")) /* old versions of libwebsockets come here for anything and then go on regardless */
        return -1;
    int status = decide(client, &request, &more);
    while (request.values) { /* keys among them */
        char *value = request.value[--request.values];
        explicit_bzero(value, strlen(value));
        free(value);
    }
    if (!status)
        return 0;
    ws_count(client->ws, "ws_upgrades_refused");
    return answer(client->wsi, status, more);
}

int ws_upgrade_plain(struct umbel_ws_client *client)
{
    ws_count(client->ws, "ws_upgrades_refused");
    return answer(client->wsi, 426, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
}
