/* upstream probe: what the daemon met on its way to a model service. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/umbelctl/call.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/text.h"

static const char *clean(const struct umbel_json *object, const char *member)
{
    static char text[4][1200];
    static unsigned next;
    const char *raw = umbel_json_member_text(object, member, "");
    char *to = text[next++ % 4];

    text_clean(raw, strlen(raw), 0, to, sizeof text[0]);
    return to;
}

static void print_times(const struct umbel_json *times)
{
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"room", "waited for room"}, {"resolve", "look-up"}, {"connect", "connection"}, {"proxy", "proxy"}, {"tls", "TLS"},
        {"first_byte", "asked to first byte"}, {"first_token", "asked to first token"}, {"end", "asked to end"}, {"total", "in all"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct umbel_json *time = umbel_json_member(times, rows[i].name);
        if (umbel_json_type(time) == UMBEL_JSON_NUMBER)
            printf("  %-22s %10.1f ms\n", rows[i].words, umbel_json_number(time, 0));
    }
}

static void print_tls(const struct umbel_json *tls)
{
    const struct umbel_json *days = umbel_json_member(tls, "certificate_days");

    if (umbel_json_type(tls) != UMBEL_JSON_OBJECT)
        return;
    printf("TLS        %s, %s, %s", clean(tls, "version"), clean(tls, "cipher"),
           umbel_json_bool(umbel_json_member(tls, "resumed"), 0) ? "resumed" : "full handshake");
    if (umbel_json_type(days) == UMBEL_JSON_NUMBER)
        printf(", the certificate has %lld days left", (long long)umbel_json_number(days, 0));
    printf("\n");
}

static void print_answer(const struct umbel_json *reply)
{
    const struct umbel_json *status = umbel_json_member(reply, "status"), *usage = umbel_json_member(reply, "usage");
    long long after = (long long)umbel_json_member_integer(reply, "retry_after_s", -1);

    if (umbel_json_type(status) != UMBEL_JSON_NUMBER)
        return;
    printf("HTTP       %d, %s\n", (int)umbel_json_number(status, 0), clean(reply, "content_type"));
    if (after >= 0)
        printf("           it says: try again in %lld s\n", after);
    if (umbel_json_member_integer(reply, "events", 0) == 0)
        return;
    printf("answer     %lld pieces of text, %lld of thinking, %lld comments; finish %s%s\n", (long long)umbel_json_member_integer(reply, "deltas", 0),
           (long long)umbel_json_member_integer(reply, "thinking", 0), (long long)umbel_json_member_integer(reply, "comments", 0),
           *umbel_json_member_text(reply, "finish", "") ? clean(reply, "finish") : "(none)",
           umbel_json_bool(umbel_json_member(reply, "long"), 0) ? ", long: the rest was not waited for" : "");
    printf("it says    %s\n", clean(reply, "said"));
    if (umbel_json_type(usage) == UMBEL_JSON_OBJECT)
        printf("usage      %lld + %lld tokens\n", (long long)umbel_json_member_integer(usage, "prompt_tokens", 0),
               (long long)umbel_json_member_integer(usage, "completion_tokens", 0));
    else
        printf("usage      not told\n");
}

static void print_quirks(const struct umbel_json *quirks)
{
    const struct umbel_json *quirk = umbel_json_first(quirks);

    printf("quirks     %s", quirk ? "" : "none seen");
    for (const char *comma = ""; quirk; quirk = umbel_json_next(quirk), comma = ", ")
        printf("%s%s%s", comma, clean(quirk, "name"), umbel_json_bool(umbel_json_member(quirk, "on"), 1) ? "" : " (switched off: it was ignored)");
    printf("\n");
}

static void print_report(const struct umbel_json *reply, bool good)
{
    printf("upstream   %s, dialect %s, %s\n", clean(reply, "upstream"), clean(reply, "dialect"), clean(reply, "base_url"));
    printf("model      %s\n", clean(reply, "model"));
    print_tls(umbel_json_member(reply, "tls"));
    print_answer(reply);
    if (umbel_json_member_integer(reply, "events", 0) > 0)
        print_quirks(umbel_json_member(reply, "quirks"));
    if (strcmp(umbel_json_member_text(reply, "breaker", ""), "closed") != 0)
        printf("breaker    %s: questions go to other upstreams meanwhile\n", clean(reply, "breaker"));
    print_times(umbel_json_member(reply, "times_ms"));
    printf("verdict    %s\n", good ? "ok" : clean(reply, "verdict"));
    if (!good)
        printf("           %s\n           %s\n", clean(reply, "error"), clean(reply, "advice"));
}

int ctl_upstream_probe(const struct ctl *ctl)
{
    struct call call = {.may_take_long = true};
    struct umbel_out out = {0};
    int r = call_daemon(ctl, &call);

    if (!call.reply)
        return r;
    bool good = strcmp(umbel_json_member_text(call.reply, "verdict", ""), "ok") == 0;
    if (ctl->json) {
        umbel_json_print(call.reply, &out);
        r = print_document(&out) == CTL_OK ? r : CTL_FAILED;
    } else if (r != CTL_OK) {
        r = call_complain(call.reply);
    } else {
        print_report(call.reply, good);
    }
    umbel_json_free(call.reply);
    return r == CTL_OK && !good ? CTL_FAILED : r;
}
