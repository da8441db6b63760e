#include "tools/show/show_answer.h"

#include <stdarg.h>
#include <stdio.h>

void show_answer_free(struct show_answer *answer)
{
    umbel_out_free(&answer->text);
}

void show_answer_text(struct show_answer *answer, const char *text, size_t size)
{
    if (answer->state == SHOW_WHOLE && size > 0)
        show_answer_break(answer, "text after the end of the answer");
    if (answer->state == SHOW_BROKEN)
        return;
    answer->text.limit = SHOW_TEXT_MAX;
    umbel_out_put(&answer->text, text, size);
    if (answer->text.failed)
        show_answer_break(answer, "the answer is larger than %u bytes", SHOW_TEXT_MAX);
}

void show_answer_whole(struct show_answer *answer)
{
    if (answer->state == SHOW_WHOLE)
        show_answer_break(answer, "the answer ended twice");
    else if (answer->state == SHOW_WAITING)
        answer->state = SHOW_WHOLE;
}

void show_answer_break(struct show_answer *answer, const char *format, ...)
{
    va_list args;

    if (answer->state == SHOW_BROKEN)
        return;
    answer->state = SHOW_BROKEN;
    va_start(args, format);
    vsnprintf(answer->why, sizeof answer->why, format, args);
    va_end(args);
    for (char *at = answer->why; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
}
