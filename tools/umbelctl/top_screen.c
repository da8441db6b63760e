#include "tools/umbelctl/top_screen.h"

#include <locale.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "tools/umbelctl/text.h"

enum { PAIR_RED = 1, PAIR_GREEN, PAIR_YELLOW, PAIR_BLUE };

static SCREEN *screen;
static int table_top; /* the line of the headings */

bool top_screen_open(bool colour)
{
    setlocale(LC_CTYPE, "");
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return false;
    set_escdelay(50);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    curs_set(0);
    if (colour && has_colors()) {
        start_color();
        use_default_colors();
        init_pair(PAIR_RED, COLOR_RED, -1);
        init_pair(PAIR_GREEN, COLOR_GREEN, -1);
        init_pair(PAIR_YELLOW, COLOR_YELLOW, -1);
        init_pair(PAIR_BLUE, COLOR_CYAN, -1);
    }
    return true;
}

void top_screen_close(void)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen);
    screen = NULL;
}

int top_screen_key(int wait_ms)
{
    int key;

    timeout(wait_ms);
    key = getch();
    switch (key) {
    case ERR:
        return TOP_KEY_NONE;
    case KEY_UP:
        return TOP_KEY_UP;
    case KEY_DOWN:
        return TOP_KEY_DOWN;
    case KEY_PPAGE:
        return TOP_KEY_PAGE_UP;
    case KEY_NPAGE:
        return TOP_KEY_PAGE_DOWN;
    case KEY_HOME:
        return TOP_KEY_HOME;
    case KEY_END:
        return TOP_KEY_END;
    case '\r':
    case '\n':
    case KEY_ENTER:
        return TOP_KEY_ENTER;
    case 27:
        return TOP_KEY_ESCAPE;
    case KEY_BACKSPACE:
    case 127:
    case 8:
        return TOP_KEY_BACKSPACE;
    case KEY_RESIZE:
        return TOP_KEY_RESIZE;
    default:
        return key < 256 ? key : TOP_KEY_NONE;
    }
}

size_t top_screen_page(void)
{
    int rows = LINES - table_top - 2;

    return rows > 0 ? (size_t)rows : 1;
}

static attr_t paint(short pair)
{
    return has_colors() ? (attr_t)COLOR_PAIR(pair) : 0;
}

/* Text cut to width columns, and blanks for the rest of them. */
static void put_cell(int line, int column, const char *text, size_t width, bool right, attr_t attributes)
{
    char cut[512];
    size_t own, used = strlen(text) < sizeof cut ? strlen(text) : sizeof cut - 1;

    memcpy(cut, text, used);
    cut[used] = '\0';
    for (own = text_width(cut); own > width && used > 0; own = text_width(cut)) {
        do
            used--;
        while (used > 0 && ((unsigned char)cut[used] & 0xc0) == 0x80);
        cut[used] = '\0';
    }
    attron(attributes);
    mvprintw(line, column, "%*s%s%*s", right ? (int)(width - own) : 0, "", cut, right ? 0 : (int)(width - own), "");
    attroff(attributes);
}

static void put_line(int line, const char *text, attr_t attributes)
{
    if (line >= 0 && line < LINES)
        put_cell(line, 0, text, (size_t)COLS, false, attributes);
}

/* ---- the head ---- */

static void put_item(struct umbel_out *out, size_t width, size_t *used, const char *item)
{
    size_t own = text_width(item);

    if (*used > 0 && *used + 2 + own > width) {
        umbel_out_text(out, "\n");
        *used = 0;
    }
    umbel_out_printf(out, "%s%s", *used ? "  " : "", item);
    *used += own + (*used ? 2 : 0);
}

static void put_times(struct umbel_out *out, size_t width, size_t *used, const struct sample_rates *rates)
{
    const struct {
        const char *name;
        uint64_t ns;
    } times[] = {{"ttft p50", rates->first_token.p50_ns}, {"p99", rates->first_token.p99_ns}, {"lag p99", rates->lag.p99_ns}};

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char item[80], text[32] = "-";

        if (times[i].ns)
            text_duration(times[i].ns, text, sizeof text);
        snprintf(item, sizeof item, "%s %s", times[i].name, text);
        put_item(out, width, used, item);
    }
}

void top_head(const struct pages *pages, const struct sample_rates *rates, bool gone, size_t width, struct umbel_out *out)
{
    uint64_t now_s = clock_wall_s(), up_s = now_s > pages->who.started_wall_s ? now_s - pages->who.started_wall_s : 0;
    char item[160], text[32];
    size_t used = 0;

    text_duration((up_s ? up_s : 1) * CLOCK_S, text, sizeof text);
    snprintf(item, sizeof item, "umbeld %s, pid %u, up %s", pages->who.version, (unsigned)pages->who.pid, text);
    put_item(out, width, &used, item);
    text_duration(pages->silent_ns, text, sizeof text);
    snprintf(item, sizeof item, "STOPPED OR STUCK: data are %s old", text);
    if (gone)
        put_item(out, width, &used, "NOT RUNNING: this is the last that was seen");
    else if (pages->stuck)
        put_item(out, width, &used, item);
    umbel_out_text(out, "\n");
    used = 0;
    snprintf(item, sizeof item, "answers %.1f/s", rates->answers);
    put_item(out, width, &used, item);
    snprintf(item, sizeof item, "tokens %.1f/s", rates->deltas);
    put_item(out, width, &used, item);
    snprintf(item, sizeof item, "running %llu", (unsigned long long)rates->running);
    put_item(out, width, &used, item);
    snprintf(item, sizeof item, "clients %llu", (unsigned long long)rates->clients);
    put_item(out, width, &used, item);
    snprintf(item, sizeof item, "failed %llu", (unsigned long long)rates->failed);
    put_item(out, width, &used, item);
    snprintf(item, sizeof item, "refused %llu", (unsigned long long)rates->refused);
    put_item(out, width, &used, item);
    put_times(out, width, &used, rates);
    snprintf(item, sizeof item, "ring %.0f%%", 100 * rates->ring);
    put_item(out, width, &used, item);
    snprintf(item, sizeof item, "journal %.0f%%", 100 * rates->journal);
    put_item(out, width, &used, item);
}

static int draw_head(const struct top_state *state)
{
    struct umbel_out out = {0};
    int line = 0;

    top_head(state->pages, state->rates, state->gone, (size_t)COLS, &out);
    umbel_out_put(&out, "", 1);
    if (!out.failed)
        for (char *text = out.data, *end; text; text = end, line++) {
            end = strchr(text, '\n');
            if (end)
                *end++ = '\0';
            put_line(line, text, line == 0 ? A_BOLD | (state->gone || state->pages->stuck ? paint(PAIR_RED) : 0) : 0);
        }
    umbel_out_free(&out);
    return line;
}

static void draw_bar(const struct top_state *state, int line)
{
    char text[256] = "";
    int column = 0;

    for (int i = 0; i < (int)TOP_VIEWS && column < COLS; i++) {
        snprintf(text, sizeof text, " %d %s ", i + 1, top_view_words[i]);
        put_cell(line, column, text, strlen(text) < (size_t)(COLS - column) ? strlen(text) : (size_t)(COLS - column), false,
                 (enum top_view)i == state->view ? A_REVERSE : 0);
        column += (int)strlen(text);
    }
    snprintf(text, sizeof text, "  by %s%s%s%s%s", top_sort_words[state->sort], state->backwards ? ", backwards" : "",
             state->filter[0] ? ", with " : "", state->filter, state->paused ? ", PAUSED" : "");
    if (column < COLS)
        put_cell(line, column, text, (size_t)(COLS - column), false, state->paused ? A_BOLD : 0);
}

/* ---- the table ---- */

static bool is_right(int type)
{
    return type != STATS_TEXT && type != STATS_WALL_S;
}

static void cell_text(const struct top_data *data, size_t row, uint32_t column, char *ret_text, size_t room)
{
    const struct stats_cell *cell = &top_data_row(data, row)[column];

    char plain[256];

    rows_cell_text(data->rows.column[column].type, cell, data->rows.now_ns, plain, sizeof plain);
    snprintf(ret_text, room, "%s%s", plain, column == data->rate && cell->number ? "/s" : "");
}

/* Columns from the left, each as wide as what is on the screen, as long as they fit; an id is cut where it is too much. */
static uint32_t measure(const struct top_state *state, size_t rows, size_t *width)
{
    const struct top_data *data = state->data;
    size_t used = 0, room = (size_t)COLS;
    uint32_t c = 0;
    char text[512];

    for (; c < data->rows.columns; c++) {
        if (!data->rows.column[c].shown)
            continue;
        width[c] = rows_heading(&data->rows.column[c], text, sizeof text);
        for (size_t i = state->first; i < data->rows.count && i < state->first + rows; i++) {
            cell_text(data, i, c, text, sizeof text);
            width[c] = text_width(text) > width[c] ? text_width(text) : width[c];
        }
        if (c == 0 && room < 100 && width[c] > 20)
            width[c] = 20;
        if (used + width[c] > room && used + 8 > room)
            break;
        if (used + width[c] > room) {
            if (is_right(data->rows.column[c].type))
                break;
            width[c] = room - used;
        }
        used += width[c] + 2;
    }
    return c;
}

static attr_t state_paint(const char *text)
{
    const char *colour = rows_state_colour(text);

    return !colour ? 0 : colour[3] == '2' ? paint(PAIR_GREEN) : colour[3] == '3' ? paint(PAIR_YELLOW) : paint(PAIR_RED);
}

static void draw_row(const struct top_state *state, int line, size_t row, uint32_t columns, const size_t *width)
{
    const struct top_data *data = state->data;
    attr_t chosen = row == state->chosen ? A_REVERSE : 0;
    int at = 0;
    char text[512];

    put_line(line, "", chosen);
    for (uint32_t c = 0; c < columns; c++) {
        if (!data->rows.column[c].shown)
            continue;
        cell_text(data, row, c, text, sizeof text);
        put_cell(line, at, text, width[c], is_right(data->rows.column[c].type), chosen | (c == data->state ? state_paint(text) : 0));
        at += (int)width[c] + 2;
    }
}

static void draw_table(struct top_state *state)
{
    const struct top_data *data = state->data;
    size_t width[ROWS_COLUMNS_MAX] = {0}, page = top_screen_page();
    uint32_t columns;
    char text[128];
    int at = 0;

    if (state->chosen >= data->rows.count)
        state->chosen = data->rows.count ? data->rows.count - 1 : 0;
    if (state->chosen < state->first)
        state->first = state->chosen;
    if (state->chosen >= state->first + page)
        state->first = state->chosen - page + 1;
    columns = measure(state, page, width);
    for (uint32_t c = 0; c < columns; c++) {
        if (!data->rows.column[c].shown)
            continue;
        rows_heading(&data->rows.column[c], text, sizeof text);
        put_cell(table_top, at, text, width[c], is_right(data->rows.column[c].type),
                 A_BOLD | (c == data->lag && state->sort == TOP_LAG ? A_UNDERLINE : 0));
        at += (int)width[c] + 2;
    }
    for (size_t i = 0; i < page && state->first + i < data->rows.count; i++)
        draw_row(state, table_top + 1 + (int)i, state->first + i, columns, width);
    if (data->rows.count == 0)
        put_line(table_top + 1, state->filter[0] ? "(nothing fits the filter)" : "(none)", A_DIM);
}

static void draw_details(const struct top_state *state)
{
    const struct top_data *data = state->data;
    int line = table_top;
    char text[512], both[768];

    if (state->chosen >= data->rows.count) {
        put_line(line, "(it is gone)", A_DIM);
        return;
    }
    for (uint32_t c = 0; c < data->rows.columns && line < LINES - 1; c++, line++) {
        cell_text(data, state->chosen, c, text, sizeof text);
        snprintf(both, sizeof both, "%16s  %s", data->rows.column[c].name, text);
        put_line(line, both, c == data->state ? state_paint(text) : 0);
    }
}

static void draw_help(void)
{
    static const char *const lines[] = {
        "1 2 3 4  s c h u  Tab  streams clients hosts upstreams",
        "l r a t                sort by lag, rate, age, text",
        "R                      the other way round",
        "arrows, pages, ends    choose a row",
        "Enter                  all about it;  Esc back",
        "/                      only rows with a word;  / Esc all",
        "x                      cancel answer, restart host: asks",
        "p  ?  q                stand still, this help, end",
        "",
        "lag   text that the slowest reader still lacks; of a",
        "      host: upstream to socket, p99",
        "rate  bytes a second since the last looks",
        "ring  how far the slowest host is behind",
        "",
        "All of it is shared memory: it works while umbeld is",
        "stopped or stuck.  Only x needs umbeld.",
    };
    for (int i = 0; i < (int)(sizeof lines / sizeof lines[0]); i++)
        put_line(table_top + i, lines[i], 0);
}

void top_screen_draw(struct top_state *state)
{
    char line[320];

    erase();
    if (!state->pages || !state->data) {
        put_line(0, "waiting for umbeld", 0);
        refresh();
        return;
    }
    table_top = draw_head(state);
    draw_bar(state, table_top++);
    if (state->help)
        draw_help();
    else if (state->details)
        draw_details(state);
    else
        draw_table(state);
    if (state->typing)
        snprintf(line, sizeof line, "/%s_", state->filter);
    else
        snprintf(line, sizeof line, "%s", state->question[0] ? state->question
                                          : state->message[0] ? state->message
                                                              : "? help  q quit  / filter  Enter details  x act  p pause");
    put_line(LINES - 1, line, state->question[0] ? A_BOLD | paint(PAIR_YELLOW) : state->typing || state->message[0] ? A_BOLD : A_DIM);
    refresh();
}
