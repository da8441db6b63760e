/* stream list, client list, host list, upstream list */
#include <stdio.h>
#include <string.h>

#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "tools/umbelctl/pages.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/rows.h"

#define COLUMN_ROW(id, name, type, size) {name, type, false},
static const struct rows_column stream_columns[] = {CORE_STREAM_COLUMNS(COLUMN_ROW)};
static const struct rows_column host_columns[] = {CORE_HOST_COLUMNS(COLUMN_ROW)};
static const struct rows_column upstream_columns[] = {CORE_UPSTREAM_COLUMNS(COLUMN_ROW)};
static const struct rows_column client_columns[] = {HOST_CLIENT_COLUMNS(COLUMN_ROW)};

_Static_assert(HOST_COL_LAST_ERROR == HOST_COL_COUNT - 1, "ctl_host_list puts its own columns before the last one");

/* Takes over all columns; hidden names those that only JSON has. */
static uint32_t add_columns(struct rows *rows, const struct rows_column *columns, uint32_t count, const char *hidden)
{
    uint32_t first = rows->columns;

    for (uint32_t i = 0; i < count; i++) {
        char name[40];

        snprintf(name, sizeof name, " %s ", columns[i].name);
        rows_column(rows, columns[i].name, columns[i].type, !strstr(hidden, name));
    }
    return first;
}

static int print_rows(const struct ctl *ctl, struct rows *rows, const char *nothing)
{
    int r = rows->failed ? ctl_complain(CTL_FAILED, NULL, "out of memory: rows are missing") : CTL_OK;

    if (ctl->json) {
        struct umbel_out out = {0};

        rows_json(rows, &out);
        if (print_document(&out) != CTL_OK)
            r = CTL_FAILED;
    } else {
        rows_print(rows, ctl->colour);
        if (rows->count == 0)
            fprintf(stderr, "(%s)\n", nothing);
    }
    rows_free(rows);
    return r;
}

struct filter {
    const char *state, *app, *host_wish;
    const char *host;
    uint32_t state_column, app_column;
};

static bool keep_stream(void *owner, struct stats_cell *cells)
{
    const struct filter *filter = owner;

    return (!filter->state || strcmp(cells[filter->state_column].text, filter->state) == 0) &&
           (!filter->app || strcmp(cells[filter->app_column].text, filter->app) == 0);
}

int ctl_stream_list(const struct ctl *ctl)
{
    struct filter filter = {.state = ctl_option(ctl, "state"), .app = ctl_option(ctl, "app")};
    static const char *const states[] = {"connecting", "streaming", "complete", "truncated", "failed", "cancelled"};
    bool known = !filter.state;
    struct pages pages;
    struct rows rows;
    uint32_t first;
    int r;

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        known = known || strcmp(filter.state, states[i]) == 0;
    if (!known)
        return ctl_complain(CTL_USAGE, "one of connecting, streaming, complete, truncated, failed, cancelled", "no state is called %s",
                            filter.state);
    r = pages_open(ctl, false, &pages);
    if (r != CTL_OK)
        return r;
    rows_init(&rows);
    first = add_columns(&rows, stream_columns, STREAM_COL_COUNT, " opened transport key ");
    filter.state_column = first + STREAM_COL_STATE;
    filter.app_column = first + STREAM_COL_APP;
    rows_load(&rows, pages.core, "streams", first, keep_stream, &filter);
    rows_sort(&rows, first + STREAM_COL_OPENED_NS);
    pages_close(&pages);
    return print_rows(ctl, &rows, filter.state || filter.app ? "no such stream" : "no streams");
}

static bool keep_client(void *owner, struct stats_cell *cells)
{
    const struct filter *filter = owner;

    snprintf(cells[0].text, sizeof cells[0].text, "%s", filter->host);
    return !filter->app || strcmp(cells[filter->app_column].text, filter->app) == 0;
}

/* "bmob" means all hosts of the transport, "bmob.0" one. */
static bool is_host_wanted(const char *wish, const char *name)
{
    size_t size = wish ? strlen(wish) : 0;

    return !wish || (strncmp(name, wish, size) == 0 && (name[size] == '\0' || name[size] == '.'));
}

int ctl_client_list(const struct ctl *ctl)
{
    struct filter filter = {.app = ctl_option(ctl, "app"), .host_wish = ctl_option(ctl, "host")};
    struct pages pages;
    struct rows rows;
    uint32_t first;
    int r = pages_open(ctl, true, &pages);

    if (r != CTL_OK)
        return r;
    rows_init(&rows);
    rows_column(&rows, "host", STATS_TEXT, true);
    first = add_columns(&rows, client_columns, CLIENT_COL_COUNT, " ");
    filter.app_column = first + CLIENT_COL_APP;
    for (size_t i = 0; i < pages.hosts; i++) {
        filter.host = pages.host[i].name;
        if (is_host_wanted(filter.host_wish, filter.host))
            rows_load(&rows, pages.host[i].view, "clients", first, keep_client, &filter);
    }
    pages_close(&pages);
    return print_rows(ctl, &rows, "no clients");
}

struct host_extra {
    const struct pages *pages;
    uint32_t name, clients, readers, p50, p99;
};

static bool add_host_extra(void *owner, struct stats_cell *cells)
{
    const struct host_extra *extra = owner;

    for (size_t i = 0; i < extra->pages->hosts; i++) {
        const struct stats_view *view = extra->pages->host[i].view;
        struct stats_histogram lag;

        if (strcmp(extra->pages->host[i].name, cells[extra->name].text) != 0)
            continue;
        cells[extra->clients].number = pages_value(view, "clients");
        cells[extra->readers].number = pages_value(view, "readers");
        if (stats_view_histogram(view, HOST_H_LAG, NULL, &lag)) {
            cells[extra->p50].number = lag.p50_ns;
            cells[extra->p99].number = lag.p99_ns;
        }
    }
    return true;
}

int ctl_host_list(const struct ctl *ctl)
{
    struct pages pages;
    struct rows rows;
    struct host_extra extra = {.pages = &pages};
    uint32_t first;
    int r = pages_open(ctl, true, &pages);

    if (r != CTL_OK)
        return r;
    rows_init(&rows);
    first = add_columns(&rows, host_columns, HOST_COL_LAST_ERROR, " transport ring_cursor builtin ");
    extra.name = first + HOST_COL_NAME;
    extra.clients = rows_column(&rows, "clients", STATS_U64, true);
    extra.readers = rows_column(&rows, "readers", STATS_U64, true);
    extra.p50 = rows_column(&rows, "lag_p50_ns", ROWS_NS, false);
    extra.p99 = rows_column(&rows, "lag_p99_ns", ROWS_NS, false);
    add_columns(&rows, &host_columns[HOST_COL_LAST_ERROR], 1, " "); /* long, so last */
    rows_load(&rows, pages.core, "hosts", first, add_host_extra, &extra);
    pages_close(&pages);
    return print_rows(ctl, &rows, "no hosts: the configuration has no transport");
}

int ctl_upstream_list(const struct ctl *ctl)
{
    struct pages pages;
    struct rows rows;
    uint32_t first;
    int r = pages_open(ctl, false, &pages);

    if (r != CTL_OK)
        return r;
    rows_init(&rows);
    first = add_columns(&rows, upstream_columns, UPSTREAM_COL_COUNT, " ");
    rows_load(&rows, pages.core, "upstreams", first, NULL, NULL);
    pages_close(&pages);
    return print_rows(ctl, &rows, "no upstreams");
}
