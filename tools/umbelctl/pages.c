#include "tools/umbelctl/pages.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/admin/admin_lock.h"
#include "core/base/clock.h"
#include "core/metrics/core_stats.h"
#include "tools/umbelctl/text.h"

int pages_running(const struct ctl *ctl)
{
    struct why why = {""};
    int r = admin_lock_is_held(ctl->runtime_dir, &why);

    if (r == -EACCES)
        return ctl_complain(CTL_FAILED, "run it as root or as a member of the daemon's group", "%s", why.text);
    if (r < 0)
        return ctl_complain(CTL_FAILED, NULL, "%s", why.text);
    if (r == 0)
        return ctl_complain(CTL_NOT_RUNNING, "start it: umbeld -c /etc/umbel/umbel.conf   or name its runtime_dir: umbelctl -s DIR",
                            "umbeld is not running on %s", ctl->runtime_dir);
    return CTL_OK;
}

uint64_t pages_value(const struct stats_view *view, const char *counter)
{
    uint64_t value = 0;

    return stats_view_find(view, counter, &value) ? value : 0;
}

/* Whether the core knows the host as a process that has ended: what its page says is then about nobody. */
static bool host_has_ended(const struct stats_view *core, const char *name, const struct stats_view *view)
{
    struct stats_cell cells[HOST_COL_COUNT];
    struct stats_who who;

    for (uint32_t row = 0; row < stats_view_capacity(core, CORE_TABLE_HOSTS); row++)
        if (stats_view_row(core, CORE_TABLE_HOSTS, row, cells, HOST_COL_COUNT) && strcmp(cells[HOST_COL_NAME].text, name) == 0)
            return cells[HOST_COL_PID].number == 0;
    stats_view_who(view, &who);
    return who.pid == 0 || who.pid > INT_MAX || (kill((pid_t)who.pid, 0) == -1 && errno == ESRCH);
}

static void open_host(const struct ctl *ctl, struct pages *pages, const char *file, bool quiet)
{
    struct pages_host *host = &pages->host[pages->hosts];
    char path[PATH_MAX];
    struct why why = {""};
    int r;

    if (snprintf(path, sizeof path, "%s/stats/%s", ctl->runtime_dir, file) >= (int)sizeof path)
        return;
    r = stats_view_open(path, &host->view, &why);
    if (r == -ENOENT)
        return; /* its host has just gone */
    if (r < 0) {
        if (!quiet)
            ctl_complain(CTL_FAILED, NULL, "%s is left out: %s", file, why.text);
        return;
    }
    text_clean(file + strlen("host-"), strlen(file + strlen("host-")), 0, host->name, sizeof host->name);
    if (host_has_ended(pages->core, host->name, host->view))
        stats_view_close(host->view);
    else
        pages->hosts++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pages_host *)a)->name, ((const struct pages_host *)b)->name);
}

static void open_hosts(const struct ctl *ctl, struct pages *pages, bool quiet)
{
    char path[PATH_MAX];
    DIR *folder = NULL;

    if (snprintf(path, sizeof path, "%s/stats", ctl->runtime_dir) < (int)sizeof path)
        folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        size_t size = strlen(entry->d_name);

        if (strncmp(entry->d_name, "host-", 5) != 0 || (size > 4 && strcmp(entry->d_name + size - 4, ".new") == 0))
            continue;
        if (pages->hosts == PAGES_HOSTS_MAX) {
            if (!quiet)
                ctl_complain(CTL_FAILED, NULL, "more than %u hosts: the rest is left out", PAGES_HOSTS_MAX);
            break;
        }
        open_host(ctl, pages, entry->d_name, quiet);
    }
    closedir(folder);
    qsort(pages->host, pages->hosts, sizeof pages->host[0], by_name);
}

static void note_age(struct pages *pages)
{
    uint64_t now = clock_now_ns();

    stats_view_who(pages->core, &pages->who);
    pages->silent_ns = now > pages->who.beat_ns ? now - pages->who.beat_ns : 0;
    pages->stuck = pages->silent_ns > PAGES_STUCK_NS;
}

int pages_open(const struct ctl *ctl, bool with_hosts, struct pages *ret_pages)
{
    char path[PATH_MAX], ago[32];
    struct why why = {""};
    int r = pages_running(ctl);

    memset(ret_pages, 0, sizeof *ret_pages);
    if (r != CTL_OK)
        return r;
    if (snprintf(path, sizeof path, "%s/stats/core", ctl->runtime_dir) >= (int)sizeof path)
        return ctl_complain(CTL_FAILED, NULL, "the runtime directory's name is too long");
    r = stats_view_open(path, &ret_pages->core, &why);
    if (r == -ENOENT)
        return ctl_complain(CTL_NOT_RUNNING, "it may be just starting: try again", "umbeld holds %s, but has no stats page yet",
                            ctl->runtime_dir);
    if (r < 0)
        return ctl_complain(CTL_FAILED, r == -EACCES ? "run it as root or as a member of the daemon's group" : NULL, "%s", why.text);
    note_age(ret_pages);
    if (ret_pages->stuck) {
        text_duration(ret_pages->silent_ns, ago, sizeof ago);
        ctl_complain(CTL_OK, "what follows is as of then", "umbeld (pid %u) is stopped or stuck: last sign of life %s ago",
                     (unsigned)ret_pages->who.pid, ago);
    }
    if (with_hosts)
        open_hosts(ctl, ret_pages, false);
    return CTL_OK;
}

bool pages_look(const struct ctl *ctl, struct pages *ret_pages)
{
    char path[PATH_MAX];
    struct why why = {""};

    memset(ret_pages, 0, sizeof *ret_pages);
    if (admin_lock_is_held(ctl->runtime_dir, &why) != 1 ||
        snprintf(path, sizeof path, "%s/stats/core", ctl->runtime_dir) >= (int)sizeof path ||
        stats_view_open(path, &ret_pages->core, &why) < 0)
        return false;
    note_age(ret_pages);
    open_hosts(ctl, ret_pages, true);
    return true;
}

void pages_close(struct pages *pages)
{
    for (size_t i = 0; i < pages->hosts; i++)
        stats_view_close(pages->host[i].view);
    stats_view_close(pages->core);
}
