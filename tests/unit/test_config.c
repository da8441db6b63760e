/* core/config: the operator's file, from text to checked values, and every way in which it can be wrong. */
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

#include "core/base/fd.h"
#include "core/config/config.h"
#include "core/config/config_bind.h"
#include "core/config/config_manifest.h"
#include "core/config/config_options.h"
#include "core/config/config_scan.h"
#include "core/config/config_spell.h"

/* ---- the world: a directory of files, five plugins that only have an option table ---- */

static char directory[64];

static const struct umbel_option bot_options[] = {
    {.type = UMBEL_OPTION_TEXT, .flags = UMBEL_OPTION_REQUIRED, .name = "account", .help = "the bot's account"},
    {.type = UMBEL_OPTION_TEXT, .flags = UMBEL_OPTION_REQUIRED, .name = "app", .help = "who answers"},
    {.type = UMBEL_OPTION_TEXT, .name = "delivery", .otherwise = "modify", .choices = "modify|stream", .help = "how"},
    {.type = UMBEL_OPTION_BOOL, .name = "mirror", .otherwise = "false", .help = "deliver other answers too"},
};
static const struct umbel_option im_options[] = {
    {.type = UMBEL_OPTION_INTEGER,
     .flags = UMBEL_OPTION_REQUIRED,
     .name = "sdk_app_id",
     .min = 1,
     .max = INT64_MAX,
     .help = "the id"},
    {.type = UMBEL_OPTION_TEXT, .name = "admin", .otherwise = "administrator", .help = "who calls"},
    {.type = UMBEL_OPTION_SECRET, .flags = UMBEL_OPTION_REQUIRED, .name = "secret_key", .help = "signs the calls"},
    {.type = UMBEL_OPTION_TEXT, .name = "api_base", .otherwise = "https://console.tim.qq.com", .help = "where the service is"},
    {.type = UMBEL_OPTION_TEXT, .name = "webhook_path", .otherwise = "/tim", .help = "path of the webhook"},
    {.type = UMBEL_OPTION_SECRET, .name = "webhook_token", .help = "what the webhook must know"},
    {.type = UMBEL_OPTION_SECTION, .name = "bot", .help = "a bot", .section = bot_options, .section_count = 4},
};
static const struct umbel_option bmob_options[] = {
    {.type = UMBEL_OPTION_TEXT, .name = "error_style", .otherwise = "text", .choices = "text|frame", .help = "how failures look"},
};
static const struct umbel_option wxapp_options[] = {
    {.type = UMBEL_OPTION_TEXT, .name = "path", .otherwise = "\"/chat/stream\"", .help = "where questions go"},
    {.type = UMBEL_OPTION_INTEGER, .name = "max_stream_ms", .otherwise = "55000", .min = 1000, .max = 600000, .help = "ms"},
};
static const struct umbel_option chatgpt_options[] = {
    {.type = UMBEL_OPTION_TEXT, .name = "anonymous_app", .help = "the app of clients without a key"},
    {.type = UMBEL_OPTION_LIST, .name = "models", .otherwise = "{ \"gpt-4\", \"davinci\" }", .help = "models clients may name"},
    {.type = UMBEL_OPTION_INTEGER, .name = "offset", .help = "any number"},
};
static const struct {
    const char *name;
    const struct umbel_option *options;
    size_t count;
    int needs;
} plugins[] = {
    {"ws-bmob", bmob_options, 1, 0},
    {"http-chunked-wxapp", wxapp_options, 2, 0},
    {"im-custom-message", im_options, 7, 1},
    {"ws-chatgpt", chatgpt_options, 3, 0},
    {"openai-api", NULL, 0, 0},
};

static int lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why)
{
    (void)owner;
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++) {
        struct umbel_out out = {0};
        if (strcmp(plugins[i].name, plugin) != 0)
            continue;
        umbel_out_printf(&out,
                         "{\"name\":\"%s\",\"version\":\"1\",\"abi\":\"1.0\",\"summary\":\"-\",\"needs\":%d,\"options\":", plugin,
                         plugins[i].needs);
        config_options_json(plugins[i].options, plugins[i].count, &out);
        umbel_out_text(&out, "}");
        *ret_manifest = strndup(out.data, out.size);
        *ret_path = strdup("/plugins/x.so");
        umbel_out_free(&out);
        return 0;
    }
    return why_set(why, -ENOENT, "there is no %s.so in /plugins, only ws-bmob.so, write one of these", plugin);
}

static char warnings[4096];

static void take_warning(void *owner, const char *line)
{
    size_t used = strlen(warnings);

    (void)owner;
    snprintf(warnings + used, sizeof warnings - used, "%s\n", line);
}

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void put_bytes(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path_of(name), 0600), 0);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static struct config *load_file(const char *path, struct why *why)
{
    struct config *config = NULL;
    int r;

    warnings[0] = '\0';
    why->text[0] = '\0';
    r = config_load(path, lookup, NULL, take_warning, &config, why);
    if (r < 0) {
        assert_int_equal(r, -EINVAL);
        assert_null(config);
        assert_string_not_equal(why->text, "");
    } else if (!config) {
        fail_msg("no error and no config");
    }
    return config;
}

static struct config *load(const char *text, struct why *why)
{
    put("u.conf", text);
    return load_file(path_of("u.conf"), why);
}

static struct config *load_good(const char *text)
{
    struct why why;
    struct config *config = load(text, &why);

    if (!config)
        fail_msg("refused: %s", why.text);
    return config;
}

static void expect_why(const struct why *why, const char *file, int line, const char *words)
{
    char place[300];

    snprintf(place, sizeof place, "%s:%d: ", path_of(file), line);
    if (strncmp(why->text, place, strlen(place)) != 0 || !strstr(why->text, words) || strchr(why->text, '\n'))
        fail_msg("expected %s...%s...\n but it says %s", place, words, why->text);
    if (!strstr(why->text, "expected "))
        fail_msg("teaches nothing: %s", why->text);
}

/* The text must be refused at that line with these words. */
static void refuse(const char *text, int line, const char *words)
{
    struct why why;
    struct config *config = load(text, &why);

    if (config)
        fail_msg("accepted, but expected line %d: %s\n%s", line, words, text);
    expect_why(&why, "u.conf", line, words);
}

static const char good[] =
    "runtime_dir = \"/run/umbel\"                      # admin socket, stats pages\n"
    "log  { level = info  format = text }            # text | json\n"
    "core { io = auto  ring_slots = 65536  journal_mb = 64 }\n"
    "upstream demo {\n"
    "  dialect  = openai\n"
    "  base_url = \"http://127.0.0.1:8899/v1\"\n"
    "  api_key  = \"env:UMBEL_DEMO_KEY\"               # unset is fine for an upstream without keys\n"
    "}\n"
    "app shop {\n"
    "  upstreams = { \"demo\" }\n"
    "  model     = \"demo-1\"\n"
    "  keys      = { \"0123456789abcdef\" }\n"
    "}\n"
    "transport bmob { plugin = ws-bmob             listen = { \"127.0.0.1:8801\" }  apps = { \"shop\" } }\n"
    "transport wx   { plugin = http-chunked-wxapp  listen = { \"127.0.0.1:8802\" }  apps = { \"shop\" } }\n"
    "transport im   { plugin = im-custom-message   listen = { \"127.0.0.1:8803\" }\n"
    "  sdk_app_id = 1400000000  admin = \"administrator\"  secret_key = \"file:tim.key\"\n"
    "  api_base = \"http://127.0.0.1:8890\"  webhook_path = \"/tim/callback\"  webhook_token = \"env:TIM_TOKEN\"\n"
    "  bot tea { account = \"@RBT#tea\"  app = \"shop\"  delivery = modify  mirror = false } }\n"
    "transport cgws { plugin = ws-chatgpt          listen = { \"127.0.0.1:8808\" }  anonymous_app = \"shop\" }\n"
    "transport api  { plugin = openai-api          listen = { \"127.0.0.1:8805\" }  apps = { \"shop\" } }\n";

/* Lines 1 and 2 of every text that only wants to say one more thing. */
#define BASE                                                                                                                     \
    "upstream demo { base_url = \"http://h/v1\" }\napp shop { upstreams = { \"demo\" } model = m keys = { \"0123456789abcdef\" " \
    "} }\n"
#define WX "transport wx { plugin = http-chunked-wxapp listen = \"127.0.0.1:1\" apps = shop }\n"

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/umbel-config-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    put("tim.key", "the-secret-of-tim\n");
    unsetenv("UMBEL_DEMO_KEY");
    setenv("TIM_TOKEN", "token-of-tim", 1);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? 0 : -1;
}

/* ---- what must be accepted ---- */

/* Goal: the documented example loads as it stands and means what it says.  Method: every field of interest is compared, defaults
 * too. Catches: wrong defaults, options of one plugin's table read with another's, several options on a line, titles and words
 * with -. */
static void test_good_file(void **state)
{
    struct config *c = load_good(good);
    const struct config_section *bot;
    const struct config_transport *im = &c->transports[2], *cgws = &c->transports[3];

    (void)state;
    assert_string_equal(warnings, "");
    assert_string_equal(c->runtime_dir, "/run/umbel");
    assert_string_equal(c->log_level, "info");
    assert_false(c->log_json);
    assert_string_equal(c->io, "auto");
    assert_int_equal(c->ring_slots, 65536);
    assert_int_equal(c->journal_mb, 64);
    assert_int_equal(c->linger_s, 300);
    assert_string_equal(c->metrics_listen, "");
    assert_int_equal(c->upstream_count, 1);
    assert_string_equal(c->upstreams[0].base_url, "http://127.0.0.1:8899/v1");
    assert_string_equal(c->upstreams[0].api_key, "");
    assert_int_equal(c->upstreams[0].connect_timeout_ms, 5000);
    assert_int_equal(c->upstreams[0].first_token_timeout_ms, 60000);
    assert_int_equal(c->upstreams[0].idle_timeout_ms, 60000);
    assert_int_equal(c->upstreams[0].total_timeout_ms, 600000);
    assert_int_equal(c->upstreams[0].line, 4);
    assert_int_equal(c->app_count, 1);
    assert_string_equal(c->apps[0].keys.items[0], "0123456789abcdef");
    assert_int_equal(c->apps[0].on_orphan, CONFIG_ORPHAN_CANCEL);
    assert_int_equal(c->apps[0].orphan_grace_ms, 5000);
    assert_int_equal(c->apps[0].history_sync_ms, 200);
    assert_true(c->apps[0].history);
    assert_int_equal(c->transport_count, 5);
    assert_string_equal(c->transports[0].plugin, "ws-bmob");
    assert_string_equal(c->transports[0].plugin_path, "/plugins/x.so");
    assert_string_equal(c->transports[0].listen[0].host, "127.0.0.1");
    assert_int_equal(c->transports[0].listen[0].port, 8801);
    assert_int_equal(c->transports[0].workers, 1);
    assert_int_equal(c->transports[0].max_connections, 20000);
    assert_int_equal(c->transports[0].connect_rate, 1000);
    assert_int_equal(c->transports[0].slow_client_s, 30);
    assert_int_equal(c->transports[0].drain_ms, 30000);
    assert_string_equal(config_section_find(&c->transports[0].options, "error_style")->text, "text");
    assert_string_equal(config_section_find(&c->transports[1].options, "path")->text, "/chat/stream");
    assert_int_equal(config_section_find(&c->transports[1].options, "max_stream_ms")->integer, 55000);
    assert_null(config_section_find(&c->transports[1].options, "error_style"));
    assert_int_equal(config_section_find(&im->options, "sdk_app_id")->integer, 1400000000);
    assert_string_equal(config_section_find(&im->options, "secret_key")->text, "the-secret-of-tim");
    assert_string_equal(config_section_find(&im->options, "webhook_token")->text, "token-of-tim");
    assert_int_equal(config_section_find(&im->options, "bot")->section_count, 1);
    bot = &config_section_find(&im->options, "bot")->sections[0];
    assert_string_equal(bot->title, "tea");
    assert_string_equal(config_section_find(bot, "account")->text, "@RBT#tea");
    assert_int_equal(config_section_find(bot, "mirror")->integer, 0);
    assert_int_equal(im->app_names.count, 1);
    assert_string_equal(im->app_names.items[0], "shop");
    assert_int_equal(im->line, 16);
    assert_string_equal(cgws->app_names.items[0], "shop");
    assert_int_equal(config_section_find(&cgws->options, "models")->list.count, 2);
    assert_string_equal(config_section_find(&cgws->options, "models")->list.items[1], "davinci");
    assert_int_equal(config_section_find(&cgws->options, "offset")->integer, 0);
    config_free(c);
    config_free(NULL);
}

/* Goal: the ways of writing that are promised.  Method: comments of all kinds, escapes, CRLF, a byte order mark, single values
 * for lists, empty lists, section order.  Catches: the scan and libconfuse reading one text differently. */
static void test_ways_of_writing(void **state)
{
    struct config *c = load_good(
        "\xef\xbb\xbf// first\r\n/* { \" */ #\n"
        "app shop { upstreams = demo # an app may stand before its upstream }\r\n"
        "  model = 'm\\'{1}\\n' system = \"a\\\"b\\\\c\\n\\t\\${x} {#} \\\nd\" keys = {} on_orphan = finish history = off }\n"
        "#################################################################################################\n"
        "upstream demo { base_url = https://h.example/v1 quirks = {} models = { \"x\", 'm\\'{1}\\n', } }\n"
        "log { level = debug format = json } core { io = epoll ring_slots = 128 }\n"
        "metrics { //no blank\n listen = \"[::1]:9100\" }\n"
        "transport t { plugin = 'ws-chatgpt' listen = { \"unix:/run/x.sock\", \"[::]:80\", 0.0.0.0:80 }\n"
        " anonymous_app = \"shop\" models = {} offset = -7 }");

    (void)state;
    assert_string_equal(c->apps[0].system, "a\"b\\c\n\t${x} {#} d");
    assert_string_equal(c->apps[0].model, "m'{1}\\n");
    assert_int_equal(c->apps[0].keys.count, 0);
    assert_int_equal(c->apps[0].on_orphan, CONFIG_ORPHAN_FINISH);
    assert_false(c->apps[0].history);
    assert_true(c->log_json);
    assert_string_equal(c->metrics_listen, "[::1]:9100");
    assert_string_equal(c->upstreams[0].base_url, "https://h.example/v1");
    assert_int_equal(c->upstreams[0].models.count, 2);
    assert_int_equal(c->transports[0].listen_count, 3);
    assert_true(c->transports[0].listen[0].is_unix);
    assert_string_equal(c->transports[0].listen[0].host, "/run/x.sock");
    assert_string_equal(c->transports[0].listen[1].host, "::");
    assert_int_equal(config_section_find(&c->transports[0].options, "models")->list.count, 0);
    assert_int_equal(config_section_find(&c->transports[0].options, "offset")->integer, -7);
    config_free(c);
}

/* Goal: an empty file is a daemon with defaults.  Method: load it, and one of blanks.  Catches: sections whose absence is not
 * handled. */
static void test_empty_file(void **state)
{
    struct config *c = load_good("");

    (void)state;
    assert_int_equal(c->ring_slots, 65536);
    assert_int_equal(c->transport_count, 0);
    config_free(c);
    config_free(load_good(" \n# nothing\n"));
}

/* Goal: directories by the rules of the contract.  Method: with and without $XDG_RUNTIME_DIR, relative, explicit.  Catches: a
 * path that depends on where the daemon was started. */
static void test_directories(void **state)
{
    char expected[512];
    struct config *c;

    (void)state;
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    c = load_good("");
    assert_string_equal(c->runtime_dir, geteuid() == 0 ? "/run/umbel" : "/run/user/7/umbel");
    assert_string_equal(c->state_dir, geteuid() == 0 ? "/var/lib/umbel" : c->runtime_dir);
    config_free(c);
    unsetenv("XDG_RUNTIME_DIR");
    c = load_good("state_dir = \"s\"");
    snprintf(expected, sizeof expected, "/tmp/umbel-%u", (unsigned)getuid());
    assert_string_equal(c->runtime_dir, geteuid() == 0 ? "/run/umbel" : expected);
    snprintf(expected, sizeof expected, "%s/s", directory);
    assert_string_equal(c->state_dir, expected);
    config_free(c);
}

/* Goal: an app without a model takes its upstream's first; keys come from environment and files.  Method: one file with all
 * forms. Catches: secrets with their line end, a missing key taken for a present one. */
static void test_models_and_secrets(void **state)
{
    struct config *c;

    (void)state;
    put("a.key", "from-a-file\r\n");
    setenv("UMBEL_TEST_KEY", "from-the-environment", 1);
    c = load_good("upstream demo { base_url = \"http://h\" models = { \"m1\", \"m2\" } api_key = \"file:a.key\" }\n"
                  "app shop { upstreams = { \"demo\" } keys = { \"env:UMBEL_TEST_KEY\", \"file:a.key\", \"literal-key\" } }\n");
    assert_string_equal(c->upstreams[0].api_key, "from-a-file");
    assert_string_equal(c->apps[0].model, "m1");
    assert_string_equal(c->apps[0].keys.items[0], "from-the-environment");
    assert_string_equal(c->apps[0].keys.items[1], "from-a-file");
    assert_string_equal(c->apps[0].keys.items[2], "literal-key");
    assert_string_equal(warnings, "");
    config_free(c);
}

/* Goal: what is allowed but unwise is said, once, and never with the secret itself.  Method: readable files, short keys, unset
 * token. Catches: silence, and a warning that tells the log the key. */
static void test_warnings(void **state)
{
    struct why why;
    struct config *c;

    (void)state;
    put("open.key", "everyone-reads-this");
    assert_int_equal(chmod(path_of("open.key"), 0644), 0);
    put("u.conf", "upstream demo { base_url = \"http://h\" api_key = \"file:open.key\" }\n"
                  "app shop { upstreams = { \"demo\" } model = m\n"
                  "  keys = { \"shorty7\", \"another-key\" } }\n");
    assert_int_equal(chmod(path_of("u.conf"), 0644), 0);
    c = load_file(path_of("u.conf"), &why);
    assert_non_null(c);
    assert_non_null(strstr(warnings, "u.conf:1: api_key: everyone"));
    assert_non_null(strstr(warnings, "u.conf:3: keys: key number 1 has fewer than 8"));
    assert_non_null(strstr(warnings, "u.conf:3: everyone on this machine can read this file"));
    assert_null(strstr(warnings, "shorty7"));
    assert_null(strstr(warnings, "number 2"));
    config_free(c);
    unsetenv("TIM_TOKEN");
    c = load_good(good);
    assert_non_null(strstr(warnings, "u.conf:18: webhook_token: env:TIM_TOKEN is not set"));
    config_free(c);
    setenv("TIM_TOKEN", "token-of-tim", 1);
}

/* ---- includes ---- */

/* Goal: include() is relative to the including file, also twice over, for transports too, and errors name the included file and
 * line. Method: a small tree of files.  Catches: paths relative to the working directory, lines of the wrong file. */
static void test_include(void **state)
{
    struct why why;
    struct config *c;

    (void)state;
    assert_int_equal(mkdir(path_of("d"), 0700), 0);
    put("d/wx.key", "key-beside-the-included-file");
    put("d/base.conf", "upstream demo { base_url = \"http://h/v1\" api_key = \"file:wx.key\" }\ninclude(\"app.conf\")\n");
    put("d/app.conf", "app shop { upstreams = { \"demo\" } model = m }\n");
    put("d/wx.conf", "\n\n" WX);
    c = load_good("include(\"d/base.conf\") # comment\ninclude ( 'd/wx.conf' )\nlog { level = warn }\n");
    assert_string_equal(c->upstreams[0].api_key, "key-beside-the-included-file");
    assert_string_equal(c->transports[0].name, "wx");
    assert_string_equal(c->log_level, "warn");
    config_free(c);

    put("d/wx.conf", "\n\ntransport wx { plugin = http-chunked-wxapp listen = \"127.0.0.1:1\" apps = shop\n  pathh = x }\n");
    assert_null(load("include(\"d/base.conf\")\ninclude(\"d/wx.conf\")\n", &why));
    expect_why(&why, "d/wx.conf", 4, "unknown option pathh in transport wx, did you mean path");
    put("d/wx.conf", "\ntransport wx {\n");
    assert_null(load("include(\"d/wx.conf\")\n}\n", &why));
    expect_why(&why, "d/wx.conf", 2, "transport wx that begins here is not closed");
    put("d/wx.conf", "upstream demo { base_url = \"http://h\" }\n");
    assert_null(load("\ninclude(\"d/base.conf\")\ninclude(\"d/wx.conf\")", &why));
    expect_why(&why, "d/wx.conf", 1, "upstream demo is there twice");
    assert_non_null(strstr(why.text, "d/base.conf:1"));
}

/* Goal: includes are bounded and misuse is explained.  Method: a file that includes itself, a missing one, one inside a section.
 * Catches: endless recursion, a silent skip. */
static void test_include_errors(void **state)
{
    struct why why;
    char *many = calloc(1, 4096);

    (void)state;
    put("self.conf", "\ninclude(\"self.conf\")\n");
    assert_null(load("include(\"self.conf\")\n", &why));
    expect_why(&why, "self.conf", 2, "includes inside each other too deeply");
    put("leaf.conf", "# nothing\n");
    for (int i = 0; i < 64; i++)
        strcat(many, "include(\"leaf.conf\")\n");
    refuse(many, 64, "too many includes");
    free(many);
    refuse("\ninclude(\"missing.conf\")\n", 2, "missing.conf (No such file or directory)");
    refuse("app a {\n include(\"leaf.conf\") }\n", 2, "inside a section");
    refuse("\ninclude(leaf.conf)\n", 2, "include(...) needs one file");
    refuse("\ninclude(\"\")\n", 2, "include(...) needs one file");
    refuse("\ninclude(\"a\", \"b\")\n", 2, "include(...) needs one file");
    refuse("include = x", 1, "unknown option include");
    assert_null(load_file(path_of("nowhere.conf"), &why));
    expect_why(&why, "nowhere.conf", 1, "cannot read");
    assert_null(load_file(directory, &why));
    assert_non_null(strstr(why.text, "Is a directory"));
}

/* ---- what must be refused, with its line ---- */

/* Goal: braces, quotes and comments that do not match are found, at the line where the fault began.  Method: one text a fault.
 * Catches: libconfuse's silent acceptance of a missing last brace. */
static void test_balance(void **state)
{
    (void)state;
    refuse("\napp shop {\n model = x\n", 2, "section app shop that begins here is not closed");
    refuse("transport im { plugin = im-custom-message\n bot tea {\n account = x }\n", 1,
           "section transport im that begins here is not closed");
    refuse("transport im { plugin = im-custom-message\n bot tea {\n account = x \n", 2,
           "section bot tea that begins here is not closed");
    refuse("app shop {\n keys = { \"a\"\n model = x }\n", 2, "list of keys that begins here lacks a comma or its }");
    refuse("app shop {\n keys = { \"a\",\n", 2, "list of keys that begins here is not closed");
    refuse("log { level = info }\n}\n", 2, "} closes nothing");
    refuse("log {\n level = \"info\n }\n", 2, "no end");
    refuse("log {\n level = 'info }\n}\n", 2, "no end");
    refuse("log { }\n/* never\nended", 2, "comment opened here");
    refuse("log { level = info # }\n", 1, "not closed");
    refuse("log { level = \"}\"\n", 1, "not closed");
    refuse("a{b{c{d{e{f{g{h{i{\n}}}}}}}}}", 1, "nested too deeply");
}

/* Goal: what is no configuration at all is refused with its line.  Method: one text a fault.  Catches: the scan reading on where
 * libconfuse would, and quoted text (maybe a key) in a message. */
static void test_grammar(void **state)
{
    struct why why;

    (void)state;
    refuse("\nlog { level info }", 2, "level is followed by neither = nor {");
    refuse("log { level =\n}", 2, "level has no value");
    refuse("log { level = = x }", 1, "level has no value");
    refuse("log { = x }", 1, "unexpected =");
    refuse("app a { system = You are nice }", 1, "several words in \"quotes\"");
    refuse("upstream a { base_url = http://h/?a=b }", 1, "unexpected =");
    refuse("core { ring_slots += 1 }", 1, "unexpected +");
    refuse("app a { system = a*b }", 1, "unexpected *");
    refuse("app a { system = \"x ${HOME}\" }", 1, "${ in double quotes");
    refuse("app a { system = x${HOME} }", 1, "unexpected $");
    refuse("app a {\n system = \"\n\\q\" }", 3, "unknown escape");
    refuse("app a { system = \"\\400\" }", 1, "unknown escape");
    refuse("app \"a b\" { }", 1, "title of this app is not a name");
    refuse("app 12345678901234567890123456789012345678901234567890123456789012345 { }", 1, "title of this app is not a name");
    refuse("1234567890123456789012345678901234567890123456789012345678901234 = 1", 1, "longer than 63 bytes");
    refuse("log { }\n\xff = 1", 2, "byte 0xff is not text");
    refuse("log { }\n# \x01", 2, "byte 0x01 is not text");
    assert_null(load("upstream a { api_key \"sk-secret\" }", &why));
    assert_null(strstr(why.text, "sk-secret"));
    assert_null(load("upstream a { \"sk-secret\" }", &why));
    assert_null(strstr(why.text, "sk-secret"));
    put_bytes("u.conf", "log { }\n\0", 9);
    assert_null(load_file(path_of("u.conf"), &why));
    expect_why(&why, "u.conf", 2, "byte 0x00 is not text");
}

/* Goal: names that do not exist are errors everywhere, with the nearest spelling.  Method: the top level, a core section, the
 * common part and the own part of a transport, a nested section.  Catches: options dropped in silence, also those of later
 * versions. */
static void test_unknown_names(void **state)
{
    (void)state;
    refuse("\nruntim_dir = x", 2, "unknown option runtim_dir in the top level, did you mean runtime_dir");
    refuse("aap shop { }", 1, "unknown section aap in the top level, did you mean app");
    refuse("log {\n levle = info }", 2, "unknown option levle in log, did you mean level, expected one of level, format");
    refuse("app a {\n limit { } }", 2, "unknown section limit in app a, did you mean limits");
    refuse("\nlimits { }", 2, "section limits in the top level, expected it inside a section app");
    refuse("app.limits { }", 1, "unknown section app.limits in the top level");
    refuse("cluster { }", 1, "unknown section cluster");
    refuse("app a {\nupstream b { } }", 2, "section upstream inside app a (line 1), expected it at the top level");
    refuse(BASE "transport wx { plugin = http-chunked-wxapp\n pahts = x }", 4, "did you mean path");
    refuse(BASE "transport wx { plugin = http-chunked-wxapp\n error_style = text }", 4,
           "unknown option error_style in transport wx");
    refuse(BASE "transport im { plugin = im-custom-message\n bot tea {\n acount = x } }", 5,
           "unknown option acount in bot tea, did you mean account");
    refuse("zzzzzzzz = 1", 1, "unknown option zzzzzzzz in the top level, expected one of runtime_dir, state_dir, log");
}

/* Goal: the right name in the wrong form.  Method: one text a form.  Catches: a title dropped, a second value that wins in
 * silence. */
static void test_forms(void **state)
{
    (void)state;
    refuse("log = x", 1, "log is a section");
    refuse("\napp { }", 2, "section app has no title");
    refuse("log x { }", 1, "section log has a title");
    refuse("app a { model { } }", 1, "model is an option");
    refuse("app a { keys { } }", 1, "write keys = { \"a\", \"b\" }");
    refuse("log { level = { info } }", 1, "level has a list as value");
    refuse("log { level = info\n level = warn }", 2, "level is there twice, expected it once");
    refuse("runtime_dir = /a\nruntime_dir = /b", 2, "runtime_dir is there twice");
    refuse("log { }\nlog { }", 2, "log is there twice");
    refuse("app a { }\napp b { }\napp a { }", 3, "app a is there twice");
    refuse(BASE "transport im { plugin = im-custom-message bot = x }", 3, "bot is a section");
    refuse(BASE "transport im { plugin = im-custom-message bot { } }", 3, "section bot has no title");
    refuse(BASE "transport im { plugin = im-custom-message\nbot a { }\nbot a { } }", 5, "bot a is there twice");
}

/* Goal: values out of their bounds.  Method: each kind of value at and past its limits.  Catches: octal, signs, overflow, silent
 * rounding. */
static void test_values(void **state)
{
    (void)state;
    refuse("core { ring_slots = 100 }", 1,
           "ring_slots = 100 is not a power of two, expected 64, 128, 256 and so on up to 4194304, use 64 or 128");
    refuse("core {\n ring_slots = 32 }", 2,
           "ring_slots = 32 is out of range, expected 64 to 4194304 slots of 64 bytes, write ring_slots = 65536");
    refuse("core { ring_slots = 8388608 }", 1, "out of range");
    refuse("core { ring_slots = -64 }", 1, "ring_slots = -64 is out of range");
    refuse("core { journal_mb = 99999999999999999999 }", 1, "out of range");
    refuse("core { journal_mb = 64MB }", 1, "journal_mb = 64MB is not a whole number");
    refuse("core { journal_mb = \"\" }", 1, "not a whole number");
    refuse("core { journal_mb = - }", 1, "not a whole number");
    refuse("core { journal_mb = 0x40 }", 1, "not a whole number");
    refuse("core { linger_s = -1 }", 1, "linger_s = -1 is out of range, expected 0 to 86400 s");
    config_free(load_good("core { ring_slots = 64 journal_mb = 010 linger_s = 0 }"));
    refuse("log { level = inof }", 1, "level = inof is unknown, did you mean info, expected one of error, warn, info, debug");
    refuse("log { format = xml }", 1, "format = xml is unknown, expected one of text, json");
    refuse("core { io = \"\" }", 1, "expected one of auto, io_uring, epoll");
    refuse("core { io = auto|epoll }", 1, "is unknown");
    refuse(BASE "app x { upstreams = demo model = m history = maybe }", 3, "history = maybe is neither yes nor no");
    refuse(BASE "app x { upstreams = demo model = m on_orphan = stop }", 3, "expected one of cancel, finish, drain");
    refuse(BASE "upstream x { base_url = http://h quirks = { late_done } }", 3,
           "quirks = late_done is unknown, expected one of reasoning_content, reasoning, thinking");
    refuse(BASE "upstream x { base_url = http://h quirks = { thinking, no-eof_flsh } }", 3, "did you mean no-eof_flush");
    refuse(BASE "upstream x { base_url = http://h quirks = { \"[no-]thinking\" } }", 3, "is unknown");
    config_free(load_good(BASE "upstream x { base_url = http://h dialect = anthropic quirks = { thinking, no-eof_flush } }"));
    refuse(BASE "upstream x {\n base_url = http://h/v1/chat/completions/ }", 4,
           "base_url of upstream x ends in /chat/completions, expected it without, write base_url = http://h/v1");
    refuse(BASE "upstream x { dialect = ollama base_url = http://h/api/chat }", 3, "write base_url = http://h");
    config_free(load_good(BASE "upstream x { dialect = gemini base_url = http://h/v1/messages }"));
    refuse(BASE "upstream x { base_url = http://h dialect = claude }", 3, "expected one of openai, anthropic, ollama, gemini, dashscope");
    refuse(BASE "transport wx { plugin = http-chunked-wxapp listen = 127.0.0.1:1 max_stream_ms = 999 }", 3,
           "expected 1000 to 600000, write max_stream_ms = 55000");
    refuse(BASE "transport wx { plugin = http-chunked-wxapp listen = 127.0.0.1:1 workers = 0 }", 3,
           "workers = 0 is out of range");
    refuse(BASE "transport b { plugin = ws-bmob listen = 127.0.0.1:1 apps = shop error_style = txt }", 3, "did you mean text");
    refuse(BASE "transport c { plugin = ws-chatgpt listen = 127.0.0.1:1 apps = shop offset = 9007199254740993 }", 3,
           "out of range");
}

/* Goal: URLs that cannot work.  Method: one text a fault.  Catches: a password shown in a message. */
static void test_urls(void **state)
{
    static const char *const bad[] = {"h/v1",         "ftp://h",        "http://",      "http:///v1",
                                      "http://h:0/",  "http://h:65536", "http://h:x",   "http://[::1",
                                      "http://[]:80", "http://h/?q",    "https://h/#x", "http://h/a b"};
    struct why why;
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "upstream a {\n base_url = \"%s\" }", bad[i]);
        refuse(text, 2, "base_url ");
    }
    assert_null(load("upstream a { base_url = \"http://me:secret@h/v1\" }", &why));
    expect_why(&why, "u.conf", 1, "not shown");
    assert_null(strstr(why.text, "secret"));
    refuse("upstream a { base_url = http://h\n proxy = \"https://p:1\" }", 2, "proxy https://p:1 does not begin with http://");
    refuse("upstream a {\n model = x }", 2, "unknown option model in upstream a, did you mean models");
    refuse("\nupstream a { }", 2, "upstream a has no base_url");
    refuse("upstream a {\nbase_url = \"\" }", 2, "upstream a has no base_url");
    config_free(load_good("upstream a { base_url = \"http://[::1]:8080/v1\" proxy = http://p:3128 }"));
}

/* Goal: addresses to listen on.  Method: one text a fault, two transports on one address in several spellings.  Catches: a clash
 * that would only show when the second socket is opened. */
static void test_listen(void **state)
{
    static const char *const bad[] = {"127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "localhost:80",
                                      ":80",       "[::1]",       "::1:80",          "[::1:80",
                                      "1.2.3:80",  "unix:x",      "127.0.0.1:",      "[127.0.0.1]:80"};
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, BASE "transport b { plugin = ws-bmob apps = shop\n listen = { \"127.0.0.1:1\", \"%s\" } }",
                 bad[i]);
        refuse(text, 4, "listen = ");
    }
    refuse("metrics { listen = 80 }", 1, "listen = 80 has no port");
    snprintf(text, sizeof text, BASE "transport b { plugin = ws-bmob apps = shop\n listen = \"unix:/%0110d\" }", 0);
    refuse(text, 4, "over 107 bytes");
    refuse(BASE "transport b { plugin = ws-bmob apps = shop }", 3, "transport b listens nowhere");
    refuse(BASE "transport b { plugin = ws-bmob apps = shop\n listen = {} }", 4, "transport b listens nowhere");
    config_free(
        load_good(BASE "transport im { plugin = im-custom-message apps = shop sdk_app_id = 1 secret_key = 'file:tim.key' }"));
    refuse(BASE WX "transport b { plugin = ws-bmob apps = shop\n listen = { 127.0.0.1:2, 127.0.0.1:1 } }", 5,
           "transport b listens on 127.0.0.1:1, which transport wx uses already");
    refuse(BASE WX "transport b { plugin = ws-bmob apps = shop\n listen = 0.0.0.0:1 }", 5, "which transport wx uses already");
    refuse(BASE "transport b { plugin = ws-bmob apps = shop\n listen = { \"[::1]:5\", \"[0:0::1]:5\" } }", 4,
           "which transport b uses already");
    refuse(BASE "transport b { plugin = ws-bmob apps = shop\n listen = { unix:/a, unix:/a } }", 4,
           "which transport b uses already");
    refuse(BASE WX "\nmetrics { listen = 127.0.0.1:1 }", 5, "metrics listens on 127.0.0.1:1, which transport wx uses already");
    refuse("metrics { listen = 127.0.0.1:1 }\nplayground { listen = 127.0.0.1:1 }", 2, "which metrics uses already");
}

/* Goal: names that must exist in another section.  Method: unknown upstreams and apps in every place that names them.  Catches:
 * an app that can never answer, a transport nobody may enter. */
static void test_references(void **state)
{
    (void)state;
    refuse("upstream demo { base_url = http://h }\napp shop {\n model = m upstreams = { \"demo\", \"dmo\" } }", 3,
           "app shop names unknown upstream dmo, did you mean demo, expected one of demo");
    refuse("app shop { upstreams = x model = m }", 1, "app shop names upstream x, expected one that exists, but there is none");
    refuse("upstream demo { base_url = http://h }\napp shop { model = m }", 2, "app shop has no upstreams");
    refuse("upstream demo { base_url = http://h }\napp shop { model = m\n upstreams = {} }", 3, "app shop has no upstreams");
    refuse("upstream demo { base_url = http://h }\napp shop { upstreams = demo }", 2, "app shop has no model");
    refuse("upstream demo { base_url = http://h models = { \"aa1\" } }\napp shop { upstreams = demo\n model = aa2 }", 3,
           "lists model aa2, did you mean aa1");
    refuse(BASE "transport wx { plugin = http-chunked-wxapp listen = 127.0.0.1:1\n apps = { shop, shoop } }", 4,
           "transport wx names unknown app shoop, did you mean shop");
    refuse(BASE "transport wx { plugin = http-chunked-wxapp listen = 127.0.0.1:1 }", 3, "transport wx serves no app");
    refuse(BASE "transport c { plugin = ws-chatgpt listen = 127.0.0.1:1\n anonymous_app = shap }", 4, "did you mean shop");
    refuse(BASE "transport im { plugin = im-custom-message apps = shop sdk_app_id = 1 secret_key = 'file:tim.key'\n"
                "bot a { account = x app = shop }\nbot b { account = y\n app = nobody } }",
           6, "bot b names unknown app nobody");
    refuse(BASE "app other { upstreams = demo model = m\n keys = { \"0123456789abcdef\" } }", 4,
           "other has a key that app shop has too");
}

/* Goal: plugins that are missing or mistaken, at the line that names them.  Method: names, the lookup's own words, wrong
 * manifests. Catches: a path built from the file's text, a plugin's nonsense taken for options. */
static void test_plugins(void **state)
{
    (void)state;
    refuse(BASE "transport x {\n listen = 127.0.0.1:1 }", 3, "transport x has no plugin");
    refuse(BASE "transport x {\n plugin = ../evil }", 4, "plugin is not a plugin's name");
    refuse(BASE "transport x {\n plugin = {} }", 4, "plugin has no name");
    refuse(BASE "transport x {\n plugin = \"\" }", 4, "plugin is not a plugin's name");
    refuse(BASE "transport x {\n plugin = { ws-bmob } listen = 127.0.0.1:1 }", 4, "plugin has a list as value");
    {
        struct why why;
        assert_null(load(BASE "transport x {\n plugin = ws-bomb }", &why));
        assert_non_null(
            strstr(why.text, "u.conf:4: plugin ws-bomb of transport x cannot be used: there is no ws-bomb.so in /plugins, only"));
    }
    refuse(BASE "transport im { plugin = im-custom-message listen = 127.0.0.1:1 secret_key = 'file:tim.key' }", 3,
           "im has no sdk_app_id");
    refuse(BASE "transport im { plugin = im-custom-message sdk_app_id = 1 secret_key = 'file:tim.key'\n bot x { app = shop } }",
           4, "bot x has no account");
}

/* Goal: a manifest is a stranger's text.  Method: pure parse of broken ones.  Catches: a crash or silent acceptance of a bad
 * table. */
static void test_manifests(void **state)
{
    static const char too_deep[] =
        "{\"name\":\"x\",\"options\":[{\"name\":\"a\",\"type\":6,\"section\":[{\"name\":\"b\",\"type\":6,\"section\":[{\"name\":"
        "\"c\","
        "\"type\":6,\"section\":[{\"name\":\"d\",\"type\":6,\"section\":[{\"name\":\"e\",\"type\":6,\"section\":[]}]}]}]}]}]}";
    static const char *const bad[] = {
        "",
        "[]",
        "{\"name\":\"y\",\"options\":[]}",
        "{\"name\":\"x\"}",
        "{\"name\":\"x\",\"options\":{}}",
        "{\"name\":\"x\",\"options\":[{}]}",
        "{\"name\":\"x\",\"options\":[{\"name\":\"A b\",\"type\":1}]}",
        "{\"name\":\"x\",\"options\":[{\"name\":\"a\",\"type\":7}]}",
        "{\"name\":\"x\",\"options\":[{\"name\":\"a\",\"type\":0}]}",
        "{\"name\":\"x\",\"options\":[{\"name\":\"a\",\"type\":1},{\"name\":\"a\",\"type\":1}]}",
        "{\"name\":\"x\",\"options\":[{\"name\":\"listen\",\"type\":1}]}",
        "{\"name\":\"x\",\"options\":[{\"name\":\"a\",\"type\":6}]}",
        "{\"name\":\"x\",\"options\":[{\"name\":\"a\",\"type\":2,\"min\":3,\"max\":2}]}",
        too_deep,
    };
    struct config_manifest manifest;
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(config_manifest_parse("x", bad[i], &manifest, &why), -EINVAL);
        assert_non_null(strstr(why.text, "plugin x "));
    }
    assert_int_equal(
        config_manifest_parse("x", "{\"name\":\"x\",\"needs\":1,\"options\":[{\"name\":\"a\",\"type\":1}]}", &manifest, &why), 0);
    assert_true(manifest.outbound);
    assert_int_equal(manifest.count, manifest.common + 1);
    config_manifest_clear(&manifest);
}

/* Goal: secrets are found or missed loudly, never shown.  Method: every way to name one wrongly.  Catches: an empty key accepted,
 * a literal key of a service in the file. */
static void test_secrets(void **state)
{
    struct why why;

    (void)state;
    put("empty.key", "\n");
    put("two.key", "one\ntwo\n");
    put_bytes("nul.key", "a\0b", 3);
    assert_null(load("upstream a { base_url = http://h\n api_key = sk-literal-secret }", &why));
    expect_why(&why, "u.conf", 2, "api_key stands in the file itself");
    assert_non_null(strstr(why.text, "use env:NAME or file:PATH"));
    assert_null(strstr(why.text, "sk-literal"));
    refuse("upstream a { base_url = http://h\n api_key = file:missing.key }", 2, "missing.key (No such file or directory)");
    refuse("upstream a { base_url = http://h\n api_key = file:empty.key }", 2, "empty.key is empty");
    refuse("upstream a { base_url = http://h\n api_key = file:two.key }", 2, "more than one line");
    refuse("upstream a { base_url = http://h\n api_key = file:nul.key }", 2, "more than one line");
    refuse("upstream a { base_url = http://h\n api_key = \"env:\" }", 2, "names no variable");
    refuse("upstream a { base_url = http://h\n api_key = \"file:\" }", 2, "names no file");
    refuse("upstream demo { base_url = http://h }\napp a { upstreams = demo model = m\n keys = { \"longenough\", \"\" } }", 3,
           "\"\" is empty or not set");
    refuse("upstream demo { base_url = http://h }\napp a { upstreams = demo model = m\n keys = env:UMBEL_UNSET }", 3,
           "env:UMBEL_UNSET is empty or not set");
    refuse(BASE "transport im { plugin = im-custom-message sdk_app_id = 1\n secret_key = env:UMBEL_UNSET }", 4,
           "env:UMBEL_UNSET is empty or not set");
    refuse(BASE "transport im { plugin = im-custom-message sdk_app_id = 1\n secret_key = literal }", 4,
           "stands in the file itself");
    refuse(BASE "transport im { plugin = im-custom-message sdk_app_id = 1 }", 3, "has no secret_key");
}

/* Goal: TLS is configured whole or not at all.  Method: half of it, a missing file, both.  Catches: clear text where TLS was
 * meant. */
static void test_tls(void **state)
{
    char expected[256];
    struct config *c;

    (void)state;
    put("c.pem", "x");
    put("k.pem", "x");
    refuse(BASE "transport b { plugin = ws-bmob listen = 127.0.0.1:1 apps = shop\n tls_cert = c.pem }", 3,
           "has tls_cert but no tls_key");
    refuse(BASE "transport b { plugin = ws-bmob listen = 127.0.0.1:1 apps = shop\n tls_key = k.pem }", 3,
           "has tls_key but no tls_cert");
    refuse(BASE "transport b { plugin = ws-bmob listen = 127.0.0.1:1 apps = shop\n tls_key = k.pem tls_cert = none.pem }", 4,
           "none.pem");
    c = load_good(BASE "transport b { plugin = ws-bmob listen = 127.0.0.1:1 apps = shop tls_key = k.pem tls_cert = c.pem }");
    snprintf(expected, sizeof expected, "%s/c.pem", directory);
    assert_string_equal(c->transports[0].tls_cert, expected);
    config_free(c);
}

/* Goal: everything has a bound.  Method: one over each limit that a file can reach.  Catches: unbounded tables. */
static void test_bounds(void **state)
{
    struct umbel_out out = {0};
    struct why why;

    (void)state;
    for (int i = 0; i < (int)CONFIG_CHILDREN_MAX + 1; i++)
        umbel_out_printf(&out, "app a%d { }\n", i);
    put_bytes("u.conf", out.data, out.size);
    assert_null(load_file(path_of("u.conf"), &why));
    expect_why(&why, "u.conf", CONFIG_CHILDREN_MAX + 1, "too many options and sections");
    umbel_out_reset(&out);
    umbel_out_text(&out, "app a {\n keys = {");
    for (int i = 0; i < (int)CONFIG_ITEMS_MAX; i++)
        umbel_out_text(&out, " x,");
    umbel_out_text(&out, " x } }");
    put_bytes("u.conf", out.data, out.size);
    assert_null(load_file(path_of("u.conf"), &why));
    expect_why(&why, "u.conf", 2, "list of keys is too long");
    umbel_out_reset(&out);
    for (int i = 0; i < (int)CONFIG_FILE_MAX; i++)
        umbel_out_text(&out, i % 100 ? " " : "\n");
    put_bytes("u.conf", out.data, out.size);
    config_free(load_file(path_of("u.conf"), &why));
    assert_string_equal(why.text, "");
    umbel_out_text(&out, " ");
    put_bytes("u.conf", out.data, out.size);
    assert_null(load_file(path_of("u.conf"), &why));
    expect_why(&why, "u.conf", 1, "too large");
    umbel_out_free(&out);
}

/* Goal: libconfuse's own complaints get our form, and nothing goes to standard error.  Method: a table that lacks the option,
 * which the checks before it would never let through.  Catches: a lost error callback. */
static void test_libconfuse_errors(void **state)
{
    static const char text[] = "\n\napp a {\n model = x\n\n keys = y }";
    struct config_tree tree = {0};
    struct why why = {""};
    FILE *kept = stderr;
    char *said = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(config_scan_text("t.conf", "/", text, strlen(text), &tree, &why), 0);
    stderr = open_memstream(&said, &size);
    assert_int_equal(config_bind(&tree.root.children[0], config_rules_of("log"), &why), -EINVAL);
    fclose(stderr);
    stderr = kept;
    assert_string_equal(said, "");
    free(said);
    assert_non_null(strstr(why.text, "t.conf:4: no such option 'model' in app a, expected "));
    config_tree_clear(&tree);
}

/* ---- secrets leave the memory ---- */

static int wiped_file_key, wiped_client_key, wiped_token;

static void note_wipe(const char *bytes, size_t size)
{
    wiped_file_key += size == strlen("the-secret-of-tim") && memcmp(bytes, "the-secret-of-tim", size) == 0;
    wiped_client_key += size == strlen("0123456789abcdef") && memcmp(bytes, "0123456789abcdef", size) == 0;
    wiped_token += size == strlen("token-of-tim") && memcmp(bytes, "token-of-tim", size) == 0;
}

/* These take the place of the C library's in this program; under other names here, because the headers promise that theirs only
 * write. */
void spy_bzero(void *bytes, size_t size) __asm__("explicit_bzero");
void spy_bzero_checked(void *bytes, size_t size, size_t room) __asm__("__explicit_bzero_chk");

void spy_bzero(void *bytes, size_t size)
{
    volatile char *at = bytes;

    note_wipe(bytes, size);
    while (size--)
        *at++ = 0;
}

void spy_bzero_checked(void *bytes, size_t size, size_t room)
{
    assert_true(size <= room);
    spy_bzero(bytes, size);
}

/* Goal: config_free wipes what is secret.  Method: our explicit_bzero counts what it is given.  Catches: a plain free of a key.
 */
static void test_secrets_are_wiped(void **state)
{
    struct config *c = load_good(good);

    (void)state;
    wiped_file_key = wiped_client_key = wiped_token = 0;
    config_free(c);
    assert_int_equal(wiped_file_key, 1);
    assert_int_equal(wiped_client_key, 1);
    assert_int_equal(wiped_token, 1);
}

/* ---- sections as JSON ---- */

static void assert_same_section(const struct config_section *a, const struct config_section *b)
{
    assert_string_equal(a->title, b->title);
    assert_int_equal(a->value_count, b->value_count);
    for (size_t i = 0; i < a->value_count; i++) {
        const struct config_value *left = &a->values[i], *right = &b->values[i];
        assert_string_equal(left->name, right->name);
        assert_int_equal(left->type, right->type);
        assert_true(left->integer == right->integer);
        assert_int_equal(!left->text, !right->text);
        if (left->text)
            assert_string_equal(left->text, right->text);
        assert_int_equal(left->list.count, right->list.count);
        for (size_t k = 0; k < left->list.count; k++)
            assert_string_equal(left->list.items[k], right->list.items[k]);
        assert_int_equal(left->section_count, right->section_count);
        for (size_t k = 0; k < left->section_count; k++)
            assert_same_section(&left->sections[k], &right->sections[k]);
    }
}

/* Goal: the host gets exactly the values the core read.  Method: every transport of the good file through JSON and back. Catches:
 * a type or nested section lost on the way. */
static void test_section_round_trip(void **state)
{
    struct config *c = load_good(good);

    (void)state;
    for (size_t i = 0; i < c->transport_count; i++) {
        struct umbel_out out = {0};
        struct config_section back;
        char why[128] = "";
        config_section_json(&c->transports[i].options, &out);
        struct umbel_json *json = umbel_json_parse(out.data, out.size, why, sizeof why);
        assert_non_null(json);
        assert_int_equal(config_section_parse(json, &back), 0);
        assert_same_section(&c->transports[i].options, &back);
        config_section_free(&back);
        umbel_json_free(json);
        umbel_out_free(&out);
    }
    config_free(c);
}

/* Goal: what is not such JSON is refused whole.  Method: the wrong types at each place.  Catches: half-read sections, leaks
 * (under the address sanitizer). */
static void test_section_parse_refuses(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"title\":1,\"values\":[]}",
        "{\"title\":\"\"}",
        "{\"title\":\"\",\"values\":[1]}",
        "{\"title\":\"\",\"values\":[{\"name\":\"a\",\"type\":9}]}",
        "{\"title\":\"\",\"values\":[{\"name\":\"a\",\"type\":1}]}",
        "{\"title\":\"\",\"values\":[{\"name\":\"a\",\"type\":2,\"integer\":\"1\"}]}",
        "{\"title\":\"\",\"values\":[{\"name\":\"a\",\"type\":2,\"integer\":1.5}]}",
        "{\"title\":\"\",\"values\":[{\"name\":\"a\",\"type\":5,\"list\":[\"x\",1]}]}",
        "{\"title\":\"\",\"values\":[{\"name\":\"a\",\"type\":6,\"sections\":[{\"title\":\"x\",\"values\":[]},{}]}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct config_section section = {.value_count = 77};
        char why[128];
        struct umbel_json *json = umbel_json_parse(bad[i], strlen(bad[i]), why, sizeof why);
        assert_non_null(json);
        assert_int_equal(config_section_parse(json, &section), -EINVAL);
        assert_int_equal(section.value_count, 77);
        umbel_json_free(json);
    }
}

/* ---- the text beside the table ---- */

static char *read_source(const char *name)
{
    char path[1024], *text = NULL;
    size_t size = 0, root = strlen(__FILE__) - strlen("tests/unit/test_config.c");

    snprintf(path, sizeof path, "%.*s%s", (int)root, __FILE__, name);
    if (fd_read_file(path, CONFIG_FILE_MAX, &text, &size) < 0)
        fail_msg("cannot read %s", path);
    return text;
}

/* Goal: docs/configuration.md says of every option what the table says.  Method: the table of each section, as generated, must be
 * in it. Catches: an option added, or a default changed, without its documentation. */
static void test_documentation(void **state)
{
    char *text = read_source("docs/configuration.md");
    size_t count;
    const struct config_section_rule *sections = config_sections(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct umbel_out out = {0};
        config_rules_markdown(sections[i].name, &out);
        umbel_out_put(&out, "", 1);
        if (!strstr(text, out.data) || !strstr(text, sections[i].help))
            fail_msg("docs/configuration.md lacks this table of \"%s\" (%s):\n%s", sections[i].name, sections[i].help, out.data);
        umbel_out_free(&out);
    }
    free(text);
}

/* Goal: the shipped files load.  Method: etc/umbel.conf where it is; then copies with every include switched on (the secrets they
 * want are given by the environment).  Catches: an example that rots. */
static void test_shipped_files(void **state)
{
    static const char *const snippets[] = {"ws-bmob", "http-chunked-wxapp", "im-custom-message", "ws-chatgpt", "openai-api"};
    char *text = read_source("etc/umbel.conf"), name[128], path[1024];
    struct config *c;
    struct why why;

    (void)state;
    snprintf(path, sizeof path, "%.*setc/umbel.conf", (int)(strlen(__FILE__) - strlen("tests/unit/test_config.c")), __FILE__);
    if (!(c = load_file(path, &why)))
        fail_msg("etc/umbel.conf refused: %s", why.text);
    assert_int_equal(c->transport_count, 4);
    assert_int_equal(c->app_count, 1);
    config_free(c);

    setenv("UMBEL_TIM_KEY", "key-of-tim-for-the-test", 1);
    setenv("UMBEL_TIM_TOKEN", "token-of-tim-for-the-test", 1);
    assert_int_equal(mkdir(path_of("transport.d"), 0700), 0);
    for (size_t i = 0; i < sizeof snippets / sizeof snippets[0]; i++) {
        snprintf(name, sizeof name, "etc/transport.d/%s.conf", snippets[i]);
        char *snippet = read_source(name);
        put(name + strlen("etc/"), snippet);
        free(snippet);
    }
    for (char *at = text; (at = strstr(at, "# include("));)
        at[0] = ' ';
    c = load_good(text);
    assert_int_equal(c->transport_count, 5);
    for (size_t i = 0; i < c->transport_count; i++)
        assert_string_equal(c->transports[i].plugin, snippets[i]);
    config_free(c);
    free(text);
}

/* Goal: the nearest spelling is the one a person would guess.  Method: known distances.  Catches: an off-by-one in the table,
 * reads past long names (under the address sanitizer). */
static void test_spelling(void **state)
{
    char longer[200];

    (void)state;
    assert_int_equal(config_distance("", "abc"), 3);
    assert_int_equal(config_distance("level", "levle"), 1);
    assert_int_equal(config_distance("kitten", "sitting"), 3);
    assert_int_equal(config_distance("same", "same"), 0);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(config_distance(longer, "x"), 63);
}

/* ---- no text at all brings it down ---- */

/* Curly braces outside quotes and comments, counted by other means than the scan's: true if they certainly do not match.  Texts
 * with a quote, backslash or comment sign in other places than the good file are left to the scan. */
static bool surely_unbalanced(const char *text)
{
    int depth = 0;

    for (const char *p = text; *p; p++) {
        if (*p == '"') {
            p = strchr(p + 1, '"');
            if (!p)
                return true;
        } else if (*p == '#') {
            p += strcspn(p, "\n");
            if (!*p)
                break;
        } else if (*p == '{') {
            depth++;
        } else if (*p == '}' && --depth < 0) {
            return true;
        }
    }
    return depth != 0;
}

/* Goal: no beginning of the good file crashes the loader, none that is unbalanced is accepted.  Method: every length.  Catches:
 * reads past the end, libconfuse's silent end of file. */
static void test_truncated(void **state)
{
    struct why why;

    (void)state;
    for (size_t size = 0; size < sizeof good; size++) {
        char *text = strndup(good, size);
        struct config *c = load(text, &why);
        if (c && surely_unbalanced(text))
            fail_msg("accepted an unbalanced file of %zu bytes", size);
        config_free(c);
        free(text);
    }
}

/* Goal: as above for a few changed, doubled or dropped bytes.  Method: a fixed pseudo-random sequence; braces, quotes and the
 * like are likely.  Catches: what a person's slip of the hand could do. */
static void test_mutated(void **state)
{
    static const char likely[] = "{}\"'=,#\\\n()$*+/ a1;";
    uint32_t random = 12345;
    int accepted = 0;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char text[2 * sizeof good];
        struct why why;
        struct config *c;
        memcpy(text, good, sizeof good);
        for (int change = round % 3; change >= 0; change--) {
            size_t size = strlen(text), at;
            random = random * 1664525u + 1013904223u;
            at = (random >> 8) % size;
            random = random * 1664525u + 1013904223u;
            if ((random >> 8) % 3 == 0)
                memmove(text + at, text + at + 1, size - at);
            else if ((random >> 8) % 3 == 1)
                memmove(text + at + 1, text + at, size - at + 1);
            else
                text[at] = likely[(random >> 16) % (sizeof likely - 1)];
        }
        c = load(text, &why);
        if (c && !strpbrk(text, "'\\*") && !strstr(text, " //") && surely_unbalanced(text))
            fail_msg("accepted an unbalanced file:\n%s", text);
        accepted += c != NULL;
        config_free(c);
    }
    assert_true(accepted > 100); /* else the changes hit only the first check */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_file),
        cmocka_unit_test(test_ways_of_writing),
        cmocka_unit_test(test_empty_file),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_models_and_secrets),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_include),
        cmocka_unit_test(test_include_errors),
        cmocka_unit_test(test_balance),
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_plugins),
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_libconfuse_errors),
        cmocka_unit_test(test_secrets_are_wiped),
        cmocka_unit_test(test_section_round_trip),
        cmocka_unit_test(test_section_parse_refuses),
        cmocka_unit_test(test_documentation),
        cmocka_unit_test(test_shipped_files),
        cmocka_unit_test(test_spelling),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_mutated),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
