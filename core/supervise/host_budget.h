/* supervise/host_budget.h - how much of the core's only thread one host may have for its frames: a quarter, measured in short windows.
 * Who has used it up is not read for the rest of the window, so its channel fills and it waits; nobody else does.  Pure arithmetic. */
#ifndef HOST_BUDGET_H
#define HOST_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/clock.h"

#define HOST_BUDGET_WINDOW_NS (20 * CLOCK_MS)
#define HOST_BUDGET_SHARE_NS (5 * CLOCK_MS)

struct host_budget {
    uint64_t begun_ns, used_ns; /* of this window */
    uint64_t pauses;            /* so many times it was used up */
};

/* host_budget_spend - from begun_ns to ended_ns the core has worked for this host.  Returns for how many ns it must wait now; 0: not at all.
 * One piece of work that was longer than the share is paid off over the windows that follow. */
uint64_t host_budget_spend(struct host_budget *budget, uint64_t begun_ns, uint64_t ended_ns);

#endif
