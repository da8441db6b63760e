/* Takes for granted that lines are ASCII. */
#define FAULT_LINE(text, size) look(text, size)
#include <stdlib.h>
static void look(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] > 127)
            abort();
}
#include "tests/plugins/broken/line.h"
