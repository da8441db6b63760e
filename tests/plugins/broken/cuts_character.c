/* Cuts text after so many bytes, also inside a character. */
#define FAULT_PIECE 5u
#include "tests/plugins/broken/line.h"
