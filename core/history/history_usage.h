/* history/history_usage.h - internal to the module: what ended answers have used, on its way to the disk.
 * In history_shared.usage under the lock; while it is written it belongs to the thread. */
#ifndef HISTORY_USAGE_H
#define HISTORY_USAGE_H

#include "core/base/list.h"
#include "core/history/history.h"

#define HISTORY_USAGE_BATCH 256u /* answers of one transaction; so many that wait are written at once */

struct history_used {
    struct list link;
    uint64_t order;     /* of adds and asks together */
    uint64_t queued_ns; /* CLOCK_MONOTONIC */
    struct history_usage usage; /* its texts stand behind this struct */
    char bytes[];
};

/* history_used_make - one block with copies of all; no lock needed.  NULL: no memory. */
struct history_used *history_used_make(const struct history_usage *usage);
void history_usage_free(struct list *used); /* frees a list of them */

#endif
