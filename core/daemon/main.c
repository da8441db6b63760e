/* umbeld - the core: calls model services, publishes their answers, supervises the transports. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <umbel/version.h>

#include "core/base/log.h"
#include "core/daemon/daemon.h"

#define EXIT_CONFIG 2

static const char usage[] =
    "usage: umbeld -c FILE [--runtime-dir DIR] [--check]\n"
    "\n"
    "  -c, --config FILE      the configuration (see etc/umbel.conf)\n"
    "  -r, --runtime-dir DIR  where the admin socket and the stats pages go; wins over the file\n"
    "      --check            only check the configuration: exit status 0, or 2 with the first error\n"
    "  -h, --help             this text\n"
    "      --version\n"
    "\n"
    "Stays in the foreground and logs to standard error.  SIGTERM and SIGINT: running answers are served to their end, then exit\n"
    "status 0; a second signal ends at once.  SIGHUP: TLS certificates are read again.\n"
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

static int run(struct config *config, const char *host_program)
{
    struct daemon *daemon;
    struct why why = {""};

    log_setup("umbeld", log_level_parse(config->log_level), config->log_json);
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
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"runtime-dir", required_argument, NULL, 'r'},
                                            {"check", no_argument, NULL, 'k'},        {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},      {NULL, 0, NULL, 0}};
    const char *file = NULL, *runtime_dir = NULL;
    char host_program[4096];
    struct config *config;
    struct why why = {""};
    bool check = false;
    int option;

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
    if (!file || optind != argc) {
        fputs(file ? "umbeld: an argument too many\n\n" : "umbeld: which configuration? write -c FILE\n\n", stderr);
        fputs(usage, stderr);
        return EXIT_CONFIG;
    }
    signal(SIGPIPE, SIG_IGN);
    protect_memory();
    raise_descriptors();
    log_setup("umbeld", LOG_INFO, false);
    if (daemon_find_host_program(host_program, sizeof host_program, &why) < 0) {
        log_error("%s", why.text);
        return EXIT_FAILURE;
    }
    if (config_load(file, daemon_plugin_lookup, host_program, warn_line, &config, &why) < 0) {
        fprintf(stderr, "%s\n", why.text);
        return EXIT_CONFIG;
    }
    if (daemon_check(config, &why) < 0) {
        fprintf(stderr, "%s\n", why.text);
        config_free(config);
        return EXIT_CONFIG;
    }
    if (runtime_dir) {
        free(config->runtime_dir);
        config->runtime_dir = strdup(runtime_dir);
    }
    if (check) {
        printf("%s: good: %zu upstreams, %zu apps, %zu transports\n", file, config->upstream_count, config->app_count,
               config->transport_count);
        config_free(config);
        return EXIT_SUCCESS;
    }
    return run(config, host_program);
}
