#include "core/daemon/daemon_selftest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/daemon/daemon.h"

#define NAME "(selftest)"
#define KEY_BYTES 24u

/* The sections are not from a file: their texts are the arrays here, or words of the program; nothing of them is freed. */
struct daemon_selftest {
    struct daemon *daemon;
    struct admin_request *request; /* NULL: none runs */
    struct daemon_upstream *canary; /* NULL with --live */
    struct uring_timer limit;
    struct config_upstream upstream;
    struct config_app app;
    char name[sizeof NAME], key_name[sizeof NAME], url[64], key[2 * KEY_BYTES + 1], model[256], *keys[1], *key_names[1], *models[1];
    char empty[1], any[2], dialect[8];
};

static void put_text(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, ",\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
}

static void put_transport(struct umbel_out *out, const struct daemon_transport *transport)
{
    const struct config_transport *config = transport->config;
    const struct config_value *path = config_section_find(&config->options, "path");

    umbel_out_text(out, "{\"name\":");
    umbel_out_json(out, config->name, strlen(config->name));
    put_text(out, "plugin", config->plugin);
    put_text(out, "path", path && path->type == UMBEL_OPTION_TEXT && path->text ? path->text : "");
    umbel_out_printf(out, ",\"tls\":%s,\"out\":%s,\"builtin\":%s,\"listen\":[", *config->tls_cert ? "true" : "false",
                     transport->out ? "true" : "false", config->builtin ? "true" : "false");
    for (size_t i = 0; i < config->listen_count; i++) {
        umbel_out_text(out, i ? "," : "");
        umbel_out_json(out, config->listen[i].text, strlen(config->listen[i].text));
    }
    umbel_out_text(out, "]}");
}

static void tell_open(struct daemon_selftest *test, const char *only)
{
    struct umbel_out out = {0};
    size_t count = 0;

    umbel_out_text(&out, "{\"event\":\"open\",\"key\":");
    umbel_out_json(&out, test->key, strlen(test->key));
    put_text(&out, "model", test->model);
    umbel_out_text(&out, ",\"transports\":[");
    list_for_each(link, spare, &test->daemon->transports)
    {
        const struct daemon_transport *transport = list_entry(link, struct daemon_transport, link);
        if (transport->removed || (only && strcmp(transport->config->name, only) != 0))
            continue;
        umbel_out_text(&out, count++ ? "," : "");
        put_transport(&out, transport);
    }
    umbel_out_text(&out, "]}");
    if (!out.failed)
        admin_send(test->request, out.data, out.size);
    umbel_out_free(&out);
}

static void end(struct daemon_selftest *test)
{
    struct daemon *daemon = test->daemon;

    test->request = NULL;
    if (daemon->apps)
        daemon_apps_end_loan(daemon, test->app.name);
    if (test->canary)
        daemon_upstream_retire(daemon, test->canary);
    test->canary = NULL;
    explicit_bzero(test->key, sizeof test->key);
    uring_timer_clear(daemon->loop, &test->limit);
}

static void gone(void *owner)
{
    end(owner);
}

static void limit_fired(struct uring_timer *timer)
{
    struct daemon_selftest *test = list_entry(timer, struct daemon_selftest, limit);
    struct admin_request *request = test->request;

    end(test);
    admin_fail(request, "the selftest took longer than it may", "umbelctl status tells how busy the daemon is");
}

/* The sections as they are for this test. */
static int make_sections(struct daemon_selftest *test, const char *model, uint64_t port)
{
    unsigned char random[KEY_BYTES];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -errno;
    number_format_hex(random, sizeof random, test->key);
    snprintf(test->url, sizeof test->url, "http://127.0.0.1:%llu/v1", (unsigned long long)port);
    snprintf(test->model, sizeof test->model, "%s", model);
    test->upstream = (struct config_upstream){.name = test->name,
                                              .dialect = test->dialect,
                                              .base_url = test->url,
                                              .api_key = test->empty,
                                              .ca_file = test->empty,
                                              .proxy = test->empty,
                                              .client_cert = test->empty,
                                              .client_key = test->empty,
                                              .models = {test->models, 1},
                                              .connect_timeout_ms = 5000,
                                              .first_token_timeout_ms = 10000,
                                              .idle_timeout_ms = 10000,
                                              .total_timeout_ms = 60000};
    test->app = (struct config_app){.name = test->name,
                                    .model = test->model,
                                    .system = test->empty,
                                    .keys = {test->keys, 1},
                                    .key_names = {test->key_names, 1},
                                    .on_orphan = CONFIG_ORPHAN_CANCEL,
                                    .authorize = {.url = test->empty, .secret = test->empty, .ca_file = test->empty}};
    return 0;
}

static int lend_canary(struct daemon_selftest *test, struct why *why)
{
    int r = daemon_upstream_make(test->daemon, test->daemon->config, &test->upstream, &test->canary, why);
    if (r < 0)
        return r;
    r = daemon_apps_lend(test->daemon, &test->app, &test->canary, 1);
    if (r < 0) {
        daemon_upstream_free(test->daemon, test->canary);
        test->canary = NULL;
    }
    return r;
}

/* The services of a real app, its model, nothing else of it. */
static int lend_live(struct daemon_selftest *test, const struct daemon_app *app)
{
    struct daemon_upstream **upstreams = calloc(app->member_count + 1, sizeof(struct daemon_upstream *));
    int r;

    if (!upstreams)
        return -ENOMEM;
    for (size_t i = 0; i < app->member_count; i++)
        upstreams[i] = list_entry(app->members[i], struct daemon_upstream, member);
    r = daemon_apps_lend(test->daemon, &test->app, upstreams, app->member_count);
    free(upstreams);
    return r;
}

static void selftest(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct daemon_selftest *test = daemon->selftest;
    const char *live = admin_option_value(arguments, "live"), *app_name = admin_option_value(arguments, "app");
    const char *port_text = admin_option_value(arguments, "port");
    struct why why = {"the test cannot begin: no memory"};
    uint64_t port = 0;
    int app = app_name ? daemon_find_app(daemon, app_name) : daemon_only_app(daemon), r;

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (test->request) {
        admin_fail(request, "a selftest runs already", "try again when it is done");
        return;
    }
    if (live && (app < 0 || daemon->apps[app].lent)) {
        admin_fail(request, app_name ? "no app has this name" : "there is not exactly one app", "name one of the configuration's apps: --app APP");
        return;
    }
    if (!live && (!port_text || !number_parse_u64(port_text, strlen(port_text), &port) || port < 1 || port > 65535)) {
        admin_fail(request, "the built-in answer is served nowhere", "umbelctl selftest serves it by itself");
        return;
    }
    r = make_sections(test, live ? daemon->apps[app].config->model : "canary", port);
    if (r == 0)
        r = live ? lend_live(test, &daemon->apps[app]) : lend_canary(test, &why);
    if (r < 0) {
        admin_fail(request, why.text, NULL);
        return;
    }
    test->request = request;
    admin_on_gone(request, gone, test);
    uring_timer_set(daemon->loop, &test->limit, SELFTEST_S * CLOCK_S);
    tell_open(test, admin_option_value(arguments, "transport"));
}

int daemon_selftest_create(struct daemon *daemon)
{
    struct daemon_selftest *test = calloc(1, sizeof *test);

    if (!test)
        return -ENOMEM;
    test->daemon = daemon;
    test->limit.fired = limit_fired;
    memcpy(test->name, NAME, sizeof NAME);
    memcpy(test->key_name, NAME, sizeof NAME);
    test->any[0] = '*';
    memcpy(test->dialect, "openai", sizeof "openai");
    test->keys[0] = test->key;
    test->key_names[0] = test->key_name;
    test->models[0] = test->any;
    daemon->selftest = test;
    return 0;
}

void daemon_selftest_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "selftest", selftest, daemon);
}

void daemon_selftest_free(struct daemon *daemon)
{
    free(daemon->selftest);
    daemon->selftest = NULL;
}
