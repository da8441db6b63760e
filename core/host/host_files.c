#include "core/host/host_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <umbel/config.h>

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/config/config.h"

static struct host_file *find(const struct host_files *files, const char *path)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->files[i].path, path) == 0)
            return &files->files[i];
    return NULL;
}

static struct host_file *add(struct host_files *files, const char *path)
{
    struct host_file *more, *file;

    more = realloc(files->files, (files->count + 1) * sizeof *more);
    if (!more)
        return NULL;
    files->files = more;
    file = &more[files->count];
    file->fd = memfd_create("umbel-file", MFD_CLOEXEC);
    if (file->fd == -1)
        return NULL;
    snprintf(file->path, sizeof file->path, "%s", path);
    files->count++;
    return file;
}

int host_files_take(struct host_files *files, const char *path, struct span content)
{
    struct host_file *file = find(files, path);
    size_t at = 0;

    if (!file && files->count == HOST_FILES_MAX)
        return -ENOSPC;
    if (!file && !(file = add(files, path)))
        return -ENOMEM;
    if (ftruncate(file->fd, 0) == -1)
        return -errno;
    while (at < content.size) {
        ssize_t n = pwrite(file->fd, content.data + at, content.size - at, (off_t)at);
        if (n <= 0)
            return n == 0 ? -EIO : -errno;
        at += (size_t)n;
    }
    return 0;
}

const char *host_files_link(const struct host_files *files, const char *path, char room[HOST_FILES_LINK])
{
    const struct host_file *file = find(files, path);

    if (!file)
        return path;
    snprintf(room, HOST_FILES_LINK, "/proc/self/fd/%d", file->fd);
    return room;
}

void host_files_rename(const struct host_files *files, struct config_section *section)
{
    char room[HOST_FILES_LINK];

    for (size_t i = 0; i < section->value_count; i++) {
        struct config_value *value = &section->values[i];
        for (size_t k = 0; k < value->section_count; k++)
            host_files_rename(files, &value->sections[k]);
        if (value->type != UMBEL_OPTION_TEXT || !value->text || !find(files, value->text))
            continue;
        char *link = strdup(host_files_link(files, value->text, room));
        if (!link)
            continue; /* the path stays: opening it fails with words */
        free(value->text);
        value->text = link;
    }
}

void host_files_tell(const struct host_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        log_info("/proc/self/fd/%d is %s", files->files[i].fd, files->files[i].path);
}

void host_files_free(struct host_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        fd_close(&files->files[i].fd);
    free(files->files);
    *files = (struct host_files){0};
}
