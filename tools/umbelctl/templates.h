/* umbelctl/templates.h - the files of `umbelctl plugin new`, in the program: templates/NAME.in as they lie there. */
#ifndef CTL_TEMPLATES_H
#define CTL_TEMPLATES_H

#include <stddef.h>

struct ctl_template {
    const char *name; /* "README.md"; of a carrier's own: "ws.c" */
    const unsigned char *bytes;
    size_t size;
};

extern const struct ctl_template ctl_templates[]; /* ends with a NULL name */

#endif
