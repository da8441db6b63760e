#include "tools/umbelctl/print.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/umbelctl/ctl.h"
#include "tools/umbelctl/text.h"

int print_document(struct umbel_out *out)
{
    int failed;

    umbel_out_text(out, "\n");
    failed = out->failed;
    if (!failed)
        fwrite(out->data, 1, out->size, stdout);
    umbel_out_free(out);
    return failed ? ctl_complain(CTL_FAILED, NULL, "out of memory") : CTL_OK;
}

void print_live(bool terminal, const char *text, size_t size)
{
    char clean[4096];

    if (!terminal)
        fwrite(text, 1, size, stdout);
    while (terminal && size > 0) {
        size_t part = size < sizeof clean - 1 ? size : sizeof clean - 1;

        while (part < size && part > 1 && ((unsigned char)text[part] & 0xc0) == 0x80)
            part--; /* not inside a character */
        fwrite(clean, 1, text_clean(text, part, 1, clean, sizeof clean), stdout);
        text += part;
        size -= part;
    }
}

int print_is_broken(void)
{
    return fflush(stdout) != 0 && errno == EPIPE;
}

int print_finish(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno == EPIPE || errno == 0) /* 0: an earlier write failed; SIGPIPE is ignored, so this is how a closed pipe looks then */
        return code;
    return ctl_complain(CTL_FAILED, NULL, "writing the output: %s", strerror(errno));
}
