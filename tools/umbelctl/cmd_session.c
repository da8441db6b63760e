/* session list, session show: conversations in the history, as the daemon tells them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <umbel/json.h>

#include "call.h"
#include "ctl.h"
#include "print.h"
#include "rows.h"

/* Asks the daemon and prints the reply by print, or as it came with --json. */
static int ask(const struct ctl *ctl, void (*print)(const struct ctl *ctl, const struct umbel_json *reply))
{
    struct call call = {0};
    struct umbel_out out = {0};
    int r = call_daemon(ctl, &call);

    if (!call.reply)
        return r;
    if (ctl->json) {
        umbel_json_print(call.reply, &out);
        r = print_document(&out) == CTL_OK ? r : CTL_FAILED;
    } else if (r != CTL_OK) {
        r = call_complain(call.reply);
    } else {
        print(ctl, call.reply);
    }
    umbel_json_free(call.reply);
    return r;
}

static void set_text(struct stats_cell *cell, const char *text)
{
    cell->type = STATS_TEXT;
    snprintf(cell->text, sizeof cell->text, "%s", text);
}

static void set_number(struct stats_cell *cell, enum stats_type type, int64_t number)
{
    cell->type = type;
    cell->number = number > 0 ? (uint64_t)number : 0;
}

static void print_list(const struct ctl *ctl, const struct umbel_json *reply)
{
    const struct umbel_json *sessions = umbel_json_member(reply, "sessions");
    struct rows rows;

    rows_init(&rows);
    rows_column(&rows, "app", STATS_TEXT, true);
    rows_column(&rows, "session", STATS_TEXT, true);
    rows_column(&rows, "turns", STATS_U64, true);
    rows_column(&rows, "bytes", STATS_BYTES, true);
    rows_column(&rows, "last", STATS_WALL_S, true);
    for (const struct umbel_json *s = umbel_json_first(sessions); s; s = umbel_json_next(s)) {
        struct stats_cell *cells = rows_add(&rows);
        if (!cells)
            break;
        set_text(&cells[0], umbel_json_member_text(s, "app", ""));
        set_text(&cells[1], umbel_json_member_text(s, "session", ""));
        set_number(&cells[2], STATS_U64, umbel_json_member_integer(s, "turns", 0));
        set_number(&cells[3], STATS_BYTES, umbel_json_member_integer(s, "bytes", 0));
        set_number(&cells[4], STATS_WALL_S, umbel_json_member_integer(s, "last_ms", 0) / 1000);
    }
    rows_print(&rows, ctl->colour);
    rows_free(&rows);
}

/* Text that clients and models wrote goes to a terminal: control characters but line ends and tabs are shown as '?'. */
static void print_safely(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        putchar((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : c);
    }
}

static void print_turns(const struct ctl *ctl, const struct umbel_json *reply)
{
    (void)ctl;
    for (const struct umbel_json *turn = umbel_json_first(umbel_json_member(reply, "turns")); turn; turn = umbel_json_next(turn)) {
        const struct umbel_json *message = umbel_json_member(turn, "message"), *content = umbel_json_member(message, "content");
        time_t when = (time_t)(umbel_json_member_integer(turn, "time_ms", 0) / 1000);
        const char *verdict = umbel_json_member_text(turn, "verdict", "");
        struct umbel_out out = {0};
        char date[32];
        struct tm utc;
        size_t size;

        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%SZ", gmtime_r(&when, &utc));
        printf("%s  %s%s%s\n", date, umbel_json_member_text(message, "role", "?"), *verdict ? ", " : "", verdict);
        const char *text = umbel_json_text(content, &size);
        if (!text) {
            umbel_json_print(content, &out);
            text = out.data;
            size = out.size;
        }
        print_safely(text ? text : "", size);
        fputs("\n\n", stdout);
        umbel_out_free(&out);
    }
}

int ctl_session_list(const struct ctl *ctl)
{
    return ask(ctl, print_list);
}

int ctl_session_show(const struct ctl *ctl)
{
    return ask(ctl, print_turns);
}
