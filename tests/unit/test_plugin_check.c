/* Unit tests of the judgement over a plugin's table: one small table per rule, no .so needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/host/plugin_check.h"

static int do_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    (void)host, (void)config, (void)ret_self;
    fail();
    return 0;
}

static void do_drain(void *self, uint32_t ms)
{
    (void)self, (void)ms;
    fail();
}

static void do_close(void *self)
{
    (void)self;
    fail();
}

static const struct umbel_option good_option = {.type = UMBEL_OPTION_TEXT, .name = "style", .help = "a help line"};

static struct umbel_transport good(void)
{
    return (struct umbel_transport){.struct_size = sizeof(struct umbel_transport),
                                    .abi_major = UMBEL_ABI_MAJOR,
                                    .abi_minor = UMBEL_ABI_MINOR,
                                    .name = "test-plugin",
                                    .version = "1",
                                    .summary = "s",
                                    .options = &good_option,
                                    .option_count = 1,
                                    .option_size = sizeof(struct umbel_option),
                                    .open = do_open,
                                    .drain = do_drain,
                                    .close = do_close};
}

static void expect_refused(const struct umbel_transport *transport, const char *word)
{
    struct umbel_transport out = {.struct_size = 7};
    struct why why = {""};

    assert_true(plugin_check(transport, &out, &why) < 0);
    assert_non_null(strstr(why.text, word));
    assert_int_equal(out.struct_size, 7); /* results only on success */
}

/* Goal: a good table passes and is copied.  Catches: a check that refuses everything. */
static void a_good_table_passes(void **state)
{
    struct umbel_transport theirs = good(), ours;
    (void)state;

    assert_int_equal(plugin_check(&theirs, &ours, NULL), 0);
    assert_string_equal(ours.name, "test-plugin");
    assert_true(ours.open == do_open);
}

/* Goal: each broken member is named.  Catches: a rule that was forgotten. */
static void each_broken_member_is_named(void **state)
{
    struct umbel_transport t;
    struct umbel_option option;
    (void)state;

    t = good(), t.struct_size = 16, expect_refused(&t, "bytes");
    t = good(), t.abi_major = 2, expect_refused(&t, "ABI 2");
    t = good(), t.abi_minor = UMBEL_ABI_MINOR + 1, expect_refused(&t, "upgrade umbel");
    t = good(), t.name = "Bad Name", expect_refused(&t, "name");
    t = good(), t.name = NULL, expect_refused(&t, "name");
    t = good(), t.version = NULL, expect_refused(&t, "version");
    t = good(), t.open = NULL, expect_refused(&t, "open");
    t = good(), t.drain = NULL, expect_refused(&t, "drain");
    t = good(), t.close = NULL, expect_refused(&t, "close");
    t = good(), t.option_size = 8, expect_refused(&t, "options");
    t = good(), t.options = NULL, expect_refused(&t, "NULL");
    t = good(), t.option_count = 100000, expect_refused(&t, "at most");
    t = good(), t.options = &option;
    option = good_option, option.name = "UPPER", expect_refused(&t, "name");
    option = good_option, option.type = 99, expect_refused(&t, "type");
    option = good_option, option.help = "", expect_refused(&t, "help");
    option = good_option, option.min = 2, option.max = 1, expect_refused(&t, "min");
    option = good_option, option.type = UMBEL_OPTION_SECTION, option.section = &option, option.section_count = 1;
    expect_refused(&t, "deep");
}

/* Goal: an older plugin's table ends earlier; nothing beyond its size is read.  Method: the bytes behind the size are poison.
 * Catches: a copy of sizeof ours. */
static void nothing_beyond_the_size_is_read(void **state)
{
    struct {
        struct umbel_transport t;
        unsigned char poison[64];
    } theirs;
    struct umbel_transport ours;
    (void)state;

    memset(&theirs, 0xee, sizeof theirs);
    theirs.t = good();
    theirs.t.struct_size = sizeof(struct umbel_transport) + 32; /* newer than we are: the rest is not for us */
    assert_int_equal(plugin_check(&theirs.t, &ours, NULL), 0);
    assert_memory_equal((char *)&ours + 8, (char *)&theirs.t + 8, sizeof ours - 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_table_passes),
        cmocka_unit_test(each_broken_member_is_named),
        cmocka_unit_test(nothing_beyond_the_size_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
