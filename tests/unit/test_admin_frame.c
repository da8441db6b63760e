/* The words of the admin socket: lines cut out of bytes, requests checked against the table of commands, and the table itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/admin/admin_call.h"
#include "core/admin/admin_line.h"

static int collect(void *owner, const char *line, size_t size)
{
    struct umbel_out *out = owner;

    umbel_out_put(out, line, size);
    umbel_out_text(out, "|");
    return 0;
}

/* Goal: however the bytes are cut, the lines are the same.  Method: one text in pieces of 1 to its size.  Catches: a line forgotten or
 * doubled at a cut, \r kept when it comes alone. */
static void test_lines_are_split_blind(void **state)
{
    static const char text[] = "one\n\n\r\ntwo words\r\n{\"a\":\"b\r\"}\nrest";

    (void)state;
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct admin_line line = {0};
        struct umbel_out out = {0};

        for (size_t at = 0; at < sizeof text - 1; at += piece) {
            size_t size = sizeof text - 1 - at < piece ? sizeof text - 1 - at : piece;
            assert_int_equal(admin_line_feed(&line, text + at, size, collect, &out), 0);
        }
        umbel_out_put(&out, "", 1);
        assert_string_equal(out.data, "one|two words|{\"a\":\"b\r\"}|");
        umbel_out_free(&out);
        admin_line_free(&line);
    }
}

/* Goal: the bound is exact and memory stays within it.  Method: max and max + 1 bytes, whole and byte by byte, with either line end.
 * Catches: off by one, a line that grows without end because none of its pieces is too long. */
static void test_line_bound(void **state)
{
    char text[20];

    (void)state;
    for (size_t size = 9; size <= 11; size++)
        for (size_t piece = 1; piece <= sizeof text; piece += sizeof text - 1)
            for (unsigned crlf = 0; crlf < 2; crlf++) {
                struct admin_line line = {.max = 10};
                struct umbel_out out = {0};
                size_t total = size;
                int r = 0;

                memset(text, 'x', sizeof text);
                if (crlf)
                    text[total++] = '\r';
                text[total++] = '\n';
                for (size_t at = 0; at < total && r == 0; at += piece)
                    r = admin_line_feed(&line, text + at, total - at < piece ? total - at : piece, collect, &out);
                assert_int_equal(r, size <= 10 ? 0 : -EMSGSIZE);
                assert_int_equal(out.size, size <= 10 ? size + 1 : 0);
                umbel_out_free(&out);
                admin_line_free(&line);
            }
}

static int read_call(const char *text, struct admin_call *call, struct why *why, char *hint)
{
    why->text[0] = '\0';
    return admin_call_read(text, strlen(text), call, why, hint);
}

/* Goal: a good request gives its command, words and options.  Method: written by one end, read by the other, with awkward text.
 * Catches: escaping, an option taken for a word. */
static void test_call_round_trip(void **state)
{
    char question[] = "say \"hi\"\n--app\t\xe4\xbd\xa0";
    char *words[] = {question};
    const char *const names[] = {"app", "model"}, *const values[] = {"shop", ""};
    struct umbel_out out = {0};
    struct admin_call call;
    char hint[WHY_MAX];
    struct why why;

    (void)state;
    admin_call_write(&out, "chat", words, 1, names, values, 2);
    assert_int_equal(out.data[out.size - 1], '\n');
    assert_null(memchr(out.data, '\n', out.size - 1)); /* one line */
    assert_int_equal(admin_call_read(out.data, out.size - 1, &call, &why, hint), 0);
    assert_int_equal(call.command->id, ADMIN_chat);
    assert_string_equal(admin_argument(call.arguments, 0), question);
    assert_null(admin_argument(call.arguments, 1));
    assert_string_equal(admin_option_value(call.arguments, "app"), "shop");
    assert_string_equal(admin_option_value(call.arguments, "model"), "");
    assert_null(admin_option_value(call.arguments, "session"));
    umbel_json_free(call.json);
    umbel_out_free(&out);
    umbel_out_reset(&out);
    admin_call_write(&out, "stream cancel", words, 1, NULL, NULL, 0);
    assert_int_equal(admin_call_read(out.data, out.size - 1, &call, &why, hint), 0);
    assert_null(admin_option_value(call.arguments, "app")); /* a last word is no object of options */
    umbel_json_free(call.json);
    umbel_out_free(&out);
}

/* Goal: a bad request is refused with words that help.  Method: a row each.  Catches: a handler called with arguments it cannot have. */
static void test_bad_calls(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *says, *hints;
    } bad[] = {
        {"hello", -EBADMSG, "not JSON", ""},
        {"[]", -EBADMSG, "\"command\"", "stream cancel"},
        {"{\"command\":7}", -EBADMSG, "\"command\"", "stream cancel"},
        {"{\"command\":\"chat\",\"arguments\":\"q\"}", -EBADMSG, "\"arguments\"", "stream cancel"},
        {"{\"command\":\"stream cancle\"}", -ENOENT, "stream cancle", "did you mean stream cancel?"},
        {"{\"command\":\"stream list\"}", -ENOENT, "umbelctl itself", ""},
        {"{\"command\":\"stream cancel\"}", -EINVAL, "takes 1 argument, not 0", "umbelctl stream cancel ID"},
        {"{\"command\":\"stream cancel\",\"arguments\":[\"a\",\"b\"]}", -EINVAL, "takes 1 argument, not 2", "umbelctl stream cancel ID"},
        {"{\"command\":\"stream cancel\",\"arguments\":[1]}", -EINVAL, "strings", "umbelctl"},
        {"{\"command\":\"stream cancel\",\"arguments\":[{},\"a\"]}", -EINVAL, "at the end", "umbelctl"},
        {"{\"command\":\"stream cancel\",\"arguments\":[\"a\",{\"app\":\"b\"}]}", -EINVAL, "no option --app", "umbelctl"},
        {"{\"command\":\"chat\",\"arguments\":[\"a\",{\"app\":1}]}", -EINVAL, "no string", "umbelctl"},
    };
    struct admin_call call;
    char hint[WHY_MAX];
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_call(bad[i].text, &call, &why, hint), bad[i].code);
        if (!strstr(why.text, bad[i].says) || !strstr(hint, bad[i].hints))
            fail_msg("%s: %s (%s)", bad[i].text, why.text, hint);
    }
}

/* Goal: the table is sound: what help says is what the parser takes.  Method: each row and option.  Catches: a row added without its
 * option rows, words that hide behind others, a summary that says nothing. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        const struct admin_command *command = &admin_commands[i];
        size_t options = 0, dashes = 0;

        assert_int_equal(command->id, i);
        assert_true(command->min <= command->max && strlen(command->summary) > 5);
        assert_ptr_equal(admin_command_named(command->words), command);
        for (size_t j = 0; j < admin_option_count; j++) {
            char usage[64];

            if (admin_options[j].command != command->id)
                continue;
            options++;
            snprintf(usage, sizeof usage, "--%s%s%s", admin_options[j].name, *admin_options[j].value ? " " : "", admin_options[j].value);
            assert_non_null(strstr(command->arguments, usage));
            assert_ptr_equal(admin_option_named(command->id, admin_options[j].name, strlen(admin_options[j].name)), &admin_options[j]);
        }
        for (const char *at = strstr(command->arguments, "--"); at; at = strstr(at + 2, "--"))
            dashes++;
        assert_int_equal(dashes, options);
        assert_true(options <= ADMIN_OPTIONS_MAX);
    }
}

/* Goal: words find their command, the longest first, and mistyped ones its neighbour.  Method: a row each.  Catches: prefixes taken for
 * words ("stat"), suggestions out of nowhere. */
static void test_match_and_nearest(void **state)
{
    static const struct {
        const char *typed, *meant;
    } near[] = {{"stauts", "status"}, {"stream lst", "stream list"}, {"streams", "stream list"}, {"cancel", "stream cancel"},
                {"upstream", "upstream list"}, {"counter", "counters"}, {"ring", "ring show"}, {"xyzzyplugh", NULL}, {"", NULL}};
    char *words[] = {(char[]){"stream"}, (char[]){"list"}, (char[]){"more"}};
    char *half[] = {(char[]){"statu"}};
    size_t used = 0;

    (void)state;
    assert_int_equal(admin_command_match(words, 3, &used)->id, ADMIN_stream_list);
    assert_int_equal(used, 2);
    assert_null(admin_command_match(words, 1, &used));
    assert_null(admin_command_match(half, 1, &used));
    assert_null(admin_command_match(words, 0, &used));
    assert_int_equal(admin_distance("", "abc"), 3);
    assert_int_equal(admin_distance("kitten", "sitting"), 3);
    assert_int_equal(admin_distance("stauts", "status"), 1);
    for (size_t i = 0; i < sizeof near / sizeof near[0]; i++) {
        const struct admin_command *found = admin_command_nearest(near[i].typed);

        if (!near[i].meant)
            assert_null(found);
        else if (!found || strcmp(found->words, near[i].meant) != 0)
            fail_msg("%s: %s", near[i].typed, found ? found->words : "nothing");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_split_blind), cmocka_unit_test(test_line_bound),        cmocka_unit_test(test_call_round_trip),
        cmocka_unit_test(test_bad_calls),             cmocka_unit_test(test_table),             cmocka_unit_test(test_match_and_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
