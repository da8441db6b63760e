#include "core/daemon/daemon_grants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/daemon/daemon_auth.h"
#include "core/daemon/daemon_authorize.h"
#include "core/daemon/daemon_frames.h"

#define USER_PREFIX "user:"
#define OPEN_NAME "open"

struct grant {
    struct list link; /* daemon_host.grants */
    struct daemon_host *host;
    uint32_t place, generation, app, kind;
    struct authorize_ask ask;
    struct list frames; /* struct frame, in the order they came */
    bool asking, left, first;
    uint64_t made_ns, until_ns;
    uint32_t error; /* denied when it was asked about last: UMBEL_ERROR_* */
    char *words;    /* of that denial; NULL = none */
    char user[sizeof USER_PREFIX + AUTHORIZE_USER_MAX];
    struct policy_limits limits;
    char client_ip[DAEMON_AUTH_IP_MAX];
    size_t size;
    char credential[];
};

struct frame {
    struct list link;
    uint32_t type;
    uint64_t tag;
    size_t size;
    char body[];
};

struct daemon_grants {
    struct grant **places;
    uint32_t *generations;
    uint32_t count, capacity, free_from; /* free_from: no place below it is free */
};

static struct grant *find(const struct daemon *daemon, uint64_t number)
{
    const struct daemon_grants *grants = daemon->grants;
    uint32_t place = (uint32_t)number, generation = (uint32_t)(number >> 32) & INT32_MAX;

    if (!(number & CONTROL_GRANT_HELD) || !grants || place >= grants->capacity || !grants->places[place] ||
        grants->places[place]->generation != generation)
        return NULL;
    return grants->places[place];
}

static bool grow(struct daemon_grants *grants)
{
    uint32_t capacity = grants->capacity ? grants->capacity * 2 : 256;
    struct grant **places = realloc(grants->places, capacity * sizeof(struct grant *));

    if (places)
        grants->places = places;
    uint32_t *generations = realloc(grants->generations, capacity * sizeof *generations);
    if (generations)
        grants->generations = generations;
    if (!places || !generations)
        return false;
    memset(places + grants->capacity, 0, (capacity - grants->capacity) * sizeof(struct grant *));
    memset(generations + grants->capacity, 0, (capacity - grants->capacity) * sizeof *generations);
    grants->capacity = capacity;
    return true;
}

static bool take_place(struct daemon *daemon, struct grant *grant)
{
    struct daemon_grants *grants = daemon->grants;

    if (!grants && !(grants = daemon->grants = calloc(1, sizeof *grants)))
        return false;
    while (grants->free_from < grants->capacity && grants->places[grants->free_from])
        grants->free_from++;
    if (grants->free_from == grants->capacity && !grow(grants))
        return false;
    grant->place = grants->free_from;
    grant->generation = grants->generations[grant->place] = (grants->generations[grant->place] + 1) & INT32_MAX;
    grants->places[grant->place] = grant;
    stats_set(daemon->stats, CORE_GRANTS, ++grants->count);
    return true;
}

static void grant_free(struct grant *grant)
{
    struct daemon_host *h = grant->host;
    struct daemon_grants *grants = h->daemon->grants;

    authorize_forget(&grant->ask);
    while (!list_is_empty(&grant->frames)) {
        struct frame *frame = list_entry(grant->frames.next, struct frame, link);
        list_remove(&frame->link);
        h->waiting_bytes -= sizeof *frame + frame->size;
        free(frame);
    }
    grants->places[grant->place] = NULL;
    if (grant->place < grants->free_from)
        grants->free_from = grant->place;
    stats_set(h->daemon->stats, CORE_GRANTS, --grants->count);
    h->grant_count--;
    list_remove(&grant->link);
    explicit_bzero(grant->credential, grant->size);
    free(grant->words);
    free(grant);
}

/* The smaller word counts: what the service gave, else what the app gives each of its keys. */
static struct policy_limits limits_of(const struct config_limits *app, const struct authorize_limits *given)
{
    const uint32_t otherwise[AUTHORIZE_LIMITS] = {app->concurrent, app->requests_per_minute, app->prompt_bytes, app->output_tokens,
                                                  app->tokens_per_day};
    uint32_t all[AUTHORIZE_LIMITS];

    for (size_t i = 0; i < AUTHORIZE_LIMITS; i++)
        all[i] = given->given[i] ? given->value[i] : otherwise[i];
    return (struct policy_limits){.concurrent = all[AUTHORIZE_CONCURRENT],
                                  .requests_per_minute = all[AUTHORIZE_REQUESTS_PER_MINUTE],
                                  .prompt_bytes = all[AUTHORIZE_PROMPT_BYTES],
                                  .output_tokens = all[AUTHORIZE_OUTPUT_TOKENS],
                                  .tokens_per_day = all[AUTHORIZE_TOKENS_PER_DAY]};
}

/* What the service has said, or that it is believed for a while though it has not.  Who was known stays who he was. */
static void believe(struct grant *grant, const struct authorize_verdict *verdict)
{
    const struct config_limits *app = &grant->host->daemon->apps[grant->app].config->key_limits;
    bool known = verdict->result == AUTHORIZE_ALLOW;

    free(grant->words);
    grant->words = NULL;
    grant->error = 0;
    grant->until_ns = known ? verdict->until_ns : clock_now_ns() + GRANTS_OPEN_S * CLOCK_S;
    if (known && *verdict->user)
        snprintf(grant->user, sizeof grant->user, USER_PREFIX "%s", verdict->user);
    else if (known)
        grant->user[0] = '\0';
    else if (!grant->first)
        return;
    else
        snprintf(grant->user, sizeof grant->user, OPEN_NAME);
    grant->limits = limits_of(app, &verdict->limits);
}

uint64_t daemon_grants_add(struct daemon_host *h, const struct daemon_grant_owner *of, const struct authorize_verdict *verdict)
{
    struct grant *grant = NULL;

    if (h->grant_count < h->transport->config->max_connections + GRANTS_SPARE)
        grant = calloc(1, sizeof *grant + of->credential.size);
    if (grant && !take_place(h->daemon, grant)) {
        free(grant);
        grant = NULL;
    }
    if (!grant) {
        stats_add(h->daemon->stats, CORE_GRANTS_FULL, 1);
        return 0;
    }
    list_init(&grant->frames);
    list_init(&grant->ask.link);
    list_append(&h->grants, &grant->link);
    h->grant_count++;
    grant->host = h;
    grant->app = of->app;
    grant->kind = of->kind;
    grant->first = true;
    grant->made_ns = clock_now_ns();
    grant->size = of->credential.size;
    memcpy(grant->credential, of->credential.data, of->credential.size);
    snprintf(grant->client_ip, sizeof grant->client_ip, "%s", of->client_ip);
    believe(grant, verdict);
    return CONTROL_GRANT_HELD | (uint64_t)grant->generation << 32 | grant->place;
}

void daemon_grants_leave(struct daemon_host *h, uint64_t number)
{
    struct grant *grant = find(h->daemon, number);

    if (!grant || grant->host != h)
        return;
    if (grant->asking)
        grant->left = true; /* what it has asked for is still owed an answer */
    else
        grant_free(grant);
}

void daemon_grants_forget(struct daemon_host *h)
{
    while (!list_is_empty(&h->grants))
        grant_free(list_entry(h->grants.next, struct grant, link));
}

void daemon_grants_free(struct daemon *daemon)
{
    if (!daemon->grants)
        return;
    free(daemon->grants->places);
    free(daemon->grants->generations);
    free(daemon->grants);
    daemon->grants = NULL;
}

bool daemon_grants_view(const struct daemon *daemon, uint64_t number, struct daemon_grant_view *ret_view)
{
    const struct grant *grant = find(daemon, number);

    if (!grant)
        return false;
    *ret_view = (struct daemon_grant_view){.host = grant->host, .app = grant->app, .user = grant->user, .limits = &grant->limits};
    return true;
}

static void take_verdict(struct grant *grant, const struct authorize_verdict *verdict)
{
    const struct config_app *app = grant->host->daemon->apps[grant->app].config;

    if (verdict->result == AUTHORIZE_ALLOW || (verdict->result == AUTHORIZE_FAILED && app->authorize.fail_open && !verdict->overload)) {
        believe(grant, verdict);
        return;
    }
    free(grant->words);
    grant->words = NULL;
    grant->until_ns = verdict->until_ns;
    grant->error = UMBEL_ERROR_BUSY;
    if (verdict->result == AUTHORIZE_DENY) {
        grant->error = daemon_authorize_error(verdict);
        grant->words = strdup(verdict->message); /* without memory the client hears its protocol's own words */
    }
}

static struct daemon_refusal refusal_of(const struct grant *grant)
{
    if (grant->error == UMBEL_ERROR_BUSY)
        return (struct daemon_refusal){grant->error, DAEMON_AUTH_CANNOT_CHECK};
    return (struct daemon_refusal){grant->error, grant->words ? grant->words : ""};
}

/* The frames that waited go on, or are refused.  A frame may end the process's channel, but not the grant: that is freed with the process,
 * in a later turn. */
static void asked_again(struct authorize_ask *ask, const struct authorize_verdict *verdict)
{
    struct grant *grant = list_entry(ask, struct grant, ask);
    struct daemon_host *h = grant->host;

    take_verdict(grant, verdict);
    while (!list_is_empty(&grant->frames)) {
        struct frame *frame = list_entry(grant->frames.next, struct frame, link);
        struct control_in in = {frame->body, frame->body + frame->size, false};
        struct daemon_refusal refusal = refusal_of(grant);
        list_remove(&frame->link);
        h->waiting_bytes -= sizeof *frame + frame->size;
        daemon_frames_again(h, frame->type, frame->tag, &in, grant->error ? &refusal : NULL);
        free(frame);
    }
    grant->asking = false;
    if (grant->left)
        grant_free(grant);
}

static bool keep_frame(struct grant *grant, uint32_t type, uint64_t tag, const struct control_in *in)
{
    size_t size = (size_t)(in->end - in->at);
    struct frame *frame = NULL;

    if (grant->host->waiting_bytes + sizeof *frame + size <= GRANTS_WAITING_BYTES)
        frame = malloc(sizeof *frame + size);
    if (!frame)
        return false;
    *frame = (struct frame){.type = type, .tag = tag, .size = size};
    memcpy(frame->body, in->at, size);
    grant->host->waiting_bytes += sizeof *frame + size;
    list_append(&grant->frames, &frame->link);
    return true;
}

/* True if the verdict was known. */
static bool ask_again(struct grant *grant)
{
    struct daemon_host *h = grant->host;
    struct authorize_verdict verdict;
    const struct authorize_question question = {.app = h->daemon->apps[grant->app].config->name,
                                                .transport = h->transport->config->name,
                                                .kind = daemon_auth_kind(grant->kind),
                                                .client_ip = grant->client_ip,
                                                .credential = span_of(grant->credential, grant->size)};

    grant->ask.done = asked_again;
    if (!daemon_authorize_ask(h->daemon, grant->app, &question, &grant->ask, &verdict))
        return false;
    take_verdict(grant, &verdict);
    return true;
}

enum grant_gate daemon_grants_gate(struct daemon_host *h, uint32_t type, uint64_t tag, const struct control_in *in,
                                   struct daemon_refusal *ret_refusal)
{
    struct control_in peek = *in;
    uint64_t now_ns = clock_now_ns();
    struct grant *grant = find(h->daemon, control_get(&peek));
    bool first;

    if (!grant || grant->host != h || !daemon_authorize_wanted(h->daemon, grant->app))
        return GRANT_GOES; /* no held one, or one that daemon_grant_app refuses */
    first = grant->first && now_ns < grant->made_ns + GRANTS_FIRST_S * CLOCK_S;
    grant->first = false;
    if (!grant->asking && !first && now_ns >= grant->until_ns && !ask_again(grant))
        grant->asking = true;
    if (grant->asking) {
        if (keep_frame(grant, type, tag, in))
            return GRANT_WAITS;
        *ret_refusal = (struct daemon_refusal){UMBEL_ERROR_BUSY, ""};
        return GRANT_REFUSED;
    }
    *ret_refusal = refusal_of(grant);
    return grant->error ? GRANT_REFUSED : GRANT_GOES;
}
