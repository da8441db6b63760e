/* Unit tests of the host's fan-out: a real bus on one side, readers with scripted sockets on the other, no process between. */
#include "tests/unit/host_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"

/* Goal: 1,000 level readers cost one encoding a batch and lose nothing.  Catches: encoding per client, a reader left out. */
static void a_thousand_readers_share_one_encoding(void **state)
{
    static struct sink sinks[1000];
    struct bench bench;
    (void)state;

    memset(sinks, 0, sizeof sinks);
    bench_open(&bench, 1024, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    for (int i = 0; i < 1000; i++)
        attach(&bench, &sinks[i], ref, 0);
    settle(&bench);
    bench.encodes = 0;
    say(&bench, ref, "Hello ");
    say(&bench, ref, "world");
    turn(&bench, UINT32_MAX);
    assert_int_equal(bench.encodes, 1); /* one merged event, once for all */
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&bench);
    for (int i = 0; i < 1000; i++) {
        expect_text(&sinks[i], "Hello world");
        assert_int_equal(sinks[i].ended, 1);
        assert_int_equal(sinks[i].opens, 1);
        assert_int_equal(sinks[i].verdict, UMBEL_VERDICT_COMPLETE);
        detach(&sinks[i]);
    }
    bench_close(&bench);
}

/* Goal: a full reader keeps only its place and gets what it missed merged; the others do not notice.  Catches: bytes queued per client,
 * text lost or doubled at the change from shared to alone and back. */
static void a_full_reader_gets_one_merged_rest(void **state)
{
    struct sink slow = {.fill_after = 2}, fast = {0};
    struct bench bench;
    (void)state;

    bench_open(&bench, 1024, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    attach(&bench, &slow, ref, 0);
    attach(&bench, &fast, ref, 0);
    settle(&bench);
    say(&bench, ref, "a"); /* fills it: the opening write was the first */
    settle(&bench);
    for (int i = 0; i < 100; i++) {
        say(&bench, ref, "b");
        settle(&bench);
    }
    expect_text(&slow, "a");
    assert_int_equal(fast.size, 101);
    size_t writes = slow.writes;
    host_reader_make_ready(slow.reader);
    settle(&bench);
    assert_int_equal(slow.size, 101);
    assert_int_equal(slow.writes, writes + 1);
    say(&bench, ref, "c");
    end_stream(&bench, ref, UMBEL_VERDICT_CANCELLED);
    settle(&bench);
    assert_int_equal(slow.size, 102);
    assert_int_equal(slow.verdict, UMBEL_VERDICT_CANCELLED);
    assert_memory_equal(slow.text, fast.text, 102);
    detach(&slow);
    detach(&fast);
    bench_close(&bench);
}

/* Goal: 300 readers who take 100 bytes at a time and have 1,000 before them share what is read back, and are level at the end.  Catches:
 * reading and encoding for each of them, who then never come up with a fast answer. */
static void readers_who_fell_behind_together_share_what_is_read_back(void **state)
{
    static struct sink sinks[300];
    char text[1024] = "";
    struct bench bench;
    (void)state;

    memset(sinks, 0, sizeof sinks);
    bench_open(&bench, 1024, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    for (int i = 0; i < 300; i++) {
        sinks[i].max_batch = 100;
        sinks[i].variant = (uint32_t)(i % 2);
        attach(&bench, &sinks[i], ref, 0);
    }
    settle(&bench);
    assert_true(bench.encodes <= 4); /* two variants, two turns: openings are shared as well */
    bench.encodes = 0;
    for (int i = 0; i < 50; i++) {
        char word[21];
        snprintf(word, sizeof word, "%019d ", i);
        strcat(text, word);
        say(&bench, ref, word);
    }
    settle(&bench);
    assert_true(bench.encodes >= 20); /* ten pieces of each variant, and as many again where a turn begins */
    assert_true(bench.encodes <= 50);
    bench.encodes = 0;
    say(&bench, ref, "level");
    turn(&bench, UINT32_MAX);
    assert_int_equal(bench.encodes, 2);
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&bench);
    strcat(text, "level");
    for (int i = 0; i < 300; i++) {
        expect_text(&sinks[i], text);
        assert_int_equal(sinks[i].writes, 1 + 10 + 1 + 1);
        detach(&sinks[i]);
    }
    bench_close(&bench);
}

/* How many of the 600 who are behind by a text have it after one turn in which the 600 others have this news. */
static int come_up_in_a_turn(const char *missed, uint32_t kind, const char *news)
{
    static struct sink level[600], behind[600];
    struct bench bench;
    int up = 0;

    memset(level, 0, sizeof level);
    memset(behind, 0, sizeof behind);
    bench_open(&bench, 1024, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    for (int i = 0; i < 600; i++) {
        behind[i].fill_after = 1;
        attach(&bench, &level[i], ref, 0);
        attach(&bench, &behind[i], ref, 0);
    }
    settle(&bench);
    say(&bench, ref, missed);
    settle(&bench);
    for (int i = 0; i < 600; i++)
        host_reader_make_ready(behind[i].reader);
    assert_int_equal(bus_event(bench.bus, ref, kind, news, strlen(news), clock_now_ns()), 0);
    turn(&bench, UINT32_MAX);
    for (int i = 0; i < 600; i++)
        up += behind[i].size > 0;
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&bench);
    for (int i = 0; i < 600; i++) {
        assert_int_equal(behind[i].size, level[i].size);
        assert_memory_equal(behind[i].text, level[i].text, level[i].size);
        detach(&level[i]);
        detach(&behind[i]);
    }
    bench_close(&bench);
    return up;
}

/* Goal: readers who are behind get their share of a turn that news to others fill, and no more than that.  Catches: a fixed number of them
 * a turn, with which a late or slow reader of a busy host stays behind for seconds; a turn in which a thousand long answers are read back. */
static void who_is_behind_gets_as_much_of_a_turn_as_who_is_not(void **state)
{
    static char long_text[60001];
    (void)state;

    memset(long_text, 'l', sizeof long_text - 1);
    assert_int_equal(come_up_in_a_turn("missed", UMBEL_EVENT_TEXT, " and new"), 600);
    assert_int_equal(come_up_in_a_turn("missed", UMBEL_EVENT_REASONING, "which this codec does not tell"), HOSTING_CATCHUP_TURN);
    assert_in_range(come_up_in_a_turn(long_text, UMBEL_EVENT_TEXT, "new"), HOSTING_CATCHUP_TURN, (HOSTING_CATCHUP_TURN << 16) / 60000 + 1);
}

/* Goal: what cannot be cut and is longer than a reader takes at a time goes alone, to those who were level and to those who come late.
 * Catches: a reader that waits for ever while its host turns at full speed. */
static void a_long_tool_call_goes_alone(void **state)
{
    static char call[70000];
    (void)state;

    memset(call, 'c', sizeof call);
    for (size_t size = 90; size <= sizeof call; size += size < 1000 ? 10 : sizeof call - 1000) {
        struct sink sinks[3] = {{.max_batch = 100}, {.max_batch = 0}, {.max_batch = 100}};
        struct bench bench;
        bench_open(&bench, 64, 1 << 20);
        struct journal_ref ref = open_stream(&bench);
        attach(&bench, &sinks[0], ref, 0);
        attach(&bench, &sinks[1], ref, 0);
        settle(&bench);
        say(&bench, ref, "before ");
        assert_int_equal(bus_event(bench.bus, ref, UMBEL_EVENT_TOOL, call, size, clock_now_ns()), 0);
        say(&bench, ref, "behind");
        attach(&bench, &sinks[2], ref, 0);
        for (int i = 0; i < 20; i++)
            turn(&bench, UINT32_MAX);
        assert_false(host_feeds_busy(bench.hosting));
        end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
        settle(&bench);
        for (int i = 0; i < 3; i++) {
            expect_text(&sinks[i], "before behind");
            assert_int_equal(sinks[i].tools, 1);
            assert_int_equal(sinks[i].ended, 1);
            detach(&sinks[i]);
        }
        bench_close(&bench);
    }
}

/* Goal: readers of two answers of the same length, who stand at the same place in turns, get each their own, and its end is encoded just
 * before it is written.  Catches: the text of one stream for the readers of another; an end that a codec has forgotten meanwhile. */
static void readers_of_two_streams_share_nothing(void **state)
{
    struct sink sinks[6] = {0};
    struct bench bench;
    (void)state;

    bench_open(&bench, 64, 1 << 20);
    struct journal_ref refs[2] = {open_stream(&bench), open_stream(&bench)};
    say(&bench, refs[0], "one");
    say(&bench, refs[1], "two");
    end_stream(&bench, refs[0], UMBEL_VERDICT_COMPLETE);
    end_stream(&bench, refs[1], UMBEL_VERDICT_COMPLETE);
    for (int i = 0; i < 6; i++)
        attach(&bench, &sinks[i], refs[i % 2], 0);
    settle(&bench);
    for (int i = 0; i < 6; i++) {
        expect_text(&sinks[i], i % 2 ? "two" : "one");
        assert_int_equal(sinks[i].ended, 1);
        detach(&sinks[i]);
    }
    bench_close(&bench);
}

/* Goal: one who has had the opening and one who has not stand at the same place, and each is opened once.  Catches: an opening shared by both,
 * or by none. */
static void only_who_begins_is_opened(void **state)
{
    struct sink old = {.fill_after = 1}, fresh = {0};
    struct bench bench;
    (void)state;

    bench_open(&bench, 64, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    attach(&bench, &old, ref, 0);
    settle(&bench); /* it has had the opening and is full */
    say(&bench, ref, "text");
    settle(&bench);
    attach(&bench, &fresh, ref, 0);
    host_reader_make_ready(old.reader);
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&bench);
    expect_text(&old, "text");
    expect_text(&fresh, "text");
    assert_int_equal(old.opens, 1);
    assert_int_equal(fresh.opens, 1);
    detach(&old);
    detach(&fresh);
    bench_close(&bench);
}

/* Goal: resume positions are exact; wrong ones are refused with their own reason.  Catches: off-by-one, half a character. */
static void resume_positions_are_exact(void **state)
{
    const char *text = "Gr\xc3\xbc\xc3\x9f Gott \xf0\x9f\x8d\xb5!";
    struct bench bench;
    (void)state;

    bench_open(&bench, 1024, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    say(&bench, ref, "Gr\xc3\xbc");
    say(&bench, ref, "\xc3\x9f Gott ");
    say(&bench, ref, "\xf0\x9f\x8d\xb5!");
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    for (size_t n = 0; n <= strlen(text) + 1; n++) {
        struct sink sink = {0};
        attach(&bench, &sink, ref, n);
        settle(&bench);
        if (n > strlen(text) || ((unsigned char)text[n] & 0xc0) == 0x80) {
            assert_int_equal(sink.refused, 1);
            assert_int_equal(sink.refusal, UMBEL_ERROR_POSITION);
        } else {
            expect_text(&sink, text + n);
            assert_int_equal(sink.ended, 1);
        }
        detach(&sink);
    }
    struct sink gone = {0};
    attach(&bench, &gone, (struct journal_ref){ref.slot, ref.generation + 1}, 0);
    assert_int_equal(gone.refusal, UMBEL_ERROR_NOT_FOUND);
    detach(&gone);
    bench_close(&bench);
}

/* Goal: whatever the order of events, each reader ends with exactly the text from its place on, and one end.  Method: random publishing
 * (small ring: laps happen), partial drains, readers that come late, fill, recover, leave, resume; many seeds.  Catches: lost or doubled
 * text at every seam between ring, journal, shared and single delivery. */
static void random_histories_lose_and_double_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 150; seed++) {
        static struct sink sinks[40];
        uint64_t from[40];
        static char truth[200000];
        size_t size = 0, count = 0;
        struct bench bench;
        srand(seed);
        memset(sinks, 0, sizeof sinks);
        bench_open(&bench, 64, 1 << 21);
        struct journal_ref ref = open_stream(&bench);
        for (int i = 0; i < 600; i++) {
            int what = rand() % 10;
            if (what < 5) {
                int burst = rand() % 20 == 0 ? 120 : rand() % 4;
                while (burst--) {
                    char word[600];
                    size_t n = (size_t)(rand() % 30 == 0 ? 400 + rand() % 190 : 1 + rand() % 12);
                    for (size_t k = 0; k < n; k++)
                        word[k] = (char)('a' + rand() % 26);
                    word[n] = '\0';
                    if (size + n > sizeof truth)
                        break;
                    memcpy(truth + size, word, n);
                    size += n;
                    say(&bench, ref, word);
                }
            } else if (what < 7) {
                turn(&bench, (uint32_t)(rand() % 50));
            } else if (what == 7 && count < 40) {
                struct sink *sink = &sinks[count];
                sink->variant = rand() % 3 == 0 ? UMBEL_VARIANT_PRIVATE : (uint32_t)(rand() % 2);
                sink->fill_after = rand() % 3 ? rand() % 5 : 0;
                sink->max_batch = rand() % 4 == 0 ? 100 + (uint32_t)(rand() % 2) * 50 : 0;
                sink->max_text = rand() % 4 == 0 ? 30 + (uint32_t)(rand() % 2) * 30 : 0;
                sink->flags = rand() % 5 == 0 ? UMBEL_READER_SEPARATE : 0;
                from[count] = size && rand() % 2 ? (uint64_t)rand() % size : 0;
                attach(&bench, sink, ref, from[count]);
                count++;
            } else if (what == 8 && count) {
                struct sink *sink = &sinks[(size_t)rand() % count];
                if (sink->reader) {
                    sink->fill_after = rand() % 4;
                    host_reader_make_ready(sink->reader);
                }
            }
        }
        end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
        for (size_t i = 0; i < count; i++) {
            sinks[i].fill_after = 0;
            if (sinks[i].reader)
                host_reader_make_ready(sinks[i].reader);
        }
        settle(&bench);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(sinks[i].ended, 1);
            assert_int_equal(sinks[i].opens, 1);
            assert_int_equal(sinks[i].size, size - from[i]);
            assert_memory_equal(sinks[i].text, truth + from[i], sinks[i].size);
            detach(&sinks[i]);
        }
        bench_close(&bench);
    }
}

/* Goal: a lagging reader whose stream was forgotten is told so, once.  Catches: foreign text, a reader that waits for ever. */
static void a_reader_of_a_forgotten_stream_is_told(void **state)
{
    struct sink slow = {.fill_after = 1};
    struct bench bench;
    (void)state;

    bench_open(&bench, 64, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    say(&bench, ref, "text");
    attach(&bench, &slow, ref, 0);
    settle(&bench);
    say(&bench, ref, "more");
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&bench);
    journal_evict(bus_journal(bench.bus), ref);
    host_reader_make_ready(slow.reader);
    settle(&bench);
    assert_int_equal(slow.ended, 1);
    assert_int_equal(slow.verdict, 0);
    detach(&slow);
    bench_close(&bench);
}

/* The stream whose memory is taken away before the host hears how it stands; the linker puts this between. */
static struct {
    struct bench *bench;
    struct journal_ref ref;
} forgotten;
int __real_journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed);
int __wrap_journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed);

int __wrap_journal_stat(const struct journal_reader *reader, struct journal_ref ref, uint64_t *ret_state, uint64_t *ret_committed)
{
    if (forgotten.bench)
        journal_evict(bus_journal(forgotten.bench->bus), forgotten.ref);
    forgotten.bench = NULL;
    return __real_journal_stat(reader, ref, ret_state, ret_committed);
}

/* Goal: the same for a stream that is forgotten between the host's reading of its last text and its question whether that was all.
 * Catches: a reader that waits for ever, because nobody speaks of that stream again. */
static void a_reader_of_a_stream_forgotten_at_its_end_is_told(void **state)
{
    struct sink sink = {0};
    struct bench bench;
    (void)state;

    bench_open(&bench, 64, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    attach(&bench, &sink, ref, 0);
    settle(&bench);
    say(&bench, ref, "text");
    settle(&bench);
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    forgotten.bench = &bench;
    forgotten.ref = ref;
    settle(&bench);
    assert_null(forgotten.bench);
    expect_text(&sink, "text");
    assert_int_equal(sink.ended, 1);
    assert_int_equal(sink.verdict, 0);
    detach(&sink);
    bench_close(&bench);
}

/* Goal: a reader that asks for it gets each delta apart, in order, late or live, whoever stands beside it.  Catches: merging on the way
 * back or on the shared path, what was merged for another. */
static void separate_readers_get_each_delta_apart(void **state)
{
    struct sink sink = {.flags = UMBEL_READER_SEPARATE, .variant = UMBEL_VARIANT_PRIVATE}, shared = {.flags = UMBEL_READER_SEPARATE}, plain = {0};
    struct bench bench;
    (void)state;

    bench_open(&bench, 64, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    for (int i = 0; i < 50; i++)
        say(&bench, ref, "ab");
    attach(&bench, &plain, ref, 0);
    attach(&bench, &shared, ref, 0);
    attach(&bench, &sink, ref, 0);
    settle(&bench);
    for (int i = 0; i < 50; i++)
        say(&bench, ref, "cd");
    settle(&bench);
    assert_int_equal(sink.events, 100);
    assert_int_equal(shared.events, 100);
    assert_int_equal(plain.events, 2);
    assert_int_equal(sink.size, 200);
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&bench);
    assert_int_equal(sink.ended, 1);
    detach(&sink);
    detach(&shared);
    detach(&plain);
    bench_close(&bench);
}

/* Goal: a piece takes whole characters and, for a separate reader, whole deltas, as far as they fit in, and nothing more.  Catches: a
 * scrap of eight bytes behind a piece whose last byte falls inside a character; a delta in two events. */
static void a_piece_ends_where_the_next_one_does_not_fit(void **state)
{
    struct sink merged = {.max_batch = 100}, apart = {.max_batch = 100, .flags = UMBEL_READER_SEPARATE};
    struct bench bench;
    (void)state;

    bench_open(&bench, 64, 1 << 20);
    struct journal_ref ref = open_stream(&bench);
    for (int i = 0; i < 33; i++)
        say(&bench, ref, "\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6\xe8\x8c\xb6");
    attach(&bench, &merged, ref, 0);
    attach(&bench, &apart, ref, 0);
    settle(&bench);
    assert_int_equal(merged.size, 990);
    assert_int_equal(merged.events, 10);
    assert_int_equal(merged.writes, 10);
    assert_int_equal(apart.size, 990);
    assert_int_equal(apart.events, 33);
    assert_int_equal(apart.writes, 11);
    end_stream(&bench, ref, UMBEL_VERDICT_COMPLETE);
    settle(&bench);
    detach(&merged);
    detach(&apart);
    bench_close(&bench);
}

/* Goal: when the core dies each running answer ends FAILED for its readers, after all that was published.  Method: also with
 * more to read than a turn takes.  Catches: a silent end. */
static void answers_end_honestly_when_the_core_is_gone(void **state)
{
    static char word[30001];
    struct sink sink = {0}, other = {0};
    struct bench bench;
    (void)state;

    memset(word, 'w', sizeof word - 1);
    bench_open(&bench, 64, 4 << 20);
    struct journal_ref ref = open_stream(&bench);
    attach(&bench, &sink, ref, 0);
    settle(&bench);
    say(&bench, ref, "half an ans");
    struct journal_ref long_ref = open_stream(&bench);
    attach(&bench, &other, long_ref, 0);
    settle(&bench);
    for (int i = 0; i < 90; i++)
        say(&bench, long_ref, word);
    host_feeds_fail(bench.hosting);
    settle(&bench);
    expect_text(&sink, "half an ans");
    assert_int_equal(sink.verdict, UMBEL_VERDICT_FAILED);
    assert_int_equal(other.size, 90 * 30000);
    assert_int_equal(other.ended, 1);
    assert_int_equal(other.verdict, UMBEL_VERDICT_FAILED);
    detach(&other);
    detach(&sink);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_readers_share_one_encoding),      cmocka_unit_test(a_full_reader_gets_one_merged_rest),
        cmocka_unit_test(resume_positions_are_exact),                 cmocka_unit_test(random_histories_lose_and_double_nothing),
        cmocka_unit_test(a_reader_of_a_forgotten_stream_is_told),     cmocka_unit_test(answers_end_honestly_when_the_core_is_gone),
        cmocka_unit_test(separate_readers_get_each_delta_apart),
        cmocka_unit_test(readers_who_fell_behind_together_share_what_is_read_back),
        cmocka_unit_test(only_who_begins_is_opened),
        cmocka_unit_test(a_reader_of_a_stream_forgotten_at_its_end_is_told),
        cmocka_unit_test(a_piece_ends_where_the_next_one_does_not_fit),
        cmocka_unit_test(a_long_tool_call_goes_alone),
        cmocka_unit_test(readers_of_two_streams_share_nothing),
        cmocka_unit_test(who_is_behind_gets_as_much_of_a_turn_as_who_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
