/* plugins/test_http_carrier.c - the HTTP carrier under a small codec of the test's own, over real sockets.
 *
 * The codec: GET /ask asks ("?gap=MS" puts a gap before its end frame, "?hold=1" holds the head), GET /wait watches session "s",
 * POST /echo answers with the body.  Each event's text is a frame; the end is the frame "END\n". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <umbel/http.h>

#include "tests/plugins/ws_client.h"
#include "tests/support/certificate.h"

static struct umbel_http *carrier;
static unsigned closed_requests, unsaid_calls;
static uint32_t flags_of_start, max_ms_of_start, keepalive_ms_of_start;

static void on_request(void *self, struct umbel_http_request *request)
{
    struct umbel_credential key = {.kind = UMBEL_CREDENTIAL_KEY, .value = "key", .size = 3};
    const char *body;
    size_t size;

    (void)self;
    if (strcmp(umbel_http_path(request), "/echo")) {
        umbel_http_authorize(request, &key, 1);
        return;
    }
    body = umbel_http_body(request, &size);
    umbel_http_answer(request, 200, "X-Echo: 1\r\n", body, size);
}

static void begin(struct umbel_http_start *start)
{
    start->headers = "Content-Type: text/plain\r\n";
    start->flags = flags_of_start;
    start->max_ms = max_ms_of_start;
    start->keepalive_ms = keepalive_ms_of_start;
    start->keepalive = "ka\n";
    start->keepalive_size = 3;
}

static void on_authorized(void *self, struct umbel_http_request *request, uint32_t error, const char *text)
{
    const struct umbel_request question = {.struct_size = sizeof question, .session = "s", .messages = "[]", .messages_size = 2};
    struct umbel_http_start start = {.struct_size = sizeof start};

    (void)self;
    (void)text;
    assert_int_equal(error, 0);
    if (!strcmp(umbel_http_path(request), "/wait")) {
        assert_int_equal(umbel_http_watch(request, "s"), 0);
        begin(&start);
        umbel_http_begin(request, &start);
        return;
    }
    *(int *)umbel_http_data(request) = umbel_http_query(request, "hold") != NULL;
    if (umbel_http_ask(request, &question))
        umbel_http_answer(request, 503, "", NULL, 0);
}

static int on_began(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                    struct umbel_http_start *ret_start)
{
    (void)self;
    (void)stream;
    begin(ret_start);
    if (*(int *)umbel_http_data(request))
        ret_start->hold_ms = UINT32_MAX;
    return 0;
}

static void on_refused(void *self, struct umbel_http_request *request, uint32_t error, const char *text)
{
    char line[64];

    (void)self;
    (void)text;
    snprintf(line, sizeof line, "refused %u", error);
    umbel_http_answer(request, 503, "", line, strlen(line));
}

static void put(struct umbel_out *out, const char *text, size_t size)
{
    size_t frame = umbel_http_frame_begin(out);

    umbel_out_put(out, text, size);
    umbel_http_frame_end(out, frame);
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)self;
    (void)variant;
    (void)data;
    (void)stream;
    put(out, event->kind == UMBEL_EVENT_OPEN ? "OPEN\n" : event->data, event->kind == UMBEL_EVENT_OPEN ? 5 : event->size);
    return 0;
}

static int on_encode_end(void *self, uint32_t variant, void *data, const struct umbel_stream *stream,
                         const struct umbel_http_ending *ending, struct umbel_out *out)
{
    (void)self;
    (void)variant;
    (void)data;
    (void)stream;
    umbel_http_gap(out, 60);
    if (ending->error)
        put(out, ending->error_text, strlen(ending->error_text));
    put(out, "END\n", 4);
    umbel_http_gap(out, 30);
    return 0;
}

static int on_unsaid(void *self, struct umbel_http_request *request, const struct umbel_stream *stream,
                     const struct umbel_http_ending *ending)
{
    (void)self;
    (void)stream;
    unsaid_calls++;
    if (!ending->error)
        return 0;
    umbel_http_answer(request, 502, "", ending->error_text, strlen(ending->error_text));
    return 1;
}

static void on_deadline(void *self, struct umbel_http_request *request, const struct umbel_stream *stream, uint64_t position,
                        struct umbel_out *out)
{
    char line[64];

    (void)self;
    (void)request;
    snprintf(line, sizeof line, "CUT %d %llu\n", stream != NULL, (unsigned long long)position);
    put(out, line, strlen(line));
}

static void on_closed(void *self, struct umbel_http_request *request)
{
    (void)self;
    (void)request;
    closed_requests++;
}

static const struct umbel_http_codec codec = {.struct_size = sizeof codec,
                                              .request_size = sizeof(int),
                                              .max_line = 1024,
                                              .max_headers = 2048,
                                              .max_body = 100000,
                                              .methods = "GET, POST",
                                              .request = on_request,
                                              .authorized = on_authorized,
                                              .began = on_began,
                                              .refused = on_refused,
                                              .encode = on_encode,
                                              .encode_end = on_encode_end,
                                              .unsaid = on_unsaid,
                                              .deadline = on_deadline,
                                              .closed = on_closed};

static int open_carrier(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    int r = umbel_http_open(host, config, &codec, NULL, &carrier);

    *ret_self = carrier;
    return r;
}
static void drain_carrier(void *self, uint32_t deadline_ms)
{
    umbel_http_drain(self, deadline_ms);
}
static int reload_carrier(void *self)
{
    return umbel_http_reload(self);
}
static void close_carrier(void *self)
{
    umbel_http_close(self);
}

static const struct umbel_transport transport = {.struct_size = sizeof transport,
                                                 .abi_major = UMBEL_ABI_MAJOR,
                                                 .abi_minor = UMBEL_ABI_MINOR,
                                                 .name = "test",
                                                 .version = "1",
                                                 .summary = "test",
                                                 .open = open_carrier,
                                                 .drain = drain_carrier,
                                                 .reload = reload_carrier,
                                                 .close = close_carrier};

struct bench {
    struct fake_host *host;
    int port;
};

static struct bench prepare(const char *slow_s)
{
    struct bench bench = {.host = fake_host_new()};

    flags_of_start = max_ms_of_start = keepalive_ms_of_start = 0;
    closed_requests = unsaid_calls = 0;
    fake_host_key(bench.host, UMBEL_CREDENTIAL_KEY, "key", "app");
    fake_host_option(bench.host, "slow_client_s", slow_s);
    bench.port = fake_host_listen(bench.host, 0);
    return bench;
}

static struct bench start(void)
{
    struct bench bench = prepare("30");

    assert_int_equal(fake_host_open(bench.host, &transport), 0);
    return bench;
}

static struct ws_client *connect_and_send(struct bench *bench, const char *text)
{
    struct ws_client *client = ws_client_open(bench->host, bench->port, false);

    ws_client_push(client, text, strlen(text));
    return client;
}

/* Whether the received bytes hold text; ends them with a zero. */
static bool has(struct ws_client *client, const char *text)
{
    ws_client_pull(client, 1 << 20);
    return client->in_size && memmem(client->in, client->in_size, text, strlen(text));
}

static struct fake_stream *stream_at(struct bench *bench, size_t index)
{
    WAIT_FOR(bench->host, fake_host_stream(bench->host, index));
    return fake_host_stream(bench->host, index);
}

#define ASK "GET /ask HTTP/1.1\r\nHost: x\r\n\r\n"

/* Goal: a stream is a head, a chunk a frame, the end; and bytes are encoded once for all clients.  Catches: a copy or an encode a
 * client. */
static void test_stream_is_shared(void **state)
{
    struct bench bench = start();
    struct ws_client *clients[20];

    (void)state;
    clients[0] = connect_and_send(&bench, ASK);
    struct fake_stream *stream = stream_at(&bench, 0);
    for (size_t i = 1; i < 20; i++)
        clients[i] = connect_and_send(&bench, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    for (size_t i = 0; i < 20; i++)
        WAIT_FOR(bench.host, has(clients[i], "5\r\nOPEN\n\r\n"));
    uint64_t encodes = fake_host_stats(bench.host)->encodes;
    fake_stream_text(stream, "hello, world\n");
    for (size_t i = 0; i < 20; i++)
        WAIT_FOR(bench.host, has(clients[i], "OPEN\n\r\nd\r\nhello, world\n\r\n"));
    assert_int_equal(fake_host_stats(bench.host)->encodes, encodes + 1);
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    for (size_t i = 0; i < 20; i++) {
        WAIT_FOR(bench.host, has(clients[i], "4\r\nEND\n\r\n0\r\n\r\n"));
        assert_true(has(clients[i], "HTTP/1.1 200 OK\r\n"));
        assert_true(has(clients[i], "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"));
        ws_client_close(clients[i]);
    }
    WAIT_FOR(bench.host, closed_requests == 20);
    fake_host_free(bench.host);
}

/* Goal: chunks that the host sends together with others' stay in order, also where the socket took half of one and another follows at once.
 * Method: clients of one stream, many events in one turn; the fake host's send takes a part of every third.
 * Catches: a chunk written past one that is under way, the rest of a chunk sent behind the next. */
static void test_sent_together_in_order(void **state)
{
    enum { EVENTS = 20, CLIENTS = 3 };
    struct bench bench = start();
    struct ws_client *clients[CLIENTS];
    struct umbel_out expected = {0};
    char text[32];

    (void)state;
    clients[0] = connect_and_send(&bench, ASK);
    struct fake_stream *stream = stream_at(&bench, 0);
    for (size_t i = 1; i < CLIENTS; i++)
        clients[i] = connect_and_send(&bench, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    for (size_t i = 0; i < CLIENTS; i++)
        WAIT_FOR(bench.host, has(clients[i], "5\r\nOPEN\n\r\n"));
    for (int e = 0; e < EVENTS; e++) {
        snprintf(text, sizeof text, "word %02d\n", e);
        fake_stream_text(stream, text);
        fake_stream_event(stream, UMBEL_EVENT_REASONING, "why\n", 0); /* between, so that texts are not merged */
        umbel_out_printf(&expected, "8\r\n%s\r\n4\r\nwhy\n\r\n", text);
    }
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    umbel_out_text(&expected, "4\r\nEND\n\r\n0\r\n\r\n");
    umbel_out_put(&expected, "", 1);
    for (size_t i = 0; i < CLIENTS; i++) {
        WAIT_FOR(bench.host, has(clients[i], expected.data));
        ws_client_close(clients[i]);
    }
    WAIT_FOR(bench.host, closed_requests == CLIENTS);
    umbel_out_free(&expected);
    fake_host_free(bench.host);
}

/* Goal: a held head waits for the first word; an answer that fails before it may take a status; one that is empty does not. */
static void test_held_head(void **state)
{
    struct bench bench = start();
    static const char ask[] = "GET /ask?hold=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    struct ws_client *speaks = connect_and_send(&bench, ask);
    struct fake_stream *stream = stream_at(&bench, 0);

    (void)state;
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->writes == 1); /* OPEN, which says nothing */
    assert_false(has(speaks, "HTTP"));
    fake_stream_text(stream, "word");
    WAIT_FOR(bench.host, has(speaks, "\r\n\r\n5\r\nOPEN\n\r\n4\r\nword\r\n"));
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    WAIT_FOR(bench.host, has(speaks, "END\n\r\n0\r\n\r\n"));
    assert_int_equal(unsaid_calls, 0);
    struct ws_client *fails = connect_and_send(&bench, ask);
    fake_stream_close(stream_at(&bench, 1), UMBEL_VERDICT_FAILED);
    WAIT_FOR(bench.host, has(fails, "HTTP/1.1 502 Bad Gateway\r\n") && has(fails, "the upstream went away"));
    assert_false(has(fails, "END"));
    struct ws_client *empty = connect_and_send(&bench, ask);
    fake_stream_close(stream_at(&bench, 2), UMBEL_VERDICT_COMPLETE);
    WAIT_FOR(bench.host, has(empty, "OPEN\n\r\n4\r\nEND\n\r\n0\r\n\r\n"));
    assert_int_equal(unsaid_calls, 2);
    ws_client_close(speaks);
    ws_client_close(fails);
    ws_client_close(empty);
    fake_host_free(bench.host);
}

/* Goal: bodies by length and by chunks, pipelined, byte by byte; 100-continue; a client of HTTP/1.0. */
static void test_bodies(void **state)
{
    static const char two[] =
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1;x\r\no\r\n0\r\nT: x\r\n\r\n"
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthree";
    struct bench bench = start();
    struct ws_client *client = connect_and_send(&bench, two);

    (void)state;
    WAIT_FOR(bench.host, has(client, "three"));
    char *all = strndup(client->in, client->in_size);
    assert_true(strstr(all, "\r\n\r\none") < strstr(all, "\r\n\r\ntwo") &&
                strstr(all, "\r\n\r\ntwo") < strstr(all, "\r\n\r\nthree"));
    assert_non_null(strstr(all, "Connection: close\r\n\r\nthree"));
    free(all);
    WAIT_FOR(bench.host, ws_client_pull(client, 1) == 0 && client->closed);
    ws_client_close(client);
    client = ws_client_open(bench.host, bench.port, false);
    for (size_t i = 0; i < sizeof two - 1; i++) {
        ws_client_push(client, two + i, 1);
        fake_host_turn(bench.host, 0);
    }
    WAIT_FOR(bench.host, has(client, "\r\n\r\ntwo") && has(client, "\r\n\r\nthree"));
    ws_client_close(client);
    client = connect_and_send(&bench, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    WAIT_FOR(bench.host, has(client, "HTTP/1.1 100 Continue\r\n\r\n"));
    ws_client_push(client, "ok", 2);
    WAIT_FOR(bench.host, has(client, "\r\n\r\nok"));
    ws_client_close(client);
    client = connect_and_send(&bench, "GET /ask HTTP/1.0\r\n\r\n");
    fake_stream_close(stream_at(&bench, 0), UMBEL_VERDICT_COMPLETE);
    WAIT_FOR(bench.host, has(client, "Connection: close\r\n\r\nOPEN\nEND\n"));
    assert_false(has(client, "chunked"));
    ws_client_close(client);
    fake_host_free(bench.host);
}

/* Sends all of it although the server has answered already: a reset on the way could destroy the answer before it is read. */
static void send_all(struct bench *bench, struct ws_client *client, const char *bytes, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        size_t part = size - sent < 4096 ? size - sent : 4096; /* a little a turn, or the kernel has it all before the answer */
        ssize_t r = send(client->fd, bytes + sent, part, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0)
            assert_int_equal(errno, EAGAIN);
        else
            sent += (size_t)r;
        fake_host_turn(bench->host, 1);
    }
}

/* Goal: a refusal reaches the client although it is still sending, and the connection is over after it. */
static void test_refusals(void **state)
{
    static const struct {
        const char *status, *text;
    } cases[] = {{"HTTP/1.1 400 ", "GET / HTTP/1.1\r\n\r\n"},
                 {"HTTP/1.1 400 ", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"},
                 {"HTTP/1.1 400 ", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
                 {"HTTP/1.1 405 ", "PUT /echo HTTP/1.1\r\nHost: x\r\n\r\n"},
                 {"Allow: GET, POST\r\n", "PUT /echo HTTP/1.1\r\nHost: x\r\n\r\n"},
                 {"HTTP/1.1 413 ", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n"},
                 {"HTTP/1.1 413 ", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\nx"},
                 {"HTTP/1.1 501 ", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"},
                 {"HTTP/1.1 505 ", "GET / HTTP/2.0\r\nHost: x\r\n\r\n"}};
    struct bench bench = start();
    char *large = calloc(1, 400000);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ws_client *client = connect_and_send(&bench, cases[i].text);
        WAIT_FOR(bench.host, has(client, cases[i].status));
        ws_client_close(client);
    }
    memset(large, 'x', 399999);
    struct ws_client *client = connect_and_send(&bench, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 399999\r\n\r\n");
    send_all(&bench, client, large, 399999);
    WAIT_FOR(bench.host, has(client, "HTTP/1.1 413 Content Too Large\r\n") && has(client, "the body is too large"));
    ws_client_close(client);
    memcpy(large, "GET /", 5);
    client = ws_client_open(bench.host, bench.port, false);
    ws_client_push(client, large, 2000);
    WAIT_FOR(bench.host, has(client, "HTTP/1.1 414 URI Too Long\r\n"));
    ws_client_close(client);
    client = connect_and_send(&bench, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    ws_client_push(client, large + 5, 3000);
    WAIT_FOR(bench.host, has(client, "HTTP/1.1 431 Request Header Fields Too Large\r\n"));
    ws_client_close(client);
    free(large);
    fake_host_free(bench.host);
}

/* Goal: clients that go are noticed at once: before the head, while waiting, while streaming.  Catches: answers for nobody. */
static void test_disconnects(void **state)
{
    struct bench bench = start();
    struct ws_client *held = connect_and_send(&bench, "GET /ask?hold=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    struct fake_stream *stream = stream_at(&bench, 0);
    struct ws_client *waits, *reads;

    (void)state;
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    WAIT_FOR(bench.host, has(held, "END"));
    ws_client_close(held);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->clients == 0);
    waits = connect_and_send(&bench, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(bench.host, has(waits, "200 OK"));
    ws_client_reset(waits);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->clients == 0);
    held = connect_and_send(&bench, "GET /ask?hold=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    reads = connect_and_send(&bench, ASK);
    stream_at(&bench, 2);
    WAIT_FOR(bench.host, has(reads, "OPEN") && fake_host_stats(bench.host)->live_readers == 2);
    ws_client_close(held);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->live_readers == 1);
    ws_client_close(reads);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->live_readers == 0 && fake_host_stats(bench.host)->clients == 0);
    assert_int_equal(closed_requests, 4);
    fake_host_free(bench.host);
}

static void put_much(struct fake_stream *stream, size_t size, char letter)
{
    char *text = malloc(size + 1);

    memset(text, letter, size);
    text[size] = '\0';
    fake_stream_text(stream, text);
    free(text);
}

/* Waits for more bytes from the server. */
static void pull_more(struct bench *bench, struct ws_client *client)
{
    size_t before = client->in_size;

    WAIT_FOR(bench->host, (ws_client_pull(client, 1 << 20), client->in_size > before));
}

static size_t count_letter(const struct ws_client *client, char letter)
{
    size_t count = 0;

    for (size_t i = 0; i < client->in_size; i++)
        count += client->in[i] == letter;
    return count;
}

/* Goal: a client that does not read costs a place, not a queue; it gets everything once it reads; others do not notice.
 * Method: 8 MiB past a client with a small receive buffer; what the heap grew by.  Catches: output queued in memory. */
static void test_slow_client(void **state)
{
    struct bench bench = start();
    struct ws_client *slow = ws_client_open_narrow(bench.host, bench.port, 4096), *quick;
    const size_t whole = 8u << 20;

    (void)state;
    ws_client_push(slow, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", 31);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->watches == 1);
    quick = connect_and_send(&bench, ASK);
    struct fake_stream *stream = stream_at(&bench, 0);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->live_readers == 2);
    for (size_t sent = 0; sent < whole; sent += whole / 64)
        put_much(stream, whole / 64, '#');
    size_t before = mallinfo2().uordblks, got = 0;
    while (got < whole) { /* the quick one, thrown away as it comes */
        pull_more(&bench, quick);
        got += count_letter(quick, '#');
        quick->in_size = 0;
    }
    assert_true(fake_host_stats(bench.host)->full > 0);
    size_t after = mallinfo2().uordblks;
    if (after > before + (2u << 20)) /* the quick client's own buffer, and one batch */
        fail_msg("the heap grew by %zu bytes", after - before);
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    for (got = 0; got < whole;) {
        pull_more(&bench, slow);
        got += count_letter(slow, '#');
        if (got < whole)
            slow->in_size = 0;
    }
    assert_int_equal(got, whole);
    WAIT_FOR(bench.host, has(slow, "END\n\r\n0\r\n\r\n"));
    ws_client_close(slow);
    ws_client_close(quick);
    fake_host_free(bench.host);
}

/* Goal: one that takes nothing for slow_client_s is closed, and only that one. */
static void test_stalled_client(void **state)
{
    struct bench bench = prepare("1");
    struct ws_client *stalled, *fine;

    (void)state;
    assert_int_equal(fake_host_open(bench.host, &transport), 0);
    stalled = ws_client_open_narrow(bench.host, bench.port, 4096);
    ws_client_push(stalled, ASK, sizeof ASK - 1);
    struct fake_stream *stream = stream_at(&bench, 0);
    fine = connect_and_send(&bench, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->live_readers == 2);
    put_much(stream, 4u << 20, '#');
    WAIT_FOR(bench.host, (ws_client_pull(fine, 1 << 20), fine->in_size = 0, fake_host_stats(bench.host)->live_readers == 1));
    assert_int_equal(fake_host_counter(bench.host, "http_slow_closed"), 1);
    ws_client_close(stalled);
    ws_client_close(fine);
    fake_host_free(bench.host);
}

/* Goal: who sends while being answered is read so far and no further, and is served afterwards.  Catches: memory filled by a
 * client. */
static void test_sends_ahead(void **state)
{
    struct bench bench = start();
    struct ws_client *client = connect_and_send(&bench, ASK);
    char *flood = malloc(60000 + 200);
    int size = snprintf(flood, 200, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n");

    (void)state;
    memset(flood + size, 'f', 60000);
    struct fake_stream *stream = stream_at(&bench, 0);
    WAIT_FOR(bench.host, has(client, "OPEN"));
    size_t before = mallinfo2().uordblks;
    ws_client_push(client, flood, (size_t)size + 60000);
    fake_stream_text(stream, "still there");
    WAIT_FOR(bench.host, has(client, "still there"));
    assert_true(mallinfo2().uordblks < before + 50000);
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    WAIT_FOR(bench.host, has(client, "Content-Length: 60000\r\n") && count_letter(client, 'f') > 60000);
    ws_client_close(client);
    free(flood);
    fake_host_free(bench.host);
}

/* Goal: a head that trickles in does not hold a connection for ever.  Method: a byte a second, far below the size limit. */
static void test_slow_head(void **state)
{
    struct bench bench = start();
    struct ws_client *client = connect_and_send(&bench, "GET / HTTP/1.1\r\nX: ");
    uint64_t begun = ws_client_now_s(), sent = 0;

    (void)state;
    while (!client->closed && ws_client_now_s() < begun + WS_CLIENT_PATIENCE_S) {
        if (ws_client_now_s() > begun + sent && ws_client_try_push(client, "x", 1))
            sent++;
        fake_host_turn(bench.host, 50);
        ws_client_pull(client, 1);
    }
    assert_true(client->closed);
    assert_int_equal(client->in_size, 0);
    ws_client_close(client);
    fake_host_free(bench.host);
}

/* Goal: deadline() ends a stream in the codec's words and leaves the answer running; keepalive frames fill silence before it. */
static void test_deadline_and_keepalive(void **state)
{
    struct bench bench = start();

    (void)state;
    max_ms_of_start = 400;
    keepalive_ms_of_start = 100;
    struct ws_client *client = connect_and_send(&bench, ASK);
    struct fake_stream *stream = stream_at(&bench, 0);
    fake_stream_text(stream, "text");
    WAIT_FOR(bench.host, has(client, "a\r\nCUT 1 4\n\r\n0\r\n\r\n") || has(client, "8\r\nCUT 1 4\n\r\n0\r\n\r\n"));
    assert_true(has(client, "3\r\nka\n\r\n"));
    assert_false(fake_stream_is_closed(stream));
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->live_readers == 0);
    ws_client_push(client, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", 31); /* the connection is good for more */
    client->in_size = 0;
    WAIT_FOR(bench.host, has(client, "CUT 1 4"));
    ws_client_close(client);
    fake_host_free(bench.host);
}

/* Goal: an answer that is taken away while a client lags does not look whole. */
static void test_lost(void **state)
{
    struct bench bench = start();
    struct ws_client *client = ws_client_open_narrow(bench.host, bench.port, 4096);

    (void)state;
    ws_client_push(client, ASK, sizeof ASK - 1);
    struct fake_stream *stream = stream_at(&bench, 0);
    put_much(stream, 4u << 20, '#');
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->full > 0);
    fake_stream_forget(stream);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->live_readers == 0);
    WAIT_FOR(bench.host, has(client, "the rest of the answer is gone"));
    ws_client_close(client);
    fake_host_free(bench.host);
}

/* Goal: drain ends idle connections and waiting watches now, running answers at their end, and then says so. */
static void test_drain(void **state)
{
    struct bench bench = start();
    struct ws_client *idle = connect_and_send(&bench, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    struct ws_client *reads = connect_and_send(&bench, ASK), *waits;

    (void)state;
    struct fake_stream *stream = stream_at(&bench, 0);
    WAIT_FOR(bench.host, has(idle, "hi") && has(reads, "OPEN"));
    fake_stream_text(stream, "before");
    waits = ws_client_open(bench.host, bench.port, false);
    ws_client_push(waits, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", 31);
    WAIT_FOR(bench.host, has(waits, "before")); /* it reads the running one */
    fake_host_drain(bench.host);
    WAIT_FOR(bench.host, (ws_client_pull(idle, 1), idle->closed));
    ws_client_close(idle);
    assert_false(fake_host_stats(bench.host)->drained);
    fake_stream_text(stream, "after");
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    WAIT_FOR(bench.host, has(reads, "after\r\n4\r\nEND\n\r\n0\r\n\r\n") && has(waits, "END\n\r\n0\r\n\r\n"));
    WAIT_FOR(bench.host, (ws_client_pull(reads, 1), ws_client_pull(waits, 1), reads->closed && waits->closed));
    ws_client_close(reads);
    ws_client_close(waits);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->drained);
    fake_host_free(bench.host);
}

static void test_turned_away(void **state)
{
    struct bench bench = start();

    (void)state;
    fake_host_admit(bench.host, false);
    struct ws_client *client = ws_client_open(bench.host, bench.port, false);
    WAIT_FOR(bench.host, (ws_client_pull(client, 1), client->closed));
    assert_int_equal(fake_host_counter(bench.host, "http_turned_away"), 1);
    ws_client_close(client);
    fake_host_admit(bench.host, true);
    fake_host_refuse_asks(bench.host, -EAGAIN);
    client = connect_and_send(&bench, ASK);
    WAIT_FOR(bench.host, has(client, "HTTP/1.1 503 "));
    ws_client_close(client);
    fake_host_free(bench.host);
}

static void make_certificate(const char *name, const char *cert, const char *key)
{
    struct certificate made = certificate_make(name, "IP:127.0.0.1", NULL, 3600);
    FILE *file = fopen(cert, "w");

    assert_non_null(file);
    PEM_write_X509(file, made.x509);
    fclose(file);
    file = fopen(key, "w");
    PEM_write_PrivateKey(file, made.key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(made.x509);
    EVP_PKEY_free(made.key);
}

static void expect_name(struct bench *bench, const char *name)
{
    struct ws_client *client = ws_client_open(bench->host, bench->port, true);
    X509 *x509 = SSL_get1_peer_certificate(client->ssl);
    char text[64];

    X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, text, sizeof text);
    X509_free(x509);
    assert_string_equal(text, name);
    ws_client_push(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecret", 58);
    WAIT_FOR(bench->host, has(client, "\r\n\r\nsecret"));
    ws_client_close(client);
}

/* Goal: TLS; a reload takes new files for new connections and keeps the old ones if the new are bad; 4 MiB pass unharmed. */
static void test_tls(void **state)
{
    char cert[] = "/tmp/umbel-http-cert-XXXXXX", key[] = "/tmp/umbel-http-key-XXXXXX";
    struct bench bench = prepare("30");
    const size_t whole = 4u << 20;
    size_t got = 0;

    (void)state;
    close(mkstemp(cert));
    close(mkstemp(key));
    make_certificate("first", cert, key);
    fake_host_option(bench.host, "tls_cert", cert);
    fake_host_option(bench.host, "tls_key", key);
    assert_int_equal(fake_host_open(bench.host, &transport), 0);
    expect_name(&bench, "first");
    struct ws_client *reads = ws_client_open(bench.host, bench.port, true);
    ws_client_push(reads, ASK, sizeof ASK - 1);
    struct fake_stream *stream = stream_at(&bench, 0);
    make_certificate("second", cert, key);
    assert_int_equal(fake_host_reload(bench.host), 0);
    expect_name(&bench, "second");
    FILE *file = fopen(cert, "w");
    fputs("nonsense", file);
    fclose(file);
    assert_true(fake_host_reload(bench.host) < 0);
    expect_name(&bench, "second");
    put_much(stream, whole, '#');
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    while (got < whole) {
        pull_more(&bench, reads);
        got += count_letter(reads, '#');
        if (got < whole)
            reads->in_size = 0;
    }
    WAIT_FOR(bench.host, has(reads, "END\n\r\n0\r\n\r\n"));
    ws_client_close(reads);
    unlink(cert);
    unlink(key);
    fake_host_free(bench.host);
}

/* Goal: a streaming client costs at most 4 KiB of our memory.  Method: the heap before and after 400 of them, the test's stand-in
 * for the host included.  Catches: request buffers kept for the length of the answer. */
static void test_memory_per_client(void **state)
{
    enum { CLIENTS = 400 };
    struct bench bench = start();
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)bench.port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    static const char ask[] = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    static int fds[CLIENTS];

    (void)state;
    struct fake_stream *stream = fake_stream_new(bench.host, "app", "s");
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(write(fds[i], ask, sizeof ask - 1), (ssize_t)sizeof ask - 1);
        WAIT_FOR(bench.host, fake_host_stats(bench.host)->live_readers == i + 1);
    }
    fake_stream_text(stream, "text");
    uint64_t writes = fake_host_stats(bench.host)->writes;
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->writes == writes + CLIENTS);
    size_t each = (mallinfo2().uordblks - before) / CLIENTS;
    print_message("%zu bytes of heap for each streaming client\n", each);
    assert_true(each <= 4096);
    for (size_t i = 0; i < CLIENTS; i++)
        close(fds[i]);
    WAIT_FOR(bench.host, fake_host_stats(bench.host)->clients == 0);
    fake_host_free(bench.host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_is_shared),
        cmocka_unit_test(test_sent_together_in_order),
        cmocka_unit_test(test_held_head),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_disconnects),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_stalled_client),
        cmocka_unit_test(test_sends_ahead),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_deadline_and_keepalive),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_turned_away),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_memory_per_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
