/* Fuzz: the core's handlers of what a transport's process says (daemon_frames and all behind it: grants, questions, readers, kept values,
 * commands), on a real daemon without a process.  Whatever is said: -EPROTO or taken; each answer is a frame that a host can read; nothing is
 * allowed to a grant that was not given; and when the process is gone nothing of it is left.
 * Input: frames, each: type, tag, then u16 size of the body, the body.  A body that begins with 0xff is made of what follows instead: each
 * byte a field: 0..63 that number, 64..127 a text of so many letters less 64, 128.. one of a few texts and numbers that mean something. */
#include "core/uring/uring_loop.h"
#include "core/supervise/host.h"
#include "core/control/control.h"

static void fuzz_send(struct host *host, struct control_out *frame);
#define host_send fuzz_send
#include "core/daemon/daemon_frames.c" /* itself: what it sends is looked at */
#undef host_send

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <umbel/transport.h>

#include "core/config/config_load.h"
#include "core/daemon/daemon_hosts.h"
#include "tests/fuzz/pieces.h"

#define KEY "0123456789abcdef"
#define SENT_MAX 4096u

static struct daemon *daemon_;
static struct daemon_host *worker;
static char folder[64];
static struct {
    struct journal_ref refs[SENT_MAX];
    size_t ref_count, sent;
    uint64_t grant; /* the last one that was given */
} told;

static int lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why)
{
    char manifest[128];

    (void)owner, (void)plugin, (void)why;
    snprintf(manifest, sizeof manifest, "{\"name\":\"a\",\"needs\":%u,\"options\":[]}", (unsigned)UMBEL_NEEDS_OUTBOUND);
    *ret_manifest = strdup(manifest);
    *ret_path = strdup("/x.so");
    return 0;
}

/* Reads a frame to a host as a host does. */
static int read_sent(void *owner, uint32_t type, uint64_t tag, struct control_in *in)
{
    uint64_t error, grant, slot, generation, count;
    char text[WHY_MAX];

    (void)owner, (void)tag;
    switch (type) {
    case CONTROL_AUTHED:
        error = control_get(in);
        grant = control_get(in);
        control_get_string(in, text, sizeof text);
        REQUIRE((grant != 0) == (error == 0) && (grant == 0 || strcmp(text, "shop") == 0));
        control_get_string(in, text, CONTROL_TEXT_MAX + 1);
        if (grant)
            told.grant = grant;
        break;
    case CONTROL_BEGAN:
        error = control_get(in);
        slot = control_get(in);
        generation = control_get(in);
        control_get_string(in, text, sizeof text);
        REQUIRE(error == 0 || (slot == 0 && generation == 0));
        if (error == 0 && told.ref_count < SENT_MAX)
            told.refs[told.ref_count++] = (struct journal_ref){(uint32_t)slot, (uint32_t)generation};
        break;
    case CONTROL_WATCHED:
        error = control_get(in);
        control_get_string(in, text, sizeof text);
        count = control_get(in);
        REQUIRE(count <= WATCHED_MAX && (error == 0 || count == 0));
        for (uint64_t i = 0; i < 2 * count; i++)
            control_get(in);
        break;
    case CONTROL_STOPPED:
        control_get(in);
        break;
    case CONTROL_KEPT:
        control_get_string(in, text, CONTROL_TEXT_MAX + 1);
        REQUIRE(text[0]);
        control_get_text(in, CONTROL_VALUE_MAX);
        break;
    default: /* WELCOME, FILE: the host's own reader is fuzz_control_host's business */
        REQUIRE(type == CONTROL_WELCOME || type == CONTROL_FILE);
        return 0;
    }
    REQUIRE(control_done(in));
    return 0;
}

static void fuzz_send(struct host *host, struct control_out *frame)
{
    struct control_parser parser = {0};

    REQUIRE(host == &worker->host);
    REQUIRE(control_feed(&parser, frame->data, frame->size, read_sent, NULL) == 0 && parser.size == 0);
    control_parser_free(&parser);
    told.sent++;
}

static void tidy(void)
{
    char path[128];

    daemon_free(daemon_);
    snprintf(path, sizeof path, "rm -rf %s", folder);
    if (system(path) != 0)
        fprintf(stderr, "%s failed\n", path);
}

static void open_daemon(void)
{
    struct config *config;
    struct why why = {""};
    char text[1024], path[64];
    int fd = memfd_create("config", MFD_CLOEXEC), size;

    snprintf(folder, sizeof folder, "/tmp/umbel-fuzz-core-%d", (int)getpid());
    mkdir(folder, 0700);
    size = snprintf(text, sizeof text,
                    "runtime_dir = \"%s\"\nstate_dir = \"%s\"\nlog { level = error }\n"
                    "core { io = epoll\n ring_slots = 1024\n journal_mb = 4\n linger_s = 0\n history_days = 0 }\n"
                    "upstream u { base_url = \"http://127.0.0.1:1/v1\"\n models = { \"*\" }\n max_concurrent = 4\n queue = 8 }\n"
                    "app shop { upstreams = { u }\n model = m\n keys = { \"" KEY "\" }\n history = off\n orphan_grace_ms = 0 }\n"
                    "transport t { plugin = a\n apps = { shop }\n max_connections = 16 }\n",
                    folder, folder);
    REQUIRE(fd >= 0 && size > 0 && write(fd, text, (size_t)size) == size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (config_load(path, lookup, NULL, NULL, &config, &why) < 0 || daemon_create(config, "/nonexistent", &daemon_, &why) < 0) {
        fprintf(stderr, "%s\n", why.text);
        abort();
    }
    close(fd);
    log_change(LOG_ERROR - 1, false);
    for_each_worker(daemon_, h)
        worker = h;
    REQUIRE(worker);
    atexit(tidy);
}

/* One body out of a few bytes that name fields: random bytes alone seldom say a key or an id. */
static void put_fields(struct control_out *out, const uint8_t *data, size_t size)
{
    static const char letters[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const char *const texts[] = {KEY, "shop", "s", "", "[{\"role\":\"user\",\"content\":\"q\"}]", "{\"temperature\":1}", "m", "127.0.0.1",
                                        "a", "1.0", "{}", "[]", "[{\"role\":\"user\"}]", "chatcmpl-00000000000000000000000000000000"};
    char id[ANSWER_ID_SIZE] = "";

    for (size_t i = 0; i < size; i++) {
        struct answer *answer = told.ref_count ? answer_by_ref(daemon_->answers, told.refs[0]) : NULL;
        if (data[i] < 64) {
            control_put(out, data[i]);
        } else if (data[i] < 128) {
            control_put_text(out, letters, data[i] - 64u);
        } else if (data[i] < 128 + sizeof texts / sizeof *texts) {
            control_put_text(out, texts[data[i] - 128], strlen(texts[data[i] - 128]));
        } else if (data[i] == 200) {
            control_put(out, told.grant);
        } else if (data[i] == 201) {
            control_put(out, told.grant ^ CONTROL_GRANT_HELD);
        } else if (data[i] == 202) {
            memcpy(id, answer ? answer->id : "", answer ? sizeof id : 1);
            control_put_text(out, id, strlen(id));
        } else if (data[i] == 203) {
            control_put(out, answer ? answer->ref.slot : 0);
            control_put(out, answer ? answer->ref.generation : 0);
        } else if (data[i] == 204) {
            control_put(out, CONTROL_VERSION);
        } else {
            control_put(out, (uint64_t)data[i] << 56 | data[i]);
        }
    }
}

static int take(const uint8_t *data, size_t size, uint32_t type, uint64_t tag)
{
    struct control_in in = {.at = (const char *)data, .end = (const char *)data + size};
    struct control_out made = {0};

    if (size > 0 && data[0] == 0xff) {
        control_begin(&made, (enum control_type)type, tag);
        put_fields(&made, data + 1, size - 1);
        in = (struct control_in){.at = made.data + CONTROL_HEADER, .end = made.data + made.size};
    }
    int r = daemon_frames_take(daemon_, &worker->host, type, tag, &in);
    control_out_free(&made);
    REQUIRE(r == 0 || r == -EPROTO);
    return r;
}

static void begin_process(void)
{
    struct host_spawn spawn = {.name = worker->host.name};
    struct why why = {""};

    memset(&told, 0, sizeof told);
    worker->host.state = HOST_RUNNING;
    REQUIRE(worker->host.ops->prepare(daemon_, &worker->host, &spawn, &why) == 0);
}

/* Its end, and the end of what it has begun: as after a crash. */
static void end_process(void)
{
    worker->host.ops->ended(daemon_, &worker->host, 0);
    REQUIRE(list_is_empty(&worker->askings) && worker->asking_bytes == 0);
    REQUIRE(list_is_empty(&worker->auths) && worker->auth_count == 0 && worker->auth_bytes == 0);
    REQUIRE(list_is_empty(&worker->grants) && worker->grant_count == 0 && worker->waiting_bytes == 0);
    for (size_t i = 0; i < told.ref_count; i++) {
        struct answer *answer = answer_by_ref(daemon_->answers, told.refs[i]);
        REQUIRE(!answer || !answer_has_readers(answer, worker->number));
        if (answer)
            answer_cancel(answer);
    }
    REQUIRE(answer_table_live(daemon_->answers) == 0);
    uring_loop_turn(daemon_->loop, 0);
    answer_tick(daemon_->answers, uring_loop_now_ns(daemon_->loop) + 3600 * CLOCK_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int r = 0;

    if (!daemon_)
        open_daemon();
    begin_process();
    while (size >= 4 && r == 0) {
        size_t body = (size_t)data[2] << 8 | data[3];
        const uint8_t *at = data + 4;
        if (body > size - 4)
            body = size - 4;
        uint8_t *exact = malloc(body ? body : 1); /* a read past the end is seen */
        REQUIRE(exact);
        memcpy(exact, at, body);
        r = take(exact, body, data[0] % 80, data[1]);
        free(exact);
        data = at + body;
        size -= 4 + body;
    }
    end_process();
    return 0;
}
