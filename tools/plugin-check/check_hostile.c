/* plugin-check/check_hostile.c - clients that mean harm; and whether a long life leaves anything behind. */
#include <stdlib.h>
#include <string.h>

#include "tools/plugin-check/check_cases.h"
#include "tools/plugin-check/check_rig.h"

#define SEEDS 60u
#define GARBAGE 4096u
#define HUGE_SIZE (16u << 20)
#define HUGE_HELD (8u << 20) /* bytes more than before: no bounded plugin holds that much for one client */
#define TINY 10000u
#define TINY_DEAF (30 * TINY) /* answers to these that nobody reads would pass HUGE_HELD */
#define TALKS 30u
#define ROUNDS 5u
#define COUNTED 3u /* of these; what libraries keep from their first use does not count, a leak grows in each */
#define LEAK_BYTES 16u

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void pump_out(struct rig *rig, struct wire *wire, size_t heap, const char *what)
{
    uint64_t end_s = rig_now_s() + rig->patience_s;

    while (wire->send.size && !wire->ended && rig_now_s() <= end_s) {
        rig_turn(rig, 2);
        if (rig_heap() > heap + HUGE_HELD)
            rig_fail("%s: the plugin holds %zu MiB for one client: bound what you keep", what, (rig_heap() - heap) >> 20);
    }
}

static void all_gone(struct rig *rig, const char *what)
{
    RIG_UNTIL(rig, fake_host_stats(rig->host)->clients == 0, "%s: the client has gone and is still held", what);
    rig_talk(rig, what);
}

/* Random bytes before anything, instead of a question, and as the payload of whole units. */
void case_garbage(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    unsigned char bytes[GARBAGE];

    rig_open(&rig);
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct wire wire;
        uint32_t state = seed;
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (unsigned char)next_random(&state);
            if (seed % 4 == 3 && bytes[i] < 128) /* things that look like protocols */
                bytes[i] = (unsigned char)"{}[]\":,\\\n\r x0GET /"[bytes[i] % 19];
        }
        size_t size = seed % 5 ? sizeof bytes : 1 + seed;
        rig_client(&rig, &wire, seed % 2 && plan->carrier != PLAN_HTTP ? PLAN_KEY : NULL, 0);
        if (plan->carrier == PLAN_WS && seed % 4 == 1)
            wire_frame(&wire, 0x81, bytes, size);
        else if (plan->carrier == PLAN_WS && seed % 4 == 3)
            for (size_t at = 0; at + 64 <= size; at += 64)
                wire_frame(&wire, bytes[at] & 0x8fu, bytes + at, 64);
        else
            wire_raw(&wire, bytes, size);
        if (plan->carrier != PLAN_WS)
            wire_raw(&wire, plan->carrier == PLAN_HTTP ? "\r\n\r\n" : plan->separator, plan->carrier == PLAN_HTTP ? 4 : strlen(plan->separator));
        pump_out(&rig, &wire, SIZE_MAX / 2, "random bytes");
        for (unsigned i = 0; i < 5; i++)
            rig_turn(&rig, 0);
        rig_leave(&rig, &wire, seed % 3 == 0);
    }
    all_gone(&rig, "after random bytes");
    rig_close(&rig);
}

/* One unit without an end, one whose announced size is huge, one question that is too long. */
void case_huge(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    char *block = malloc(HUGE_SIZE);

    if (!block)
        rig_skip("no memory");
    memset(block, 'x', HUGE_SIZE);
    rig_open(&rig);
    rig_talk(&rig, "before");
    for (unsigned way = 0; way < 3; way++) {
        struct wire wire;
        rig_client(&rig, &wire, plan->carrier == PLAN_HTTP ? NULL : PLAN_KEY, 0);
        if (plan->carrier == PLAN_WS)
            wire_frame(&wire, way == 1 ? 0x01 : 0x81, block, HUGE_SIZE);
        else if (plan->carrier == PLAN_HTTP && way == 1)
            wire_raw(&wire, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 57);
        else if (plan->carrier == PLAN_HTTP && way == 2)
            wire_raw(&wire, "POST / HTTP/1.1\r\nHost: x\r\nX: ", 30);
        wire_raw(&wire, block, HUGE_SIZE);
        size_t heap = rig_heap();
        pump_out(&rig, &wire, heap, "huge input");
        rig_leave(&rig, &wire, way == 2);
        all_gone(&rig, "after huge input");
    }
    free(block);
    rig_close(&rig);
}

static void put_tiny(struct wire *wire, const struct plan *plan)
{
    if (plan->carrier == PLAN_WS)
        wire_frame(wire, 0x81, "x", 1);
    else if (plan->carrier == PLAN_HTTP)
        wire_raw(wire, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 28);
    else
        wire_raw(wire, plan->separator, strlen(plan->separator));
}

/* Ten thousand tiny units from a client that reads, and many more from one that does not. */
void case_tiny(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};

    rig_open(&rig);
    rig_talk(&rig, "before");
    for (unsigned way = 0; way < 2; way++) {
        struct wire wire;
        rig_client(&rig, &wire, plan->carrier == PLAN_HTTP ? NULL : PLAN_KEY, way ? 4096 : 0);
        rig.deaf = way;
        for (unsigned i = 0; i < (way ? TINY_DEAF : TINY); i++)
            put_tiny(&wire, plan);
        size_t heap = rig_heap();
        if (way)
            rig.patience_s = 2; /* it may be held back for ever: that is right */
        pump_out(&rig, &wire, heap, "tiny units");
        rig.patience_s = rig_patience_s();
        rig.deaf = false;
        rig_leave(&rig, &wire, false);
        all_gone(&rig, "after ten thousand tiny units");
    }
    rig_close(&rig);
}

static void talks(struct rig *rig)
{
    for (unsigned i = 0; i < TALKS; i++) {
        rig_talk(rig, "in a long life");
        RIG_UNTIL(rig, fake_host_stats(rig->host)->clients == 0, "in a long life: a client has gone and is still held");
    }
}

void case_leaks(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    size_t before = 0, least = SIZE_MAX;
    unsigned fds = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        rig_open(&rig);
        talks(&rig);
        rig_close(&rig); /* frees the answers */
        size_t heap = rig_heap(), grown = heap > before ? heap - before : 0;
        before = heap;
        if (i == 0)
            fds = rig_fds();
        if (i >= ROUNDS - COUNTED)
            least = grown < least ? grown : least;
    }
    if (least >= TALKS * LEAK_BYTES)
        rig_fail("each client leaves %zu bytes behind", least / TALKS);
    if (rig_fds() > fds)
        rig_fail("%u descriptors are left open", rig_fds() - fds);
    rig_note("%s, %u clients", rig_has_sanitizer() ? "by the leak checker" : "by counting; -fsanitize=address sees more", ROUNDS * TALKS);
}
