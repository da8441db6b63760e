/* Its name cannot be one. */
#define FAULT_NAME "Bad Name"
#include "tests/plugins/broken/line.h"
