/* host/host_leave.c - the end of a host that serves: drained, or giving its place to another process. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"

#define FLUSH_LIMIT_MS 1000u

/* Nothing is accepted any more: the addresses may be needed elsewhere.  Their numbers stay in use, so that an event that a plugin removes
 * late cannot meet somebody else's descriptor. */
static void let_go(struct hosting *hosting)
{
    for (uint32_t i = 0; i < hosting->listener_count; i++)
        dup2(CONTROL_FD_WAKE, CONTROL_FD_LISTEN + (int)i);
}

int host_leave_drain(struct hosting *hosting, uint64_t ms)
{
    if (!hosting->self) {
        hosting->done = true;
        return 0;
    }
    if (hosting->draining && !hosting->leaving)
        return 0;
    hosting->draining = true;
    hosting->leaving = false;
    hosting->drain_until_ns = clock_now_ns() + ms * CLOCK_MS;
    hosting->transport.drain(hosting->self, (uint32_t)ms);
    let_go(hosting);
    return 0;
}

static void leave(struct hosting *hosting, uint64_t ms)
{
    if (hosting->draining)
        return;
    if (!hosting->self || !hosting->transport.retire) {
        host_leave_drain(hosting, ms);
        return;
    }
    hosting->draining = hosting->leaving = true;
    hosting->drain_until_ns = clock_now_ns() + ms * CLOCK_MS;
    hosting->transport.retire(hosting->self, UMBEL_RETIRE_LEAVE, (uint32_t)ms);
    let_go(hosting);
}

int host_leave_retire(struct hosting *hosting, struct control_in *in)
{
    uint64_t step = control_get(in), ms = control_get(in);

    if (!control_done(in) || ms > UINT32_MAX)
        return -EPROTO;
    if (step == UMBEL_RETIRE_LEAVE)
        leave(hosting, ms);
    else if (!hosting->draining && hosting->self && hosting->transport.retire)
        hosting->transport.retire(hosting->self, (uint32_t)step, (uint32_t)ms);
    return 0;
}

void host_leave_flush(struct hosting *hosting)
{
    struct evbuffer *output = hosting->channel ? bufferevent_get_output(hosting->channel) : NULL;
    uint64_t until_ns = clock_now_ns() + FLUSH_LIMIT_MS * CLOCK_MS, now_ns;

    if (!output || hosting->core_gone)
        return;
    bufferevent_disable(hosting->channel, EV_WRITE); /* it lets go of the buffer, which is written here */
    evbuffer_unfreeze(output, 1);
    while (evbuffer_get_length(output) > 0 && (now_ns = clock_now_ns()) < until_ns) {
        struct pollfd writable = {.fd = CONTROL_FD_CHANNEL, .events = POLLOUT};
        if (poll(&writable, 1, (int)((until_ns - now_ns) / CLOCK_MS) + 1) > 0 && evbuffer_write(output, CONTROL_FD_CHANNEL) <= 0 &&
            errno != EAGAIN && errno != EINTR)
            break;
    }
}
