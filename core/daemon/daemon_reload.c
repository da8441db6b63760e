#include "core/daemon/daemon_reload.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/config/config_diff.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_trail.h"
#include "core/daemon/daemon_apply.h"
#include "core/daemon/daemon_converge.h"
#include "core/daemon/daemon_handover.h"
#include "core/daemon/daemon_notify.h"
#include "core/daemon/daemon_load.h"

#define WARNINGS_MAX (64u << 10) /* bytes of warnings that a reply repeats; the log has all */

enum reload_state { RELOAD_IDLE, RELOAD_LOADING, RELOAD_SETTLING };

struct daemon_reload {
    struct daemon *daemon;
    enum reload_state state;
    bool only_diff, again; /* again: a signal came meanwhile */
    struct admin_request *request; /* NULL: a signal, or nobody waits any more */
    struct converge *converge;
    struct config *former[RELOAD_FORMER_MAX];
    size_t former_count;
    struct umbel_out reply; /* what the command is told at the end */
    int eventfd;
    struct uring_watch *watch;
    /* the thread's, from its start to its eventfd */
    pthread_t thread;
    char path[PATH_MAX], runtime_dir[PATH_MAX];
    bool runtime_dir_given;
    struct config *loaded;
    struct umbel_out warnings; /* JSON texts with commas between */
    struct why why;
    int result;
};

static void take_warning(void *owner, const char *line)
{
    struct daemon_reload *reload = owner;

    log_warn("%s", line);
    if (reload->warnings.size + strlen(line) > WARNINGS_MAX)
        return;
    umbel_out_text(&reload->warnings, reload->warnings.size ? "," : "");
    umbel_out_json(&reload->warnings, line, strlen(line));
}

static void *load(void *owner)
{
    struct daemon_reload *reload = owner;
    uint64_t one = 1;

    reload->result = daemon_load(reload->path, reload->daemon->host_program, reload->runtime_dir_given ? reload->runtime_dir : NULL,
                                 take_warning, reload, &reload->loaded, &reload->why);
    if (write(reload->eventfd, &one, sizeof one) == -1)
        abort(); /* a fresh eventfd takes a 1 */
    return NULL;
}

static void gone(void *owner)
{
    struct daemon_reload *reload = owner;

    reload->request = NULL; /* what was begun goes on */
}

/* path NULL: the file that the daemon runs with.  0, or -EBUSY and other errors with words. */
static int begin(struct daemon_reload *reload, const char *path, bool only_diff, struct admin_request *request, struct why *why)
{
    const struct config *config = reload->daemon->config;

    if (reload->daemon->stopping)
        return why_set(why, -EBUSY, "the daemon stops");
    if (reload->state != RELOAD_IDLE)
        return why_set(why, -EBUSY, "another reload or comparison is under way");
    snprintf(reload->path, sizeof reload->path, "%s", path ? path : config->path);
    snprintf(reload->runtime_dir, sizeof reload->runtime_dir, "%s", config->runtime_dir);
    reload->runtime_dir_given = config->runtime_dir_given;
    reload->loaded = NULL;
    reload->why.text[0] = '\0';
    umbel_out_reset(&reload->warnings);
    umbel_out_reset(&reload->reply);
    int r = -pthread_create(&reload->thread, NULL, load, reload);
    if (r < 0)
        return why_errno(why, -r, "no thread to read the file");
    reload->state = RELOAD_LOADING;
    reload->only_diff = only_diff;
    if (!only_diff)
        daemon_notify_reloading(reload->daemon);
    reload->request = request;
    if (request)
        admin_on_gone(request, gone, reload);
    return 0;
}

static void end(struct daemon_reload *reload)
{
    converge_free(reload->converge);
    reload->converge = NULL;
    reload->request = NULL;
    reload->state = RELOAD_IDLE;
    daemon_notify_ready(reload->daemon);
    if (reload->again) {
        reload->again = false;
        daemon_reload_signal(reload->daemon);
    }
}

static void refuse(struct daemon_reload *reload, const char *words)
{
    if (!reload->only_diff) {
        stats_add(reload->daemon->stats, CORE_RELOADS_REFUSED, 1);
        daemon_trail_say(reload->daemon, TRAIL_RELOAD_REFUSED, 0);
        log_error("the configuration stays as it was: %s", words);
    }
    if (reload->request)
        admin_fail(reload->request, words, reload->only_diff ? NULL : "nothing has changed");
    end(reload);
}

static void finish(struct daemon_reload *reload)
{
    umbel_out_put(&reload->reply, "", 1);
    if (reload->request && reload->reply.failed)
        admin_fail(reload->request, "no memory for the reply", NULL);
    else if (reload->request)
        admin_finish(reload->request, reload->reply.data);
    end(reload);
}

static void put_reply(struct daemon_reload *reload, const struct config_diff *diff)
{
    struct umbel_out *out = &reload->reply;

    umbel_out_text(out, "\"file\":");
    umbel_out_json(out, reload->path, strlen(reload->path));
    umbel_out_printf(out, ",\"restart_needed\":%s,\"changes\":", config_diff_effect(diff) == CONFIG_EFFECT_RESTART ? "true" : "false");
    config_diff_json(diff, out);
    umbel_out_text(out, ",\"warnings\":[");
    umbel_out_put(out, reload->warnings.data ? reload->warnings.data : "", reload->warnings.size);
    umbel_out_text(out, "]");
}

/* What runs, against what was loaded: transports as their processes have them. */
static int compare(struct daemon_reload *reload, const struct config *file, struct config_diff *ret_diff)
{
    struct config running = *reload->daemon->config;
    int r = -ENOMEM;

    running.transports = converge_view(reload->daemon, &running.transport_count);
    if (running.transports)
        r = config_diff_make(&running, file, ret_diff);
    free(running.transports);
    return r;
}

static void log_changes(const struct config_diff *diff)
{
    for (size_t i = 0; i < diff->count; i++) {
        const struct config_change *change = &diff->items[i];
        struct umbel_out options = {0};
        for (size_t k = 0; k < change->option_count; k++)
            umbel_out_printf(&options, "%s%s%s", k ? ", " : ": ", change->options[k].name,
                             change->options[k].effect == CONFIG_EFFECT_RESTART ? " (when the daemon starts again)" : "");
        umbel_out_put(&options, "", 1);
        log_info("configuration: %s%s%s %s%s", *change->kind ? change->kind : "top level", *change->name ? " " : "", change->name,
                 config_what_text(change->what), options.failed ? "" : options.data);
        umbel_out_free(&options);
    }
    if (diff->count == 0)
        log_info("configuration: nothing has changed");
}

static void forget_former(struct daemon_reload *reload)
{
    size_t kept = 0;

    for (size_t i = 0; i < reload->former_count; i++) {
        if (daemon_transports_use(reload->daemon, reload->former[i]))
            reload->former[kept++] = reload->former[i];
        else
            config_free(reload->former[i]);
    }
    reload->former_count = kept;
    stats_set(reload->daemon->stats, CORE_CONFIGS_KEPT, kept + 1);
}

/* True: file is the daemon's from here on. */
static bool apply(struct daemon_reload *reload, struct config *file, const struct config_diff *diff)
{
    struct daemon *daemon = reload->daemon;
    struct config *before = daemon->config;
    struct why why = {""};

    forget_former(reload);
    if (reload->former_count == RELOAD_FORMER_MAX) {
        refuse(reload, "processes of too many earlier configurations still drain: try again when umbelctl host list shows fewer");
        return false;
    }
    if (converge_check(daemon, file, &why) < 0 || daemon_apply(daemon, file, diff, &reload->converge, &why) < 0) {
        refuse(reload, why.text);
        return false;
    }
    reload->former[reload->former_count++] = before;
    stats_add(daemon->stats, CORE_RELOADS, 1);
    daemon_trail_say(daemon, TRAIL_RELOADED, 0);
    log_changes(diff);
    put_reply(reload, diff);
    reload->state = RELOAD_SETTLING;
    return true;
}

static void loaded(void *owner, int fd)
{
    struct daemon_reload *reload = owner;
    struct config_diff diff = {0};
    struct config *file;
    uint64_t count;
    bool taken = false, only_diff = reload->only_diff;

    if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
        return;
    pthread_join(reload->thread, NULL);
    file = reload->loaded;
    if (reload->result < 0) {
        refuse(reload, reload->why.text);
    } else if (reload->daemon->stopping) {
        refuse(reload, "the daemon stops");
    } else if (compare(reload, file, &diff) < 0) {
        refuse(reload, "no memory to compare the configurations");
    } else if (reload->only_diff) {
        put_reply(reload, &diff);
        finish(reload);
    } else {
        taken = apply(reload, file, &diff);
    }
    config_diff_clear(&diff);
    if (!only_diff)
        daemon_hosts_reload(reload->daemon); /* their files, whether the configuration is good or not */
    if (!taken)
        config_free(file);
    else
        daemon_reload_tick(reload->daemon);
}

static void settled(struct daemon_reload *reload)
{
    char words[2 * WHY_MAX];
    const char *first = converge_failure(reload->converge, 0);

    if (!first) {
        finish(reload);
        return;
    }
    snprintf(words, sizeof words, "%s%s", first, converge_failure(reload->converge, 1) ? " (and others: see the log)" : "");
    if (reload->request)
        admin_fail(reload->request, words, "everything else has been applied; umbelctl config diff shows what has not");
    end(reload);
}

void daemon_reload_tick(struct daemon *daemon)
{
    struct daemon_reload *reload = daemon->reload;

    if (reload->state == RELOAD_SETTLING && converge_tick(reload->converge))
        settled(reload);
    if (reload->state == RELOAD_IDLE && reload->former_count)
        forget_former(reload);
}

void daemon_reload_signal(struct daemon *daemon)
{
    struct why why = {""};

    if (daemon->reload->state != RELOAD_IDLE)
        daemon->reload->again = true;
    else if (begin(daemon->reload, NULL, false, NULL, &why) < 0)
        log_error("the configuration is not read again: %s", why.text);
}

static void reload_command(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct why why = {""};

    (void)arguments;
    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (begin(daemon->reload, NULL, false, request, &why) < 0)
        admin_fail(request, why.text, "try again in a few seconds");
}

static void diff_command(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const char *file = admin_argument(arguments, 0);
    struct why why = {""};

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (file && (file[0] != '/' || strlen(file) >= PATH_MAX))
        admin_fail(request, "a file is named by its whole path", NULL);
    else if (begin(daemon->reload, file, true, request, &why) < 0)
        admin_fail(request, why.text, "try again in a few seconds");
}

void daemon_reload_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "reload", reload_command, daemon);
    admin_server_handle(daemon->admin, "config diff", diff_command, daemon);
}

int daemon_reload_create(struct daemon *daemon, struct why *why)
{
    struct daemon_reload *reload = calloc(1, sizeof *reload);

    if (!reload)
        return why_set(why, -ENOMEM, "no memory");
    daemon->reload = reload;
    reload->daemon = daemon;
    reload->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reload->eventfd == -1)
        return why_errno(why, errno, "no eventfd");
    int r = uring_watch_open(daemon->loop, reload->eventfd, loaded, reload, &reload->watch);
    return r < 0 ? why_errno(why, -r, "cannot watch for a loaded configuration") : 0;
}

void daemon_reload_free(struct daemon *daemon)
{
    struct daemon_reload *reload = daemon->reload;

    if (!reload)
        return;
    if (reload->state == RELOAD_LOADING) {
        pthread_join(reload->thread, NULL);
        config_free(reload->loaded);
    }
    converge_free(reload->converge);
    for (size_t i = 0; i < reload->former_count; i++)
        config_free(reload->former[i]);
    if (reload->watch)
        uring_watch_close(reload->watch);
    fd_close(&reload->eventfd);
    umbel_out_free(&reload->warnings);
    umbel_out_free(&reload->reply);
    free(reload);
    daemon->reload = NULL;
}
