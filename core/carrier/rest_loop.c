/* carrier/rest_loop.c - curl's sockets and its one timer as events of the host's loop. */
#include "core/carrier/rest_carrier.h"

#include <errno.h>
#include <stdlib.h>

struct rest_socket {
    struct list link;
    struct umbel_rest *rest;
    struct event *event;
    curl_socket_t fd;
};

/* Everything that is finished leaves before anything else is driven; done() may post new calls meanwhile. */
static void reap(struct umbel_rest *rest)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(rest->multi, &left))) {
        struct umbel_rest_call *call = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        curl_multi_remove_handle(rest->multi, call->easy);
        rest_call_finish(call, code);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct rest_socket *sock = arg;
    struct umbel_rest *rest = sock->rest; /* sock may be gone after the action */
    int running, mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(rest->multi, fd, mask, &running);
    reap(rest);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct umbel_rest *rest = arg;
    int running;

    (void)fd;
    (void)what;
    curl_multi_socket_action(rest->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap(rest);
}

static void socket_free(struct rest_socket *sock)
{
    event_free(sock->event);
    list_remove(&sock->link);
    free(sock);
}

/* curl wants to know about this socket; private_data is what curl_multi_assign set. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *private_data)
{
    struct umbel_rest *rest = arg;
    struct rest_socket *sock = private_data;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (sock)
            socket_free(sock);
        curl_multi_assign(rest->multi, fd, NULL);
        return 0;
    }
    if (!sock) {
        sock = calloc(1, sizeof *sock);
        if (!sock)
            return -1;
        *sock = (struct rest_socket){.rest = rest, .fd = fd};
        list_append(&rest->sockets, &sock->link);
        curl_multi_assign(rest->multi, fd, sock);
    } else {
        event_free(sock->event);
    }
    short events = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
    sock->event = event_new(rest->host->base, fd, events, on_socket, sock);
    if (!sock->event || event_add(sock->event, NULL) < 0) {
        if (sock->event)
            event_free(sock->event);
        list_remove(&sock->link);
        free(sock);
        curl_multi_assign(rest->multi, fd, NULL);
        return -1;
    }
    return 0;
}

static int timer_wanted(CURLM *multi, long ms, void *arg)
{
    struct umbel_rest *rest = arg;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    (void)multi;
    return ms < 0 ? event_del(rest->timer) : event_add(rest->timer, &tv); /* 0: soon, but from the loop */
}

int rest_loop_open(struct umbel_rest *rest)
{
    list_init(&rest->sockets);
    rest->timer = evtimer_new(rest->host->base, on_timer, rest);
    rest->multi = curl_multi_init();
    if (!rest->timer || !rest->multi)
        return -ENOMEM;
    curl_multi_setopt(rest->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(rest->multi, CURLMOPT_SOCKETDATA, rest);
    curl_multi_setopt(rest->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(rest->multi, CURLMOPT_TIMERDATA, rest);
    curl_multi_setopt(rest->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)rest->settings.max_connections);
    curl_multi_setopt(rest->multi, CURLMOPT_MAXCONNECTS, (long)rest->settings.max_connections);
    return 0;
}

void rest_loop_close(struct umbel_rest *rest)
{
    if (rest->multi)
        curl_multi_cleanup(rest->multi); /* calls socket_wanted(REMOVE) for what is left */
    list_for_each(link, spare, &rest->sockets)
        socket_free(list_entry(link, struct rest_socket, link));
    if (rest->timer)
        event_free(rest->timer);
}
