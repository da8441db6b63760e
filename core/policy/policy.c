#include "core/policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u
#define DAY_S 86400u
#define MINUTE_NS 60000000000ull
#define BYTES_PER_TOKEN 4u
#define LOOKS_MAX 256u /* accounts looked at for one that may go, a question */

struct policy_account {
    struct list by_use; /* policy.by_use: the longest unused first */
    struct policy_account *next_in_bucket;
    uint32_t running;
    uint32_t per_minute;   /* the limit at the last question; 0: the bucket is of no interest */
    uint64_t filled_ns;    /* when level was true */
    uint64_t level;        /* requests times MINUTE_NS: per_minute of them fill it, elapsed_ns * per_minute flow in */
    uint64_t day, tokens;  /* used on that day */
    bool day_limited;      /* there is a limit: the day's tokens must not be forgotten */
    char app[POLICY_NAME_MAX], key[POLICY_NAME_MAX];
    bool whole_app;        /* the app's own account, not that of a key with an empty name */
};

struct policy {
    struct list by_use;
    uint32_t count, max;
    struct policy_account *bucket[BUCKETS];
};

uint64_t policy_tokens(uint64_t bytes)
{
    return bytes / BYTES_PER_TOKEN + (bytes % BYTES_PER_TOKEN != 0);
}

uint64_t policy_bytes(uint64_t tokens)
{
    return tokens > UINT64_MAX / BYTES_PER_TOKEN ? UINT64_MAX : tokens * BYTES_PER_TOKEN;
}

int policy_create(uint32_t accounts_max, struct policy **ret_policy)
{
    struct policy *policy = calloc(1, sizeof *policy);

    if (!policy)
        return -ENOMEM;
    list_init(&policy->by_use);
    policy->max = accounts_max;
    *ret_policy = policy;
    return 0;
}

void policy_free(struct policy *policy)
{
    if (!policy)
        return;
    list_for_each(link, spare, &policy->by_use)
        free(list_entry(link, struct policy_account, by_use));
    free(policy);
}

uint32_t policy_accounts(const struct policy *policy)
{
    return policy->count;
}

/* ---- time ---- */

/* The day to count in: see policy.h about clocks that are set back. */
static void roll(struct policy_account *account, uint64_t wall_s)
{
    uint64_t today = wall_s / DAY_S;

    if (today == account->day || today + 1 == account->day)
        return;
    account->day = today;
    account->tokens = 0;
}

static void fill(struct policy_account *account, uint64_t now_ns)
{
    uint64_t full = account->per_minute * MINUTE_NS;
    uint64_t elapsed_ns = now_ns > account->filled_ns ? now_ns - account->filled_ns : 0;

    if (elapsed_ns > MINUTE_NS)
        elapsed_ns = MINUTE_NS; /* it is full by then, and the product fits */
    account->level += elapsed_ns * account->per_minute;
    if (account->level > full)
        account->level = full;
    account->filled_ns = now_ns;
}

/* The operator has written another number: who had a full bucket has one again, nobody has more than fits. */
static void set_rate(struct policy_account *account, uint32_t per_minute, uint64_t now_ns)
{
    bool was_full;

    if (account->per_minute == per_minute)
        return;
    fill(account, now_ns);
    was_full = account->level == account->per_minute * MINUTE_NS;
    account->per_minute = per_minute;
    if (was_full) /* too much of it is cut by fill */
        account->level = per_minute * MINUTE_NS;
}

/* ---- the table ---- */

static uint32_t bucket_of(const char *app, const char *key, bool whole_app)
{
    uint32_t hash = 2166136261u ^ whole_app;

    for (size_t i = 0; app[i] && i < POLICY_NAME_MAX - 1; i++)
        hash = (hash ^ (unsigned char)app[i]) * 16777619u;
    hash = (hash ^ 0xff) * 16777619u;
    for (size_t i = 0; key[i] && i < POLICY_NAME_MAX - 1; i++)
        hash = (hash ^ (unsigned char)key[i]) * 16777619u;
    return hash % BUCKETS;
}

static void forget(struct policy *policy, struct policy_account *account)
{
    struct policy_account **link = &policy->bucket[bucket_of(account->app, account->key, account->whole_app)];

    while (*link != account)
        link = &(*link)->next_in_bucket;
    *link = account->next_in_bucket;
    list_remove(&account->by_use);
    policy->count--;
    free(account);
}

static bool has_nothing_to_remember(struct policy_account *account, const struct policy_time *time)
{
    if (account->running > 0)
        return false;
    roll(account, time->wall_s);
    fill(account, time->now_ns);
    return (account->tokens == 0 || !account->day_limited) && account->level == account->per_minute * MINUTE_NS;
}

/* Room for one more.  Who was looked at in vain goes behind the others, so that the next try looks at the next ones. */
static bool make_room(struct policy *policy, const struct policy_time *time)
{
    if (policy->count < policy->max)
        return true;
    for (uint32_t i = 0; i < LOOKS_MAX && i < policy->count; i++) {
        struct policy_account *account = list_entry(policy->by_use.next, struct policy_account, by_use);
        if (has_nothing_to_remember(account, time)) {
            forget(policy, account);
            return true;
        }
        list_remove(&account->by_use);
        list_append(&policy->by_use, &account->by_use);
    }
    return false;
}

static struct policy_account *find(struct policy *policy, const char *app, const char *key, bool whole_app)
{
    struct policy_account *account = policy->bucket[bucket_of(app, key, whole_app)];

    while (account && (account->whole_app != whole_app || strncmp(account->app, app, POLICY_NAME_MAX - 1) != 0 ||
                       strncmp(account->key, key, POLICY_NAME_MAX - 1) != 0))
        account = account->next_in_bucket;
    return account;
}

static struct policy_account *get(struct policy *policy, const char *app, const char *key, bool whole_app, const struct policy_time *time)
{
    struct policy_account *account = find(policy, app, key, whole_app), **bucket;

    if (account) {
        list_remove(&account->by_use);
        list_append(&policy->by_use, &account->by_use);
        return account;
    }
    account = make_room(policy, time) ? calloc(1, sizeof *account) : NULL;
    if (!account)
        return NULL;
    snprintf(account->app, sizeof account->app, "%s", app);
    snprintf(account->key, sizeof account->key, "%s", key);
    account->whole_app = whole_app;
    account->day = time->wall_s / DAY_S;
    account->filled_ns = time->now_ns;
    bucket = &policy->bucket[bucket_of(app, key, whole_app)];
    account->next_in_bucket = *bucket;
    *bucket = account;
    list_append(&policy->by_use, &account->by_use);
    policy->count++;
    return account;
}

/* ---- admission ---- */

/* One of the two accounts of a question while it is looked at. */
struct look {
    struct policy_account *account; /* NULL: there is nothing to count */
    const struct policy_limits *limits;
};

static bool counts_something(const struct policy_limits *limits)
{
    return limits->concurrent || limits->requests_per_minute || limits->tokens_per_day;
}

/* False: one is needed, and there is no room for it. */
static bool find_accounts(struct policy *policy, const struct policy_request *request, struct look *looks, const struct policy_time *time)
{
    struct policy_account *app = NULL;

    if (counts_something(looks[0].limits)) {
        looks[0].account = app = get(policy, request->app, "", true, time);
        if (!app)
            return false;
    }
    if (!counts_something(looks[1].limits))
        return true;
    if (app)
        app->running++; /* so that it does not have to go for the key's */
    looks[1].account = get(policy, request->app, request->key, false, time);
    if (app)
        app->running--;
    return looks[1].account != NULL;
}

static enum policy_refusal look_at(struct look *look, const struct policy_request *request, const struct policy_time *time, uint32_t *ret_limit)
{
    struct policy_account *account = look->account;
    const struct policy_limits *limits = look->limits;

    roll(account, time->wall_s);
    set_rate(account, limits->requests_per_minute, time->now_ns);
    fill(account, time->now_ns);
    account->day_limited = limits->tokens_per_day > 0;
    if (limits->concurrent && account->running >= limits->concurrent) {
        *ret_limit = limits->concurrent;
        return POLICY_CONCURRENT;
    }
    if (limits->requests_per_minute && account->level < MINUTE_NS) {
        *ret_limit = limits->requests_per_minute;
        return POLICY_RATE;
    }
    /* the question's own tokens, and at least one for the answer */
    if (limits->tokens_per_day && (account->tokens >= limits->tokens_per_day ||
                                   request->prompt_tokens >= limits->tokens_per_day - account->tokens)) {
        *ret_limit = limits->tokens_per_day;
        return POLICY_DAY;
    }
    return POLICY_ADMITTED;
}

static void take_seat(struct look *look, struct policy_seat *seat)
{
    seat->account = look->account;
    seat->tokens_per_day = look->limits->tokens_per_day;
    if (!look->account)
        return;
    look->account->running++;
    if (look->limits->requests_per_minute)
        look->account->level -= MINUTE_NS;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a && (!b || a < b) ? a : b;
}

enum policy_refusal policy_admit(struct policy *policy, const struct policy_request *request, const struct policy_time *time,
                                 struct policy_ticket *ret_ticket, uint32_t *ret_limit)
{
    static const struct policy_limits none = {0};
    struct look looks[2] = {{NULL, request->of_app ? request->of_app : &none}, {NULL, request->of_key ? request->of_key : &none}};
    struct policy_ticket ticket = {0};

    *ret_limit = smaller(looks[0].limits->prompt_bytes, looks[1].limits->prompt_bytes);
    if (*ret_limit && request->prompt_bytes > *ret_limit)
        return POLICY_PROMPT;
    *ret_limit = 0;
    if (!find_accounts(policy, request, looks, time))
        return POLICY_FULL;
    for (int i = 0; i < 2; i++) {
        enum policy_refusal refusal = looks[i].account ? look_at(&looks[i], request, time, ret_limit) : POLICY_ADMITTED;
        if (refusal)
            return refusal;
    }
    take_seat(&looks[0], &ticket.app);
    take_seat(&looks[1], &ticket.key);
    ticket.output_tokens = smaller(looks[0].limits->output_tokens, looks[1].limits->output_tokens);
    policy_charge(&ticket, request->prompt_tokens, time);
    *ret_ticket = ticket;
    return POLICY_ADMITTED;
}

/* ---- while it runs ---- */

static uint64_t left_of(struct policy_seat *seat, const struct policy_time *time)
{
    if (!seat->account || !seat->tokens_per_day)
        return UINT64_MAX;
    roll(seat->account, time->wall_s);
    return seat->account->tokens >= seat->tokens_per_day ? 0 : seat->tokens_per_day - seat->account->tokens;
}

uint64_t policy_left(struct policy_ticket *ticket, const struct policy_time *time)
{
    uint64_t app = left_of(&ticket->app, time), key = left_of(&ticket->key, time);

    return app < key ? app : key;
}

static void charge(struct policy_account *account, uint64_t from, uint64_t to, const struct policy_time *time)
{
    if (!account)
        return;
    roll(account, time->wall_s);
    if (to >= from)
        account->tokens = to - from > UINT64_MAX - account->tokens ? UINT64_MAX : account->tokens + (to - from);
    else
        account->tokens -= from - to < account->tokens ? from - to : account->tokens; /* some were of yesterday */
}

void policy_charge(struct policy_ticket *ticket, uint64_t tokens, const struct policy_time *time)
{
    charge(ticket->app.account, ticket->charged, tokens, time);
    charge(ticket->key.account, ticket->charged, tokens, time);
    ticket->charged = tokens;
}

void policy_release(struct policy *policy, struct policy_ticket *ticket, const struct policy_time *time)
{
    struct policy_seat *seats[] = {&ticket->app, &ticket->key};

    for (size_t i = 0; i < 2; i++) {
        struct policy_account *account = seats[i]->account;
        if (!account)
            continue;
        account->running--;
        seats[i]->account = NULL;
        if (has_nothing_to_remember(account, time))
            forget(policy, account);
    }
}

bool policy_restore(struct policy *policy, const char *app, const char *key, uint64_t day, uint64_t tokens, const struct policy_time *time)
{
    struct policy_account *account;

    if (day != time->wall_s / DAY_S || tokens == 0)
        return true;
    account = get(policy, app, key ? key : "", key == NULL, time);
    if (!account)
        return false;
    roll(account, time->wall_s);
    account->day_limited = true;
    charge(account, 0, tokens, time);
    return true;
}
