/* history/history_turns.h - internal to the module: the turns an ask collects, newest first, within its bounds.
 * Owned by one thread at a time. */
#ifndef HISTORY_TURNS_H
#define HISTORY_TURNS_H

#include "core/history/history.h"

struct history_turns {
    struct history_turn *turns;
    uint32_t count, capacity, max;
    size_t bytes, bytes_max;
    bool past_first; /* HISTORY_TURN_FIRST does not end it */
    bool full;       /* no older turn is wanted */
    bool failed;     /* no memory: what is there is not all */
};

/* history_turns_take - a copy of the next older turn.  message NULL: it is too large to be wanted, only its flags count.  False when no older
 * one is wanted. */
bool history_turns_take(struct history_turns *turns, const struct history_turn *turn);

/* history_turns_about - a turn's about; "" when it has none. */
static inline const char *history_turns_about(const struct history_turn *turn)
{
    return turn->about ? turn->about : "";
}

/* history_turns_turn_round - oldest first, for the asker. */
void history_turns_turn_round(struct history_turns *turns);
void history_turns_free(struct history_turns *turns);

#endif
