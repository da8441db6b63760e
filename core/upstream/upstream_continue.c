#include "core/upstream/upstream_continue.h"

#include <stdlib.h>

static const char replacement[] = "\xef\xbf\xbd"; /* what parse/ makes of half a character that nobody completes */

struct upstream_continue *continue_create(void)
{
    struct upstream_continue *c = calloc(1, sizeof *c);

    if (c)
        c->so_far.limit = CONTINUE_TEXT_MAX;
    return c;
}

void continue_free(struct upstream_continue *c)
{
    if (!c)
        return;
    umbel_out_free(&c->so_far);
    free(c);
}

static void note_text(struct upstream_continue *c, struct span text)
{
    if (c->too_long)
        return;
    umbel_out_put(&c->so_far, text.data, text.size);
    if (c->so_far.failed) {
        c->too_long = true;
        umbel_out_free(&c->so_far);
    }
}

static void pass_text(struct upstream_continue *c, struct span text, uint64_t arrival_ns, continue_sink *sink, void *owner, const bool *over)
{
    struct parse_event event = {.kind = PARSE_TEXT, .text = text};

    if (text.size == 0 || *over)
        return;
    note_text(c, text);
    sink(owner, &event, arrival_ns);
}

static void release_half(struct upstream_continue *c, continue_sink *sink, void *owner, const bool *over)
{
    if (!c->half)
        return;
    c->half = false;
    pass_text(c, span_text(replacement), c->held_ns, sink, owner, over);
}

static void take_text(struct upstream_continue *c, struct span text, uint64_t arrival_ns, continue_sink *sink, void *owner, const bool *over)
{
    struct span pieces[2];

    c->held_ns = arrival_ns;
    joint_take(&c->joint, text, pieces);
    pass_text(c, pieces[0], arrival_ns, sink, owner, over);
    if (span_is(pieces[1], replacement)) {
        c->half = true;
        return;
    }
    pass_text(c, pieces[1], arrival_ns, sink, owner, over);
}

static void pass_usage(struct upstream_continue *c, const struct parse_event *event, uint64_t arrival_ns, continue_sink *sink, void *owner)
{
    struct parse_event sum = *event;

    c->prompt_at_hand = event->prompt_tokens;
    c->completion_at_hand = event->completion_tokens;
    sum.prompt_tokens += c->prompt_tokens;
    sum.completion_tokens += c->completion_tokens;
    sink(owner, &sum, arrival_ns);
}

void continue_event(struct upstream_continue *c, const struct parse_event *event, uint64_t arrival_ns, continue_sink *sink, void *owner,
                    const bool *over)
{
    switch (event->kind) {
    case PARSE_TEXT:
        release_half(c, sink, owner, over);
        if (!*over)
            take_text(c, event->text, arrival_ns, sink, owner, over);
        return;
    case PARSE_REASONING:
        if (c->count == 0)
            sink(owner, event, arrival_ns);
        return;
    case PARSE_USAGE:
        pass_usage(c, event, arrival_ns, sink, owner);
        return;
    case PARSE_TOOL:
        c->tool = true;
        break;
    case PARSE_FINISH:
    case PARSE_ERROR:
        break;
    }
    continue_flush(c, sink, owner, over);
    if (!*over)
        sink(owner, event, arrival_ns);
}

void continue_flush(struct upstream_continue *c, continue_sink *sink, void *owner, const bool *over)
{
    pass_text(c, joint_end(&c->joint), c->held_ns, sink, owner, over);
    release_half(c, sink, owner, over);
}

bool continue_may(const struct upstream_continue *c, const char **ret_reason)
{
    *ret_reason = c->tool                   ? "it holds a tool call"
                  : c->too_long             ? "its text is too long to be shown to another service"
                  : c->count >= CONTINUE_MAX ? "it has been continued as often as may be"
                                             : NULL;
    return !*ret_reason;
}

void continue_break(struct upstream_continue *c)
{
    c->half = false;
    c->joint.open = false;
    c->joint.held_size = 0;
    c->prompt_tokens += c->prompt_at_hand;
    c->completion_tokens += c->completion_at_hand;
    c->prompt_at_hand = c->completion_at_hand = 0;
}

void continue_join(struct upstream_continue *c, size_t unseen)
{
    joint_begin(&c->joint, span_of(c->so_far.data ? c->so_far.data : "", c->so_far.size), unseen);
}
