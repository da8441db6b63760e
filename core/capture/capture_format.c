#include "core/capture/capture_format.h"

#include <errno.h>
#include <string.h>

#include "core/base/fnv.h"

#define SUM_AT 24u

static void put(char *to, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(unsigned char)(number >> 8 * i);
}

static uint64_t get(const char *from, size_t size)
{
    uint64_t number = 0;

    for (size_t i = size; i-- > 0;)
        number = number << 8 | (unsigned char)from[i];
    return number;
}

void capture_write_head(char ret_head[CAPTURE_FILE_HEAD])
{
    memcpy(ret_head, CAPTURE_MAGIC, 8);
    put(ret_head + 8, CAPTURE_VERSION, 4);
    put(ret_head + 12, 0, 4);
}

void capture_write_record_head(const struct capture_record *record, char ret_head[CAPTURE_RECORD_HEAD])
{
    put(ret_head, record->payload.size, 4);
    put(ret_head + 4, record->type, 4);
    put(ret_head + 8, record->answer, 8);
    put(ret_head + 16, record->at_us, 8);
    put(ret_head + SUM_AT, fnv_add(fnv_add(FNV_START, ret_head, SUM_AT), record->payload.data, record->payload.size), 8);
}

int capture_read_head(struct span file, struct why *why)
{
    if (file.size < CAPTURE_FILE_HEAD || memcmp(file.data, CAPTURE_MAGIC, 8) != 0)
        return why_set(why, -EBADMSG, "this is no capture: it does not begin with \"" CAPTURE_MAGIC "\"");
    if (get(file.data + 8, 4) != CAPTURE_VERSION)
        return why_set(why, -EBADMSG, "this capture has version %u, known is %u: use the umbel that made it", (unsigned)get(file.data + 8, 4),
                       CAPTURE_VERSION);
    return 0;
}

int capture_read(struct span file, size_t *at, struct capture_record *ret_record, struct why *why)
{
    const char *head = file.data + *at;
    size_t left = file.size - *at, size;

    if (left == 0)
        return 0;
    if (left < CAPTURE_RECORD_HEAD)
        return why_set(why, -ENODATA, "the file ends within a record, at byte %zu", *at);
    size = (size_t)get(head, 4);
    if (size > CAPTURE_PAYLOAD_MAX)
        return why_set(why, -EBADMSG, "the record at byte %zu is damaged: it has no sensible size", *at);
    if (left - CAPTURE_RECORD_HEAD < size)
        return why_set(why, -ENODATA, "the file ends within a record, at byte %zu", *at);
    if (get(head + SUM_AT, 8) != fnv_add(fnv_add(FNV_START, head, SUM_AT), head + CAPTURE_RECORD_HEAD, size))
        return why_set(why, -EBADMSG, "the record at byte %zu is damaged: its sum does not fit", *at);
    *ret_record = (struct capture_record){.type = (uint32_t)get(head + 4, 4),
                                          .answer = get(head + 8, 8),
                                          .at_us = get(head + 16, 8),
                                          .payload = span_of(head + CAPTURE_RECORD_HEAD, size)};
    *at += CAPTURE_RECORD_HEAD + size;
    return 1;
}
