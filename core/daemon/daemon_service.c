#include "core/daemon/daemon_service.h"

#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon_handover.h"
#include "core/daemon/daemon_plugin_file.h"
#include "core/daemon/daemon_hosts.h"
#include "core/daemon/daemon_sockets.h"

/* Somebody who waits until a transport is drained. */
struct waiting {
    struct list link; /* daemon.drains */
    struct daemon *daemon;
    struct daemon_transport *transport;
    struct admin_request *request;
    struct uring_timer tell; /* once a second: how far it is */
};

static bool is_down(const struct daemon_transport *transport)
{
    list_for_each(link, spare, &transport->workers)
    {
        const struct daemon_host *h = list_entry(link, struct daemon_host, link);
        if (h->role == DAEMON_SERVES && h->host.state != HOST_DOWN)
            return false;
    }
    return true;
}

static void waiting_free(struct waiting *waiting)
{
    uring_timer_clear(waiting->daemon->loop, &waiting->tell);
    list_remove(&waiting->link);
    free(waiting);
}

static void gone(void *owner)
{
    waiting_free(owner);
}

static void tell(struct uring_timer *timer)
{
    struct waiting *waiting = list_entry(timer, struct waiting, tell);
    struct umbel_out line = {0};
    uint32_t answers = 0;

    list_for_each(link, spare, &waiting->transport->workers)
        answers += answer_host_count(waiting->daemon->answers, list_entry(link, struct daemon_host, link)->number);
    umbel_out_printf(&line, "{\"event\":\"draining\",\"transport\":\"%s\",\"answers\":%u}", waiting->transport->config->name, answers);
    uring_timer_set(waiting->daemon->loop, &waiting->tell, CLOCK_S);
    if (!line.failed)
        admin_send(waiting->request, line.data, line.size);
    umbel_out_free(&line);
}

void daemon_service_changed(struct daemon_host *h)
{
    list_for_each(link, spare, &h->daemon->drains)
    {
        struct waiting *waiting = list_entry(link, struct waiting, link);
        if (waiting->transport != h->transport || (!is_down(h->transport) && h->transport->out && !h->transport->removed))
            continue;
        if (h->transport->out)
            admin_finish(waiting->request, "\"state\":\"drained\"");
        else
            admin_fail(waiting->request, "it was put into service again meanwhile", NULL);
        waiting_free(waiting);
    }
}

static struct daemon_transport *find(struct daemon *daemon, struct admin_request *request, const char *name)
{
    struct daemon_transport *transport = daemon_transport_find(daemon, name);

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (daemon->stopping)
        admin_fail(request, "the daemon stops", NULL);
    else if (!transport)
        admin_fail(request, "no transport has this name", "umbelctl host list shows them");
    else if (!transport->handover)
        return transport;
    else
        admin_fail(request, "new processes are being started for it", "try again in a few seconds");
    return NULL;
}

static void wait_for(struct daemon *daemon, struct daemon_transport *transport, struct admin_request *request)
{
    struct waiting *waiting = is_down(transport) ? NULL : calloc(1, sizeof *waiting);

    if (!waiting) {
        admin_finish(request, is_down(transport) ? "\"state\":\"drained\"" : "\"state\":\"draining\"");
        return;
    }
    *waiting = (struct waiting){.daemon = daemon, .transport = transport, .request = request, .tell = {.fired = tell}};
    list_append(&daemon->drains, &waiting->link);
    uring_timer_set(daemon->loop, &waiting->tell, CLOCK_S);
    admin_on_gone(request, gone, waiting);
}

static void drain(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct daemon_transport *transport = find(daemon, request, admin_argument(arguments, 0));

    if (!transport)
        return;
    if (!transport->out)
        log_info("transport %s is drained: an operator says so", transport->config->name);
    transport->out = true;
    list_for_each(link, spare, &transport->workers)
    {
        struct daemon_host *h = list_entry(link, struct daemon_host, link);
        if (h->role != DAEMON_SERVES)
            continue;
        h->host.again = false; /* also if it is being restarted */
        if (h->host.state == HOST_STOPPING)
            continue;
        host_stop(&h->host, h->config->drain_ms);
        daemon_worker_show(h);
    }
    list_for_each(link, spare, &transport->workers)
        daemon_sockets_refuse(list_entry(link, struct daemon_host, link));
    wait_for(daemon, transport, request);
}

static void start(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct daemon_transport *transport = find(daemon, request, admin_argument(arguments, 0));

    if (!transport)
        return;
    transport->out = false;
    list_for_each(link, spare, &transport->workers)
    {
        struct daemon_host *h = list_entry(link, struct daemon_host, link);
        if (h->role != DAEMON_SERVES)
            continue;
        daemon_plugin_file_leave(h);
        if (h->host.state == HOST_STOPPING)
            h->host.again = true; /* it ends first: its process has let its clients go */
        else if (h->host.state != HOST_RUNNING && h->host.state != HOST_STARTING)
            host_start(&h->host);
        daemon_service_changed(h);
    }
    admin_finish(request, NULL);
}

void daemon_service_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "drain", drain, daemon);
    admin_server_handle(daemon->admin, "start", start, daemon);
}
