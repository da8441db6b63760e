/* reload, config diff: the daemon compares its configuration with the file, and applies it or only tells. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#include "tools/umbelctl/call.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/text.h"

static void print_clean(const char *format, const char *text)
{
    char clean[256];

    text_clean(text, strlen(text), 0, clean, sizeof clean);
    printf(format, clean);
}

static const char *member(const struct umbel_json *json, const char *name)
{
    return umbel_json_member_text(json, name, "");
}

static const char *words_of(const char *applies)
{
    if (strcmp(applies, "restart") == 0)
        return "  [needs a restart of umbeld]";
    return strcmp(applies, "hosts") == 0 ? "  [by new host processes]" : "";
}

static void print_change(const struct umbel_json *change)
{
    print_clean("%-8s ", member(change, "change"));
    print_clean("%s", member(change, "section")[0] ? member(change, "section") : "(top level)");
    print_clean(member(change, "name")[0] ? " %s\n" : "%s\n", member(change, "name"));
    for (const struct umbel_json *o = umbel_json_first(umbel_json_member(change, "options")); o; o = umbel_json_next(o)) {
        print_clean("    %s: ", member(o, "name"));
        print_clean(member(o, "from")[0] ? "%s -> " : "\"\"%s -> ", member(o, "from"));
        print_clean(member(o, "to")[0] ? "%s" : "\"\"%s", member(o, "to"));
        print_clean("%s\n", words_of(member(o, "applies")));
    }
}

static void print_reply(const struct umbel_json *reply)
{
    const struct umbel_json *changes = umbel_json_member(reply, "changes");

    for (const struct umbel_json *w = umbel_json_first(umbel_json_member(reply, "warnings")); w; w = umbel_json_next(w))
        print_clean("warning: %s\n", umbel_json_text(w, NULL));
    for (const struct umbel_json *change = umbel_json_first(changes); change; change = umbel_json_next(change))
        print_change(change);
    if (umbel_json_count(changes) == 0)
        print_clean("%s says what already runs\n", member(reply, "file"));
}

static int ask(const struct ctl *ctl)
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
        print_reply(call.reply);
    }
    umbel_json_free(call.reply);
    return r;
}

int ctl_reload(const struct ctl *ctl)
{
    return ask(ctl);
}

int ctl_config_diff(const struct ctl *ctl)
{
    struct ctl with_path = *ctl;
    char *path = ctl->word_count ? realpath(ctl->words[0], NULL) : NULL;
    int r;

    if (ctl->word_count && !path)
        return ctl_complain(CTL_FAILED, NULL, "%s: %s", ctl->words[0], strerror(errno));
    with_path.words = &path;
    r = ask(&with_path);
    free(path);
    return r;
}
