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
#include "core/daemon/daemon_apps.h"
#include "core/daemon/daemon_upstreams.h"
#include "core/history/history.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "core/metrics/process_stats.h"
#include "core/sandbox/sandbox.h"
#include "core/stream/bus.h"
#include "core/stream/session_table.h"
#include "core/supervise/host.h"
#include "core/upstream/upstream_group.h"
#include "core/uring/uring_loop.h"

#define DAEMON_WORKERS_MAX 256u /* host processes in all */
#define DAEMON_HANG_S 20u /* a running host without a sign of life for so long is killed */

struct answer_table;
struct daemon_authorize;
struct daemon_capture;
struct daemon_selftest;
struct daemon_grants;
struct daemon_share;

struct daemon_socket;
struct daemon_handover;

/* What a worker is there for; daemon_handover.h changes it. */
enum daemon_role {
    DAEMON_SERVES,
    DAEMON_COMES,  /* is to take the place of those that serve */
    DAEMON_WAITS,  /* has served, and will again unless the newcomers prove good */
    DAEMON_LEAVES  /* drains, and is freed when its process has ended */
};
#define DAEMON_NAME_MAX 80u /* "bmob.0~12" */

/* One worker process of a transport. */
struct daemon_host {
    struct host host; /* first: supervise/host.h hands this pointer around */
    struct list link; /* daemon_transport.workers */
    struct daemon *daemon;
    struct daemon_transport *transport;
    uint32_t number;        /* among all workers: names it in reader counts */
    uint32_t row;           /* of the hosts table */
    const struct config_transport *config; /* what its process was or will be told; the transport may have a newer one */
    enum daemon_role role;
    struct daemon_socket *sockets[HOST_LISTENERS_MAX];
    size_t socket_count;
    /* of the running process */
    struct ring_memory page; /* struct ring_reader_page */
    struct stats_page *stats;
    int wake, wake_read, bus_reader; /* wake: our end of the pipe; wake_read: the one that it is given */
    char sandbox[SANDBOX_SETTINGS_MAX];
    uint64_t pauses_told; /* of host.budget.pauses, on the stats page already */
    struct list askings; /* its questions that wait for the history */
    size_t asking_bytes;
    struct list resumes; /* daemon_resume.c: its clients that wait for the history */
    uint32_t resume_count;
    struct list auths;  /* daemon_auth.c: its clients that wait for an authorize service */
    struct list grants; /* daemon_grants.c: what services granted its clients */
    uint32_t auth_count, grant_count;
    size_t auth_bytes, waiting_bytes;
    bool drained, helloed, welcomed;
    enum host_state state_told; /* to the event ring */
    bool trial, tried; /* it only has to open, on sockets that nobody knows: see daemon_handover.h */
    int trial_fds[HOST_LISTENERS_MAX];
    char version[64]; /* of its plugin, as it said */
    int plugin_fd;    /* daemon_plugin_file.h; -1: none */
    bool plugin_kept;
};

struct daemon_transport {
    struct list link; /* daemon.transports */
    struct daemon *daemon;
    const struct config_transport *config;
    struct kept *kept; /* what its hosts want remembered beyond a process */
    struct daemon_share *share; /* its questions; NULL: none was asked yet */
    uint64_t not_kept, complained_ns;
    struct list workers; /* struct daemon_host */
    struct daemon_handover *handover; /* under way, or NULL */
    uint32_t generation;              /* numbers those that leave: "bmob.0~1" */
    bool out;                         /* out of service, because an operator said so (daemon_service.c) */
    bool removed;                     /* is freed with its last worker */
};

/* All workers of all transports; the body may not remove any. */
#define for_each_worker(daemon, h)                                                                                                  \
    list_for_each(transport_, next_transport_, &(daemon)->transports)                                                               \
        for (struct list *workers_ = &list_entry(transport_, struct daemon_transport, link)->workers, *at_ = workers_->next;        \
             at_ != workers_; at_ = at_->next)                                                                                      \
            for (struct daemon_host *h = list_entry(at_, struct daemon_host, link); h; h = NULL)

struct daemon_refusals {
    uint64_t second, unlisted; /* when the last ones were; how many the event ring has not been told */
    uint32_t listed;           /* in that second */
    const char *limit;         /* which one has just refused a question, or NULL */
};

struct daemon {
    struct config *config;
    char host_program[4096];
    struct sandbox_settings sandbox; /* of all hosts: their user */
    bool told_blind;                 /* that /proc hides how much memory hosts have */
    struct uring_loop *loop;
    struct stats_page *stats;
    struct trail *trail; /* what happens, for umbelctl log and trace; NULL: there is no place for it */
    struct daemon_refusals refusals;
    struct process_stats process;
    struct bus *bus;
    struct session_table *sessions;
    struct history *history; /* NULL: there is no place for it */
    bool history_kept;       /* an app wants its conversations kept; else only usage is */
    struct policy *policy;   /* what apps and keys have used */
    struct access_log *access; /* NULL: off */
    struct daemon_restore *restore; /* daemon_usage.c: until the day's tokens are known */
    uint32_t history_counter[5];
    struct answer_table *answers;
    struct list looks; /* reviving.c: answers looked for in the history */
    struct upstream_resolver *resolver;
    struct list upstreams, retired; /* struct daemon_upstream, in the order of the file; those with calls of former settings */
    struct list dropped;            /* struct daemon_route that the next tick frees */
    struct daemon_app *apps;        /* DAEMON_APPS_MAX slots: an app keeps its number, see daemon_apps.h */
    uint32_t app_count;             /* slots in use, removed apps counted */
    struct list transports; /* struct daemon_transport, in the order of the file */
    struct admin_server *admin;
    int lock_fd, signal_fd;
    struct uring_watch *signal_watch;
    struct uring_hook flush_hook;
    struct uring_timer tick; /* once a second: gauges, lingering, hanging hosts */
    uint64_t tidied_ns;
    struct list commands; /* daemon_command.c: sent to hosts, not answered yet */
    uint64_t next_command;
    struct list tails;    /* daemon_tail.c: operators who read along */
    struct list drains;   /* daemon_service.c: who waits for one */
    struct list upgrades; /* daemon_upgrade.c */
    struct daemon_notify *notify; /* NULL: no service manager listens */
    struct daemon_renew *renew;   /* core upgrade under way, or NULL */
    struct daemon_reload *reload;
    struct daemon_capture *capture;
    struct daemon_selftest *selftest;
    struct daemon_authorize *authorize; /* NULL: no app has an authorize service */
    struct daemon_grants *grants;       /* NULL: none was given */
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
/* daemon_find_grant - by the configuration alone: keys, and apps that may be named.  The services of authorize are asked by daemon_auth.h. */
uint64_t daemon_find_grant(const struct daemon *daemon, const struct daemon_transport *transport, const struct umbel_credential_view *credentials,
                           size_t count); /* 0: nobody */
bool daemon_grant_app(const struct daemon *daemon, const struct daemon_transport *transport, uint64_t grant, uint32_t *ret_app);
/* daemon_grant_key - which of the app's config->keys the grant was given for; false: for none, or the key is not there any more. */
bool daemon_grant_key(const struct daemon *daemon, uint64_t grant, size_t *ret_index);
/* daemon_grant_was - the app it was once given for, whether it still holds or not; -1: there never was such an app. */
int daemon_grant_was(const struct daemon *daemon, uint64_t grant);
int daemon_find_app(const struct daemon *daemon, const char *name); /* number or -1 */
int daemon_only_app(const struct daemon *daemon);                   /* the number of the only one there is, or -1 */
bool daemon_serves(const struct daemon *daemon, const struct daemon_transport *transport, uint32_t app);

/* The history (daemon_history.c): what answers leave on disk, and its place on the stats page. */
int daemon_history_create(struct daemon *daemon); /* 0 also when it has to do without: the log says so */
void daemon_history_want(struct daemon *daemon);  /* the configuration has changed: an app may have come to want it */
void daemon_history_tick(struct daemon *daemon);
void daemon_history_admin(struct daemon *daemon); /* session list, show, forget */

/* Limits and usage: daemon_usage.h. */

/* Hosts (daemon_hosts.c). */
int daemon_hosts_create(struct daemon *daemon, struct why *why); /* listening sockets and workers; nothing is started */
void daemon_hosts_start(struct daemon *daemon);
void daemon_hosts_stop(struct daemon *daemon);
void daemon_hosts_reload(struct daemon *daemon); /* certificates are read again */
bool daemon_hosts_gone(const struct daemon *daemon);
void daemon_hosts_tick(struct daemon *daemon, uint64_t now_ns);
void daemon_hosts_free(struct daemon *daemon);

/* daemon_hosts_find - a running worker that serves, of this transport and plugin (NULL: any), or NULL. */
struct daemon_host *daemon_hosts_find(struct daemon *daemon, const char *transport, const char *plugin);

/* Commands for transports (daemon_command.c). */
void daemon_command_admin(struct daemon *daemon);
int daemon_command_replied(struct daemon_host *host, uint64_t tag, struct control_in *in); /* its answer; -EPROTO */
void daemon_command_host_gone(struct daemon_host *host);                                   /* who waits for it is told */

/* Listening sockets (daemon_listen.c): non-blocking, close-on-exec, SO_REUSEADDR, with reuse_port also SO_REUSEPORT. */
int daemon_listen(const struct config_listen *listen, bool reuse_port, int *ret_fd, struct why *why);
/* daemon_listen_now - the same without waiting up to 3 s for an address that another holds: for a core that runs. */
int daemon_listen_now(const struct config_listen *listen, bool reuse_port, int *ret_fd, struct why *why);

void daemon_probe_admin(struct daemon *daemon); /* upstream probe (daemon_probe.c) */

/* Admin commands (daemon_admin.c). */
int daemon_admin_create(struct daemon *daemon, struct why *why);

/* Plugins (daemon_plugins.c): finds NAME.so and asks umbel-host for its manifest; a config_manifest_lookup with owner = the path of
 * umbel-host. */
int daemon_plugin_lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why);
/* daemon_find_host_program - umbel-host beside this executable, in its build tree or the install prefix. */
int daemon_find_host_program(char *ret_path, size_t room, struct why *why);

#endif
