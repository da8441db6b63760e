/* stream/bus.h - where a stream's events become shared memory: journal first, then ring, then one wake-up per sleeping reader and batch.
 * Owner: the core's loop thread.  Nothing here waits for a reader. */
#ifndef STREAM_BUS_H
#define STREAM_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/metrics/stats_page.h"
#include "core/ring/journal_reader.h"
#include "core/ring/journal_writer.h"
#include "core/ring/ring_wake.h"
#include "core/ring/ring_writer.h"

#define BUS_READERS_MAX 256u /* host processes at once; one more is not spawned */

struct bus;

/* bus_create - the ring and the journal.  stats: the core's page, borrowed. */
int bus_create(uint32_t ring_slots, size_t journal_bytes, struct stats_page *stats, struct bus **ret_bus, struct why *why);
void bus_free(struct bus *bus);
int bus_ring_fd(const struct bus *bus);
int bus_journal_fd(const struct bus *bus);
struct journal_writer *bus_journal(struct bus *bus);
const struct journal_reader *bus_journal_reader(const struct bus *bus);

/* bus_open - a new stream: OPEN on the ring.  identity->opened_ns: now.  -ENOSPC when the journal is full. */
int bus_open(struct bus *bus, const struct journal_identity *identity, struct journal_ref *ret_ref);

/* bus_event - TEXT, REASONING or TOOL.  arrival_ns: CLOCK_MONOTONIC of its bytes.  -ENOSPC, -EFBIG: nothing was published. */
int bus_event(struct bus *bus, struct journal_ref ref, uint32_t kind, const char *data, size_t size, uint64_t arrival_ns);

/* bus_close - the end; the only record after it is CLOSED. */
void bus_close(struct bus *bus, struct journal_ref ref, const struct journal_ending *ending);

/* bus_reader_add - a host's page and eventfd (both borrowed until removed).  Returns its number, or -ENOSPC. */
int bus_reader_add(struct bus *bus, struct ring_reader_page *page, int eventfd);
void bus_reader_remove(struct bus *bus, int reader);

/* bus_flush - ends a batch: calls wake(owner, eventfd, near) for each sleeping reader that is interested in a stream of the batch.  near: it
 * says that it went to sleep on this processor. */
void bus_flush(struct bus *bus, uint64_t now_ns, void (*wake)(void *owner, int eventfd, bool near), void *owner);

/* bus_gauges - refreshes ring and journal gauges on the stats page. */
void bus_gauges(struct bus *bus);

#endif
