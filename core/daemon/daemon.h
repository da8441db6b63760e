/* daemon/daemon.h - the core put together: everything the modules below do not know of each other meets here.
 * Owner: the core's loop thread. */
#ifndef DAEMON_H
#define DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "core/admin/admin_lock.h"
#include "core/admin/admin_server.h"
#include "core/base/kept.h"
#include "core/config/config.h"
#include "core/history/history.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "core/metrics/process_stats.h"
#include "core/stream/bus.h"
#include "core/stream/session_table.h"
#include "core/supervise/host.h"
#include "core/upstream/upstream_group.h"
#include "core/uring/uring_loop.h"

#define DAEMON_WORKERS_MAX 256u /* host processes in all */
#define DAEMON_HANG_S 20u /* a running host without a sign of life for so long is killed */

struct answer_table;

struct daemon_app {
    const struct config_app *config;
    struct upstream_member **members; /* in order of preference */
    const struct config_upstream **upstream_configs;
    size_t member_count;
};

/* One worker process of a transport. */
struct daemon_host {
    struct host host; /* first: supervise/host.h hands this pointer around */
    struct list link; /* daemon_transport.workers */
    struct daemon *daemon;
    struct daemon_transport *transport;
    uint32_t number;        /* among all workers: names it in reader counts */
    uint32_t row;           /* of the hosts table */
    int listeners[HOST_LISTENERS_MAX];
    size_t listener_count;
    /* of the running process */
    struct ring_memory page; /* struct ring_reader_page */
    struct stats_page *stats;
    int wake, bus_reader;
    struct list askings; /* its questions that wait for the history */
    size_t asking_bytes;
    bool drained, helloed;
};

struct daemon_transport {
    struct list link; /* daemon.transports */
    struct daemon *daemon;
    const struct config_transport *config;
    struct kept *kept; /* what its hosts want remembered beyond a process */
    uint64_t not_kept, complained_ns;
    struct list workers; /* struct daemon_host */
};

/* All workers of all transports; the body may not remove any. */
#define for_each_worker(daemon, h)                                                                                                  \
    list_for_each(transport_, next_transport_, &(daemon)->transports)                                                               \
        for (struct list *workers_ = &list_entry(transport_, struct daemon_transport, link)->workers, *at_ = workers_->next;        \
             at_ != workers_; at_ = at_->next)                                                                                      \
            for (struct daemon_host *h = list_entry(at_, struct daemon_host, link); h; h = NULL)

struct daemon {
    struct config *config;
    char host_program[4096];
    struct uring_loop *loop;
    struct stats_page *stats;
    struct process_stats process;
    struct bus *bus;
    struct session_table *sessions;
    struct history *history; /* NULL: no app wants one, or there is no place for it */
    uint32_t history_counter[5];
    struct answer_table *answers;
    struct upstream_resolver *resolver;
    struct upstream_member *upstreams; /* as config->upstreams */
    uint32_t *upstream_rows;
    struct daemon_app *apps;     /* as config->apps */
    struct list transports; /* struct daemon_transport, in the order of the file */
    struct admin_server *admin;
    int lock_fd, signal_fd;
    struct uring_watch *signal_watch;
    struct uring_hook flush_hook;
    struct uring_timer tick; /* once a second: gauges, lingering, hanging hosts */
    uint64_t tidied_ns;
    struct list commands; /* daemon_command.c: sent to hosts, not answered yet */
    uint64_t next_command;
    bool stopping;
};

/* daemon_check - what the configuration may ask of this daemon and its module of configuration cannot know.  0 or -EINVAL with
 * FILE:LINE: what, what was expected, what to write. */
int daemon_check(const struct config *config, struct why *why);

/* daemon_create - everything but running.  config is owned from here, also on failure. */
int daemon_create(struct config *config, const char *host_program, struct daemon **ret_daemon, struct why *why);
/* daemon_run - until SIGTERM or SIGINT; drains.  Returns 0 or -errno. */
int daemon_run(struct daemon *daemon);
void daemon_free(struct daemon *daemon);
/* daemon_stop - begins the drain; a second call ends it at once. */
void daemon_stop(struct daemon *daemon);

/* Who may enter (daemon_entry.c).  A grant joins app and key; hosts hand it back with each request and it is checked each time. */
struct umbel_credential_view {
    uint32_t kind; /* UMBEL_CREDENTIAL_* */
    struct span value;
};
uint64_t daemon_authorize(const struct daemon *daemon, const struct daemon_transport *transport, const struct umbel_credential_view *credentials,
                          size_t count); /* 0: nobody */
bool daemon_grant_app(const struct daemon *daemon, const struct daemon_transport *transport, uint64_t grant, uint32_t *ret_app);
int daemon_find_app(const struct daemon *daemon, const char *name); /* index or -1 */
bool daemon_serves(const struct daemon *daemon, const struct daemon_transport *transport, uint32_t app);

/* The history (daemon_history.c): what answers leave on disk, and its place on the stats page. */
int daemon_history_create(struct daemon *daemon); /* 0 also when it has to do without: the log says so */
void daemon_history_tick(struct daemon *daemon);
void daemon_history_admin(struct daemon *daemon); /* session list, show, forget */

/* Hosts (daemon_hosts.c). */
int daemon_hosts_create(struct daemon *daemon, struct why *why); /* listening sockets and workers; nothing is started */
void daemon_hosts_start(struct daemon *daemon);
void daemon_hosts_stop(struct daemon *daemon);
void daemon_hosts_reload(struct daemon *daemon); /* certificates are read again */
bool daemon_hosts_gone(const struct daemon *daemon);
void daemon_hosts_tick(struct daemon *daemon, uint64_t now_ns);
void daemon_hosts_free(struct daemon *daemon);

/* daemon_hosts_find - a running worker of this transport and plugin (NULL: any), or NULL. */
struct daemon_host *daemon_hosts_find(struct daemon *daemon, const char *transport, const char *plugin);

/* Commands for transports (daemon_command.c). */
void daemon_command_admin(struct daemon *daemon);
int daemon_command_replied(struct daemon_host *host, uint64_t tag, struct control_in *in); /* its answer; -EPROTO */
void daemon_command_host_gone(struct daemon_host *host);                                   /* who waits for it is told */

/* Listening sockets (daemon_listen.c): non-blocking, close-on-exec, SO_REUSEADDR, with reuse_port also SO_REUSEPORT. */
int daemon_listen(const struct config_listen *listen, bool reuse_port, int *ret_fd, struct why *why);

/* Admin commands (daemon_admin.c). */
int daemon_admin_create(struct daemon *daemon, struct why *why);

/* Plugins (daemon_plugins.c): finds NAME.so and asks umbel-host for its manifest; a config_manifest_lookup with owner = the path of
 * umbel-host. */
int daemon_plugin_lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why);
/* daemon_find_host_program - umbel-host beside this executable, in its build tree or the install prefix. */
int daemon_find_host_program(char *ret_path, size_t room, struct why *why);

#endif
