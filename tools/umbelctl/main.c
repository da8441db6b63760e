/* umbelctl - the admin command line.  What it shows it reads from stats pages, what it does goes over the admin socket. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <umbel/version.h>
#include <unistd.h>

#include "tools/umbelctl/args.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/text.h"

static ctl_command *const commands[ADMIN_COMMAND_COUNT] = {
    [ADMIN_status] = ctl_status,
    [ADMIN_stream_list] = ctl_stream_list,
    [ADMIN_client_list] = ctl_client_list,
    [ADMIN_host_list] = ctl_host_list,
    [ADMIN_upstream_list] = ctl_upstream_list,
    [ADMIN_ring_show] = ctl_ring_show,
    [ADMIN_counters] = ctl_counters,
    [ADMIN_chat] = ctl_chat,
    [ADMIN_session_list] = ctl_session_list,
    [ADMIN_usage] = ctl_usage_sums,
    [ADMIN_session_show] = ctl_session_show,
    [ADMIN_reload] = ctl_reload,
    [ADMIN_config_diff] = ctl_config_diff,
    [ADMIN_config_check] = ctl_config_check,
    [ADMIN_config_doc] = ctl_config_doc,
    [ADMIN_config_default] = ctl_config_default,
    [ADMIN_plugin_list] = ctl_plugin_list,
    [ADMIN_plugin_upgrade] = ctl_change_over,
    [ADMIN_plugin_new] = ctl_plugin_new,
    [ADMIN_plugin_check] = ctl_plugin_check,
    [ADMIN_restart] = ctl_change_over,
    [ADMIN_drain] = ctl_drain,
    [ADMIN_core_upgrade] = ctl_core_upgrade,
    [ADMIN_upstream_probe] = ctl_upstream_probe,
    [ADMIN_replay] = ctl_replay,
    [ADMIN_key_mint] = ctl_key_mint,
    [ADMIN_completion] = ctl_completion,
    [ADMIN_selftest] = ctl_selftest,
    [ADMIN_log_show] = ctl_log,
    [ADMIN_log_fields] = ctl_log_fields,
    [ADMIN_trace] = ctl_trace,
    [ADMIN_stat] = ctl_stat,
    [ADMIN_top] = ctl_top,
    [ADMIN_stream_tail] = ctl_stream_tail,
    [ADMIN_help] = ctl_help,
};

static const char *default_runtime_dir(void)
{
    static char path[4096];
    const char *named = getenv("UMBEL_RUNTIME_DIR"), *own = getenv("XDG_RUNTIME_DIR");
    struct stat about;

    if (named && named[0])
        return named;
    if (stat("/run/umbel", &about) == 0 && S_ISDIR(about.st_mode))
        return "/run/umbel";
    if (own && own[0])
        snprintf(path, sizeof path, "%s/umbel", own);
    else
        snprintf(path, sizeof path, "/tmp/umbel-%lu", (unsigned long)getuid());
    return path;
}

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv)
{
    struct ctl ctl = {.colour = wants_colour()};

    signal(SIGPIPE, SIG_IGN);
    switch (args_read(argc, argv, &ctl)) {
    case ARGS_BAD:
        return CTL_USAGE;
    case ARGS_VERSION:
        printf("umbelctl %s\n", UMBEL_VERSION);
        return print_finish(CTL_OK);
    case ARGS_HELP:
        if (ctl.command)
            ctl_explain(ctl.command, ctl.colour);
        else
            ctl_usage(ctl.colour);
        return print_finish(CTL_OK);
    case ARGS_RUN:
        break;
    }
    if (!ctl.runtime_dir)
        ctl.runtime_dir = default_runtime_dir();
    return print_finish(commands[ctl.command->id] ? commands[ctl.command->id](&ctl) : ctl_operate(&ctl));
}
