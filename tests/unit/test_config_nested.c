/* core/config: sections inside the core's own sections, and what stands in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config/config.h"

static char directory[64];

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(name), 0600), 0);
}

static int no_plugins(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why)
{
    (void)owner;
    (void)ret_path;
    (void)ret_manifest;
    return why_set(why, -2, "there is no %s.so", plugin);
}

static struct config *load(const char *text, struct why *why)
{
    struct config *config = NULL;

    why->text[0] = '\0';
    put("u.conf", text);
    config_load(path_of("u.conf"), no_plugins, NULL, NULL, &config, why);
    return config;
}

static struct config *load_good(const char *text)
{
    struct why why;
    struct config *config = load(text, &why);

    if (!config)
        fail_msg("refused: %s", why.text);
    return config;
}

static void refuse(const char *text, int line, const char *words)
{
    struct why why;
    struct config *config = load(text, &why);
    char place[300];

    if (config)
        fail_msg("accepted, but expected line %d: %s\n%s", line, words, text);
    snprintf(place, sizeof place, "%s:%d: ", path_of("u.conf"), line);
    if (strncmp(why.text, place, strlen(place)) != 0 || !strstr(why.text, words) || !strstr(why.text, "expected "))
        fail_msg("expected %s...%s...\n but it says %s", place, words, why.text);
}

#define UP "upstream demo { base_url = \"http://h/v1\" }\n"
#define APP UP "app shop { upstreams = demo model = m\n"

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/umbel-nested-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? 0 : -1;
}

/* Goal: sections of an app are read into the app they stand in.  Method: two apps with all three, other options before, between
 * and after them.  Catches: values of one section or app in another's, a nested section that ends its app. */
static void test_values(void **state)
{
    struct config *c;
    const struct config_app *shop, *blog;

    (void)state;
    setenv("UMBEL_NESTED", "the-secret-of-the-service", 1);
    c = load_good(UP "app shop { limits { concurrent = 1 requests_per_minute = 2\n prompt_bytes = 3 output_tokens = 4 tokens_per_day = 5 }\n"
                     " upstreams = demo authorize { url = \"https://h/ask\" secret = env:UMBEL_NESTED ca_file = ca.pem timeout_ms = 7\n"
                     "  cache_s = 0 cache_entries = 9 on_failure = open } model = m key_limits { tokens_per_day = 4000000000 }\n"
                     " continue_on_failure = on }\n"
                     "app blog { upstreams = demo key_limits { concurrent = 11 } model = n limits { } }\n");
    shop = &c->apps[0];
    blog = &c->apps[1];
    assert_int_equal(shop->limits.concurrent, 1);
    assert_int_equal(shop->limits.requests_per_minute, 2);
    assert_int_equal(shop->limits.prompt_bytes, 3);
    assert_int_equal(shop->limits.output_tokens, 4);
    assert_int_equal(shop->limits.tokens_per_day, 5);
    assert_int_equal(shop->key_limits.concurrent, 0);
    assert_int_equal(shop->key_limits.tokens_per_day, 4000000000u);
    assert_string_equal(shop->authorize.url, "https://h/ask");
    assert_string_equal(shop->authorize.secret, "the-secret-of-the-service");
    assert_string_equal(shop->authorize.ca_file, path_of("ca.pem"));
    assert_int_equal(shop->authorize.timeout_ms, 7);
    assert_int_equal(shop->authorize.cache_s, 0);
    assert_int_equal(shop->authorize.cache_entries, 9);
    assert_true(shop->authorize.fail_open);
    assert_true(shop->continue_on_failure);
    assert_string_equal(shop->model, "m");
    assert_int_equal(blog->key_limits.concurrent, 11);
    assert_int_equal(blog->limits.concurrent, 0);
    assert_string_equal(blog->authorize.url, "");
    assert_string_equal(blog->model, "n");
    config_free(c);
}

/* Goal: what is absent has its documented default.  Method: an app without any of the sections.  Catches: a default of 0 where the
 * section is not there, NULL texts. */
static void test_defaults(void **state)
{
    struct config *c = load_good(APP "}");
    const struct config_app *app = &c->apps[0];
    static const struct config_limits none;

    (void)state;
    assert_memory_equal(&app->limits, &none, sizeof none);
    assert_memory_equal(&app->key_limits, &none, sizeof none);
    assert_string_equal(app->authorize.url, "");
    assert_string_equal(app->authorize.secret, "");
    assert_string_equal(app->authorize.ca_file, "");
    assert_int_equal(app->authorize.timeout_ms, 2000);
    assert_int_equal(app->authorize.cache_s, 60);
    assert_int_equal(app->authorize.cache_entries, 10000);
    assert_false(app->authorize.fail_open);
    assert_false(app->continue_on_failure);
    assert_string_equal(c->access_log, "");
    assert_string_equal(c->upstreams[0].proxy, "");
    assert_string_equal(c->upstreams[0].client_cert, "");
    config_free(c);
    c = load_good(APP "authorize { url = \"\" } }");
    assert_string_equal(c->apps[0].authorize.url, "");
    config_free(c);
}

/* Goal: everything wrong inside or around a nested section is told at its line, with the nearest spelling.  Method: one text a
 * fault.  Catches: a line counted from the section's begin, a second section that wins in silence, a guard without a service. */
static void test_refused(void **state)
{
    (void)state;
    refuse(APP "limits {\n concurent = 1 } }", 4, "unknown option concurent in limits, did you mean concurrent");
    refuse(APP "limits { timeout_ms = 1 } }", 3, "unknown option timeout_ms in limits, expected one of concurrent");
    refuse(APP "authorise { url = x } }", 3, "unknown section authorise in app shop, did you mean authorize");
    refuse(APP "limits big { } }", 3, "section limits has a title, expected none");
    refuse(APP "limits = 3 }", 3, "limits is a section, expected { after it, write limits { ... }");
    refuse(APP "limits { }\nlimits { } }", 4, "limits is there twice, expected it once");
    refuse(APP "limits {\n concurrent = 1 concurrent = 2 } }", 4, "concurrent is there twice");
    refuse(APP "limits {\n concurrent = many } }", 4, "concurrent = many is not a whole number");
    refuse(APP "key_limits {\n\n concurrent = 1000001 } }", 5, "out of range");
    refuse(APP "limits { concurrent = 1", 3, "section limits that begins here is not closed");
    refuse(APP "limits { app x { } } }", 3, "section app inside limits");
    refuse(APP "limits { limits { } } }", 3, "unknown section limits in limits");
    refuse(APP "authorize {\n timeout_ms = 5 } }", 3, "authorize of shop has no url");
    refuse(APP "authorize { url = http://h\n secret = literal } }", 4, "secret stands in the file itself");
    refuse(APP "authorize { url = h } }", 3, "url h begins with neither http:// nor https://");
    refuse(APP "authorize { url = http://h\n on_failure = opened } }", 4, "on_failure = opened is unknown, did you mean open");
    refuse("\nauthorize { }", 2, "section authorize in the top level, expected it inside a section app");
    refuse("app.limits { }", 1, "unknown section app.limits in the top level");
}

/* Goal: keys have names that are never the key, each once.  Method: all forms, two files and two variables of one name.  Catches:
 * a client's key in a counter's label, two clients under one name. */
static void test_key_names(void **state)
{
    static const char *const expected[] = {"UMBEL_NESTED", "a.key", "key-3", "a.key-2", "UMBEL_NESTED-2", "key-6", "plain.key"};
    struct config *c;

    (void)state;
    setenv("UMBEL_NESTED", "key-from-the-environment", 1);
    assert_int_equal(mkdir(path_of("d"), 0700), 0);
    put("a.key", "key-of-the-first-file\n");
    put("d/a.key", "key-of-the-second-file\n");
    put("plain.key", "key-of-the-third-file\n");
    c = load_good(APP "keys = { env:UMBEL_NESTED, file:a.key, 'literal-one/of-it', 'file:d/a.key', env:UMBEL_NESTED, literal-two,\n"
                      " file:plain.key } }");
    assert_int_equal(c->apps[0].key_names.count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(c->apps[0].key_names.items[i], expected[i]);
    assert_string_equal(c->apps[0].keys.items[3], "key-of-the-second-file");
    config_free(c);
    c = load_good(APP "}");
    assert_int_equal(c->apps[0].key_names.count, 0);
    config_free(c);
}

/* Goal: the proxy words, the client certificate, and where the access log goes.  Method: each form and each fault.  Catches: "env"
 * taken for a host, half a certificate, "-" made a file of that name. */
static void test_proxy_certificate_access(void **state)
{
    struct config *c;

    (void)state;
    c = load_good("upstream a { base_url = http://h proxy = env }\nupstream b { base_url = http://h proxy = http://p:3128 }\n"
                  "log { access = \"-\" }");
    assert_string_equal(c->upstreams[0].proxy, "env");
    assert_string_equal(c->upstreams[1].proxy, "http://p:3128");
    assert_string_equal(c->access_log, "-");
    config_free(c);
    refuse("upstream a { base_url = http://h\n proxy = environment }", 2, "expected http://HOST:PORT or env");
    refuse("upstream a { base_url = env }", 1, "base_url env begins with neither");
    c = load_good("log { access = access.jsonl }");
    assert_string_equal(c->access_log, path_of("access.jsonl"));
    config_free(c);
    put("c.pem", "x");
    put("k.pem", "x");
    c = load_good("upstream a { base_url = https://h client_cert = c.pem client_key = k.pem }");
    assert_string_equal(c->upstreams[0].client_key, path_of("k.pem"));
    config_free(c);
    refuse("upstream a { base_url = https://h\n client_cert = c.pem }", 1, "upstream a has client_cert but no client_key");
    refuse("upstream a { base_url = https://h\n client_key = k.pem }", 1, "upstream a has client_key but no client_cert");
    refuse("upstream a { base_url = https://h client_cert = c.pem\n client_key = none.pem }", 2, "client_key: cannot read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_proxy_certificate_access, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
