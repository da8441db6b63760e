/* host/host_files.h - files that the core has read for the plugin: certificates, keys, and options marked UMBEL_OPTION_FILE.
 * This process may be unable to read the files themselves, and is not allowed to: it gets their content over the control channel, keeps it
 * in memory files of its own, and the plugin is given /proc/self/fd/N for the path.  Sent again before each RELOAD. */
#ifndef HOST_FILES_H
#define HOST_FILES_H

#include <stddef.h>

#include "core/base/span.h"

#define HOST_FILES_MAX 64u
#define HOST_FILES_PATH 4096u
#define HOST_FILES_LINK 32u

struct config_section;

struct host_files {
    struct host_file {
        char path[HOST_FILES_PATH]; /* as the configuration names it */
        int fd;
    } *files;
    size_t count;
};

/* host_files_take - the content of the file at path, new or again.  0, -ENOSPC (HOST_FILES_MAX), -ENOMEM, or -errno. */
int host_files_take(struct host_files *files, const char *path, struct span content);
/* host_files_link - where that file is to be opened; path itself when the core has not sent it.  Lives as long as files. */
const char *host_files_link(const struct host_files *files, const char *path, char room[HOST_FILES_LINK]);
/* host_files_rename - puts the links in place of the paths in a section's texts. */
void host_files_rename(const struct host_files *files, struct config_section *section);
/* host_files_tell - one log line: which link is which path; for when the plugin could not use them. */
void host_files_tell(const struct host_files *files);
void host_files_free(struct host_files *files);

#endif
