/* Unit tests of the control channel's frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/control/control.h"

struct seen {
    uint32_t count, types[16];
    uint64_t tags[16], numbers[16];
    char texts[16][64];
    int answer;
};

static int note(void *owner, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct seen *seen = owner;

    assert_true(seen->count < 16);
    seen->types[seen->count] = type;
    seen->tags[seen->count] = tag;
    seen->numbers[seen->count] = control_get(in);
    control_get_string(in, seen->texts[seen->count], sizeof seen->texts[0]);
    assert_true(control_done(in));
    seen->count++;
    return seen->answer;
}

static void make_frame(struct control_out *out, uint32_t type, uint64_t tag, uint64_t number, const char *text)
{
    control_begin(out, type, tag);
    control_put(out, number);
    control_put_text(out, text, strlen(text));
    assert_true(control_end(out));
}

/* Goal: frames arrive equal however the stream is cut.  Method: two frames, cut at every position.  Catches: a header cut in two, a kept
 * tail that is forgotten or handed out twice. */
static void control_frames_survive_every_cut(void **state)
{
    struct control_out a = {0}, b = {0};
    char wire[256];
    (void)state;

    make_frame(&a, CONTROL_STOP, 7, 1, "first");
    make_frame(&b, CONTROL_ASK, 8, UINT64_MAX, "second, longer");
    size_t size = a.size + b.size;
    memcpy(wire, a.data, a.size);
    memcpy(wire + a.size, b.data, b.size);
    for (size_t cut = 0; cut <= size; cut++) {
        struct control_parser parser = {0};
        struct seen seen = {0};
        assert_int_equal(control_feed(&parser, wire, cut, note, &seen), 0);
        assert_int_equal(control_feed(&parser, wire + cut, size - cut, note, &seen), 0);
        assert_int_equal(seen.count, 2);
        assert_int_equal(seen.types[0], CONTROL_STOP);
        assert_int_equal(seen.tags[1], 8);
        assert_true(seen.numbers[1] == UINT64_MAX);
        assert_string_equal(seen.texts[0], "first");
        assert_string_equal(seen.texts[1], "second, longer");
        assert_int_equal(parser.size, 0);
        control_parser_free(&parser);
    }
    control_out_free(&a);
    control_out_free(&b);
}

/* Goal: a hostile length never makes us allocate or wait for it.  Catches: a missing bound on the header's size. */
static void control_refuses_a_frame_that_is_too_large(void **state)
{
    struct {
        uint32_t size;
        uint16_t type, zero;
        uint64_t tag;
    } header = {CONTROL_BODY_MAX + 1, CONTROL_ASK, 0, 0};
    struct control_parser parser = {0};
    struct seen seen = {0};
    (void)state;

    assert_true(control_feed(&parser, (const char *)&header, sizeof header, note, &seen) < 0);
    header.size = 0;
    header.zero = 1;
    assert_true(control_feed(&parser, (const char *)&header, sizeof header, note, &seen) < 0);
    assert_int_equal(seen.count, 0);
    control_parser_free(&parser);
}

/* Goal: reading past the end answers zeroes and says so.  Catches: a text length that reaches beyond its frame. */
static void control_reading_past_the_end_fails_softly(void **state)
{
    uint32_t huge = 1000;
    struct control_in in = {(const char *)&huge, (const char *)&huge + sizeof huge, false};
    char text[8] = "x";
    (void)state;

    control_get_string(&in, text, sizeof text);
    assert_string_equal(text, "");
    assert_true(in.failed);
    assert_true(control_get(&in) == 0);
    assert_false(control_done(&in));
}

/* Goal: what does not fit is refused, not cut.  Catches: a name silently shortened into another name. */
static void control_strings_that_do_not_fit_fail(void **state)
{
    struct control_out out = {0};
    struct control_in in;
    char four[4], five[5];
    (void)state;

    control_begin(&out, CONTROL_STOP, 0);
    control_put_text(&out, "four", 4);
    control_put_text(&out, "a\0b", 3);
    assert_true(control_end(&out));
    in = (struct control_in){out.data + CONTROL_HEADER, out.data + out.size, false};
    control_get_string(&in, four, sizeof four);
    assert_true(in.failed);
    in = (struct control_in){out.data + CONTROL_HEADER, out.data + out.size, false};
    control_get_string(&in, five, sizeof five);
    assert_false(in.failed);
    assert_string_equal(five, "four");
    control_get_string(&in, five, sizeof five); /* a zero byte inside is no string */
    assert_true(in.failed);
    control_out_free(&out);
}

/* Goal: an oversized frame of ours is never sent.  Catches: control_end that ignores the sticky failure. */
static void control_out_refuses_too_much(void **state)
{
    struct control_out out = {0};
    char *big = calloc(1, CONTROL_BODY_MAX);
    (void)state;

    control_begin(&out, CONTROL_ASK, 1);
    control_put_text(&out, big, CONTROL_BODY_MAX - 4);
    assert_true(control_end(&out));
    control_put(&out, 1);
    assert_false(control_end(&out));
    free(big);
    control_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_frames_survive_every_cut),
        cmocka_unit_test(control_refuses_a_frame_that_is_too_large),
        cmocka_unit_test(control_reading_past_the_end_fails_softly),
        cmocka_unit_test(control_strings_that_do_not_fit_fail),
        cmocka_unit_test(control_out_refuses_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
