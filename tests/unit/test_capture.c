/* core/capture and core/upstream's replay: the container, its writer, and a recorded response read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/capture/capture_file.h"
#include "core/upstream/upstream_replay.h"

#define FILE_MAX ((size_t)64 << 20)

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/umbel-capture-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.umbelcap", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct capture_record record_of(uint32_t type, uint64_t answer, const char *data, size_t size)
{
    return (struct capture_record){type, answer, 1000 * answer, span_of(data, size)};
}

static struct capture_file *open_file(uint64_t max_bytes)
{
    struct capture_file *file = NULL;
    struct why why = {""};

    if (capture_file_open(path, max_bytes, &file, &why) < 0)
        fail_msg("%s", why.text);
    return file;
}

/* What is in the file; freed by the caller. */
static char *read_file(size_t *ret_size)
{
    char *data;

    assert_int_equal(fd_read_file(path, FILE_MAX, &data, ret_size), 0);
    return data;
}

/* Goal: records come back as they went in, from a file that only its owner can read and that was not there before.  Method: three records,
 * one empty, one with zero bytes; the mode; a second file of the name.  Catches: a payload that moves into its neighbour, umask trusted,
 * a capture that overwrites another. */
static void test_there_and_back(void **state)
{
    static const char *const texts[] = {"{\"a\":1}", "", "x\0y\xff"};
    const size_t sizes[] = {7, 0, 4};
    struct capture_record record;
    struct capture_file *other;
    struct stat about;
    size_t size, at = CAPTURE_FILE_HEAD;

    (void)state;
    umask(0);
    struct capture_file *file = open_file(1 << 20);
    for (uint64_t i = 0; i < 3; i++) {
        record = record_of(CAPTURE_BYTES, i, texts[i], sizes[i]);
        assert_true(capture_file_put(file, &record));
    }
    assert_int_equal(capture_file_open(path, 1 << 20, &other, NULL), -EEXIST);
    uint64_t taken = capture_file_bytes(file);
    capture_file_close(file);
    char *data = read_file(&size);
    assert_int_equal(size, taken);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    struct span whole = span_of(data, size);
    assert_int_equal(capture_read_head(whole, NULL), 0);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(capture_read(whole, &at, &record, NULL), 1);
        assert_int_equal(record.answer, i);
        assert_int_equal(record.at_us, 1000 * i);
        assert_int_equal(record.payload.size, sizes[i]);
        assert_memory_equal(record.payload.data, texts[i], sizes[i]);
    }
    assert_int_equal(capture_read(whole, &at, &record, NULL), 0);
    free(data);
}

/* Goal: no accident passes for a capture.  Method: a file with one record, each of its bits flipped, and cut at each byte.  Catches: a sum
 * that leaves out the head, a size that is believed, reads beyond the end. */
static void test_damage(void **state)
{
    struct capture_record record = record_of(CAPTURE_END, 7, "{\"how\":\"closed\"}", 16);
    char file[CAPTURE_FILE_HEAD + CAPTURE_RECORD_HEAD + 16];
    size_t at;

    (void)state;
    capture_write_head(file);
    capture_write_record_head(&record, file + CAPTURE_FILE_HEAD);
    memcpy(file + CAPTURE_FILE_HEAD + CAPTURE_RECORD_HEAD, record.payload.data, 16);
    for (size_t bit = 8 * CAPTURE_FILE_HEAD; bit < 8 * sizeof file; bit++) {
        file[bit / 8] = (char)(file[bit / 8] ^ 1 << bit % 8);
        at = CAPTURE_FILE_HEAD;
        int r = capture_read(span_of(file, sizeof file), &at, &record, NULL);
        assert_true(r == -EBADMSG || r == -ENODATA); /* -ENODATA: the size grew */
        file[bit / 8] = (char)(file[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t size = 0; size < sizeof file; size++) {
        char *copy = malloc(size + 1); /* so that a sanitizer sees a read beyond */
        assert_non_null(copy);
        memcpy(copy, file, size);
        at = CAPTURE_FILE_HEAD;
        assert_int_equal(capture_read_head(span_of(copy, size), NULL), size < CAPTURE_FILE_HEAD ? -EBADMSG : 0);
        if (size >= CAPTURE_FILE_HEAD)
            assert_int_equal(capture_read(span_of(copy, size), &at, &record, NULL), size == CAPTURE_FILE_HEAD ? 0 : -ENODATA);
        free(copy);
    }
    file[8] = 2;
    assert_int_equal(capture_read_head(span_of(file, sizeof file), NULL), -EBADMSG);
}

/* Goal: a file is never larger than it may be, has no gap, and always has room for its last record.  Method: records until one is refused; a
 * smaller one that would fit; the last one.  Catches: a bound that is checked after the write, records after a hole. */
static void test_full(void **state)
{
    static char kilobyte[1024];
    const uint64_t most = 64 << 10;
    struct capture_record big = record_of(CAPTURE_BYTES, 1, kilobyte, sizeof kilobyte), small = record_of(CAPTURE_BYTES, 2, "x", 1),
                          last = record_of(CAPTURE_STOP, 0, "{}", 2);
    uint64_t count = 0;
    size_t size, at = CAPTURE_FILE_HEAD;

    (void)state;
    struct capture_file *file = open_file(most);
    while (capture_file_put(file, &big))
        assert_true(++count < most / sizeof kilobyte);
    assert_int_equal(count, (most - CAPTURE_STOP_ROOM - CAPTURE_FILE_HEAD) / (sizeof kilobyte + CAPTURE_RECORD_HEAD));
    assert_int_equal(capture_file_state(file), CAPTURE_FULL);
    assert_false(capture_file_put(file, &small));
    capture_file_put_last(file, &last);
    capture_file_close(file);
    char *data = read_file(&size);
    assert_true(size <= most);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(capture_read(span_of(data, size), &at, &big, NULL), 1);
        assert_int_equal(big.answer, 1);
    }
    assert_int_equal(capture_read(span_of(data, size), &at, &last, NULL), 1);
    assert_int_equal(last.type, CAPTURE_STOP);
    assert_int_equal(at, size);
    free(data);
}

/* ---- replay ---- */

static const char response[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "49\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\xc3\xbc\xc3\x9f" "e\"}}]}\n\ndata: {\"ch\r\n"
                               "58\r\noices\":[{\"index\":0,\"delta\":{\"content\":\" \xf0\x9f\x8c\xb1\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
                               "\r\n0\r\n\r\n";

struct heard {
    char text[256];
    size_t size;
};

static void hear(void *owner, const struct parse_event *event)
{
    struct heard *heard = owner;

    if (event->kind == PARSE_TEXT && heard->size + event->text.size <= sizeof heard->text) {
        memcpy(heard->text + heard->size, event->text.data, event->text.size);
        heard->size += event->text.size;
    }
}

static struct upstream_record_end replay(size_t size, size_t step, enum upstream_record_how how, uint64_t cancelled_after, struct heard *heard)
{
    struct upstream_replay_options options = {"openai", &dialect_quirks_default, 1 << 20, cancelled_after, hear, heard};
    struct upstream_replay *replay;
    struct upstream_record_end end;
    struct why why = {""};

    *heard = (struct heard){0};
    if (upstream_replay_create(&options, &replay, &why) < 0)
        fail_msg("%s", why.text);
    for (size_t at = 0; at < size; at += step)
        if (upstream_replay_feed(replay, response + at, step < size - at ? step : size - at))
            break;
    upstream_replay_end(replay, how, true, "too late", &end);
    end.text = "";
    upstream_replay_free(replay);
    return end;
}

/* Goal: the same bytes are the same events and the same verdict, however they are cut; fewer bytes are another verdict.  Method: every cut from a
 * byte on; the response without its end.  Catches: a reader that minds cuts, a verdict that is not the daemon's. */
static void test_replay_minds_no_cuts(void **state)
{
    struct heard heard;
    struct upstream_record_end whole = replay(sizeof response - 1, sizeof response - 1, RECORD_DECIDED, UINT64_MAX, &heard);

    (void)state;
    assert_int_equal(whole.verdict, UMBEL_VERDICT_COMPLETE);
    assert_int_equal(heard.size, 12);
    assert_memory_equal(heard.text, "Gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x8c\xb1", 12);
    for (size_t step = 1; step < sizeof response - 1; step++) {
        struct upstream_record_end cut = replay(sizeof response - 1, step, RECORD_DECIDED, UINT64_MAX, &heard);
        assert_int_equal(cut.verdict, whole.verdict);
        assert_int_equal(cut.digest.events, whole.digest.events);
        assert_true(cut.digest.sum == whole.digest.sum);
    }
    struct upstream_record_end half = replay(160, 160, RECORD_CLOSED, UINT64_MAX, &heard);
    assert_int_equal(half.verdict, UMBEL_VERDICT_TRUNCATED);
    assert_true(half.digest.sum != whole.digest.sum);
    half = replay(160, 160, RECORD_TIME, UINT64_MAX, &heard);
    assert_int_equal(half.error, UMBEL_ERROR_TIMEOUT);
    half = replay(sizeof response - 1, 7, RECORD_CANCELLED, 1, &heard);
    assert_int_equal(half.verdict, 0);
    assert_int_equal(half.digest.events, 1);
}

/* Goal: two different sequences of events have different digests.  Method: the same text in other pieces, of another kind, another code.
 * Catches: a digest of the text alone. */
static void test_digest_sees_everything(void **state)
{
    const struct parse_event sequences[][2] = {
        {{.kind = PARSE_TEXT, .text = span_of("ab", 2)}, {.kind = PARSE_TEXT, .text = span_of("c", 1)}},
        {{.kind = PARSE_TEXT, .text = span_of("a", 1)}, {.kind = PARSE_TEXT, .text = span_of("bc", 2)}},
        {{.kind = PARSE_REASONING, .text = span_of("ab", 2)}, {.kind = PARSE_TEXT, .text = span_of("c", 1)}},
        {{.kind = PARSE_TEXT, .text = span_of("ab", 2)}, {.kind = PARSE_TEXT, .code = 1, .text = span_of("c", 1)}},
        {{.kind = PARSE_TEXT, .text = span_of("ab", 2)}, {.kind = PARSE_TEXT, .text = span_of("d", 1)}},
        {{.kind = PARSE_TEXT, .text = span_of("ab", 2)}, {.kind = PARSE_TEXT, .text = span_of("c", 1), .prompt_tokens = 1}},
        {{.kind = PARSE_TEXT, .text = span_of("ab", 2)}, {.kind = PARSE_TEXT, .text = span_of("c", 1), .completion_tokens = 1}},
    };
    uint64_t sums[sizeof sequences / sizeof *sequences];

    (void)state;
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        struct upstream_digest digest = {0};
        upstream_digest_add(&digest, &sequences[i][0]);
        upstream_digest_add(&digest, &sequences[i][1]);
        sums[i] = digest.sum;
        for (size_t j = 0; j < i; j++)
            assert_true(sums[i] != sums[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back, make_folder, remove_folder),
        cmocka_unit_test(test_damage),
        cmocka_unit_test_setup_teardown(test_full, make_folder, remove_folder),
        cmocka_unit_test(test_replay_minds_no_cuts),
        cmocka_unit_test(test_digest_sees_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
