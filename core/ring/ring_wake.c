#include "core/ring/ring_wake.h"

#include <sched.h>
#include <stddef.h>

#include "core/ring/ring_mutate.h"

#define WORD_BITS 64u

void ring_wake_interest(struct ring_reader_page *page, uint32_t stream_slot, bool on)
{
    uint32_t bit = stream_slot % (RING_INTEREST_WORDS * WORD_BITS);
    _Atomic uint64_t *word = &page->interest[bit / WORD_BITS];
    uint64_t mask = 1ull << bit % WORD_BITS;

    if (on)
        atomic_fetch_or_explicit(word, mask, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(word, ~mask, memory_order_relaxed);
}

void ring_wake_interest_all(struct ring_reader_page *page, bool on)
{
    for (size_t i = 0; i < RING_INTEREST_WORDS; i++)
        atomic_store_explicit(&page->interest[i], on ? UINT64_MAX : 0, memory_order_relaxed);
}

/* 0 where the system does not say. */
static uint32_t processor(void)
{
    return (uint32_t)(sched_getcpu() + 1);
}

void ring_wake_sleep_begin(struct ring_reader_page *page)
{
    atomic_store_explicit(&page->processor, processor(), memory_order_relaxed);
    atomic_store_explicit(&page->sleeping, 1, memory_order_relaxed);                       /* S1 */
    if (!RING_MUTANT(NO_S2))
        atomic_thread_fence(memory_order_seq_cst);                                         /* S2 */
}

void ring_wake_sleep_end(struct ring_reader_page *page)
{
    atomic_store_explicit(&page->sleeping, 0, memory_order_relaxed);
}

void ring_wake_fence(void)
{
    if (!RING_MUTANT(NO_P2))
        atomic_thread_fence(memory_order_seq_cst);                                         /* P2 */
}

/* S2 also orders the stores to interest before it: who sees the batch missing at S3 is seen at P3 with its whole interest. */
bool ring_wake_wanted(struct ring_reader_page *page, const uint64_t touched[RING_INTEREST_WORDS])
{
    uint64_t both = 0;

    if (atomic_load_explicit(&page->sleeping, memory_order_relaxed) == 0)                  /* P3 */
        return false;
    for (size_t i = 0; i < RING_INTEREST_WORDS; i++)
        both |= atomic_load_explicit(&page->interest[i], memory_order_relaxed) & touched[i];
    if (both == 0)
        return false; /* it goes on sleeping, flag set: the next batch may be for it */
    return atomic_exchange_explicit(&page->sleeping, 0, memory_order_relaxed) != 0;
}

bool ring_wake_near(const struct ring_reader_page *page)
{
    uint32_t theirs = atomic_load_explicit(&page->processor, memory_order_relaxed);

    return theirs != 0 && theirs == processor();
}
