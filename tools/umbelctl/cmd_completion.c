/* completion: scripts for bash and zsh, made of the table of commands.
 *
 * Both shells run the same code: a function that is given the words so far and prints what may follow, a line each.  What only the daemon
 * knows is asked of it (umbelctl ... --json) when it is wanted; a daemon that does not run has no suggestions. */
#include <stdio.h>
#include <string.h>
#include <umbel/out.h>

#include "tools/umbelctl/ctl.h"
#include "tools/umbelctl/print.h"

/* What stands for a value in the table of commands, or is an option's name, and where its values are to be had. */
static const struct {
    const char *of; /* option's name, or "COMMAND WORDS:PLACEHOLDER" for arguments */
    const char *values; /* shell */
} sources[] = {
    {"app", "_umbelctl_ask app stream list; _umbelctl_ask app session list"},
    {"transport", "_umbelctl_ask transport host list"},
    {"host", "_umbelctl_ask name host list; _umbelctl_ask transport host list"},
    {"upstream", "_umbelctl_ask name upstream list"},
    {"state", "printf '%s\\n' connecting streaming complete truncated failed cancelled"},
    {"cut", "printf '%s\\n' as-captured every-byte"},
    {"by", "printf '%s\\n' app key day upstream"},
    {"view", "printf '%s\\n' streams clients hosts upstreams"},
    {"dir", "echo @files"},
    {"write", "echo @files"},
    {"session", "_umbelctl_ask session session list"},
    {"stream cancel:ID", "_umbelctl_ask id stream list --state streaming"},
    {"stream tail:SESSION|ID", "_umbelctl_ask id stream list; _umbelctl_ask session session list"},
    {"trace:ID", "_umbelctl_ask id stream list"},
    {"host restart:NAME", "_umbelctl_ask name host list; _umbelctl_ask transport host list"},
    {"drain:NAME", "_umbelctl_ask transport host list"},
    {"start:NAME", "_umbelctl_ask transport host list"},
    {"restart:NAME", "_umbelctl_ask transport host list"},
    {"plugin upgrade:NAME", "_umbelctl_ask transport host list; _umbelctl_ask plugin host list"},
    {"upstream probe:NAME", "_umbelctl_ask name upstream list"},
    {"session show:SESSION", "_umbelctl_ask session session list"},
    {"session forget:SESSION", "_umbelctl_ask session session list"},
    {"replay:FILE", "echo @files"},
    {"config check:FILE", "echo @files"},
    {"config diff:FILE", "echo @files"},
    {"completion:SHELL", "printf '%s\\n' bash zsh"},
    {"help:COMMAND", "_umbelctl_commands"},
};

static const char *source_of(const char *name)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (strcmp(sources[i].of, name) == 0)
            return sources[i].values;
    return NULL;
}

static void put_commands(struct umbel_out *out)
{
    umbel_out_text(out, "_umbelctl_commands() {\n    printf '%s\\n'");
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++)
        umbel_out_printf(out, " '%s'", admin_commands[i].words);
    umbel_out_text(out, "\n}\n\n");
}

/* Of each command: its options; each with a value where that is known. */
static void put_options(struct umbel_out *out)
{
    umbel_out_text(out, "_umbelctl_options() {\n    case $1 in\n");
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        umbel_out_printf(out, "    '%s') printf '%%s\\n' --json --help --runtime-dir", admin_commands[i].words);
        for (size_t o = 0; o < admin_option_count; o++)
            if (admin_options[o].command == admin_commands[i].id)
                umbel_out_printf(out, " --%s", admin_options[o].name);
        umbel_out_text(out, " ;;\n");
    }
    umbel_out_text(out, "    *) printf '%s\\n' --json --help --runtime-dir --version ;;\n    esac\n}\n\n");
}

/* Does this option of this command take a value, and which ones are there? */
static void put_values(struct umbel_out *out)
{
    umbel_out_text(out, "# 1: it takes no value\n_umbelctl_value() {\n    case $1:$2 in\n    *:-s | *:--runtime-dir) echo @files ;;\n");
    for (size_t o = 0; o < admin_option_count; o++) {
        const char *source = source_of(admin_options[o].name);

        if (!*admin_options[o].value)
            continue;
        umbel_out_printf(out, "    '%s:--%s') %s ;;\n", admin_commands[admin_options[o].command].words, admin_options[o].name,
                         source ? source : ":");
    }
    umbel_out_text(out, "    *) return 1 ;;\n    esac\n}\n\n");
}

static void put_arguments(struct umbel_out *out)
{
    umbel_out_text(out, "_umbelctl_argument() {\n    case $1 in\n");
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++) {
        char name[256];
        const char *at = admin_commands[i].arguments + (admin_commands[i].arguments[0] == '[');
        const char *source;

        if (admin_commands[i].max == 0)
            continue;
        snprintf(name, sizeof name, "%s:%.*s", admin_commands[i].words, (int)strcspn(at, " ]"), at);
        source = source_of(name);
        if (source)
            umbel_out_printf(out, "    '%s') %s ;;\n", admin_commands[i].words, source);
    }
    umbel_out_text(out, "    esac\n}\n\n");
}

static const char shared[] =
    "# The member of that name of what a list holds.  Names with quotes or backslashes are left out.\n"
    "_umbelctl_ask() {\n"
    "    local member=$1\n"
    "    shift\n"
    "    command umbelctl ${_umbelctl_dir:+-s} ${_umbelctl_dir:+\"$_umbelctl_dir\"} \"$@\" --json 2>/dev/null |\n"
    "        grep -o \"\\\"$member\\\":\\\"[^\\\"\\\\\\\\]*\\\"\" | sed 's/^[^:]*:\"//; s/\"$//' | grep . | sort -u\n"
    "}\n\n"
    "# Arguments: the words before the one that is being written.  Prints what may come: lines, or @files.\n"
    "_umbelctl_next() {\n"
    "    local word command= first= before= wants= each ended= _umbelctl_dir=\n"
    "    for word in \"$@\"; do\n"
    "        if [ -n \"$wants\" ]; then\n"
    "            case $wants in -s | --runtime-dir) _umbelctl_dir=$word ;; esac\n"
    "            wants=\n"
    "            continue\n"
    "        fi\n"
    "        case $word in\n"
    "        --runtime-dir=*) _umbelctl_dir=${word#*=} ;;\n"
    "        -*=*) ;;\n"
    "        -*) if _umbelctl_value \"$command\" \"$word\" >/dev/null; then wants=$word; fi ;;\n"
    "        *)\n"
    "            each=\"${before:+$before }$word\"\n"
    "            if [ -z \"$ended\" ] && _umbelctl_commands | grep -q \"^$each\\( \\|\\$\\)\"; then\n"
    "                before=$each\n"
    "                if _umbelctl_commands | grep -qx \"$each\"; then command=$each; fi\n"
    "            else\n"
    "                ended=1\n"
    "            fi\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    if [ -n \"$wants\" ]; then\n"
    "        _umbelctl_value \"$command\" \"$wants\"\n"
    "        return\n"
    "    fi\n"
    "    if [ -z \"$ended\" ]; then\n"
    "        if [ -z \"$before\" ]; then\n"
    "            _umbelctl_commands | sed 's/ .*//' | sort -u\n"
    "        else\n"
    "            _umbelctl_commands | sed -n \"s/^$before \\([^ ]*\\).*/\\1/p\" | sort -u\n"
    "        fi\n"
    "    fi\n"
    "    _umbelctl_options \"$command\"\n"
    "    if [ -z \"$ended\" ] && [ -n \"$command\" ]; then _umbelctl_argument \"$command\"; fi\n"
    "}\n\n";

static const char for_bash[] =
    "_umbelctl() {\n"
    "    local next current=${COMP_WORDS[COMP_CWORD]} IFS=$'\\n'\n"
    "    next=$(_umbelctl_next \"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n"
    "    case $'\\n'$next$'\\n' in\n"
    "    *$'\\n@files\\n'*) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
    "    *) COMPREPLY=($(compgen -W \"$next\" -- \"$current\")) ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _umbelctl umbelctl\n";

static const char for_zsh[] =
    "_umbelctl() {\n"
    "    local -a next\n"
    "    next=(\"${(@f)$(_umbelctl_next \"${(@)words[2,CURRENT-1]}\")}\")\n"
    "    if (( ${next[(Ie)@files]} )); then\n"
    "        _files\n"
    "    else\n"
    "        compadd -- ${next:#}\n"
    "    fi\n"
    "}\n"
    "# a file of $fpath is the function itself; else it is sourced\n"
    "if [[ ${funcstack[1]} == _umbelctl ]]; then _umbelctl \"$@\"; else compdef _umbelctl umbelctl; fi\n";

int ctl_completion(const struct ctl *ctl)
{
    const char *shell = ctl->words[0];
    bool bash = strcmp(shell, "bash") == 0;
    struct umbel_out out = {0};

    if (!bash && strcmp(shell, "zsh") != 0)
        return ctl_complain(CTL_USAGE, "source <(umbelctl completion bash)", "there is completion for bash and for zsh, not for %s", shell);
    if (ctl->json)
        return ctl_complain(CTL_USAGE, NULL, "a script is no JSON");
    umbel_out_printf(&out, "%s# completion of umbelctl for %s, made by `umbelctl completion %s`\n\n", bash ? "" : "#compdef umbelctl\n", shell, shell);
    put_commands(&out);
    put_options(&out);
    put_values(&out);
    put_arguments(&out);
    umbel_out_text(&out, shared);
    umbel_out_text(&out, bash ? for_bash : for_zsh);
    fwrite(out.data, 1, out.size, stdout);
    bool failed = out.failed;
    umbel_out_free(&out);
    return failed ? CTL_FAILED : CTL_OK;
}
