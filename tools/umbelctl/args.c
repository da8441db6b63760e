#include "tools/umbelctl/args.h"

#include <stdio.h>
#include <string.h>

struct reading {
    struct ctl *ctl;
    int argc, at;
    char **argv;
    enum args_wish wish;
};

static enum args_wish bad(const char *hint, const char *text, const char *what)
{
    ctl_complain(CTL_USAGE, hint, text, what);
    return ARGS_BAD;
}

/* The value of an option: behind its "=", or the next argument.  NULL if there is none. */
static const char *take_value(struct reading *reading, const char *equals)
{
    if (equals)
        return equals + 1;
    if (reading->at + 1 >= reading->argc)
        return NULL;
    return reading->argv[++reading->at];
}

/* Options of every command.  True if this was one. */
static bool read_common(struct reading *reading, const char *text, size_t size, const char *equals)
{
    struct ctl *ctl = reading->ctl;

    if ((size == 13 && strncmp(text, "--runtime-dir", 13) == 0) || strcmp(text, "-s") == 0) {
        ctl->runtime_dir = take_value(reading, equals);
        if (!ctl->runtime_dir || !ctl->runtime_dir[0])
            reading->wish = bad("umbelctl -s /run/umbel status", "%s needs a directory", text);
    } else if (strcmp(text, "--json") == 0) {
        ctl->json = true;
    } else if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
        reading->wish = ARGS_HELP;
    } else if (strcmp(text, "--version") == 0) {
        reading->wish = ARGS_VERSION;
    } else {
        return false;
    }
    return true;
}

static void read_option(struct reading *reading)
{
    const char *text = reading->argv[reading->at], *equals = strchr(text, '=');
    size_t size = equals ? (size_t)(equals - text) : strlen(text);
    struct ctl *ctl = reading->ctl;
    const struct admin_option *option = NULL;
    char hint[256];

    if (read_common(reading, text, size, equals))
        return;
    if (ctl->command && text[1] != '-') /* the few that have a letter, too */
        option = strcmp(text, "-q") == 0   ? admin_option_named(ctl->command->id, "query", 5)
                 : strcmp(text, "-f") == 0 ? admin_option_named(ctl->command->id, "follow", 6)
                                           : NULL;
    else if (ctl->command && size > 2)
        option = admin_option_named(ctl->command->id, text + 2, size - 2);
    if (!option) {
        if (ctl->command)
            snprintf(hint, sizeof hint, "usage: umbelctl %s %s", ctl->command->words, ctl->command->arguments);
        else
            snprintf(hint, sizeof hint, "options of a command come after it; see umbelctl --help");
        reading->wish = bad(hint, "unknown option %s", text);
        return;
    }
    for (size_t i = 0; i < ctl->option_count; i++)
        if (ctl->option_name[i] == option->name) {
            reading->wish = bad("give it once", "--%s is there twice", option->name);
            return;
        }
    ctl->option_name[ctl->option_count] = option->name;
    if (!option->value[0]) { /* it is there or not */
        if (equals) {
            reading->wish = bad("write it without a value", "--%s takes no value", option->name);
            return;
        }
        ctl->option_value[ctl->option_count++] = "yes";
        return;
    }
    ctl->option_value[ctl->option_count] = take_value(reading, equals);
    if (!ctl->option_value[ctl->option_count]) {
        snprintf(hint, sizeof hint, "--%s %s: %s", option->name, option->value, option->explanation);
        reading->wish = bad(hint, "--%s needs a value", option->name);
        return;
    }
    ctl->option_count++;
}

/* The words after at that could name a command, tried against the table. */
static void find_command(struct reading *reading)
{
    char **words = reading->argv + reading->at;
    size_t count = 0, used = 0;
    const struct admin_command *near;
    char typed[128] = "", hint[256] = "see umbelctl --help";

    while (reading->at + (int)count < reading->argc && count < ADMIN_WORDS_MAX && words[count][0] != '-')
        count++;
    if (count > 0 && strcmp(words[0], "streams") == 0)
        words[0][strlen("stream")] = '\0'; /* as many say */
    reading->ctl->command = admin_command_match(words, count, &used);
    if (reading->ctl->command) {
        reading->at += (int)used - 1;
        return;
    }
    for (size_t n = count; n > 0; n--) { /* as typed, and then with fewer words: the rest may be arguments */
        typed[0] = '\0';
        for (size_t i = 0; i < n; i++)
            snprintf(typed + strlen(typed), sizeof typed - strlen(typed), "%s%s", i ? " " : "", words[i]);
        near = admin_command_nearest(typed);
        if (near) {
            snprintf(hint, sizeof hint, "did you mean: umbelctl %s %s", near->words, near->arguments);
            break;
        }
    }
    reading->wish = bad(hint, "unknown command: %s", typed);
}

static enum args_wish check_count(const struct ctl *ctl)
{
    const struct admin_command *command = ctl->command;
    char hint[256];

    if (ctl->word_count >= command->min && ctl->word_count <= command->max)
        return ARGS_RUN;
    snprintf(hint, sizeof hint, "usage: umbelctl %s %s%s", command->words, command->arguments,
             command->id == ADMIN_chat && ctl->word_count > 1 ? "  (put the question in quotes)" : "");
    if (ctl->word_count < command->min)
        return bad(hint, "%s: an argument is missing", command->words);
    return bad(hint, "too many arguments: %s", ctl->words[command->max]);
}

enum args_wish args_read(int argc, char **argv, struct ctl *ret_ctl)
{
    struct reading reading = {.ctl = ret_ctl, .argc = argc, .at = 1, .argv = argv, .wish = ARGS_RUN};
    bool only_words = false;

    ret_ctl->words = argv; /* words are moved to its front, which was read before */
    for (; reading.at < argc && reading.wish == ARGS_RUN; reading.at++) {
        char *text = argv[reading.at];

        if (!only_words && strcmp(text, "--") == 0)
            only_words = true;
        else if (!only_words && text[0] == '-' && text[1] != '\0')
            read_option(&reading);
        else if (!ret_ctl->command)
            find_command(&reading);
        else
            ret_ctl->words[ret_ctl->word_count++] = text;
    }
    if (reading.wish != ARGS_RUN)
        return reading.wish;
    if (!ret_ctl->command)
        ret_ctl->command = &admin_commands[ADMIN_status];
    return check_count(ret_ctl);
}
