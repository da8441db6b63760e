/* plugin-check/check_plan.h - NAME.check: what a protocol looks like to a client, told by its plugin's author as JSON.  docs/writing-a-plugin.md
 * explains every member. */
#ifndef CHECK_PLAN_H
#define CHECK_PLAN_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include <umbel/json.h>

#define PLAN_FILE_MAX (256u << 10)
#define PLAN_DIALOGUES_MAX 64u
#define PLAN_KEY "check-key"       /* what {key} becomes */
#define PLAN_BAD_KEY "unknown-key" /* and for a client that may not come in */

enum plan_carrier { PLAN_WS, PLAN_HTTP, PLAN_TCP };

struct plan_dialogue {
    const char *name, *send; /* send: NULL for HTTP */
    const struct umbel_json *request;
    long status; /* HTTP: 0 = any */
    regex_t expect;
};

struct plan {
    struct umbel_json *json; /* owns all texts */
    enum plan_carrier carrier;
    const char *path;                /* ws: of the opening request */
    const struct umbel_json *headers; /* ws: of the opening request */
    const struct umbel_json *connect; /* tcp, ws: units sent first */
    const char *ask;                 /* tcp, ws: the unit that asks */
    const struct umbel_json *request; /* http: the request that asks */
    const char *separator;           /* tcp, http: between units */
    const char *prefix, *pointer;    /* of text: what its units begin with; where it is in their JSON, NULL = plain */
    regex_t terminal, error, ready;
    bool has_ready, anonymous;
    const struct umbel_json *options;
    struct plan_dialogue dialogues[PLAN_DIALOGUES_MAX];
    size_t dialogue_count;
};

/* plan_read - reads the file at path.  0, -ENOENT, or another -errno with one line in why. */
int plan_read(const char *path, struct plan *ret_plan, char *why, size_t why_size);

/* plan_fill - template with {key} and {question} replaced, appended to out.  Questions are plain ASCII without quotes: right in JSON and in addresses. */
void plan_fill(const char *template, const char *key, const char *question, struct umbel_out *out);

#endif
