/* umbeld - the core: calls model services, publishes their answers, supervises the transports. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <umbel/out.h>
#include <umbel/version.h>

#include "core/base/log.h"
#include "core/config/config_doc.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_confine.h"
#include "core/daemon/daemon_inherit.h"
#include "core/daemon/daemon_renew.h"
#include "core/daemon/daemon_builtin.h"
#include "core/daemon/daemon_load.h"
#include "core/sandbox/sandbox_core.h"

#define EXIT_CONFIG 2

static const char usage[] =
    "usage: umbeld -c FILE [--runtime-dir DIR] [--check]\n"
    "       umbeld --config-doc[=SECTION[.OPTION]|PLUGIN] [--json] | --config-default\n"
    "\n"
    "  -c, --config FILE      the configuration (see etc/umbel.conf)\n"
    "  -r, --runtime-dir DIR  where the admin socket and the stats pages go; wins over the file\n"
    "      --check            only check the configuration: exit status 0, or 2 with the first error\n"
    "      --config-doc       explains the options of the configuration, or of a plugin\n"
    "      --config-default   prints a configuration with every option at its default\n"
    "      --json             the explanation as one JSON array\n"
    "  -h, --help             this text\n"
    "      --version\n"
    "\n"
    "Stays in the foreground and logs to standard error.  SIGTERM and SIGINT: running answers are served to their end, then exit\n"
    "status 0; a second signal ends at once.  SIGHUP: the configuration\n"
    "and TLS certificates are read again; umbelctl reload does the same and tells what has changed.\n"
    "Exit status 1: could not start or failed; 2: the configuration is wrong.\n";

static void warn_line(void *owner, const char *line)
{
    (void)owner;
    log_warn("%s", line);
}

/* Keys of model services are in here: no core dumps, no tracing by others.  (The leak checker traces its own process.) */
static void protect_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 0);
#endif
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* As many descriptors as the hard limit gives: clients are descriptors, and hosts inherit this. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 1048576 ? limit.rlim_max : 1048576;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void print_good(const char *file, const struct config *config)
{
    printf("%s: good: %zu upstreams, %zu apps, %zu transports", file, config->upstream_count, config->app_count,
           config->transport_count - daemon_builtin_count(config));
    for (size_t i = 0; i < config->transport_count; i++)
        if (config->transports[i].builtin)
            printf(", %s on %s", config->transports[i].name, config->transports[i].listen[0].text);
    putchar('\n');
}

static int print_out(struct umbel_out *out)
{
    bool good = !out->failed && fwrite(out->data, 1, out->size, stdout) == out->size && fflush(stdout) == 0;

    umbel_out_free(out);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_default(void)
{
    struct umbel_out out = {0};

    config_doc_default(&out);
    return print_out(&out);
}

static int print_doc(const char *what, bool json)
{
    struct umbel_out out = {0};
    struct why why = {""};
    char host_program[4096];
    int r = daemon_find_host_program(host_program, sizeof host_program, &why);

    if (r == 0)
        r = config_doc(what, json, daemon_plugin_lookup, host_program, &out, &why);
    if (r == 0)
        return print_out(&out);
    umbel_out_free(&out);
    fprintf(stderr, "%s\n", why.text);
    return EXIT_FAILURE;
}

static int run(struct config *config, const char *host_program)
{
    struct daemon *daemon;
    struct why why = {""};

    log_setup("umbeld", log_level_parse(config->log_level), config->log_json);
    log_journal_connect(LOG_JOURNAL_SOCKET);
    daemon_confine_core(config);
    if (daemon_create(config, host_program, &daemon, &why) < 0) {
        log_error("cannot start: %s", why.text);
        return EXIT_FAILURE;
    }
    int r = daemon_run(daemon);
    daemon_free(daemon);
    if (r < 0)
        log_error("the loop failed: %s", strerror(-r));
    else
        log_info("has stopped");
    if (r == 0)
        daemon_renew_exec();
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"runtime-dir", required_argument, NULL, 'r'},
                                            {"check", no_argument, NULL, 'k'},        {"help", no_argument, NULL, 'h'},
                                            {"config-doc", optional_argument, NULL, 'd'}, {"config-default", no_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"version", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0}};
    const char *file = NULL, *runtime_dir = NULL, *doc = NULL;
    char host_program[4096];
    struct config *config;
    struct why why = {""};
    bool check = false, json = false;
    int option;

    daemon_inherit_read();
    daemon_renew_program(argc, argv);
    while ((option = getopt_long(argc, argv, "c:r:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 'r':
            runtime_dir = optarg;
            break;
        case 'k':
            check = true;
            break;
        case 'd':
            doc = optarg ? optarg : "";
            break;
        case 'f':
            return print_default();
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'v':
            puts("umbeld " UMBEL_VERSION);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EXIT_CONFIG;
        }
    }
    if (doc && optind == argc)
        return print_doc(doc, json);
    if (!file || optind != argc) {
        fputs(file ? "umbeld: an argument too many\n\n" : "umbeld: which configuration? write -c FILE\n\n", stderr);
        fputs(usage, stderr);
        return EXIT_CONFIG;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full quota is an error of write(), said and counted, not the end */
    protect_memory();
    raise_descriptors();
    log_setup("umbeld", LOG_INFO, false);
    if (daemon_find_host_program(host_program, sizeof host_program, &why) < 0) {
        log_error("%s", why.text);
        return EXIT_FAILURE;
    }
    if (daemon_load(file, host_program, runtime_dir, warn_line, NULL, &config, &why) < 0) {
        fprintf(stderr, "%s\n", why.text);
        return EXIT_CONFIG;
    }
    if (check) {
        int r = sandbox_core_check(&why);
        if (r == 0)
            print_good(file, config);
        else
            fprintf(stderr, "%s\n", why.text);
        config_free(config);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return run(config, host_program);
}
