#include "core/upstream/upstream_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/upstream/upstream_state.h"

#define MESSAGES "[{\"role\":\"user\",\"content\":\"Say only the word ok.\"}]"

struct upstream_probe {
    struct uring_loop *loop;
    struct upstream *upstream;
    struct upstream_call *call;
    struct uring_timer limit;
    void (*done)(void *owner, const struct probe_report *report);
    void *owner;
    struct probe_report report;
};

static void probe_free(struct upstream_probe *probe)
{
    uring_timer_clear(probe->loop, &probe->limit);
    probe->upstream->probed = false;
    free(probe);
}

static void finish(struct upstream_probe *probe, uint32_t verdict, uint32_t error, const char *text)
{
    struct probe_report *report = &probe->report;
    const char *trouble = report->trace.trouble;

    probe->call = NULL;
    report->verdict = verdict;
    report->error = error;
    snprintf(report->text, sizeof report->text, "%s%s%s", text, *text && *trouble ? ": " : "", trouble);
    report->class = probe_judge(report);
    probe->done(probe->owner, report);
    probe_free(probe);
}

/* Ends it here, while the call runs. */
static void stop(struct upstream_probe *probe, uint32_t verdict, uint32_t error, const char *text)
{
    struct upstream_call *call = probe->call;

    upstream_call_trace(call);
    if (call->reader) {
        probe->report.trace.counts = *dialect_counts(call->reader);
        probe->report.trace.has_counts = true;
    }
    upstream_call_cancel(call);
    finish(probe, verdict, error, text);
}

static void limit_fired(struct uring_timer *timer)
{
    struct upstream_probe *probe = list_entry(timer, struct upstream_probe, limit);

    probe->report.late = true;
    stop(probe, UMBEL_VERDICT_FAILED, UMBEL_ERROR_TIMEOUT, "the probe's own time is over");
}

/* The beginning of what it says, in whole characters. */
static void note_said(struct probe_report *report, struct span text)
{
    size_t have = strlen(report->said), room = PROBE_SAID_MAX - have, size = text.size;

    if (size > room)
        for (size = room; size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80;)
            size--;
    memcpy(report->said + have, text.data, size);
    report->said[have + size] = '\0';
}

static void take_content(struct upstream_probe *probe, const struct parse_event *event)
{
    struct probe_report *report = &probe->report;

    if (event->kind == PARSE_REASONING) {
        report->thoughts++;
    } else {
        report->deltas++;
        report->text_bytes += event->text.size;
        if (event->kind == PARSE_TEXT && report->text_bytes == event->text.size + strlen(report->said))
            note_said(report, event->text);
    }
    if (probe->call->answer_bytes > PROBE_ANSWER_MAX) {
        report->long_answer = true;
        stop(probe, UMBEL_VERDICT_COMPLETE, 0, "");
    }
}

static void on_event(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct upstream_probe *probe = owner;
    struct probe_report *report = &probe->report;

    (void)arrival_ns;
    switch (event->kind) {
    case PARSE_TEXT:
    case PARSE_REASONING:
    case PARSE_TOOL:
        take_content(probe, event);
        return;
    case PARSE_USAGE:
        report->usage = true;
        report->prompt_tokens = event->prompt_tokens;
        report->completion_tokens = event->completion_tokens;
        return;
    case PARSE_FINISH:
        snprintf(report->finish, sizeof report->finish, "%.*s", (int)event->text.size, event->text.data);
        return;
    case PARSE_ERROR:
        return;
    }
}

static void on_ended(void *owner, uint32_t verdict, uint32_t error, const char *text)
{
    finish(owner, verdict, error, text);
}

static const struct upstream_call_ops call_ops = {.event = on_event, .ended = on_ended};

int upstream_probe_start(struct uring_loop *loop, struct upstream *upstream, const char *model,
                         void (*done)(void *owner, const struct probe_report *report), void *owner, struct upstream_probe **ret_probe,
                         struct why *why)
{
    struct upstream_question question = {.model = model, .messages = MESSAGES, .messages_size = sizeof MESSAGES - 1};
    struct upstream_probe *probe;
    int r;

    if (upstream->probed)
        return why_set(why, -EBUSY, "this upstream is being probed already");
    probe = calloc(1, sizeof *probe);
    if (!probe)
        return why_set(why, -ENOMEM, "no memory for a probe");
    *probe = (struct upstream_probe){.loop = loop, .upstream = upstream, .done = done, .owner = owner};
    probe->limit.fired = limit_fired;
    probe->report.has_proxy = upstream->proxy != NULL;
    probe->report.has_tls = upstream->tls_context != NULL;
    probe->report.quirks = &upstream->service.quirks;
    r = upstream_call_start_traced(upstream, &question, &call_ops, probe, &probe->report.trace, &probe->call, why);
    if (r < 0) {
        free(probe);
        return r;
    }
    upstream->probed = true;
    uring_timer_set(loop, &probe->limit, PROBE_LIMIT_MS * CLOCK_MS);
    *ret_probe = probe;
    return 0;
}

void upstream_probe_cancel(struct upstream_probe *probe)
{
    if (!probe)
        return;
    upstream_call_cancel(probe->call);
    probe_free(probe);
}
