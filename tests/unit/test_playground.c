/* Unit tests of the playground plugin's pure part: which addresses may stand in a policy, who is at home, what the page is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/playground/ways.c"

/* Goal: nothing but an address gets into the policy header.  Method: good ones, and every kind of bad one.  Catches: a space, semicolon or line
 * end that adds a directive or a header; a scheme that runs script; an IPv6 address that makes browsers drop the source. */
static void urls_are_plain(void **state)
{
    static const char *const good[] = {"ws://127.0.0.1:8801/1/ai", "wss://chat.example.com/1/ai", "http://*:8802/chat/stream", "https://h", "ws://[::1]:1/",
                                       "http://127.0.0.1:8809", "ws://*"};
    static const char *const bad[] = {"", "ws://", "ftp://h", "javascript:alert(1)", "ws://h:0x50", "ws://h:99999", "ws://h:", "ws://h;script-src *", "ws://h /",
                                      "ws://h\r\nX: y", "ws://h/a b", "ws://h/;", "ws://h/'self'", "ws://h/?a", "ws://u@h/", "ws://[fe80::1]:1/", "ws://[::1/", "ws://*.example.com/",
                                      "//h", "h:1"};
    char longest[WAYS_URL_MAX + 8] = "ws://h/";

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!ways_url_ok(good[i]))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ways_url_ok(bad[i]))
            fail_msg("%s passes", bad[i]);
    memset(longest + 7, 'a', WAYS_URL_MAX - 8);
    assert_true(ways_url_ok(longest));
    longest[WAYS_URL_MAX - 1] = 'a';
    assert_false(ways_url_ok(longest));
}

/* Goal: only this machine is at home.  Method: names and addresses that look like it.  Catches: 127.0.0.1.example.com, which a stranger's name
 * server may point here; a Host header with other things in it. */
static void loopback_is_this_machine(void **state)
{
    static const char *const home[] = {"localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"};
    static const char *const away[] = {"",           "example.com", "127.0.0.1.example.com", "127.example.com", "localhost.example.com", "xlocalhost",
                                       "10.0.0.1",   "[::2]:1",     "[::1].example.com",     "0.0.0.0:8080",    "localhost:",            "localhost:8080x",
                                       "localhost/", "a b",         "::1",                   "127.0.0.1,x"};

    (void)state;
    for (size_t i = 0; i < sizeof home / sizeof *home; i++)
        if (!ways_host_is_loopback(home[i]))
            fail_msg("%s is this machine", home[i]);
    for (size_t i = 0; i < sizeof away / sizeof *away; i++)
        if (ways_host_is_loopback(away[i]))
            fail_msg("%s is not this machine", away[i]);
    assert_true(ways_host_ok("play.example.com:8443"));
    assert_false(ways_host_ok("play.example.com; x"));
    assert_true(ways_peer_is_loopback("127.0.0.1") && ways_peer_is_loopback("::1") && ways_peer_is_loopback("::ffff:127.0.0.1"));
    assert_false(ways_peer_is_loopback("10.127.0.1") || ways_peer_is_loopback("::ffff:10.0.0.1") || ways_peer_is_loopback("local") || ways_peer_is_loopback(""));
}

static const struct ways sample = {.items = {{"bmob", "ws-bmob", "ws://*:8801/1/ai", ""},
                                             {"wx", "http-chunked-wxapp", "https://[::1]:8802/chat", "[to \"be\" continued]"},
                                             {"cg", "ws-chatgpt", "wss://chat.example.com/", ""}},
                                   .count = 3,
                                   .app = "shop",
                                   .im_view = "http://127.0.0.1:9/x",
                                   .im_mirrors = true};

static void expect(struct umbel_out *out, const char *text)
{
    umbel_out_put(out, "", 1);
    assert_string_equal(out->data, text);
    umbel_out_free(out);
}

/* Goal: the page may connect to the transports' origins and nowhere else.  Method: a star, an IPv6 loopback, a name, and a page opened by name and
 * by address.  Catches: a path or an IPv6 address in the policy; a missing directive; the star taken literally, which allows every host. */
static void policy_names_origins(void **state)
{
    struct umbel_out out = {0};

    (void)state;
    ways_policy(&sample, "phone.lan:8080", &out);
    expect(&out, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws://phone.lan:8801 "
                 "https://localhost:8802 wss://chat.example.com http://127.0.0.1:9; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
    ways_policy(&sample, "[fd00::1]:8080", &out);
    expect(&out, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' "
                 "https://localhost:8802 wss://chat.example.com http://127.0.0.1:9; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
    ways_policy(&(struct ways){.app = "", .im_view = ""}, "h", &out);
    expect(&out, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
                 "form-action 'none'");
}

/* Goal: what the page reads, byte for byte.  Method: with and without a key.  Catches: a key that is told uninvited; texts that are not escaped. */
static void json_is_exact(void **state)
{
    struct umbel_out out = {0};

    (void)state;
    ways_json(&sample, "127.0.0.1:8080", NULL, &out);
    expect(&out, "{\"app\":\"shop\",\"key\":null,\"ways\":[{\"name\":\"bmob\",\"protocol\":\"ws-bmob\",\"url\":\"ws://127.0.0.1:8801/1/ai\",\"note\":\"\"},"
                 "{\"name\":\"wx\",\"protocol\":\"http-chunked-wxapp\",\"url\":\"https://localhost:8802/chat\",\"note\":\"[to \\\"be\\\" continued]\"},"
                 "{\"name\":\"cg\",\"protocol\":\"ws-chatgpt\",\"url\":\"wss://chat.example.com/\",\"note\":\"\"}],"
                 "\"im\":{\"mirrors\":true,\"view\":\"http://127.0.0.1:9/x\"}}\n");
    ways_json(&(struct ways){.app = "", .im_view = ""}, "h", "0123\"4567", &out);
    expect(&out, "{\"app\":\"\",\"key\":\"0123\\\"4567\",\"ways\":[],\"im\":{\"mirrors\":false,\"view\":null}}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(urls_are_plain), cmocka_unit_test(loopback_is_this_machine), cmocka_unit_test(policy_names_origins),
                                       cmocka_unit_test(json_is_exact)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
