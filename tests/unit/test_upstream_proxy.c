/* core/upstream: the way through an HTTP proxy: which one, what it is asked, what becomes of its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/upstream/upstream_proxy.h"
#include "core/upstream/upstream_tunnel.h"
#include "tests/support/upstream_bench.h"

/* ---- pure parts ---- */

/* Goal: the URL is read strictly and no refusal holds the login.  Method: tables.  Catches: a password in a log; "@" and ":" of a
 * password taken for those of the URL. */
static void test_parse(void **state)
{
    static const struct {
        const char *text, *host, *name, *login;
        uint16_t port;
    } good[] = {
        {"http://10.0.0.1:3128", "10.0.0.1", "10.0.0.1:3128", NULL, 3128},
        {"HTTP://Proxy.Example.com:8080/", "proxy.example.com", "proxy.example.com:8080", NULL, 8080},
        {"proxy:3128", "proxy", "proxy:3128", NULL, 3128},
        {"http://proxy", "proxy", "proxy:80", NULL, 80},
        {"http://[::1]:3128", "::1", "[::1]:3128", NULL, 3128},
        {"http://user:pass@proxy:1", "proxy", "proxy:1", "dXNlcjpwYXNz", 1},
        {"http://Aladdin:open%20sesame@proxy:1", "proxy", "proxy:1", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 1},
        {"http://u:p%40:x@y@[::1]:1", "::1", "[::1]:1", "dTpwQDp4QHk=", 1},
        {"http://u:@proxy:1", "proxy", "proxy:1", "dTo=", 1},
    };
    static const char *const bad[][2] = {
        {"https://proxy:443", "must begin with http://"},
        {"socks5://secret:secret@proxy", "must begin with http://"},
        {"http://secret@proxy:1", "must be USER:PASSWORD"},
        {"http://u:secret%0d%0a@proxy:1", "hexadecimal"},
        {"http://u:secret%4@proxy:1", "hexadecimal"},
        {"http://u:secret@", "host or port"},
        {"http://u:secret@proxy:0", "host or port"},
        {"http://u:secret@proxy:99999", "host or port"},
        {"http://proxy:1/path", "host or port"},
        {"http://pro xy:1", "host or port"},
        {"", "host or port"},
    };
    char long_text[PROXY_LOGIN_MAX + 64];
    struct upstream_proxy *proxy = NULL;
    struct why why = {""};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (upstream_proxy_parse(good[i].text, &proxy, &why) < 0)
            fail_msg("%s: %s", good[i].text, why.text);
        assert_string_equal(proxy->host, good[i].host);
        assert_string_equal(proxy->name, good[i].name);
        assert_int_equal(proxy->port, good[i].port);
        assert_int_equal(proxy->login != NULL, good[i].login != NULL);
        if (proxy->login)
            assert_string_equal(proxy->login, good[i].login);
        upstream_proxy_free(proxy);
        proxy = NULL;
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (upstream_proxy_parse(bad[i][0], &proxy, &why) != -EINVAL || !strstr(why.text, bad[i][1]) ||
            strstr(why.text, "secret"))
            fail_msg("%s: %s", bad[i][0], why.text);
        assert_null(proxy);
    }
    for (int over = 0; over < 2; over++) {
        int n = (int)PROXY_LOGIN_MAX + over;

        snprintf(long_text, sizeof long_text, "http://u:%0*d@proxy:1", n - 2, 0);
        assert_int_equal(upstream_proxy_parse(long_text, &proxy, &why), over ? -EINVAL : 0);
    }
    upstream_proxy_free(proxy);
}

/* Goal: NO_PROXY means what curl and others understand by it.  Method: a table.  Catches: "example.com" that exempts
 * "badexample.com"; an address block off by a bit; an IPv6 address cut at its colon. */
static void test_exempts(void **state)
{
    static const struct {
        const char *no_proxy, *host;
        uint16_t port;
        bool exempt;
    } rows[] = {
        {"", "a", 80, false},
        {"*", "a", 80, true},
        {"example.com", "example.com", 443, true},
        {"example.com", "api.example.com", 443, true},
        {".example.com", "api.example.com", 443, true},
        {".example.com", "example.com", 443, true},
        {"Example.COM", "api.example.com", 443, true},
        {"example.com", "badexample.com", 443, false},
        {"example.com", "example.com.evil", 443, false},
        {"a.example.com", "example.com", 443, false},
        {"example.com:443", "example.com", 443, true},
        {"example.com:444", "example.com", 443, false},
        {"example.com:x", "example.com", 443, false},
        {"x, y ,example.com", "example.com", 443, true},
        {"x y\texample.com", "example.com", 443, true},
        {",,", "x", 443, false},
        {".", "x", 443, false},
        {":443", "x", 443, false},
        {"127.0.0.1", "127.0.0.1", 80, true},
        {"127.0.0.1", "127.0.0.11", 80, false},
        {"0.0.1", "127.0.0.1", 80, false},
        {"127.0.0.1:81", "127.0.0.1", 80, false},
        {"10.0.0.0/8", "10.255.1.2", 80, true},
        {"10.0.0.0/8", "11.0.0.0", 80, false},
        {"192.168.1.128/25", "192.168.1.129", 80, true},
        {"192.168.1.128/25", "192.168.1.127", 80, false},
        {"0.0.0.0/0", "8.8.8.8", 80, true},
        {"0.0.0.0/0", "::1", 80, false},
        {"10.0.0.0/33", "10.0.0.0", 80, false},
        {"10.0.0.0/x", "10.0.0.0", 80, false},
        {"::1", "::1", 80, true},
        {"[::1]", "::1", 80, true},
        {"[::1]:80", "::1", 80, true},
        {"[::1]:81", "::1", 80, false},
        {"fd00::/8", "fd12::1", 80, true},
        {"fd00::/8", "fe80::1", 80, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (upstream_proxy_exempts(rows[i].no_proxy, rows[i].host, rows[i].port) != rows[i].exempt)
            fail_msg("NO_PROXY=%s, %s:%u", rows[i].no_proxy, rows[i].host, (unsigned)rows[i].port);
}

static const char *variables[8][2];

static char *environment(const char *name)
{
    for (size_t i = 0; variables[i][0]; i++)
        if (strcmp(variables[i][0], name) == 0)
            return (char *)(uintptr_t)variables[i][1];
    return NULL;
}

/* Goal: the setting decides, "env" asks the environment, lower case before upper case, the scheme's own before all.  Catches: an
 * environment that is used without being asked for; a bad variable taken for none. */
static void test_choice(void **state)
{
    static const struct {
        const char *setting, *url, *variables[4][2], *name; /* name NULL: none; "!": refused */
    } rows[] = {
        {NULL, "https://h", {{"HTTPS_PROXY", "p:1"}}, NULL},
        {"", "https://h", {{"HTTPS_PROXY", "p:1"}}, NULL},
        {"http://q:2", "https://h", {{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", "*"}}, "q:2"},
        {"env", "https://h", {{NULL}}, NULL},
        {"env", "https://h", {{"HTTPS_PROXY", "http://p:1"}}, "p:1"},
        {"env", "https://h", {{"HTTPS_PROXY", ""}, {"ALL_PROXY", "a:1"}}, "a:1"},
        {"env", "https://h", {{"HTTPS_PROXY", "p:1"}, {"https_proxy", "l:1"}}, "l:1"},
        {"env", "https://h", {{"HTTP_PROXY", "p:1"}}, NULL},
        {"env", "http://h", {{"HTTP_PROXY", "p:1"}, {"HTTPS_PROXY", "s:1"}}, "p:1"},
        {"env", "http://h", {{"all_proxy", "a:1"}, {"ALL_PROXY", "b:1"}}, "a:1"},
        {"env", "https://h.example", {{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", "example"}}, NULL},
        {"env", "https://h.example", {{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", "example"}, {"no_proxy", "other"}}, "p:1"},
        {"env", "https://h.example:444", {{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", "example:443"}}, "p:1"},
        {"env", "https://h", {{"HTTPS_PROXY", "socks5://u:secret@p:1"}}, "!"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct upstream_url url;
        struct upstream_proxy *proxy = NULL;
        struct why why = {""};
        int r;

        memset(variables, 0, sizeof variables);
        memcpy(variables, rows[i].variables, sizeof rows[i].variables);
        assert_int_equal(upstream_url_parse(rows[i].url, &url, NULL), 0);
        r = upstream_proxy_choose(rows[i].setting, &url, environment, &proxy, &why);
        if (rows[i].name && rows[i].name[0] == '!') {
            assert_int_equal(r, -EINVAL);
            assert_non_null(strstr(why.text, "HTTPS_PROXY of the environment: proxy must begin"));
            assert_null(strstr(why.text, "secret"));
        } else if (r != 0 || !proxy != !rows[i].name || (proxy && strcmp(proxy->name, rows[i].name) != 0)) {
            fail_msg("row %zu: %d %s %s", i, r, proxy ? proxy->name : "none", why.text);
        }
        upstream_proxy_free(proxy);
    }
}

/* Goal: the request is exact, and the answer is understood however it is cut; not a byte behind it is taken.  Method: byte by
 * byte. Catches: a login in the Host line, an IPv6 host without brackets, the service's first bytes lost. */
static void test_tunnel(void **state)
{
    static const char answer[] = "HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\nREST";
    struct upstream_url url;
    struct upstream_proxy *proxy;
    struct umbel_out out = {0};

    (void)state;
    assert_int_equal(upstream_url_parse("https://[2001:db8::1]/v1", &url, NULL), 0);
    assert_int_equal(upstream_proxy_parse("http://user:pass@proxy:1", &proxy, NULL), 0);
    for (size_t piece = 1; piece < sizeof answer; piece++) {
        struct upstream_tunnel *tunnel = upstream_tunnel_create(proxy, &url);
        size_t at = 0, consumed = 0;
        int r = 0;

        while (r == 0 && at < sizeof answer - 1) {
            size_t size = sizeof answer - 1 - at < piece ? sizeof answer - 1 - at : piece;

            r = upstream_tunnel_feed(tunnel, answer + at, size, &consumed, NULL);
            at += r == 0 ? size : 0;
        }
        assert_int_equal(r, 1);
        assert_string_equal(answer + at + consumed, "REST");
        umbel_out_reset(&out);
        assert_int_equal(upstream_tunnel_request(tunnel, &out), 0);
        umbel_out_put(&out, "", 1);
        upstream_tunnel_free(tunnel);
    }
    assert_string_equal(out.data, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
                                  "Proxy-Authorization: Basic dXNlcjpwYXNz\r\nUser-Agent: umbel/" UMBEL_VERSION "\r\n\r\n");
    umbel_out_free(&out);
    upstream_proxy_free(proxy);
}

/* ---- over real sockets ---- */

#define OPEN "HTTP/1.1 200 Connection established\r\n\r\n"

/* An upstream at url through the service, which plays the proxy. */
static void bench_through(struct bench *bench, const char *url, const char *login, struct upstream_options options)
{
    char proxy[128];
    struct why why = {""};

    snprintf(proxy, sizeof proxy, "http://%s127.0.0.1:%u", login, (unsigned)bench->service->port);
    options.name = "test";
    options.dialect = "openai";
    options.base_url = url;
    options.api_key = "sk-secret-0123456789abcdef";
    options.proxy = proxy;
    if (upstream_create(bench->loop, bench->resolver, &options, &bench->upstream, &why) < 0)
        fail_msg("%s", why.text);
}

/* The upstream's name is the proxy's to look up, not ours. */
static void nobody_knows(const char *host, struct upstream_answer *ret_answer)
{
    fprintf(stderr, "asked for %s\n", host);
    ret_answer->error = EAI_NONAME;
}

/* Goal: TLS through the tunnel: verified against the service's name, kept, resumed; the key goes to nobody but the service.
 * Method: the service answers CONNECT in clear text and then speaks TLS as model.test, or as somebody else.  Catches:
 * verification against the proxy's name; the request sent to the proxy. */
static void test_tls_through(void **state)
{
    struct certificate authority = certificate_make("authority", NULL, NULL, 3600);
    struct certificate leaf = certificate_make("leaf", "DNS:model.test", &authority, 3600);
    char *ca_file = certificate_save(&authority);
    SSL_CTX *tls = certificate_server(&leaf);
    const struct step scripts[3][STEPS_MAX] = {
        {{ACT_CLEAR, NULL}, ASK, DRIBBLE(OPEN), {ACT_TLS, NULL}, ASK, SAY(whole_answer()), ASK, SAY(whole_answer()), CLOSE},
        {{ACT_CLEAR, NULL}, ASK, SAY(OPEN), {ACT_TLS, NULL}, ASK, SAY(whole_answer()), UNTIL_END},
        {{ACT_CLEAR, NULL}, ASK, SAY(OPEN), {ACT_TLS, NULL}, ASK, UNTIL_END},
    };
    struct bench bench;
    struct answer *answer;

    (void)state;
    bench_begin(&bench);
    bench.service = service_start(scripts, 3, tls);
    upstream_resolver_set_source(bench.resolver, nobody_knows);
    bench_through(&bench, "https://model.test/v1", "user:pass@",
                  (struct upstream_options){.ca_file = ca_file, .connect_timeout_ms = 30000});
    expect_whole(&bench, ask(&bench));
    assert_string_equal(heard(bench.service, 0),
                        "CONNECT model.test:443 HTTP/1.1\r\nHost: model.test:443\r\n"
                        "Proxy-Authorization: Basic dXNlcjpwYXNz\r\nUser-Agent: umbel/" UMBEL_VERSION "\r\n\r\n");
    assert_non_null(strstr(heard(bench.service, 1), "POST /v1/chat/completions HTTP/1.1\r\nHost: model.test\r\n"));
    assert_null(strstr(heard(bench.service, 1), "Proxy-"));
    expect_whole(&bench, ask(&bench)); /* on the kept tunnel */
    TURN_UNTIL(&bench, open_sockets(&bench) == 0);
    assert_int_equal(bench.service->connections, 1);
    expect_whole(&bench, ask(&bench));
    assert_int_equal(bench.service->resumed, 1);
    assert_int_equal(counts_of(&bench).connects, 2);
    upstream_free(bench.upstream);
    bench.upstream = NULL;

    bench_through(&bench, "https://other.test/v1", "", (struct upstream_options){.ca_file = ca_file});
    answer = ask(&bench);
    TURN_UNTIL(&bench, answer->ended);
    assert_int_equal(answer->verdict, UMBEL_VERDICT_FAILED);
    assert_int_equal(bench.service->requests, 6); /* three CONNECT, three questions: who is not verified is asked nothing */
    free(answer);
    bench_close(&bench);
    unlink(ca_file);
    free(ca_file);
    SSL_CTX_free(tls);
    certificate_free(&authority);
    certificate_free(&leaf);
}

/* Goal: http:// goes through a tunnel as well, and what comes in one piece with the proxy's answer belongs to the service.
 * Catches: those bytes lost, or a key that the proxy may read and log. */
static void test_clear_through(void **state)
{
    static char both[4096];
    const struct step scripts[1][STEPS_MAX] = {{ASK, SAY(both), ASK, UNTIL_END}};
    struct bench bench;

    (void)state;
    snprintf(both, sizeof both, OPEN "%s", whole_answer());
    bench_begin(&bench);
    bench.service = service_start(scripts, 1, NULL);
    upstream_resolver_set_source(bench.resolver, nobody_knows);
    bench_through(&bench, "http://model.test:8080/v1", "", (struct upstream_options){0});
    expect_whole(&bench, ask(&bench));
    assert_non_null(strstr(heard(bench.service, 0), "CONNECT model.test:8080 HTTP/1.1\r\n"));
    assert_null(strstr(heard(bench.service, 0), "Authorization"));
    bench_close(&bench);
}

struct told {
    struct upstream_conn *conn;
    int ended, error;
    unsigned refused;
    bool was_ready;
    char text[WHY_MAX];
};

static void told_ready(void *owner)
{
    (void)owner;
    fail_msg("ready");
}

static void told_received(void *owner, const char *bytes, size_t size)
{
    (void)owner;
    (void)bytes;
    (void)size;
    fail_msg("received");
}

static void told_closed(void *owner, const struct upstream_end *end)
{
    struct told *told = owner;

    told->ended++;
    told->error = end->error;
    told->refused = end->refused;
    told->was_ready = end->was_ready;
    snprintf(told->text, sizeof told->text, "%s", end->text);
    upstream_conn_close(told->conn);
}

static const struct upstream_conn_ops told_ops = {told_ready, told_received, told_closed};

/* Goal: whatever else a proxy says or does not say is a connection error that names the proxy and the reason, never the login.
 * Method: a table of proxies.  Catches: a page of the proxy's taken for an answer; a head without end; a proxy that holds a call
 * for ever. */
static void test_refusals(void **state)
{
    static char endless[HTTP_HEAD_MAX + 4096];
    static const struct {
        struct step script[STEPS_MAX];
        const char *login, *words;
        int error;
        unsigned refused;
    } rows[] = {
        {{ASK, SAY("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 5\r\n\r\nlogin"),
          UNTIL_END},
         "",
         "(HTTP 407): it wants a login, write http://USER:PASSWORD@HOST:PORT",
         -ECONNREFUSED,
         407},
        {{ASK, SAY("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"), UNTIL_END},
         "user:secret@",
         "(HTTP 407): it does not accept the user and password in proxy",
         -ECONNREFUSED,
         407},
        {{ASK, DRIBBLE("HTTP/1.1 403 No\r\n\r\n"), CLOSE},
         "",
         "refused a connection to model.test port 443 (HTTP 403)",
         -ECONNREFUSED,
         403},
        {{ASK, SAY("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>"), CLOSE},
         "",
         "(HTTP 502): it cannot reach the service",
         -ECONNREFUSED,
         502},
        {{ASK, SAY("SSH-2.0-OpenSSH_9.2\r\n"), UNTIL_END}, "", "did not answer as an HTTP proxy does", -EPROTO, 0},
        {{ASK, SAY("HTTP/1.1 200 OK\r\n"), SAY(endless), UNTIL_END}, "", "did not answer as an HTTP proxy does", -EPROTO, 0},
        {{ASK, SAY("HTTP/1.1 200 O"), CLOSE}, "user:secret@", "closed the connection before it answered", -ECONNRESET, 0},
        {{ASK, UNTIL_END}, "user:secret@", "did not open a way to model.test port 443 in time", -ETIMEDOUT, 0},
    };

    (void)state;
    for (size_t at = 0; at + 64 < sizeof endless; at += 62)
        snprintf(endless + at, sizeof endless - at, "X-%056zu: \r\n", at);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bench bench;
        struct told told = {0};
        struct answer *answer;
        /* The same proxy twice: for the words, which go to the log, and for the call. */
        struct step scripts[2][STEPS_MAX];

        memcpy(scripts[0], rows[i].script, sizeof scripts[0]);
        memcpy(scripts[1], rows[i].script, sizeof scripts[1]);
        bench_begin(&bench);
        bench.service = service_start((const struct step(*)[STEPS_MAX])scripts, 2, NULL);
        bench_through(&bench, "https://model.test", rows[i].login,
                      (struct upstream_options){.connect_timeout_ms = rows[i].error == -ETIMEDOUT ? 50 : 0});
        assert_int_equal(upstream_conn_open(bench.loop, bench.resolver, &bench.upstream->route, bench.upstream->connect_ns,
                                            &told_ops, &told, &told.conn),
                         0);
        TURN_UNTIL(&bench, told.ended);
        if (told.error != rows[i].error || told.refused != rows[i].refused || !strstr(told.text, rows[i].words) ||
            !strstr(told.text, bench.upstream->proxy->name) || strstr(told.text, "secret") || told.was_ready)
            fail_msg("row %zu: %d, HTTP %u, %s", i, told.error, told.refused, told.text);
        answer = ask(&bench);
        TURN_UNTIL(&bench, answer->ended);
        assert_int_equal(answer->verdict, UMBEL_VERDICT_FAILED);
        assert_int_equal(answer->error, rows[i].error == -ETIMEDOUT ? UMBEL_ERROR_TIMEOUT : UMBEL_ERROR_UPSTREAM);
        assert_int_equal(strncmp(answer->words, "the proxy refused", 17) == 0, rows[i].refused != 0);
        assert_null(strstr(answer->words, "127.0.0.1")); /* not for clients */
        assert_int_equal(counts_of(&bench).connect_errors, 1);
        assert_int_equal(counts_of(&bench).timeouts, rows[i].error == -ETIMEDOUT);
        TURN_UNTIL(&bench, open_sockets(&bench) == 0);
        free(answer);
        bench_close(&bench);
    }
}

/* Goal: no proxy at all is told as such; a call may be cancelled while the proxy is asked.  Catches: "cannot connect to
 * model.test". */
static void test_no_proxy_there(void **state)
{
    const struct step scripts[1][STEPS_MAX] = {{ASK, MARK, UNTIL_END}};
    struct bench bench;
    struct told told = {0};
    struct answer *answer;

    (void)state;
    bench_begin(&bench);
    bench.service = service_start(scripts, 1, NULL);
    bench_through(&bench, "https://model.test", "", (struct upstream_options){0});
    answer = ask(&bench);
    TURN_UNTIL(&bench, bench.service->marks == 1);
    upstream_call_cancel(answer->call);
    TURN_UNTIL(&bench, bench.service->ends == 1);
    assert_int_equal(answer->ended, 0);
    free(answer);
    service_stop(bench.service);
    bench.service = NULL;
    assert_int_equal(upstream_conn_open(bench.loop, bench.resolver, &bench.upstream->route, 0, &told_ops, &told, &told.conn), 0);
    TURN_UNTIL(&bench, told.ended);
    assert_int_equal(told.error, -ECONNREFUSED);
    assert_int_equal(told.refused, 0);
    assert_non_null(strstr(told.text, "cannot connect to the proxy 127.0.0.1 port "));
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),    cmocka_unit_test(test_exempts),        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_tunnel),   cmocka_unit_test(test_tls_through),    cmocka_unit_test(test_clear_through),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_no_proxy_there),
    };

    signal(SIGPIPE, SIG_IGN);
    return both_run(tests, sizeof tests / sizeof tests[0]);
}
