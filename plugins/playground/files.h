/* playground/files.h - the files of web/, in the plugin itself: embed.cmake writes them down as arrays when it is built. */
#ifndef PLAYGROUND_FILES_H
#define PLAYGROUND_FILES_H

#include <stddef.h>

struct playground_file {
    const char *path, *type;
    const unsigned char *data;
    size_t size;
};

/* playground_files - all of them, the page first; the last one has no path. */
extern const struct playground_file playground_files[];

#endif
