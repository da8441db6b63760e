#include "tools/show/show_screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tools/show/show_lines.h"

#define GAP 3u              /* columns between two answers */
#define TEXT_ROWS_MAX 24u
#define TAIL_MAX (16u << 10) /* bytes of an answer that are looked at for drawing: more than any terminal shows */

/* ---- the terminal ---- */

static void flush(struct show_screen *screen)
{
    const char *at = screen->out.data;
    size_t left = screen->out.failed ? 0 : screen->out.size;

    while (left > 0) {
        ssize_t n = write(screen->fd, at, left);
        if (n <= 0)
            break;
        at += n;
        left -= (size_t)n;
    }
    umbel_out_reset(&screen->out);
}

static void style(struct show_screen *screen, const char *code)
{
    if (screen->colours)
        umbel_out_printf(&screen->out, "\033[%sm", code);
}

static void measure(struct show_screen *screen, size_t count)
{
    struct winsize size;
    bool terminal = isatty(screen->fd) && ioctl(screen->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    const char *kind = getenv("TERM");

    screen->columns = terminal ? size.ws_col : 80;
    screen->rows = terminal ? size.ws_row : 24;
    screen->live = terminal && (!kind || strcmp(kind, "dumb") != 0) && count > 0 && screen->rows >= 10 &&
                   screen->columns >= count * (SHOW_COLUMN_MIN + GAP);
}

void show_screen_open(struct show_screen *screen, int fd, size_t count)
{
    const char *none = getenv("NO_COLOR");

    *screen = (struct show_screen){.fd = fd};
    measure(screen, count);
    screen->colours = isatty(fd) && !(none && *none);
    if (screen->live) {
        umbel_out_text(&screen->out, "\033[?25l");
        flush(screen);
    }
}

void show_screen_resize(struct show_screen *screen, size_t count)
{
    bool was_live = screen->live;

    measure(screen, count);
    if (was_live && screen->drawn > 0) {
        umbel_out_text(&screen->out, "\033[H\033[2J"); /* what was drawn has been folded by the terminal: begin anew */
        screen->drawn = 0;
    }
    if (was_live && !screen->live)
        umbel_out_text(&screen->out, "\033[?25h");
    flush(screen);
}

void show_screen_close(struct show_screen *screen)
{
    if (screen->live)
        umbel_out_text(&screen->out, "\033[?25h");
    flush(screen);
    umbel_out_free(&screen->out);
}

/* ---- side by side ---- */

struct tail { /* the last lines of one answer */
    const char *text[TEXT_ROWS_MAX];
    size_t size[TEXT_ROWS_MAX];
    unsigned rows, count; /* room; lines so far */
};

static void tail_line(void *owner, const char *text, size_t size)
{
    struct tail *tail = owner;

    tail->text[tail->count % tail->rows] = text;
    tail->size[tail->count % tail->rows] = size;
    tail->count++;
}

static void tail_fill(struct tail *tail, const struct show_answer *answer, unsigned columns)
{
    const char *text = answer->text.data;
    size_t size = answer->text.size;

    if (size > TAIL_MAX) {
        text += size - TAIL_MAX;
        size = TAIL_MAX;
        while (size > 0 && ((unsigned char)*text & 0xc0) == 0x80)
            text++, size--;
    }
    show_wrap(text, size, columns, tail_line, tail);
}

static const char *state_of(const struct show_client *client, const char **ret_colour)
{
    const struct show_answer *answer = &client->decoder.answer;

    *ret_colour = answer->state == SHOW_WHOLE ? "32" : answer->state == SHOW_BROKEN ? "31" : "33";
    if (answer->state == SHOW_WHOLE)
        return "whole";
    if (answer->state == SHOW_BROKEN)
        return "broken";
    return answer->text.size > 0 ? "live" : client->ready ? "open" : client->phase == SHOW_IDLE ? "waits" : "connects";
}

static void begin_row(struct show_screen *screen, bool first)
{
    umbel_out_text(&screen->out, first ? "\r\033[2K" : "\r\n\033[2K");
}
static void begin_cell(struct show_screen *screen, unsigned column, unsigned width)
{
    umbel_out_printf(&screen->out, "\033[%uG", 1 + column * (width + GAP));
}

static void draw_head(struct show_screen *screen, const struct show_client *clients, size_t count, unsigned width)
{
    begin_row(screen, true);
    for (unsigned i = 0; i < count; i++) {
        begin_cell(screen, i, width);
        style(screen, "1");
        unsigned used = show_fit(&screen->out, clients[i].protocol->title, strlen(clients[i].protocol->title), width);
        style(screen, "0");
        style(screen, "2");
        const char *role = clients[i].asks ? " asks" : " watches";
        show_fit(&screen->out, role, strlen(role), width - used);
        style(screen, "0");
    }
    begin_row(screen, false);
    style(screen, "2");
    for (unsigned i = 0; i < count; i++) {
        begin_cell(screen, i, width);
        for (unsigned j = 0; j < width; j++)
            umbel_out_text(&screen->out, "─");
    }
    style(screen, "0");
}

static void draw_foot(struct show_screen *screen, const struct show_client *clients, size_t count, unsigned width)
{
    begin_row(screen, false);
    for (unsigned i = 0; i < count; i++) {
        char text[96];
        const char *colour, *state = state_of(&clients[i], &colour);
        snprintf(text, sizeof text, "%s, %" PRIu64 " frames", state, clients[i].decoder.answer.frames);
        begin_cell(screen, i, width);
        style(screen, colour);
        show_fit(&screen->out, text, strlen(text), width);
        style(screen, "0");
    }
}

void show_screen_draw(struct show_screen *screen, const struct show_client *clients, size_t count)
{
    unsigned width, most, rows = 6;

    if (!screen->live)
        return;
    width = screen->columns / (unsigned)count - GAP;
    most = screen->rows - 6 < TEXT_ROWS_MAX ? screen->rows - 6 : TEXT_ROWS_MAX;
    struct tail *tails = calloc(count, sizeof *tails);
    if (!tails)
        return; /* the next drawing may have the memory */
    for (size_t i = 0; i < count; i++) {
        tails[i].rows = most;
        tail_fill(&tails[i], &clients[i].decoder.answer, width);
        rows = tails[i].count > rows ? tails[i].count : rows;
    }
    rows = rows < screen->drawn ? screen->drawn - 2 : rows; /* the area grows with the text, and never shrinks */
    rows = rows > most ? most : rows;
    if (screen->drawn > 0)
        umbel_out_printf(&screen->out, "\r\033[%uA", screen->drawn);
    draw_head(screen, clients, count, width);
    for (unsigned row = 0; row < rows; row++) {
        begin_row(screen, false);
        for (unsigned i = 0; i < count; i++) {
            unsigned skipped = tails[i].count > rows ? tails[i].count - rows : 0;
            unsigned line = skipped + row;
            if (line >= tails[i].count)
                continue;
            begin_cell(screen, i, width);
            show_fit(&screen->out, tails[i].text[line % most], tails[i].size[line % most], width);
        }
    }
    draw_foot(screen, clients, count, width);
    screen->drawn = rows + 2;
    free(tails);
    flush(screen);
}

/* ---- one after the other ---- */

void show_screen_plain(struct show_screen *screen, const struct show_client *clients, size_t count)
{
    for (size_t i = 0; i < count && !screen->live; i++) {
        const struct show_answer *answer = &clients[i].decoder.answer;
        umbel_out_printf(&screen->out, "--- %s %s\n", clients[i].protocol->title, clients[i].asks ? "asks" : "watches");
        for (size_t at = 0; at < answer->text.size;) {
            const char *line = answer->text.data + at, *end = memchr(line, '\n', answer->text.size - at);
            size_t size = end ? (size_t)(end - line) : answer->text.size - at;
            show_fit(&screen->out, line, size, UINT32_MAX / 2);
            umbel_out_text(&screen->out, "\n");
            at += size + 1;
        }
        flush(screen);
    }
}

/* ---- the table ---- */

static void verdict(struct show_screen *screen, const struct show_client *client, const struct show_client *first, bool *ret_good)
{
    const struct show_answer *answer = &client->decoder.answer, *text = &first->decoder.answer;
    size_t same = 0;

    *ret_good = false;
    if (answer->state == SHOW_BROKEN) {
        umbel_out_printf(&screen->out, "failed: %s", answer->why);
        return;
    }
    while (same < answer->text.size && same < text->text.size && answer->text.data[same] == text->text.data[same])
        same++;
    if (same < answer->text.size || same < text->text.size)
        umbel_out_printf(&screen->out, "failed: the text is not that of %s from byte %zu on", first->protocol->title, same);
    else if (answer->text.size == 0)
        umbel_out_text(&screen->out, "failed: the answer is empty");
    else if (client->decoder.id[0] && first->decoder.id[0] && strcmp(client->decoder.id, first->decoder.id) != 0)
        umbel_out_printf(&screen->out, "failed: another answer, %s", client->decoder.id);
    else
        *ret_good = true;
    if (*ret_good)
        umbel_out_text(&screen->out, client == first ? "whole" : "whole, the same text");
}

size_t show_screen_table(struct show_screen *screen, const struct show_client *clients, size_t count)
{
    size_t good = 0;

    umbel_out_text(&screen->out, screen->live ? "\r\n\r\n" : "\n");
    style(screen, "1");
    umbel_out_printf(&screen->out, "%-15s %-8s %9s %7s %11s   %s", "protocol", "", "bytes", "frames", "first text", "verdict");
    style(screen, "0");
    umbel_out_text(&screen->out, "\n");
    for (size_t i = 0; i < count; i++) {
        const struct show_client *client = &clients[i];
        char first[32] = "-";
        bool fine;
        if (client->first_text_ns && clients[0].asked_ns) {
            uint64_t wait_ns = client->first_text_ns > clients[0].asked_ns ? client->first_text_ns - clients[0].asked_ns : 0;
            snprintf(first, sizeof first, "%.0f ms", (double)wait_ns / (double)CLOCK_MS);
        }
        umbel_out_printf(&screen->out, "%-15s %-8s %9" PRIu64 " %7" PRIu64 " %11s   ", client->protocol->title,
                         client->asks ? "asks" : "watches", client->bytes, client->decoder.answer.frames, first);
        size_t before = screen->out.size;
        verdict(screen, client, &clients[0], &fine);
        if (screen->colours && !screen->out.failed) { /* the words in their colour, put there when it is known */
            struct umbel_out words = {0};
            umbel_out_put(&words, screen->out.data + before, screen->out.size - before);
            screen->out.size = before;
            style(screen, fine ? "32" : "31");
            umbel_out_put(&screen->out, words.data, words.size);
            style(screen, "0");
            umbel_out_free(&words);
        }
        umbel_out_text(&screen->out, "\n");
        good += fine;
    }
    flush(screen);
    return good;
}
