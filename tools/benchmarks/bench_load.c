/* bench-load - the load side of the fan-out and relay benchmarks: readers, and the service the tokens come from.  One process, meant to
 * have a processor of its own; the server under test has the other.
 *
 *   stdout  "ready" when everybody is connected; then, after a line on stdin, one JSON object
 *
 * --then and --ask-then are frames; --request and --ask whole requests (\r and \n as such, by the shell's $'...'). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tools/benchmarks/load_client.h"
#include "tools/benchmarks/load_source.h"

struct run {
    struct load_options load;
    struct source_options source;
};

enum { OPT_WIRE = 256, OPT_PORT, OPT_CLIENTS, OPT_REQUEST, OPT_THEN, OPT_AT_GO, OPT_ASK, OPT_ASK_THEN, OPT_TOKENS, OPT_LIMIT, OPT_SOURCE, OPT_SOURCE_PORT,
       OPT_SOURCE_PATH, OPT_PACE, OPT_SPREAD, OPT_SETTLE };

static const struct option long_options[] = {
    {"wire", required_argument, NULL, OPT_WIRE},
    {"port", required_argument, NULL, OPT_PORT},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"request", required_argument, NULL, OPT_REQUEST},
    {"then", required_argument, NULL, OPT_THEN},
    {"request-at-go", no_argument, NULL, OPT_AT_GO},
    {"ask", required_argument, NULL, OPT_ASK},
    {"ask-then", required_argument, NULL, OPT_ASK_THEN},
    {"tokens", required_argument, NULL, OPT_TOKENS},
    {"limit-s", required_argument, NULL, OPT_LIMIT},
    {"source", required_argument, NULL, OPT_SOURCE},
    {"source-port", required_argument, NULL, OPT_SOURCE_PORT},
    {"source-path", required_argument, NULL, OPT_SOURCE_PATH},
    {"pace-us", required_argument, NULL, OPT_PACE},
    {"spread", no_argument, NULL, OPT_SPREAD},
    {"settle-ms", required_argument, NULL, OPT_SETTLE},
    {NULL, 0, NULL, 0},
};

static int word_of(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    fprintf(stderr, "bench-load: unknown word %s\n", text);
    exit(2);
}

static void take_option(struct run *run, int option, const char *value)
{
    static const char *const wires[] = {"ws", "sse", "chunk", NULL}, *const sources[] = {"openai", "lines", "post", NULL};

    switch (option) {
    case OPT_WIRE: run->load.wire = (enum wire_kind)word_of(value, wires); break;
    case OPT_PORT: run->load.port = (uint16_t)atoi(value); break;
    case OPT_CLIENTS: run->load.clients = (uint32_t)atoi(value); break;
    case OPT_REQUEST: run->load.request = value; break;
    case OPT_THEN: run->load.then = value; break;
    case OPT_AT_GO: run->load.request_at_go = true; break;
    case OPT_ASK: run->load.ask = value; break;
    case OPT_ASK_THEN: run->load.ask_then = value; break;
    case OPT_TOKENS: run->load.tokens = run->source.tokens = (uint32_t)atoi(value); break;
    case OPT_LIMIT: run->load.limit_s = (uint32_t)atoi(value); break;
    case OPT_SOURCE: run->source.kind = (enum source_kind)word_of(value, sources); break;
    case OPT_SOURCE_PORT: run->source.port = (uint16_t)atoi(value); break;
    case OPT_SOURCE_PATH: run->source.path = value; break;
    case OPT_PACE: run->source.pace_ns = (uint64_t)atoll(value) * 1000u; break;
    case OPT_SPREAD: run->source.spread = true; break;
    case OPT_SETTLE: run->load.settle_ms = (uint32_t)atoi(value); break;
    default: exit(2);
    }
}

static double cpu_s(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void print_result(const struct load_result *r, const struct source *source, double cpu)
{
    const struct token_histogram *settled = &r->times.settled, *early = &r->times.early;

    printf("{\"good\":%llu,\"lost\":%llu,\"twice\":%llu,\"strange\":%llu,\"seconds\":%.6f,\"first_ms\":%.3f,\"bytes\":%llu,\"rig_cpu_s\":%.6f,"
           "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"early_p50_us\":%.1f,\"early_p99_us\":%.1f,"
           "\"settled\":%llu,\"late_p99_us\":%.1f,\"late_max_us\":%.1f,\"skipped\":%llu}\n",
           (unsigned long long)r->tally.good, (unsigned long long)r->tally.lost, (unsigned long long)r->tally.twice,
           (unsigned long long)r->tally.strange, (double)(r->ended_ns - r->began_ns) / 1e9,
           r->first_ns ? (double)(r->first_ns - r->began_ns) / 1e6 : 0, (unsigned long long)r->bytes, cpu,
           (double)token_time(settled, 0.5) / 1e3, (double)token_time(settled, 0.9) / 1e3, (double)token_time(settled, 0.99) / 1e3,
           (double)settled->max_ns / 1e3, (double)token_time(early, 0.5) / 1e3, (double)token_time(early, 0.99) / 1e3,
           (unsigned long long)settled->total, (double)token_time(&source->late, 0.99) / 1e3, (double)source->late.max_ns / 1e3,
           (unsigned long long)source->skipped);
}

int main(int argc, char **argv)
{
    struct run run = {.load = {.clients = 1, .tokens = 100, .limit_s = 60, .request = ""}, .source.path = "/"};
    struct rlimit files = {1u << 20, 1u << 20};
    static struct load_result result;
    struct source source;
    struct load *load;
    char line[64];
    int option, r;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take_option(&run, option, optarg);
    setrlimit(RLIMIT_NOFILE, &files);
    if (run.source.kind == SOURCE_OPENAI && (r = source_start(&source, &run.source)) < 0) {
        fprintf(stderr, "bench-load: the source: %s\n", strerror(-r));
        return 1;
    }
    if ((r = load_open(&run.load, &load)) < 0) {
        fprintf(stderr, "bench-load: the readers: %s\n", strerror(-r));
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 1;
    if (run.source.kind != SOURCE_OPENAI && (r = source_start(&source, &run.source)) < 0) {
        fprintf(stderr, "bench-load: the source: %s\n", strerror(-r));
        return 1;
    }
    double before = cpu_s();
    load_run(load, &result);
    before = cpu_s() - before;
    source_stop(&source);
    print_result(&result, &source, before);
    fflush(stdout);
    load_close(load);
    return 0;
}
