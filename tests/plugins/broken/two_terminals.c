/* Ends each answer twice. */
#define FAULT_CLOSED(out) umbel_out_text(out, "done\n")
#include "tests/plugins/broken/line.h"
