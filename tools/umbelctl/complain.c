/* What the commands share: their options, and how they fail. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/umbelctl/ctl.h"
#include "tools/umbelctl/text.h"

const char *ctl_option(const struct ctl *ctl, const char *name)
{
    for (size_t i = 0; i < ctl->option_count; i++)
        if (strcmp(ctl->option_name[i], name) == 0)
            return ctl->option_value[i];
    return NULL;
}

int ctl_complain(enum ctl_exit code, const char *hint, const char *format, ...)
{
    char raw[1024], clean[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    fflush(stdout); /* in order on a terminal */
    text_clean(raw, strlen(raw), 0, clean, sizeof clean);
    fprintf(stderr, "umbelctl: %s\n", clean);
    if (hint && hint[0]) {
        text_clean(hint, strlen(hint), 0, clean, sizeof clean);
        fprintf(stderr, "  %s\n", clean);
    }
    return (int)code;
}
