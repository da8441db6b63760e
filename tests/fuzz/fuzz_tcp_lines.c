/* Fuzz: bytes of a TCP client, cut anywhere, through the line cutter of libumbel-tcp and the codec of example-line, down to what the host is
 * asked and what the client is sent.  Every line up to the first one that is too long is handed out whole, once and in order, however the bytes
 * were cut and whatever the host does in between; a line that is too long ends the connection; no more than a line and a read is ever kept.
 * Input: byte 0: limit of a line (8..71), bit 6: the host moves between the pieces; then the client's bytes. */
#include <event2/event.h>
#include <sys/socket.h>
#include <umbel/json.h>
#include <unistd.h>

/* The socket and libevent, as far as the carrier knows them: what is armed, what comes, what goes. */
static long fuzz_receive(void *to, size_t room);
static int fuzz_arm(const void *event, int armed);
#define recv(fd, to, room, flags) ((void)(fd), fuzz_receive(to, room))
#define send(fd, bytes, count, flags) ((void)(fd), umbel_out_put(&sent, bytes, count), (ssize_t)(count))
#define shutdown(fd, how) ((void)(fd))
#define close(fd) ((void)(fd))
#define event_new(base, fd, what, call, arg) ((void)(call), (struct event *)malloc(1))
#define event_free(event) (free(event))
#define event_add(event, time) fuzz_arm(event, 1)
#define event_del(event) fuzz_arm(event, 0)
#define event_active(event, what, calls) ((void)(event))
#include "core/carrier/tcp_carrier.h"
static struct umbel_out sent;
#include "core/carrier/tcp_client.c"
#undef recv
#undef send
#undef shutdown
#undef close

#include "plugins/example-line/example_line.c"
#include "tests/fuzz/pieces.h"

#define WORK_MAX 100000u /* turns; more is a loop that does not end */

static struct umbel_tcp tcp;
static struct umbel_tcp_client *one; /* NULL: gone */
static struct umbel_tcp_codec spy;
static struct umbel_out taken; /* the lines that the codec has taken, each with an LF */
static struct umbel_out asked; /* what the host was asked */
static const char *next_bytes;   /* of the client; NULL: none now */
static size_t next_size;
static bool readable, too_long, closed, whole;
static uint64_t answering; /* the tag of a question; 0 = none */
static bool deciding;      /* a credential */

/* Not used by what is tried here. */
int umbel_tcp_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_tcp_codec *given, void *self, struct umbel_tcp **ret)
{
    (void)host, (void)config, (void)given, (void)self, (void)ret;
    return -ENOSYS;
}

void umbel_tcp_close(struct umbel_tcp *carrier)
{
    (void)carrier;
}

void umbel_tcp_drain(struct umbel_tcp *carrier, uint32_t deadline_ms)
{
    (void)carrier, (void)deadline_ms;
}

void umbel_tcp_retire(struct umbel_tcp *carrier, uint32_t step, uint32_t ms)
{
    (void)carrier, (void)step, (void)ms;
}

static long fuzz_receive(void *to, size_t room)
{
    size_t size = next_size < room ? next_size : room;

    REQUIRE(readable && next_bytes && size > 0);
    memcpy(to, next_bytes, size);
    next_bytes += size;
    next_size -= size;
    return (long)size;
}

static int fuzz_arm(const void *event, int armed)
{
    if (one && event == one->readable)
        readable = armed;
    return 0;
}

/* ---- the host ---- */

static struct umbel_client *host_open(const struct umbel_host *host, const struct umbel_codec *given, void *self, void *data, const char *peer)
{
    (void)host, (void)self, (void)peer;
    REQUIRE(given == &tcp_host_codec);
    return data;
}

static void host_close(struct umbel_client *client)
{
    (void)client;
    closed = true;
}

static void host_authorize(struct umbel_client *client, const struct umbel_credential *credentials, uint32_t count)
{
    (void)client;
    REQUIRE(count == 1 && !deciding);
    umbel_out_text(&asked, "key ");
    umbel_out_put(&asked, credentials->value, credentials->size);
    umbel_out_text(&asked, "\n");
    deciding = true;
}

static int host_ask(struct umbel_client *client, uint64_t tag, const struct umbel_request *request)
{
    struct umbel_json *messages = umbel_json_parse(request->messages, request->messages_size, NULL, 0);

    (void)client;
    REQUIRE(!answering && tag);
    if (messages) {
        REQUIRE(umbel_json_count(messages) == 1);
        REQUIRE(umbel_json_type(umbel_json_member(umbel_json_first(messages), "content")) == UMBEL_JSON_STRING);
    } else {
        REQUIRE(memmem(request->messages, request->messages_size, "\\u0000", 6)); /* what the core does not take, and says so */
    }
    umbel_json_free(messages);
    umbel_out_put(&asked, request->messages, request->messages_size);
    answering = tag;
    return 0;
}

static int host_resume(struct umbel_client *client, uint64_t tag, const char *id, uint64_t position)
{
    (void)client;
    REQUIRE(!answering && tag && strlen(id) < 64);
    umbel_out_printf(&asked, "resume %s %llu\n", id, (unsigned long long)position);
    answering = tag;
    return 0;
}

static int host_stop(struct umbel_client *client, uint64_t tag, const char *id)
{
    (void)client, (void)tag, (void)id;
    return 0;
}

static void host_abandon(struct umbel_client *client, uint64_t tag)
{
    (void)client;
    REQUIRE(tag == answering);
    answering = 0;
}

static void host_count(const struct umbel_host *host, const char *name, uint64_t add)
{
    (void)host, (void)name, (void)add;
}

static const struct umbel_host host = {.struct_size = sizeof host,
                                       .client_open = host_open,
                                       .client_close = host_close,
                                       .authorize = host_authorize,
                                       .ask = host_ask,
                                       .resume = host_resume,
                                       .stop = host_stop,
                                       .abandon = host_abandon,
                                       .count = host_count};

/* One step of what the host owes: a decision, then the answer.  False: it owes nothing. */
static bool host_step(void)
{
    uint64_t tag = answering;

    if (deciding) {
        deciding = false;
        tcp_host_codec.authorized(one, 0, "");
    } else if (tag) {
        answering = 0;
        tcp_host_codec.refused(one, tag, UMBEL_ERROR_NOT_FOUND, "no such answer");
    } else {
        return false;
    }
    return true;
}

/* ---- the codec: example-line's, with a look at what it is given ---- */

static int spy_line(void *self, struct umbel_tcp_client *client, const char *text, size_t size)
{
    int r;

    REQUIRE(!too_long && !closed && size <= tcp.max_line && memchr(text, '\n', size) == NULL);
    r = codec.line(self, client, text, size);
    if (r == UMBEL_TCP_LATER)
        return r;
    umbel_out_put(&taken, text, size);
    umbel_out_text(&taken, "\n");
    return r;
}

static void spy_too_long(void *self, struct umbel_tcp_client *client)
{
    REQUIRE(!too_long);
    too_long = true;
    codec.too_long(self, client);
}

static void spy_closed(void *self, struct umbel_tcp_client *client)
{
    (void)self;
    REQUIRE(client == one && closed);
    one = NULL;
}

/* What the carrier should make of it: lines until one is too long.  True: one was. */
static bool cut_lines(const char *bytes, size_t size, size_t limit, struct umbel_out *ret_lines)
{
    const char *end = bytes + size;

    while (bytes < end) {
        const char *feed = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t length = (size_t)((feed ? feed : end) - bytes);
        length -= length && bytes[length - 1] == '\r';
        if (length > limit)
            return true;
        if (!feed)
            return false;
        umbel_out_put(ret_lines, bytes, length);
        umbel_out_text(ret_lines, "\n");
        bytes = feed + 1;
    }
    return false;
}

static void feed(const char *bytes, size_t size)
{
    next_bytes = bytes;
    next_size = size;
    for (unsigned work = 0; one && next_size; work++) {
        REQUIRE(work < WORK_MAX);
        if (readable)
            on_readable(-1, 0, one);
        else
            REQUIRE(host_step()); /* bytes wait and are not read: because the host owes something */
        if (one)
            REQUIRE(one->in.size <= tcp.max_line + 1u + TCP_READ);
        tcp_turn(&tcp);
    }
    next_bytes = NULL;
}

/* The bytes through a fresh connection.  restless: the host moves between pieces. */
static void run(const uint8_t *data, size_t size, uint64_t seed, bool restless)
{
    struct pieces pieces = pieces_of(data, size, seed);
    const char *piece;
    size_t length;

    umbel_out_reset(&taken);
    umbel_out_reset(&asked);
    umbel_out_reset(&sent);
    too_long = closed = deciding = readable = false;
    answering = 0;
    list_init(&tcp.clients);
    list_init(&tcp.due);
    list_init(&tcp.dead);
    tcp.connections = 0;
    tcp_client_new(&tcp, -1, "a client");
    REQUIRE(!list_is_empty(&tcp.clients));
    one = list_entry(tcp.clients.next, struct umbel_tcp_client, link);
    readable = true;
    while (one && (piece = pieces_next(&pieces, &length))) {
        feed(piece, length);
        if (one && restless && length % 3 == 0)
            host_step();
        if (one)
            tcp_turn(&tcp);
    }
    pieces_end(&pieces);
    for (unsigned work = 0; one && host_step(); work++) {
        REQUIRE(work < WORK_MAX);
        tcp_turn(&tcp);
    }
    whole = one != NULL;
    if (one) {
        REQUIRE(!one->ending == !too_long); /* nothing else ends it */
        REQUIRE(one->ending || one->in.size <= tcp.max_line + 1u);
        tcp_client_kill(one);
        tcp_turn(&tcp);
    }
    REQUIRE(!one && tcp.connections == 0 && !taken.failed && !asked.failed && !sent.failed);
}

static bool same(const struct umbel_out *a, const struct umbel_out *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct umbel_out lines = {0}, first_asked = {0}, first_sent = {0};

    if (size < 1)
        return 0;
    spy = codec;
    spy.line = spy_line;
    spy.too_long = spy_too_long;
    spy.closed = spy_closed;
    tcp = (struct umbel_tcp){.host = &host, .codec = &spy, .max_line = 8u + data[0] % 64u};
    bool over = cut_lines((const char *)data + 1, size - 1, tcp.max_line, &lines);
    for (uint64_t seed = 0; seed < 3; seed++) {
        run(data + 1, size - 1, seed, data[0] & 64);
        REQUIRE(whole && same(&taken, &lines) && too_long == over);
        if (data[0] & 64)
            continue; /* when the host moves decides what a question meets */
        if (seed == 0) {
            umbel_out_put(&first_asked, asked.data, asked.size);
            umbel_out_put(&first_sent, sent.data, sent.size);
        }
        REQUIRE(same(&asked, &first_asked) && same(&sent, &first_sent));
    }
    umbel_out_free(&lines);
    umbel_out_free(&first_asked);
    umbel_out_free(&first_sent);
    umbel_out_free(&taken);
    umbel_out_free(&asked);
    umbel_out_free(&sent);
    return 0;
}
