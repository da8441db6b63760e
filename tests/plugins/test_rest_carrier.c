/* plugins/test_rest_carrier.c - the outbound carrier against a small server on the same loop that behaves as its path says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <umbel/rest.h>

struct server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct umbel_host host;
    struct umbel_rest *rest;
    uint16_t port;
    unsigned connections, bodies; /* accepted; whole requests read */
    char last[512];               /* the last request's head, cut */
};

struct result {
    unsigned calls;
    uint32_t result, status, retry_after_s;
    char body[64];
    uint64_t size;
};

static void reply(struct bufferevent *conn, const char *head, size_t size)
{
    evbuffer_add_printf(bufferevent_get_output(conn), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, size);
    for (size_t i = 0; i < size; i++)
        evbuffer_add(bufferevent_get_output(conn), "x", 1);
}

static void on_read(struct bufferevent *conn, void *arg)
{
    struct server *server = arg;
    struct evbuffer *input = bufferevent_get_input(conn);
    struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
    char path[32] = "", *length;

    if (end.pos < 0)
        return;
    size_t n = evbuffer_get_length(input) < sizeof server->last - 1 ? evbuffer_get_length(input) : sizeof server->last - 1;
    evbuffer_copyout(input, server->last, n);
    server->last[n] = 0;
    length = strstr(server->last, "Content-Length: ");
    if (evbuffer_get_length(input) < (size_t)end.pos + 4 + (length ? strtoul(length + 16, NULL, 10) : 0))
        return;
    server->bodies++;
    sscanf(server->last, "POST %31[^ ?]", path);
    evbuffer_drain(input, evbuffer_get_length(input));
    if (strcmp(path, "/ok") == 0)
        reply(conn, "200 OK", 5);
    else if (strcmp(path, "/busy") == 0)
        reply(conn, "503 Service Unavailable\r\nRetry-After: 7", 3);
    else if (strcmp(path, "/big") == 0)
        reply(conn, "200 OK", 5000);
    else if (strcmp(path, "/close") == 0)
        bufferevent_free(conn);
    /* /silent: nothing */
}

static void on_event(struct bufferevent *conn, short what, void *arg)
{
    (void)what;
    (void)arg;
    bufferevent_free(conn);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size, void *arg)
{
    struct server *server = arg;
    struct bufferevent *conn = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);

    (void)listener;
    (void)address;
    (void)size;
    server->connections++;
    bufferevent_setcb(conn, on_read, NULL, on_event, server);
    bufferevent_enable(conn, EV_READ | EV_WRITE);
}

static struct server *start(const struct umbel_rest_settings *settings)
{
    struct server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    server->base = event_base_new();
    server->listener = evconnlistener_new_bind(server->base, on_accept, server, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&address, sizeof address);
    assert_non_null(server->listener);
    getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address, &size);
    server->port = ntohs(address.sin_port);
    server->host.base = server->base;
    assert_int_equal(umbel_rest_open(&server->host, settings, &server->rest), 0);
    return server;
}

static void stop(struct server *server)
{
    umbel_rest_close(server->rest);
    if (server->listener)
        evconnlistener_free(server->listener);
    event_base_loop(server->base, EVLOOP_NONBLOCK); /* the server's ends of closed connections */
    event_base_loop(server->base, EVLOOP_NONBLOCK);
    event_base_free(server->base);
    free(server);
}

static void on_done(void *arg, const struct umbel_rest_outcome *outcome)
{
    struct result *result = arg;

    result->calls++;
    result->result = outcome->result;
    result->status = outcome->status;
    result->retry_after_s = outcome->retry_after_s;
    result->size = outcome->size;
    snprintf(result->body, sizeof result->body, "%s", outcome->body);
}

static int post(struct server *server, const char *path, uint32_t flags, struct result *result, struct umbel_rest_call **ret_call)
{
    char url[128];
    struct umbel_rest_request request = {.struct_size = sizeof request, .flags = flags, .url = url, .body = "{\"a\":1}", .size = 7};

    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server->port, path);
    return umbel_rest_post(server->rest, &request, on_done, result, ret_call);
}

static void wait_for(struct server *server, const unsigned *count, unsigned wanted)
{
    time_t end = time(NULL) + 60;

    while (*count < wanted && time(NULL) < end)
        event_base_loop(server->base, EVLOOP_ONCE);
    assert_int_equal(*count, wanted);
}

/* Goal: a reply as it came, on a connection that is kept, with the headers that the service needs.  Catches: done() during post(); an Expect
 * header; a new connection for each call. */
static void test_reply(void **state)
{
    struct umbel_rest_settings settings = {.struct_size = sizeof settings};
    struct server *server = start(&settings);
    struct result result = {0};

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(post(server, "/ok", i % 2 ? UMBEL_REST_ONCE : 0, &result, NULL), 0);
        assert_int_equal(result.calls, i - 1);
        assert_int_equal(umbel_rest_calls(server->rest), 1);
        wait_for(server, &result.calls, i);
        assert_int_equal(result.result, UMBEL_REST_REPLY);
        assert_int_equal(result.status, 200);
        assert_string_equal(result.body, "xxxxx");
    }
    assert_int_equal(server->connections, 1);
    assert_non_null(strstr(server->last, "Content-Type: application/json\r\n"));
    assert_null(strstr(server->last, "Expect:"));
    assert_non_null(strstr(server->last, "{\"a\":1}"));
    post(server, "/busy", 0, &result, NULL);
    wait_for(server, &result.calls, 4);
    assert_int_equal(result.status, 503);
    assert_int_equal(result.retry_after_s, 7);
    stop(server);
}

/* Goal: what cannot have arrived is told apart from what may have.  Catches: a time limit that is taken for a refusal. */
static void test_refused_and_unclear(void **state)
{
    struct umbel_rest_settings settings = {.struct_size = sizeof settings, .timeout_ms = 300, .max_reply = 1000};
    struct server *server = start(&settings);
    struct result result = {0};

    (void)state;
    post(server, "/silent", 0, &result, NULL);
    wait_for(server, &result.calls, 1);
    assert_int_equal(result.result, UMBEL_REST_UNCLEAR);
    post(server, "/close", UMBEL_REST_ONCE, &result, NULL);
    wait_for(server, &result.calls, 2);
    assert_int_equal(result.result, UMBEL_REST_UNCLEAR);
    post(server, "/big", 0, &result, NULL);
    wait_for(server, &result.calls, 3);
    assert_int_equal(result.result, UMBEL_REST_UNCLEAR);
    assert_true(result.size <= 1000);
    evconnlistener_free(server->listener);
    server->listener = NULL;
    post(server, "/ok", 0, &result, NULL);
    wait_for(server, &result.calls, 4);
    assert_int_equal(result.result, UMBEL_REST_REFUSED);
    struct umbel_rest_request bad = {.struct_size = sizeof bad, .url = "file:///etc/passwd"};
    assert_int_equal(umbel_rest_post(server->rest, &bad, on_done, &result, NULL), -EINVAL);
    stop(server);
}

/* Goal: ONCE means once.  Method: a kept connection that is closed when the second request has come; without ONCE libcurl sends it again on a
 * new connection.  Catches: a piece of an answer that stands there twice. */
static void test_once(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        struct umbel_rest_settings settings = {.struct_size = sizeof settings, .timeout_ms = 2000};
        struct server *server = start(&settings);
        struct result result = {0};
        post(server, "/ok", 0, &result, NULL);
        wait_for(server, &result.calls, 1);
        post(server, "/close", once ? UMBEL_REST_ONCE : 0, &result, NULL);
        wait_for(server, &result.calls, 2);
        assert_int_equal(result.result, UMBEL_REST_UNCLEAR);
        if (once)
            assert_int_equal(server->bodies, 2);
        else
            assert_true(server->bodies > 2); /* else this test would prove nothing */
        stop(server);
    }
}

/* Goal: the bound holds, a cancelled call is not heard of again, and closing drops what is under way.  Catches: done() after cancel. */
static void test_bound_and_cancel(void **state)
{
    struct umbel_rest_settings settings = {.struct_size = sizeof settings, .max_calls = 3};
    struct server *server = start(&settings);
    struct result result = {0}, cancelled = {0};
    struct umbel_rest_call *call;

    (void)state;
    assert_int_equal(post(server, "/silent", 0, &cancelled, &call), 0);
    assert_int_equal(post(server, "/silent", 0, &cancelled, NULL), 0);
    assert_int_equal(post(server, "/ok", 0, &result, NULL), 0);
    assert_int_equal(post(server, "/ok", 0, &result, NULL), -EAGAIN);
    wait_for(server, &result.calls, 1);
    wait_for(server, &server->bodies, 3);
    umbel_rest_cancel(call);
    assert_int_equal(umbel_rest_calls(server->rest), 1);
    assert_int_equal(post(server, "/ok", 0, &result, NULL), 0);
    wait_for(server, &result.calls, 2);
    assert_int_equal(cancelled.calls, 0);
    stop(server);
    assert_int_equal(cancelled.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reply), cmocka_unit_test(test_refused_and_unclear), cmocka_unit_test(test_once),
                                       cmocka_unit_test(test_bound_and_cancel)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
