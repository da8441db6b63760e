/* Forgets a little memory with each line. */
#define FAULT_LINE(text, size) leak(text, size)
#include <string.h>
static char *volatile forgotten;
static void leak(const char *text, size_t size)
{
    forgotten = strndup(text, size);
}
#include "tests/plugins/broken/line.h"
