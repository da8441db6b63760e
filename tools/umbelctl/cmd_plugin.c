/* plugin list, plugin upgrade, restart, drain: what an operator does to the processes of a transport. */
#include <stdio.h>
#include <string.h>

#include "tools/umbelctl/call.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/rows.h"
#include "tools/umbelctl/text.h"

/* A call whose intermediate lines are shown as they come, or are collected for the document. */
struct progress {
    const struct ctl *ctl;
    struct umbel_out events; /* --json */
};

static void put_processes(const struct umbel_json *list, const char *word)
{
    char name[96], version[80];

    for (const struct umbel_json *each = umbel_json_first(list); each; each = umbel_json_next(each)) {
        const char *is = umbel_json_member_text(each, "name", ""), *has = umbel_json_member_text(each, "version", "");
        int64_t answers = umbel_json_member_integer(each, "answers", 0);
        text_clean(is, strlen(is), 0, name, sizeof name);
        text_clean(has, strlen(has), 0, version, sizeof version);
        printf("  %s %s, pid %lld%s%s", word, name, (long long)umbel_json_member_integer(each, "pid", 0), *version ? ", version " : "",
               version);
        if (answers > 0)
            printf(", %lld answers running", (long long)answers);
        printf("\n");
    }
}

static const char *words_of(const char *event)
{
    static const char *const known[][2] = {{"starting", "new processes are starting"},
                                           {"watching", "the new ones accept; the old ones wait 5 s in case they fail"},
                                           {"taken", "the new ones serve, the old ones end with their last answers"},
                                           {"kept", "the new ones are not taken, the old ones serve on"},
                                           {"draining", "answers are being ended"}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i][0], event) == 0)
            return known[i][1];
    return event;
}

static int on_event(void *owner, const struct umbel_json *line)
{
    struct progress *progress = owner;
    const char *transport = umbel_json_member_text(line, "transport", "");
    char clean[96];

    if (progress->ctl->json) {
        umbel_out_text(&progress->events, progress->events.size ? "," : "");
        umbel_json_print(line, &progress->events);
        return CTL_OK;
    }
    text_clean(transport, strlen(transport), 0, clean, sizeof clean);
    printf("%s: %s", clean, words_of(umbel_json_member_text(line, "event", "")));
    if (umbel_json_member(line, "answers"))
        printf(", %lld left", (long long)umbel_json_member_integer(line, "answers", 0));
    printf("\n");
    put_processes(umbel_json_member(line, "old"), "old");
    put_processes(umbel_json_member(line, "new"), "new");
    fflush(stdout);
    return CTL_OK;
}

static int print_json(struct progress *progress, const struct umbel_json *reply, int code)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, "{\"events\":[");
    if (progress->events.size)
        umbel_out_put(&out, progress->events.data, progress->events.size);
    umbel_out_text(&out, "],\"reply\":");
    umbel_json_print(reply, &out);
    umbel_out_text(&out, "}");
    if (progress->events.failed)
        out.failed = true;
    return print_document(&out) == CTL_OK ? code : CTL_FAILED;
}

static int follow(const struct ctl *ctl, const char *done)
{
    struct progress progress = {.ctl = ctl};
    struct call call = {.may_take_long = true, .event = on_event, .owner = &progress};
    int r = call_daemon(ctl, &call);

    if (!call.reply)
        return r;
    if (ctl->json)
        r = print_json(&progress, call.reply, r);
    else if (r != CTL_OK)
        r = call_complain(call.reply);
    else
        printf("%s\n", done);
    umbel_out_free(&progress.events);
    umbel_json_free(call.reply);
    return r;
}

int ctl_change_over(const struct ctl *ctl)
{
    return follow(ctl, "done");
}

int ctl_drain(const struct ctl *ctl)
{
    return follow(ctl, "drained");
}

int ctl_plugin_list(const struct ctl *ctl)
{
    static const char *const names[] = {"name", "version", "file_version", "abi", "error", "path"};
    struct call call = {.may_take_long = true};
    struct umbel_out out = {0};
    struct rows rows;
    int r = call_daemon(ctl, &call);

    if (!call.reply)
        return r;
    if (r != CTL_OK || ctl->json) {
        umbel_json_print(umbel_json_member(call.reply, "plugins"), &out);
        r = r != CTL_OK ? call_complain(call.reply) : print_document(&out);
        umbel_json_free(call.reply);
        return r;
    }
    rows_init(&rows);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        rows_column(&rows, names[i], STATS_TEXT, true);
    rows_column(&rows, "transports", STATS_TEXT, true);
    const struct umbel_json *plugins = umbel_json_member(call.reply, "plugins");
    for (const struct umbel_json *each = umbel_json_first(plugins); each; each = umbel_json_next(each)) {
        struct stats_cell *cells = rows_add(&rows);
        size_t at = 0;
        for (size_t i = 0; cells && i < sizeof names / sizeof names[0]; i++)
            snprintf(cells[i].text, sizeof cells[i].text, "%s", umbel_json_member_text(each, names[i], ""));
        struct stats_cell *last = cells ? &cells[sizeof names / sizeof names[0]] : NULL;
        const struct umbel_json *transports = umbel_json_member(each, "transports");
        for (const struct umbel_json *t = umbel_json_first(transports); last && t && at < sizeof last->text; t = umbel_json_next(t))
            at += (size_t)snprintf(last->text + at, sizeof last->text - at, "%s%s", at ? "," : "", umbel_json_text(t, NULL));
    }
    rows_print(&rows, ctl->colour);
    rows_free(&rows);
    umbel_json_free(call.reply);
    return CTL_OK;
}

int ctl_core_upgrade(const struct ctl *ctl)
{
    struct call call = {.may_take_long = true};
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
        printf("%s: %lld answers running\n", umbel_json_member_text(call.reply, "state", ""),
               (long long)umbel_json_member_integer(call.reply, "answers", 0));
        for (const struct umbel_json *each = umbel_json_first(umbel_json_member(call.reply, "lost")); each; each = umbel_json_next(each))
            printf("  not kept: %s\n", umbel_json_text(each, NULL));
    }
    umbel_json_free(call.reply);
    return r;
}
