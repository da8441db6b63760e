#include "tools/umbelctl/top_data.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"

const char *const top_view_words[TOP_VIEWS] = {"streams", "clients", "hosts", "upstreams"};
const char *const top_sort_words[TOP_SORTS] = {"lag", "rate", "age", "text"};

/* In the order of importance: a narrow terminal shows the first ones.  Those that no page has are computed. */
static const struct rows_column stream_columns[] = {
    {"id", STATS_TEXT, true},          {"state", STATS_TEXT, true},     {"app", STATS_TEXT, true},
    {"lag_bytes", STATS_BYTES, true},  {"rate", STATS_BYTES, true},     {"age", STATS_MONOTONIC_NS, true},
    {"readers", STATS_U64, true},      {"upstream", STATS_TEXT, true},  {"first_token_ms", STATS_MS, true},
    {"text_bytes", STATS_BYTES, true}, {"transport", STATS_TEXT, true}, {"session", STATS_TEXT, true},
    {"model", STATS_TEXT, true},       {"deltas", STATS_U64, false},    {"duration_ms", STATS_MS, false},
    {"key", STATS_TEXT, false},        {"error", STATS_TEXT, true}};
static const struct rows_column client_columns[] = {
    {"peer", STATS_TEXT, true},    {"host", STATS_TEXT, true},           {"state", STATS_TEXT, true},
    {"app", STATS_TEXT, true},     {"lag_bytes", STATS_BYTES, true},     {"rate", STATS_BYTES, true},
    {"age", STATS_MONOTONIC_NS, true}, {"readers", STATS_U64, true},     {"delivered", STATS_BYTES, true},
    {"questions", STATS_U64, true}, {"position", STATS_BYTES, true},     {"stream", STATS_TEXT, true}};
static const struct rows_column host_columns[] = {
    {"name", STATS_TEXT, true},       {"state", STATS_TEXT, true},    {"clients", STATS_U64, true},  {"lag_p99_ns", ROWS_NS, true},
    {"rate", STATS_BYTES, true},      {"age", STATS_MONOTONIC_NS, true}, {"readers", STATS_U64, true},  {"behind", STATS_U64, true},
    {"restarts", STATS_U64, true},    {"memory", STATS_BYTES, true},  {"pid", STATS_U64, true},      {"lag_p50_ns", ROWS_NS, false},
    {"lag_max_ns", ROWS_NS, true},    {"slow", STATS_U64, true},      {"lapped", STATS_U64, false},  {"transport", STATS_TEXT, false},
    {"plugin", STATS_TEXT, true},     {"listen", STATS_TEXT, true},   {"started", STATS_WALL_S, false}, {"beat", STATS_MONOTONIC_NS, false},
    {"ring_cursor", STATS_U64, false}, {"delivered_bytes", STATS_BYTES, false}, {"sandbox", STATS_TEXT, false}, {"last_error", STATS_TEXT, true}};
static const struct rows_column upstream_columns[] = {
    {"name", STATS_TEXT, true},      {"breaker", STATS_TEXT, true},  {"active", STATS_U64, true},      {"first_token_ms", STATS_MS, true},
    {"rate", STATS_BYTES, true},     {"waiting", STATS_U64, true},   {"calls", STATS_U64, true},       {"failed", STATS_U64, true},
    {"truncated", STATS_U64, true},  {"complete", STATS_U64, true},  {"cancelled", STATS_U64, true},   {"bytes_in", STATS_BYTES, true},
    {"dialect", STATS_TEXT, true},   {"url", STATS_TEXT, true}};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static const struct view {
    const struct rows_column *columns;
    size_t count;
    const char *table, *name, *name2, *lag, *age, *state, *sum;
} views[TOP_VIEWS] = {
    [TOP_STREAMS] = {stream_columns, COUNT_OF(stream_columns), "streams", "id", "id", "lag_bytes", "age", "state", "text_bytes"},
    [TOP_CLIENTS] = {client_columns, COUNT_OF(client_columns), "clients", "peer", "host", "lag_bytes", "age", "state", "delivered"},
    [TOP_HOSTS] = {host_columns, COUNT_OF(host_columns), "hosts", "name", "name", "lag_p99_ns", "age", "state", "delivered_bytes"},
    [TOP_UPSTREAMS] = {upstream_columns, COUNT_OF(upstream_columns), "upstreams", "name", "name", "first_token_ms", "name", "breaker", "bytes_in"},
};

static uint32_t column(const struct rows *rows, const char *name)
{
    for (uint32_t i = 0; i < rows->columns; i++)
        if (strcmp(rows->column[i].name, name) == 0)
            return i;
    abort(); /* the tables above are fixed: a bug */
}

static struct stats_cell *cells_of(const struct top_data *data, size_t row)
{
    return &data->rows.cell[row * data->rows.columns];
}

const struct stats_cell *top_data_row(const struct top_data *data, size_t row)
{
    return cells_of(data, row);
}

/* ---- loading ---- */

static bool name_host(void *owner, struct stats_cell *cells)
{
    snprintf(cells[1].text, sizeof cells[1].text, "%s", (const char *)owner); /* "host" of client_columns */
    return true;
}

static void add_host_page(struct top_data *data, struct stats_cell *cells, const struct pages *pages)
{
    static const char *const values[] = {"clients", "readers", "slow", "lapped", "delivered_bytes"};
    uint64_t head = pages_value(pages->core, "ring_head"), cursor = cells[column(&data->rows, "ring_cursor")].number;
    uint64_t now_s = clock_wall_s(), started_s = cells[column(&data->rows, "started")].number;

    if (cells[column(&data->rows, "pid")].number && (int64_t)(head - cursor) > 0)
        cells[column(&data->rows, "behind")].number = head - cursor;
    if (started_s && now_s >= started_s && data->at_ns > (now_s - started_s) * CLOCK_S)
        cells[data->age].number = data->at_ns - (now_s - started_s) * CLOCK_S;
    for (size_t i = 0; i < pages->hosts; i++) {
        struct stats_histogram lag;

        if (strcmp(pages->host[i].name, cells[data->name].text) != 0)
            continue;
        for (size_t v = 0; v < COUNT_OF(values); v++)
            cells[column(&data->rows, values[v])].number = pages_value(pages->host[i].view, values[v]);
        if (!stats_view_histogram(pages->host[i].view, HOST_H_LAG, NULL, &lag))
            continue;
        cells[column(&data->rows, "lag_p50_ns")].number = lag.p50_ns;
        cells[column(&data->rows, "lag_p99_ns")].number = lag.p99_ns;
        cells[column(&data->rows, "lag_max_ns")].number = lag.max_ns;
    }
}

/* Who reads what, and how far: clients' places beside the text there is. */
struct place {
    char id[48];
    uint64_t bytes, lag; /* of the text; the most that a reader lacks */
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->id, ((const struct place *)b)->id);
}

static struct place *load_places(const struct stats_view *core, size_t *ret_count)
{
    struct stats_cell cells[STREAM_COL_COUNT];
    uint32_t capacity = stats_view_capacity(core, CORE_TABLE_STREAMS);
    struct place *places = NULL;
    size_t count = 0, room = 0;

    for (uint32_t row = 0; row < capacity; row++) {
        if (!stats_view_row(core, CORE_TABLE_STREAMS, row, cells, STREAM_COL_COUNT))
            continue;
        if (count == room) {
            struct place *more = realloc(places, (room = room ? room * 2 : 64) * sizeof *more);
            if (!more)
                break;
            places = more;
        }
        memset(&places[count], 0, sizeof places[count]);
        memcpy(places[count].id, cells[STREAM_COL_ID].text, sizeof places[count].id - 1);
        places[count++].bytes = cells[STREAM_COL_TEXT_BYTES].number;
    }
    if (count > 1)
        qsort(places, count, sizeof *places, by_id);
    *ret_count = count;
    return places;
}

static struct place *place_of(struct place *places, size_t count, const char *id)
{
    struct place key = {.id = ""};

    if (count == 0 || !*id)
        return NULL;
    snprintf(key.id, sizeof key.id, "%s", id);
    return bsearch(&key, places, count, sizeof *places, by_id);
}

static uint64_t lag_of(const struct place *place, uint64_t readers, uint64_t position)
{
    return place && readers && place->bytes > position ? place->bytes - position : 0;
}

static void note_client_lags(const struct pages *pages, struct place *places, size_t count)
{
    struct stats_cell cells[CLIENT_COL_COUNT];

    for (size_t i = 0; i < pages->hosts; i++)
        for (uint32_t row = 0; row < stats_view_capacity(pages->host[i].view, HOST_TABLE_CLIENTS); row++) {
            struct place *place;
            uint64_t lag;

            if (!stats_view_row(pages->host[i].view, HOST_TABLE_CLIENTS, row, cells, CLIENT_COL_COUNT))
                continue;
            place = place_of(places, count, cells[CLIENT_COL_STREAM].text);
            lag = lag_of(place, cells[CLIENT_COL_READERS].number, cells[CLIENT_COL_POSITION].number);
            if (place && lag > place->lag)
                place->lag = lag;
        }
}

static void fill_lags(struct top_data *data, const struct pages *pages)
{
    size_t count;
    struct place *places = load_places(pages->core, &count);

    if (data->view == TOP_STREAMS)
        note_client_lags(pages, places, count);
    for (size_t i = 0; i < data->rows.count; i++) {
        struct stats_cell *cells = cells_of(data, i);
        const struct place *place =
            place_of(places, count, cells[column(&data->rows, data->view == TOP_STREAMS ? "id" : "stream")].text);

        if (data->view == TOP_STREAMS)
            cells[data->lag].number = place ? place->lag : 0;
        else
            cells[data->lag].number =
                lag_of(place, cells[column(&data->rows, "readers")].number, cells[column(&data->rows, "position")].number);
    }
    free(places);
}

static bool runs(const struct top_data *data, const struct stats_cell *cells)
{
    static const char *const words[] = {"connecting", "streaming", "slow", "waiting", "running", "starting", "draining", "paused"};

    if (data->view == TOP_UPSTREAMS)
        return cells[column(&data->rows, "active")].number > 0;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcmp(cells[data->state].text, words[i]) == 0)
            return true;
    return false;
}

static void fill_rate(struct top_data *data, const struct pages *pages, const struct top_data *before, size_t row)
{
    struct stats_cell *cells = cells_of(data, row);
    uint64_t from_ns = cells[data->age].number, from = 0, now = cells[data->sum].number, wall_s = clock_wall_s();
    long was = before ? top_data_find(before, data, row) : -1;

    if (data->view == TOP_UPSTREAMS)
        from_ns = data->at_ns - (wall_s > pages->who.started_wall_s ? wall_s - pages->who.started_wall_s : 1) * CLOCK_S;
    if (was >= 0) {
        from_ns = before->at_ns;
        from = cells_of(before, (size_t)was)[before->sum].number;
    } else if (!runs(data, cells) && data->view == TOP_STREAMS) {
        return; /* it has ended */
    }
    if (now > from && data->at_ns > from_ns)
        cells[data->rate].number = (uint64_t)((double)(now - from) * (double)CLOCK_S / (double)(data->at_ns - from_ns));
}

void top_data_load(const struct pages *pages, enum top_view view, const struct top_data *before, struct top_data *ret_data)
{
    const struct view *of = &views[view];
    struct top_data data = {.view = view, .at_ns = pages->stuck && pages->who.beat_ns ? pages->who.beat_ns : clock_now_ns()};

    rows_init(&data.rows);
    data.rows.now_ns = data.at_ns;
    for (size_t i = 0; i < of->count; i++)
        rows_column(&data.rows, of->columns[i].name, of->columns[i].type, of->columns[i].shown);
    data.name = column(&data.rows, of->name);
    data.name2 = column(&data.rows, of->name2);
    data.lag = column(&data.rows, of->lag);
    data.age = column(&data.rows, of->age);
    data.state = column(&data.rows, of->state);
    data.sum = column(&data.rows, of->sum);
    data.rate = column(&data.rows, "rate");
    if (view != TOP_CLIENTS)
        rows_load(&data.rows, pages->core, of->table, 0, NULL, NULL);
    for (size_t i = 0; i < pages->hosts && view == TOP_CLIENTS; i++)
        rows_load(&data.rows, pages->host[i].view, of->table, 0, name_host, (void *)(uintptr_t)pages->host[i].name);
    for (size_t i = 0; i < data.rows.count && view == TOP_HOSTS; i++)
        add_host_page(&data, cells_of(&data, i), pages);
    if (view == TOP_STREAMS || view == TOP_CLIENTS)
        fill_lags(&data, pages);
    for (size_t i = 0; i < data.rows.count; i++)
        fill_rate(&data, pages, before && before->view == view && before->at_ns < data.at_ns ? before : NULL, i);
    *ret_data = data;
}

void top_data_free(struct top_data *data)
{
    rows_free(&data->rows);
    data->rows.cell = NULL;
    data->rows.count = 0;
}

/* ---- order ---- */

struct order {
    const struct top_data *data;
    enum top_sort key;
    bool backwards;
};

static int by_number(uint64_t x, uint64_t y)
{
    return x > y ? -1 : x < y;
}

static int compare(const void *a, const void *b, void *owner)
{
    const struct order *order = owner;
    const struct top_data *data = order->data;
    const struct stats_cell *x = a, *y = b;
    const uint32_t by[TOP_SORTS] = {[TOP_LAG] = data->lag, [TOP_RATE] = data->rate, [TOP_AGE] = data->age, [TOP_TEXT] = data->name};
    int running = (int)runs(data, y) - (int)runs(data, x), r = 0;

    if (running)
        return running;
    if (order->key != TOP_TEXT)
        r = by_number(x[by[order->key]].number, y[by[order->key]].number);
    if (r == 0)
        r = strcmp(x[data->name].text, y[data->name].text);
    return order->backwards ? -r : r;
}

void top_data_sort(struct top_data *data, enum top_sort key, bool backwards)
{
    struct order order = {data, key, backwards};

    if (data->rows.count > 1)
        qsort_r(data->rows.cell, data->rows.count, data->rows.columns * sizeof *data->rows.cell, compare, &order);
}

void top_data_filter(struct top_data *data, const char *word)
{
    size_t kept = 0, size = data->rows.columns * sizeof *data->rows.cell;

    for (size_t i = 0; i < data->rows.count && *word; i++) {
        bool found = false;

        for (uint32_t c = 0; c < data->rows.columns; c++)
            found = found || (data->rows.column[c].type == STATS_TEXT && strcasestr(cells_of(data, i)[c].text, word));
        if (found && kept++ != i)
            memmove(cells_of(data, kept - 1), cells_of(data, i), size);
    }
    if (*word)
        data->rows.count = kept;
}

long top_data_find(const struct top_data *data, const struct top_data *other, size_t row)
{
    const struct stats_cell *key = cells_of(other, row);

    for (size_t i = 0; i < data->rows.count; i++) {
        const struct stats_cell *cells = cells_of(data, i);

        if (strcmp(cells[data->name].text, key[other->name].text) == 0 && strcmp(cells[data->name2].text, key[other->name2].text) == 0 &&
            (data->view != TOP_CLIENTS || cells[data->age].number == key[other->age].number))
            return (long)i;
    }
    return -1;
}
