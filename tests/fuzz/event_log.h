/* tests/fuzz/event_log.h - what a dialect said, as text: one line an event, so that two runs can be compared. */
#ifndef EVENT_LOG_H
#define EVENT_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <umbel/out.h>

#include "core/parse/dialect_chat_completions.h"
#include "core/parse/utf8.h"

struct event_log {
    struct umbel_out out;
    const char *broken; /* a rule of parse/event.h that was broken, or NULL */
    int finishes, errors, usages;
    int stop_after; /* events after which the sink says stop; 0 = never */
    int events;
};

static inline int event_log_take(void *owner, const struct parse_event *event)
{
    static const char letters[] = "?TRLUFE";
    struct event_log *log = owner;
    struct umbel_out *out = &log->out;

    if (event->kind < PARSE_TEXT || event->kind > PARSE_ERROR)
        log->broken = "unknown kind";
    if (log->errors || log->finishes || (log->usages && event->kind < PARSE_FINISH))
        log->broken = "order";
    if (utf8_whole(event->text.data ? event->text.data : "", event->text.size) != event->text.size)
        log->broken = "not whole UTF-8";
    if (event->kind <= PARSE_TOOL && event->text.size == 0)
        log->broken = "empty text";
    if (event->kind == PARSE_ERROR && (event->text.size == 0 || event->text.size > DIALECT_TEXT_MAX || memchr(event->text.data, '\n', event->text.size)))
        log->broken = "error text";
    log->usages += event->kind == PARSE_USAGE;
    log->finishes += event->kind == PARSE_FINISH;
    log->errors += event->kind == PARSE_ERROR;
    umbel_out_printf(out, "%c ", letters[event->kind]);
    if (event->kind == PARSE_USAGE)
        umbel_out_printf(out, "%llu %llu", (unsigned long long)event->prompt_tokens, (unsigned long long)event->completion_tokens);
    if (event->kind >= PARSE_FINISH)
        umbel_out_printf(out, "%u%s ", (unsigned)event->code, event->retryable ? "+" : "");
    umbel_out_put(out, event->text.data, event->text.size);
    umbel_out_put(out, "\n", 1);
    return ++log->events == log->stop_after ? -1000 : 0;
}

/* The counts and the verdict, as one more line. */
static inline void event_log_end(struct event_log *log, const struct dialect_reader *r, int result, uint32_t verdict)
{
    const struct dialect_counts *c = dialect_counts(r);

    umbel_out_printf(&log->out, "= %d verdict %u comments %llu events %llu ignored %llu bad %llu flush %llu missing %llu suspect %llu %d%d%d%d %s\n",
                     result, (unsigned)verdict, (unsigned long long)c->comments, (unsigned long long)c->events,
                     (unsigned long long)c->ignored, (unsigned long long)c->malformed, (unsigned long long)c->eof_flush,
                     (unsigned long long)c->missing_done, (unsigned long long)c->suspect, c->saw_content, c->saw_finish, c->saw_done,
                     c->saw_error, c->reason);
}

#endif
