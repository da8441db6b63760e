/* host/host_trail.h - what a host tells its event ring (metrics/trail.h): how late each answer reached its readers here.
 * Loop thread.  A delivery costs one addition; an event comes with the first delivery of an answer and when its last reader has left. */
#ifndef HOST_TRAIL_H
#define HOST_TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_TRAIL_BUCKETS 125u /* four to an octave: every fourth bound of stats_bucket_of */

struct host_feed;
struct hosting;

struct host_trail { /* of one feed */
    uint64_t begun_ns, bytes, writes, lag_max_ns;
    uint64_t closed_ns; /* when its end was known here */
    uint32_t readers;
    bool first_told;
    uint32_t lag[HOST_TRAIL_BUCKETS];
};

void host_trail_reader(struct host_feed *feed); /* one more reader */
/* host_trail_write - bytes went to a reader; lag_ns: how late, 0: not known (it read back what it had missed). */
void host_trail_write(struct host_feed *feed, size_t bytes, uint64_t lag_ns);
/* host_trail_end - the last bytes went to a reader; known_lag: host_trail_write was told it.  Else it is as late as the end is old. */
void host_trail_end(struct host_feed *feed, bool known_lag);
void host_trail_left(struct host_feed *feed); /* its last reader has left */
/* host_trail_counted - a plugin or carrier counts something: a client closed because it was too slow is an event. */
void host_trail_counted(struct hosting *hosting, const char *counter);

#endif
