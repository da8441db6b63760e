/* im-custom-message/im_text.c - see im_text.h. */
#include "im_text.h"

#include <stdio.h>
#include <string.h>

static size_t cost_of(enum im_escape escape, unsigned char c)
{
    if (c == '"' || c == '\\')
        return escape == IM_ESCAPE_TWICE ? 4 : 2; /* \"  then  \\\" */
    if (c >= 0x20)
        return 1;
    if (c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f')
        return escape == IM_ESCAPE_TWICE ? 3 : 2;
    return escape == IM_ESCAPE_TWICE ? 7 : 6;
}

size_t im_text_cost(enum im_escape escape, const char *text, size_t size)
{
    size_t cost = 0;

    for (size_t i = 0; i < size; i++)
        cost += cost_of(escape, (unsigned char)text[i]);
    return cost;
}

static bool is_white(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool im_text_is_blank(const char *text, size_t size)
{
    while (size && is_white(text[size - 1]))
        size--;
    return size == 0;
}

/* ---- fences, as CommonMark has them ---- */

struct fence {
    char mark;     /* 0: none is open */
    size_t run;    /* its length */
    char line[IM_FENCE_MAX]; /* the opening line with its line end */
};

/* The run of ` or ~ that may begin or end a fence: after at most three spaces, three marks or more. */
static size_t run_of(const char *line, size_t size, size_t *ret_at)
{
    size_t at = 0, run = 0;

    while (at < size && at < 4 && line[at] == ' ')
        at++;
    if (at == 4 || at == size || (line[at] != '`' && line[at] != '~'))
        return 0;
    while (at + run < size && line[at + run] == line[at])
        run++;
    *ret_at = at;
    return run >= 3 ? run : 0;
}

static void open_fence(struct fence *fence, const char *line, size_t at, size_t run, size_t size)
{
    size_t kept = size - at;

    while (kept > run && is_white(line[at + kept - 1]))
        kept--;
    if (kept > sizeof fence->line - 2) /* a long word after the marks: they alone are repeated */
        kept = run < sizeof fence->line - 2 ? run : sizeof fence->line - 2;
    memcpy(fence->line, line + at, kept);
    fence->line[kept] = '\n';
    fence->line[kept + 1] = 0;
    fence->mark = line[at];
    fence->run = run;
}

/* One whole line, without its line end. */
static void take_line(struct fence *fence, const char *line, size_t size)
{
    size_t at = 0, run = run_of(line, size, &at);

    if (!run)
        return;
    if (!fence->mark) {
        if (line[at] == '~' || !memchr(line + at + run, '`', size - at - run)) /* ```x``` on one line is code in the text */
            open_fence(fence, line, at, run, size);
    } else if (line[at] == fence->mark && run >= fence->run && im_text_is_blank(line + at + run, size - at - run)) {
        fence->mark = 0;
    }
}

static void take_text(struct fence *fence, const char *text, size_t size)
{
    const char *end;

    for (; size; size -= (size_t)(end - text) + 1, text = end + 1) {
        end = memchr(text, '\n', size);
        if (!end) {
            take_line(fence, text, size);
            return;
        }
        take_line(fence, text, (size_t)(end - text));
    }
}

void im_text_fence(const char *head, const char *text, size_t size, char ret_open[IM_FENCE_MAX], char ret_close[IM_FENCE_MAX])
{
    struct fence fence = {0};
    const char *before = size && text[size - 1] == '\n' ? "" : "\n";

    ret_open[0] = ret_close[0] = 0;
    if (head)
        take_text(&fence, head, strlen(head));
    take_text(&fence, text, size);
    if (!fence.mark)
        return;
    memcpy(ret_open, fence.line, IM_FENCE_MAX);
    size_t run = fence.run < IM_CLOSING_MAX - 8 ? fence.run : IM_CLOSING_MAX - 8;
    snprintf(ret_close, IM_FENCE_MAX, "%s%.*s\n", before, (int)run, "````````````````````````````````");
    for (char *c = ret_close; fence.mark != '`' && *c; c++)
        if (*c == '`')
            *c = fence.mark;
}

/* ---- the cut ---- */

struct scan {
    size_t fits;      /* bytes whose cost is within the room, whole code points */
    size_t quiet;     /* the same for the room without the head-room */
    size_t line;      /* after the last line end within fits */
};

static struct scan scan_text(const struct im_plan_input *input, size_t room)
{
    struct scan scan = {0};
    size_t cost = im_text_cost(input->escape, input->head, strlen(input->head));
    size_t quiet_room = room > 2 * IM_HEADROOM ? room - IM_HEADROOM : room / 2;

    for (size_t i = 0; i <= input->size; i++) {
        if (i == input->size || ((unsigned char)input->text[i] & 0xc0) != 0x80) { /* between two characters */
            if (cost > room)
                break;
            scan.fits = i;
            if (cost <= quiet_room)
                scan.quiet = i;
            if (i && input->text[i - 1] == '\n')
                scan.line = i;
        }
        if (i < input->size)
            cost += cost_of(input->escape, (unsigned char)input->text[i]);
    }
    return scan;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct im_plan im_text_plan(const struct im_plan_input *input)
{
    size_t taken = input->overhead + IM_CLOSING_MAX;
    struct scan scan = scan_text(input, input->limit > taken ? input->limit - taken : 0);
    struct im_plan plan = {0};

    if (scan.fits == input->size) {
        plan.last = input->ended;
        plan.show = input->ended || scan.fits == scan.quiet ? input->size : larger(scan.line, scan.quiet);
        plan.show = larger(plan.show, input->floor);
        return plan;
    }
    plan.full = true;
    plan.show = scan.line && scan.line >= input->floor ? scan.line : scan.fits;
    plan.show = larger(plan.show, input->floor);
    return plan;
}

size_t im_text_hold(const char *text, size_t from, size_t to)
{
    size_t at = to;

    while (at > from && is_white(text[at - 1]))
        at--;
    if (at > from)
        for (at--; at > from && ((unsigned char)text[at] & 0xc0) == 0x80;)
            at--;
    return at;
}
