/* config check, doc, default: what umbeld itself says of a configuration.  It stands beside umbelctl and is run for it, so that there is
 * one reader of that file and one table of its options. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <umbel/json.h>
#include <unistd.h>

#include "tools/umbelctl/call.h"
#include "tools/umbelctl/print.h"

#define SAID_MAX 65536u /* bytes that a check may say */

static int find_umbeld(char *ret_path, size_t room)
{
    char own[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
    char *slash;

    if (size < 0)
        return ctl_complain(CTL_FAILED, NULL, "cannot tell where umbelctl is: %s", strerror(errno));
    own[size] = '\0';
    if ((slash = strrchr(own, '/')))
        *slash = '\0';
    if ((size_t)snprintf(ret_path, room, "%s/umbeld", own) >= room || access(ret_path, X_OK) == -1)
        return ctl_complain(CTL_FAILED, "both are installed into one folder", "umbeld is not beside umbelctl in %s", own);
    return CTL_OK;
}

/* Runs umbeld with these arguments, its output to out (both kinds), or to ours with out NULL.  Its exit status, or -1 after a complaint. */
static int run_umbeld(char *const argv[], struct umbel_out *out)
{
    char program[PATH_MAX], chunk[4096];
    int fds[2] = {-1, -1}, status;
    ssize_t n;

    if (find_umbeld(program, sizeof program) != CTL_OK)
        return -1;
    if (out && pipe(fds) == -1)
        return ctl_complain(CTL_FAILED, NULL, "no pipe: %s", strerror(errno)), -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (out) {
            dup2(fds[1], STDOUT_FILENO);
            dup2(fds[1], STDERR_FILENO);
            close(fds[0]);
            close(fds[1]);
        }
        execv(program, argv);
        _exit(127);
    }
    if (out)
        close(fds[1]);
    while (out && pid > 0 && (n = read(fds[0], chunk, sizeof chunk)) > 0)
        umbel_out_put(out, chunk, (size_t)n);
    if (out)
        close(fds[0]);
    if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127) {
        ctl_complain(CTL_FAILED, NULL, "%s could not be run", program);
        return -1;
    }
    return WEXITSTATUS(status);
}

/* One line for people, or one JSON object. */
static int tell(const struct ctl *ctl, const char *file, bool good, const char *text)
{
    struct umbel_out out = {0};

    if (!ctl->json && !good)
        return ctl_complain(CTL_FAILED, NULL, "%s", text);
    if (ctl->json) {
        umbel_out_printf(&out, "{\"ok\":%s,\"file\":", good ? "true" : "false");
        umbel_out_json(&out, file, strlen(file));
        umbel_out_text(&out, good ? ",\"said\":" : ",\"error\":");
        umbel_out_json(&out, text, strlen(text));
        umbel_out_text(&out, "}");
    } else {
        umbel_out_text(&out, text);
    }
    return print_document(&out) == CTL_OK && good ? CTL_OK : CTL_FAILED;
}

static int check_file(const struct ctl *ctl, const char *file)
{
    char *const argv[] = {(char *)(uintptr_t)"umbeld", (char *)(uintptr_t)"--check", (char *)(uintptr_t)"-c", (char *)(uintptr_t)file, NULL};
    struct umbel_out said = {.limit = SAID_MAX};
    int status = run_umbeld(argv, &said), r;

    while (said.size && said.data[said.size - 1] == '\n')
        said.size--;
    umbel_out_put(&said, "", 1);
    r = status < 0 ? CTL_FAILED : tell(ctl, file, status == 0, said.failed ? "its words do not fit" : said.data);
    umbel_out_free(&said);
    return r;
}

/* The daemon reads its own file as a comparison would: it has the environment that the file's env: names stand in. */
static int check_running(const struct ctl *ctl)
{
    struct ctl diff = *ctl;
    struct call call = {.may_take_long = true};
    char text[PATH_MAX + 64];
    int r;

    diff.command = &admin_commands[ADMIN_config_diff];
    r = call_daemon(&diff, &call);
    if (!call.reply)
        return r;
    const char *file = umbel_json_member_text(call.reply, "file", "");
    if (r == CTL_OK) {
        snprintf(text, sizeof text, "%s: good, %zu changes since it was last applied", file,
                 umbel_json_count(umbel_json_member(call.reply, "changes")));
        r = tell(ctl, file, true, text);
    } else {
        r = tell(ctl, file, false, umbel_json_member_text(call.reply, "error", "the daemon refused, and did not say why"));
    }
    umbel_json_free(call.reply);
    return r;
}

int ctl_config_check(const struct ctl *ctl)
{
    return ctl->word_count ? check_file(ctl, ctl->words[0]) : check_running(ctl);
}

int ctl_config_doc(const struct ctl *ctl)
{
    char what[256];
    char *const argv[] = {(char *)(uintptr_t)"umbeld", what, (char *)(uintptr_t)(ctl->json ? "--json" : NULL), NULL};

    if ((size_t)snprintf(what, sizeof what, "--config-doc=%s", ctl->word_count ? ctl->words[0] : "") >= sizeof what)
        return ctl_complain(CTL_USAGE, NULL, "no section and no option has so long a name");
    return run_umbeld(argv, NULL) == 0 ? CTL_OK : CTL_FAILED;
}

int ctl_config_default(const struct ctl *ctl)
{
    char *const argv[] = {(char *)(uintptr_t)"umbeld", (char *)(uintptr_t)"--config-default", NULL};

    if (ctl->json)
        return ctl_complain(CTL_USAGE, "umbelctl config doc --json lists all options", "a configuration is no JSON");
    return run_umbeld(argv, NULL) == 0 ? CTL_OK : CTL_FAILED;
}
