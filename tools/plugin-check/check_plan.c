/* plugin-check/check_plan.c - reads NAME.check. */
#include "tools/plugin-check/check_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"

static int complain(char *why, size_t why_size, const char *what, const char *member)
{
    snprintf(why, why_size, what, member);
    return -EINVAL;
}

static int read_regex(const struct umbel_json *object, const char *member, regex_t *ret_regex, char *why, size_t why_size)
{
    const char *text = umbel_json_member_text(object, member, NULL);

    if (!text)
        return complain(why, why_size, "\"%s\" is missing: an extended regular expression", member);
    int r = regcomp(ret_regex, text, REG_EXTENDED | REG_NOSUB);
    if (r == 0)
        return 0;
    char detail[120];
    regerror(r, ret_regex, detail, sizeof detail);
    snprintf(why, why_size, "\"%s\" is no extended regular expression: %s", member, detail);
    return -EINVAL;
}

static int read_carrier(struct plan *plan, char *why, size_t why_size)
{
    static const char *const words[] = {[PLAN_WS] = "ws", [PLAN_HTTP] = "http", [PLAN_TCP] = "tcp"};
    const char *carrier = umbel_json_member_text(plan->json, "carrier", "");

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(carrier, words[i]) == 0) {
            plan->carrier = (enum plan_carrier)i;
            return 0;
        }
    return complain(why, why_size, "\"carrier\" is \"%s\", expected ws, http or tcp", carrier);
}

static int read_dialogues(struct plan *plan, char *why, size_t why_size)
{
    const struct umbel_json *list = umbel_json_member(plan->json, "dialogues");

    for (const struct umbel_json *each = umbel_json_first(list); each; each = umbel_json_next(each)) {
        if (plan->dialogue_count == PLAN_DIALOGUES_MAX)
            return complain(why, why_size, "\"%s\" has more than 64 elements", "dialogues");
        struct plan_dialogue *dialogue = &plan->dialogues[plan->dialogue_count];
        dialogue->name = umbel_json_member_text(each, "name", "a dialogue without a name");
        dialogue->send = umbel_json_member_text(each, "send", NULL);
        dialogue->request = umbel_json_member(each, "request");
        dialogue->status = (long)umbel_json_member_integer(each, "status", 0);
        if (plan->carrier == PLAN_HTTP ? !dialogue->request : !dialogue->send)
            return complain(why, why_size, "a dialogue needs \"%s\"", plan->carrier == PLAN_HTTP ? "request" : "send");
        int r = read_regex(each, "expect", &dialogue->expect, why, why_size);
        if (r < 0)
            return r;
        plan->dialogue_count++;
    }
    return 0;
}

static int read_members(struct plan *plan, char *why, size_t why_size)
{
    const struct umbel_json *text = umbel_json_member(plan->json, "text");
    int r = read_carrier(plan, why, why_size);

    if (r < 0)
        return r;
    plan->path = umbel_json_member_text(plan->json, "path", "/");
    plan->headers = umbel_json_member(plan->json, "headers");
    plan->connect = umbel_json_member(plan->json, "connect");
    plan->ask = umbel_json_member_text(plan->json, "ask", NULL);
    plan->request = umbel_json_member(plan->json, "request");
    plan->separator = umbel_json_member_text(plan->json, "separator", "\n");
    plan->options = umbel_json_member(plan->json, "options");
    plan->anonymous = umbel_json_bool(umbel_json_member(plan->json, "anonymous"), 0);
    plan->prefix = umbel_json_member_text(text, "prefix", "");
    plan->pointer = umbel_json_member_text(text, "json", NULL);
    if (plan->carrier == PLAN_HTTP ? !plan->request : !plan->ask)
        return complain(why, why_size, "\"%s\" is missing: how a client asks", plan->carrier == PLAN_HTTP ? "request" : "ask");
    if (umbel_json_type(text) != UMBEL_JSON_OBJECT)
        return complain(why, why_size, "\"%s\" is missing: {\"prefix\":..., \"json\":...}", "text");
    if (!*plan->separator)
        return complain(why, why_size, "\"%s\" is empty", "separator");
    r = read_regex(plan->json, "terminal", &plan->terminal, why, why_size);
    if (r == 0)
        r = read_regex(plan->json, "error", &plan->error, why, why_size);
    plan->has_ready = umbel_json_member(plan->json, "ready") != NULL;
    if (r == 0 && plan->has_ready)
        r = read_regex(plan->json, "ready", &plan->ready, why, why_size);
    return r == 0 ? read_dialogues(plan, why, why_size) : r;
}

int plan_read(const char *path, struct plan *ret_plan, char *why, size_t why_size)
{
    char *text;
    size_t size;
    int r = fd_read_file(path, PLAN_FILE_MAX, &text, &size);

    if (r < 0) {
        snprintf(why, why_size, "cannot read %s: %s", path, strerror(-r));
        return r;
    }
    *ret_plan = (struct plan){.json = umbel_json_parse(text, size, why, why_size)};
    free(text);
    return ret_plan->json ? read_members(ret_plan, why, why_size) : -EINVAL;
}

void plan_fill(const char *template, const char *key, const char *question, struct umbel_out *out)
{
    while (*template) {
        if (strncmp(template, "{key}", 5) == 0) {
            umbel_out_text(out, key);
            template += 5;
        } else if (strncmp(template, "{question}", 10) == 0) {
            umbel_out_text(out, question);
            template += 10;
        } else {
            umbel_out_put(out, template++, 1);
        }
    }
}
