#include "health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void on_page(void *arg, const struct umbel_stats_page *page)
{
    struct health *health = arg;

    if (page->kind != UMBEL_STATS_CORE)
        return;
    health->core = true;
    health->silent_ns = page->silent_ns;
}

static void on_counter(void *arg, const struct umbel_stats_page *page, const struct umbel_stats_counter *counter)
{
    struct health *health = arg;

    if (page->kind == UMBEL_STATS_CORE && strcmp(counter->name, "accepting") == 0)
        health->accepting = counter->value != 0;
}

static int on_table(void *arg, const struct umbel_stats_page *page, const char *name)
{
    (void)arg;
    return page->kind == UMBEL_STATS_CORE && (strcmp(name, "hosts") == 0 || strcmp(name, "upstreams") == 0);
}

static void note_worker(struct health *health, const char *transport, const char *state)
{
    struct health_transport *at = health->transports, *end = at + health->transport_count;

    while (at < end && strcmp(at->name, transport) != 0)
        at++;
    if (at == end && health->transport_count == HEALTH_TRANSPORTS_MAX)
        return; /* there are no more workers than that */
    if (at == end) {
        *at = (struct health_transport){.running = false};
        snprintf(at->name, sizeof at->name, "%s", transport);
        health->transport_count++;
    }
    at->running = at->running || strcmp(state, "running") == 0;
    snprintf(at->state, sizeof at->state, "%s", state);
}

static void on_row(void *arg, const struct umbel_stats_page *page, const char *table, const struct umbel_stats_cell *cells, uint32_t count)
{
    const char *transport = "", *state = "", *breaker = "";
    struct health *health = arg;
    bool builtin = false;

    (void)page;
    for (uint32_t i = 0; i < count; i++) {
        transport = strcmp(cells[i].column, "transport") == 0 ? cells[i].text : transport;
        state = strcmp(cells[i].column, "state") == 0 ? cells[i].text : state;
        breaker = strcmp(cells[i].column, "breaker") == 0 ? cells[i].text : breaker;
        builtin = builtin || (strcmp(cells[i].column, "builtin") == 0 && cells[i].number);
    }
    if (strcmp(table, "upstreams") == 0) {
        health->upstreams++;
        health->admitting += strcmp(breaker, "open") != 0;
    } else if (!builtin) {
        note_worker(health, transport, state);
    }
}

void health_look(const struct umbel_host *host, struct health *ret_health)
{
    const struct umbel_stats_visitor visitor = {
        .struct_size = sizeof visitor, .page = on_page, .counter = on_counter, .table = on_table, .row = on_row};

    memset(ret_health, 0, sizeof *ret_health);
    host->stats(host, &visitor, ret_health);
}

__attribute__((format(printf, 4, 5))) static void reason(struct umbel_out *out, bool json, uint32_t *count, const char *format, ...)
{
    char line[256];
    va_list args;

    if (++*count > HEALTH_REASONS_MAX)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (!json) {
        umbel_out_printf(out, "%s\n", line);
        return;
    }
    umbel_out_text(out, *count > 1 ? "," : "");
    umbel_out_json(out, line, strlen(line));
}

static bool check_live(const struct health *health, bool json, uint32_t *count, struct umbel_out *reasons)
{
    if (!health->core)
        reason(reasons, json, count, "core: its stats page cannot be read");
    else if (health->silent_ns > HEALTH_SILENT_S * 1000000000ull)
        reason(reasons, json, count, "core: no sign of life for %llu s", (unsigned long long)(health->silent_ns / 1000000000u));
    return *count == 0;
}

bool health_live(const struct health *health, bool json, struct umbel_out *reasons)
{
    uint32_t count = 0;

    return check_live(health, json, &count, reasons);
}

bool health_ready(const struct health *health, bool json, struct umbel_out *reasons)
{
    uint32_t count = 0;

    if (!check_live(health, json, &count, reasons))
        return false; /* all else that the pages say is old */
    if (!health->accepting)
        reason(reasons, json, &count, "core: takes no questions: it starts or drains");
    for (uint32_t i = 0; i < health->transport_count; i++)
        if (!health->transports[i].running)
            reason(reasons, json, &count, "transport %s: no worker runs (%s)", health->transports[i].name, health->transports[i].state);
    if (health->admitting == 0)
        reason(reasons, json, &count, "upstreams: the breakers of all %u are open", health->upstreams);
    return count == 0;
}
