#include <stdio.h>
#include <string.h>

#include <umbel/config.h>
#include <umbel/version.h>

#include "core/admin/admin_command.h"
#include "tools/man/man.h"

static void see_also(struct umbel_out *out, const char *but)
{
    static const char *const pages[][2] = {{"umbelctl", "1"}, {"umbel.conf", "5"}, {"umbel-plugin", "7"}, {"umbeld", "8"}};
    bool first = true;

    umbel_out_text(out, ".Sh SEE ALSO\n");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(pages[i][0], but) != 0) {
            umbel_out_printf(out, "%s.Xr %s %s", first ? "" : " ,\n", pages[i][0], pages[i][1]);
            first = false;
        }
    umbel_out_text(out, "\n");
}

/* ---- umbeld(8) ---- */

/* "  -c, --config FILE      words" and lines of more words below it. */
static const char *put_option(struct umbel_out *out, const char *line)
{
    const char *end = strchr(line, '\n'), *at = line + strspn(line, " "), *gap = strstr(at, "  ");
    char option[80];

    if (!gap || gap > end)
        gap = end;
    snprintf(option, sizeof option, "%.*s", (int)(gap - at), at);
    umbel_out_text(out, ".It ");
    umbel_out_text(out, "Xo\n");
    man_line(out, option);
    umbel_out_text(out, ".Xc\n");
    char words[400];
    snprintf(words, sizeof words, "%.*s", (int)(end - gap), gap + strspn(gap, " ") > end ? end : gap + strspn(gap, " "));
    words[strcspn(words, "\n")] = '\0';
    man_line(out, words);
    return *end ? end + 1 : end;
}

void man_umbeld(struct umbel_out *out, const char *help)
{
    const char *options = strstr(help, "\n\n"), *rest;

    man_head(out, "umbeld", "8", "calls a language model once and fans its answer out over many client protocols");
    umbel_out_text(out, ".Sh SYNOPSIS\n");
    if (!options)
        return;
    char usage[512];
    snprintf(usage, sizeof usage, "%.*s", (int)(options - help), help);
    man_literal(out, usage + (strncmp(usage, "usage: ", 7) == 0 ? 7 : 0));
    umbel_out_text(out, ".Sh DESCRIPTION\n");
    rest = strstr(options + 2, "\n\n");
    man_line(out, rest ? rest + 2 : "");
    umbel_out_text(out, ".Sh OPTIONS\n.Bl -tag -width 6n\n");
    for (const char *line = options + 2; *line && *line != '\n' && (!rest || line < rest);)
        line = put_option(out, line);
    umbel_out_text(out, ".El\n.Sh FILES\n.Bl -tag -width 6n -compact\n"
                        ".It Pa /etc/umbel/umbel.conf\nthe configuration,\n.Xr umbel.conf 5\n"
                        ".It Pa /etc/umbel/umbel.env\nsecrets that it names as env:NAME, for the systemd unit\n"
                        ".It Pa /run/umbel/admin.sock\nwhere\n.Xr umbelctl 1\nspeaks to it\n"
                        ".It Pa /run/umbel/stats\ncounters, readable while it is stopped or stuck\n"
                        ".It Pa /var/lib/umbel\nhistory, usage and captures\n.El\n");
    see_also(out, "umbeld");
}

/* ---- umbelctl(1) ---- */

static void put_command(struct umbel_out *out, const struct admin_command *command)
{
    static const char *const roles[] = {"Needs no daemon.", "Reads shared memory: works while umbeld is stopped or stuck.",
                                        "Goes over the admin socket: umbeld must answer."};
    bool some = false;

    umbel_out_printf(out, ".Ss %s\n.Bd -ragged -compact\n", command->words);
    umbel_out_text(out, ".Nm umbelctl\n");
    man_text(out, command->words);
    umbel_out_text(out, *command->arguments ? "\n" : "");
    man_line(out, command->arguments);
    umbel_out_text(out, ".Ed\n.Pp\n");
    man_text(out, command->summary);
    umbel_out_text(out, ".\n");
    man_line(out, roles[command->role]);
    for (size_t i = 0; i < admin_option_count; i++) {
        const struct admin_option *option = &admin_options[i];
        if (option->command != command->id)
            continue;
        umbel_out_text(out, some ? "" : ".Bl -tag -width 6n\n");
        some = true;
        umbel_out_printf(out, ".It Fl \\-%s", option->name);
        umbel_out_printf(out, *option->value ? " Ar \\&%s\n" : "\n", option->value);
        man_line(out, option->explanation);
    }
    umbel_out_text(out, some ? ".El\n" : "");
}

void man_umbelctl(struct umbel_out *out)
{
    man_head(out, "umbelctl", "1", "look at a running umbeld, and tell it what to do");
    umbel_out_text(out, ".Sh SYNOPSIS\n.Nm umbelctl\n.Op Fl s Ar DIR\n.Op Fl \\-json\n.Op Ar COMMAND\n.Sh DESCRIPTION\n"
                        "Lists come from shared memory: they work while\n.Xr umbeld 8\nis stopped or stuck.\n"
                        "What changes something goes over the admin socket: whoever may open that may do everything.\n"
                        "Without a command it is\n.Cm status .\n"
                        ".Bl -tag -width 6n\n.It Fl s , Fl \\-runtime-dir Ar DIR\nthe daemon's runtime_dir; default\n.Ev UMBEL_RUNTIME_DIR ,\n"
                        ".Pa /run/umbel ,\n.Ev XDG_RUNTIME_DIR Ns Pa /umbel ,\n.Pa /tmp/umbel-UID\n"
                        ".It Fl \\-json\none JSON document instead of text; members may be added, these keep their names\n"
                        ".It Fl h , Fl \\-help\nhelp, of a command behind it\n.It Fl \\-version\nthe version\n.El\n.Sh COMMANDS\n");
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++)
        put_command(out, &admin_commands[i]);
    umbel_out_text(out, ".Sh EXIT STATUS\n0 done, 1 failed (also: no such id), 2 wrong use, 3\n.Xr umbeld 8\nis not running.\n");
    see_also(out, "umbelctl");
}

/* ---- umbel.conf(5) ---- */

/* A word of umbeld's table, or a number of a manifest. */
static const char *type_word(const struct umbel_json *type)
{
    static const struct {
        uint32_t type;
        const char *word;
    } words[] = {{UMBEL_OPTION_TEXT, "text"}, {UMBEL_OPTION_INTEGER, "integer"}, {UMBEL_OPTION_BOOL, "true or false"},
                 {UMBEL_OPTION_LIST, "list"}, {UMBEL_OPTION_SECRET, "secret"},   {UMBEL_OPTION_SECTION, "section"}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (umbel_json_integer(type, -1) == (int64_t)words[i].type)
            return words[i].word;
    return umbel_json_text(type, NULL) ? umbel_json_text(type, NULL) : "value";
}

static void put_value(struct umbel_out *out, const struct umbel_json *option)
{
    const struct umbel_json *choices = umbel_json_member(option, "choices");
    int64_t min = umbel_json_member_integer(option, "min", 0), max = umbel_json_member_integer(option, "max", 0);
    const char *unit = umbel_json_member_text(option, "unit", ""), *otherwise = umbel_json_member_text(option, "default", "");

    man_text(out, type_word(umbel_json_member(option, "type")));
    if (umbel_json_text(choices, NULL) && *umbel_json_text(choices, NULL)) { /* a manifest's: a|b */
        umbel_out_text(out, ": ");
        man_text(out, umbel_json_text(choices, NULL));
    }
    for (const struct umbel_json *each = umbel_json_type(choices) == UMBEL_JSON_ARRAY ? umbel_json_first(choices) : NULL; each;
         each = umbel_json_next(each)) {
        umbel_out_text(out, each == umbel_json_first(choices) ? ": " : ", ");
        man_text(out, umbel_json_text(each, NULL));
    }
    if (max > min)
        umbel_out_printf(out, " from %lld to %lld", (long long)min, (long long)max);
    if (*unit) {
        umbel_out_text(out, ", ");
        man_text(out, unit);
    }
    umbel_out_text(out, "; ");
    if (umbel_json_bool(umbel_json_member(option, "required"), 0)) {
        umbel_out_text(out, "required");
    } else {
        umbel_out_text(out, "default ");
        man_text(out, *otherwise ? otherwise : "none");
    }
    umbel_out_text(out, ".\n");
}

static void put_option_row(struct umbel_out *out, const struct umbel_json *option, const char *name)
{
    umbel_out_printf(out, ".It Cm %s\n", name);
    man_line(out, umbel_json_member_text(option, "help", ""));
    umbel_out_text(out, ".br\n");
    put_value(out, option);
}

/* Of a manifest, where sections may stand in sections. */
static void put_plugin_options(struct umbel_out *out, const struct umbel_json *options)
{
    umbel_out_text(out, ".Bl -tag -width 6n\n");
    for (const struct umbel_json *each = umbel_json_first(options); each; each = umbel_json_next(each)) {
        const struct umbel_json *inner = umbel_json_member(each, "options");
        put_option_row(out, each, umbel_json_member_text(each, "name", ""));
        if (umbel_json_count(inner))
            put_plugin_options(out, inner);
    }
    umbel_out_text(out, ".El\n");
}

void man_umbel_conf(struct umbel_out *out, const struct umbel_json *options, struct umbel_json *const *plugins, size_t count)
{
    const char *section = NULL;

    man_head(out, "umbel.conf", "5", "configuration of umbeld");
    umbel_out_text(out, ".Sh DESCRIPTION\nOptions and sections of options:\n");
    man_literal(out, "runtime_dir = \"/run/umbel\"\nupstream demo {\n  base_url = \"https://api.example.com/v1\"\n  api_key  = \"env:DEMO_KEY\"\n}\n"
                     "app shop {\n  upstreams = { \"demo\" }\n  keys      = { \"file:/etc/umbel/shop.key\" }\n}\n"
                     "transport api {\n  plugin = \"openai-api\"\n  listen = { \"127.0.0.1:8804\" }\n  apps   = { \"shop\" }\n}\n"
                     "include(\"transport.d/more.conf\")\n");
    umbel_out_text(out, "Comments are\n.Ql #\nand\n.Ql //\nto the end of the line, and the C kind.\nSecrets are env:NAME or file:PATH.\n"
                        "Check a change with\n.Ic umbeld --check -c Ar FILE ,\nsee what it would do with\n.Ic umbelctl config diff ,\n"
                        "apply it with\n.Ic umbelctl reload .\n.Sh OPTIONS\n");
    for (const struct umbel_json *each = umbel_json_first(options); each; each = umbel_json_next(each)) {
        const char *of = umbel_json_member_text(each, "section", "");
        if (!section || strcmp(of, section) != 0) {
            umbel_out_printf(out, "%s.Ss %s\n.Bl -tag -width 6n\n", section ? ".El\n" : "", *of ? of : "outside of sections");
            section = of;
        }
        put_option_row(out, each, umbel_json_member_text(each, "option", ""));
    }
    umbel_out_text(out, section ? ".El\n" : "");
    umbel_out_text(out, ".Sh OPTIONS OF PLUGINS\nA transport section takes the options of its plugin besides its own.\n");
    for (size_t i = 0; i < count; i++) {
        umbel_out_printf(out, ".Ss %s\n", umbel_json_member_text(plugins[i], "name", ""));
        man_text(out, umbel_json_member_text(plugins[i], "summary", ""));
        umbel_out_text(out, ".\n");
        if (umbel_json_count(umbel_json_member(plugins[i], "options")))
            put_plugin_options(out, umbel_json_member(plugins[i], "options"));
    }
    see_also(out, "umbel.conf");
}

/* ---- umbel-plugin(7) ---- */

void man_umbel_plugin(struct umbel_out *out, const char *table, struct umbel_json *const *plugins, size_t count)
{
    man_head(out, "umbel-plugin", "7", "transport plugins of umbeld");
    umbel_out_printf(out,
                     ".Sh DESCRIPTION\nA transport plugin is a shared object that speaks one client protocol.\n"
                     "Each transport section of\n.Xr umbel.conf 5\nruns in processes of its own,\n.Nm umbel-host ,\nwith exactly one plugin, without the "
                     "daemon's secrets and confined;\none that crashes is started again and disturbs nobody else.\n"
                     ".Pp\nPlugins are looked for as\n.Pa NAME.so\nin\n.Pa umbel/plugins\nbelow the library directory; a section names one as\n"
                     ".Cm plugin .\nThe public headers are\n.In umbel/transport.h\nand those it includes; the ABI is %u.%u, and grows by appending.\n"
                     ".Sh THE TABLE\nThe shared object exports one symbol,\n.Vt const struct umbel_transport\n.Va umbel_transport .\n"
                     "All up to open is data, and checked before anything is called:\n",
                     (unsigned)UMBEL_ABI_MAJOR, (unsigned)UMBEL_ABI_MINOR);
    man_literal(out, table);
    umbel_out_text(out, ".Sh SHIPPED PLUGINS\nTheir options are in\n.Xr umbel.conf 5 .\n.Bl -tag -width 6n\n");
    for (size_t i = 0; i < count; i++) {
        umbel_out_printf(out, ".It Nm %s\n", umbel_json_member_text(plugins[i], "name", ""));
        man_text(out, umbel_json_member_text(plugins[i], "summary", ""));
        umbel_out_text(out, "; version ");
        man_line(out, umbel_json_member_text(plugins[i], "version", ""));
    }
    umbel_out_text(out, ".El\n");
    see_also(out, "umbel-plugin");
}
