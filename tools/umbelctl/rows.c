#include "tools/umbelctl/rows.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "tools/umbelctl/text.h"

#define CELL_TEXT_MAX (STATS_TEXT_MAX + 32)

void rows_init(struct rows *rows)
{
    memset(rows, 0, sizeof *rows);
    rows->now_ns = clock_now_ns();
}

void rows_free(struct rows *rows)
{
    free(rows->cell);
}

uint32_t rows_column(struct rows *rows, const char *name, int type, bool shown)
{
    if (rows->columns == ROWS_COLUMNS_MAX)
        abort(); /* the tables of this program are fixed: a bug */
    rows->column[rows->columns] = (struct rows_column){name, type, shown};
    return rows->columns++;
}

struct stats_cell *rows_add(struct rows *rows)
{
    struct stats_cell *cells;

    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : 16;
        struct stats_cell *more = realloc(rows->cell, capacity * rows->columns * sizeof *more);

        if (!more) {
            rows->failed = true;
            return NULL;
        }
        rows->cell = more;
        rows->capacity = capacity;
    }
    cells = &rows->cell[rows->count++ * rows->columns];
    for (uint32_t i = 0; i < rows->columns; i++) {
        cells[i].number = 0;
        cells[i].text[0] = '\0';
    }
    return cells;
}

void rows_take_back(struct rows *rows)
{
    rows->count--;
}

void rows_load(struct rows *rows, const struct stats_view *view, const char *table, uint32_t first,
               bool (*fill)(void *owner, struct stats_cell *cells), void *owner)
{
    struct stats_cell found[STATS_COLUMNS_MAX];
    uint32_t from[ROWS_COLUMNS_MAX], t = 0;
    const char *name;

    while (t < stats_view_tables(view) && strcmp(stats_view_table_name(view, t), table) != 0)
        t++;
    for (uint32_t i = first; i < rows->columns; i++) {
        enum stats_type type;

        from[i] = UINT32_MAX;
        for (uint32_t c = 0; c < stats_view_columns(view, t); c++)
            if (stats_view_column(view, t, c, &name, &type) && strcmp(name, rows->column[i].name) == 0 && (int)type == rows->column[i].type)
                from[i] = c;
    }
    for (uint32_t row = 0; row < stats_view_capacity(view, t); row++) {
        struct stats_cell *cells;

        if (!stats_view_row(view, t, row, found, STATS_COLUMNS_MAX))
            continue;
        cells = rows_add(rows);
        if (!cells)
            return;
        for (uint32_t i = first; i < rows->columns; i++)
            if (from[i] != UINT32_MAX)
                cells[i] = found[from[i]];
        if (fill && !fill(owner, cells))
            rows_take_back(rows);
    }
}

struct order {
    const struct rows *rows;
    uint32_t column;
};

static int compare(const void *a, const void *b, void *owner)
{
    const struct order *order = owner;
    const struct stats_cell *x = (const struct stats_cell *)a + order->column, *y = (const struct stats_cell *)b + order->column;

    return x->number < y->number ? -1 : x->number > y->number ? 1 : strcmp(x->text, y->text);
}

void rows_sort(struct rows *rows, uint32_t column)
{
    struct order order = {rows, column};

    if (rows->count > 1)
        qsort_r(rows->cell, rows->count, rows->columns * sizeof *rows->cell, compare, &order);
}

void rows_cell_text(int type, const struct stats_cell *cell, uint64_t now_ns, char *ret_text, size_t room)
{
    time_t when = (time_t)cell->number;
    struct tm local;

    snprintf(ret_text, room, "-");
    if (type == STATS_TEXT && cell->text[0])
        text_clean(cell->text, strlen(cell->text), 0, ret_text, room);
    else if (type == STATS_U64)
        snprintf(ret_text, room, "%" PRIu64, cell->number);
    else if (type == STATS_FLAG)
        snprintf(ret_text, room, "%s", cell->number ? "yes" : "no");
    else if (type == STATS_BYTES)
        text_bytes(cell->number, ret_text, room);
    else if (type == STATS_MONOTONIC_NS && cell->number)
        text_duration(cell->number < now_ns ? now_ns - cell->number : 0, ret_text, room);
    else if (type == STATS_MS && cell->number)
        text_duration(cell->number < UINT64_MAX / CLOCK_MS ? cell->number * CLOCK_MS : UINT64_MAX, ret_text, room);
    else if (type == ROWS_NS && cell->number)
        text_duration(cell->number, ret_text, room);
    else if (type == STATS_WALL_S && cell->number && localtime_r(&when, &local))
        strftime(ret_text, room, "%Y-%m-%d %H:%M:%S", &local);
}

void rows_seconds_json(uint64_t ns, struct umbel_out *out)
{
    uint64_t s = ns / CLOCK_S;

    umbel_out_printf(out, "%" PRIu64 ".%09u", s, (unsigned)(ns - s * CLOCK_S));
}

void rows_cell_json(int type, const struct stats_cell *cell, uint64_t now_ns, struct umbel_out *out)
{
    if (type == STATS_TEXT) {
        umbel_out_json(out, cell->text, strlen(cell->text));
    } else if (type == STATS_FLAG) {
        umbel_out_text(out, cell->number ? "true" : "false");
    } else if ((type == STATS_MONOTONIC_NS || type == STATS_WALL_S) && cell->number == 0) {
        umbel_out_text(out, "null");
    } else if (type == STATS_MONOTONIC_NS) {
        rows_seconds_json(cell->number < now_ns ? now_ns - cell->number : 0, out);
    } else {
        umbel_out_u64(out, cell->number);
    }
}

const char *rows_state_colour(const char *state)
{
    static const char *const green[] = {"running", "streaming", "complete"}, *const yellow[] = {"starting", "connecting", "draining", "backoff",
                                                                                                  "truncated", "slow", "waiting"},
                             *const red[] = {"failed", "held", "down"};

    for (size_t i = 0; i < sizeof green / sizeof green[0]; i++)
        if (strcmp(state, green[i]) == 0)
            return "\033[32m";
    for (size_t i = 0; i < sizeof yellow / sizeof yellow[0]; i++)
        if (strcmp(state, yellow[i]) == 0)
            return "\033[33m";
    for (size_t i = 0; i < sizeof red / sizeof red[0]; i++)
        if (strcmp(state, red[i]) == 0)
            return "\033[31m";
    return NULL;
}

static bool is_right(int type)
{
    return type != STATS_TEXT && type != STATS_WALL_S;
}

/* Values carry their unit themselves, so the name's goes. */
size_t rows_heading(const struct rows_column *column, char *ret_text, size_t room)
{
    const char *name = column->name;
    size_t size = strlen(name), i = 0;

    if (size > 3 && (column->type == ROWS_NS || column->type == STATS_MS) && name[size - 3] == '_')
        size -= 3;
    for (; i < size && i + 1 < room; i++)
        ret_text[i] = name[i] == '_' ? ' ' : (char)toupper((unsigned char)name[i]);
    ret_text[i] = '\0';
    return i;
}

/* One cell with its padding; the last one of a line gets none behind it. */
static void put_cell(const char *text, size_t width, bool right, bool last, const char *colour)
{
    size_t own = text_width(text), pad = own < width ? width - own : 0;

    if (right)
        printf("%*s", (int)pad, "");
    printf("%s%s%s", colour ? colour : "", text, colour ? "\033[0m" : "");
    if (last)
        putchar('\n');
    else
        printf("%*s", (int)(right ? 2 : pad + 2), "");
}

void rows_print(const struct rows *rows, bool colour)
{
    size_t width[ROWS_COLUMNS_MAX] = {0};
    uint32_t last = 0;
    char text[CELL_TEXT_MAX];

    for (uint32_t i = 0; i < rows->columns; i++) {
        if (!rows->column[i].shown)
            continue;
        last = i;
        width[i] = rows_heading(&rows->column[i], text, sizeof text);
        for (size_t row = 0; row < rows->count; row++) {
            rows_cell_text(rows->column[i].type, &rows->cell[row * rows->columns + i], rows->now_ns, text, sizeof text);
            width[i] = text_width(text) > width[i] ? text_width(text) : width[i];
        }
    }
    for (uint32_t i = 0; i < rows->columns; i++)
        if (rows->column[i].shown) {
            rows_heading(&rows->column[i], text, sizeof text);
            put_cell(text, width[i], is_right(rows->column[i].type), i == last, colour ? "\033[1m" : NULL);
        }
    for (size_t row = 0; row < rows->count; row++)
        for (uint32_t i = 0; i < rows->columns; i++)
            if (rows->column[i].shown) {
                bool state = colour && strcmp(rows->column[i].name, "state") == 0;

                rows_cell_text(rows->column[i].type, &rows->cell[row * rows->columns + i], rows->now_ns, text, sizeof text);
                put_cell(text, width[i], is_right(rows->column[i].type), i == last, state ? rows_state_colour(text) : NULL);
            }
}

void rows_json(const struct rows *rows, struct umbel_out *out)
{
    umbel_out_text(out, "[");
    for (size_t row = 0; row < rows->count; row++) {
        umbel_out_text(out, row ? ",\n {" : "\n {");
        for (uint32_t i = 0; i < rows->columns; i++) {
            umbel_out_printf(out, "%s\"%s\":", i ? "," : "", rows->column[i].name);
            rows_cell_json(rows->column[i].type, &rows->cell[row * rows->columns + i], rows->now_ns, out);
        }
        umbel_out_text(out, "}");
    }
    umbel_out_text(out, rows->count ? "\n]" : "]");
}
