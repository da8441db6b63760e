/* plugins/ws_client.h - a WebSocket client for tests: every byte under the test's control, driven together with the fake host.
 * All waiting turns the host's loop and gives up, failing the test, only after WS_CLIENT_PATIENCE_S. */
#ifndef WS_CLIENT_H
#define WS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/plugin-check/fake_host.h"

#define WS_CLIENT_PATIENCE_S 60

struct ws_client {
    struct fake_host *host;
    int fd;
    struct ssl_st *ssl;
    struct ssl_ctx_st *ssl_context;
    char *in; /* received, not yet used */
    size_t in_size, in_capacity;
    bool closed; /* the peer ended the connection */
    char *payload; /* of the last frame, zero-terminated */
    size_t payload_size;
    unsigned char first; /* byte of the last frame */
};

struct ws_client *ws_client_open(struct fake_host *host, int port, bool tls);
struct ws_client *ws_client_open_narrow(struct fake_host *host, int port, int receive_buffer); /* SO_RCVBUF, bytes */
void ws_client_close(struct ws_client *client); /* the socket, without a word; frees; NULL is fine */
void ws_client_reset(struct ws_client *client); /* the same with a TCP reset */

/* ws_client_request - sends an opening request ("GET PATH HTTP/1.1" and a key, then extra lines, each with CR LF) and returns the status
 * of the answer; its head is in payload.  ws_client_upgrade expects 101. */
int ws_client_request(struct ws_client *client, const char *path, const char *extra);
int ws_client_raw_request(struct ws_client *client, const char *request);
struct ws_client *ws_client_upgrade(struct fake_host *host, int port, const char *path);

/* ws_client_push - sends bytes; turns the host until all are taken.  ws_client_try_push: what the kernel takes now. */
void ws_client_push(struct ws_client *client, const void *bytes, size_t size);
size_t ws_client_try_push(struct ws_client *client, const void *bytes, size_t size);

/* ws_client_frame - a masked frame; first: FIN, RSV and opcode. */
void ws_client_frame(struct ws_client *client, unsigned char first, const void *bytes, size_t size);
void ws_client_text(struct ws_client *client, const char *text);
void ws_client_ask(struct ws_client *client, const char *content); /* a request with one user message */

/* ws_client_next - the next frame: first byte and payload.  False: the connection ended. */
bool ws_client_next(struct ws_client *client);
void ws_client_expect(struct ws_client *client, const char *text); /* a text frame with exactly this */
/* ws_client_expect_content - an answer's frame with this content and finish_reason; returns its id (until the next frame). */
const char *ws_client_expect_content(struct ws_client *client, const char *content, const char *finish);
/* ws_client_expect_close - the next frame is a close with this code; answers it and waits for the end. */
void ws_client_expect_close(struct ws_client *client, unsigned code);
/* ws_client_expect_nothing - sends a ping and expects its pong before anything else. */
void ws_client_expect_nothing(struct ws_client *client);
/* ws_client_pull - reads what the kernel has (at most size bytes) into the buffer; 0: nothing now. */
size_t ws_client_pull(struct ws_client *client, size_t size);

uint64_t ws_client_now_s(void);

#define WAIT_FOR(host, condition)                                                                                                   \
    do {                                                                                                                            \
        uint64_t wait_end = ws_client_now_s() + WS_CLIENT_PATIENCE_S;                                                               \
        while (!(condition) && ws_client_now_s() < wait_end)                                                                        \
            fake_host_turn(host, 5);                                                                                                \
        if (!(condition))                                                                                                           \
            fail_msg("waited in vain for: %s", #condition);                                                                         \
    } while (0)

#endif
