/* umbelctl/ctl.h - what the commands share: how they were called, and how they end. */
#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/admin/admin_command.h"

enum ctl_exit { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_NOT_RUNNING = 3 };

struct ctl {
    const char *runtime_dir;
    bool json;
    bool colour; /* standard output is a terminal that wants it */
    const struct admin_command *command;
    char **words; /* arguments that are no options */
    size_t word_count;
    const char *option_name[ADMIN_OPTIONS_MAX], *option_value[ADMIN_OPTIONS_MAX];
    size_t option_count;
};

/* ctl_option - the value of --name, or NULL. */
const char *ctl_option(const struct ctl *ctl, const char *name);

/* ctl_complain - "umbelctl: what" and, if hint is not empty, "  hint" to standard error; returns code. */
int ctl_complain(enum ctl_exit code, const char *hint, const char *format, ...) __attribute__((format(printf, 3, 4)));

typedef int ctl_command(const struct ctl *ctl); /* returns an exit code */
ctl_command ctl_status, ctl_stream_list, ctl_client_list, ctl_host_list, ctl_upstream_list, ctl_ring_show, ctl_counters, ctl_chat, ctl_help,
    ctl_operate, ctl_replay, ctl_key_mint, ctl_completion, ctl_selftest, ctl_plugin_list, ctl_plugin_new, ctl_plugin_check,
    ctl_change_over, ctl_drain, ctl_core_upgrade, ctl_session_list, ctl_session_show, ctl_upstream_probe, ctl_usage_sums,
    ctl_log, ctl_log_fields, ctl_trace, ctl_stat, ctl_top, ctl_stream_tail, ctl_reload, ctl_config_diff, ctl_config_check, ctl_config_doc, ctl_config_default;

void ctl_usage(bool colour);                                     /* the whole help, to standard output */
void ctl_explain(const struct admin_command *command, bool colour); /* one command's */

#endif
