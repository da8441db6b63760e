/* plugins/test_ws_carrier.c - the WebSocket carrier under a codec made for testing: clocks, turns, bounds, TLS.
 *
 * The codec: "ask X" asks with data X and a private variant, so that its frames are "X:text" and "X:end"; "say X", "now X" say X;
 * "many N" says N frames at once; "watch S", "stop", "stop ID", "end", "end now" call what they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <umbel/ws.h>

#include "tests/plugins/ws_client.h"
#include "tests/support/certificate.h"

static struct umbel_ws_codec codec;
static struct umbel_ws *carrier;
static size_t answered, closed, refused;

static int on_upgrade(void *self, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade)
{
    struct umbel_credential key = {.kind = UMBEL_CREDENTIAL_KEY, .value = "k", .size = 1};
    const char *status = upgrade->query(upgrade, "status");

    (void)self;
    if (status)
        return atoi(status);
    umbel_ws_authorize(client, &key, 1);
    return 0;
}

static void on_authorized(void *self, struct umbel_ws_client *client, uint32_t error, const char *text)
{
    (void)self;
    (void)client;
    (void)text;
    assert_int_equal(error, 0);
}

static void frame(struct umbel_out *out, const char *a, const char *b, size_t size)
{
    size_t begin = umbel_ws_frame_begin(out);

    umbel_out_text(out, a);
    umbel_out_put(out, b, size);
    umbel_ws_frame_end(out, begin);
}

static void ask(struct umbel_ws_client *client, const char *data)
{
    static const char messages[] = "[{\"role\":\"user\",\"content\":\"x\"}]";
    struct umbel_request request = {.struct_size = sizeof request, .messages = messages, .messages_size = sizeof messages - 1,
                                    .session = "own", .model = "m", .parameters = "{}", .parameters_size = 2};
    struct umbel_ws_question question = {
        .struct_size = sizeof question, .variant = UMBEL_VARIANT_PRIVATE, .request = &request, .data = strdup(data)};

    umbel_ws_ask(client, &question);
}

static void on_message(void *self, struct umbel_ws_client *client, const char *bytes, size_t size)
{
    struct umbel_out out = {0};
    char text[256];

    (void)self;
    snprintf(text, sizeof text, "%.*s", (int)size, bytes);
    if (!strncmp(text, "ask ", 4))
        ask(client, text + 4);
    else if (!strncmp(text, "watch ", 6))
        umbel_ws_watch(client, text + 6, 7, NULL);
    else if (!strcmp(text, "stop"))
        umbel_ws_stop(client, NULL);
    else if (!strncmp(text, "stop ", 5))
        umbel_ws_stop(client, text + 5);
    else if (!strcmp(text, "end"))
        umbel_ws_end(client, 4000, "bye");
    else if (!strcmp(text, "end now"))
        umbel_ws_end_now(client, 4001, "bye now");
    else if (!strncmp(text, "many ", 5))
        for (int i = atoi(text + 5); i > 0; i--) {
            umbel_out_reset(&out);
            frame(&out, "", "one of many", 11);
            umbel_ws_say(client, &out);
        }
    else {
        frame(&out, "", text + 4, strlen(text + 4));
        if (!strncmp(text, "say ", 4))
            umbel_ws_say(client, &out);
        else
            umbel_ws_say_now(client, &out);
    }
    umbel_out_free(&out);
}

static int on_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    char lead[64];

    (void)self;
    (void)stream;
    if (variant == 7)
        assert_null(data);
    snprintf(lead, sizeof lead, "%s:", data ? (char *)data : "shared");
    if (event->kind == UMBEL_EVENT_TEXT)
        frame(out, lead, event->data, event->size);
    if (event->kind == UMBEL_EVENT_CLOSED)
        frame(out, lead, "end", 3);
    return 0;
}

static void on_refused(void *self, struct umbel_ws_client *client, void *data, uint32_t error, const char *text, struct umbel_out *out)
{
    char what[64];

    (void)self;
    (void)client;
    (void)text;
    refused++;
    snprintf(what, sizeof what, "refused %u", error);
    frame(out, data ? data : "watch", what, strlen(what));
}

static void on_answered(void *self, struct umbel_ws_client *client, void *data)
{
    (void)self;
    (void)client;
    answered++;
    free(data);
}

static void on_closed(void *self, struct umbel_ws_client *client)
{
    (void)self;
    (void)client;
    closed++;
}

static int probe_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    int r = umbel_ws_open(host, config, &codec, &codec, &carrier);

    if (!r)
        *ret_self = carrier;
    return r;
}

static void probe_drain(void *self, uint32_t deadline_ms)
{
    umbel_ws_drain(self, deadline_ms);
}

static int probe_reload(void *self)
{
    return umbel_ws_reload(self);
}

static void probe_close(void *self)
{
    umbel_ws_close(self);
}

static const struct umbel_transport probe = {.struct_size = sizeof probe,
                                             .abi_major = UMBEL_ABI_MAJOR,
                                             .name = "probe",
                                             .open = probe_open,
                                             .drain = probe_drain,
                                             .reload = probe_reload,
                                             .close = probe_close};

struct probe_test {
    struct fake_host *host;
    int port;
};

static int set_up(void **state)
{
    struct probe_test *test = calloc(1, sizeof *test);

    codec = (struct umbel_ws_codec){.struct_size = sizeof codec,
                                    .max_message = 4096,
                                    .max_waiting = 4,
                                    .max_in_flight = 1,
                                    .ping_s = 1000,
                                    .pong_s = 1000,
                                    .upgrade = on_upgrade,
                                    .authorized = on_authorized,
                                    .message = on_message,
                                    .encode = on_encode,
                                    .refused = on_refused,
                                    .answered = on_answered,
                                    .closed = on_closed};
    answered = closed = refused = 0;
    test->host = fake_host_new();
    fake_host_key(test->host, UMBEL_CREDENTIAL_KEY, "k", "app");
    test->port = fake_host_listen(test->host, 0);
    *state = test;
    return 0;
}

static int tear_down(void **state)
{
    struct probe_test *test = *state;

    fake_host_free(test->host);
    free(test);
    return 0;
}

static void open_probe(struct probe_test *test)
{
    assert_int_equal(fake_host_open(test->host, &probe), 0);
}

static struct ws_client *join(struct probe_test *test)
{
    return ws_client_upgrade(test->host, test->port, "/");
}

static struct fake_stream *stream_of(struct probe_test *test, size_t index)
{
    WAIT_FOR(test->host, fake_host_stream(test->host, index));
    return fake_host_stream(test->host, index);
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Goal: the three forms of a frame's length and their borders.  Catches: a payload moved by the wrong amount. */
static void test_frame_lengths(void **state)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 200000};
    struct umbel_out out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        umbel_out_reset(&out);
        umbel_out_text(&out, "before");
        size_t begin = umbel_ws_frame_begin(&out), header = sizes[i] < 126 ? 2 : sizes[i] < 65536 ? 4 : 10, size = 0;
        for (size_t b = 0; b < sizes[i]; b++)
            umbel_out_put(&out, &"0123456789"[b % 10], 1);
        umbel_ws_frame_end(&out, begin);
        const unsigned char *at = (const unsigned char *)out.data + 6;
        assert_memory_equal(out.data, "before", 6);
        assert_int_equal(out.size, 6 + header + sizes[i]);
        assert_int_equal(at[0], 0x81);
        if (header == 2)
            size = at[1];
        for (size_t b = 2; b < header; b++)
            size = size << 8 | at[b];
        assert_int_equal(size, sizes[i]);
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(at[header + b], "0123456789"[b % 10]);
    }
    umbel_out_free(&out);
}

/* Goal: two answers at once where the codec allows it, the third waits; each has its own data; the turn moves on when either ends. */
static void test_in_flight(void **state)
{
    struct probe_test *test = *state;

    codec.max_in_flight = 2;
    open_probe(test);
    struct ws_client *client = join(test);
    ws_client_text(client, "ask a");
    ws_client_text(client, "ask b");
    ws_client_text(client, "ask c");
    struct fake_stream *a = stream_of(test, 0), *b = stream_of(test, 1);
    fake_stream_text(a, "1");
    ws_client_expect(client, "a:1");
    fake_stream_text(b, "1");
    ws_client_expect(client, "b:1");
    ws_client_expect_nothing(client);
    assert_int_equal(fake_host_stats(test->host)->asks, 2);
    fake_stream_close(b, UMBEL_VERDICT_COMPLETE);
    ws_client_expect(client, "b:end");
    struct fake_stream *c = stream_of(test, 2);
    fake_stream_close(c, UMBEL_VERDICT_COMPLETE);
    ws_client_expect(client, "c:end");
    fake_stream_close(a, UMBEL_VERDICT_COMPLETE);
    ws_client_expect(client, "a:end");
    ws_client_expect_nothing(client);
    assert_int_equal(answered, 3);
    ws_client_close(client);
}

/* Goal: what is said in turn waits for the answers before it, what is said now does not; end closes in turn, with code and reason. */
static void test_say_and_end(void **state)
{
    struct probe_test *test = *state;

    open_probe(test);
    struct ws_client *client = join(test);
    ws_client_text(client, "ask a");
    struct fake_stream *stream = stream_of(test, 0);
    ws_client_text(client, "say later");
    ws_client_text(client, "end");
    ws_client_text(client, "say never");
    ws_client_text(client, "now first");
    ws_client_expect(client, "first");
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    ws_client_expect(client, "a:end");
    ws_client_expect(client, "later");
    ws_client_expect_close(client, 4000);
    assert_string_equal(client->payload + 2, "bye");
    ws_client_close(client);
    client = join(test);
    ws_client_text(client, "ask b");
    stream_of(test, 1);
    ws_client_text(client, "end now");
    ws_client_expect_close(client, 4001);
    ws_client_close(client);
    assert_int_equal(answered, 2);
    assert_int_equal(closed, 2);
}

/* Goal: a codec's data comes back exactly once, whatever becomes of its question: answered, refused as one too many, refused by the core,
 * dropped with its client while waiting or running. */
static void test_data_comes_back(void **state)
{
    struct probe_test *test = *state;

    open_probe(test);
    struct ws_client *client = join(test);
    for (int i = 0; i < 6; i++) /* 1 runs, 4 wait, 1 is too many */
        ws_client_text(client, "ask a");
    struct fake_stream *stream = stream_of(test, 0);
    ws_client_expect_nothing(client);
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    ws_client_expect(client, "a:end");
    stream_of(test, 1);
    assert_int_equal(answered, 1);
    ws_client_reset(client);
    WAIT_FOR(test->host, closed == 1);
    assert_int_equal(answered, 6);
    client = join(test);
    WAIT_FOR(test->host, fake_host_stats(test->host)->authorizes == 2);
    fake_host_refuse_asks(test->host, -EAGAIN);
    ws_client_text(client, "ask b");
    ws_client_expect(client, "brefused 4");
    assert_int_equal(answered, 7);
    ws_client_close(client);
}

/* Goal: stop without an id stops what this client asked for last, even if its answer has not begun; with one, that one. */
static void test_stop(void **state)
{
    struct probe_test *test = *state;

    open_probe(test);
    struct ws_client *client = join(test);
    WAIT_FOR(test->host, fake_host_stats(test->host)->authorizes == 1);
    ws_client_text(client, "stop"); /* nothing runs: nothing happens */
    ws_client_text(client, "ask a");
    ws_client_text(client, "stop");
    ws_client_expect(client, "a:end");
    assert_true(fake_stream_is_closed(stream_of(test, 0)));
    ws_client_text(client, "ask b");
    struct fake_stream *stream = stream_of(test, 1);
    fake_stream_text(stream, "1");
    ws_client_expect(client, "b:1");
    ws_client_text(client, "stop");
    ws_client_expect(client, "b:end");
    ws_client_close(client);
}

/* Goal: the bounds of one client: sessions watched, answers followed at a time, frames said to one message. */
static void test_bounds(void **state)
{
    struct probe_test *test = *state;

    open_probe(test);
    struct ws_client *client = join(test);
    for (int i = 0; i < 8; i++)
        ws_client_text(client, "watch room");
    ws_client_text(client, "watch one too many");
    ws_client_expect(client, "watchrefused 4");
    WAIT_FOR(test->host, fake_host_stats(test->host)->watches == 8);
    for (int i = 0; i < 3; i++)
        fake_host_turn(test->host, 0);
    for (int i = 0; i < 70; i++)
        fake_stream_new(test->host, "app", "room");
    assert_int_equal(fake_host_stats(test->host)->live_readers, 64); /* and each answer once, though watched eight times */
    assert_true(fake_host_counter(test->host, "ws_watched_declined") >= 6);
    fake_stream_text(fake_host_stream(test->host, 0), "x");
    ws_client_expect(client, "shared:x");
    ws_client_close(client);
    client = join(test);
    ws_client_text(client, "many 80");
    for (int i = 0; i < 80; i++)
        ws_client_expect(client, "one of many");
    ws_client_text(client, "many 81"); /* 64 + 4 * max_waiting are allowed to wait */
    ws_client_expect_close(client, 1008);
    ws_client_close(client);
    assert_int_equal(fake_host_counter(test->host, "ws_close_unanswered"), 0); /* it had stopped reading, and must have begun again */
}

/* Goal: a silent client is pinged, its pong keeps it, its silence ends it.  Method: the first part allows 1000 s for the pong. */
static void test_ping(void **state)
{
    struct probe_test *test = *state;

    codec.ping_s = 1;
    open_probe(test);
    struct ws_client *client = join(test);
    for (int i = 0; i < 2; i++) { /* the second comes only because the first was answered */
        assert_true(ws_client_next(client));
        assert_int_equal(client->first, 0x89);
        ws_client_frame(client, 0x8a, client->payload, client->payload_size);
    }
    ws_client_text(client, "say alive");
    ws_client_expect(client, "alive");
    ws_client_close(client);
}

static void test_hang_up(void **state)
{
    struct probe_test *test = *state;

    codec.ping_s = codec.pong_s = 1;
    open_probe(test);
    struct ws_client *client = join(test);
    assert_true(ws_client_next(client));
    assert_int_equal(client->first, 0x89);
    assert_false(ws_client_next(client));
    assert_int_equal(fake_host_counter(test->host, "ws_hung_up"), 1);
    ws_client_close(client);
}

/* Goal: a client is idle without questions and answers, not while an answer runs or it watches, however long that takes, and not while its
 * codec has something to say to it at once. */
static void test_idle(void **state)
{
    struct probe_test *test = *state;

    codec.idle_s = 1;
    open_probe(test);
    struct ws_client *watcher = join(test), *busy = join(test);
    ws_client_text(watcher, "watch room");
    ws_client_text(busy, "ask a");
    struct fake_stream *stream = stream_of(test, 0);
    struct ws_client *idle = join(test);
    ws_client_expect_close(idle, 1000);
    ws_client_close(idle);
    struct ws_client *lively = join(test);
    for (int i = 0; i < 5; i++) { /* the others are older than the one that was closed, by far */
        ws_client_text(lively, "now here");
        ws_client_expect(lively, "here");
        for (uint64_t end = now_ms() + 300; now_ms() < end;)
            fake_host_turn(test->host, 20);
    }
    ws_client_expect_nothing(watcher);
    ws_client_expect_close(lively, 1000);
    ws_client_close(lively);
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    ws_client_expect(busy, "a:end");
    ws_client_expect_close(busy, 1000);
    ws_client_expect_nothing(watcher);
    ws_client_close(busy);
    ws_client_close(watcher);
}

static void fill(struct probe_test *test, struct ws_client *client, struct fake_stream *stream)
{
    static char big[65537];

    (void)client;
    memset(big, 'b', sizeof big - 1);
    for (int i = 0; i < 200; i++)
        fake_stream_text(stream, big);
    WAIT_FOR(test->host, fake_host_stats(test->host)->full > 0);
}

/* Goal: a client that takes nothing for slow_client_s is closed with 1013 and its connection ended; a connection that never says a word is
 * ended too.  Catches: slow clients held for ever, a close that waits for the buffer of a dead peer. */
static void test_slow_is_closed(void **state)
{
    struct probe_test *test = *state;

    fake_host_option(test->host, "slow_client_s", "1");
    open_probe(test);
    struct ws_client *silent = ws_client_open(test->host, test->port, false), *client = join(test);
    ws_client_text(client, "ask a");
    fill(test, client, stream_of(test, 0));
    WAIT_FOR(test->host, fake_host_counter(test->host, "ws_slow_closed") == 1);
    assert_int_equal(fake_host_stats(test->host)->clients, 0);
    assert_int_equal(answered, 1);
    /* 3 s later the connection itself goes, though the socket never took the close frame */
    while (ws_client_next(client))
        continue;
    WAIT_FOR(test->host, fake_host_counter(test->host, "ws_handshake_timeouts") == 1);
    assert_false(ws_client_next(silent));
    ws_client_close(client);
    ws_client_close(silent);
}

/* Goal: a client that reads a little is slow but alive: its clock starts anew.  Method: a narrow receive buffer, read empty three times a
 * second: one write of the host takes longer than the limit to go out, but bytes are acknowledged all the time.  Each turn of the host comes
 * after a read, however slow the machine.  Catches: closing whoever is full for longer than the limit. */
static void test_slow_but_moving_stays(void **state)
{
    struct probe_test *test = *state;

    fake_host_option(test->host, "slow_client_s", "1");
    open_probe(test);
    struct ws_client *client = ws_client_open_narrow(test->host, test->port, 2048);
    assert_int_equal(ws_client_request(client, "/", ""), 101);
    ws_client_text(client, "ask a");
    fill(test, client, stream_of(test, 0));
    uint64_t full = fake_host_stats(test->host)->full;
    for (int i = 0; i < 12; i++) {
        ws_client_pull(client, 65536);
        for (uint64_t end = now_ms() + 300; now_ms() < end;)
            fake_host_turn(test->host, 50);
    }
    assert_int_equal(fake_host_counter(test->host, "ws_slow_closed"), 0);
    assert_int_equal(fake_host_stats(test->host)->clients, 1);
    assert_true(fake_host_stats(test->host)->full < full + 4); /* else it was never full for long */
    ws_client_close(client);
}

/* Goal: what a client that does not read makes us say at once is bounded. */
static void test_now_is_bounded(void **state)
{
    struct probe_test *test = *state;

    open_probe(test);
    struct ws_client *client = join(test);
    char text[210];

    ws_client_text(client, "ask a");
    fill(test, client, stream_of(test, 0));
    memset(text, 'n', sizeof text);
    memcpy(text, "now ", 4);
    for (int i = 0; i < 50; i++)
        ws_client_frame(client, 0x81, text, 204);
    WAIT_FOR(test->host, fake_host_stats(test->host)->clients == 0);
    while (ws_client_next(client) && client->first != 0x88)
        continue;
    assert_int_equal(client->first, 0x88);
    assert_memory_equal(client->payload, "\x03\xf5", 2); /* 1013 */
    ws_client_close(client);
}

/* Goal: without a free descriptor accepting pauses instead of spinning, and goes on when there is one.  Method: the limit is lowered to what
 * is open; the client's connection waits in the kernel. */
static void test_no_descriptors(void **state)
{
    struct probe_test *test = *state;
    struct rlimit old, low;

    open_probe(test);
    struct ws_client *client = ws_client_open(test->host, test->port, false);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    WAIT_FOR(test->host, fake_host_counter(test->host, "ws_accept_pauses") >= 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(ws_client_request(client, "/", ""), 101);
    ws_client_close(client);
}

/* Goal: max_connections and the host's admit() turn connections away before they cost anything; room comes back. */
static void test_turned_away(void **state)
{
    struct probe_test *test = *state;

    fake_host_option(test->host, "max_connections", "2");
    open_probe(test);
    struct ws_client *one = join(test), *two = join(test), *three = ws_client_open(test->host, test->port, false);
    assert_false(ws_client_next(three));
    ws_client_close(three);
    ws_client_close(one);
    WAIT_FOR(test->host, fake_host_stats(test->host)->clients == 1);
    for (int i = 0; i < 5; i++)
        fake_host_turn(test->host, 0);
    one = join(test);
    fake_host_admit(test->host, false);
    ws_client_close(one);
    WAIT_FOR(test->host, fake_host_stats(test->host)->clients == 1);
    three = ws_client_open(test->host, test->port, false);
    assert_false(ws_client_next(three));
    assert_int_equal(fake_host_counter(test->host, "ws_turned_away"), 2);
    ws_client_close(three);
    ws_client_close(two);
}

/* Goal: a codec's refusal of an upgrade is that HTTP status. */
static void test_refused_upgrade(void **state)
{
    static const int statuses[] = {400, 401, 403, 404, 429, 503};
    struct probe_test *test = *state;
    char path[32];

    open_probe(test);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct ws_client *client = ws_client_open(test->host, test->port, false);
        snprintf(path, sizeof path, "/?status=%d", statuses[i]);
        assert_int_equal(ws_client_request(client, path, ""), statuses[i]);
        ws_client_close(client);
    }
    assert_int_equal(closed, 0); /* it said no: nothing more about them */
    WAIT_FOR(test->host, fake_host_stats(test->host)->clients == 0);
}

static const char *peer_name(struct ws_client *client, char *text, size_t size)
{
    X509 *cert = SSL_get1_peer_certificate(client->ssl);

    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, (int)size);
    X509_free(cert);
    return text;
}

static void write_certificate(const char *common_name, const char *cert_path, const char *key_path)
{
    struct certificate made = certificate_make(common_name, "IP:127.0.0.1", NULL, 86400);
    FILE *cert = fopen(cert_path, "w"), *key = fopen(key_path, "w");

    assert_true(cert && key);
    assert_int_equal(PEM_write_X509(cert, made.x509), 1);
    assert_int_equal(PEM_write_PrivateKey(key, made.key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(cert);
    fclose(key);
    certificate_free(&made);
}

/* Goal: wss; a reload serves the new certificate to new connections and leaves old ones alone; a bad one, or a key of another certificate,
 * changes nothing.  A start with a bad one fails. */
static void test_tls(void **state)
{
    struct probe_test *test = *state;
    char directory[] = "/tmp/umbel-test-XXXXXX", cert[64], key[64], other[64], name[32];

    assert_non_null(mkdtemp(directory));
    snprintf(cert, sizeof cert, "%s/cert.pem", directory);
    snprintf(key, sizeof key, "%s/key.pem", directory);
    snprintf(other, sizeof other, "%s/other.pem", directory);
    fake_host_option(test->host, "tls_cert", cert);
    fake_host_option(test->host, "tls_key", key);
    assert_int_equal(fake_host_open(test->host, &probe), -EINVAL);
    write_certificate("first", cert, key);
    open_probe(test);
    struct ws_client *old = ws_client_open(test->host, test->port, true);
    assert_string_equal(peer_name(old, name, sizeof name), "first");
    assert_int_equal(ws_client_request(old, "/", ""), 101);
    write_certificate("second", cert, other); /* the key file is still the first's */
    assert_int_equal(fake_host_reload(test->host), -EINVAL);
    struct ws_client *client = ws_client_open(test->host, test->port, true);
    assert_string_equal(peer_name(client, name, sizeof name), "first");
    ws_client_close(client);
    assert_int_equal(rename(other, key), 0);
    assert_int_equal(fake_host_reload(test->host), 0);
    client = ws_client_open(test->host, test->port, true);
    assert_string_equal(peer_name(client, name, sizeof name), "second");
    assert_int_equal(ws_client_request(client, "/", ""), 101);
    /* both work, also with more than one TLS record and a full socket */
    ws_client_text(old, "say old");
    ws_client_expect(old, "old");
    ws_client_text(client, "ask a");
    struct fake_stream *stream = stream_of(test, 0);
    fill(test, client, stream);
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    size_t text = 0;
    while (ws_client_next(client) && strcmp(client->payload, "a:end"))
        text += client->payload_size - 2;
    assert_int_equal(text, 200 * 65536);
    ws_client_close(client);
    ws_client_close(old);
    unlink(cert);
    unlink(key);
    rmdir(directory);
}

/* Goal: frames that the host sends together with others' stay in order, also where the socket took half of one and another follows at once.
 * Method: three watchers, many events in one turn; the fake host's send takes a part of every third.
 * Catches: a frame written past one that is under way, the rest of a frame sent behind the next. */
static void test_sent_together_in_order(void **state)
{
    enum { EVENTS = 20, WATCHERS = 3 };
    struct probe_test *test = *state;
    struct ws_client *watchers[WATCHERS];
    char text[32];

    open_probe(test);
    for (int i = 0; i < WATCHERS; i++) {
        watchers[i] = join(test);
        ws_client_text(watchers[i], "watch s");
    }
    WAIT_FOR(test->host, fake_host_stats(test->host)->watches == WATCHERS);
    for (int i = 0; i < 3; i++)
        fake_host_turn(test->host, 0); /* and each has begun */
    struct fake_stream *stream = fake_stream_new(test->host, "app", "s");
    for (int e = 0; e < EVENTS; e++) {
        snprintf(text, sizeof text, "%d", e);
        fake_stream_text(stream, text);
        fake_stream_event(stream, UMBEL_EVENT_REASONING, "between, so that texts are not merged", 0);
    }
    fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
    for (int i = 0; i < WATCHERS; i++) {
        for (int e = 0; e < EVENTS; e++) {
            snprintf(text, sizeof text, "shared:%d", e);
            ws_client_expect(watchers[i], text);
        }
        ws_client_expect(watchers[i], "shared:end");
        ws_client_close(watchers[i]);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_sent_together_in_order), CASE(test_frame_lengths), CASE(test_in_flight),     CASE(test_say_and_end),           CASE(test_data_comes_back),
        CASE(test_stop),          CASE(test_bounds),        CASE(test_ping),                  CASE(test_hang_up),
        CASE(test_idle),          CASE(test_slow_is_closed), CASE(test_slow_but_moving_stays), CASE(test_now_is_bounded),
        CASE(test_no_descriptors), CASE(test_turned_away),  CASE(test_refused_upgrade),       CASE(test_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
