/* log: what happened lately, from the event rings. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/admin/admin_lock.h"
#include "core/base/clock.h"
#include "tools/umbelctl/events.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/query.h"

#define FOLLOW_MS 200
#define FOLLOW_FIRST 10u /* events shown before those that are to come */

struct logging {
    const struct ctl *ctl;
    struct query query;
    bool has_query, follow;
    uint64_t since_ms;
    uint64_t printed, lost_told;
};

static int read_options(const struct ctl *ctl, struct logging *log)
{
    const char *text = ctl_option(ctl, "query"), *since = ctl_option(ctl, "since");
    struct why why = {""};
    uint64_t ns = 0;
    size_t at = 0;

    *log = (struct logging){.ctl = ctl, .has_query = text != NULL, .follow = ctl_option(ctl, "follow") != NULL};
    if (since && !query_duration(since, strlen(since), &ns))
        return ctl_complain(CTL_USAGE, "write --since 10m, or 90s, 6h, 1d", "%s is no time", since);
    if (since)
        log->since_ms = clock_wall_ms() > ns / CLOCK_MS ? clock_wall_ms() - ns / CLOCK_MS : 0;
    if (!text || query_parse(text, &log->query, &at, &why) == 0)
        return CTL_OK;
    ctl_complain(CTL_USAGE, text, "column %zu of the expression: %s", at + 1, why.text);
    fprintf(stderr, "  %*s^\n", (int)(at < 200 ? at : 200), "");
    return CTL_USAGE;
}

static bool is_wanted(const struct logging *log, const struct ctl_event *event)
{
    return event->record.wall_ms >= log->since_ms && (!log->has_query || query_matches(&log->query, event));
}

/* As JSON one array; when more is to come an object a line. */
static void print_events(struct logging *log, const struct events *events, size_t first)
{
    struct umbel_out out = {0};

    for (size_t i = first; i < events->count; i++) {
        if (!is_wanted(log, &events->event[i]))
            continue;
        umbel_out_reset(&out);
        if (log->ctl->json && !log->follow)
            umbel_out_text(&out, log->printed ? ",\n " : "\n ");
        if (log->ctl->json)
            event_json(&events->event[i], &out);
        else
            event_line(&events->event[i], log->ctl->colour, &out);
        if (!log->ctl->json || log->follow)
            umbel_out_text(&out, "\n");
        fwrite(out.data, 1, out.size, stdout);
        log->printed++;
    }
    umbel_out_free(&out);
    if (events->lost > log->lost_told)
        fprintf(stderr, "(%llu events were overwritten before they could be read)\n", (unsigned long long)(events->lost - log->lost_told));
    log->lost_told = events->lost;
}

/* Where to begin so that only the newest few that are wanted are shown. */
static size_t newest(const struct logging *log, const struct events *events, size_t few)
{
    size_t at = events->count;

    while (at > 0 && few > 0)
        few -= is_wanted(log, &events->event[--at]);
    return at;
}

/* A reader that goes away while nothing happens is noticed, too. */
static bool wait_a_moment(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return !(poll(&out, 1, FOLLOW_MS) > 0 && out.revents & (POLLERR | POLLHUP | POLLNVAL)) && !print_is_broken();
}

static void warn_of_age(const struct ctl *ctl)
{
    struct why why = {""};

    if (admin_lock_is_held(ctl->runtime_dir, &why) == 0)
        fprintf(stderr, "umbelctl: umbeld is not running on %s: what follows is from before\n", ctl->runtime_dir);
}

int ctl_log(const struct ctl *ctl)
{
    static struct logging log;
    static struct events events;
    int r = read_options(ctl, &log);

    if (r == CTL_OK)
        r = events_open(ctl, &events);
    if (r != CTL_OK)
        return r;
    warn_of_age(ctl);
    if (ctl->json && !log.follow)
        printf("[");
    events_poll(&events);
    print_events(&log, &events, log.follow && !log.since_ms ? newest(&log, &events, FOLLOW_FIRST) : 0);
    if (ctl->json && !log.follow)
        printf(log.printed ? "\n]\n" : "]\n");
    else if (!log.follow && log.printed == 0)
        fprintf(stderr, "(no such event)\n");
    while (log.follow && wait_a_moment()) {
        events_poll(&events);
        print_events(&log, &events, 0);
    }
    if (events.failed)
        r = ctl_complain(CTL_FAILED, NULL, "out of memory: events are missing");
    events_close(&events);
    return r;
}

static const char *type_words(enum field_type type)
{
    static const char *const words[] = {
        [FIELD_TEXT] = "text", [FIELD_WORD] = "word", [FIELD_DURATION] = "duration", [FIELD_SIZE] = "size", [FIELD_NUMBER] = "number"};

    return words[type];
}

static void fields_json(struct umbel_out *out)
{
    for (unsigned i = 0; i < EVENT_FIELD_COUNT; i++) {
        const struct event_field *field = &event_fields[i];

        umbel_out_printf(out, "%s{\"field\":\"%s\",\"member\":\"%s\",\"type\":\"%s\",\"words\":[", i ? ",\n " : "[\n ", field->name, field->json,
                         type_words(field->type));
        for (size_t w = 1; w < field->word_count; w++)
            umbel_out_printf(out, "%s\"%s\"", w > 1 ? "," : "", field->words[w]);
        umbel_out_text(out, "],\"help\":");
        umbel_out_json(out, field->help, strlen(field->help));
        umbel_out_text(out, "}");
    }
    umbel_out_text(out, "\n]");
}

int ctl_log_fields(const struct ctl *ctl)
{
    struct umbel_out out = {0};

    if (ctl->json) {
        fields_json(&out);
        return print_document(&out);
    }
    for (unsigned i = 0; i < EVENT_FIELD_COUNT; i++) {
        printf("%-14s %-9s %s", event_fields[i].name, type_words(event_fields[i].type), event_fields[i].help);
        for (size_t w = 1; i > 0 && w < event_fields[i].word_count; w++)
            printf("%s%s", w == 1 ? ": " : ", ", event_fields[i].words[w]);
        printf("\n");
    }
    printf("\nkinds\n");
    for (unsigned kind = 1; kind < TRAIL_KIND_COUNT; kind++)
        printf("  %-15s %s\n", event_kind_word(kind), event_kind_help(kind));
    printf("\nexamples\n"
           "  umbelctl log -q 'app == shop and verdict != complete and ttft > 2s' --since 1h\n"
           "  umbelctl log -q 'kind ~ ^host_ or kind ~ ^breaker' --follow\n"
           "  umbelctl log -q 'lag > 200ms and transport ~ bmob'\n");
    return CTL_OK;
}
