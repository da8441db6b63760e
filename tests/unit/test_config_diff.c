/* core/config: two configurations compared, and the option tables in words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/config/config.h"
#include "core/config/config_diff.h"
#include "core/config/config_doc.h"

static char directory[64];

static const struct umbel_option bot_options[] = {
    {.type = UMBEL_OPTION_TEXT, .name = "account", .otherwise = "a", .help = "the bot's account"},
};
static const struct umbel_option im_options[] = {
    {.type = UMBEL_OPTION_INTEGER, .name = "pace", .otherwise = "5", .min = 1, .max = 9, .help = "how fast"},
    {.type = UMBEL_OPTION_SECRET, .name = "secret_key", .help = "signs the calls"},
    {.type = UMBEL_OPTION_LIST, .name = "models", .otherwise = "{}", .help = "models"},
    {.type = UMBEL_OPTION_BOOL, .name = "mirror", .otherwise = "false", .help = "all answers"},
    {.type = UMBEL_OPTION_SECTION, .name = "bot", .help = "a bot", .section = bot_options, .section_count = 1},
};

static int lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why)
{
    struct umbel_out out = {0};

    (void)owner;
    if (strcmp(plugin, "im") != 0 && strcmp(plugin, "plain") != 0)
        return why_set(why, -ENOENT, "there is no %s.so", plugin);
    umbel_out_printf(&out, "{\"name\":\"%s\",\"needs\":1,\"options\":", plugin);
    config_options_json(im_options, strcmp(plugin, "im") == 0 ? 5 : 0, &out);
    umbel_out_text(&out, "}");
    *ret_manifest = strndup(out.data, out.size);
    *ret_path = strdup("/plugins/x.so");
    umbel_out_free(&out);
    return 0;
}

static struct config *load(const char *text)
{
    char path[128];
    struct config *config = NULL;
    struct why why = {""};

    snprintf(path, sizeof path, "%s/u.conf", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    if (config_load(path, lookup, NULL, NULL, &config, &why) < 0)
        fail_msg("refused: %s\n%s", why.text, text);
    return config;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/umbel-diff-XXXXXX");
    setenv("UMBEL_DIFF_A", "first-secret-value", 1);
    setenv("UMBEL_DIFF_B", "other-secret-value", 1);
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? 0 : -1;
}

/* The differences of two texts, as JSON; *ret_effect: the strongest. */
static char *compare(const char *before, const char *after, enum config_effect *ret_effect)
{
    struct config *a = load(before), *b = load(after);
    struct config_diff diff;
    struct umbel_out out = {0};

    assert_int_equal(config_diff_make(a, b, &diff), 0);
    config_diff_json(&diff, &out);
    umbel_out_put(&out, "", 1);
    assert_false(out.failed);
    *ret_effect = config_diff_effect(&diff);
    config_diff_clear(&diff);
    config_free(a);
    config_free(b);
    char *text = strdup(out.data);
    umbel_out_free(&out);
    return text;
}

static void expect(const char *before, const char *after, enum config_effect effect, const char *json)
{
    enum config_effect found;
    char *text = compare(before, after, &found);

    if (!json[0] ? strcmp(text, "[]") != 0 : !strstr(text, json))
        fail_msg("expected %s\nbut it is %s", json[0] ? json : "[]", text);
    assert_int_equal(found, effect);
    free(text);
}

#define BASE(core, upstream, app, transport)                                                                                     \
    core "upstream demo { base_url = http://h/v1 " upstream " }\n"                                                               \
         "app shop { upstreams = demo model = m " app " }\napp blog { upstreams = demo model = m }\n"                            \
         "transport t { plugin = im apps = { shop, blog } " transport " }\n"
#define PLAIN BASE("", "", "", "")

/* Goal: the same file is no change, whatever its order and comments.  Method: two writings of one meaning.  Catches: a comparison of
 * lines, orders or addresses. */
static void test_nothing(void **state)
{
    (void)state;
    expect(PLAIN, PLAIN, CONFIG_EFFECT_LIVE, "");
    expect(PLAIN,
           "# again\napp blog { model = m upstreams = demo history = on }\ntransport t { apps = { shop, blog } plugin = im pace = 5 }\n"
           "app shop { upstreams = { demo } model = \"m\" limits { } }\nlog { level = info }\nupstream demo { base_url = http://h/v1 }\n",
           CONFIG_EFFECT_LIVE, "");
}

/* Goal: each kind of value that changes is told with both values, and what applying it takes.  Method: one change a time in every
 * section.  Catches: an option that is not compared, and one that is applied in another way than is said. */
static void test_options(void **state)
{
    (void)state;
    expect(PLAIN, BASE("log { level = warn }\n", "", "", ""), CONFIG_EFFECT_LIVE,
           "{\"change\":\"changed\",\"section\":\"log\",\"name\":\"\",\"applies\":\"live\",\"options\":[{\"name\":\"level\",\"from\":\"info\","
           "\"to\":\"warn\",\"applies\":\"live\"}]}");
    expect(PLAIN, BASE("core { ring_slots = 128 linger_s = 1 }\n", "", "", ""), CONFIG_EFFECT_RESTART,
           "\"options\":[{\"name\":\"ring_slots\",\"from\":\"65536\",\"to\":\"128\",\"applies\":\"restart\"},{\"name\":\"linger_s\","
           "\"from\":\"300\",\"to\":\"1\",\"applies\":\"live\"}]");
    expect(PLAIN, BASE("state_dir = /x\n", "", "", ""), CONFIG_EFFECT_RESTART, "\"section\":\"\",\"name\":\"\",\"applies\":\"restart\"");
    expect(PLAIN, BASE("", "max_concurrent = 3 models = { a, m }", "", ""), CONFIG_EFFECT_LIVE,
           "\"section\":\"upstream\",\"name\":\"demo\",\"applies\":\"live\",\"options\":[{\"name\":\"models\",\"from\":\"{}\",\"to\":\"a, "
           "m\",\"applies\":\"live\"},{\"name\":\"max_concurrent\",\"from\":\"1024\",\"to\":\"3\"");
    expect(PLAIN, BASE("", "", "on_orphan = drain history = off limits { concurrent = 4 } authorize { url = http://a on_failure = open }", ""),
           CONFIG_EFFECT_LIVE,
           "\"options\":[{\"name\":\"on_orphan\",\"from\":\"cancel\",\"to\":\"drain\",\"applies\":\"live\"},{\"name\":\"history\",\"from\":\"on\","
           "\"to\":\"off\",\"applies\":\"live\"},{\"name\":\"limits.concurrent\",\"from\":\"0\",\"to\":\"4\",\"applies\":\"live\"},{\"name\":"
           "\"authorize.url\",\"from\":\"\",\"to\":\"http://a\",\"applies\":\"live\"},{\"name\":\"authorize.on_failure\",\"from\":\"closed\","
           "\"to\":\"open\",\"applies\":\"live\"}]");
    expect(PLAIN, BASE("", "", "", "drain_ms = 5"), CONFIG_EFFECT_LIVE, "{\"name\":\"drain_ms\",\"from\":\"30000\",\"to\":\"5\"");
    expect(PLAIN, BASE("", "", "", "pace = 6 mirror = yes models = { x } listen = 127.0.0.1:7 max_connections = 9"), CONFIG_EFFECT_HOSTS,
           "{\"name\":\"max_connections\",\"from\":\"20000\",\"to\":\"9\",\"applies\":\"hosts\"},{\"name\":\"listen\",\"from\":\"{}\",\"to\":"
           "\"127.0.0.1:7\",\"applies\":\"hosts\"},{\"name\":\"pace\",\"from\":\"5\",\"to\":\"6\",\"applies\":\"hosts\"},{\"name\":\"models\","
           "\"from\":\"{}\",\"to\":\"x\",\"applies\":\"hosts\"},{\"name\":\"mirror\",\"from\":\"off\",\"to\":\"on\"");
    expect(BASE("", "", "", "bot a { account = x } bot b { }"), BASE("", "", "", "bot a { account = y } bot c { }"), CONFIG_EFFECT_HOSTS,
           "{\"name\":\"bot.a.account\",\"from\":\"x\",\"to\":\"y\",\"applies\":\"hosts\"},{\"name\":\"bot.b\",\"from\":\"(there)\",\"to\":"
           "\"(removed)\",\"applies\":\"hosts\"},{\"name\":\"bot.c\",\"from\":\"(none)\",\"to\":\"(added)\",\"applies\":\"hosts\"}");
}

/* Goal: sections that come and go.  Method: one of each kind added, one removed.  Catches: an addition taken for a change of another
 * one of its kind. */
static void test_sections(void **state)
{
    enum config_effect effect;
    char *text = compare(PLAIN,
                         "upstream demo { base_url = http://h/v1 }\nupstream second { base_url = http://i }\n"
                         "app shop { upstreams = demo model = m }\napp news { upstreams = second model = m }\n"
                         "transport u { plugin = plain apps = shop }\n",
                         &effect);

    (void)state;
    assert_string_equal(text, "[{\"change\":\"added\",\"section\":\"upstream\",\"name\":\"second\",\"applies\":\"live\",\"options\":[]},"
                              "{\"change\":\"removed\",\"section\":\"app\",\"name\":\"blog\",\"applies\":\"live\",\"options\":[]},"
                              "{\"change\":\"added\",\"section\":\"app\",\"name\":\"news\",\"applies\":\"live\",\"options\":[]},"
                              "{\"change\":\"removed\",\"section\":\"transport\",\"name\":\"t\",\"applies\":\"live\",\"options\":[]},"
                              "{\"change\":\"added\",\"section\":\"transport\",\"name\":\"u\",\"applies\":\"live\",\"options\":[]}]");
    free(text);
}

/* Goal: secrets differ in the list without being in it.  Method: every kind of secret, changed, new and gone, and a password in a URL.
 * Catches: a key in the log or on a terminal. */
static void test_secrets(void **state)
{
    enum config_effect effect;
    char *text = compare(BASE("", "api_key = env:UMBEL_DIFF_A proxy = \"http://me:first-secret-value@p:1\"",
                              "keys = { first-secret-value } authorize { url = http://a secret = env:UMBEL_DIFF_A }", "secret_key = env:UMBEL_DIFF_A"),
                         BASE("", "api_key = env:UMBEL_DIFF_B proxy = \"http://me:other-secret-value@p:1\"",
                              "keys = { other-secret-value } authorize { url = http://a secret = env:UMBEL_DIFF_B }", ""),
                         &effect);

    (void)state;
    assert_non_null(strstr(text, "{\"name\":\"api_key\",\"from\":\"(secret)\",\"to\":\"(secret changed)\""));
    assert_non_null(strstr(text, "{\"name\":\"proxy\",\"from\":\"(secret)\",\"to\":\"(secret changed)\""));
    assert_non_null(strstr(text, "{\"name\":\"keys\",\"from\":\"(secret)\",\"to\":\"(secret changed)\""));
    assert_non_null(strstr(text, "{\"name\":\"authorize.secret\",\"from\":\"(secret)\",\"to\":\"(secret changed)\""));
    assert_non_null(strstr(text, "{\"name\":\"secret_key\",\"from\":\"(secret)\",\"to\":\"(none)\""));
    assert_null(strstr(text, "first-secret"));
    assert_null(strstr(text, "other-secret"));
    free(text);
}

/* Goal: what needs a restart stays what runs, everything else is the file's; the next comparison still says so.  Method: exchange after
 * a change of both kinds.  Catches: a running daemon that believes it has the new ring. */
static void test_keep(void **state)
{
    struct config *a = load(BASE("core { ring_slots = 64 io = epoll linger_s = 7 }\nlog { level = warn }\nstate_dir = /a\n", "", "", ""));
    struct config *b = load(BASE("core { ring_slots = 128 io = auto linger_s = 8 }\nlog { level = debug }\nstate_dir = /b\n", "", "", ""));
    struct config_diff diff;

    (void)state;
    config_diff_keep(a, b);
    assert_int_equal(b->ring_slots, 64);
    assert_string_equal(b->io, "epoll");
    assert_string_equal(b->state_dir, "/a");
    assert_int_equal(b->linger_s, 8);
    assert_string_equal(b->log_level, "debug");
    config_free(a);
    a = load(BASE("core { ring_slots = 128 io = auto linger_s = 8 }\nlog { level = debug }\nstate_dir = /b\n", "", "", ""));
    assert_int_equal(config_diff_make(b, a, &diff), 0);
    assert_int_equal(diff.count, 2);
    assert_int_equal(config_diff_effect(&diff), CONFIG_EFFECT_RESTART);
    assert_non_null(config_diff_find(&diff, "core", ""));
    assert_null(config_diff_find(&diff, "log", ""));
    config_diff_clear(&diff);
    config_free(a);
    config_free(b);
}

static char *doc(const char *what, bool json, int expected)
{
    struct umbel_out out = {0};
    struct why why = {""};
    int r = config_doc(what, json, lookup, NULL, &out, &why);
    char *text;

    umbel_out_put(&out, "", 1);
    assert_int_equal(r, expected);
    text = strdup(r == 0 ? out.data : why.text);
    umbel_out_free(&out);
    return text;
}

static void expect_doc(const char *what, int expected, const char *words)
{
    char *text = doc(what, false, expected);

    if (!strstr(text, words))
        fail_msg("%s: expected %s\nbut it says %s", what, words, text);
    free(text);
}

/* Goal: every name that stands in a file can be asked for, and a wrong one is told with the nearest.  Method: sections, nested ones,
 * options, plugins.  Catches: an option that is explained with another section's default. */
static void test_doc(void **state)
{
    (void)state;
    expect_doc("", 0, "limits { ... } within app\n");
    expect_doc("app", 0, "app NAME { ... }\n  A tenant");
    expect_doc("app", 0, "  upstreams  list (names), required\n");
    expect_doc("app.limits", 0, "  concurrent  integer, 0 to 1000000 (answers), default 0\n");
    expect_doc("app.authorize.timeout_ms", 0, "default 2000\n");
    expect_doc("runtime_dir", 0, "  runtime_dir  path (path), default \"\"\n");
    expect_doc("core.io", 0, "  io  text: auto, io_uring, epoll, default auto\n");
    expect_doc("im", 0, "  pace  integer, 1 to 9, default 5\n      how fast\n");
    expect_doc("im.mirror", 0, "  mirror  boolean, default false\n");
    expect_doc("im.bot", 0, "  account  text, default a\n");
    expect_doc("plain", 0, "plain has no options besides those of transport\n");
    expect_doc("app.limts", -ENOENT, "did you mean app.limits");
    expect_doc("im.pase", -ENOENT, "did you mean pace");
    char *text = doc("", true, 0);
    struct umbel_json *json = umbel_json_parse(text, strlen(text), NULL, 0);
    assert_int_equal(umbel_json_type(json), UMBEL_JSON_ARRAY);
    assert_true(umbel_json_count(json) > 50);
    umbel_json_free(json);
    free(text);
}

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *result = NULL;

    if (!at)
        fail_msg("there is no %s", from);
    assert_true(asprintf(&result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    return result;
}

/* Goal: the printed file is one edit away from use, has every option, and is refused until then.  Method: load it as it is, then with
 * what is marked written, then with all its comments switched on.  Catches: a default that the loader does not take, an option that is
 * missing, a placeholder that goes into service. */
static void test_default(void **state)
{
    static const char *const edits[][2] = {{"\"EDIT: https://api.example.com/v1\"", "http://h/v1"},
                                           {"EDIT: the model to ask for", "m"},
                                           {"\"env:EDIT: a variable with a key for your clients\"", "\"0123456789abcdef\""},
                                           {"\"EDIT: ws-bmob\"", "plain"}};
    struct umbel_out out = {0};
    struct config *config = NULL, *plain;
    struct config_diff diff;
    char path[128], *text;

    (void)state;
    config_doc_default(&out);
    umbel_out_put(&out, "", 1);
    assert_false(out.failed);
    text = strdup(out.data);
    umbel_out_free(&out);
    snprintf(path, sizeof path, "%s/default.conf", directory);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        struct why why = {""};
        FILE *file = fopen(path, "w");
        assert_true(file && fputs(text, file) >= 0 && fclose(file) == 0);
        assert_int_equal(config_load(path, lookup, NULL, NULL, &config, &why), -EINVAL);
        char *next = replaced(text, edits[i][0], edits[i][1]);
        free(text);
        text = next;
    }
    assert_null(strstr(text, " EDIT: "));
    plain = load(text);
    for (char *at = text; (at = strchr(at, '#')); at++) /* options stand right behind their mark, explanations behind a blank */
        if (at[1] != ' ')
            *at = ' ';
    config = load(text);
    assert_int_equal(config_diff_make(plain, config, &diff), 0);
    assert_int_equal(diff.count, 0);
    assert_non_null(strstr(text, "tokens_per_day = 0"));
    config_diff_clear(&diff);
    config_free(plain);
    config_free(config);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),  cmocka_unit_test_setup_teardown(test_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sections, set_up, tear_down), cmocka_unit_test_setup_teardown(test_secrets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keep, set_up, tear_down),     cmocka_unit_test_setup_teardown(test_doc, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_default, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
