/* core/daemon/answer_about: what is kept beside an answer's text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <umbel/event.h>

#include "core/daemon/answer_about.c"

static struct journal_identity identity;
static struct journal_ending ending;
static uint64_t bytes;

static bool get(const char *about)
{
    memset(&identity, 0xff, sizeof identity);
    memset(&ending, 0xff, sizeof ending);
    return answer_about_read(about, &identity, &ending, &bytes);
}

/* Goal: what was written is read, with texts as long as their places and full of quotes.  Method: there and back.
 * Catches: a member under two names, a text that is cut or not escaped. */
static void what_is_written_is_read(void **state)
{
    struct journal_identity was = {.created_s = 1790000000};
    struct journal_ending end = {.finish = UMBEL_FINISH_LENGTH,
                                 .error = UMBEL_ERROR_TIMEOUT,
                                 .usage_flags = JOURNAL_USAGE_KNOWN,
                                 .prompt_tokens = 12,
                                 .completion_tokens = 1ull << 40};
    struct umbel_out out = {0};

    (void)state;
    memset(was.model, '"', sizeof was.model - 1);
    memset(end.finish_word, '\\', sizeof end.finish_word - 1);
    memset(end.error_text, '\n', sizeof end.error_text - 1);
    answer_about_write(&was, &end, 7, &out);
    umbel_out_put(&out, "", 1);
    assert_true(get(out.data));
    umbel_out_free(&out);
    assert_int_equal(bytes, 7);
    assert_int_equal(identity.created_s, was.created_s);
    assert_string_equal(identity.model, was.model);
    assert_int_equal(ending.finish, end.finish);
    assert_string_equal(ending.finish_word, end.finish_word);
    assert_int_equal(ending.error, end.error);
    assert_string_equal(ending.error_text, end.error_text);
    assert_int_equal(ending.usage_flags, end.usage_flags);
    assert_int_equal(ending.prompt_tokens, end.prompt_tokens);
    assert_int_equal(ending.completion_tokens, end.completion_tokens);
}

#define GOOD(finish, word, usage)                                                                                                      \
    "{\"bytes\":1,\"created\":2,\"model\":\"m\",\"finish\":" finish ",\"word\":\"" word                                                \
    "\",\"error\":0,\"why\":\"\",\"usage\":" usage ",\"prompt\":3,\"completion\":4}"

/* Goal: a database that others have written into gives no impossible ends.  Method: nothing, no JSON, a member less, codes and texts out of
 * bounds, beside one that is good.  Catches: a code that no codec knows, a text over its place, a member that counts as 0 when it is missing. */
static void what_cannot_be_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "null", "{}",
        "{\"bytes\":1,\"created\":2,\"model\":\"m\",\"finish\":1,\"word\":\"\",\"error\":0,\"why\":\"\",\"usage\":1,\"prompt\":3}",
        GOOD("6", "", "1"), GOOD("-1", "", "1"), GOOD("1.5", "", "1"), GOOD("\"1\"", "", "1"), GOOD("1", "", "4"),
        GOOD("1", "0123456789012345678901234567890123", "1"),
    };

    (void)state;
    assert_true(get(GOOD("1", "stop", "3")));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (get(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests_name("answer_about", tests, NULL, NULL);
}
