#include <stdio.h>
#include <string.h>

#include "tools/umbelctl/ctl.h"

void ctl_usage(bool colour)
{
    const char *bold = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";

    printf("umbelctl - look at a running umbeld, and tell it what to do\n\n"
           "%susage%s  umbelctl [-s DIR] [--json] [COMMAND]\n\n%scommands%s\n",
           bold, plain, bold, plain);
    for (size_t i = 0; i < ADMIN_COMMAND_COUNT; i++)
        printf("  %s%-14s%s %s%s\n", bold, admin_commands[i].words, plain, admin_commands[i].summary, i == ADMIN_status ? " (default)" : "");
    printf("\n%soptions%s\n"
           "  -s, --runtime-dir DIR  the daemon's runtime_dir.  Default: $UMBEL_RUNTIME_DIR, /run/umbel,\n"
           "                         $XDG_RUNTIME_DIR/umbel, /tmp/umbel-UID\n"
           "  --json                 one JSON document instead of text\n"
           "  -h, --help             this, or after a command its own help\n"
           "  --version              the version\n\n"
           "%sexit%s   0 done, 1 failed (also: no such id), 2 wrong use, 3 umbeld is not running\n\n"
           "Lists come from shared memory: they work while umbeld is stopped or stuck.\n",
           bold, plain, bold, plain);
}

void ctl_explain(const struct admin_command *command, bool colour)
{
    const char *bold = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";

    printf("%sumbelctl %s%s%s%s\n\n  %s\n", bold, command->words, plain, command->arguments[0] ? " " : "", command->arguments,
           command->summary);
    for (size_t i = 0; i < admin_option_count; i++)
        if (admin_options[i].command == command->id)
            printf("\n  --%s%s%s\n      %s\n", admin_options[i].name, *admin_options[i].value ? " " : "", admin_options[i].value, admin_options[i].explanation);
    if (command->role == ADMIN_OPERATE)
        printf("\n  Goes over the admin socket: umbeld must answer.\n");
    else if (command->role == ADMIN_VIEW)
        printf("\n  Reads shared memory: works while umbeld is stopped or stuck.  With --json: one document, all fields\n"
               "  (docs/commands.md).\n");
}

int ctl_help(const struct ctl *ctl)
{
    const struct admin_command *command;
    size_t used = 0;

    if (ctl->word_count == 0) {
        ctl_usage(ctl->colour);
        return CTL_OK;
    }
    command = admin_command_match(ctl->words, ctl->word_count, &used);
    if (command && used == ctl->word_count) {
        ctl_explain(command, ctl->colour);
        return CTL_OK;
    }
    for (size_t i = 0, found = 0; i < ADMIN_COMMAND_COUNT; i++) { /* "help stream": all that begin so */
        size_t size = strlen(ctl->words[0]);

        if (ctl->word_count == 1 && strncmp(admin_commands[i].words, ctl->words[0], size) == 0 && admin_commands[i].words[size] == ' ') {
            printf("%s", found++ ? "\n" : "");
            ctl_explain(&admin_commands[i], ctl->colour);
        }
        if (i + 1 == ADMIN_COMMAND_COUNT && found > 0)
            return CTL_OK;
    }
    command = admin_command_nearest(ctl->words[0]);
    return ctl_complain(CTL_USAGE, command ? command->words : "umbelctl help lists all", "no command is called %s%s", ctl->words[0],
                        command ? "; the nearest is:" : "");
}
