/* umbelctl/pages.h - the stats pages of a daemon that runs, whether or not it answers. */
#ifndef PAGES_H
#define PAGES_H

#include "core/metrics/stats_view.h"
#include "tools/umbelctl/ctl.h"

#define PAGES_HOSTS_MAX 256u
#define PAGES_STUCK_NS (5 * 1000000000ull) /* the core's beat comes every second or so */

struct pages_host {
    char name[80]; /* TRANSPORT.WORKER, from the file's name */
    struct stats_view *view;
};

struct pages {
    struct stats_view *core;
    struct stats_who who;
    uint64_t silent_ns; /* since the core's last sign of life */
    bool stuck;
    struct pages_host host[PAGES_HOSTS_MAX]; /* processes that live, by name */
    size_t hosts;
};

/* pages_open - opens the core's page and, on wish, those of its hosts.  CTL_OK (with a warning on standard error if the daemon is stopped
 * or stuck), else the exit code, the complaint having been printed. */
int pages_open(const struct ctl *ctl, bool with_hosts, struct pages *ret_pages);
/* pages_look - the same with hosts, but says nothing.  False: there is no daemon, or nothing can be read; pages_open tells why. */
bool pages_look(const struct ctl *ctl, struct pages *ret_pages);
void pages_close(struct pages *pages);

/* pages_running - CTL_OK if a daemon holds the directory's lock, else as above. */
int pages_running(const struct ctl *ctl);

/* pages_value - a counter or gauge, 0 if the page does not have it. */
uint64_t pages_value(const struct stats_view *view, const char *counter);

#endif
