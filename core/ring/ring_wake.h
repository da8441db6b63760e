/* ring/ring_wake.h - sleeping without losing a wake-up: the page each reader shares with the writer.
 * The reader writes it; the writer trusts nothing in it: garbage can only cost the reader its own wake-ups, or one spurious wake and one
 * needless yield per batch.
 *
 *   reader: S1 sleeping = 1 (relaxed)  S2 fence seq_cst  S3 look at the ring again: anything -> sleeping = 0, go on   S4 wait
 *   writer: P1 publish the batch       P2 fence seq_cst  P3 read sleeping (relaxed): set -> exchange to 0, write the eventfd
 * S2 and P2 make it impossible that the reader misses the batch at S3 and the writer misses the flag at P3. */
#ifndef RING_WAKE_H
#define RING_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RING_INTEREST_WORDS 8u /* 512 bits: stream slot modulo 512 */

struct ring_reader_page {
    _Alignas(64) _Atomic uint32_t sleeping;                        /* 1: wants a wake-up */
    _Atomic uint32_t processor;                                    /* 1 + the number of the one it went to sleep on; 0 = unknown */
    _Alignas(64) _Atomic uint64_t cursor;                          /* sequence wanted next: for lists only */
    _Atomic uint64_t beat_ns;                                      /* CLOCK_MONOTONIC, at least once a second */
    _Atomic uint64_t turns;                                        /* loop turns so far */
    _Alignas(64) _Atomic uint64_t interest[RING_INTEREST_WORDS];   /* streams worth a wake-up */
};

/* Reader side. */
void ring_wake_interest(struct ring_reader_page *page, uint32_t stream_slot, bool on); /* the caller counts users of a bit */
void ring_wake_interest_all(struct ring_reader_page *page, bool on);                   /* on: every stream; off: none */
/* ring_wake_sleep_begin - S1, S2; then the caller does S3 and either waits or calls ring_wake_sleep_end. */
void ring_wake_sleep_begin(struct ring_reader_page *page);
void ring_wake_sleep_end(struct ring_reader_page *page);

/* Writer side, once per batch: P2 (ring_wake_fence), then P3 for each reader.  touched: the same bit set of the streams in this batch. */
void ring_wake_fence(void);
bool ring_wake_wanted(struct ring_reader_page *page, const uint64_t touched[RING_INTEREST_WORDS]); /* true: the caller writes the eventfd */
bool ring_wake_near(const struct ring_reader_page *page); /* it went to sleep on the caller's processor: a hint, the reader says so */

#endif
