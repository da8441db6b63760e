/* Fuzz: a transport's process hears the core.  The core is no stranger, but a host must end in an orderly way whatever it hears: no crash,
 * each thing the plugin asked for is answered at most once, nothing is called for a client that is gone.  And what the host says meanwhile is
 * frames as the core reads them.
 * Input: steps of four bytes and what follows: a type below 64 is something that a client does, else a frame: type, tag, u16 size, body. */
#include "core/host/host_channel.c" /* itself: its handlers are called as the channel calls them */

#include "core/metrics/core_stats.h"
#include "core/stream/bus.h"
#include "tests/fuzz/pieces.h"

#define CLIENTS 4u

struct player {
    struct umbel_client *client; /* NULL: not there */
    struct umbel_reader *reader;
    uint8_t mood;  /* what its callbacks do */
};

static struct bus *bus;
static struct stats_page *core_stats, *host_stats;
static struct ring_memory ring, journal, page; /* mapped once: a process finds them as the one before has left them */
static struct hosting *h;
static struct player players[CLIENTS];
static struct journal_ref live;

static void leave(struct player *player)
{
    struct umbel_client *client = player->client;

    player->client = NULL;
    player->reader = NULL;
    host_client_close(client);
}

static void player_authorized(void *data, uint32_t error, const char *text)
{
    struct player *player = data;

    REQUIRE(player->client && text);
    (void)error;
    if (player->mood & 1)
        leave(player);
}

static int player_began(void *data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct player *player = data;

    (void)tag;
    REQUIRE(player->client && strlen(stream->id) == 41);
    if (player->mood & 2)
        return -1;
    player->reader = reader;
    ret_options->reader_data = player;
    ret_options->variant = player->mood & 4 ? UMBEL_VARIANT_PRIVATE : 0;
    return 0;
}

static void player_refused(void *data, uint64_t tag, uint32_t error, const char *text)
{
    struct player *player = data;

    (void)tag;
    REQUIRE(player->client && error && text);
    if (player->mood & 8)
        leave(player);
}

static int player_encode(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    (void)self, (void)stream;
    REQUIRE((variant == UMBEL_VARIANT_PRIVATE) == (data != NULL));
    umbel_out_put(out, "x", 1);
    umbel_out_put(out, event->data ? event->data : "", event->size);
    return 0;
}

static int player_write(void *data, const void *bytes, size_t size, int last)
{
    struct player *player = data;

    (void)bytes, (void)last;
    REQUIRE(player->client && size > 0);
    return player->mood & 16 ? UMBEL_WRITE_FULL : player->mood & 32 ? -1 : UMBEL_WRITE_READY;
}

static void player_ended(void *data, uint32_t verdict)
{
    struct player *player = data;

    (void)verdict;
    REQUIRE(player->client);
    player->reader = NULL;
}

static const struct umbel_codec codec = {.struct_size = sizeof codec,
                                         .authorized = player_authorized,
                                         .began = player_began,
                                         .refused = player_refused,
                                         .encode = player_encode,
                                         .write = player_write,
                                         .ended = player_ended};

/* ---- the plugin ---- */

static int plugin_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    REQUIRE(host->config_text(config, "tls_cert") && host->config_integer(config, "max_connections") >= 0);
    host->config_text(config, "text");
    host->config_item(config, "list", 0);
    *ret_self = players;
    return 0;
}

static void plugin_drain(void *self, uint32_t ms)
{
    (void)self, (void)ms;
}

static int plugin_reload(void *self)
{
    (void)self;
    return 0;
}

static void plugin_command(void *self, uint64_t id, const char *word, const char *const *arguments, uint32_t count)
{
    size_t all = strlen(word);

    (void)self;
    for (uint32_t i = 0; i < count; i++)
        all += strlen(arguments[i]);
    h->api.reply(&h->api, id, all % 2 ? "no" : NULL, "");
}

/* ---- the process ---- */

static void make_bus(void)
{
    struct journal_identity identity = {.app = "shop", .model = "demo", .session = "s"};
    struct why why = {""};
    char path[64];

    snprintf(path, sizeof path, "/tmp/umbel-fuzz-host-core-%d", (int)getpid());
    REQUIRE(core_stats_create(path, 64, 4, 4, &core_stats, &why) == 0);
    unlink(path);
    REQUIRE(bus_create(1024, 1 << 20, core_stats, &bus, &why) == 0);
    REQUIRE(bus_open(bus, &identity, &live) == 0);
    REQUIRE(ring_memory_map(bus_ring_fd(bus), 0, 0, &ring, &why) == 0);
    REQUIRE(ring_memory_map(bus_journal_fd(bus), 0, 0, &journal, &why) == 0);
    REQUIRE(ring_memory_create_shared("page", sizeof(struct ring_reader_page), &page, &why) == 0);
    snprintf(path, sizeof path, "/tmp/umbel-fuzz-host-%d", (int)getpid());
    REQUIRE(host_stats_create(path, "fuzz", CLIENTS, &host_stats, &why) == 0);
    unlink(path);
    REQUIRE(bus_event(bus, live, UMBEL_EVENT_TEXT, "hello", 5, clock_now_ns()) == 0);
}

static void open_process(void)
{
    static struct event_base *base;
    struct why why = {""};

    if (!base)
        base = event_base_new();
    h = calloc(1, sizeof *h);
    REQUIRE(base && h);
    struct list *lists[] = {&h->all_feeds,    &h->dirty,        &h->reports,      &h->catchup, &h->clients,
                            &h->dead_clients, &h->dead_readers, &h->dead_watches, &h->unasked};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    host_request_init(h);
    h->ring_memory = ring;
    h->journal_memory = journal;
    h->page_memory = page;
    h->page = page.base;
    h->stats = host_stats;
    REQUIRE(ring_reader_open(&h->ring_memory, &h->ring, &why) == 0);
    REQUIRE(journal_reader_open(&h->journal_memory, &h->journal, &why) == 0);
    h->feeds = calloc(h->journal.slots, sizeof(struct host_feed *));
    REQUIRE(h->feeds && host_watch_init(h) == 0);
    h->scratch_size = HOSTING_TEXT_MAX;
    h->scratch = malloc(h->scratch_size);
    h->max_connections = CLIENTS;
    h->stats_fd = -1;
    h->base = base;
    h->channel = bufferevent_socket_new(base, -1, 0);
    REQUIRE(h->channel && h->feeds && h->scratch && kept_create(CONTROL_KEPT_MAX, &h->kept) == 0);
    h->transport = (struct umbel_transport){.struct_size = sizeof h->transport,
                                            .name = "fuzz",
                                            .version = "1",
                                            .open = plugin_open,
                                            .drain = plugin_drain,
                                            .reload = plugin_reload,
                                            .command = plugin_command};
    host_services_fill(h);
    memset(players, 0, sizeof players);
}

/* ---- what it says ---- */

static int read_said(void *owner, uint32_t type, uint64_t tag, struct control_in *in)
{
    uint64_t count;

    (void)owner, (void)tag;
    switch (type) {
    case CONTROL_READY:
    case CONTROL_DRAINED:
        break;
    case CONTROL_AUTH:
        count = control_get(in);
        REQUIRE(count <= CONTROL_CREDENTIALS_MAX);
        for (uint64_t i = 0; i < count; i++) {
            control_get(in);
            control_get_text(in, CONTROL_CREDENTIAL_MAX);
        }
        control_get_text(in, CONTROL_TEXT_MAX);
        break;
    case CONTROL_ASK:
        control_get(in);
        control_get(in);
        control_get_text(in, CONTROL_TEXT_MAX);
        control_get_text(in, CONTROL_TEXT_MAX);
        control_get_text(in, CONTROL_BODY_MAX);
        control_get_text(in, CONTROL_BODY_MAX);
        break;
    case CONTROL_RESUME:
    case CONTROL_WATCH:
    case CONTROL_STOP:
        REQUIRE(control_get(in) != 0);
        control_get_text(in, CONTROL_TEXT_MAX);
        break;
    case CONTROL_READERS:
        control_get(in);
        control_get(in);
        control_get(in);
        break;
    case CONTROL_REPLIED:
        control_get_text(in, CONTROL_BODY_MAX);
        control_get_text(in, CONTROL_BODY_MAX);
        break;
    default:
        REQUIRE(type == CONTROL_LEAVE);
        REQUIRE(control_get(in) & CONTROL_GRANT_HELD);
    }
    REQUIRE(control_done(in));
    return 0;
}

static void hear_said(void)
{
    struct evbuffer *out = bufferevent_get_output(h->channel);
    size_t size = evbuffer_get_length(out);
    struct control_parser parser = {0};

    if (size) {
        char *bytes = malloc(size);
        evbuffer_unfreeze(out, 1);
        REQUIRE(bytes && evbuffer_remove(out, bytes, size) == (int)size);
        REQUIRE(control_feed(&parser, bytes, size, read_said, NULL) == 0 && parser.size == 0);
        free(bytes);
    }
    control_parser_free(&parser);
}

static void turn(void)
{
    host_tell_unasked(h);
    host_feeds_take(h, UINT64_MAX);
    host_feeds_flush(h);
    hosting_sweep(h);
    host_reports(h, clock_now_ns());
    host_client_rows(h);
    hear_said();
}

/* ---- the script ---- */

static void act(uint8_t what, uint8_t who, uint8_t mood, uint8_t number)
{
    struct player *player = &players[who % CLIENTS];
    struct umbel_credential credentials[CONTROL_CREDENTIALS_MAX + 1];
    struct umbel_request request = {.struct_size = sizeof request, .session = "s", .messages = "[]", .messages_size = 2};

    for (size_t i = 0; i < sizeof credentials / sizeof *credentials; i++)
        credentials[i] = (struct umbel_credential){.kind = number % 4, .value = "key", .size = 3};
    player->mood = mood;
    if (!player->client) {
        if (what % 8 == 0)
            player->client = host_client_open(&h->api, &codec, players, player, "127.0.0.1");
        return;
    }
    switch (what % 8) {
    case 0:
        host_authorize(player->client, credentials, number % (CONTROL_CREDENTIALS_MAX + 2));
        break;
    case 1:
        host_ask(player->client, number, &request);
        break;
    case 2:
        host_watch(player->client, number, number % 2 ? "s" : "");
        break;
    case 3:
        host_unwatch(player->client, number);
        break;
    case 4:
        host_resume(player->client, number, "chatcmpl-1", number);
        break;
    case 5:
        host_abandon(player->client, number);
        break;
    case 6:
        host_stop_stream(player->client, number, "chatcmpl-1");
        break;
    default:
        if (player->reader && number % 2)
            host_reader_make_ready(player->reader);
        else
            leave(player);
    }
}

static void close_process(void)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        if (players[i].client)
            leave(&players[i]);
    do
        turn();
    while (host_feeds_busy(h));
    turn();
    REQUIRE(h->reader_count == 0 && h->feed_count == 0 && h->client_count == 0 && h->watch_count == 0);
    struct event_base *base = h->base;
    host_channel_close(h);
    event_base_loop(base, EVLOOP_NONBLOCK); /* where libevent lets go of it */
    host_files_free(&h->files);
    config_section_free(&h->section);
    kept_free(h->kept);
    umbel_out_free(&h->encoded);
    free(h->feeds);
    free(h->shown);
    free(h->scratch);
    free(h);
    h = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int r = 0;

    if (!bus) {
        log_change(LOG_ERROR - 1, false);
        make_bus();
    }
    open_process();
    while (size >= 4 && r == 0 && !h->done) {
        if (data[0] < 64) {
            act(data[0], data[1], data[2], data[3]);
            data += 4;
            size -= 4;
        } else {
            size_t body = (size_t)data[2] << 8 | data[3];
            if (body > size - 4)
                body = size - 4;
            char *exact = malloc(body ? body : 1); /* a read past the end is seen */
            REQUIRE(exact);
            memcpy(exact, data + 4, body);
            struct control_in in = {.at = exact, .end = exact + body};
            r = frame(h, data[0], data[1], &in);
            free(exact);
            data += 4 + body;
            size -= 4 + body;
        }
        turn();
    }
    close_process();
    return 0;
}
