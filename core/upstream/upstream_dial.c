#include "core/upstream/upstream_dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static const struct uring_socket_ops attempt_ops;

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
}

static void note_failure(struct upstream_dial *dial, uint32_t which, int error)
{
    dial->error = error;
    dial->failed_at = which;
}

/* Begins the next attempt that can be begun, if there is one, and sets when the one after it is due. */
static void begin_next(struct upstream_dial *dial)
{
    bool begun = false;

    while (!begun && dial->next < dial->answer.count) {
        uint32_t which = dial->next++;
        struct upstream_address *address = &dial->answer.address[which];
        struct upstream_dial_attempt *attempt = &dial->attempt[which];
        int r;

        set_port(&address->address, dial->port);
        r = uring_socket_connect(dial->loop, (const struct sockaddr *)&address->address, address->size, 0, &attempt_ops, attempt,
                                 &attempt->socket);
        begun = r == 0;
        if (begun)
            dial->running++;
        else
            note_failure(dial, which, r);
    }
    if (dial->next < dial->answer.count)
        uring_timer_set(dial->loop, &dial->timer, dial->stagger_ns);
    else
        uring_timer_clear(dial->loop, &dial->timer);
}

static void timer_fired(struct uring_timer *timer)
{
    begin_next(list_entry(timer, struct upstream_dial, timer));
}

static void attempt_connected(void *owner)
{
    struct upstream_dial_attempt *attempt = owner;
    struct upstream_dial *dial = attempt->dial;
    struct uring_socket *socket = attempt->socket;
    size_t which = (size_t)(attempt - dial->attempt);

    attempt->socket = NULL;
    dial->running--;
    dial->ops->connected(dial->owner, socket, which > 0 ? &dial->answer.address[which] : NULL); /* the dial may be gone */
}

static void attempt_closed(void *owner, int error)
{
    struct upstream_dial_attempt *attempt = owner;
    struct upstream_dial *dial = attempt->dial;

    uring_socket_close(attempt->socket);
    attempt->socket = NULL;
    dial->running--;
    note_failure(dial, (uint32_t)(attempt - dial->attempt), error < 0 ? error : -ECONNRESET);
    begin_next(dial);
    if (dial->running == 0)
        dial->ops->failed(dial->owner, dial->error);
}

static void attempt_received(void *owner, const char *bytes, size_t size)
{
    (void)owner;
    (void)bytes;
    (void)size; /* never: who is connected has another owner */
}

static const struct uring_socket_ops attempt_ops = {attempt_connected, attempt_received, NULL, attempt_closed};

void upstream_dial_text(const struct upstream_dial *dial, char text[DIAL_TEXT_MAX])
{
    const struct sockaddr_storage *address = &dial->answer.address[dial->failed_at].address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    const void *bytes = address->ss_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
    char number[INET6_ADDRSTRLEN] = "?";

    inet_ntop(address->ss_family, bytes, number, sizeof number);
    if (dial->answer.count > 1)
        snprintf(text, DIAL_TEXT_MAX, "%s, the last of %u addresses", number, (unsigned)dial->answer.count);
    else
        snprintf(text, DIAL_TEXT_MAX, "%s", number);
}

int upstream_dial_start(struct uring_loop *loop, const struct upstream_answer *answer, uint16_t port, uint64_t stagger_ns,
                        const struct upstream_dial_ops *ops, void *owner, struct upstream_dial **ret_dial, char *ret_text)
{
    struct upstream_dial *dial = calloc(1, sizeof *dial);
    int r;

    snprintf(ret_text, DIAL_TEXT_MAX, "no address");
    if (!dial)
        return -ENOMEM;
    dial->loop = loop;
    dial->ops = ops;
    dial->owner = owner;
    dial->answer = *answer;
    dial->port = port;
    dial->stagger_ns = stagger_ns;
    dial->error = -EADDRNOTAVAIL;
    dial->timer.fired = timer_fired;
    for (uint32_t i = 0; i < RESOLVER_ADDRESSES_MAX; i++)
        dial->attempt[i].dial = dial;
    begin_next(dial);
    if (dial->running > 0) {
        *ret_dial = dial;
        return 0;
    }
    r = dial->error;
    if (answer->count > 0)
        upstream_dial_text(dial, ret_text);
    upstream_dial_free(dial);
    return r;
}

void upstream_dial_free(struct upstream_dial *dial)
{
    if (!dial)
        return;
    uring_timer_clear(dial->loop, &dial->timer);
    for (uint32_t i = 0; i < RESOLVER_ADDRESSES_MAX; i++)
        uring_socket_close(dial->attempt[i].socket);
    free(dial);
}
