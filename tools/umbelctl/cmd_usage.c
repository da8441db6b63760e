/* usage: what answers have used, as the daemon tells it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <umbel/json.h>

#include "core/base/number.h"

#include "call.h"
#include "ctl.h"
#include "print.h"
#include "rows.h"

/* The column that says what a row is about. */
static const struct {
    const char *by, *columns[2]; /* JSON members */
} shapes[] = {{"key", {"app", "key"}}, {"app", {"app", NULL}}, {"day", {"day_ms", NULL}}, {"upstream", {"upstream", NULL}}};

static const char *const numbers[] = {"answers", "prompt_tokens", "completion_tokens", "total_tokens", "estimated"};
#define NUMBERS (sizeof numbers / sizeof *numbers)

static void set_text(struct stats_cell *cell, const char *text)
{
    cell->type = STATS_TEXT;
    snprintf(cell->text, sizeof cell->text, "%s", text);
}

static void set_day(struct stats_cell *cell, int64_t day_ms)
{
    time_t day = (time_t)(day_ms / 1000);
    struct tm utc;
    char text[32];

    strftime(text, sizeof text, "%Y-%m-%d", gmtime_r(&day, &utc));
    set_text(cell, text);
}

static void set_numbers(struct stats_cell *cells, const struct umbel_json *row)
{
    for (size_t i = 0; i < NUMBERS; i++) {
        int64_t number = umbel_json_member_integer(row, numbers[i], 0);
        cells[i].type = STATS_U64;
        cells[i].number = number > 0 ? (uint64_t)number : 0;
    }
}

static void print_table(const struct ctl *ctl, const struct umbel_json *reply)
{
    const char *by = umbel_json_member_text(reply, "by", "key");
    struct rows rows;
    size_t shape = 0, heads;

    while (shape < sizeof shapes / sizeof *shapes - 1 && strcmp(shapes[shape].by, by) != 0)
        shape++;
    heads = shapes[shape].columns[1] ? 2 : 1;
    rows_init(&rows);
    for (size_t i = 0; i < heads; i++)
        rows_column(&rows, strcmp(shapes[shape].columns[i], "day_ms") == 0 ? "day" : shapes[shape].columns[i], STATS_TEXT, true);
    rows_column(&rows, "answers", STATS_U64, true);
    rows_column(&rows, "prompt", STATS_U64, true);
    rows_column(&rows, "completion", STATS_U64, true);
    rows_column(&rows, "tokens", STATS_U64, true);
    rows_column(&rows, "estimated", STATS_U64, true);
    for (const struct umbel_json *row = umbel_json_first(umbel_json_member(reply, "usage")); row; row = umbel_json_next(row)) {
        struct stats_cell *cells = rows_add(&rows);
        if (!cells)
            break;
        for (size_t i = 0; i < heads; i++)
            if (strcmp(shapes[shape].columns[i], "day_ms") == 0)
                set_day(&cells[i], umbel_json_member_integer(row, "day_ms", 0));
            else
                set_text(&cells[i], umbel_json_member_text(row, shapes[shape].columns[i], ""));
        set_numbers(cells + heads, row);
    }
    struct stats_cell *cells = rows_add(&rows);
    if (cells) {
        set_text(&cells[0], "total");
        set_numbers(cells + heads, umbel_json_member(reply, "total"));
    }
    rows_print(&rows, ctl->colour);
    rows_free(&rows);
    if (umbel_json_bool(umbel_json_member(reply, "truncated"), 0))
        fputs("umbelctl: there are more rows: name an app, or take less time\n", stderr);
}

int ctl_usage_sums(const struct ctl *ctl)
{
    const char *since = ctl_option(ctl, "since"), *by = ctl_option(ctl, "by");
    struct call call = {0};
    struct umbel_out out = {0};
    uint64_t unused;
    bool known = !by;
    int r;

    if (since && !number_parse_duration(since, &unused))
        return ctl_complain(CTL_USAGE, "write a number and a unit: 90s, 15m, 6h, 1d, 4w", "--since %s is no time", since);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        known = known || strcmp(shapes[i].by, by) == 0;
    if (!known)
        return ctl_complain(CTL_USAGE, "write app, key, day or upstream", "--by %s is none of what usage can be summed up by", by);
    r = call_daemon(ctl, &call);
    if (!call.reply)
        return r;
    if (ctl->json) {
        umbel_json_print(call.reply, &out);
        r = print_document(&out) == CTL_OK ? r : CTL_FAILED;
    } else if (r != CTL_OK) {
        r = call_complain(call.reply);
    } else {
        print_table(ctl, call.reply);
    }
    umbel_json_free(call.reply);
    return r;
}
