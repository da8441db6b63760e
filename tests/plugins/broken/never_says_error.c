/* Tells nobody what went wrong. */
#define FAULT_SILENT 1
#include "tests/plugins/broken/line.h"
