/* plugin-check/check_clients.c - clients that are slow, go away, or are there when the transport drains. */
#include <string.h>
#include <sys/socket.h>

#include "tools/plugin-check/check_cases.h"
#include "tools/plugin-check/check_rig.h"

#define SLOW_TEXT (8u << 20)    /* published while the client does not read */
#define SLOW_TAKEN (5u << 20)   /* more than the kernel's buffers of one connection hold */
#define NARROW 4096             /* the client's receive buffer, and when it reads again */
#define WIDE (1 << 20)
#define QUIET_TURNS 100u        /* turns without a byte: nothing more will be taken */
#define PIECE 1000u
#define STEP (1u << 20)         /* of the text: so much must come within the patience */

static void put_long_text(struct fake_stream *stream, size_t size)
{
    char piece[PIECE + 1];

    for (size_t at = 0; at < size; at += PIECE) {
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = (char)('a' + (at / PIECE + i) % 26);
        piece[PIECE] = '\0';
        fake_stream_text(stream, piece);
    }
}

static bool is_long_text(const struct umbel_out *text, size_t size)
{
    for (size_t i = 0; i < text->size; i++)
        if (text->data[i] != (char)('a' + (i / PIECE + i % PIECE) % 26))
            return false;
    return text->size == size;
}

/* Turns until nothing has been encoded for a while: the client's way is full. */
static void wait_for_quiet(struct rig *rig)
{
    uint64_t before = fake_host_stats(rig->host)->encoded_bytes, end_s = rig_now_s() + rig->patience_s;

    for (unsigned quiet = 0; quiet < QUIET_TURNS && rig_now_s() <= end_s; quiet++) {
        rig_turn(rig, 2);
        if (fake_host_stats(rig->host)->encoded_bytes != before)
            quiet = 0;
        before = fake_host_stats(rig->host)->encoded_bytes;
    }
}

static bool is_over(const struct wire *wire)
{
    return wire->ended || wire->errors || wire->terminals;
}

void case_slow(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    struct wire wire;
    size_t size = SLOW_TEXT / PIECE * PIECE;

    rig_open(&rig);
    rig_client(&rig, &wire, PLAN_KEY, NARROW);
    rig_ask(&rig, &wire);
    rig.deaf = true;
    put_long_text(rig.stream, size);
    uint64_t before = fake_host_stats(rig.host)->encoded_bytes;
    wait_for_quiet(&rig);
    uint64_t taken = fake_host_stats(rig.host)->encoded_bytes - before;
    if (taken > SLOW_TAKEN)
        rig_fail("a client that does not read was given %llu bytes, expected UMBEL_WRITE_FULL before: they wait in the plugin's memory",
                 (unsigned long long)taken);
    if (wire.fd >= 0 && fake_host_stats(rig.host)->clients == 0)
        rig_fail("a client that does not read for a moment was dropped; slow_client_s is 600");
    fake_stream_close(rig.stream, UMBEL_VERDICT_COMPLETE);
    setsockopt(wire.fd, SOL_SOCKET, SO_RCVBUF, &(int){WIDE}, sizeof(int)); /* or the rest would trickle */
    rig.deaf = false;
    rig.patience_s *= 3; /* it is a lot of text for a sanitizer */
    for (size_t part = STEP; part < size && !is_over(&wire); part += STEP) /* part by part: a plugin may pace clients that catch up */
        RIG_UNTIL(&rig, wire.text.size >= part || is_over(&wire), "when it reads again a slow client gets %zu bytes of text of %zu, and no more",
                  wire.text.size, size);
    rig_end_of(&rig, &wire, 0);
    if (!is_long_text(&wire.text, size) || wire.terminals != 1)
        rig_fail("when it reads again a slow client gets %zu bytes of text and %u terminals, expected %zu and 1, nothing lost or doubled",
                 wire.text.size, wire.terminals, size);
    rig_note("%llu KiB waited of %u", (unsigned long long)taken >> 10, SLOW_TEXT >> 10);
    rig_close(&rig);
}

void case_gone(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};

    rig_open(&rig);
    for (int reset = 0; reset < 2; reset++) {
        struct wire wire, late;
        rig_client(&rig, &wire, PLAN_KEY, 0);
        rig_client(&rig, &late, PLAN_KEY, 0);
        rig_ask(&rig, &wire);
        fake_stream_text(rig.stream, "half");
        RIG_UNTIL(&rig, wire.text.size || wire.ended, "the text of a running answer does not come");
        struct fake_stream *stream = rig.stream;
        rig_leave(&rig, &wire, reset);
        wire_ask(&late, PLAN_KEY, "and I am gone at once");
        wire_pump(&late, true);
        rig_leave(&rig, &late, reset);
        RIG_UNTIL(&rig, fake_host_stats(rig.host)->clients == 0 && fake_host_stats(rig.host)->live_readers == 0,
                  "clients have gone (%s), and %u clients with %u readers are still held", reset ? "reset" : "closed",
                  fake_host_stats(rig.host)->clients, fake_host_stats(rig.host)->live_readers);
        if (fake_host_stats(rig.host)->stops)
            rig_fail("a client went away, and its answer was stopped for all: leaving is not stopping");
        if (!fake_stream_is_closed(stream)) {
            fake_stream_text(stream, "the rest");
            fake_stream_close(stream, UMBEL_VERDICT_COMPLETE);
        }
        rig_talk(&rig, "after clients have gone");
    }
    rig_close(&rig);
}

void case_drain(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    struct wire idle, busy;

    rig_open(&rig);
    rig_client(&rig, &idle, PLAN_KEY, 0);
    rig_client(&rig, &busy, PLAN_KEY, 0);
    rig_ask(&rig, &busy);
    fake_stream_text(rig.stream, "half");
    RIG_UNTIL(&rig, busy.text.size || busy.ended, "the text of a running answer does not come");
    fake_host_drain(rig.host);
    RIG_UNTIL(&rig, idle.ended, "drain(): a client without an answer is not ended");
    if (busy.ended || fake_host_stats(rig.host)->drained)
        rig_fail("drain(): %s, and an answer still runs; begun answers must end first", busy.ended ? "its client was cut off" : "drained() was called");
    fake_stream_text(rig.stream, " and half");
    fake_stream_close(rig.stream, UMBEL_VERDICT_COMPLETE);
    rig_end_of(&rig, &busy, 0);
    RIG_UNTIL(&rig, fake_host_stats(rig.host)->drained, "drain(): the last answer has ended, and drained() is not called");
    if (busy.text.size != 13 || busy.terminals != 1)
        rig_fail("drain(): the running answer came with %zu bytes of text and %u terminals, expected 13 and 1", busy.text.size, busy.terminals);
    rig_close(&rig);
    rig_open(&rig);
    rig_turn(&rig, 0);
    fake_host_drain(rig.host);
    RIG_UNTIL(&rig, fake_host_stats(rig.host)->drained, "drain() without any client: drained() is not called");
    rig_close(&rig);
}

/* The host closes a plugin whatever its clients do: in the middle of everything. */
void case_close(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    struct wire asking, reading, fresh;

    rig_open(&rig);
    rig_client(&rig, &reading, PLAN_KEY, NARROW);
    rig_client(&rig, &asking, PLAN_KEY, 0);
    rig_client(&rig, &fresh, NULL, 0);
    rig_ask(&rig, &reading);
    rig.deaf = true;
    put_long_text(rig.stream, 1u << 20);
    wire_ask(&asking, PLAN_KEY, "and you");
    for (unsigned i = 0; i < 20; i++)
        rig_turn(&rig, 0);
    fake_host_close(rig.host);
    unsigned left = fake_host_stats(rig.host)->clients;
    if (left)
        rig_fail("close() leaves %u clients open at the host", left);
    rig_close(&rig);
}
