/* policy/policy.h - what an app and a key may use, and what they have used: pure counting, the caller says what time it is.
 *
 *   policy_admit --ticket--> policy_left, policy_charge (any number) --> policy_release
 *
 * A question is counted at two accounts: the app's, and the key's (a client key or a user of the app).  Either has its own limits; the
 * smaller one acts.  An account exists only while there is something to remember: answers that run, a bucket that is not full again,
 * tokens of today.
 *
 * requests_per_minute is a token bucket: it holds one minute's amount and fills evenly by the monotonic clock.  tokens_per_day counts by
 * days of UTC.  A day that is over is forgotten; a wall clock that is set back by less than a day goes on counting in the later day, so that
 * nobody gets a second allowance around midnight.
 *
 * Owner: one thread; nothing here blocks or asks a clock.  Bound: accounts_max.  When all are in use one goes that has nothing to remember,
 * among the 256 unused longest; if there is none the question is refused with POLICY_FULL, and the next one looks at the next 256. */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"

#define POLICY_NAME_MAX 128u /* bytes of an app's or a key's name with its zero; longer ones are cut */

struct policy;
struct policy_account;

/* 0 = no limit. */
struct policy_limits {
    uint32_t concurrent;          /* answers running at once */
    uint32_t requests_per_minute; /* questions */
    uint32_t prompt_bytes;        /* of one question as the client sent it */
    uint32_t output_tokens;       /* of one answer */
    uint32_t tokens_per_day;      /* of questions and answers, UTC */
};

struct policy_time {
    uint64_t now_ns; /* CLOCK_MONOTONIC */
    uint64_t wall_s; /* seconds since 1970, UTC */
};

struct policy_request {
    const char *app, *key;                 /* key "": clients without one share an account */
    const struct policy_limits *of_app, *of_key; /* NULL: none; copied into the ticket */
    size_t prompt_bytes;
    uint64_t prompt_tokens; /* estimated: charged at once */
};

enum policy_refusal {
    POLICY_ADMITTED,
    POLICY_CONCURRENT,
    POLICY_RATE,
    POLICY_DAY,
    POLICY_PROMPT,
    POLICY_FULL, /* no account is free */
    POLICY_REFUSAL_COUNT
};

/* One admitted question.  Private but for output_tokens; a zeroed one is released already. */
struct policy_ticket {
    uint32_t output_tokens; /* the smaller of both limits, 0 = none */
    uint64_t charged;       /* so far, by this ticket */
    struct policy_seat {
        struct policy_account *account; /* NULL: nothing is counted here */
        uint32_t tokens_per_day;
    } app, key;
};

/* policy_create - accounts_max: bound of the table.  0 or -ENOMEM. */
int policy_create(uint32_t accounts_max, struct policy **ret_policy);
void policy_free(struct policy *policy); /* tickets become invalid.  NULL is fine */

/* policy_admit - counts the question or refuses it; a refused one has used nothing up.  *ret_limit: the limit that was reached, for the
 * words to the client (0 with POLICY_FULL). */
enum policy_refusal policy_admit(struct policy *policy, const struct policy_request *request, const struct policy_time *time,
                                 struct policy_ticket *ret_ticket, uint32_t *ret_limit);

/* policy_left - tokens that app and key may use today; UINT64_MAX: no limit. */
uint64_t policy_left(struct policy_ticket *ticket, const struct policy_time *time);

/* policy_charge - this question has used so many tokens by now (also fewer than was said before: an estimate was corrected). */
void policy_charge(struct policy_ticket *ticket, uint64_t tokens, const struct policy_time *time);

/* policy_release - the answer has ended, or never began.  What was charged stays. */
void policy_release(struct policy *policy, struct policy_ticket *ticket, const struct policy_time *time);

/* policy_restore - tokens used on a day (days since 1970) before this process, counted if that day is today.  key NULL: at the app's own
 * account.  For accounts with a daily limit: they are kept until the day is over.  False: no account was free. */
bool policy_restore(struct policy *policy, const char *app, const char *key, uint64_t day, uint64_t tokens, const struct policy_time *time);

uint32_t policy_accounts(const struct policy *policy); /* in use now */

/* policy_tokens - the estimate for text whose tokens nobody has counted: one for every four bytes of UTF-8, begun ones counted.  That is
 * near to what common models make of English (four letters a token) and of Chinese, Japanese or Korean (three bytes a character,
 * between half a token and one).  policy_bytes - how many bytes so many tokens are; saturates. */
uint64_t policy_tokens(uint64_t bytes);
uint64_t policy_bytes(uint64_t tokens);

#endif
