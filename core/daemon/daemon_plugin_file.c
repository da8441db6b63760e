#include "core/daemon/daemon_plugin_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <umbel/transport.h>

#include "core/base/fd.h"
#include "core/base/log.h"

void daemon_plugin_file_spawn(struct daemon_host *h, struct host_spawn *spawn)
{
    spawn->plugin_path = h->config->plugin_path;
    if (h->plugin_kept && h->plugin_fd >= 0) {
        spawn->plugin_fd = h->plugin_fd;
        return;
    }
    fd_close(&h->plugin_fd);
    if (!(h->config->needs & UMBEL_NEEDS_ALONE))
        return;
    h->plugin_fd = open(h->config->plugin_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (h->plugin_fd == -1)
        log_warn("%s: %s cannot be held: %s", h->host.name, h->config->plugin_path, strerror(errno));
}

void daemon_plugin_file_keep(struct daemon_host *h)
{
    h->plugin_kept = true;
}

void daemon_plugin_file_leave(struct daemon_host *h)
{
    h->plugin_kept = false;
}

void daemon_plugin_file_close(struct daemon_host *h)
{
    fd_close(&h->plugin_fd);
}
