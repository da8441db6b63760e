/* Fuzz: captures from strangers, as umbel-replay reads them.  What was written as records is read back as these records; a capture that is
 * damaged or ends early gives the records before that place and words; the answers come out the same however their bytes are cut; each answer
 * once, and the report about it is JSON.
 * Input: byte 0, bit 0: the rest stands behind the file's head as it is; else records: u8 type, u8 answer, u8 milliseconds, u16 size, payload.
 * Bit 1: byte 1 and 2 are where the file is cut, bit 2: where a bit is turned. */
#include <errno.h>

#include "tests/fuzz/pieces.h"
#include "tools/umbel-replay/replay.h"

#define RECORDS_MAX 64u
#define PARAMETERS 3u
#define INPUT_HEAD 5u

struct told {
    struct umbel_out words; /* of every answer: number, result, verdict, digest, text */
    uint64_t answers;
};

static void keep_words(void *owner, const struct replay_answer *answer)
{
    static const struct replay_options json = {.json = true}, plain = {0};
    struct told *told = owner;
    struct umbel_out report = {0};

    told->answers++;
    umbel_out_printf(&told->words, "%llu %s %s %llu %llu %016llx ", (unsigned long long)answer->number, replay_result_word(answer->result),
                     replay_verdict_word(&answer->now), (unsigned long long)answer->now.error, (unsigned long long)answer->now.digest.events,
                     (unsigned long long)answer->now.digest.sum);
    umbel_out_json(&told->words, answer->text.data ? answer->text.data : "", answer->text.size);
    umbel_out_json(&told->words, answer->differs, strlen(answer->differs));
    umbel_out_text(&told->words, "\n");
    report_answer(answer, &json, true, &report);
    struct umbel_json *value = umbel_json_parse(report.data, report.size, NULL, 0);
    REQUIRE(umbel_json_type(value) == UMBEL_JSON_OBJECT);
    umbel_json_free(value);
    umbel_out_reset(&report);
    report_answer(answer, &plain, true, &report);
    REQUIRE(report.size > 0);
    umbel_out_free(&report);
}

/* 0, or -errno with words. */
static int replay(struct span file, bool every_byte, struct told *told)
{
    const struct replay_options options = {.every_byte = every_byte, .json = true};
    struct replay_sums sums;
    struct umbel_out report = {0};
    struct why why = {""};
    int r = replay_file(file, &options, keep_words, told, &sums, &why);

    if (r < 0) {
        REQUIRE(why.text[0]);
        return r;
    }
    REQUIRE(sums.answers == told->answers && sums.answers == sums.count[0] + sums.count[1] + sums.count[2] + sums.count[3]);
    REQUIRE(!sums.cut || sums.damage[0]);
    umbel_out_text(&report, "{\"answers\":[");
    report_sums(&sums, &options, &report);
    REQUIRE(!report.failed);
    umbel_out_free(&report);
    return 0;
}

/* The input's records as a file. */
static void write_file(const uint8_t *data, size_t size, struct umbel_out *ret_file, size_t *ret_count)
{
    char head[CAPTURE_RECORD_HEAD];

    for (*ret_count = 0; size >= INPUT_HEAD && *ret_count < RECORDS_MAX; ++*ret_count) {
        size_t length = (size_t)(data[3] | data[4] << 8);
        length = length < size - INPUT_HEAD ? length : size - INPUT_HEAD;
        struct capture_record record = {.type = data[0] % 8u,
                                        .answer = data[1],
                                        .at_us = (uint64_t)data[2] * 1000u,
                                        .payload = span_of((const char *)data + INPUT_HEAD, length)};
        capture_write_record_head(&record, head);
        umbel_out_put(ret_file, head, sizeof head);
        umbel_out_put(ret_file, record.payload.data, length);
        data += INPUT_HEAD + length;
        size -= INPUT_HEAD + length;
    }
}

/* All records; the bytes of the file up to the last whole one. */
static size_t count_records(struct span file, size_t *ret_end, int *ret_r)
{
    struct capture_record record;
    struct why why = {""};
    size_t at = CAPTURE_FILE_HEAD, count = 0;
    char head[CAPTURE_RECORD_HEAD];

    while ((*ret_r = capture_read(file, &at, &record, &why)) == 1) {
        REQUIRE(at <= file.size && record.payload.data + record.payload.size == file.data + at);
        capture_write_record_head(&record, head); /* what was read is what was written */
        REQUIRE(memcmp(head, record.payload.data - CAPTURE_RECORD_HEAD, sizeof head) == 0);
        count++;
    }
    REQUIRE(*ret_r == 0 || ((*ret_r == -ENODATA || *ret_r == -EBADMSG) && why.text[0]));
    *ret_end = at;
    return count;
}

static void damage(const uint8_t *parameters, struct umbel_out *file)
{
    size_t place = CAPTURE_FILE_HEAD + (size_t)(parameters[1] | parameters[2] << 8) % (file->size - CAPTURE_FILE_HEAD + 1);

    if (parameters[0] & 2)
        file->size = place;
    else if (parameters[0] & 4 && place < file->size)
        file->data[place] = (char)(file->data[place] ^ 1 << parameters[1] % 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct umbel_out file = {0};
    struct told whole = {0}, bytes = {0};
    char head[CAPTURE_FILE_HEAD];
    size_t written = 0, end, count;
    int r;

    if (size < PARAMETERS)
        return 0;
    capture_write_head(head);
    umbel_out_put(&file, head, sizeof head);
    if (data[0] & 1)
        umbel_out_put(&file, data + PARAMETERS, size - PARAMETERS);
    else
        write_file(data + PARAMETERS, size - PARAMETERS, &file, &written);
    size_t undamaged = file.size;
    damage(data, &file);
    char *exact = malloc(file.size); /* so that a read past its end is seen */
    REQUIRE(exact && !file.failed);
    memcpy(exact, file.data, file.size);
    struct span span = span_of(exact, file.size);
    count = count_records(span, &end, &r);
    if (!(data[0] & 1)) {
        REQUIRE(count <= written);
        if (!(data[0] & 6))
            REQUIRE(r == 0 && count == written && end == undamaged);
    }
    int first = replay(span, false, &whole), again = replay(span, true, &bytes);
    REQUIRE(first == again && whole.answers == bytes.answers && whole.words.size == bytes.words.size);
    REQUIRE(whole.words.size == 0 || memcmp(whole.words.data, bytes.words.data, whole.words.size) == 0);
    umbel_out_free(&whole.words);
    umbel_out_free(&bytes.words);
    umbel_out_free(&file);
    free(exact);
    return 0;
}
