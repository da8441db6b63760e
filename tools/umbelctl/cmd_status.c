/* status: one screen about a daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/metrics/core_stats.h"
#include "tools/umbelctl/pages.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/rows.h"
#include "tools/umbelctl/text.h"

struct status {
    struct pages pages;
    uint64_t uptime_s, clients, readers, deliveries;
    uint32_t hosts, hosts_running, upstreams, upstream_active;
    const char *engine; /* NULL: the core does not say */
};

/* Rows of a table, and those among them whose column says text. */
static uint32_t count_rows(const struct stats_view *view, uint32_t table, uint32_t column, const char *text, uint32_t *ret_matching,
                           uint64_t *ret_sum)
{
    struct stats_cell cells[STATS_COLUMNS_MAX];
    uint32_t count = 0;

    for (uint32_t row = 0; row < stats_view_capacity(view, table); row++) {
        if (!stats_view_row(view, table, row, cells, STATS_COLUMNS_MAX))
            continue;
        count++;
        if (text)
            *ret_matching += strcmp(cells[column].text, text) == 0;
        else
            *ret_sum += cells[column].number;
    }
    return count;
}

static void gather(struct status *status)
{
    const struct stats_view *core = status->pages.core;
    uint64_t now = clock_wall_s(), active = 0;

    status->uptime_s = now > status->pages.who.started_wall_s ? now - status->pages.who.started_wall_s : 0;
    status->engine = pages_value(core, "engine_io_uring") ? "io_uring" : pages_value(core, "engine_epoll") ? "epoll" : NULL;
    status->hosts = count_rows(core, CORE_TABLE_HOSTS, HOST_COL_STATE, "running", &status->hosts_running, NULL);
    status->upstreams = count_rows(core, CORE_TABLE_UPSTREAMS, UPSTREAM_COL_ACTIVE, NULL, NULL, &active);
    status->upstream_active = (uint32_t)active;
    for (size_t i = 0; i < status->pages.hosts; i++) {
        status->clients += pages_value(status->pages.host[i].view, "clients");
        status->readers += pages_value(status->pages.host[i].view, "readers");
        status->deliveries += pages_value(status->pages.host[i].view, "deliveries");
    }
}

static void label(const struct ctl *ctl, const char *name)
{
    printf("%s%-10s%s", ctl->colour ? "\033[1m" : "", name, ctl->colour ? "\033[0m" : "");
}

static void print_core(const struct ctl *ctl, const struct status *status)
{
    const struct stats_view *core = status->pages.core;
    char up[32], beat[32];

    text_duration((status->uptime_s ? status->uptime_s : 1) * CLOCK_S, up, sizeof up); /* known to the second only */
    text_duration(status->pages.silent_ns, beat, sizeof beat);
    label(ctl, "umbeld");
    printf("%s, pid %u, up %s", status->pages.who.version, (unsigned)status->pages.who.pid, up);
    if (status->engine)
        printf(", engine %s", status->engine);
    putchar('\n');
    label(ctl, "state");
    if (status->pages.stuck)
        printf("%sstopped or stuck: last sign of life %s ago%s\n", ctl->colour ? "\033[31m" : "", beat, ctl->colour ? "\033[0m" : "");
    else
        printf("%srunning%s\n", ctl->colour ? "\033[32m" : "", ctl->colour ? "\033[0m" : "");
    label(ctl, "directory");
    printf("%s\n", ctl->runtime_dir);
    label(ctl, "streams");
    printf("%" PRIu64 " live; %" PRIu64 " begun: %" PRIu64 " complete, %" PRIu64 " truncated, %" PRIu64 " failed, %" PRIu64
           " cancelled; %" PRIu64 " refused\n",
           pages_value(core, "streams_live"), pages_value(core, "streams_opened"), pages_value(core, "streams_complete"),
           pages_value(core, "streams_truncated"), pages_value(core, "streams_failed"), pages_value(core, "streams_cancelled"),
           pages_value(core, "streams_refused"));
    label(ctl, "clients");
    printf("%" PRIu64 " connected, %" PRIu64 " reading; %" PRIu64 " deliveries\n", status->clients, status->readers, status->deliveries);
    label(ctl, "hosts");
    printf("%u of %u running; %" PRIu64 " ended unasked\n", (unsigned)status->hosts_running, (unsigned)status->hosts,
           pages_value(core, "host_deaths"));
    label(ctl, "upstreams");
    printf("%u; %u calls running\n", (unsigned)status->upstreams, (unsigned)status->upstream_active);
}

static void print_memory(const struct ctl *ctl, const struct status *status)
{
    const struct stats_view *core = status->pages.core;
    uint64_t total = pages_value(core, "journal_pages"), free = pages_value(core, "journal_pages_free");
    struct stats_histogram first = {0}, publish = {0};
    char p50[32], p99[32];

    label(ctl, "ring");
    printf("%" PRIu64 " slots, head at %" PRIu64 "\n", pages_value(core, "ring_slots"), pages_value(core, "ring_head"));
    label(ctl, "journal");
    printf("%" PRIu64 " of %" PRIu64 " pages used, %" PRIu64 " streams kept; %" PRIu64 " evicted, %" PRIu64 " times full\n",
           total > free ? total - free : 0, total, pages_value(core, "journal_streams"), pages_value(core, "journal_evicted"),
           pages_value(core, "journal_full"));
    if (stats_view_histogram(core, CORE_H_FIRST_TOKEN, NULL, &first) && first.count > 0) {
        text_duration(first.p50_ns, p50, sizeof p50);
        text_duration(first.p99_ns, p99, sizeof p99);
        label(ctl, "latency");
        printf("first token p50 %s, p99 %s", p50, p99);
        if (stats_view_histogram(core, CORE_H_PUBLISH, NULL, &publish) && publish.count > 0) {
            text_duration(publish.p50_ns, p50, sizeof p50);
            text_duration(publish.p99_ns, p99, sizeof p99);
            printf("; publish p50 %s, p99 %s", p50, p99);
        }
        putchar('\n');
    }
}

static void put_members(struct umbel_out *out, const char *name, const struct stats_view *view, const char *prefix)
{
    const char *counter;
    uint64_t value;
    bool first = true;

    umbel_out_printf(out, ",\n \"%s\":{", name);
    for (uint32_t i = 0; stats_view_counter(view, i, &counter, NULL, NULL, &value); i++)
        if (strncmp(counter, prefix, strlen(prefix)) == 0) {
            umbel_out_printf(out, "%s\"%s\":%" PRIu64, first ? "" : ",", counter + strlen(prefix), value);
            first = false;
        }
    umbel_out_text(out, "}");
}

static int print_json(const struct ctl *ctl, const struct status *status)
{
    const struct stats_who *who = &status->pages.who;
    struct umbel_out out = {0};

    umbel_out_printf(&out, "{\"running\":true,\"stuck\":%s,\"version\":", status->pages.stuck ? "true" : "false");
    umbel_out_json(&out, who->version, strlen(who->version));
    umbel_out_printf(&out, ",\"pid\":%u,\"started\":%" PRIu64 ",\"uptime_s\":%" PRIu64 ",\"beat\":", (unsigned)who->pid,
                     who->started_wall_s, status->uptime_s);
    rows_seconds_json(status->pages.silent_ns, &out);
    umbel_out_text(&out, ",\"engine\":");
    if (status->engine)
        umbel_out_json(&out, status->engine, strlen(status->engine));
    else
        umbel_out_text(&out, "null");
    umbel_out_text(&out, ",\"runtime_dir\":");
    umbel_out_json(&out, ctl->runtime_dir, strlen(ctl->runtime_dir));
    put_members(&out, "streams", status->pages.core, "streams_");
    umbel_out_printf(&out, ",\n \"clients\":{\"connected\":%" PRIu64 ",\"readers\":%" PRIu64 ",\"deliveries\":%" PRIu64 "}", status->clients,
                     status->readers, status->deliveries);
    umbel_out_printf(&out, ",\n \"hosts\":{\"total\":%u,\"running\":%u,\"deaths\":%" PRIu64 "}", (unsigned)status->hosts,
                     (unsigned)status->hosts_running, pages_value(status->pages.core, "host_deaths"));
    umbel_out_printf(&out, ",\n \"upstreams\":{\"total\":%u,\"active\":%u}", (unsigned)status->upstreams, (unsigned)status->upstream_active);
    put_members(&out, "ring", status->pages.core, "ring_");
    put_members(&out, "journal", status->pages.core, "journal_");
    umbel_out_text(&out, "}");
    return print_document(&out);
}

int ctl_status(const struct ctl *ctl)
{
    struct status status = {0};
    int r = pages_open(ctl, true, &status.pages);

    if (r != CTL_OK)
        return r;
    gather(&status);
    if (ctl->json) {
        r = print_json(ctl, &status);
    } else {
        print_core(ctl, &status);
        print_memory(ctl, &status);
    }
    pages_close(&status.pages);
    return r;
}
