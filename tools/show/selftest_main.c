#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "tools/show/selftest.h"

static const struct {
    const char *plugin, *protocols[2];
} known[] = {{"ws-bmob", {"bmob", NULL}}, {"http-chunked-wxapp", {"wx", "h5"}}, {"ws-chatgpt", {"cgws", NULL}}, {"openai-api", {"api", NULL}}};

/* ---- which trials ---- */

static struct selftest_trial *new_trial(struct selftest *test, const struct umbel_json *transport, const char *address)
{
    if (test->count == SELFTEST_TRIALS_MAX) {
        test->left_out++;
        return NULL;
    }
    struct selftest_trial *trial = &test->trials[test->count++];
    snprintf(trial->transport, sizeof trial->transport, "%s", umbel_json_member_text(transport, "name", ""));
    snprintf(trial->plugin, sizeof trial->plugin, "%s", umbel_json_member_text(transport, "plugin", ""));
    snprintf(trial->address, sizeof trial->address, "%s", address);
    trial->tls = umbel_json_bool(umbel_json_member(transport, "tls"), 0);
    trial->protocol_name = "";
    return trial;
}

static void skip(struct selftest_trial *trial, const char *why)
{
    if (!trial)
        return;
    trial->result = SELFTEST_SKIPPED;
    snprintf(trial->what, sizeof trial->what, "%s", why);
}

/* Where this machine reaches an address that may mean all of them. */
static void local_host(const char *address, char *ret_host, size_t room)
{
    if (strncmp(address, "0.0.0.0:", 8) == 0)
        snprintf(ret_host, room, "127.0.0.1:%s", address + 8);
    else if (strncmp(address, "[::]:", 5) == 0)
        snprintf(ret_host, room, "[::1]:%s", address + 5);
    else
        snprintf(ret_host, room, "%s", address);
}

static void changed(void *owner, struct show_client *client);

static void prepare(struct selftest *test, const struct umbel_json *transport, const char *address, const char *protocol)
{
    struct selftest_trial *trial = new_trial(test, transport, address);
    const char *path = umbel_json_member_text(transport, "path", "");

    if (!trial)
        return;
    trial->protocol_name = protocol;
    local_host(address, trial->host, sizeof trial->host);
    snprintf(trial->path, sizeof trial->path, "%s", path);
    snprintf(trial->question, sizeof trial->question, "canary %zu of %u.", test->count, (unsigned)getpid());
    snprintf(trial->session, sizeof trial->session, "selftest-%u-%zu", (unsigned)getpid(), test->count);
    trial->ask = (struct show_ask){.question = test->live ? test->live : trial->question,
                                   .key = test->key,
                                   .token = test->key,
                                   .session = trial->session,
                                   .model = test->model,
                                   .path = *path ? trial->path : NULL};
    trial->client = (struct show_client){.protocol = show_protocol_find(protocol, strlen(protocol)),
                                         .host = trial->host,
                                         .tls = trial->tls ? test->tls : NULL,
                                         .asks = true,
                                         .changed = changed,
                                         .owner = test};
    trial->runs = true;
}

static void plan_im(struct selftest *test, const struct umbel_json *transport)
{
    struct selftest_trial *trial = new_trial(test, transport, "REST");

    if (!trial)
        return;
    trial->protocol_name = "im check";
    if (!selftest_im_check(test, trial->transport, trial->what, sizeof trial->what)) {
        trial->result = SELFTEST_FAIL;
        trial->advice = "umbelctl im check --transport NAME says more";
    }
}

static void plan_address(struct selftest *test, const struct umbel_json *transport, const char *address)
{
    const char *plugin = umbel_json_member_text(transport, "plugin", "");

    if (strncmp(address, "unix:", 5) == 0) {
        skip(new_trial(test, transport, address), "a socket of this machine: whoever stands in front of it is to be tested");
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (size_t p = 0; p < 2 && strcmp(plugin, known[i].plugin) == 0; p++)
            if (known[i].protocols[p])
                prepare(test, transport, address, known[i].protocols[p]);
}

static bool is_known(const char *plugin)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(plugin, known[i].plugin) == 0)
            return true;
    return false;
}

static void plan(struct selftest *test, const struct umbel_json *open)
{
    const struct umbel_json *transports = umbel_json_member(open, "transports");

    for (const struct umbel_json *each = umbel_json_first(transports); each; each = umbel_json_next(each)) {
        const struct umbel_json *listen = umbel_json_member(each, "listen");
        const char *plugin = umbel_json_member_text(each, "plugin", "");

        if (umbel_json_bool(umbel_json_member(each, "out"), 0))
            skip(new_trial(test, each, ""), "out of service: umbelctl start puts it back");
        else if (umbel_json_bool(umbel_json_member(each, "builtin"), 0))
            skip(new_trial(test, each, ""), "serves no answers");
        else if (strcmp(plugin, "im-custom-message") == 0)
            plan_im(test, each);
        else if (!is_known(plugin))
            skip(new_trial(test, each, ""), "a plugin whose protocol is not known here");
        else
            for (const struct umbel_json *at = umbel_json_first(listen); at; at = umbel_json_next(at))
                plan_address(test, each, umbel_json_text(at, NULL));
    }
}

/* ---- the course ---- */

/* The certificate as it was shown; nobody is to be believed by it here. */
static void look_at_certificate(struct selftest_trial *trial)
{
    SSL *ssl = trial->client.tls && trial->client.connection ? bufferevent_openssl_get_ssl(trial->client.connection) : NULL;
    X509 *certificate = ssl && !trial->has_certificate ? SSL_get1_peer_certificate(ssl) : NULL;
    int days = 0, seconds = 0;

    if (!certificate)
        return;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate))) {
        trial->has_certificate = true;
        trial->certificate_days = seconds < 0 ? days - 1 : days;
    }
    X509_free(certificate);
}

static void changed(void *owner, struct show_client *client)
{
    static const struct timeval after = {.tv_usec = SELFTEST_AFTER_MS * 1000};
    struct selftest *test = owner;
    bool settled = true;

    for (size_t i = 0; i < test->count; i++) {
        if (&test->trials[i].client == client)
            look_at_certificate(&test->trials[i]);
        settled = settled && (!test->trials[i].runs || show_client_settled(&test->trials[i].client));
    }
    if (settled)
        event_base_loopexit(test->base, &after); /* who sends a second end, or text after it, is heard */
}

static void run(struct selftest *test)
{
    struct timeval limit = {.tv_sec = test->live ? SELFTEST_LIVE_S : SELFTEST_WAIT_S};
    bool some = false;

    for (size_t i = 0; i < test->count; i++)
        if (test->trials[i].runs) {
            show_client_start(&test->trials[i].client, test->base, &test->trials[i].ask);
            some = some || !show_client_settled(&test->trials[i].client);
        }
    event_base_loopexit(test->base, &limit);
    if (some)
        event_base_dispatch(test->base);
    for (size_t i = 0; i < test->count; i++)
        selftest_judge(test, &test->trials[i]);
}

/* ---- main ---- */

static int use(FILE *to, int code)
{
    fprintf(to, "usage: umbel-selftest -s RUNTIME_DIR [--transport T] [--live QUESTION [--app A]] [--json]\n"
                "  asks over every transport of a running umbeld as its clients do, and judges what comes.\n"
                "  exit: 0 all good, 1 something failed, 2 wrong use, 3 umbeld is not running\n");
    return code;
}

static int read_options(struct selftest *test, int argc, char **argv)
{
    static const struct option options[] = {{"runtime-dir", required_argument, NULL, 's'}, {"transport", required_argument, NULL, 't'},
                                            {"live", required_argument, NULL, 'l'},        {"app", required_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},              {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int each;

    while ((each = getopt_long(argc, argv, "s:h", options, NULL)) != -1)
        if (each == 's')
            test->runtime_dir = optarg;
        else if (each == 't')
            test->only = optarg;
        else if (each == 'l')
            test->live = optarg;
        else if (each == 'a')
            test->app = optarg;
        else if (each == 'j')
            test->json = true;
        else
            return each == 'h' ? use(stdout, 0) : use(stderr, 2);
    return test->runtime_dir && optind == argc ? -1 : use(stderr, 2);
}

static int set_up(struct selftest *test, unsigned *ret_port)
{
    test->base = event_base_new();
    test->tls = SSL_CTX_new(TLS_client_method());
    test->canary = test->base ? canary_open(test, ret_port) : NULL;
    if (test->canary && test->tls)
        return 0;
    fprintf(stderr, "umbelctl: no room for a test: no memory, or no port on 127.0.0.1\n");
    return 1;
}

static void take_down(struct selftest *test)
{
    for (size_t i = 0; i < test->count; i++)
        if (test->trials[i].runs)
            show_client_end(&test->trials[i].client);
    if (test->admin >= 0)
        fd_close(&test->admin); /* the key is worth nothing from here on */
    canary_close(test->canary);
    SSL_CTX_free(test->tls);
    if (test->base)
        event_base_free(test->base);
}

int main(int argc, char **argv)
{
    static struct selftest test = {.admin = -1};
    struct umbel_json *open = NULL;
    unsigned port = 0;
    int code = read_options(&test, argc, argv);

    if (code >= 0)
        return code;
    signal(SIGPIPE, SIG_IGN);
    code = set_up(&test, &port);
    if (code == 0)
        code = selftest_open(&test, port, &open);
    if (code == 0) {
        plan(&test, open);
        umbel_json_free(open);
        if (test.only && test.count == 0) {
            fprintf(stderr, "umbelctl: no transport is called %s\n", test.only);
            code = 1;
        } else {
            run(&test);
            code = selftest_report(&test) > 0;
        }
    }
    take_down(&test);
    return code;
}
