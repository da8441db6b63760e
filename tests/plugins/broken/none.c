/* No fault: what the other files differ from. */
#include "tests/plugins/broken/line.h"
