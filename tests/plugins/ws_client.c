/* plugins/ws_client.c - see ws_client.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/plugins/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t ws_client_now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec;
}

static void handshake(struct ws_client *client)
{
    uint64_t end = ws_client_now_s() + WS_CLIENT_PATIENCE_S;

    client->ssl_context = SSL_CTX_new(TLS_client_method());
    client->ssl = SSL_new(client->ssl_context);
    SSL_set_fd(client->ssl, client->fd);
    while (SSL_connect(client->ssl) != 1) {
        assert_true(ws_client_now_s() < end);
        fake_host_turn(client->host, 5);
    }
}

static struct ws_client *open_client(struct fake_host *host, int port, int receive_buffer)
{
    struct ws_client *client = calloc(1, sizeof *client);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;

    assert_non_null(client);
    client->host = host;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_buffer)
        setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    /* The kernel completes it from the listener's queue: no need for the host to run. */
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    return client;
}

struct ws_client *ws_client_open(struct fake_host *host, int port, bool tls)
{
    struct ws_client *client = open_client(host, port, 0);

    if (tls)
        handshake(client);
    return client;
}

struct ws_client *ws_client_open_narrow(struct fake_host *host, int port, int receive_buffer)
{
    return open_client(host, port, receive_buffer);
}

void ws_client_close(struct ws_client *client)
{
    if (!client)
        return;
    SSL_free(client->ssl);
    SSL_CTX_free(client->ssl_context);
    if (client->fd >= 0)
        close(client->fd);
    free(client->in);
    free(client->payload);
    free(client);
}

void ws_client_reset(struct ws_client *client)
{
    struct linger hard = {.l_onoff = 1};

    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ws_client_close(client);
}

size_t ws_client_try_push(struct ws_client *client, const void *bytes, size_t size)
{
    ssize_t r;

    if (client->ssl) {
        r = SSL_write(client->ssl, bytes, (int)size);
        return r > 0 ? (size_t)r : 0;
    }
    r = send(client->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return r > 0 ? (size_t)r : 0;
}

void ws_client_push(struct ws_client *client, const void *bytes, size_t size)
{
    uint64_t end = ws_client_now_s() + WS_CLIENT_PATIENCE_S;

    while (size) {
        size_t sent = ws_client_try_push(client, bytes, size);
        bytes = (const char *)bytes + sent;
        size -= sent;
        if (!sent) {
            assert_true(ws_client_now_s() < end);
            fake_host_turn(client->host, 1);
            ws_client_pull(client, 65536);
            if (client->closed)
                return;
        }
    }
}

size_t ws_client_pull(struct ws_client *client, size_t size)
{
    ssize_t r;

    if (client->in_size + size > client->in_capacity) {
        client->in_capacity = client->in_size + size;
        client->in = realloc(client->in, client->in_capacity);
        assert_non_null(client->in);
    }
    if (client->ssl) {
        r = SSL_read(client->ssl, client->in + client->in_size, (int)size);
        if (r <= 0 && SSL_get_error(client->ssl, (int)r) != SSL_ERROR_WANT_READ)
            client->closed = true;
    } else {
        r = recv(client->fd, client->in + client->in_size, size, MSG_DONTWAIT);
        if (r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR))
            client->closed = true;
    }
    if (r <= 0)
        return 0;
    client->in_size += (size_t)r;
    return (size_t)r;
}

static void use(struct ws_client *client, size_t header, size_t size)
{
    free(client->payload);
    client->payload = malloc(size + 1);
    assert_non_null(client->payload);
    memcpy(client->payload, client->in + header, size);
    client->payload[size] = 0;
    client->payload_size = size;
    client->in_size -= header + size;
    memmove(client->in, client->in + header + size, client->in_size);
}

static bool fill(struct ws_client *client, size_t need)
{
    uint64_t end = ws_client_now_s() + WS_CLIENT_PATIENCE_S;

    while (client->in_size < need) {
        if (ws_client_pull(client, 65536))
            continue;
        if (client->closed)
            return false;
        if (ws_client_now_s() >= end)
            fail_msg("no bytes from the server, %zu of %zu there", client->in_size, need);
        fake_host_turn(client->host, 5);
    }
    return true;
}

int ws_client_raw_request(struct ws_client *client, const char *request)
{
    char *end = NULL;

    ws_client_push(client, request, strlen(request));
    for (size_t need = 1; !end; need = client->in_size + 1) {
        if (!fill(client, need))
            return -1;
        end = memmem(client->in, client->in_size, "\r\n\r\n", 4);
    }
    use(client, 0, (size_t)(end + 4 - client->in));
    return atoi(client->payload + strlen("HTTP/1.1 "));
}

int ws_client_request(struct ws_client *client, const char *path, const char *extra)
{
    char request[8192];

    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
             path, extra);
    return ws_client_raw_request(client, request);
}

struct ws_client *ws_client_upgrade(struct fake_host *host, int port, const char *path)
{
    struct ws_client *client = ws_client_open(host, port, false);

    assert_int_equal(ws_client_request(client, path, ""), 101);
    return client;
}

void ws_client_frame(struct ws_client *client, unsigned char first, const void *bytes, size_t size)
{
    static const unsigned char mask[4] = {0x12, 0x80, 0xff, 0x05};
    unsigned char *frame = malloc(size + 14);
    size_t at = 2;

    assert_non_null(frame);
    frame[0] = first;
    if (size < 126) {
        frame[1] = (unsigned char)(0x80 | size);
    } else if (size < 65536) {
        frame[1] = 0x80 | 126;
        frame[at++] = (unsigned char)(size >> 8);
        frame[at++] = (unsigned char)size;
    } else {
        frame[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            frame[at++] = (unsigned char)((uint64_t)size >> shift);
    }
    memcpy(frame + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < size; i++)
        frame[at + i] = ((const unsigned char *)bytes)[i] ^ mask[i % 4];
    ws_client_push(client, frame, at + size);
    free(frame);
}

void ws_client_text(struct ws_client *client, const char *text)
{
    ws_client_frame(client, 0x81, text, strlen(text));
}

void ws_client_ask(struct ws_client *client, const char *content)
{
    char text[1024];

    snprintf(text, sizeof text, "{\"messages\":[{\"content\":\"%s\",\"role\":\"user\"}]}", content);
    ws_client_text(client, text);
}

bool ws_client_next(struct ws_client *client)
{
    size_t header = 2, size;

    if (!fill(client, 2))
        return false;
    const unsigned char *in = (const unsigned char *)client->in;
    assert_false(in[1] & 0x80); /* servers do not mask */
    size = in[1];
    header = size == 126 ? 4 : size == 127 ? 10 : 2;
    if (!fill(client, header))
        return false;
    in = (const unsigned char *)client->in;
    if (header > 2) {
        size = 0;
        for (size_t i = 2; i < header; i++)
            size = size << 8 | in[i];
        assert_true(size > (header == 4 ? 125u : 65535u)); /* the shortest form */
    }
    client->first = in[0];
    if (!fill(client, header + size))
        return false;
    use(client, header, size);
    return true;
}

void ws_client_expect(struct ws_client *client, const char *text)
{
    if (!ws_client_next(client))
        fail_msg("connection ended, expected %s", text);
    assert_int_equal(client->first, 0x81);
    assert_string_equal(client->payload, text);
}

const char *ws_client_expect_content(struct ws_client *client, const char *content, const char *finish)
{
    static char id[64];
    char tail[2048];

    if (!ws_client_next(client))
        fail_msg("connection ended, expected content \"%s\"", content);
    assert_int_equal(client->first, 0x81);
    snprintf(tail, sizeof tail, ",\"choices\":[{\"delta\":{\"role\":\"\",\"content\":\"%s\"},\"index\":0,\"finish_reason\":\"%s\"}]}", content,
             finish);
    const char *from = strstr(client->payload, ",\"choices\":");
    if (!from || strcmp(from, tail))
        fail_msg("expected ...%s\nbut got %s", tail, client->payload);
    assert_int_equal(sscanf(client->payload, "{\"id\":\"%63[^\"]", id), 1);
    return id;
}

void ws_client_expect_close(struct ws_client *client, unsigned code)
{
    if (!ws_client_next(client))
        fail_msg("connection ended without a close frame, expected %u", code);
    if (client->first != 0x88)
        fail_msg("expected a close frame %u, got %02x %s", code, client->first, client->payload);
    assert_true(client->payload_size >= 2);
    assert_int_equal((unsigned char)client->payload[0] << 8 | (unsigned char)client->payload[1], code);
    ws_client_frame(client, 0x88, client->payload, 2);
    if (ws_client_next(client))
        fail_msg("more after the close frame: %02x, %zu bytes", client->first, client->payload_size);
}

void ws_client_expect_nothing(struct ws_client *client)
{
    ws_client_frame(client, 0x89, "barrier", 7);
    assert_true(ws_client_next(client));
    if (client->first != 0x8a)
        fail_msg("expected nothing, got %02x %s", client->first, client->payload);
    assert_string_equal(client->payload, "barrier");
}
