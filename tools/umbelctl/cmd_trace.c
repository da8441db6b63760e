/* trace: the timeline of one answer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "tools/umbelctl/events.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/rows.h"
#include "tools/umbelctl/text.h"

#define BAR 32 /* columns */

struct tracing {
    const struct ctl_event **event; /* of this answer, in order */
    size_t count;
    const struct ctl_event *asked, *ended;
    uint64_t begin_ns, total_ns;
};

/* An id or the beginning of one, if only one answer has it. */
static int find(const char *id, const struct events *events, struct tracing *trace)
{
    const char *whole = NULL;
    size_t size = strlen(id);

    for (size_t i = 0; i < events->count; i++) {
        const struct ctl_event *event = &events->event[i];

        if (!event->id[0] || strncmp(event->id, id, size) != 0)
            continue;
        if (whole && strcmp(whole, event->id) != 0)
            return ctl_complain(CTL_FAILED, "write more of it", "more than one answer begins with %s", id);
        whole = event->id;
        trace->event[trace->count++] = event;
        if (event->record.kind == TRAIL_ASKED)
            trace->asked = event;
        if (event->record.kind == TRAIL_ENDED)
            trace->ended = event;
    }
    if (!whole)
        return ctl_complain(CTL_FAILED, "umbelctl log -q 'kind == asked' shows the ids of those that are remembered", "no event tells of %s", id);
    trace->begin_ns = (trace->asked ? trace->asked : trace->event[0])->record.time_ns;
    if (trace->asked && trace->asked->record.value[TRAIL_V_DURATION] < trace->begin_ns)
        trace->begin_ns -= trace->asked->record.value[TRAIL_V_DURATION];
    for (size_t i = 0; i < trace->count; i++)
        if (trace->event[i]->record.time_ns > trace->begin_ns && trace->event[i]->record.time_ns - trace->begin_ns > trace->total_ns)
            trace->total_ns = trace->event[i]->record.time_ns - trace->begin_ns;
    return CTL_OK;
}

static uint64_t at(const struct tracing *trace, const struct ctl_event *event)
{
    return event->record.time_ns > trace->begin_ns ? event->record.time_ns - trace->begin_ns : 0;
}

/* ---- what the hosts say, a row each ---- */

enum { COL_HOST, COL_TRANSPORT, COL_READERS, COL_WRITES, COL_BYTES, COL_FIRST, COL_P50, COL_P99, COL_MAX };

static struct stats_cell *row_of(struct rows *rows, const char *host, const char *transport)
{
    struct stats_cell *cells;

    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->cell[i * rows->columns + COL_HOST].text, host) == 0)
            return &rows->cell[i * rows->columns];
    cells = rows_add(rows);
    if (cells) {
        snprintf(cells[COL_HOST].text, sizeof cells[COL_HOST].text, "%s", host);
        snprintf(cells[COL_TRANSPORT].text, sizeof cells[COL_TRANSPORT].text, "%s", transport);
    }
    return cells;
}

static void raise_to(struct stats_cell *cell, uint64_t value)
{
    if (value > cell->number)
        cell->number = value;
}

static void add_delivery(struct stats_cell *cells, const struct tracing *trace, const struct ctl_event *event)
{
    const uint64_t *value = event->record.value;

    if (event->record.kind == TRAIL_DELIVERED_FIRST) {
        if (!cells[COL_FIRST].number)
            cells[COL_FIRST].number = at(trace, event);
        return;
    }
    cells[COL_READERS].number += value[TRAIL_V_READERS];
    cells[COL_WRITES].number += value[TRAIL_V_COUNT];
    cells[COL_BYTES].number += value[TRAIL_V_BYTES];
    raise_to(&cells[COL_P50], value[TRAIL_V_LAG_P50]);
    raise_to(&cells[COL_P99], value[TRAIL_V_LAG]);
    raise_to(&cells[COL_MAX], value[TRAIL_V_LAG_MAX]);
}

/* by_host: a row a host, else a row a transport, with the worst of its hosts. */
static void load_deliveries(struct rows *rows, const struct tracing *trace, bool by_host)
{
    static const struct rows_column columns[] = {
        {"host", STATS_TEXT, true},        {"transport", STATS_TEXT, true},  {"readers", STATS_U64, true},
        {"writes", STATS_U64, true},       {"bytes", STATS_BYTES, true},     {"first_ns", ROWS_NS, true},
        {"lag_p50_ns", ROWS_NS, true},     {"lag_p99_ns", ROWS_NS, true},    {"lag_max_ns", ROWS_NS, true}};

    rows_init(rows);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(rows, columns[i].name, columns[i].type, columns[i].shown && (by_host || i != COL_HOST));
    for (size_t i = 0; i < trace->count; i++) {
        const struct trail_record *record = &trace->event[i]->record;
        const char *transport = record->text[TRAIL_T_TRANSPORT];
        struct stats_cell *cells;

        if (record->kind != TRAIL_DELIVERED && record->kind != TRAIL_DELIVERED_FIRST)
            continue;
        cells = row_of(rows, by_host ? record->text[TRAIL_T_HOST] : transport, transport);
        if (cells)
            add_delivery(cells, trace, trace->event[i]);
    }
}

/* ---- for people ---- */

static void put(struct umbel_out *out, const char *before, const char *text, const char *after)
{
    char clean[128];

    if (!*text)
        return;
    text_clean(text, strlen(text), 0, clean, sizeof clean);
    umbel_out_printf(out, "%s%s%s", before, clean, after);
}

/* What is worth saying about an event beside its time. */
static void put_about(const struct ctl_event *event, struct umbel_out *out)
{
    const struct trail_record *record = &event->record;
    static const unsigned shown[] = {TRAIL_V_TTFT, TRAIL_V_LAG, TRAIL_V_READERS, TRAIL_V_TOKENS, TRAIL_V_BYTES, TRAIL_V_TRIES};

    if (record->kind == TRAIL_DELIVERED || record->kind == TRAIL_DELIVERED_FIRST)
        put(out, " ", record->text[TRAIL_T_HOST], "");
    else
        put(out, " ", record->text[TRAIL_T_UPSTREAM], "");
    for (unsigned i = 6; i < EVENT_FIELDS_FIXED; i++) /* verdict, finish, error, reason */
        put(out, " ", event_text(event, i), "");
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        unsigned field = EVENT_FIELDS_FIXED + shown[i];
        uint64_t value = event_value(event, field);
        char text[32];

        if (!value)
            continue;
        if (event_fields[field].type == FIELD_DURATION)
            text_duration(value, text, sizeof text);
        else if (event_fields[field].type == FIELD_SIZE)
            text_bytes(value, text, sizeof text);
        else
            snprintf(text, sizeof text, "%" PRIu64, value);
        umbel_out_printf(out, ", %s %s", event_fields[field].name, text);
    }
}

static void put_bar(const struct tracing *trace, uint64_t at_ns, struct umbel_out *out)
{
    size_t mark = trace->total_ns ? (size_t)((double)at_ns / (double)trace->total_ns * (BAR - 1)) : 0;

    for (size_t i = 0; i < BAR; i++)
        umbel_out_text(out, i == mark ? "*" : i < mark ? "-" : " ");
}

static void print_text(const struct ctl *ctl, const struct tracing *trace, const struct rows *rows)
{
    const char *bold = ctl->colour ? "\033[1m" : "", *plain = ctl->colour ? "\033[0m" : "";
    const struct ctl_event *first = trace->asked ? trace->asked : trace->event[0];
    struct umbel_out out = {0};
    char text[32];

    umbel_out_printf(&out, "%s%s%s", bold, first->id, plain);
    put(&out, "  app ", first->record.text[TRAIL_T_APP], "");
    put(&out, ", asked on ", trace->asked ? trace->asked->record.text[TRAIL_T_TRANSPORT] : "", "");
    umbel_out_text(&out, trace->ended ? "\n" : ", not ended\n");
    if (!trace->asked)
        umbel_out_text(&out, "(its beginning has been overwritten: times count from the first event that is left)\n");
    umbel_out_text(&out, "\n");
    for (size_t i = 0; i < trace->count; i++) {
        uint64_t at_ns = at(trace, trace->event[i]);

        text_duration(at_ns, text, sizeof text);
        umbel_out_printf(&out, "%9s |", text);
        put_bar(trace, at_ns, &out);
        umbel_out_printf(&out, "| %-15s", event_kind_word(trace->event[i]->record.kind));
        put_about(trace->event[i], &out);
        umbel_out_text(&out, "\n");
    }
    fwrite(out.data, 1, out.size, stdout);
    umbel_out_free(&out);
    if (rows->count > 0) {
        printf("\n");
        rows_print(rows, ctl->colour);
    }
}

static int print_json(const struct tracing *trace, const struct rows *hosts, const struct rows *transports)
{
    const struct ctl_event *first = trace->asked ? trace->asked : trace->event[0];
    struct umbel_out out = {0};

    umbel_out_printf(&out, "{\"stream\":\"%s\",\"running\":%s,\"whole\":%s,\"total_ns\":%" PRIu64 ",\n\"events\":[", first->id,
                     trace->ended ? "false" : "true", trace->asked ? "true" : "false", trace->total_ns);
    for (size_t i = 0; i < trace->count; i++) {
        umbel_out_printf(&out, "%s{\"at_ns\":%" PRIu64 ",\"event\":", i ? ",\n " : "\n ", at(trace, trace->event[i]));
        event_json(trace->event[i], &out);
        umbel_out_text(&out, "}");
    }
    umbel_out_text(&out, "\n],\n\"transports\":");
    rows_json(transports, &out);
    umbel_out_text(&out, ",\n\"hosts\":");
    rows_json(hosts, &out);
    umbel_out_text(&out, "}");
    return print_document(&out);
}

int ctl_trace(const struct ctl *ctl)
{
    static struct events events;
    struct tracing trace = {0};
    struct rows hosts, transports;
    int r = events_open(ctl, &events);

    if (r != CTL_OK)
        return r;
    events_poll(&events);
    trace.event = calloc(events.count ? events.count : 1, sizeof(struct ctl_event *));
    r = trace.event ? find(ctl->words[0], &events, &trace) : ctl_complain(CTL_FAILED, NULL, "out of memory");
    if (r == CTL_OK) {
        load_deliveries(&hosts, &trace, true);
        load_deliveries(&transports, &trace, false);
        if (ctl->json)
            r = print_json(&trace, &hosts, &transports);
        else
            print_text(ctl, &trace, &hosts);
        rows_free(&hosts);
        rows_free(&transports);
    }
    free(trace.event);
    events_close(&events);
    return r;
}
