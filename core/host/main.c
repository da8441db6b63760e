/* umbel-host - serves one transport plugin.  Started by umbeld, never by hand, but for `umbel-host --manifest PLUGIN.so`. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <event2/event.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/host/hosting.h"
#include "core/host/plugin_load.h"
#include "core/sandbox/sandbox.h"

#define MANIFEST_MEMORY_MB 256u

/* The plugin's constructors run for a manifest too. */
static int confine_manifest(const char *path, struct why *why)
{
    struct sandbox_settings settings = {.memory_mb = MANIFEST_MEMORY_MB};
    char report[SANDBOX_REPORT_MAX];
    int r = sandbox_user_choose("", &settings, why);

    return r < 0 ? r : sandbox_enter(&settings, &(struct sandbox_keep){.plugin = path, .stats_folder = -1}, report, why);
}

static int print_manifest(const char *path)
{
    struct umbel_transport transport;
    struct umbel_out out = {0};
    struct why why = {""};
    void *handle;

    if (confine_manifest(path, &why) < 0 || plugin_load(path, &transport, &handle, &why) < 0) {
        fprintf(stderr, "%s\n", why.text);
        return EXIT_FAILURE;
    }
    plugin_manifest(&transport, &out);
    fwrite(out.data, 1, out.size, stdout);
    int failed = out.failed;
    umbel_out_free(&out);
    plugin_unload(handle);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int map_memory(struct hosting *hosting, struct why *why)
{
    int r = ring_memory_map(CONTROL_FD_RING, 0, 0, &hosting->ring_memory, why);

    if (r == 0)
        r = ring_reader_open(&hosting->ring_memory, &hosting->ring, why);
    if (r == 0)
        r = ring_memory_map(CONTROL_FD_JOURNAL, 0, 0, &hosting->journal_memory, why);
    if (r == 0)
        r = journal_reader_open(&hosting->journal_memory, &hosting->journal, why);
    if (r == 0)
        r = ring_memory_map(CONTROL_FD_READER_PAGE, sizeof(struct ring_reader_page), 1, &hosting->page_memory, why);
    if (r == 0)
        r = stats_page_adopt(CONTROL_FD_STATS, &hosting->stats, why);
    if (r < 0)
        return r;
    hosting->page = hosting->page_memory.base;
    stats_pid(hosting->stats, (uint32_t)getpid());
    if (trail_adopt(CONTROL_FD_STATS, &hosting->trail, &(struct why){""}) < 0)
        hosting->trail = NULL; /* it serves without */
    process_stats_open(&hosting->process, HOST_PROCESS_CPU_US, HOST_PROCESS_RSS_BYTES, HOST_PROCESS_FDS);
    hosting->feeds = calloc(hosting->journal.slots, sizeof(struct host_feed *));
    hosting->scratch_size = HOSTING_TEXT_MAX;
    hosting->scratch = malloc(hosting->scratch_size);
    if (!hosting->feeds || !hosting->scratch || kept_create(CONTROL_KEPT_MAX, &hosting->kept) < 0 || host_watch_init(hosting) < 0)
        return why_set(why, -ENOMEM, "no memory");
    return getrandom(&hosting->next_request, sizeof hosting->next_request, 0) == (ssize_t)sizeof hosting->next_request
               ? 0
               : why_errno(why, errno, "no random numbers");
}

/* Everything that is inherited is mapped; from here on this process may do no more than a plugin may. */
static int confine(struct hosting *hosting, const struct sandbox_settings *settings, const char *plugin, struct why *why)
{
    struct sandbox_keep keep = {.plugin = plugin, .stats_folder = -1, .death_signal = SIGUSR2};
    char folder[PATH_MAX], link[32];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", CONTROL_FD_STATS);
    n = readlink(link, folder, sizeof folder - 1);
    if ((settings->needs & UMBEL_NEEDS_STATS) && n > 0) {
        folder[n] = '\0';
        *strrchr(folder, '/') = '\0';
        keep.stats_folder = hosting->stats_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    /* The page is mapped: whoever takes over this process shall not be able to cut the file short or to make it grow. */
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing == -1 || dup2(nothing, CONTROL_FD_STATS) == -1)
        return why_errno(why, errno, "cannot let go of the stats page");
    fd_close(&nothing);
    int r = sandbox_enter(settings, &keep, hosting->confined, why);
    if (r < 0)
        return r;
    log_info("is confined: %s", hosting->confined);
    return 0;
}

static int hosting_open(struct hosting *hosting, const char *plugin, const struct sandbox_settings *settings, struct why *why)
{
    struct list *lists[] = {&hosting->all_feeds,    &hosting->dirty,        &hosting->reports,      &hosting->catchup, &hosting->clients,
                            &hosting->dead_clients, &hosting->dead_readers, &hosting->dead_watches, &hosting->unasked};
    int r;

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        list_init(lists[i]);
    host_request_init(hosting);
    r = map_memory(hosting, why);
    if (r < 0)
        return r;
    if (!(settings->needs & SANDBOX_PLAIN_SENDS)) {
        struct why reason = {""};
        host_send_open(&hosting->send, &reason);
        if (!hosting->send)
            log_info("every delivery is a system call of its own, which costs more (Linux 6.5 or newer does better): %s", reason.text);
    }
    r = confine(hosting, settings, plugin, why);
    if (r == 0)
        r = plugin_load(plugin, &hosting->transport, &hosting->plugin, why);
    if (r < 0)
        return r;
    hosting->base = event_base_new();
    if (!hosting->base)
        return why_set(why, -ENOMEM, "no event loop");
    host_services_fill(hosting);
    return host_channel_open(hosting, why);
}

static void hosting_close(struct hosting *hosting)
{
    host_channel_close(hosting);
    if (hosting->base)
        event_base_free(hosting->base);
    config_section_free(&hosting->section);
    umbel_out_free(&hosting->encoded);
    free(hosting->feeds);
    free(hosting->shown);
    free(hosting->scratch);
    host_files_free(&hosting->files);
    kept_free(hosting->kept);
    process_stats_close(&hosting->process);
    trail_free(hosting->trail);
    stats_page_free(hosting->stats);
    ring_memory_free(&hosting->ring_memory);
    ring_memory_free(&hosting->journal_memory);
    ring_memory_free(&hosting->page_memory);
    plugin_unload(hosting->plugin);
    host_send_free(hosting->send);
}

/* The core has died: with or without a loop that still turns, this process is gone within ten seconds. */
static void on_core_death(int number)
{
    (void)number;
    alarm(10);
}

static void set_signals(void)
{
    struct sigaction death = {.sa_handler = on_core_death, .sa_flags = SA_RESTART};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);  /* a terminal's Ctrl-C reaches the whole group: the core drains us */
    signal(SIGTERM, SIG_IGN); /* as does a service manager's stop */
    signal(SIGHUP, SIG_IGN);
    sigaction(SIGUSR2, &death, NULL);
}

int main(int argc, char **argv)
{
    static struct hosting hosting; /* large tables: not on the stack */
    struct sandbox_settings settings;
    struct why why = {""};
    char from[96];
    uint64_t listeners;

    if (argc == 3 && strcmp(argv[1], "--manifest") == 0)
        return print_manifest(argv[2]);
    if (argc != 7 || sandbox_settings_parse(argv[6], &settings) < 0 || !number_parse_u64(argv[3], strlen(argv[3]), &listeners) ||
        fcntl(CONTROL_FD_CHANNEL, F_GETFD) == -1) {
        fputs("usage: umbel-host --manifest PLUGIN.so\n"
              "(all else is for umbeld, which starts this program itself)\n",
              stderr);
        return 2;
    }
    snprintf(from, sizeof from, "umbel-host %.80s", argv[2]);
    snprintf(hosting.name, sizeof hosting.name, "%s", argv[2]);
    hosting.listener_count = (uint32_t)listeners;
    hosting.stats_fd = -1;
    hosting.ring_memory.fd = hosting.journal_memory.fd = hosting.page_memory.fd = -1;
    log_setup(from, log_level_parse(argv[4]), strcmp(argv[5], "json") == 0);
    log_journal_connect(LOG_JOURNAL_SOCKET);
    set_signals();
    int status = EXIT_FAILURE;
    if (hosting_open(&hosting, argv[1], &settings, &why) < 0)
        log_error("cannot serve: %s", why.text);
    else
        status = hosting_run(&hosting);
    hosting_close(&hosting);
    return status;
}
