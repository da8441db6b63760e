/* plugin-check/check_answers.c - what a client is told of an answer. */
#include <stdio.h>
#include <string.h>

#include "tools/plugin-check/check_cases.h"
#include "tools/plugin-check/check_rig.h"

/* Characters of one to four bytes, and what could be taken for the end of a line, an event or a string. */
static const char *const pieces[] = {"a", "é", "世", "🌍", "\n", "\r\n", "\"", "\\", "\t", "data: [DONE]", "\n\n", "€", "𝄞", " ", "\x7f",
                                     "</script>", "\xe2\x80\xa8", "{\"x\":1}", "ﬀ", "\x01", "done", "0"};
#define PIECES (sizeof pieces / sizeof *pieces)
#define ROUNDS 40u

static size_t equal_until(const struct umbel_out *a, const struct umbel_out *b)
{
    size_t at = 0;

    while (at < a->size && at < b->size && a->data[at] == b->data[at])
        at++;
    return at;
}

/* One character at a time, now live, now many merged. */
void case_characters(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    struct wire wire;
    struct umbel_out sent = {0};

    rig_open(&rig);
    rig_client(&rig, &wire, PLAN_KEY, 0);
    rig_ask(&rig, &wire);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < PIECES; i++) {
            const char *piece = pieces[(i * 7 + round) % PIECES];
            fake_stream_text(rig.stream, piece);
            umbel_out_text(&sent, piece);
            if (round < ROUNDS / 2)
                rig_turn(&rig, 0);
        }
    fake_stream_close(rig.stream, UMBEL_VERDICT_COMPLETE);
    rig_end_of(&rig, &wire, 0);
    if (wire.unreadable)
        rig_fail("%u units are not what \"text\" says (no JSON, or no valid UTF-8)", wire.unreadable);
    size_t same = equal_until(&wire.text, &sent);
    if (same < wire.text.size || same < sent.size)
        rig_fail("the text differs at byte %zu of %zu: characters are cut, lost, doubled or not escaped (the client has %zu bytes)", same,
                 sent.size, wire.text.size);
    rig_note("%zu bytes in %u units", sent.size, wire.units);
    umbel_out_free(&sent);
    rig_close(&rig);
}

static void end_with(struct rig *rig, uint32_t verdict, const char *name, bool text)
{
    bool bad = verdict == UMBEL_VERDICT_FAILED || verdict == UMBEL_VERDICT_TRUNCATED, http = rig->plan->carrier == PLAN_HTTP;
    struct wire wire;
    unsigned asks = http ? 1 : 2; /* the second answer shows an end that comes late */

    rig_client(rig, &wire, PLAN_KEY, 0);
    for (unsigned i = 0; i < asks; i++) {
        unsigned terminals = wire.terminals;
        wire.errors = 0;
        rig_ask(rig, &wire);
        if (text)
            fake_stream_text(rig->stream, "half");
        if (i == 0)
            fake_stream_close(rig->stream, verdict);
        else
            fake_stream_close(rig->stream, UMBEL_VERDICT_COMPLETE);
        rig_end_of(rig, &wire, terminals);
        if (i == 0 && bad && !wire.errors)
            rig_fail("%s: the client is told no error; the last that it got: %s", name, wire.last.size ? wire.last.data : "nothing");
        if (i == 0 && !bad && wire.errors)
            rig_fail("%s: the client is told an error: %s", name, wire.last.data);
        if (wire.ended && !http)
            break;
    }
    unsigned most = http || wire.ended ? 1 : 2, least = bad ? most - 1 : most;
    if (wire.terminals > most || wire.terminals < least)
        rig_fail("%s%s: %u terminals in %u answers, expected %s", name, text ? "" : " without text", wire.terminals, most,
                 bad ? "one each, or the error alone" : "one each");
    if (wire.after_end)
        rig_fail("%s: %u units came after the terminal; the last: %s", name, wire.after_end, wire.last.data);
    rig_leave(rig, &wire, false);
}

void case_terminal(const struct umbel_transport *transport, const struct plan *plan)
{
    static const char *const names[] = {[UMBEL_VERDICT_COMPLETE] = "COMPLETE",
                                        [UMBEL_VERDICT_TRUNCATED] = "TRUNCATED",
                                        [UMBEL_VERDICT_FAILED] = "FAILED",
                                        [UMBEL_VERDICT_CANCELLED] = "CANCELLED"};
    struct rig rig = {.transport = transport, .plan = plan};

    rig_open(&rig);
    for (uint32_t verdict = UMBEL_VERDICT_COMPLETE; verdict <= UMBEL_VERDICT_CANCELLED; verdict++)
        for (int text = 1; text >= 0; text--)
            end_with(&rig, verdict, names[verdict], text);
    rig_close(&rig);
}

static void refuse_with(struct rig *rig, uint32_t error, const char *name)
{
    struct wire wire;

    rig->refuse = error;
    rig_client(rig, &wire, PLAN_KEY, 0);
    rig_ask(rig, &wire);
    RIG_UNTIL(rig, wire.errors || wire.ended, "a question refused with %s: the client is told nothing", name);
    if (!wire.errors)
        rig_fail("a question refused with %s: the connection ended without an \"error\"; the last that came: %s", name,
                 wire.last.size ? wire.last.data : "nothing");
    rig_leave(rig, &wire, false);
    rig->refuse = 0;
}

static void fail_with(struct rig *rig, uint32_t error, const char *name)
{
    struct wire wire;

    rig_client(rig, &wire, PLAN_KEY, 0);
    rig_ask(rig, &wire);
    fake_stream_text(rig->stream, "half");
    RIG_UNTIL(rig, wire.text.size || wire.ended, "the text of a running answer does not come");
    fake_stream_event(rig->stream, UMBEL_EVENT_ERROR, "told so", error);
    fake_stream_close(rig->stream, UMBEL_VERDICT_FAILED);
    rig_end_of(rig, &wire, 0);
    if (!wire.errors)
        rig_fail("an answer failed with %s after text: the client is told no \"error\"; the last that came: %s", name, wire.last.data);
    rig_leave(rig, &wire, false);
}

void case_errors(const struct umbel_transport *transport, const struct plan *plan)
{
    static const char *const names[] = {"",         "AUTH",    "QUOTA",    "RATE",      "BUSY",    "BAD_REQUEST",
                                        "UPSTREAM", "TIMEOUT", "INTERNAL", "NOT_FOUND", "POSITION"};
    struct rig rig = {.transport = transport, .plan = plan};

    rig_open(&rig);
    for (uint32_t error = UMBEL_ERROR_AUTH; error <= UMBEL_ERROR_POSITION; error++)
        refuse_with(&rig, error, names[error]);
    for (uint32_t error = UMBEL_ERROR_AUTH; error <= UMBEL_ERROR_INTERNAL; error++)
        fail_with(&rig, error, names[error]);
    rig_talk(&rig, "after errors");
    rig_close(&rig);
}

void case_bad_key(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    struct wire wire;

    if (plan->anonymous)
        rig_skip("the .check file says \"anonymous\"");
    rig_open(&rig);
    rig_client(&rig, &wire, PLAN_BAD_KEY, 0);
    wire_ask(&wire, PLAN_BAD_KEY, "let me in");
    RIG_UNTIL(&rig, wire.errors || wire.ended, "a client with an unknown key asked, and is told nothing");
    if (rig.asked)
        rig_fail("the question of a client with an unknown key was asked");
    rig_talk(&rig, "after an unknown key");
    rig_close(&rig);
}

void case_dialogues(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};

    if (!plan->dialogue_count)
        rig_skip("the .check file has none");
    rig_open(&rig);
    for (size_t i = 0; i < plan->dialogue_count; i++) {
        const struct plan_dialogue *dialogue = &plan->dialogues[i];
        struct wire wire;
        rig_client(&rig, &wire, PLAN_KEY, 0);
        wire.want = &dialogue->expect;
        if (dialogue->request)
            wire_request(&wire, dialogue->request, PLAN_KEY, "how are you");
        else
            wire_unit(&wire, dialogue->send, PLAN_KEY, "how are you");
        RIG_UNTIL(&rig, wire.got || wire.ended, "%s: nothing that matches \"expect\" came; the last: %s", dialogue->name,
                  wire.last.size ? wire.last.data : "nothing");
        if (!wire.got || (dialogue->status && wire.status != dialogue->status))
            rig_fail("%s: HTTP status %ld, the last that came: %s", dialogue->name, wire.status, wire.last.size ? wire.last.data : "nothing");
        rig_leave(&rig, &wire, false);
    }
    rig_note("%zu", plan->dialogue_count);
    rig_close(&rig);
}
