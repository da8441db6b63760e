#include "tools/benchmarks/load_token.h"

#include <string.h>
#include <time.h>

#define NUMBER_AT 1u
#define NUMBER_DIGITS 8u
#define BORN_AT (NUMBER_AT + NUMBER_DIGITS)
#define BORN_DIGITS 16u
#define STEPS 16u     /* of a power of two */
#define FIRST_POWER 10u /* 1,024 ns */

uint64_t token_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put_hex(char *at, unsigned digits, uint64_t value)
{
    while (digits-- > 0) {
        at[digits] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

static int get_hex(const char *at, unsigned digits, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < digits; i++) {
        char c = at[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return -1;
    }
    *ret_value = value;
    return 0;
}

void token_make(uint32_t number, uint64_t born_ns, char *ret_token)
{
    ret_token[0] = '@';
    put_hex(ret_token + NUMBER_AT, NUMBER_DIGITS, number);
    put_hex(ret_token + BORN_AT, BORN_DIGITS, born_ns);
    memset(ret_token + BORN_AT + BORN_DIGITS, 'x', TOKEN_SIZE - BORN_AT - BORN_DIGITS - 1);
    ret_token[TOKEN_SIZE - 1] = ' ';
}

void token_note(struct token_histogram *times, uint64_t ns)
{
    unsigned bucket = 0;

    if (ns >> FIRST_POWER) {
        unsigned power = 63u - (unsigned)__builtin_clzll(ns);
        bucket = (power - FIRST_POWER) * STEPS + (unsigned)(ns >> (power - 4u) & (STEPS - 1)) + 1;
    }
    times->counts[bucket < TOKEN_BUCKETS ? bucket : TOKEN_BUCKETS - 1]++;
    times->total++;
    if (ns > times->max_ns)
        times->max_ns = ns;
}

static void take(struct token_reader *reader, const char *token, uint64_t now_ns, struct token_tally *tally, struct token_times *times)
{
    uint64_t number, born_ns;

    if (token[0] != '@' || get_hex(token + NUMBER_AT, NUMBER_DIGITS, &number) < 0 || get_hex(token + BORN_AT, BORN_DIGITS, &born_ns) < 0) {
        tally->strange++;
        return;
    }
    if (number < reader->next) {
        tally->twice++;
        return;
    }
    tally->lost += number - reader->next;
    tally->good++;
    reader->next = (uint32_t)number + 1;
    token_note(born_ns < times->settled_ns ? &times->early : &times->settled, now_ns > born_ns ? now_ns - born_ns : 0);
}

void token_read(struct token_reader *reader, const char *text, size_t size, uint64_t now_ns, struct token_tally *tally,
                struct token_times *times)
{
    while (size > 0) {
        if (reader->partial == 0 && size >= TOKEN_SIZE) {
            take(reader, text, now_ns, tally, times);
            text += TOKEN_SIZE;
            size -= TOKEN_SIZE;
            continue;
        }
        size_t part = TOKEN_SIZE - reader->partial < size ? TOKEN_SIZE - reader->partial : size;
        memcpy(reader->bytes + reader->partial, text, part);
        reader->partial += (uint32_t)part;
        text += part;
        size -= part;
        if (reader->partial == TOKEN_SIZE) {
            take(reader, reader->bytes, now_ns, tally, times);
            reader->partial = 0;
        }
    }
}

uint64_t token_time(const struct token_histogram *times, double part)
{
    uint64_t wanted = (uint64_t)((double)times->total * part), seen = 0;

    for (unsigned i = 0; i < TOKEN_BUCKETS; i++) {
        seen += times->counts[i];
        if (times->counts[i] && seen >= wanted) {
            unsigned power = (i ? i - 1 : 0) / STEPS + FIRST_POWER, step = (i ? i - 1 : 0) % STEPS;
            return i ? ((uint64_t)1 << power) + ((uint64_t)(step + 1) << (power - 4u)) : (uint64_t)1 << FIRST_POWER;
        }
    }
    return 0;
}
