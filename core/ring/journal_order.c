#include "core/ring/journal_order.h"

#include <errno.h>
#include <stdlib.h>

#define READERS_BIT (1ull << 63)

int journal_order_create(struct journal_order *order, uint32_t slots)
{
    *order = (struct journal_order){
        .key = calloc(slots, sizeof *order->key),
        .where = calloc(slots, sizeof *order->where),
        .heap = calloc(slots, sizeof *order->heap),
    };
    if (order->key && order->where && order->heap)
        return 0;
    journal_order_free(order);
    return -ENOMEM;
}

void journal_order_free(struct journal_order *order)
{
    free(order->key);
    free(order->where);
    free(order->heap);
    *order = (struct journal_order){0};
}

static void put(struct journal_order *order, uint32_t place, uint32_t slot)
{
    order->heap[place] = slot;
    order->where[slot] = place;
}

/* Moves the slot at place to where its key belongs. */
static void settle(struct journal_order *order, uint32_t place)
{
    uint32_t slot = order->heap[place];
    uint64_t key = order->key[slot];

    while (place > 0 && key < order->key[order->heap[(place - 1) / 2]]) {
        put(order, place, order->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;

        if (child + 1 < order->count && order->key[order->heap[child + 1]] < order->key[order->heap[child]])
            child++;
        if (child >= order->count || key <= order->key[order->heap[child]])
            break;
        put(order, place, order->heap[child]);
        place = child;
    }
    put(order, place, slot);
}

void journal_order_add(struct journal_order *order, uint32_t slot, bool readers)
{
    order->key[slot] = order->endings++ | (readers ? READERS_BIT : 0);
    put(order, order->count, slot);
    order->count++;
    settle(order, order->count - 1);
}

void journal_order_set_readers(struct journal_order *order, uint32_t slot, bool readers)
{
    order->key[slot] = (order->key[slot] & ~READERS_BIT) | (readers ? READERS_BIT : 0);
    settle(order, order->where[slot]);
}

void journal_order_remove(struct journal_order *order, uint32_t slot)
{
    uint32_t place = order->where[slot];

    order->count--;
    if (place == order->count)
        return;
    put(order, place, order->heap[order->count]);
    settle(order, place);
}

bool journal_order_first(const struct journal_order *order, uint32_t *ret_slot)
{
    if (order->count == 0)
        return false;
    *ret_slot = order->heap[0];
    return true;
}
