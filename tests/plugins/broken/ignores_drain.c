/* Does not hear drain(). */
#define FAULT_DRAIN 1
#include "tests/plugins/broken/line.h"
