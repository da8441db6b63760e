/* sandbox/sandbox_core_filter.h - the core's filter, and the mark by which it is found again.  Inside this module only. */
#ifndef SANDBOX_CORE_FILTER_H
#define SANDBOX_CORE_FILTER_H

#include <stdbool.h>

/* sandbox_core_filter - puts the list in force.  0 or -errno. */
int sandbox_core_filter(bool only_logs);

/* sandbox_core_filter_held - was this process started under a filter of the core's?  The newest counts. */
bool sandbox_core_filter_held(unsigned *ret_list, bool *ret_only_logs);

#endif
