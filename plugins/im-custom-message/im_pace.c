/* im-custom-message/im_pace.c - see im_pace.h. */
#include "im_pace.h"

#define SECOND_NS 1000000000ull

void im_pace_init(struct im_pace *pace, uint32_t rate)
{
    uint64_t burst = rate / 20 ? rate / 20 : 1;
    uint64_t refill_milli = rate * 900ull; /* calls in 1000 s */

    if (refill_milli > (rate - burst) * 1000)
        refill_milli = (rate - burst) * 1000;
    /* In a second there are at most burst + refill calls; with rate = 1 there is no refill within the second. */
    pace->gap_ns = refill_milli ? SECOND_NS * 1000 / refill_milli + 1 : SECOND_NS + SECOND_NS / 50;
    pace->slack_ns = (burst - 1) * pace->gap_ns;
    pace->at_ns = 0;
}

uint64_t im_pace_next(const struct im_pace *pace, uint64_t now_ns)
{
    uint64_t earliest = pace->at_ns > pace->slack_ns ? pace->at_ns - pace->slack_ns : 0;

    return earliest > now_ns ? earliest : now_ns;
}

void im_pace_take(struct im_pace *pace, uint64_t now_ns)
{
    pace->at_ns = (pace->at_ns > now_ns ? pace->at_ns : now_ns) + pace->gap_ns;
}

void im_pace_empty(struct im_pace *pace, uint64_t now_ns)
{
    if (pace->at_ns < now_ns + pace->slack_ns)
        pace->at_ns = now_ns + pace->slack_ns;
}

void im_turns_init(struct im_turns *turns)
{
    TAILQ_INIT(&turns->firsts);
    TAILQ_INIT(&turns->others);
    turns->in_a_row = 0;
    turns->count = 0;
}

void im_turns_add(struct im_turns *turns, struct im_turn *turn, bool first)
{
    if (turn->waits)
        return;
    turn->waits = true;
    turn->first = first;
    if (first)
        TAILQ_INSERT_TAIL(&turns->firsts, turn, link);
    else
        TAILQ_INSERT_TAIL(&turns->others, turn, link);
    turns->count++;
}

void im_turns_remove(struct im_turns *turns, struct im_turn *turn)
{
    if (!turn->waits)
        return;
    turn->waits = false;
    if (turn->first)
        TAILQ_REMOVE(&turns->firsts, turn, link);
    else
        TAILQ_REMOVE(&turns->others, turn, link);
    turns->count--;
}

struct im_turn *im_turns_take(struct im_turns *turns)
{
    struct im_turn *first = TAILQ_FIRST(&turns->firsts), *other = TAILQ_FIRST(&turns->others);
    struct im_turn *turn = first && (!other || turns->in_a_row < IM_FIRSTS_IN_A_ROW) ? first : other;

    if (!turn)
        return NULL;
    turns->in_a_row = turn->first ? turns->in_a_row + 1 : 0;
    im_turns_remove(turns, turn);
    return turn;
}

uint32_t im_backoff_ms(uint32_t tries, uint32_t chance)
{
    uint32_t ms = tries < 5 ? 200u << tries : 5000;

    return ms - chance % (ms / 4 + 1);
}
