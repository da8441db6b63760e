/* The form of an answer's deltas: what is read by comparing must be what the scanner would have read, and nothing else is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/parse/delta_form.h"
#include "core/parse/delta_scanner.h"
#include "core/parse/dialect.h"

#define BEFORE "{\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define AFTER "\"},\"finish_reason\":null}]}"

static void learn(struct delta_form *form)
{
    static const char payload[] = BEFORE "Hello" AFTER;
    struct umbel_out scratch = {0};
    struct delta_chunk chunk;

    assert_true(delta_scan(payload, sizeof payload - 1, &scratch, &chunk));
    delta_form_learn(form, span_of(payload, sizeof payload - 1), chunk.text, PARSE_TEXT);
    umbel_out_free(&scratch);
    assert_true(form->around.size > 0);
}

/* Goal: an event of the learned form is taken whole, decoded, with every allowed way to write its frame.
 * Method: events by hand.  Catches: an escape left as it is, a blank line left behind, a blank after the colon that is required. */
static void takes_what_is_alike(void **state)
{
    static const struct {
        const char *event, *text;
    } cases[] = {
        {"data: " BEFORE "you" AFTER "\n\n", "you"},
        {"data:" BEFORE "you" AFTER "\n\n", "you"},
        {"data: " BEFORE "you" AFTER "\r\n\r\n", "you"},
        {"data: " BEFORE AFTER "\n\n", ""},
        {"data: " BEFORE "a\\n\\\"b\\\" \\u00e9 \\ud83d\\ude00" AFTER "\n\n", "a\n\"b\" \xc3\xa9 \xf0\x9f\x98\x80"},
        {"data: " BEFORE "\xe4\xbd\xa0" AFTER "\n\n", "\xe4\xbd\xa0"},
    };
    struct umbel_out scratch = {0};
    struct delta_form form = {0};

    (void)state;
    learn(&form);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[512];
        size_t size = strlen(cases[i].event);
        struct span text = {NULL, 0};
        snprintf(bytes, sizeof bytes, "%sdata: more", cases[i].event);
        assert_int_equal(delta_form_take(&form, bytes, strlen(bytes), &scratch, &text), size);
        assert_int_equal(text.size, strlen(cases[i].text));
        assert_memory_equal(text.data, cases[i].text, text.size);
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(delta_form_take(&form, bytes, cut, &scratch, &text), 0);
    }
    umbel_out_free(&scratch);
    delta_form_free(&form);
}

/* Goal: what differs anywhere but in the string is left to the scanner.
 * Method: events that differ by little.  Catches: a second member behind the string, an illegal string, another line, another frame. */
static void leaves_what_differs(void **state)
{
    static const char *const events[] = {
        "data: " BEFORE "x\",\"content\":\"y" AFTER "\n\n",
        "data: " BEFORE "x\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: " BEFORE "x\\q" AFTER "\n\n",
        "data: " BEFORE "x\ty" AFTER "\n\n",
        "data: " BEFORE "x" AFTER "\ndata: more\n\n",
        "data: " BEFORE "x" AFTER " \n\n",
        "data: " BEFORE "x" AFTER "\n\r\n",
        "data:  " BEFORE "x" AFTER "\n\n",
        "Data: " BEFORE "x" AFTER "\n\n",
        ": data: " BEFORE "x" AFTER "\n\n",
        "data: {\"id\":\"2\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x" AFTER "\n\n",
        "data: [DONE]\n\n",
    };
    struct umbel_out scratch = {0};
    struct delta_form form = {0}, none = {0};
    struct span text;

    (void)state;
    learn(&form);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        assert_int_equal(delta_form_take(&form, events[i], strlen(events[i]), &scratch, &text), 0);
    assert_int_equal(delta_form_take(&none, "data: " BEFORE "x" AFTER "\n\n", sizeof "data: " BEFORE "x" AFTER "\n\n" - 1, &scratch, &text), 0);
    umbel_out_free(&scratch);
    delta_form_free(&form);
}

/* Goal: what cannot be learned leaves nothing learned.
 * Method: a decoded value, a long chunk.  Catches: an old form that stays in force, memory without bound. */
static void learns_within_bounds(void **state)
{
    static const char escaped[] = BEFORE "a\\nb" AFTER;
    char longer[DELTA_FORM_MAX + 100], elsewhere[] = "a\nb";
    struct delta_form form = {0};

    (void)state;
    learn(&form);
    delta_form_learn(&form, span_of(escaped, sizeof escaped - 1), span_of(elsewhere, 3), PARSE_TEXT);
    assert_int_equal(form.around.size, 0);
    learn(&form);
    memset(longer, ' ', sizeof longer);
    delta_form_learn(&form, span_of(longer, sizeof longer), span_of(longer + 50, 10), PARSE_TEXT);
    assert_int_equal(form.around.size, 0);
    delta_form_free(&form);
}

/* ---- through the dialect ---- */

struct seen {
    char text[512];
    size_t size;
    unsigned events;
};

static int note(void *owner, const struct parse_event *event)
{
    struct seen *seen = owner;
    size_t room = sizeof seen->text - seen->size;

    seen->size += (size_t)snprintf(seen->text + seen->size, room, "%d:%.*s|", (int)event->kind, (int)event->text.size,
                                   event->text.data ? event->text.data : "");
    assert_true(seen->size < sizeof seen->text);
    seen->events++;
    return 0;
}

static uint64_t feed(const char *body, size_t step, size_t cap, struct seen *seen)
{
    struct dialect_reader *r;
    uint32_t verdict;
    uint64_t alike;

    assert_int_equal(dialect_create("openai", NULL, cap, note, seen, &r), 0);
    for (size_t i = 0, size = strlen(body); i < size; i += step)
        dialect_feed(r, body + i, size - i < step ? size - i : step, NULL);
    assert_int_equal(dialect_end(r, true, &verdict, NULL), 0);
    alike = dialect_counts(r)->alike;
    dialect_free(r);
    return alike;
}

#define THINK(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":null,\"reasoning_content\":\"" text "\"}}]}\n\n"
#define TEXT(text) "data: " BEFORE text AFTER "\n\n"

/* Goal: the events are the same, whether events come whole (and are compared) or byte by byte (and are scanned), and comparing does happen.
 * Method: one body with thinking, text, escapes, a comment, a chunk of another shape, an end; fed in pieces of every size.
 * Catches: an event read twice or lost between the two ways, thinking told as text, a form that outlives its use, a line over the cap taken. */
static void dialect_tells_the_same(void **state)
{
    static const char body[] = THINK("hm") THINK("let us see") TEXT("One") TEXT(" two") ": alive\n\n" TEXT(" \\\"three\\\"")
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" four\",\"role\":\"assistant\"}}]}\n\n" TEXT(" five") TEXT("\xe4\xbd") TEXT("\xa0")
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n" TEXT("late");
    struct seen expected = {0};

    (void)state;
    assert_int_equal(feed(body, 1, 0, &expected), 0);
    assert_non_null(strstr(expected.text, " five"));
    for (size_t step = 2; step <= sizeof body; step++) {
        struct seen seen = {0};
        uint64_t alike = feed(body, step, 0, &seen);
        assert_int_equal(seen.events, expected.events);
        assert_string_equal(seen.text, expected.text);
        if (step == sizeof body)
            assert_int_equal(alike, 5); /* the second thought, " two", "three", and both halves of the character */
    }
}

/* Goal: only what begins an event is compared.  Method: the bytes of a delta as the rest of a comment that a read cut, and under an event's name.
 * Catches: a comment told as text, a named event whose name is not looked at. */
static void only_whole_events_are_compared(void **state)
{
    static const char cut[] = TEXT("One") ": " TEXT("ghost") TEXT("two") "data: [DONE]\n\n";
    static const char named[] = TEXT("One") "event: error\n" TEXT("broken") TEXT("after");
    struct seen seen = {0}, whole = {0};

    (void)state;
    feed(cut, sizeof TEXT("One") - 1 + 2, 0, &seen);
    assert_non_null(strstr(seen.text, "two"));
    assert_null(strstr(seen.text, "ghost"));
    feed(named, sizeof named, 0, &whole);
    assert_null(strstr(whole.text, ":after|"));
}

/* Goal: a line over the cap is refused, however it is read.  Method: a cap between two lines.  Catches: comparing that looks beyond it. */
static void the_cap_holds(void **state)
{
    static const char body[] = TEXT("One") TEXT("a text that is a good deal longer than the first one was, and so over the cap");
    struct seen whole = {0}, bytes = {0};

    (void)state;
    feed(body, sizeof body, 110, &whole);
    feed(body, 1, 110, &bytes);
    assert_string_equal(whole.text, bytes.text);
    assert_null(strstr(whole.text, "good deal"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_alike), cmocka_unit_test(leaves_what_differs),    cmocka_unit_test(learns_within_bounds),
        cmocka_unit_test(dialect_tells_the_same), cmocka_unit_test(only_whole_events_are_compared), cmocka_unit_test(the_cap_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
