/* The ring, its memory and its wake-ups, by one thread.  What other threads, processes and forced interleavings do to it: tests/race. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/ring/ring_reader.h"
#include "core/ring/ring_wake.h"
#include "core/ring/ring_writer.h"

static struct ring_writer writer;
static struct ring_reader reader;

static int set_up(void **state)
{
    struct why why;

    (void)state;
    return ring_writer_create(RING_SLOTS_MIN, 77, &writer, &why) < 0 || ring_reader_open(&writer.memory, &reader, &why) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    ring_writer_free(&writer);
    return 0;
}

static struct ring_record record_of(uint32_t n, uint16_t size)
{
    struct ring_record record = {.stream_slot = n, .generation = ~n, .kind = (uint8_t)n, .flags = (uint8_t)(n >> 3), .size = size,
                                 .journal_offset = n * 7, .arrival_ns = n * 1000003ull};

    for (size_t i = 0; i < size; i++)
        record.data[i] = (uint8_t)(n + i * 31);
    return record;
}

static void publish(uint32_t n, uint16_t size)
{
    struct ring_record record = record_of(n, size);

    ring_publish(&writer, &record);
}

static void assert_next_is(uint32_t n, uint16_t size)
{
    struct ring_record expected = record_of(n, size), record;

    assert_int_equal(ring_read(&reader, &record), RING_OK);
    assert_memory_equal(&record, &expected, offsetof(struct ring_record, data) + size);
}

/* Goal: what goes in comes out.  Method: each size there is, through a ring that is gone round many times.  Catches: a slot too few or too
 * many, a byte lost at a slot's end, fields in the wrong place. */
static void each_size_comes_out_as_it_went_in(void **state)
{
    struct ring_record record;

    (void)state;
    for (uint16_t size = 0; size <= RING_DATA_MAX; size++) {
        uint64_t before = reader.next;

        publish(size, size);
        assert_next_is(size, size);
        assert_int_equal(reader.next - before, size <= 32 ? 1 : 1 + (size - 32 + 55) / 56);
        assert_int_equal(ring_read(&reader, &record), RING_EMPTY);
    }
}

/* Goal: a reader that never falls a whole ring behind is never told it was lapped.  Method: records of all lengths, the reader at most
 * half a ring behind.  Catches: a distance that counts records and not slots. */
static void who_keeps_up_is_never_lapped(void **state)
{
    uint32_t written = 0, read = 0;

    (void)state;
    while (read < 20000) {
        while (ring_reader_lag(&reader) + RING_RECORD_SLOTS_MAX <= RING_SLOTS_MIN / 2) {
            publish(written, (uint16_t)(written * 37 % (RING_DATA_MAX + 1)));
            written++;
        }
        assert_next_is(read, (uint16_t)(read * 37 % (RING_DATA_MAX + 1)));
        read++;
    }
}

/* Goal: the border between "still there" and "too late" is exact.  Method: as many slots as the ring has, then one more.  Catches: off by
 * one in either direction; a position that moves on LAPPED; a resync that says nothing. */
static void whole_ring_is_kept_and_no_more(void **state)
{
    struct ring_record record;

    (void)state;
    for (uint32_t n = 0; n < RING_SLOTS_MIN; n++)
        publish(n, 5);
    assert_int_equal(ring_reader_lag(&reader), RING_SLOTS_MIN);
    assert_next_is(0, 5);
    reader.next = 0;
    publish(RING_SLOTS_MIN, 5);
    assert_int_equal(ring_read(&reader, &record), RING_LAPPED);
    assert_int_equal(ring_read(&reader, &record), RING_LAPPED);
    assert_int_equal(ring_reader_resync(&reader), RING_SLOTS_MIN + 1);
    assert_int_equal(ring_read(&reader, &record), RING_EMPTY);
    publish(1000, 200);
    assert_next_is(1000, 200);
    assert_int_equal(ring_reader_lag(&reader), 0);
}

/* Goal: a new reader begins at the head.  Catches: one that is given the past, or waits for it. */
static void new_reader_begins_at_head(void **state)
{
    struct why why;

    (void)state;
    publish(1, 100);
    assert_int_equal(ring_reader_open(&writer.memory, &reader, &why), 0);
    assert_int_equal(reader.header->epoch, 77);
    publish(2, 100);
    assert_next_is(2, 100);
}

/* Goal: the writer gives away nothing but the record.  Method: a struct full of secrets, 3 bytes of data.  Catches: whole words copied
 * from a partly filled record. */
static void bytes_past_the_data_stay_private(void **state)
{
    struct ring_record record;

    (void)state;
    memset(&record, 0x5a, sizeof record);
    record.size = 3;
    ring_publish(&writer, &record);
    assert_true(atomic_load(&writer.slots[0].word[3]) == 0x5a5a5a);
    for (size_t i = 4; i < RING_SLOT_WORDS; i++)
        assert_true(atomic_load(&writer.slots[0].word[i]) == 0);
}

/* Goal: a wrong size is refused in words that help.  Catches: a ring that is silently another size. */
static void number_of_slots_is_checked(void **state)
{
    static const struct {
        uint32_t slots;
        const char *text;
    } wrong[] = {{100, "slots=100 is not a power of two; use 64 or 128"},
                 {0, "slots=0 is out of range; use a power of two from 64 to 4194304"},
                 {32, "slots=32 is out of range; use a power of two from 64 to 4194304"},
                 {RING_SLOTS_MAX * 2, "slots=8388608 is out of range; use a power of two from 64 to 4194304"}};
    struct ring_writer other = {.next = 42};
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(ring_writer_create(wrong[i].slots, 1, &other, &why), -EINVAL);
        assert_string_equal(why.text, wrong[i].text);
        assert_int_equal(other.next, 42);
    }
}

/* Goal: silence, death and work are told apart.  (Deaths at each step: tests/race/race_kill.c.)  Catches: a writer called stuck because
 * nothing happens, in the first round or later; one that is not because of an old beat. */
static void idle_writer_is_not_stuck(void **state)
{
    struct ring_record record;

    (void)state;
    ring_writer_beat(&writer, 1000);
    assert_false(ring_reader_writer_stuck(&reader, 1000000, 10));
    for (uint32_t n = 0; n < 3 * RING_SLOTS_MIN; n++) {
        publish(n, 300);
        assert_false(ring_reader_writer_stuck(&reader, 1000000, 10)); /* there is something to read */
        assert_int_equal(ring_read(&reader, &record), RING_OK);
        assert_false(ring_reader_writer_stuck(&reader, 1000000, 10));
    }
    atomic_store(&writer.slots[(reader.next + 2) & writer.mask].seq, RING_SLOT_BUSY);
    assert_true(ring_reader_writer_stuck(&reader, 1011, 10));
    assert_false(ring_reader_writer_stuck(&reader, 1010, 10));
    assert_false(ring_reader_writer_stuck(&reader, 999, 10));
    ring_writer_beat(&writer, 5000);
    assert_false(ring_reader_writer_stuck(&reader, 5010, 10));
}

/* Goal: only memory that cannot be pulled away is mapped, and sealed memory only for reading.  (From another process:
 * tests/race/race_processes.c.)  Catches: seals that are not asked for or not set. */
static void memory_is_sealed_and_checked(void **state)
{
    struct ring_memory memory, shared;
    struct why why;
    int fd;

    (void)state;
    assert_int_equal(ring_memory_map(writer.memory.fd, 1, 1, &memory, &why), -EPERM);
    assert_int_equal(ring_memory_map(writer.memory.fd, writer.memory.size + 1, 0, &memory, &why), -EPROTO);
    assert_int_equal(ring_memory_map(writer.memory.fd, writer.memory.size, 0, &memory, &why), 0);
    assert_int_equal(memory.fd, -1);
    assert_int_equal(memory.size, writer.memory.size);
    assert_int_equal(mprotect(memory.base, memory.size, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);
    ring_memory_free(&memory);
    ring_memory_free(&memory);

    assert_int_equal(ring_memory_create_shared("umbel-test", 1, &shared, &why), 0);
    assert_int_equal(ring_memory_map(shared.fd, 1, 1, &memory, &why), 0);
    *(char *)memory.base = 'x';
    assert_int_equal(*(char *)shared.base, 'x');
    assert_int_equal(ftruncate(shared.fd, 0), -1);
    ring_memory_free(&memory);
    ring_memory_free(&shared);

    fd = memfd_create("umbel-unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, 65536), 0);
    assert_int_equal(ring_memory_map(fd, 1, 0, &memory, &why), -EPROTO);
    close(fd);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(ring_memory_map(fd, 1, 0, &memory, &why), -EPROTO);
    close(fd);
    assert_int_equal(ring_memory_map(-1, 1, 0, &memory, &why), -EBADF);
}

/* Goal: memory that is not such a ring is refused.  Method: each checked member spoiled alone.  Catches: a size that is believed. */
static void header_is_checked(void **state)
{
    struct ring_memory memory = writer.memory;
    struct ring_header good = {.layout = RING_LAYOUT, .slots = RING_SLOTS_MIN}, *header = writer.header;
    uint32_t wrong_slots[] = {0, 32, 63, 65, 128, RING_SLOTS_MAX * 2, UINT32_MAX, 1u << 31};
    struct why why;

    (void)state;
    memory.size = RING_HEADER_SIZE - 1;
    assert_int_equal(ring_reader_open(&memory, &reader, &why), -EPROTO);
    memory.size = RING_HEADER_SIZE + RING_SLOTS_MIN * 64 - 1;
    assert_int_equal(ring_reader_open(&memory, &reader, &why), -EPROTO);
    for (size_t i = 0; i < sizeof wrong_slots / sizeof wrong_slots[0]; i++) {
        header->slots = wrong_slots[i];
        assert_int_equal(ring_reader_open(&writer.memory, &reader, &why), -EPROTO);
    }
    header->slots = good.slots;
    header->layout = RING_LAYOUT + 1;
    assert_int_equal(ring_reader_open(&writer.memory, &reader, &why), -EPROTO);
    assert_non_null(strstr(why.text, "layout 2"));
    header->layout = good.layout;
    atomic_store(&header->magic, 0);
    assert_int_equal(ring_reader_open(&writer.memory, &reader, &why), -EPROTO);
    atomic_store(&header->magic, RING_MAGIC);
    assert_int_equal(ring_reader_open(&writer.memory, &reader, &why), 0);
}

/* Goal: damaged memory can make a reader answer anything but never read outside.  Method: a block of exactly the ring's size from the
 * heap (the address sanitizer watches its ends) with random slots and fitting sequences.  Catches: a size or count used unchecked. */
static void damaged_memory_stays_inside(void **state)
{
    size_t size = RING_HEADER_SIZE + RING_SLOTS_MIN * sizeof(struct ring_slot);
    struct ring_memory memory = {.base = aligned_alloc(64, size), .size = size, .fd = -1};
    struct ring_header *header = memory.base;
    struct ring_slot *slots = (struct ring_slot *)((char *)memory.base + RING_HEADER_SIZE);
    struct ring_record record;
    unsigned results[3] = {0};
    struct why why;

    (void)state;
    assert_non_null(memory.base);
    memset(memory.base, 0, size);
    header->layout = RING_LAYOUT;
    header->slots = RING_SLOTS_MIN;
    atomic_store(&header->magic, RING_MAGIC);
    srandom(1);
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t base = (uint64_t)random() << 33 ^ (uint64_t)random();

        assert_int_equal(ring_reader_open(&memory, &reader, &why), 0);
        reader.next = base;
        atomic_store(&header->head, base + (uint64_t)(random() % 300) - 150);
        for (uint64_t i = 0; i < RING_SLOTS_MIN; i++) {
            struct ring_slot *slot = &slots[(base + i) & reader.mask];

            atomic_store(&slot->seq, random() % 16 ? base + i : (uint64_t)random());
            atomic_store(&slot->word[1], (uint64_t)random() % 1200 << 16); /* the size: possible and impossible ones */
        }
        enum ring_result result = ring_read(&reader, &record);
        results[result]++;
        if (result == RING_OK)
            assert_true(record.size <= RING_DATA_MAX);
        ring_reader_lag(&reader);
        ring_reader_writer_stuck(&reader, UINT64_MAX, 0);
        ring_reader_resync(&reader);
    }
    assert_true(results[RING_OK] > 0 && results[RING_LAPPED] > 0 && results[RING_EMPTY] > 0);
    free(memory.base);
}

/* Goal: a wake-up goes to who sleeps and is interested, once.  (That none is lost: tests/race/race_wake.c.)  Catches: a system call for
 * a reader that is awake; a second one for the same sleep; a bit in the wrong place. */
static void only_interested_sleepers_are_woken(void **state)
{
    struct ring_reader_page page = {0};
    uint64_t touched[RING_INTEREST_WORDS] = {0};

    (void)state;
    for (uint32_t slot = 0; slot < 1024; slot += 73) {
        memset(touched, 0, sizeof touched);
        touched[slot % 512 / 64] = 1ull << slot % 64;
        assert_false(ring_wake_wanted(&page, touched));
        ring_wake_sleep_begin(&page);
        assert_false(ring_wake_wanted(&page, touched));
        ring_wake_interest(&page, slot + 1, true);
        assert_false(ring_wake_wanted(&page, touched));
        ring_wake_interest(&page, slot, true);
        assert_true(ring_wake_wanted(&page, touched));
        assert_false(ring_wake_wanted(&page, touched));
        ring_wake_sleep_begin(&page);
        ring_wake_sleep_end(&page);
        assert_false(ring_wake_wanted(&page, touched));
        ring_wake_interest(&page, slot + 512, false); /* the same bit: who shares it counts its users */
        ring_wake_sleep_begin(&page);
        assert_false(ring_wake_wanted(&page, touched));
        ring_wake_interest_all(&page, true);
        assert_true(ring_wake_wanted(&page, touched));
        ring_wake_interest_all(&page, false);
    }
    ring_wake_interest_all(&page, true);
    atomic_store(&page.sleeping, 0xdeadbeef); /* garbage from a host: one wake-up, no more */
    assert_true(ring_wake_wanted(&page, touched));
    assert_false(ring_wake_wanted(&page, touched));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_size_comes_out_as_it_went_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_keeps_up_is_never_lapped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whole_ring_is_kept_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_reader_begins_at_head, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_past_the_data_stay_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(number_of_slots_is_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_writer_is_not_stuck, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_sealed_and_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(header_is_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_memory_stays_inside, set_up, tear_down),
        cmocka_unit_test(only_interested_sleepers_are_woken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
