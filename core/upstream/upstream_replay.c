#include "core/upstream/upstream_replay.h"

#include <errno.h>
#include <stdlib.h>

#include "core/upstream/upstream_state.h"

/* A call without a connection, of an upstream without a loop: what upstream_answer.c touches is there, and nothing else. */
struct upstream_replay {
    struct upstream upstream;
    struct upstream_call call;
    struct upstream_replay_options options;
    struct upstream_digest digest;
    bool ended;
};

static void on_event(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct upstream_replay *replay = owner;

    (void)arrival_ns;
    upstream_digest_add(&replay->digest, event);
    replay->options.event(replay->options.owner, event);
    if (replay->digest.events == replay->options.cancelled_after)
        replay->call.over = true; /* as upstream_call_cancel from inside the callback does */
}

static const struct upstream_call_ops call_ops = {.event = on_event};

int upstream_replay_create(const struct upstream_replay_options *options, struct upstream_replay **ret_replay, struct why *why)
{
    const struct upstream_dialect *dialect = upstream_dialect_find(options->dialect, why);
    struct upstream_replay *replay;

    if (!dialect)
        return -EINVAL;
    replay = calloc(1, sizeof *replay);
    if (!replay)
        return why_set(why, -ENOMEM, "no memory for a replay");
    replay->options = *options;
    replay->upstream.service = (struct upstream_service){dialect, *options->quirks};
    replay->upstream.answer_max_bytes = options->answer_max_bytes;
    replay->call.upstream = &replay->upstream;
    replay->call.ops = &call_ops;
    replay->call.owner = replay;
    replay->call.phase = CALL_ASKED;
    if (upstream_answer_begin(&replay->call) < 0) {
        upstream_replay_free(replay);
        return why_set(why, -ENOMEM, "no memory for a reader");
    }
    *ret_replay = replay;
    return 0;
}

bool upstream_replay_feed(struct upstream_replay *replay, const char *bytes, size_t size)
{
    if (!replay->ended)
        replay->ended = upstream_answer_feed(&replay->call, bytes, size);
    return replay->ended;
}

void upstream_replay_end(struct upstream_replay *replay, enum upstream_record_how how, bool clean, const char *text,
                         struct upstream_record_end *ret_end)
{
    struct upstream_call *call = &replay->call;

    if (!replay->ended && how == RECORD_CLOSED)
        upstream_answer_end(call, clean, "the connection ended");
    else if (!replay->ended && how == RECORD_TIME)
        upstream_answer_give_up(call, text);
    *ret_end = (struct upstream_record_end){.how = how,
                                            .clean = clean,
                                            .verdict = how == RECORD_CANCELLED ? 0 : call->outcome.verdict,
                                            .error = how == RECORD_CANCELLED ? 0 : call->outcome.error,
                                            .text = how == RECORD_CANCELLED ? "" : call->outcome.text,
                                            .digest = replay->digest};
    replay->ended = true;
}

void upstream_replay_free(struct upstream_replay *replay)
{
    if (!replay)
        return;
    upstream_answer_free(&replay->call);
    free(replay);
}
