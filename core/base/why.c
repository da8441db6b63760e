#include "core/base/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int why_set(struct why *why, int code, const char *format, ...)
{
    va_list args;

    if (why) {
        va_start(args, format);
        vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
    }
    return code;
}

int why_errno(struct why *why, int errno_value, const char *format, ...)
{
    va_list args;
    int n;

    if (why) {
        va_start(args, format);
        n = vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof why->text)
            snprintf(why->text + n, sizeof why->text - (size_t)n, ": %s", strerror(errno_value));
    }
    return -errno_value;
}
