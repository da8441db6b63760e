#include <stdbool.h>
#include <string.h>

#include <umbel/version.h>

#include "tools/man/man.h"

void man_text(struct umbel_out *out, const char *text)
{
    bool start = out->size == 0 || out->data[out->size - 1] == '\n';

    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'' || *text == ' '))
            umbel_out_text(out, *text == ' ' ? "" : "\\&");
        if (start && (*text == ' ' || *text == '\n'))
            continue; /* blanks and empty lines would break the paragraph */
        if (*text == '\\')
            umbel_out_text(out, "\\e");
        else if (*text == '-')
            umbel_out_text(out, "\\-");
        else if (*text == '^')
            umbel_out_text(out, "\\(ha");
        else if (*text == '~')
            umbel_out_text(out, "\\(ti");
        else
            umbel_out_put(out, text, 1);
        start = *text == '\n';
        if (text[0] == '.' && text[1] == ' ' && text[2] == ' ') /* a new sentence is a new line */
            umbel_out_text(out, "\n"), start = true;
    }
}

void man_line(struct umbel_out *out, const char *text)
{
    man_text(out, text);
    umbel_out_text(out, out->size && out->data[out->size - 1] == '\n' ? "" : "\n");
}

void man_literal(struct umbel_out *out, const char *text)
{
    umbel_out_text(out, ".Bd -literal -offset 2n\n");
    for (bool start = true; *text; start = *text++ == '\n') {
        if (start && (*text == '.' || *text == '\''))
            umbel_out_text(out, "\\&");
        if (*text == '\\')
            umbel_out_text(out, "\\e");
        else if (*text == '-')
            umbel_out_text(out, "\\-");
        else if (*text != '\n' || text[1])
            umbel_out_put(out, text, 1);
    }
    umbel_out_text(out, "\n.Ed\n");
}

void man_head(struct umbel_out *out, const char *name, const char *section, const char *summary)
{
    char upper[64];
    size_t size = strlen(name);

    for (size_t i = 0; i <= size && i < sizeof upper; i++)
        upper[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
    umbel_out_printf(out,
                     ".\\\" Made by umbel-man of the programs' own tables: change those.\n"
                     ".Dd $Mdocdate: November 20 2026 $\n.Dt %s %s\n.Os umbel %s\n.Sh NAME\n.Nm %s\n"
                     ".Nd %s\n",
                     upper, section, UMBEL_VERSION, name, summary);
}
