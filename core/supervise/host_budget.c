#include "core/supervise/host_budget.h"

uint64_t host_budget_spend(struct host_budget *budget, uint64_t begun_ns, uint64_t ended_ns)
{
    if ((int64_t)(begun_ns - budget->begun_ns) >= (int64_t)HOST_BUDGET_WINDOW_NS) { /* else it may still lie ahead: bytes that were on their way */
        budget->begun_ns = begun_ns;
        budget->used_ns = 0;
    }
    budget->used_ns += ended_ns - begun_ns;
    if (budget->used_ns < HOST_BUDGET_SHARE_NS)
        return 0;
    budget->pauses++;
    uint64_t until_ns = budget->begun_ns + budget->used_ns * (HOST_BUDGET_WINDOW_NS / HOST_BUDGET_SHARE_NS);
    budget->begun_ns = until_ns;
    budget->used_ns = 0;
    return until_ns > ended_ns ? until_ns - ended_ns : 1;
}
