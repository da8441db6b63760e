/* umbel-bench-engine - CPU per delta of the engine: bytes off a real socket, TLS, HTTP, events, JSON, journal, ring; beside a reader made
 * with libcurl, as an application has it (lines, cJSON, text appended), and libcurl alone, which only counts bytes.
 *
 * All read the same stream of one answer in 250-byte OpenAI chunks from umbel-mock-llm, which runs on another core and gives as fast as it
 * can.  This process stays on one core.  The rows take turns, so that a slow moment of the machine hits all alike; a row is the median of its
 * rounds.  CPU: getrusage of this process around one answer, its connection included.  That a reader did its work is checked each time by
 * deltas, bytes and a hash of the text.  Trust the ratios, not the figures. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/metrics/core_stats.h"
#include "core/stream/bus.h"
#include "core/upstream/upstream.h"

#define CHUNK 250u /* bytes of one event, its line ends included */
#define ROUNDS_MAX 99u
#define GOAL_US 1.5
#define JOURNAL ((size_t)256 << 20)
#define TOKEN_BYTES "6"
#define MESSAGES "[{\"role\":\"user\",\"content\":\"q\"}]"
#define QUESTION "{\"model\":\"%s\",\"stream\":true,\"max_tokens\":%" PRIu64 ",\"messages\":" MESSAGES "}"

enum reader { ENGINE_URING, ENGINE_EPOLL, CURL_PARSED, CURL_BARE, READERS };

static const char *const reader_names[READERS] = {"engine_io_uring", "engine_epoll", "libcurl_cjson", "libcurl_bytes"};
static const char *const reader_words[READERS] = {"engine, io_uring", "engine, epoll", "libcurl, lines, cJSON", "libcurl, bytes only"};

/* What one reading came to. */
struct reading {
    double cpu_us, wall_us; /* of the whole answer */
    uint64_t deltas, text_bytes, body_bytes, hash;
};

struct settings {
    uint64_t deltas;
    unsigned rounds;
    bool json;
    const char *mock, *tls_cert, *tls_key;
};

struct bench {
    struct settings settings;
    pid_t mock[2]; /* clear text, TLS */
    char url[2][128];
    char model[256];
    struct stats_page *stats;
    double us[2][READERS][ROUNDS_MAX], rate[2][READERS][ROUNDS_MAX];
    struct reading reference;
};

static void die(const char *what)
{
    fprintf(stderr, "umbel-bench-engine: %s\n", what);
    exit(1);
}

static uint64_t hash_more(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash;
}

static double cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- the engine ---- */

struct engine {
    struct uring_loop *loop;
    struct uring_hook flush;
    struct bus *bus;
    struct journal_ref ref;
    struct reading reading;
    uint32_t verdict;
};

static void on_event(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct engine *engine = owner;

    if (event->kind != PARSE_TEXT)
        return;
    if (bus_event(engine->bus, engine->ref, UMBEL_EVENT_TEXT, event->text.data, event->text.size, arrival_ns) < 0)
        die("the journal is full");
    engine->reading.deltas++;
    engine->reading.text_bytes += event->text.size;
}

static void on_ended(void *owner, uint32_t verdict, uint32_t error, const char *text)
{
    struct engine *engine = owner;

    (void)error;
    if (verdict != UMBEL_VERDICT_COMPLETE)
        die(text);
    engine->verdict = verdict;
    uring_loop_stop(engine->loop);
}

static const struct upstream_call_ops call_ops = {.event = on_event, .ended = on_ended};

static void wake_nobody(void *owner, int eventfd, bool near)
{
    (void)owner;
    (void)eventfd;
    (void)near;
}

static void flush(struct uring_hook *hook)
{
    struct engine *engine = list_entry(hook, struct engine, flush);

    bus_flush(engine->bus, uring_loop_now_ns(engine->loop), wake_nobody, NULL);
}

/* What the journal holds is what was measured: read back once the clock stands. */
static void read_back(struct engine *engine)
{
    static char text[1 << 16];
    struct journal_cursor cursor = {.ref = engine->ref};
    uint64_t hash = 14695981039346656037u;
    size_t size;

    while (journal_read(bus_journal_reader(engine->bus), &cursor, text, sizeof text, &size) == UMBEL_EVENT_TEXT)
        hash = hash_more(hash, text, size);
    engine->reading.hash = hash;
}

static struct reading read_by_engine(struct bench *bench, const char *io, bool tls)
{
    static const char *const quirks[] = {"no-stream_options"}; /* a member more in each chunk */
    struct engine engine = {.flush.run = flush};
    struct uring_loop_options loop_options = {.io = io};
    struct upstream_options options = {.name = "bench",
                                       .dialect = "openai",
                                       .base_url = bench->url[tls],
                                       .api_key = "",
                                       .quirks = quirks,
                                       .quirk_count = 1,
                                       .ca_file = tls ? bench->settings.tls_cert : NULL,
                                       .max_concurrent = 1,
                                       .answer_max_bytes = UINT32_MAX};
    char limit[48];
    struct upstream_question question = {.model = bench->model, .messages = MESSAGES, .messages_size = sizeof MESSAGES - 1, .parameters = limit};
    struct journal_identity identity = {.created_s = 1, .opened_ns = clock_now_ns(), .id = {1}};
    struct upstream_resolver *resolver = NULL;
    struct upstream *upstream = NULL;
    struct upstream_call *call;
    struct why why = {""};

    question.parameters_size = (size_t)snprintf(limit, sizeof limit, "{\"max_tokens\":%" PRIu64 "}", bench->settings.deltas);
    if (bus_create(65536, JOURNAL, bench->stats, &engine.bus, &why) < 0 || uring_loop_create(&loop_options, &engine.loop, &why) < 0 ||
        upstream_resolver_create(engine.loop, &resolver, &why) < 0 || upstream_create(engine.loop, resolver, &options, &upstream, &why) < 0)
        die(why.text);
    if (bus_open(engine.bus, &identity, &engine.ref) < 0)
        die("no stream can be opened");
    uring_hook_add(engine.loop, &engine.flush);
    double cpu = cpu_us();
    uint64_t begun_ns = clock_now_ns();
    if (upstream_call_start(upstream, &question, &call_ops, &engine, &call, &why) < 0)
        die(why.text);
    uring_loop_run(engine.loop);
    engine.reading.cpu_us = cpu_us() - cpu;
    engine.reading.wall_us = (double)(clock_now_ns() - begun_ns) / 1e3;
    read_back(&engine);
    uring_hook_remove(engine.loop, &engine.flush);
    upstream_free(upstream);
    upstream_resolver_free(resolver);
    uring_loop_free(engine.loop);
    bus_free(engine.bus);
    return engine.reading;
}

/* ---- libcurl ---- */

struct curl_reader {
    struct reading reading;
    char *line, *text;
    size_t line_size, line_room, text_room;
};

static void append(char **buffer, size_t *size, size_t *room, const char *bytes, size_t more)
{
    if (*size + more > *room) {
        *room = (*size + more) * 2;
        *buffer = realloc(*buffer, *room);
        if (!*buffer)
            die("no memory");
    }
    memcpy(*buffer + *size, bytes, more);
    *size += more;
}

static void take_line(struct curl_reader *reader, const char *line, size_t size)
{
    if (size < 7 || memcmp(line, "data: {", 7) != 0)
        return;
    cJSON *json = cJSON_ParseWithLength(line + 6, size - 6);
    const cJSON *choice = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "choices"), 0);
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(choice, "delta"), "content");
    if (cJSON_IsString(content) && *content->valuestring) {
        size_t text_size = (size_t)reader->reading.text_bytes;
        append(&reader->text, &text_size, &reader->text_room, content->valuestring, strlen(content->valuestring));
        reader->reading.text_bytes = text_size;
        reader->reading.deltas++;
    }
    cJSON_Delete(json);
}

static size_t take_lines(char *bytes, size_t one, size_t size, void *owner)
{
    struct curl_reader *reader = owner;
    const char *at = bytes, *end = bytes + size, *line_end;

    (void)one;
    reader->reading.body_bytes += size;
    while ((line_end = memchr(at, '\n', (size_t)(end - at)))) {
        if (reader->line_size > 0) {
            append(&reader->line, &reader->line_size, &reader->line_room, at, (size_t)(line_end - at));
            take_line(reader, reader->line, reader->line_size);
            reader->line_size = 0;
        } else {
            take_line(reader, at, (size_t)(line_end - at));
        }
        at = line_end + 1;
    }
    append(&reader->line, &reader->line_size, &reader->line_room, at, (size_t)(end - at));
    return size;
}

static size_t count_bytes(char *bytes, size_t one, size_t size, void *owner)
{
    struct curl_reader *reader = owner;

    (void)bytes;
    (void)one;
    reader->reading.body_bytes += size;
    return size;
}

static struct reading read_by_curl(struct bench *bench, uint64_t deltas, bool parsed, bool tls)
{
    struct curl_reader reader = {0};
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char url[192], body[512];
    CURL *curl = curl_easy_init();

    if (!curl || !headers)
        die("libcurl cannot begin");
    snprintf(url, sizeof url, "%s/chat/completions", bench->url[tls]);
    snprintf(body, sizeof body, QUESTION, bench->model, deltas);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (tls)
        curl_easy_setopt(curl, CURLOPT_CAINFO, bench->settings.tls_cert);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, parsed ? take_lines : count_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reader);
    double cpu = cpu_us();
    uint64_t begun_ns = clock_now_ns();
    CURLcode code = curl_easy_perform(curl);
    reader.reading.cpu_us = cpu_us() - cpu;
    reader.reading.wall_us = (double)(clock_now_ns() - begun_ns) / 1e3;
    if (code != CURLE_OK)
        die(curl_easy_strerror(code));
    reader.reading.hash = hash_more(14695981039346656037u, reader.text, (size_t)reader.reading.text_bytes);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    free(reader.line);
    free(reader.text);
    return reader.reading;
}

/* ---- the service ---- */

static void pin(unsigned wanted)
{
    cpu_set_t all, one;
    unsigned seen = 0;

    if (sched_getaffinity(0, sizeof all, &all) == -1)
        return;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &all) && seen++ == wanted % (unsigned)CPU_COUNT(&all))
            CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static void start_mock(struct bench *bench, bool tls)
{
    char line[256];
    int out[2];

    if (pipe2(out, O_CLOEXEC) == -1)
        die("no pipe");
    bench->mock[tls] = fork();
    if (bench->mock[tls] == -1)
        die("the mock service cannot be started");
    if (bench->mock[tls] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        pin(1);
        dup2(out[1], STDOUT_FILENO);
        if (tls)
            execl(bench->settings.mock, "umbel-mock-llm", "--listen", "127.0.0.1:0", "--benchmark", "--tokens", "1000000", "--token-bytes", TOKEN_BYTES,
                  "--pace-ms", "0", "--tls-cert", bench->settings.tls_cert, "--tls-key",
                  bench->settings.tls_key, (char *)NULL);
        else
            execl(bench->settings.mock, "umbel-mock-llm", "--listen", "127.0.0.1:0", "--benchmark", "--tokens", "1000000", "--token-bytes", TOKEN_BYTES,
                  "--pace-ms", "0", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *said = fdopen(out[0], "r");
    char *address = said && fgets(line, sizeof line, said) ? strstr(line, "127.0.0.1:") : NULL;
    if (!address)
        die("the mock service does not begin: --mock names its program");
    address[strcspn(address, "\r\n")] = '\0';
    snprintf(bench->url[tls], sizeof bench->url[tls], "%s://%.64s/v1", tls ? "https" : "http", address);
    fclose(said);
}

/* NAME is free, so its length makes the chunk's. */
static void name_model(struct bench *bench, unsigned name_size)
{
    snprintf(bench->model, sizeof bench->model, "%.*s", (int)name_size, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
}

static uint64_t chunk_size(struct bench *bench)
{
    return (read_by_curl(bench, 300, false, false).body_bytes - read_by_curl(bench, 200, false, false).body_bytes) / 100;
}

/* Makes a chunk CHUNK bytes, and takes what libcurl reads as the truth for all. */
static void calibrate(struct bench *bench)
{
    name_model(bench, 1);
    uint64_t least = chunk_size(bench);
    if (least <= CHUNK && CHUNK - least < 40)
        name_model(bench, 1 + (unsigned)(CHUNK - least));
    if (chunk_size(bench) != CHUNK)
        die("the chunks of the mock service cannot be made 250 bytes");
    bench->reference = read_by_curl(bench, bench->settings.deltas, true, false);
    if (bench->reference.deltas != bench->settings.deltas)
        die("the reference reader misses deltas");
}

/* ---- rows ---- */

static void run(struct bench *bench, enum reader reader, bool tls, unsigned round)
{
    struct reading reading = reader == ENGINE_URING   ? read_by_engine(bench, "io_uring", tls)
                             : reader == ENGINE_EPOLL ? read_by_engine(bench, "epoll", tls)
                                                      : read_by_curl(bench, bench->settings.deltas, reader == CURL_PARSED, tls);
    double deltas = (double)bench->settings.deltas;

    if (reader == CURL_BARE ? reading.body_bytes != bench->reference.body_bytes
                            : reading.deltas != bench->reference.deltas || reading.hash != bench->reference.hash)
        die("a reader has not read what was sent");
    bench->us[tls][reader][round] = reading.cpu_us / deltas;
    bench->rate[tls][reader][round] = deltas / reading.wall_us * 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(struct bench *bench)
{
    unsigned rounds = bench->settings.rounds;
    bool first = true;

    if (bench->settings.json)
        printf("{\"chunk_bytes\":%u,\"deltas\":%" PRIu64 ",\"rounds\":%u,\"goal_us\":%.1f,\"rows\":[", CHUNK, bench->settings.deltas, rounds, GOAL_US);
    else
        printf("CPU of one delta, %u-byte chunks, %" PRIu64 " deltas, median of %u rounds (least to most)\n", CHUNK, bench->settings.deltas, rounds);
    for (int tls = 0; tls <= (bench->settings.tls_cert != NULL); tls++)
        for (int reader = 0; reader < READERS; reader++) {
            double *us = bench->us[tls][reader], *rate = bench->rate[tls][reader];
            qsort(us, rounds, sizeof *us, compare);
            qsort(rate, rounds, sizeof *rate, compare);
            if (bench->settings.json)
                printf("%s{\"reader\":\"%s\",\"tls\":%s,\"cpu_us\":%.3f,\"cpu_us_min\":%.3f,\"cpu_us_max\":%.3f,\"deltas_per_core_s\":%.0f,"
                       "\"deltas_per_s\":%.0f}",
                       first ? "" : ",", reader_names[reader], tls ? "true" : "false", us[rounds / 2], us[0], us[rounds - 1], 1e6 / us[rounds / 2],
                       rate[rounds / 2]);
            else
                printf("  %-10s  %-22s  %6.3f us  (%.3f to %.3f)  %9.0f deltas a second of one core%s\n", tls ? "TLS" : "clear text",
                       reader_words[reader], us[rounds / 2], us[0], us[rounds - 1], 1e6 / us[rounds / 2],
                       tls || reader > ENGINE_EPOLL     ? ""
                       : us[rounds / 2] <= GOAL_US ? "  (goal 1.5 us: met)"
                                                   : "  (goal 1.5 us: missed)");
            first = false;
        }
    if (bench->settings.json)
        printf("]}\n");
}

static void usage(void)
{
    fprintf(stderr, "usage: umbel-bench-engine [--deltas N] [--repeat N] [--json] [--mock PROGRAM] [--tls-cert FILE --tls-key FILE]\n");
    exit(2);
}

static void read_settings(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {{"deltas", 1, NULL, 'd'},   {"repeat", 1, NULL, 'r'}, {"json", 0, NULL, 'j'}, {"mock", 1, NULL, 'm'},
                                            {"tls-cert", 1, NULL, 'c'}, {"tls-key", 1, NULL, 'k'}, {0}};
    static char mock[PATH_MAX + 32];
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);

    *settings = (struct settings){.deltas = 200000, .rounds = 5, .mock = mock};
    self[size > 0 ? size : 0] = '\0';
    snprintf(mock, sizeof mock, "%s/umbel-mock-llm", dirname(self));
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

        if (c == 'd' && number >= 1000 && number <= 1000000)
            settings->deltas = number;
        else if (c == 'r' && number >= 1 && number <= ROUNDS_MAX)
            settings->rounds = (unsigned)number;
        else if (c == 'j')
            settings->json = true;
        else if (c == 'm')
            settings->mock = optarg;
        else if (c == 'c')
            settings->tls_cert = optarg;
        else if (c == 'k')
            settings->tls_key = optarg;
        else
            usage();
    }
    if (optind < argc || !settings->tls_cert != !settings->tls_key)
        usage();
}

int main(int argc, char **argv)
{
    static struct bench bench;
    char path[] = "/tmp/umbel-bench-engine-XXXXXX";
    struct why why = {""};

    read_settings(argc, argv, &bench.settings);
    signal(SIGPIPE, SIG_IGN);
    pin(0);
    int fd = mkstemp(path);
    if (fd == -1 || core_stats_create(path, 1, 1, 1, &bench.stats, &why) < 0)
        die(fd == -1 ? "no temporary file" : why.text);
    close(fd);
    unlink(path);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    start_mock(&bench, false);
    if (bench.settings.tls_cert)
        start_mock(&bench, true);
    calibrate(&bench);
    for (unsigned round = 0; round < bench.settings.rounds; round++)
        for (int tls = 0; tls <= (bench.settings.tls_cert != NULL); tls++)
            for (int reader = 0; reader < READERS; reader++)
                run(&bench, (enum reader)reader, tls, round);
    report(&bench);
    for (int tls = 0; tls < 2; tls++)
        if (bench.mock[tls] > 0 && kill(bench.mock[tls], SIGTERM) == 0)
            waitpid(bench.mock[tls], NULL, 0);
    curl_global_cleanup();
    return 0;
}
