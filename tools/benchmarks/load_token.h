/* benchmarks/load_token.h - the pieces of text that the load rig sends through every server and knows again at the far end.
 *
 *     @ ssssssss tttttttttttttttt xxx...      100 bytes: number and time of birth in hexadecimal, filling
 *
 * All bytes are plain inside JSON, SSE and WebSocket text, so that no server has to escape them. */
#ifndef LOAD_TOKEN_H
#define LOAD_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#define TOKEN_SIZE 100u

/* What arrived, of one client or of all.  Anything but zero lost, twice and strange makes the run void. */
struct token_tally {
    uint64_t good, lost, twice /* or out of order */, strange;
};

/* Times in powers of two, 16 steps each: at most 6 % off.  From 1 us to about 1 h. */
#define TOKEN_BUCKETS 560u
struct token_histogram {
    uint64_t counts[TOKEN_BUCKETS], total, max_ns;
};

/* From birth to arrival.  A run begins with all its questions at once; what comes meanwhile is counted apart. */
struct token_times {
    uint64_t settled_ns; /* who was born before it is an early one */
    struct token_histogram early, settled;
};

/* One client's place in the text. */
struct token_reader {
    uint32_t next;    /* the number that must come now */
    uint32_t partial; /* bytes of an incomplete token */
    char bytes[TOKEN_SIZE];
};

uint64_t token_now_ns(void); /* CLOCK_MONOTONIC */

/* token_make - fills TOKEN_SIZE bytes, not terminated. */
void token_make(uint32_t number, uint64_t born_ns, char *ret_token);

/* token_read - size bytes of text that arrived at now_ns, cut anywhere. */
void token_read(struct token_reader *reader, const char *text, size_t size, uint64_t now_ns, struct token_tally *tally,
                struct token_times *times);

void token_note(struct token_histogram *times, uint64_t ns);

/* token_time - the time below which that part (0..1) of all fell, ns; 0 without any. */
uint64_t token_time(const struct token_histogram *times, double part);

#endif
