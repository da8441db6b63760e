#include "core/daemon/daemon_renew.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon_ask.h"
#include "core/daemon/daemon_inherit.h"
#include "core/daemon/daemon_sockets.h"

#define WAIT_S 10u
#define WAIT_MAX_S 600u
#define ARGUMENTS_MAX 32

static char program[PATH_MAX];
static char *const *program_argv;
static bool wanted; /* once the daemon has ended */

struct daemon_renew {
    struct daemon *daemon;
    struct admin_request *request;
    struct daemon_ask *ask;
    uint32_t wait_ms;
    bool check_only;
};

void daemon_renew_program(int argc, char *const argv[])
{
    static const char deleted[] = " (deleted)";
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    (void)argc;
    program_argv = argv;
    program[n > 0 ? n : 0] = '\0';
    size_t size = strlen(program);
    if (size > sizeof deleted && strcmp(program + size - (sizeof deleted - 1), deleted) == 0)
        program[size - (sizeof deleted - 1)] = '\0'; /* replaced between exec and here */
}

void daemon_renew_end(struct daemon *daemon)
{
    if (!daemon->renew)
        return;
    daemon_ask_cancel(daemon->renew->ask);
    free(daemon->renew);
    daemon->renew = NULL;
}

static void gone(void *owner)
{
    daemon_renew_end(((struct daemon_renew *)owner)->daemon);
}

/* What the sockets' next owner cannot have. */
static void put_losses(const struct daemon *daemon, struct umbel_out *out)
{
    uint32_t running = answer_table_live(daemon->answers);

    umbel_out_printf(out, "\"answers\":%u,\"lost\":[", running);
    umbel_out_text(out, "\"connections: idle clients are told to come again (WebSocket 1001), others end with their answer\",");
    umbel_out_text(out, "\"places in finished answers (resume): they are in memory only; conversations are in the history\",");
    umbel_out_text(out, "\"counters and the lists of answers begin anew\"]");
}

/* All that executing the new program needs: there is no way back from its failure then. */
static int keep_sockets(struct daemon *daemon, struct why *why)
{
    struct rlimit limit = {0};
    int r = 0;

    daemon_inherit_begin();
    for_each_worker(daemon, h)
        for (size_t i = 0; i < h->socket_count && r == 0; i++)
            r = daemon_inherit_add(h->sockets[i]->fd);
    if (r == 0)
        r = daemon_inherit_ready();
    if (r == 0)
        return 0;
    daemon_inherit_undo();
    if (r == -ENOSPC)
        return why_set(why, r, "there are more than %u listening sockets", INHERIT_MAX);
    if (r != -EMFILE)
        return why_errno(why, -r, "its listening sockets cannot be kept");
    getrlimit(RLIMIT_NOFILE, &limit);
    return why_set(why, r, "its listening sockets cannot be kept: umbeld may have %llu descriptors (RLIMIT_NOFILE) and needs more",
                   (unsigned long long)limit.rlim_cur);
}

/* The new file is good: from here on there is no way back. */
static void go(struct daemon *daemon, uint32_t wait_ms)
{
    log_info("core upgrade: ends its hosts within %u s, then executes %s", wait_ms / 1000, program);
    wanted = true;
    daemon->stopping = true;
    stats_set(daemon->stats, CORE_ACCEPTING, 0);
    for_each_worker(daemon, h)
        h->host.again = false;
    for_each_worker(daemon, h)
        host_retire(&h->host, wait_ms);
    if (daemon_hosts_gone(daemon))
        uring_loop_stop(daemon->loop);
}

static void checked(void *owner, int r, const char *text)
{
    struct daemon_renew *renew = owner;
    struct daemon *daemon = renew->daemon;
    struct umbel_out members = {0};
    bool check_only = renew->check_only;
    uint32_t wait_ms = renew->wait_ms;
    struct why why = {""};

    renew->ask = NULL;
    if (r == 0 && !check_only && daemon->stopping)
        r = -EBUSY, text = "the daemon is being stopped";
    if (r == 0 && (r = keep_sockets(daemon, &why)) < 0)
        text = why.text;
    if (r == 0 && check_only)
        daemon_inherit_undo();
    if (r < 0) {
        admin_fail(renew->request, text, "nothing has changed");
        daemon_renew_end(daemon);
        return;
    }
    umbel_out_printf(&members, "\"state\":\"%s\",", check_only ? "can be upgraded" : "is being upgraded");
    put_losses(daemon, &members);
    umbel_out_put(&members, "", 1);
    admin_finish(renew->request, members.failed ? NULL : members.data);
    umbel_out_free(&members);
    daemon_renew_end(daemon);
    if (!check_only)
        go(daemon, wait_ms);
}

static int ask(struct daemon_renew *renew, struct why *why)
{
    char *argv[ARGUMENTS_MAX + 3];
    int count = 0;

    argv[count++] = program;
    for (int i = 1; program_argv[i] && count < ARGUMENTS_MAX; i++)
        argv[count++] = program_argv[i];
    argv[count++] = (char[]){"--check"};
    argv[count] = NULL;
    return daemon_ask_begin(renew->daemon, argv, true, checked, renew, &renew->ask, why);
}

static void core_upgrade(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const char *wait_text = admin_option_value(arguments, "wait"), *word = admin_argument(arguments, 0);
    uint64_t wait_s = WAIT_S;
    struct why why = {""};

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (wait_text && (!number_parse_u64(wait_text, strlen(wait_text), &wait_s) || wait_s < 1 || wait_s > WAIT_MAX_S)) {
        admin_fail(request, "--wait is not a number of seconds from 1 to 600", NULL);
        return;
    }
    if (word && strcmp(word, "check") != 0) {
        admin_fail(request, "only the word check may follow", "umbelctl core upgrade check: what would be lost, and whether the new file is good");
        return;
    }
    if (daemon->renew || daemon->stopping) {
        admin_fail(request, "it is being upgraded or stopped already", NULL);
        return;
    }
    daemon->renew = calloc(1, sizeof *daemon->renew);
    if (!daemon->renew) {
        admin_fail(request, "no memory", NULL);
        return;
    }
    *daemon->renew = (struct daemon_renew){.daemon = daemon, .request = request, .wait_ms = (uint32_t)wait_s * 1000,
                                           .check_only = word != NULL};
    admin_on_gone(request, gone, daemon->renew);
    if (ask(daemon->renew, &why) < 0) {
        admin_fail(request, why.text, "nothing has changed");
        daemon_renew_end(daemon);
    }
}

void daemon_renew_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "core upgrade", core_upgrade, daemon);
}

void daemon_renew_exec(void)
{
    if (!wanted)
        return;
    int r = daemon_inherit_exec(program, program_argv);
    log_error("cannot execute %s: %s", program, strerror(-r));
}
