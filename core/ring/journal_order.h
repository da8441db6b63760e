/* ring/journal_order.h - which finished stream is forgotten next: those without readers first, of these the one that ended first.
 * A binary heap over slot numbers that knows where each slot stands, so every change costs O(log n).  Owner: the journal's writer. */
#ifndef JOURNAL_ORDER_H
#define JOURNAL_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct journal_order {
    uint64_t *key;   /* by slot: readers << 63 | number of the ending */
    uint32_t *where; /* by slot: place in heap */
    uint32_t *heap;  /* slots, the first to go at 0 */
    uint32_t count;
    uint64_t endings; /* so far */
};

/* journal_order_create - room for slots elements.  0 or -ENOMEM. */
int journal_order_create(struct journal_order *order, uint32_t slots);
void journal_order_free(struct journal_order *order); /* a zeroed struct is fine */

/* journal_order_add - the stream in this slot has ended now; it must not be in the heap. */
void journal_order_add(struct journal_order *order, uint32_t slot, bool readers);
/* journal_order_set_readers, journal_order_remove - the slot must be in the heap. */
void journal_order_set_readers(struct journal_order *order, uint32_t slot, bool readers);
void journal_order_remove(struct journal_order *order, uint32_t slot);

/* journal_order_first - false when there is none. */
bool journal_order_first(const struct journal_order *order, uint32_t *ret_slot);

#endif
