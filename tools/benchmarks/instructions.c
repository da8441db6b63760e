/* instructions - the way of a delta through the engine on fixed input, for counting instructions: HTTP chunk, SSE, dialect, journal, ring.  No sockets
 * and no clock, so that two runs with different numbers of deltas differ by nothing but the deltas.  tools/check/instructions runs it.
 *
 *   umbel-instructions DELTAS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <umbel/event.h>

#include "core/http/http_response.h"
#include "core/metrics/core_stats.h"
#include "core/parse/dialect.h"
#include "core/stream/bus.h"

#define JOURNAL_BYTES (64u << 20)
#define CHUNKS 8u

struct way {
    struct dialect_reader *reader;
    struct bus *bus;
    struct journal_ref ref;
    unsigned long deltas;
};

static void die(const char *what)
{
    fprintf(stderr, "umbel-instructions: %s\n", what);
    exit(1);
}

static int take_event(void *owner, const struct parse_event *event)
{
    struct way *way = owner;

    if (event->kind == PARSE_TEXT) {
        way->deltas++;
        return bus_event(way->bus, way->ref, UMBEL_EVENT_TEXT, event->text.data, event->text.size, way->deltas);
    }
    return 0;
}

static int take_head(void *owner, const struct http_head *head)
{
    (void)owner;
    return head->status == 200 ? 0 : -1;
}

static int take_body(void *owner, struct span bytes)
{
    struct way *way = owner;
    struct why why = {""};

    return dialect_feed(way->reader, bytes.data, bytes.size, &why);
}

static const struct http_response_calls calls = {.head = take_head, .body = take_body};

static void wake_nobody(void *owner, int eventfd, bool near)
{
    (void)owner;
    (void)eventfd;
    (void)near;
}

/* A chunk of 250 bytes of JSON, as services send them; every eighth text has what needs care: an escape and two wide characters. */
static size_t make_chunk(char *chunk, size_t room, unsigned long number)
{
    char event[400];
    const char *text = number ? "a piece of text, as long as they are" : "\\\"\xe4\xbd\xa0\xe5\xa5\xbd\\\" and the rest of it all";
    int size = snprintf(event, sizeof event,
                        "data: {\"id\":\"chatcmpl-0123456789abcdef0123456789\",\"object\":\"chat.completion.chunk\","
                        "\"created\":1760000000,\"model\":\"some-model-1\",\"system_fingerprint\":\"fp_0123456789\","
                        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                        text);

    return (size_t)snprintf(chunk, room, "%x\r\n%s\r\n", (unsigned)size, event);
}

int main(int argc, char **argv)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    char path[] = "/tmp/umbel-instructions-XXXXXX", chunks[CHUNKS][512];
    size_t sizes[CHUNKS];
    struct journal_identity identity = {.app = "app", .model = "model", .opened_ns = 1};
    struct http_response response;
    struct stats_page *stats;
    struct way way = {0};
    struct why why = {""};
    int fd = mkstemp(path);

    if (fd == -1 || core_stats_create(path, 64, 1, 1, &stats, &why) < 0 || bus_create(65536, JOURNAL_BYTES, stats, &way.bus, &why) < 0 ||
        dialect_create("openai", NULL, 0, take_event, &way, &way.reader) < 0 || bus_open(way.bus, &identity, &way.ref) < 0)
        die(why.text);
    for (unsigned i = 0; i < CHUNKS; i++)
        sizes[i] = make_chunk(chunks[i], sizeof chunks[i], i);
    http_response_begin(&response, HTTP_REQUEST_BODY, &calls, &way);
    if (http_response_feed(&response, head, sizeof head - 1, NULL, &why) < 0)
        die(why.text);
    for (unsigned long i = 0; i < wanted; i++) {
        if (http_response_feed(&response, chunks[i % CHUNKS], sizes[i % CHUNKS], NULL, &why) < 0)
            die(why.text);
        bus_flush(way.bus, i, wake_nobody, NULL);
    }
    if (way.deltas != wanted)
        die("not every delta came through");
    http_response_end(&response);
    dialect_free(way.reader);
    bus_free(way.bus);
    stats_page_free(stats);
    close(fd);
    unlink(path);
    return 0;
}
