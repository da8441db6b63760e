/* Who reads an answer, and what becomes of it when nobody does. */
#include "core/daemon/answer_parts.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/answer_bill.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_trail.h"

#define DRAIN_LIMIT_S 60u /* on_orphan = drain: how long an answer nobody reads may go on for its usage */

void answer_orphan_fired(struct uring_timer *timer)
{
    struct answer *answer = list_entry(timer, struct answer, orphan);
    struct daemon *daemon = answer->daemon;

    switch (daemon->apps[answer->app].config->on_orphan) {
    case CONFIG_ORPHAN_FINISH:
        return;
    case CONFIG_ORPHAN_DRAIN:
        if (!answer->forget) {
            answer->forget = true;
            uring_timer_set(daemon->loop, &answer->orphan, DRAIN_LIMIT_S * CLOCK_S);
            return;
        }
        break;
    case CONFIG_ORPHAN_CANCEL:
        break;
    }
    stats_add(daemon->stats, CORE_STREAMS_ORPHANED, 1);
    answer_trail_orphaned(answer);
    log_line(LOG_INFO, answer->id, "nobody reads it any more");
    answer_cancel(answer);
}

void answer_readers_changed(struct answer *answer)
{
    struct daemon *daemon = answer->daemon;
    uint32_t total = 0;

    for (uint32_t i = 0; i < answer->reader_hosts; i++)
        total += answer->readers[i].count; /* each at most ANSWER_READERS_MAX, and few hosts: no overflow */
    list_for_each(link, spare, &answer->listeners) {
        total += !list_entry(link, struct answer_listener, link)->passive;
    }
    answer->reader_total = total;
    if (answer->bill)
        bill_readers(answer->bill, NULL, total);
    if (answer->row != UINT32_MAX)
        stats_row_u64(daemon->stats, CORE_TABLE_STREAMS, answer->row, STREAM_COL_READERS, total);
    if (!answer->call)
        journal_set_readers(bus_journal(daemon->bus), answer->ref, total > 0);
    else if (total > 0) {
        uring_timer_clear(daemon->loop, &answer->orphan);
        answer->forget = false; /* somebody came back */
    } else if (!uring_timer_is_set(&answer->orphan))
        uring_timer_set(daemon->loop, &answer->orphan, daemon->apps[answer->app].config->orphan_grace_ms * CLOCK_MS);
}

void answer_set_readers(struct answer *answer, uint32_t host, uint32_t count)
{
    uint32_t at = 0;

    if (count > ANSWER_READERS_MAX)
        count = ANSWER_READERS_MAX; /* a host may say anything */
    while (at < answer->reader_hosts && answer->readers[at].host != host)
        at++;
    if (at < answer->reader_hosts && count == 0) {
        answer->readers[at] = answer->readers[--answer->reader_hosts];
    } else if (at < answer->reader_hosts) {
        answer->readers[at].count = count;
    } else if (count > 0) {
        struct answer_readers *more = realloc(answer->readers, (at + 1) * sizeof *more);
        if (!more)
            return; /* the count is for lists and orphans only; the next report tries again */
        answer->readers = more;
        answer->readers[at] = (struct answer_readers){host, count};
        answer->reader_hosts++;
    }
    answer_readers_changed(answer);
}

void answer_read_by(struct answer *answer, const char *transport)
{
    if (answer->bill)
        bill_readers(answer->bill, transport, answer->reader_total);
}

bool answer_has_readers(const struct answer *answer, uint32_t host)
{
    for (uint32_t i = 0; i < answer->reader_hosts; i++)
        if (answer->readers[i].host == host)
            return true;
    return false;
}

void answer_listen(struct answer *answer, struct answer_listener *listener)
{
    list_append(&answer->listeners, &listener->link);
    if (listener->passive)
        return;
    answer_readers_changed(answer);
    answer_read_by(answer, "umbelctl"); /* the only one there is */
}

void answer_unlisten(struct answer *answer, struct answer_listener *listener)
{
    list_remove(&listener->link);
    answer_readers_changed(answer);
}
