#include "core/history/history_turns.h"

#include <stdlib.h>
#include <string.h>

static bool make_place(struct history_turns *turns)
{
    uint32_t capacity = turns->capacity ? turns->capacity * 2 : 16;
    struct history_turn *more;

    if (turns->count < turns->capacity)
        return true;
    more = realloc(turns->turns, capacity * sizeof *more);
    if (!more)
        return false;
    turns->turns = more;
    turns->capacity = capacity;
    return true;
}

/* One block holds message, stream id and about: freeing a turn is freeing its message. */
static bool keep(struct history_turns *turns, const struct history_turn *turn)
{
    const char *about = history_turns_about(turn);
    size_t stream_size = strlen(turn->stream) + 1, about_size = strlen(about) + 1;
    char *block = make_place(turns) ? malloc(turn->size + 1 + stream_size + about_size) : NULL;
    struct history_turn *kept;

    if (!block)
        return false;
    memcpy(block, turn->message, turn->size);
    block[turn->size] = '\0';
    memcpy(block + turn->size + 1, turn->stream, stream_size);
    memcpy(block + turn->size + 1 + stream_size, about, about_size);
    kept = &turns->turns[turns->count++];
    *kept = *turn;
    kept->message = block;
    kept->stream = block + turn->size + 1;
    kept->about = kept->stream + stream_size;
    turns->bytes += turn->size;
    return true;
}

bool history_turns_take(struct history_turns *turns, const struct history_turn *turn)
{
    if (turns->full)
        return false;
    if (turn->message && turn->size <= turns->bytes_max) {
        if (turns->count == turns->max || turn->size > turns->bytes_max - turns->bytes) {
            turns->full = true;
            return false;
        }
        if (!keep(turns, turn)) {
            turns->failed = turns->full = true;
            return false;
        }
    }
    turns->full = turns->count == turns->max || (turn->flags & HISTORY_TURN_FIRST && !turns->past_first);
    return !turns->full;
}

void history_turns_turn_round(struct history_turns *turns)
{
    for (uint32_t i = 0; i < turns->count / 2; i++) {
        struct history_turn spare = turns->turns[i];

        turns->turns[i] = turns->turns[turns->count - 1 - i];
        turns->turns[turns->count - 1 - i] = spare;
    }
}

void history_turns_free(struct history_turns *turns)
{
    for (uint32_t i = 0; i < turns->count; i++)
        free((char *)(uintptr_t)turns->turns[i].message);
    free(turns->turns);
    turns->turns = NULL;
    turns->count = turns->capacity = 0;
}
