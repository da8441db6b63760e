/* carrier/ws_selftest.c - one small conversation at start, over a socket pair: does this libwebsockets pass our frames through unchanged?
 * ws_write.c relies on it, its documentation does not promise it. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"

#define PATIENCE_NS (5 * CLOCK_S)

static const char frames[] = "\x81\x03one\x81\x03two"; /* two in one write, which no other way of writing could send */

static const char upgrade[] = "GET / HTTP/1.1\r\nHost: self-test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

void ws_selftest_established(struct umbel_ws_client *client)
{
    ws_write_put(client, frames, sizeof frames - 1);
}

/* Turns the loop until fd has sent what ends with the frames, or something else, or time is up. */
static int converse(struct umbel_ws *ws, int fd)
{
    uint64_t end = clock_now_ns() + PATIENCE_NS;
    char got[1024] = "";
    size_t size = 0;

    while (clock_now_ns() < end && size < sizeof got - 1) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        ws_loop_turn(ws);
        if (poll(&poll_fd, 1, 1) <= 0)
            continue;
        ssize_t r = read(fd, got + size, sizeof got - 1 - size);
        if (r <= 0)
            break;
        size += (size_t)r;
        const char *body = strstr(got, "\r\n\r\n");
        if (body && size - (size_t)(body + 4 - got) >= sizeof frames - 1)
            return memcmp(body + 4, frames, sizeof frames - 1) ? -EPROTO : 0;
    }
    return -EPROTO;
}

int ws_selftest(struct umbel_ws *ws)
{
    int pair[2], r;
    uint64_t end;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1) {
        ws_log(ws, UMBEL_LOG_WARN, "no socket pair for the self-test of the WebSocket carrier: %s", strerror(errno));
        return 0;
    }
    struct umbel_ws_client *client = ws_listen_adopt(ws, pair[0], false, true);
    r = client && write(pair[1], upgrade, sizeof upgrade - 1) == sizeof upgrade - 1 ? converse(ws, pair[1]) : -EIO;
    if (client)
        ws_loop_kill(client);
    fd_close(&pair[1]);
    for (end = clock_now_ns() + PATIENCE_NS; ws->connections && clock_now_ns() < end;)
        ws_loop_turn(ws);
    if (r < 0)
        ws_log(ws, UMBEL_LOG_ERROR, "libwebsockets %s does not pass frames through unchanged: the WebSocket carrier cannot use it",
               lws_get_library_version());
    return r;
}
