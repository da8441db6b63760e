#include "tests/race/race_record.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static unsigned checks, failures;

uint64_t race_hash(uint64_t n)
{
    n += 0x9e3779b97f4a7c15ull;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
    n = (n ^ n >> 27) * 0x94d049bb133111ebull;
    return n ^ n >> 31;
}

void race_fill(uint64_t n, uint16_t size, struct ring_record *ret_record)
{
    uint64_t hash = race_hash(n);

    *ret_record = (struct ring_record){
        .stream_slot = (uint32_t)hash,
        .generation = (uint32_t)(hash >> 32),
        .kind = (uint8_t)n,
        .flags = (uint8_t)(hash >> 8),
        .size = size,
        .journal_offset = (uint32_t)(hash >> 16) ^ size,
        .arrival_ns = n,
    };
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = race_hash(n ^ (uint64_t)i << 32);

        memcpy(ret_record->data + i, &word, size - i < 8 ? size - i : 8);
    }
}

uint16_t race_size(uint64_t n)
{
    uint64_t hash = race_hash(~n);

    switch (n % 4) {
    case 0:
        return RING_HEAD_DATA;
    case 1:
        return (uint16_t)(hash % (RING_HEAD_DATA + 1));
    case 2:
        return (uint16_t)(hash % 300);
    default:
        return (uint16_t)(hash % (RING_DATA_MAX + 1));
    }
}

bool race_intact(const struct ring_record *record)
{
    struct ring_record expected;

    if (record->size > RING_DATA_MAX)
        return false;
    race_fill(record->arrival_ns, record->size, &expected);
    return memcmp(record, &expected, offsetof(struct ring_record, data) + record->size) == 0;
}

void race_check(bool ok, const char *format, ...)
{
    va_list args;

    printf("%s %u - ", ok ? "ok" : "not ok", ++checks);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout); /* before the next fork */
    failures += !ok;
}

int race_done(void)
{
    printf("1..%u\n", checks);
    return failures > 0;
}
