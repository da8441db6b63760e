/* Unit: core/upstream, what stands between the text of one service and that of the next: upstream_joint.h, upstream_continue.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/upstream/upstream_continue.h"

/* Everything the joint lets through of text, given in pieces of this many bytes; zero-terminated. */
static const char *through(struct upstream_joint *joint, const char *text, size_t piece)
{
    static char out[8192];
    size_t size = 0, length = strlen(text);

    for (size_t at = 0; at < length; at += piece) {
        struct span pieces[2];

        joint_take(joint, span_of(text + at, piece < length - at ? piece : length - at), pieces);
        for (int i = 0; i < 2; i++) {
            memcpy(out + size, pieces[i].data, pieces[i].size);
            size += pieces[i].size;
        }
        assert_true(joint->held_size <= JOINT_MAX);
    }
    struct span rest = joint_end(joint);
    memcpy(out + size, rest.data, rest.size);
    out[size + rest.size] = '\0';
    return out;
}

#define SO_FAR "The umbel has many stalks, and all of them spring from one point of the stem"
#define RULE "----------------------------------------"

/* Goal: what is said again is left out, and nothing else.  Method: rows of text so far, what comes, what must pass; cut into pieces of each
 * size.  Catches: a letter lost where two words happen to meet, a rule shortened, a repetition found only if it comes in one piece, text that
 * stays held, half a character left over. */
static void joint_leaves_out_what_is_said_again(void **state)
{
    static const struct {
        const char *so_far;
        size_t unseen;
        const char *comes, *passes;
    } rows[] = {
        {SO_FAR, 0, ", which is green.", ", which is green."},
        {SO_FAR, 0, "spring from one point of the stem, which is green.", ", which is green."},
        {SO_FAR, 0, SO_FAR ", which is green.", ", which is green."},
        {SO_FAR, 0, "spring from one point of the st", "spring from one point of the st"}, /* not the end of the text */
        {SO_FAR, 0, "spring from one point of the sky", "spring from one point of the sky"},
        {SO_FAR, 0, "spring from one point of the stem", ""},
        {SO_FAR, 0, "the stem", "the stem"}, /* too short to be told from chance */
        {"hel", 0, "lo", "lo"},
        {"| a | b |\n" RULE, 0, RULE "\n", RULE "\n"}, /* a pattern */
        {"1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, ", 0, "1, 2, 1, 2, 1, 2, 1, 2, 3", "1, 2, 1, 2, 1, 2, 1, 2, 3"},
        {"Dear reader,\n\n", 2, "\n\nthis is", "this is"},
        {"Dear reader,\n\n", 2, "\nthis is", "this is"},
        {"Dear reader,\n\n", 2, "this is", "this is"},
        {"Dear reader,\n\n", 2, " this is", " this is"},
        {"Dear reader,\n\n", 2, "\n", ""},
        {"wide\xe3\x80\x80", 3, "\xe3\x80\x81""and", "\xe3\x80\x81""and"}, /* shares two bytes of three */
        {"wide\xe3\x80\x80", 3, "\xe3\x80\x80""and", "and"},
        {"", 0, "anything", "anything"},
        {"春江潮水连海平海上明月共潮生", 0, "平海上明月共潮生滟滟随波千万里", "滟滟随波千万里"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 60; piece += piece < 8 ? 1 : 13) {
            struct upstream_joint joint;

            joint_begin(&joint, span_text(rows[i].so_far), rows[i].unseen);
            const char *passed = through(&joint, rows[i].comes, piece);
            if (strcmp(passed, rows[i].passes) != 0)
                fail_msg("row %zu, pieces of %zu: wanted \"%s\", passed \"%s\"", i, piece, rows[i].passes, passed);
        }
}

/* Goal: bounds: what is held never passes JOINT_MAX, repetitions longer than that are no repetitions.  Method: a long text said again.
 * Catches: a hold that grows with the text, a write past the end (with a sanitizer). */
static void joint_is_bounded(void **state)
{
    static char text[4001];
    struct upstream_joint joint;
    uint32_t seed = 1;

    (void)state;
    for (size_t i = 0; i < 4000; i++)
        text[i] = (char)('a' + (seed = seed * 1103515245u + 12345u) / 65536u % 26);
    joint_begin(&joint, span_of(text, 4000), 0);
    assert_string_equal(through(&joint, text + 4000 - JOINT_MAX, 7), "");
    joint_begin(&joint, span_of(text, 4000), 0);
    assert_string_equal(through(&joint, text + 4000 - JOINT_MAX - 1, 7), text + 4000 - JOINT_MAX - 1);
}

/* ---- upstream_continue ---- */

struct heard {
    char text[4096];
    size_t size, thoughts;
    uint64_t prompt, completion;
    uint32_t finishes;
    bool over;
};

static void hear(void *owner, const struct parse_event *event, uint64_t arrival_ns)
{
    struct heard *heard = owner;

    assert_false(heard->over);
    assert_true(arrival_ns > 0);
    if (event->kind == PARSE_TEXT && heard->size + event->text.size < sizeof heard->text) {
        memcpy(heard->text + heard->size, event->text.data, event->text.size);
        heard->size += event->text.size;
    } else if (event->kind == PARSE_REASONING) {
        heard->thoughts++;
    } else if (event->kind == PARSE_USAGE) {
        heard->prompt = event->prompt_tokens;
        heard->completion = event->completion_tokens;
    } else if (event->kind == PARSE_FINISH) {
        heard->finishes++;
    }
    heard->over = heard->size >= 2 && memcmp(heard->text + heard->size - 2, "!!", 2) == 0;
}

static void say(struct upstream_continue *c, struct heard *heard, enum parse_kind kind, const char *text)
{
    struct parse_event event = {.kind = kind, .text = span_text(text), .prompt_tokens = 10, .completion_tokens = 3};

    continue_event(c, &event, 7, hear, heard, &heard->over);
}

/* Goal: one answer of two services: text joined, usage summed, thinking of the second kept back, half a character said once.  Method: events
 * in, what the sink hears.  Catches: usage that only counts the last, a replacement character in the middle, a repetition let through. */
static void two_services_make_one_answer(void **state)
{
    struct upstream_continue *c = continue_create();
    struct heard heard = {0};
    const char *reason;

    (void)state;
    say(c, &heard, PARSE_REASONING, "hm");
    say(c, &heard, PARSE_TEXT, SO_FAR);
    say(c, &heard, PARSE_TEXT, "\xef\xbf\xbd"); /* half a character: the connection broke */
    say(c, &heard, PARSE_USAGE, "");
    assert_true(continue_may(c, &reason));
    continue_break(c);
    c->count++;
    continue_join(c, 0);
    say(c, &heard, PARSE_REASONING, "hm");
    say(c, &heard, PARSE_TEXT, "spring from one point of the stem");
    say(c, &heard, PARSE_TEXT, "\xef\xbf\xbd");
    say(c, &heard, PARSE_TEXT, "\xf0\x9f\x98\x80.");
    say(c, &heard, PARSE_USAGE, "");
    say(c, &heard, PARSE_FINISH, "stop");
    heard.text[heard.size] = '\0';
    assert_string_equal(heard.text, SO_FAR "\xef\xbf\xbd\xf0\x9f\x98\x80."); /* the second's own replacement is its own affair */
    assert_int_equal(heard.thoughts, 1);
    assert_int_equal(heard.finishes, 1);
    assert_int_equal(heard.prompt, 20);
    assert_int_equal(heard.completion, 6);
    continue_free(c);
}

/* Goal: what is held is told when the answer ends, in order before the finish, and not to an owner that has left.  Catches: the last words
 * lost, a call into a cancelled answer. */
static void what_is_held_comes_before_the_end(void **state)
{
    struct upstream_continue *c = continue_create();
    struct heard heard = {0};

    (void)state;
    say(c, &heard, PARSE_TEXT, SO_FAR);
    continue_break(c);
    c->count++;
    continue_join(c, 0);
    say(c, &heard, PARSE_TEXT, "spring from one point of");
    assert_int_equal(heard.size, strlen(SO_FAR));
    say(c, &heard, PARSE_FINISH, "stop");
    assert_int_equal(heard.size, strlen(SO_FAR) + strlen("spring from one point of"));
    assert_int_equal(heard.finishes, 1);
    say(c, &heard, PARSE_TEXT, "\xef\xbf\xbd");
    continue_flush(c, hear, &heard, &heard.over);
    assert_memory_equal(heard.text + heard.size - 3, "\xef\xbf\xbd", 3);
    say(c, &heard, PARSE_TEXT, "\xef\xbf\xbd");
    heard.size = 0;
    memcpy(heard.text, "x!!", 3); /* the next one ends it */
    heard.size = 3;
    heard.over = true;
    continue_flush(c, hear, &heard, &heard.over);
    continue_free(c);
}

/* Goal: what cannot be continued is said so, with a reason.  Catches: text beyond the bound shown in part, a tool call doubled, endless
 * continuations. */
static void what_stands_against_it(void **state)
{
    static char kilobyte[1025];
    struct heard heard = {0};
    const char *reason;

    (void)state;
    memset(kilobyte, 'x', 1024);
    struct upstream_continue *c = continue_create();
    for (size_t i = 0; i < CONTINUE_TEXT_MAX / 1024; i++)
        say(c, &heard, PARSE_TEXT, kilobyte);
    assert_true(continue_may(c, &reason));
    say(c, &heard, PARSE_TEXT, "x");
    assert_false(continue_may(c, &reason));
    assert_non_null(strstr(reason, "too long"));
    assert_null(c->so_far.data); /* and its memory is given back */
    continue_free(c);

    c = continue_create();
    say(c, &heard, PARSE_TOOL, "{}");
    assert_false(continue_may(c, &reason));
    assert_non_null(strstr(reason, "tool call"));
    continue_free(c);

    c = continue_create();
    c->count = CONTINUE_MAX;
    assert_false(continue_may(c, &reason));
    continue_free(c);
    continue_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joint_leaves_out_what_is_said_again), cmocka_unit_test(joint_is_bounded),
        cmocka_unit_test(two_services_make_one_answer),        cmocka_unit_test(what_is_held_comes_before_the_end),
        cmocka_unit_test(what_stands_against_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
