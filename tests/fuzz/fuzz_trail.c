/* Fuzz: readers of an event ring whose writer is a stranger or died: umbelctl log and trace.  Whatever the bytes, no read outside, every call
 * ends, texts end, an undamaged ring is read as it was written, what is shown is one line and JSON, and a writer that goes on with a damaged
 * ring is read.
 * Input: byte 0, bit 0: the rest is the file; else a ring of 8 slots with (byte 1) % 20 events whose texts and values are the input's.  Bit 2: and
 * changes, ten bytes each: u16 place, u64 what is written there.  Bit 1: the file is cut to half once it is open. */
#include <sys/mman.h>
#include <umbel/json.h>
#include <unistd.h>

#include "core/metrics/trail_layout.h"
#include "core/metrics/trail_view.h"
#include "tests/fuzz/pieces.h"
#include "tools/umbelctl/events.h"

#define SLOTS 8u
#define EVENTS_MAX 20u
#define FILE_MAX ((size_t)1 << 20)
#define READS_MAX 64u
#define CHANGE 10u

static struct trail_record written[EVENTS_MAX];

/* An event whose parts depend on the input. */
static void make_record(const uint8_t *data, size_t size, size_t n, struct trail_record *ret_record)
{
    char text[TRAIL_TEXT_MAX * 2 + 1];

    *ret_record = (struct trail_record){.kind = (uint16_t)(size ? data[n % size] : n), .verdict = (uint8_t)n};
    for (unsigned i = 0; i < TRAIL_VALUE_COUNT && size; i++)
        ret_record->value[i] = (uint64_t)data[(n + i) % size] << (n * 3 + i) % 56;
    for (unsigned i = 0; i < TRAIL_TEXT_COUNT && size; i++) {
        size_t from = (n * TRAIL_TEXT_COUNT + i) * 7 % size, length = size - from;
        length = length < sizeof text - 1 ? length : sizeof text - 1;
        memcpy(text, data + from, length);
        text[length] = '\0';
        trail_text(ret_record, i, text);
        REQUIRE(strnlen(ret_record->text[i], TRAIL_TEXT_MAX) < TRAIL_TEXT_MAX);
    }
}

static void check_shown(const struct trail_record *record, uint64_t n)
{
    struct ctl_event event = {.record = *record, .number = n, .source = "core"};
    struct umbel_out out = {0};

    event_line(&event, n % 2, &out);
    REQUIRE(out.size > 0 && !out.failed);
    for (size_t i = 0; i < out.size; i++)
        REQUIRE((unsigned char)out.data[i] >= ' ' || (n % 2 && out.data[i] == '\033'));
    umbel_out_reset(&out);
    event_json(&event, &out);
    struct umbel_json *json = umbel_json_parse(out.data, out.size, NULL, 0);
    REQUIRE(umbel_json_type(json) == UMBEL_JSON_OBJECT);
    umbel_json_free(json);
    umbel_out_free(&out);
}

static bool read_one(const struct trail_view *view, uint64_t n, struct trail_record *ret_record)
{
    enum trail_seen seen = trail_view_read(view, n, ret_record);

    REQUIRE(seen == TRAIL_SEEN || seen == TRAIL_NOT_YET || seen == TRAIL_OVERWRITTEN || seen == TRAIL_TORN);
    if (seen != TRAIL_SEEN)
        return false;
    for (unsigned i = 0; i < TRAIL_TEXT_COUNT; i++)
        REQUIRE(strnlen(ret_record->text[i], TRAIL_TEXT_MAX) < TRAIL_TEXT_MAX);
    check_shown(ret_record, n);
    return true;
}

static void read_all(const struct trail_view *view, size_t undamaged)
{
    uint64_t head = trail_view_head(view), oldest = trail_view_oldest(view), from = oldest;
    struct trail_record record;

    REQUIRE(oldest <= head && head - oldest <= trail_view_slots(view));
    if (head - from > READS_MAX)
        from = head - READS_MAX;
    for (uint64_t n = from; n < head; n++) {
        bool seen = read_one(view, n, &record);
        if (!undamaged)
            continue;
        REQUIRE(seen && head == undamaged);
        REQUIRE(memcmp(&record, &written[n], sizeof record) == 0);
    }
    read_one(view, 0, &record);
    REQUIRE(head <= UINT64_MAX / 4 && trail_view_read(view, head, &record) == TRAIL_NOT_YET);
}

/* As the core goes on with the ring of the process before it. */
static void go_on(int fd, const char *path)
{
    struct trail_record record = {.kind = TRAIL_STARTED}, back;
    struct trail *trail;
    struct trail_view *view;
    struct why why = {""};

    if (trail_adopt(fd, &trail, &why) < 0) {
        REQUIRE(why.text[0]);
        return;
    }
    trail_text(&record, TRAIL_T_HOST, "a host");
    for (unsigned i = 0; i < 3; i++)
        trail_put(trail, &record);
    REQUIRE(trail_view_open(path, &view, &why) == 0);
    uint64_t head = trail_view_head(view);
    REQUIRE(head >= 3 && read_one(view, head - 1, &back) && back.time_ns == record.time_ns && strcmp(back.text[TRAIL_T_HOST], "a host") == 0);
    trail_view_close(view);
    trail_free(trail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct why why = {""};
    struct trail_view *view;
    struct trail *trail;
    char path[64];
    size_t count = 0;
    bool damaged = false;
    int fd;

    if (size < 2 || size > FILE_MAX)
        return 0;
    fd = memfd_create("umbel-fuzz-trail", MFD_CLOEXEC);
    REQUIRE(fd != -1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (data[0] & 1) {
        REQUIRE(write(fd, data + 2, size - 2) == (ssize_t)(size - 2));
        damaged = true;
    } else {
        REQUIRE(trail_append(fd, SLOTS, &why) == 0 && trail_adopt(fd, &trail, &why) == 0);
        for (count = 0; count < data[1] % EVENTS_MAX; count++) {
            make_record(data + 2, size - 2, count, &written[count]);
            trail_put(trail, &written[count]);
        }
        trail_free(trail);
        for (size_t at = 2; data[0] & 4 && at + CHANGE <= size; at += CHANGE) {
            off_t place = (off_t)((size_t)(data[at] | data[at + 1] << 8) % trail_size(SLOTS));
            REQUIRE(pwrite(fd, data + at + 2, CHANGE - 2, place) == CHANGE - 2);
            damaged = true;
        }
    }
    if (trail_view_open(path, &view, &why) < 0) {
        REQUIRE(why.text[0] && damaged);
    } else {
        if (data[0] & 2) {
            REQUIRE(ftruncate(fd, (off_t)(trail_size(SLOTS) / 2)) == 0);
            damaged = true;
        }
        read_all(view, damaged ? 0 : count);
        trail_view_close(view);
    }
    if (!(data[0] & 2))
        go_on(fd, path);
    close(fd);
    return 0;
}
