/* support/upstream_bench.h - what the tests of core/upstream share: a scripted service in a thread, and an upstream with its calls on a
 * loop of the test.  Included after cmocka.h. */
#ifndef SUPPORT_UPSTREAM_BENCH_H
#define SUPPORT_UPSTREAM_BENCH_H

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <umbel/event.h>
#include <umbel/version.h>

#include "core/base/clock.h"
#include "core/upstream/upstream.h"
#include "core/upstream/upstream_request.h"
#include "core/upstream/upstream_resolver.h"
#include "core/upstream/upstream_state.h"
#include "core/upstream/upstream_url.h"
#include "tests/support/both_backends.h"
#include "tests/support/certificate.h"

#define PATIENCE_NS (60 * CLOCK_S)

/* ---- the service: a thread that accepts one connection after the other and follows a script ---- */

enum act {
    ACT_END = 0, /* of the script: the next connection has the next one */
    ACT_ASK,     /* reads one request */
    ACT_SAY,
    ACT_DRIBBLE,   /* says it byte by byte */
    ACT_GO,        /* waits until the test says so */
    ACT_MARK,      /* counts up, for the test to see */
    ACT_UNTIL_END, /* reads until the client ends the connection, then counts up `ends` */
    ACT_CLOSE,     /* with close_notify if there is TLS */
    ACT_CUT,       /* without */
    ACT_RESET,
    ACT_HANG,  /* first: no TLS handshake */
    ACT_CLEAR, /* first: TLS begins with ACT_TLS */
    ACT_TLS
};

struct step {
    enum act act;
    const char *text;
};

#define ASK                                                                                                                      \
    {                                                                                                                            \
        ACT_ASK, NULL                                                                                                            \
    }
#define SAY(text)                                                                                                                \
    {                                                                                                                            \
        ACT_SAY, text                                                                                                            \
    }
#define DRIBBLE(text)                                                                                                            \
    {                                                                                                                            \
        ACT_DRIBBLE, text                                                                                                        \
    }
#define GO                                                                                                                       \
    {                                                                                                                            \
        ACT_GO, NULL                                                                                                             \
    }
#define MARK                                                                                                                     \
    {                                                                                                                            \
        ACT_MARK, NULL                                                                                                           \
    }
#define UNTIL_END                                                                                                                \
    {                                                                                                                            \
        ACT_UNTIL_END, NULL                                                                                                      \
    }
#define CLOSE                                                                                                                    \
    {                                                                                                                            \
        ACT_CLOSE, NULL                                                                                                          \
    }
#define CUT                                                                                                                      \
    {                                                                                                                            \
        ACT_CUT, NULL                                                                                                            \
    }
#define RESET                                                                                                                    \
    {                                                                                                                            \
        ACT_RESET, NULL                                                                                                          \
    }
#define HANG                                                                                                                     \
    {                                                                                                                            \
        ACT_HANG, NULL                                                                                                           \
    }

#define REQUESTS_MAX 16
#define STEPS_MAX 16

struct service {
    int listener;
    uint16_t port;
    SSL_CTX *tls;
    const struct step (*scripts)[STEPS_MAX];
    size_t count;
    pthread_t thread;
    sem_t go;
    atomic_int connections, requests, ends, marks, resumed, closed;
    char *request[REQUESTS_MAX];
};

static inline ssize_t hear(int fd, SSL *ssl, char *bytes, size_t size)
{
    return ssl ? SSL_read(ssl, bytes, (int)size) : read(fd, bytes, size);
}

static inline const char *heard(struct service *service, int index)
{
    assert_true(service->requests > index);
    return service->request[index];
}

static inline void say(int fd, SSL *ssl, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = ssl ? SSL_write(ssl, text, (int)size) : send(fd, text, size, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        text += n;
        size -= (size_t)n;
    }
}

static inline void hear_request(struct service *service, int fd, SSL *ssl)
{
    size_t size = 0, capacity = 1 << 16, wanted = 0;
    char *bytes = malloc(capacity + 1), *body = NULL;

    while (!body || size < wanted) {
        ssize_t n;

        if (size == capacity)
            bytes = realloc(bytes, (capacity *= 2) + 1);
        n = hear(fd, ssl, bytes + size, capacity - size);
        if (n <= 0)
            break;
        size += (size_t)n;
        bytes[size] = '\0';
        body = strstr(bytes, "\r\n\r\n");
        if (body) {
            const char *length = strstr(bytes, "Content-Length: "); /* CONNECT has none */

            wanted = (size_t)(body + 4 - bytes) + (length ? strtoul(length + 16, NULL, 10) : 0);
        }
    }
    bytes[size] = '\0';
    if (body && size == wanted &&
        service->requests < REQUESTS_MAX) { /* stored before it is counted: the test reads up to the count */
        service->request[service->requests] = bytes;
        service->requests++;
    } else {
        free(bytes);
    }
}

static inline SSL *shake_hands(struct service *service, int fd)
{
    SSL *ssl = SSL_new(service->tls);

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1)
        service->resumed += SSL_session_reused(ssl);
    return ssl;
}

/* Returns the TLS it ended with. */
static inline SSL *follow(struct service *service, int fd, SSL *ssl, const struct step *step)
{
    struct linger now = {1, 0};
    char bytes[4096];

    for (; step->act != ACT_END; step++) {
        size_t size = step->text ? strlen(step->text) : 0;

        switch (step->act) {
        case ACT_ASK:
            hear_request(service, fd, ssl);
            break;
        case ACT_SAY:
            say(fd, ssl, step->text, size);
            break;
        case ACT_DRIBBLE:
            for (size_t i = 0; i < size; i++)
                say(fd, ssl, step->text + i, 1);
            break;
        case ACT_GO:
            sem_wait(&service->go);
            break;
        case ACT_MARK:
            service->marks++;
            break;
        case ACT_UNTIL_END:
            while (hear(fd, ssl, bytes, sizeof bytes) > 0)
                ;
            service->ends++;
            break;
        case ACT_RESET:
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            break;
        case ACT_CLOSE:
            if (ssl)
                SSL_shutdown(ssl);
            return ssl;
        case ACT_TLS:
            ssl = shake_hands(service, fd);
            break;
        case ACT_CUT:
        case ACT_HANG:
        case ACT_CLEAR:
        case ACT_END:
            break;
        }
    }
    return ssl;
}

static inline void *service_main(void *argument)
{
    struct service *service = argument;

    for (size_t i = 0; i < service->count; i++) {
        struct timeval patience = {60, 0};
        int fd = accept(service->listener, NULL, NULL), on = 1;
        SSL *ssl = NULL;

        if (fd == -1)
            break;
        service->connections++;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (service->tls && service->scripts[i][0].act != ACT_HANG && service->scripts[i][0].act != ACT_CLEAR)
            ssl = shake_hands(service, fd);
        ssl = follow(service, fd, ssl, service->scripts[i]);
        SSL_free(ssl);
        close(fd);
        service->closed++;
    }
    return NULL;
}

/* Waits without a turn of the loop until the service has ended so many connections. */
static inline void until_closed(struct service *service, int count)
{
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;

    while (service->closed < count && clock_now_ns() < until_ns)
        sched_yield();
    assert_int_equal(service->closed, count);
}

static inline struct service *service_start(const struct step (*scripts)[STEPS_MAX], size_t count, SSL_CTX *tls)
{
    struct service *service = calloc(1, sizeof *service);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    service->scripts = scripts;
    service->count = count;
    service->tls = tls;
    sem_init(&service->go, 0, 0);
    service->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(service->listener, 16), 0);
    assert_int_equal(getsockname(service->listener, (struct sockaddr *)&address, &size), 0);
    service->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&service->thread, NULL, service_main, service), 0);
    return service;
}

static inline void service_stop(struct service *service)
{
    shutdown(service->listener, SHUT_RDWR);
    pthread_join(service->thread, NULL);
    close(service->listener);
    sem_destroy(&service->go);
    for (int i = 0; i < REQUESTS_MAX; i++)
        free(service->request[i]);
    free(service);
}

/* ---- our side ---- */

struct bench {
    struct uring_loop *loop;
    struct upstream_resolver *resolver;
    struct service *service;
    struct upstream *upstream;
};

struct answer {
    struct bench *bench;
    struct upstream_call *call;
    char text[65536], reasoning[1024], tool[1024];
    size_t size, reasoning_size, tool_size;
    int events, finishes, ended;
    uint32_t finish, verdict, error;
    uint64_t prompt_tokens, completion_tokens, last_arrival_ns;
    char words[1024];
    enum { DO_NOTHING, DO_CANCEL, DO_FREE_UPSTREAM, DO_PAUSE } at_event;
};

static inline void keep(char *to, size_t *size, size_t room, struct span text)
{
    assert_true(*size + text.size < room);
    memcpy(to + *size, text.data, text.size);
    *size += text.size;
}

static inline void answer_event(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct answer *answer = owner;

    assert_int_equal(answer->ended, 0);
    assert_non_null(answer->call);
    assert_true(arrival_ns >= answer->last_arrival_ns && arrival_ns <= clock_now_ns());
    answer->last_arrival_ns = arrival_ns;
    answer->events++;
    switch (event->kind) {
    case PARSE_TEXT:
        keep(answer->text, &answer->size, sizeof answer->text, event->text);
        break;
    case PARSE_REASONING:
        keep(answer->reasoning, &answer->reasoning_size, sizeof answer->reasoning, event->text);
        break;
    case PARSE_TOOL:
        keep(answer->tool, &answer->tool_size, sizeof answer->tool, event->text);
        break;
    case PARSE_USAGE:
        answer->prompt_tokens = event->prompt_tokens;
        answer->completion_tokens = event->completion_tokens;
        break;
    case PARSE_FINISH:
        answer->finish = event->code;
        answer->finishes++;
        break;
    case PARSE_ERROR:
        fail_msg("an ERROR event reached the owner");
    }
    if (answer->at_event == DO_CANCEL) {
        upstream_call_cancel(answer->call);
        answer->call = NULL;
    } else if (answer->at_event == DO_FREE_UPSTREAM) {
        upstream_free(answer->bench->upstream);
        answer->bench->upstream = NULL;
        answer->call = NULL;
    } else if (answer->at_event == DO_PAUSE) {
        upstream_call_pause(answer->call, true);
    }
}

static inline void answer_ended(void *owner, uint32_t verdict, uint32_t error, const char *text)
{
    struct answer *answer = owner;

    assert_non_null(answer->call);
    upstream_call_cancel(answer->call); /* harmless here */
    answer->ended++;
    answer->verdict = verdict;
    answer->error = error;
    snprintf(answer->words, sizeof answer->words, "%s", text);
    if (answer->at_event == DO_FREE_UPSTREAM) {
        upstream_free(answer->bench->upstream);
        answer->bench->upstream = NULL;
    }
    answer->call = NULL;
}

static const struct upstream_call_ops answer_ops = {.event = answer_event, .ended = answer_ended};

#define TURN_UNTIL(bench, condition)                                                                                             \
    do {                                                                                                                         \
        uint64_t until_ns = clock_now_ns() + PATIENCE_NS;                                                                        \
        while (!(condition)) {                                                                                                   \
            if (clock_now_ns() >= until_ns)                                                                                      \
                fail_msg("never: %s", #condition);                                                                               \
            assert_int_equal(uring_loop_turn((bench)->loop, 10), 0);                                                             \
        }                                                                                                                        \
    } while (0)

static inline void bench_upstream(struct bench *bench, struct upstream_options *options, const char *host)
{
    struct why why = {""};
    char url[128];

    snprintf(url, sizeof url, "%s://%s:%u/v1", bench->service->tls ? "https" : "http", host, (unsigned)bench->service->port);
    options->name = "test";
    options->dialect = "openai";
    options->base_url = url;
    options->api_key = options->api_key ? options->api_key : "sk-secret-0123456789abcdef";
    if (upstream_create(bench->loop, bench->resolver, options, &bench->upstream, &why) < 0)
        fail_msg("%s", why.text);
}

static inline void bench_begin(struct bench *bench)
{
    struct uring_loop_options sizes = {.io = backend, .entries = 32, .buffers = 8, .buffer_size = 2048};
    struct why why = {""};

    memset(bench, 0, sizeof *bench);
    if (uring_loop_create(&sizes, &bench->loop, &why) < 0 || upstream_resolver_create(bench->loop, &bench->resolver, &why) < 0)
        fail_msg("%s", why.text);
}

static inline void bench_open(struct bench *bench, const struct step (*scripts)[STEPS_MAX], size_t count,
                       struct upstream_options options)
{
    bench_begin(bench);
    bench->service = service_start(scripts, count, NULL);
    bench_upstream(bench, &options, "127.0.0.1");
}

static inline uint64_t open_sockets(struct bench *bench)
{
    struct uring_loop_counts counts;

    uring_loop_counts(bench->loop, &counts);
    return counts.sockets;
}

static inline void bench_close(struct bench *bench)
{
    upstream_free(bench->upstream);
    upstream_resolver_free(bench->resolver);
    TURN_UNTIL(bench, open_sockets(bench) == 0);
    if (bench->service)
        service_stop(bench->service);
    uring_loop_free(bench->loop);
}

static inline struct upstream_counts counts_of(struct bench *bench)
{
    struct upstream_counts counts;

    upstream_get_counts(bench->upstream, &counts);
    return counts;
}

#define MESSAGES "[{\"role\":\"user\",\"content\":\"hi\"}]"

static inline int try_ask(struct bench *bench, struct answer *answer, struct why *why)
{
    struct upstream_question question = {.model = "m", .messages = MESSAGES, .messages_size = sizeof MESSAGES - 1};

    answer->bench = bench;
    return upstream_call_start(bench->upstream, &question, &answer_ops, answer, &answer->call, why);
}

static inline struct answer *ask(struct bench *bench)
{
    struct answer *answer = calloc(1, sizeof *answer);
    struct why why = {""};

    if (try_ask(bench, answer, &why) < 0)
        fail_msg("%s", why.text);
    assert_int_equal(answer->events + answer->ended, 0);
    return answer;
}

#define EVENT(delta) "data: {\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":null}]}\n\n"
#define TEXT(text) EVENT("\"content\":\"" text "\"")
#define FINISH "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n"
#define DONE "data: [DONE]\n\n"
#define HEAD_CLOSE "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define HEAD_CHUNKED "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"

/* One chunk that holds the whole good answer "Hello, world". */
static inline const char *whole_answer(void)
{
    static char response[2048];
    static const char body[] = EVENT("\"role\":\"assistant\",\"content\":\"\"") TEXT("Hello, ") TEXT("world") FINISH USAGE DONE;

    if (!response[0]) /* once: the service's thread reads it */
        snprintf(response, sizeof response, HEAD_CHUNKED "%zx\r\n%s\r\n0\r\n\r\n", sizeof body - 1, body);
    return response;
}

static inline void expect_whole(struct bench *bench, struct answer *answer)
{
    TURN_UNTIL(bench, answer->ended);
    assert_int_equal(answer->verdict, UMBEL_VERDICT_COMPLETE);
    assert_int_equal(answer->error, 0);
    assert_string_equal(answer->text, "Hello, world");
    assert_int_equal(answer->finish, UMBEL_FINISH_STOP);
    assert_int_equal(answer->finishes, 1);
    assert_int_equal(answer->prompt_tokens, 9);
    assert_int_equal(answer->completion_tokens, 2);
    free(answer);
}

#endif
