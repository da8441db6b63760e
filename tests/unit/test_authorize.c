/* core/authorize: what a service may say, what is kept of it, and that asking is bounded in number and in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/authorize/authorize.h"
#include "core/authorize/authorize_cache.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#define PATIENCE_NS (60 * CLOCK_S)

/* ---- the words ---- */

static int read_reply(const char *body, struct authorize_reply *ret_reply)
{
    struct why why = {""};
    int r = authorize_reply_read(body, strlen(body), ret_reply, &why);

    assert_true(r == 0 || *why.text);
    return r;
}

/* Goal: an answer is what docs/authorize.md says, or it is a failure.  Method: a table of both.  Catches: a denial read as a permission,
 * types taken as given, bounds one off. */
static void test_reply_table(void **state)
{
    static const char *const bad[] = {"",
                                      "ok",
                                      "[]",
                                      "{}",
                                      "{\"allow\":1}",
                                      "{\"allow\":\"true\"}",
                                      "{\"allow\":null}",
                                      "{\"allow\":true,\"allow\":false}",
                                      "{\"allow\":true} x",
                                      "{\"allow\":true,\"cache_s\":-1}",
                                      "{\"allow\":true,\"cache_s\":1.5}",
                                      "{\"allow\":true,\"cache_s\":\"60\"}",
                                      "{\"allow\":true,\"user\":1}",
                                      "{\"allow\":true,\"user\":\"a\\nb\"}",
                                      "{\"allow\":true,\"user\":\"a\\u0085b\"}",
                                      "{\"allow\":true,\"limits\":[]}",
                                      "{\"allow\":true,\"limits\":{\"concurrent\":-1}}",
                                      "{\"allow\":true,\"limits\":{\"concurrent\":4294967296}}",
                                      "{\"allow\":true,\"limits\":{\"tokens_per_day\":\"9\"}}",
                                      "{\"allow\":false,\"code\":\"101\"}",
                                      "{\"allow\":false,\"code\":1.5}",
                                      "{\"allow\":false,\"message\":7}"};
    struct authorize_reply reply;
    char body[512];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (read_reply(bad[i], &reply) != -EBADMSG)
            fail_msg("taken for good: %s", bad[i]);
    assert_int_equal(read_reply("{\"allow\":true}", &reply), 0);
    assert_true(reply.allow && !*reply.user && !reply.has_cache_s && !reply.limits.given[AUTHORIZE_CONCURRENT]);
    assert_int_equal(read_reply("{\"allow\":true,\"user\":\"u-\xe8\x8c\xb6\",\"cache_s\":99999999,\"new\":{\"a\":[1]},\"limits\":{\"concurrent\":0,"
                                "\"requests_per_minute\":3,\"prompt_bytes\":4,\"output_tokens\":5,\"tokens_per_day\":4294967295}}",
                                &reply),
                     0);
    assert_string_equal(reply.user, "u-\xe8\x8c\xb6");
    assert_int_equal(reply.cache_s, AUTHORIZE_CACHE_S_MAX);
    const uint32_t wanted[AUTHORIZE_LIMITS] = {0, 3, 4, 5, UINT32_MAX};
    for (int i = 0; i < AUTHORIZE_LIMITS; i++)
        assert_true(reply.limits.given[i] && reply.limits.value[i] == wanted[i]);
    assert_int_equal(read_reply("{\"allow\":false,\"code\":-1,\"message\":null,\"cache_s\":0,\"user\":7}", &reply), 0);
    assert_true(!reply.allow && reply.code == -1 && !*reply.message && reply.has_cache_s && reply.cache_s == 0);
    for (unsigned size = AUTHORIZE_USER_MAX; size <= AUTHORIZE_USER_MAX + 1; size++) {
        snprintf(body, sizeof body, "{\"allow\":true,\"user\":\"%0*d\"}", (int)size, 7);
        assert_int_equal(read_reply(body, &reply), size <= AUTHORIZE_USER_MAX ? 0 : -EBADMSG);
    }
}

/* Goal: a message is one line of whole characters, at most AUTHORIZE_MESSAGE_MAX bytes.  Method: line ends of all kinds; a two-byte
 * character across the bound.  Catches: a second line in a client's error frame, a torn character. */
static void test_message_is_one_line(void **state)
{
    struct authorize_reply reply;
    char body[1024] = "{\"allow\":false,\"code\":102,\"message\":\"x", *at = body + strlen(body);

    (void)state;
    assert_int_equal(read_reply("{\"allow\":false,\"message\":\"a\\r\\nb\\u0000\"}", &reply), -EBADMSG); /* U+0000 is not JSON for us */
    assert_int_equal(read_reply("{\"allow\":false,\"message\":\"a\\r\\nb\\u001b[2J\\u007f\\u2028c\\u0085d\"}", &reply), 0);
    assert_string_equal(reply.message, "a  b [2J    c  d");
    for (int i = 0; i < 150; i++)
        at = stpcpy(at, "\xc3\xa9");
    strcpy(at, "\"}");
    assert_int_equal(read_reply(body, &reply), 0);
    assert_int_equal(strlen(reply.message), AUTHORIZE_MESSAGE_MAX - 1);
    assert_memory_equal(reply.message + AUTHORIZE_MESSAGE_MAX - 3, "\xc3\xa9", 2);
}

/* Goal: the question's bytes, and one buffer for all of it.  Method: the longest credential, all of it bytes that need six, against the
 * capacity of one buffer reserved for it.  Catches: a buffer that grew and left a copy of a credential behind. */
static void test_request(void **state)
{
    char credential[AUTHORIZE_CREDENTIAL_MAX];
    struct umbel_out out = {0};
    struct authorize_question question = {
        .app = "shop", .transport = "wx", .kind = "key", .client_ip = "192.0.2.1", .credential = span_text("k\"1")};

    (void)state;
    authorize_request_write(&question, &out);
    umbel_out_put(&out, "", 1);
    assert_string_equal(out.data, "{\"app\":\"shop\",\"transport\":\"wx\",\"kind\":\"key\",\"credential\":\"k\\\"1\",\"client_ip\":\"192.0.2.1\"}");
    umbel_out_free(&out);
    memset(credential, 1, sizeof credential);
    question.credential = span_of(credential, sizeof credential);
    question.client_ip = "";
    assert_non_null(umbel_out_reserve(&out, 6 * sizeof credential + 256));
    size_t capacity = out.capacity;
    umbel_out_free(&out);
    authorize_request_write(&question, &out);
    assert_int_equal(out.failed, 0);
    assert_true(out.size > 6 * sizeof credential && out.capacity <= 2 * capacity);
    umbel_out_free(&out);
}

/* ---- what is kept ---- */

static void digest_of(uint32_t number, uint8_t ret_digest[AUTHORIZE_DIGEST])
{
    memset(ret_digest, 0, AUTHORIZE_DIGEST);
    ret_digest[0] = (uint8_t)(number % 3); /* few buckets: chains are walked */
    memcpy(ret_digest + 8, &number, sizeof number);
}

/* Goal: bounded, the least used one goes, what is over is not found.  Method: a cache of four, in chains.  Catches: the newest evicted, an
 * expired one believed, a chain cut, texts that point to the caller's. */
static void test_cache(void **state)
{
    struct authorize_cache *cache;
    struct authorize_verdict verdict = {.result = AUTHORIZE_ALLOW, .message = "", .until_ns = 100}, found;
    uint8_t digest[AUTHORIZE_DIGEST];
    char user[16];

    (void)state;
    assert_int_equal(authorize_cache_create(4, &cache), 0);
    verdict.user = user;
    for (uint32_t i = 0; i < 4; i++) {
        snprintf(user, sizeof user, "u%u", i);
        digest_of(i, digest);
        authorize_cache_put(cache, digest, &verdict);
    }
    strcpy(user, "gone");
    digest_of(0, digest);
    assert_true(authorize_cache_find(cache, digest, 99, &found)); /* now u1 is the one not used for longest */
    assert_string_equal(found.user, "u0");
    digest_of(9, digest);
    authorize_cache_put(cache, digest, &verdict);
    assert_int_equal(authorize_cache_count(cache), 4);
    for (uint32_t i = 0; i < 10; i++) {
        digest_of(i, digest);
        bool wanted = i == 0 || i == 2 || i == 3 || i == 9;
        assert_int_equal(authorize_cache_find(cache, digest, 99, &found), wanted);
    }
    digest_of(2, digest);
    verdict = (struct authorize_verdict){.result = AUTHORIZE_DENY, .code = 101, .message = "no", .user = "", .until_ns = 200};
    authorize_cache_put(cache, digest, &verdict);
    assert_int_equal(authorize_cache_count(cache), 4);
    assert_true(authorize_cache_find(cache, digest, 150, &found));
    assert_true(found.result == AUTHORIZE_DENY && found.code == 101);
    digest_of(3, digest);
    assert_false(authorize_cache_find(cache, digest, 100, &found));
    assert_int_equal(authorize_cache_count(cache), 3);
    authorize_cache_free(cache);
}

/* ---- asking ---- */

static struct {
    struct uring_loop *loop;
    struct authorize *authorize;
    struct authorize_service *service;
    int listener;
    char url[64];
    pthread_t thread;
    bool serves;
    _Atomic unsigned requests;
    _Atomic(const char *) reply; /* body; NULL: closes without a word */
    _Atomic unsigned status, pad; /* pad: bytes of blanks before the body */
    char last[8192]; /* the newest request, whole */
} t;

struct asker {
    struct authorize_ask ask;
    unsigned told;
    enum authorize_result result;
    int code;
    char user[128], message[256];
    uint64_t until_ns;
    bool overload;
};

static void note(struct asker *asker, const struct authorize_verdict *verdict)
{
    asker->told++;
    asker->result = verdict->result;
    asker->code = verdict->code;
    asker->until_ns = verdict->until_ns;
    asker->overload = verdict->overload;
    snprintf(asker->user, sizeof asker->user, "%s", verdict->user);
    snprintf(asker->message, sizeof asker->message, "%s", verdict->message);
}

static void done(struct authorize_ask *ask, const struct authorize_verdict *verdict)
{
    note((struct asker *)(void *)ask, verdict);
}

static void serve_one(int fd)
{
    char head[256], request[8192];
    size_t size = 0, body = 0;
    ssize_t n;

    do {
        n = recv(fd, request + size, sizeof request - 1 - size, 0);
        size += n > 0 ? (size_t)n : 0;
        request[size] = '\0';
        char *end = strstr(request, "\r\n\r\n"), *length = strcasestr(request, "content-length:");
        body = end && length ? (size_t)(end + 4 - request) + strtoul(length + 15, NULL, 10) : 0;
    } while (n > 0 && (!body || size < body));
    memcpy(t.last, request, size + 1);
    atomic_fetch_add(&t.requests, 1); /* before the reply, which lets the test look */
    const char *reply = atomic_load(&t.reply);
    if (reply && n > 0) {
        unsigned pad = atomic_load(&t.pad);
        char *blanks = calloc(1, pad + 1);
        memset(blanks, ' ', pad);
        int head_size = snprintf(head, sizeof head, "HTTP/1.1 %u X\r\nLocation: %s/other\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                                 atomic_load(&t.status), t.url, strlen(reply) + pad);
        send(fd, head, (size_t)head_size, MSG_NOSIGNAL);
        send(fd, blanks, pad, MSG_NOSIGNAL);
        send(fd, reply, strlen(reply), MSG_NOSIGNAL);
        free(blanks);
    }
}

static void *server(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(t.listener, NULL, NULL)) >= 0) {
        serve_one(fd);
        close(fd);
    }
    return NULL;
}

static void start(bool serves, uint32_t timeout_ms, uint32_t cache_s)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct why why = {""};

    signal(SIGPIPE, SIG_IGN);
    log_setup("test", LOG_ERROR, false);
    memset(&t, 0, sizeof t);
    t.serves = serves;
    t.status = 200;
    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(t.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(t.listener, 128), 0);
    assert_int_equal(getsockname(t.listener, (struct sockaddr *)&address, &size), 0);
    snprintf(t.url, sizeof t.url, "http://127.0.0.1:%u/who", ntohs(address.sin_port));
    if (serves)
        assert_int_equal(pthread_create(&t.thread, NULL, server, NULL), 0);
    if (uring_loop_create(NULL, &t.loop, &why) < 0 || authorize_create(t.loop, &t.authorize, &why) < 0)
        fail_msg("%s", why.text);
    const struct authorize_options options = {
        .url = t.url, .secret = "s3", .ca_file = "", .timeout_ms = timeout_ms, .cache_s = cache_s, .cache_entries = 100};
    assert_int_equal(authorize_service_create(t.authorize, "shop", &options, NULL, NULL, &t.service), 0);
}

static void stop(void)
{
    authorize_service_free(t.service);
    authorize_free(t.authorize);
    uring_loop_free(t.loop);
    shutdown(t.listener, SHUT_RDWR);
    if (t.serves)
        pthread_join(t.thread, NULL);
    close(t.listener);
}

static void ask(struct asker *asker, const char *credential)
{
    const struct authorize_question question = {
        .app = "shop", .transport = "wx", .kind = "key", .client_ip = "", .credential = span_text(credential)};
    struct authorize_verdict verdict;

    *asker = (struct asker){.ask.done = done};
    if (authorize_ask(t.service, &question, &asker->ask, &verdict))
        note(asker, &verdict);
}

static void wait_for(const struct asker *asker)
{
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;

    while (!asker->told) {
        assert_true(clock_now_ns() < end_ns);
        uring_loop_turn(t.loop, 100);
    }
}

static struct authorize_counts counts(void)
{
    struct authorize_counts all;

    authorize_service_counts(t.service, &all);
    return all;
}

/* Goal: the same question is one call, now and while its answer is kept; another credential is another question; cache_s 0 keeps nothing.
 * Method: a server that counts.  Catches: joined askers told twice or not at all, a hash without the credential, a kept answer without end. */
static void test_joined_and_kept(void **state)
{
    struct asker askers[50], more;

    (void)state;
    start(true, 30000, 60);
    t.reply = "{\"allow\":true,\"user\":\"u1\",\"limits\":{\"concurrent\":2}}";
    for (int i = 0; i < 50; i++)
        ask(&askers[i], "token-1");
    for (int i = 0; i < 50; i++) {
        wait_for(&askers[i]);
        assert_int_equal(askers[i].told, 1);
        assert_int_equal(askers[i].result, AUTHORIZE_ALLOW);
        assert_string_equal(askers[i].user, "u1");
    }
    assert_non_null(strstr(t.last, "\r\nAuthorization: Bearer s3\r\n"));
    assert_non_null(strstr(t.last, "POST /who HTTP/1.1\r\n"));
    assert_non_null(strstr(t.last, "\"credential\":\"token-1\""));
    ask(&more, "token-1");
    assert_int_equal(more.told, 1);
    assert_true(counts().calls == 1 && counts().joined == 49 && counts().cached == 1 && counts().entries == 1);
    t.reply = "{\"allow\":false,\"code\":102,\"message\":\"slow\",\"cache_s\":0}";
    ask(&more, "token-2");
    wait_for(&more);
    assert_true(more.result == AUTHORIZE_DENY && more.code == 102);
    assert_string_equal(more.message, "slow");
    ask(&more, "token-2");
    wait_for(&more);
    assert_true(counts().calls == 3 && t.requests == 3 && counts().entries == 1);
    stop();
}

/* Goal: whatever is not a good answer is a failure and is not kept.  Method: statuses (a redirect among them), garbage, too long, nothing.
 * Catches: a body believed under a 500, a redirect followed with the credential, a failure kept. */
static void test_failures(void **state)
{
    static const struct {
        unsigned status, pad;
        const char *reply;
    } bad[] = {{500, 0, "{\"allow\":true}"}, {302, 0, "{\"allow\":true}"}, {204, 0, ""}, {201, 0, "{\"allow\":true}"},
               {200, 0, "<html>"},           {200, AUTHORIZE_REPLY_MAX, "{\"allow\":true}"}, {200, 0, NULL}};
    struct asker asker;

    (void)state;
    start(true, 30000, 60);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        t.status = bad[i].status;
        t.pad = bad[i].pad;
        t.reply = bad[i].reply;
        ask(&asker, "token");
        wait_for(&asker);
        if (asker.result != AUTHORIZE_FAILED)
            fail_msg("case %zu was believed", i);
    }
    assert_int_equal(counts().failures, sizeof bad / sizeof *bad);
    t.status = 200;
    t.pad = AUTHORIZE_REPLY_MAX - 14;
    t.reply = "{\"allow\":true}";
    ask(&asker, "token"); /* exactly as long as it may be */
    wait_for(&asker);
    assert_int_equal(asker.result, AUTHORIZE_ALLOW);
    stop();
}

/* Goal: no answer in time is a failure in time, also for those that wait for a place; beyond the places the failure is immediate.  Who was never
 * asked about because too many were before him is told so: overload, which is no failure of the service.
 * Method: a server that accepts and is silent, and one question more than there is room for.  Catches: waiting without bound, a place never
 * given back, time counted only from the sending on, a flood that looks like a service that is down. */
static void test_silent_service_is_bounded(void **state)
{
    static struct asker askers[AUTHORIZE_CALLS_MAX + AUTHORIZE_WAITING_MAX + 1];
    const size_t all = sizeof askers / sizeof *askers;
    char credential[32];

    (void)state;
    start(false, 1500, 60);
    uint64_t begun_ns = clock_now_ns();
    for (size_t i = 0; i < all; i++) {
        snprintf(credential, sizeof credential, "token-%zu", i);
        ask(&askers[i], credential);
        assert_int_equal(askers[i].told, i == all - 1);
    }
    assert_true(askers[all - 1].result == AUTHORIZE_FAILED && askers[all - 1].overload);
    assert_true(counts().running == AUTHORIZE_CALLS_MAX && counts().waiting == AUTHORIZE_WAITING_MAX && counts().full == 1);
    ask(&askers[all - 1], "token-0"); /* one that is being asked has room always */
    assert_int_equal(askers[all - 1].told, 0);
    for (size_t i = 0; i < all; i++) {
        wait_for(&askers[i]);
        assert_int_equal(askers[i].result, AUTHORIZE_FAILED);
        assert_int_equal(askers[i].overload, i >= AUTHORIZE_CALLS_MAX && i < all - 1); /* the last joined the first, which was asked */
    }
    assert_true(clock_now_ns() - begun_ns >= 1400 * CLOCK_MS);
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;
    while (counts().running) {
        assert_true(clock_now_ns() < end_ns);
        uring_loop_turn(t.loop, 100);
    }
    assert_int_equal(counts().waiting, 0);
    stop();
}

/* Goal: a forgotten question is not answered, but its answer is kept; a service that is freed tells those who wait, and what runs comes back to
 * nobody.  Method: both, with a silent server for the second.  Catches: a callback into freed memory (with a sanitizer), a lost asker. */
static void test_forget_and_free(void **state)
{
    struct asker one, two;

    (void)state;
    start(true, 30000, 60);
    t.reply = "{\"allow\":true,\"user\":\"u1\"}";
    ask(&one, "token");
    ask(&two, "token");
    authorize_forget(&one.ask);
    wait_for(&two);
    assert_int_equal(one.told, 0);
    ask(&one, "token");
    assert_int_equal(one.told, 1);
    authorize_forget(&one.ask);
    stop();
    start(false, 30000, 60);
    ask(&one, "token");
    authorize_service_free(t.service);
    t.service = NULL;
    assert_true(one.told == 1 && one.result == AUTHORIZE_FAILED);
    stop();
}

/* Goal: new settings are told from the same ones.  Method: each field in turn.  Catches: a changed secret that is not taken up. */
static void test_options_compared(void **state)
{
    (void)state;
    start(false, 1000, 60);
    const struct authorize_options same = {
        .url = t.url, .secret = "s3", .ca_file = "", .timeout_ms = 1000, .cache_s = 60, .cache_entries = 100};
    struct authorize_options other[6] = {same, same, same, same, same, same};
    other[0].url = "http://127.0.0.1:1/";
    other[1].secret = "s4";
    other[2].ca_file = "/x";
    other[3].timeout_ms++;
    other[4].cache_s++;
    other[5].cache_entries++;
    assert_true(authorize_service_is(t.service, &same));
    for (int i = 0; i < 6; i++)
        assert_false(authorize_service_is(t.service, &other[i]));
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_table), cmocka_unit_test(test_message_is_one_line), cmocka_unit_test(test_request),
        cmocka_unit_test(test_cache),       cmocka_unit_test(test_joined_and_kept),     cmocka_unit_test(test_failures),
        cmocka_unit_test(test_silent_service_is_bounded), cmocka_unit_test(test_forget_and_free), cmocka_unit_test(test_options_compared)};

    return cmocka_run_group_tests_name("authorize", tests, NULL, NULL);
}
