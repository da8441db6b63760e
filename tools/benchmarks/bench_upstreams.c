/* umbel-bench-upstreams [--streams N] [--tokens N] [--pace-ms MS] [--io io_uring|epoll] [--tls-cert FILE --tls-key FILE [--ca
 * FILE]]
 *                       [--json]
 *
 * So many answers at once from a mock LLM of its own, in one loop on one core: all of them must be open at the same time,
 * complete, and say what they should.  Reports the bytes of memory that each of them holds in this process, and what an event
 * costs.  Exit 1 if one of them does not come through, or if they were never all open. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/upstream/upstream.h"
#include "core/uring/uring_loop.h"

#define STREAMS_MAX 65536u
#define CONNECTING_MAX 256u /* at once: a listener's queue is only so long */
#define FILES_BESIDE 128u   /* descriptors for other things than streams */
#define PATIENCE_NS (600 * CLOCK_S)
#define MESSAGES "[{\"role\":\"user\",\"content\":\"hi\"}]"

struct settings {
    uint64_t streams, tokens, pace_ms;
    const char *io, *tls_cert, *tls_key, *ca; /* ca: of tls_cert; the certificate itself if it is not given */
    bool json;
};

struct stream {
    struct bench *bench;
    struct upstream_call *call;
    uint64_t hash; /* FNV-1a of the text */
    bool begun, finished;
};

struct bench {
    struct settings settings;
    struct uring_loop *loop;
    struct upstream_resolver *resolver;
    struct upstream *upstream;
    struct stream *streams;
    char model[128], url[64];
    pid_t mock;
    uint64_t expected; /* hash of the text */
    uint64_t started, answering, ended, good, events, peak;
    uint64_t begun_ns, open_ns, done_ns; /* the first call; all open; all over */
    size_t heap_before, heap_peak, rss_before, rss_peak;
    char complaint[512]; /* of the first that failed */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "umbel-bench-upstreams: %s: %s\n", what, why);
    exit(1);
}

static uint64_t hash_more(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash;
}

#define HASH_EMPTY 0xcbf29ce484222325u

static size_t heap_now(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static size_t rss_now(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (!file || fscanf(file, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- the mock, beside this program ---- */

static void run_mock(const struct settings *settings, int out)
{
    char program[PATH_MAX], *arguments[8] = {program, (char *)(uintptr_t) "--listen", (char *)(uintptr_t) "127.0.0.1:0"};
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - sizeof "/umbel-mock-llm");

    if (size <= 0)
        _exit(127);
    program[size] = '\0';
    strcpy(program + strlen(dirname(program)), "/umbel-mock-llm");
    if (settings->tls_cert) {
        arguments[3] = (char *)(uintptr_t) "--tls-cert";
        arguments[4] = (char *)(uintptr_t)settings->tls_cert;
        arguments[5] = (char *)(uintptr_t) "--tls-key";
        arguments[6] = (char *)(uintptr_t)settings->tls_key;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(out, STDOUT_FILENO);
    execv(program, arguments);
    fprintf(stderr, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

static void start_mock(struct bench *bench)
{
    static const char words[] = "listening on ";
    char line[128] = "", *address = NULL;
    int ends[2];
    FILE *out;

    if (pipe(ends) == -1 || (bench->mock = fork()) == -1)
        die("cannot start the mock LLM", strerror(errno));
    if (bench->mock == 0)
        run_mock(&bench->settings, ends[1]);
    close(ends[1]);
    out = fdopen(ends[0], "r");
    if (!out || !fgets(line, sizeof line, out) || !(address = strstr(line, words)))
        die("the mock LLM does not say where it listens", line);
    address += sizeof words - 1;
    address[strcspn(address, "\r\n")] = '\0';
    snprintf(bench->url, sizeof bench->url, "%s://%s/v1", bench->settings.tls_cert ? "https" : "http", address);
    /* `out` stays open: the mock must be able to write to it. */
}

/* ---- the streams ---- */

static void event_came(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct stream *stream = owner;
    struct bench *bench = stream->bench;

    (void)arrival_ns;
    bench->events++;
    if (event->kind == PARSE_FINISH)
        stream->finished = true;
    if (event->kind != PARSE_TEXT)
        return;
    stream->hash = hash_more(stream->hash, event->text.data, event->text.size);
    if (stream->begun || event->text.size == 0)
        return;
    stream->begun = true;
    bench->answering++;
    if (bench->answering <= bench->peak)
        return;
    bench->peak = bench->answering;
    if (bench->peak == bench->settings.streams) {
        bench->open_ns = clock_now_ns();
        bench->heap_peak = heap_now();
        bench->rss_peak = rss_now();
    }
}

static void ended(void *owner, uint32_t verdict, uint32_t error, const char *text)
{
    struct stream *stream = owner;
    struct bench *bench = stream->bench;
    bool good = verdict == UMBEL_VERDICT_COMPLETE && stream->finished && stream->hash == bench->expected;

    bench->ended++;
    bench->answering -= stream->begun;
    bench->good += good;
    if (!good && !*bench->complaint)
        snprintf(bench->complaint, sizeof bench->complaint, "verdict %u, error %u, %s", verdict, error,
                 verdict == UMBEL_VERDICT_COMPLETE ? "another text than expected" : text);
}

static const struct upstream_call_ops call_ops = {.event = event_came, .ended = ended};

static void start_one(struct bench *bench)
{
    struct stream *stream = &bench->streams[bench->started++];
    struct upstream_question question = {.model = bench->model, .messages = MESSAGES, .messages_size = sizeof MESSAGES - 1};
    struct why why = {""};

    stream->bench = bench;
    stream->hash = HASH_EMPTY;
    if (upstream_call_start(bench->upstream, &question, &call_ops, stream, &stream->call, &why) < 0)
        die("a call cannot be started", why.text);
}

/* How many have been started and neither begun to answer nor ended: told by the counts, without walking. */
static uint64_t connecting(const struct bench *bench)
{
    return bench->started - bench->ended - bench->answering;
}

static void run(struct bench *bench)
{
    uint64_t give_up_ns = clock_now_ns() + PATIENCE_NS;

    bench->heap_before = heap_now();
    bench->rss_before = rss_now();
    bench->begun_ns = clock_now_ns();
    while (bench->ended < bench->settings.streams) {
        int r;

        while (bench->started < bench->settings.streams && connecting(bench) < CONNECTING_MAX)
            start_one(bench);
        r = uring_loop_turn(bench->loop, 100);
        if (r < 0)
            die("the loop", strerror(-r));
        if (clock_now_ns() > give_up_ns)
            die("the streams", "not over after ten minutes");
    }
    bench->done_ns = clock_now_ns();
}

/* ---- before and after ---- */

static void expect_text(struct bench *bench)
{
    char word[32];

    bench->expected = HASH_EMPTY;
    for (uint64_t i = 0; i < bench->settings.tokens; i++) {
        int n = snprintf(word, sizeof word, "%st%llu", i ? " " : "", (unsigned long long)i);

        bench->expected = hash_more(bench->expected, word, (size_t)n);
    }
    snprintf(bench->model, sizeof bench->model, "bench:text=count:tokens=%llu:pace=%llu",
             (unsigned long long)bench->settings.tokens, (unsigned long long)bench->settings.pace_ms);
}

/* One descriptor a stream; both ends on one machine need ports as well. */
static void want_files(uint64_t streams)
{
    struct rlimit limit;
    char words[160];

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        die("getrlimit", strerror(errno));
    if (limit.rlim_cur >= streams + FILES_BESIDE)
        return;
    limit.rlim_cur = streams + FILES_BESIDE;
    if (limit.rlim_max < limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur; /* root may */
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return;
    snprintf(words, sizeof words, "%s: raise it with `ulimit -n %llu` or ask for fewer with --streams", strerror(errno),
             (unsigned long long)(streams + FILES_BESIDE));
    die("RLIMIT_NOFILE", words);
}

/* The engine on one core, the mock on another if there is one. */
static void take_one_core(pid_t mock)
{
    cpu_set_t all, one;
    size_t first = 0;

    if (sched_getaffinity(0, sizeof all, &all) == -1)
        return;
    while (first + 1 < CPU_SETSIZE && !CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    sched_setaffinity(0, sizeof one, &one);
    if (CPU_COUNT(&all) > 1) {
        CPU_CLR(first, &all);
        sched_setaffinity(mock, sizeof all, &all);
    }
}

static void open_engine(struct bench *bench)
{
    struct uring_loop_options loop = {.io = bench->settings.io};
    struct upstream_options options = {.name = "bench",
                                       .dialect = "openai",
                                       .base_url = bench->url,
                                       .ca_file = bench->settings.ca ? bench->settings.ca : bench->settings.tls_cert,
                                       .max_concurrent = (uint32_t)bench->settings.streams};
    struct why why = {""};

    if (uring_loop_create(&loop, &bench->loop, &why) < 0 || upstream_resolver_create(bench->loop, &bench->resolver, &why) < 0 ||
        upstream_create(bench->loop, bench->resolver, &options, &bench->upstream, &why) < 0)
        die("the engine", why.text);
}

static bool report(const struct bench *bench)
{
    struct rusage usage;
    uint64_t n = bench->settings.streams, cpu_us;
    bool all_open = bench->peak == n, good = bench->good == n;
    double open_s = all_open ? (double)(bench->open_ns - bench->begun_ns) / 1e9 : 0;
    size_t heap = all_open ? (bench->heap_peak - bench->heap_before) / n : 0,
           rss = all_open ? (bench->rss_peak - bench->rss_before) / n : 0;

    getrusage(RUSAGE_SELF, &usage);
    cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
             (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    if (bench->settings.json) {
        printf("{\"streams\":%llu,\"complete\":%llu,\"peak\":%llu,\"tls\":%s,\"io\":\"%s\",\"heap_bytes_per_stream\":%zu,"
               "\"rss_bytes_per_stream\":%zu,\"open_s\":%.3f,\"total_s\":%.3f,\"events\":%llu,\"cpu_us_per_event\":%.2f}\n",
               (unsigned long long)n, (unsigned long long)bench->good, (unsigned long long)bench->peak,
               bench->settings.tls_cert ? "true" : "false", uring_loop_backend(bench->loop), heap, rss, open_s,
               (double)(bench->done_ns - bench->begun_ns) / 1e9, (unsigned long long)bench->events,
               bench->events ? (double)cpu_us / (double)bench->events : 0);
    } else {
        printf("%llu streams at once, %s, %s, one core\n", (unsigned long long)n, bench->settings.tls_cert ? "TLS" : "clear text",
               uring_loop_backend(bench->loop));
        printf("  complete, with the right text   %llu\n", (unsigned long long)bench->good);
        printf("  open at the same time           %llu%s", (unsigned long long)bench->peak, all_open ? "" : "\n");
        if (all_open)
            printf(", after %.2f s\n", open_s);
        printf("  heap a stream                   %zu bytes\n", heap);
        printf("  resident memory a stream        %zu bytes\n", rss);
        printf("  CPU an event                    %.2f us of %llu events, set-up included\n",
               bench->events ? (double)cpu_us / (double)bench->events : 0, (unsigned long long)bench->events);
    }
    if (!good)
        fprintf(stderr, "umbel-bench-upstreams: %llu of %llu did not come through; the first: %s\n",
                (unsigned long long)(n - bench->good), (unsigned long long)n, bench->complaint);
    else if (!all_open)
        fprintf(stderr, "umbel-bench-upstreams: the first ended before the last began: give more --tokens or --pace-ms\n");
    return good && all_open;
}

static void usage(void)
{
    fprintf(stderr, "umbel-bench-upstreams [--streams N] [--tokens N] [--pace-ms MS] [--io io_uring|epoll] "
                    "[--tls-cert FILE --tls-key FILE [--ca FILE]] [--json]\n");
    exit(2);
}

static struct settings read_arguments(int count, char **arguments)
{
    struct settings settings = {.streams = 10000, .tokens = 20, .pace_ms = 1500, .io = "auto"};

    for (int i = 1; i < count; i++) {
        const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
        uint64_t *number = strcmp(name, "--streams") == 0   ? &settings.streams
                           : strcmp(name, "--tokens") == 0  ? &settings.tokens
                           : strcmp(name, "--pace-ms") == 0 ? &settings.pace_ms
                                                            : NULL;
        const char **text = strcmp(name, "--io") == 0         ? &settings.io
                            : strcmp(name, "--tls-cert") == 0 ? &settings.tls_cert
                            : strcmp(name, "--tls-key") == 0  ? &settings.tls_key
                            : strcmp(name, "--ca") == 0       ? &settings.ca
                                                              : NULL;

        if (strcmp(name, "--json") == 0) {
            settings.json = true;
            continue;
        }
        if (!value || (!number && !text) || (number && !number_parse_u64(value, strlen(value), number)))
            usage();
        if (text)
            *text = value;
        i++;
    }
    if (settings.streams < 1 || settings.streams > STREAMS_MAX || settings.tokens < 2 || !settings.tls_cert != !settings.tls_key)
        usage();
    return settings;
}

int main(int count, char **arguments)
{
    struct bench bench = {.settings = read_arguments(count, arguments)};
    bool good;

    signal(SIGPIPE, SIG_IGN);
    want_files(bench.settings.streams);
    bench.streams = calloc(bench.settings.streams, sizeof *bench.streams);
    if (!bench.streams)
        die("the streams", "no memory");
    expect_text(&bench);
    start_mock(&bench);
    take_one_core(bench.mock);
    open_engine(&bench);
    run(&bench);
    good = report(&bench);
    upstream_free(bench.upstream);
    upstream_resolver_free(bench.resolver);
    uring_loop_free(bench.loop);
    free(bench.streams);
    kill(bench.mock, SIGTERM);
    waitpid(bench.mock, NULL, 0);
    return good ? 0 : 1;
}
