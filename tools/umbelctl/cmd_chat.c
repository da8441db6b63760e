/* chat, and every other command that the daemon does. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/umbelctl/call.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/text.h"

struct chat {
    bool json, terminal;
    struct umbel_out text, reasoning;
    char id[64];
    char last; /* byte printed */
};

static void note_id(struct chat *chat, const struct umbel_json *line)
{
    const char *id = umbel_json_member_text(line, "stream", umbel_json_member_text(line, "id", NULL));

    if (id)
        snprintf(chat->id, sizeof chat->id, "%s", id);
}

static int chat_event(void *owner, const struct umbel_json *line)
{
    struct chat *chat = owner;
    const char *event = umbel_json_member_text(line, "event", ""), *text;
    size_t size = 0;

    note_id(chat, line);
    text = umbel_json_text(umbel_json_member(line, "text"), &size);
    if (text && strcmp(event, "reasoning") == 0)
        umbel_out_put(&chat->reasoning, text, size);
    if (!text || size == 0 || strcmp(event, "text") != 0)
        return CTL_OK;
    chat->last = text[size - 1];
    if (chat->json) {
        umbel_out_put(&chat->text, text, size);
        return CTL_OK;
    }
    print_live(chat->terminal, text, size);
    return print_is_broken() ? CTL_FAILED : CTL_OK; /* nobody reads: hanging up stops the answer */
}

static bool has_error(const struct umbel_json *reply)
{
    return umbel_json_member_text(reply, "error", "")[0] != '\0';
}

/* What the reply says beyond what the document has already. */
static void put_rest(struct umbel_out *out, const struct umbel_json *reply)
{
    static const char *const known[] = {"ok", "id", "stream", "verdict", "text", "reasoning"};

    for (const struct umbel_json *each = umbel_json_first(reply); each; each = umbel_json_next(each)) {
        const char *name = umbel_json_name(each);
        bool skip = false;

        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            skip = skip || strcmp(name, known[i]) == 0;
        skip = skip || (strcmp(name, "error") == 0 && !has_error(reply));
        if (skip)
            continue;
        umbel_out_text(out, ",");
        umbel_out_json(out, name, strlen(name));
        umbel_out_text(out, ":");
        umbel_json_print(each, out);
    }
}

static int print_chat_json(struct chat *chat, const struct umbel_json *reply, const char *verdict)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, "{\"id\":");
    if (chat->id[0])
        umbel_out_json(&out, chat->id, strlen(chat->id));
    else
        umbel_out_text(&out, "null");
    umbel_out_text(&out, ",\"verdict\":");
    umbel_out_json(&out, verdict, strlen(verdict));
    umbel_out_text(&out, ",\"text\":");
    umbel_out_json(&out, chat->text.size ? chat->text.data : "", chat->text.size);
    if (chat->reasoning.size > 0) {
        umbel_out_text(&out, ",\"reasoning\":");
        umbel_out_json(&out, chat->reasoning.data, chat->reasoning.size);
    }
    put_rest(&out, reply);
    umbel_out_text(&out, "}");
    return print_document(&out);
}

/* The end of an answer: the document, or the rest of the line and what went wrong. */
static int finish_chat(struct chat *chat, const struct umbel_json *reply, int code)
{
    char verdict[16];

    snprintf(verdict, sizeof verdict, "%s", umbel_json_member_text(reply, "verdict", code == CTL_OK ? "COMPLETE" : "FAILED"));
    for (char *at = verdict; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    note_id(chat, reply);
    if (code == CTL_OK && strcmp(verdict, "COMPLETE") != 0)
        code = CTL_FAILED;
    if (chat->json) {
        if (chat->text.failed || chat->reasoning.failed)
            return ctl_complain(CTL_FAILED, NULL, "the answer is too long to hold: ask without --json");
        return print_chat_json(chat, reply, verdict) == CTL_OK ? code : CTL_FAILED;
    }
    if (chat->last && chat->last != '\n')
        putchar('\n');
    fflush(stdout);
    if (code != CTL_OK && chat->id[0])
        ctl_complain(CTL_FAILED, chat->id, "the answer ended %s%s%s", verdict, has_error(reply) ? ": " : "",
                     umbel_json_member_text(reply, "error", ""));
    else if (code != CTL_OK)
        call_complain(reply);
    return code;
}

int ctl_chat(const struct ctl *ctl)
{
    struct chat chat = {.json = ctl->json, .terminal = isatty(STDOUT_FILENO)};
    struct call call = {.may_take_long = true, .event = chat_event, .owner = &chat};
    int r = call_daemon(ctl, &call);

    if (call.reply)
        r = finish_chat(&chat, call.reply, r);
    else if (!chat.json && chat.last && chat.last != '\n')
        putchar('\n');
    umbel_json_free(call.reply);
    umbel_out_free(&chat.text);
    umbel_out_free(&chat.reasoning);
    return r;
}

int ctl_operate(const struct ctl *ctl)
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
        for (const struct umbel_json *each = umbel_json_first(call.reply); each; each = umbel_json_next(each)) {
            if (strcmp(umbel_json_name(each), "ok") == 0)
                continue;
            umbel_out_printf(&out, "%s: ", umbel_json_name(each));
            if (umbel_json_text(each, NULL))
                umbel_out_text(&out, umbel_json_text(each, NULL));
            else
                umbel_json_print(each, &out);
            umbel_out_text(&out, "\n");
        }
        if (out.size == 0)
            umbel_out_text(&out, "ok\n");
        fwrite(out.data, 1, out.size, stdout);
        umbel_out_free(&out);
    }
    umbel_json_free(call.reply);
    return r;
}
