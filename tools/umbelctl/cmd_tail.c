/* stream tail: the text of answers as it comes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/number.h"
#include "tools/umbelctl/call.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/text.h"

struct tail {
    const struct ctl *ctl;
    bool terminal, several; /* several: of a session, so each has a head */
    char now[64];           /* the answer whose text was printed last */
    char last;              /* byte printed */
    char id[64];            /* of the newest text, and where it ended: to go on from */
    uint64_t position;
};

static void end_line(struct tail *tail)
{
    if (tail->last && tail->last != '\n')
        putchar('\n');
    tail->last = '\n';
}

static void print_head(struct tail *tail, const char *id, const char *words)
{
    char clean[256];

    end_line(tail);
    text_clean(words, strlen(words), 0, clean, sizeof clean);
    printf("%s--- %s %s%s\n", tail->ctl->colour ? "\033[2m" : "", id, clean, tail->ctl->colour ? "\033[0m" : "");
}

static void print_piece(struct tail *tail, const char *event, const char *id, const char *text, size_t size)
{
    bool reasoning = strcmp(event, "reasoning") == 0;

    if (size == 0 || (!reasoning && strcmp(event, "text") != 0))
        return;
    if (tail->several && strcmp(tail->now, id) != 0 && tail->now[0])
        print_head(tail, id, "goes on");
    snprintf(tail->now, sizeof tail->now, "%s", id);
    if (reasoning && tail->ctl->colour)
        fputs("\033[2m", stdout);
    print_live(tail->terminal, text, size);
    if (reasoning && tail->ctl->colour)
        fputs("\033[0m", stdout);
    tail->last = text[size - 1];
}

static int tail_event(void *owner, const struct umbel_json *line)
{
    struct tail *tail = owner;
    const char *event = umbel_json_member_text(line, "event", ""), *id = umbel_json_member_text(line, "stream", "");
    struct umbel_out out = {0};
    size_t size = 0;
    const char *text = umbel_json_text(umbel_json_member(line, "text"), &size);

    if (strcmp(event, "text") == 0) {
        snprintf(tail->id, sizeof tail->id, "%s", id);
        tail->position = (uint64_t)umbel_json_integer(umbel_json_member(line, "position"), 0) + size;
    }
    if (tail->ctl->json) {
        umbel_json_print(line, &out);
        print_document(&out);
    } else if (strcmp(event, "open") == 0 && tail->several) {
        print_head(tail, id, umbel_json_member_text(line, "model", ""));
        snprintf(tail->now, sizeof tail->now, "%s", id);
    } else if (strcmp(event, "closed") == 0) {
        print_head(tail, id, umbel_json_member_text(line, "verdict", ""));
        tail->now[0] = '\0';
    } else if (strcmp(event, "skipped") == 0) {
        print_head(tail, id, "is left out: too many at once");
    } else if (text) {
        print_piece(tail, event, id, text, size);
    }
    return print_is_broken() ? CTL_FAILED : CTL_OK;
}

static int finish(struct tail *tail, const struct umbel_json *reply, int code)
{
    const char *verdict = umbel_json_member_text(reply, "verdict", NULL);
    struct umbel_out out = {0};

    if (tail->ctl->json) {
        umbel_json_print(reply, &out);
        return print_document(&out) == CTL_OK ? code : CTL_FAILED;
    }
    end_line(tail);
    if (code != CTL_OK)
        return call_complain(reply);
    if (verdict && strcmp(verdict, "complete") != 0)
        ctl_complain(CTL_OK, NULL, "the answer ended %s%s%s", verdict, *umbel_json_member_text(reply, "error", "") ? ": " : "",
                     umbel_json_member_text(reply, "error", ""));
    return CTL_OK;
}

int ctl_stream_tail(const struct ctl *ctl)
{
    bool one = strncmp(ctl->words[0], "chatcmpl-", 9) == 0;
    struct tail tail = {.ctl = ctl, .terminal = isatty(STDOUT_FILENO), .several = !one};
    struct call call = {.may_take_long = true, .event = tail_event, .owner = &tail};
    int r = call_daemon(ctl, &call);

    if (call.reply)
        r = finish(&tail, call.reply, r);
    else if (!ctl->json)
        end_line(&tail);
    if (!call.reply && tail.id[0] && r == CTL_FAILED && !print_is_broken())
        fprintf(stderr, "  umbelctl stream tail %s --from %" PRIu64 "   goes on from here\n", tail.id, tail.position);
    umbel_json_free(call.reply);
    return r;
}
