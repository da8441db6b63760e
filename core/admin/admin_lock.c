#include "core/admin/admin_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int lock_path(const char *runtime_dir, char *path, size_t room, struct why *why)
{
    if (snprintf(path, room, "%s/umbeld.lock", runtime_dir) >= (int)room)
        return why_set(why, -ENAMETOOLONG, "the runtime directory's name is too long");
    return 0;
}

/* What the holder wrote; only ever shown. */
static long pid_in(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    return n > 0 ? strtol(text, NULL, 10) : 0;
}

int admin_lock(const char *runtime_dir, struct why *why)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[PATH_MAX], text[32];
    int r = lock_path(runtime_dir, path, sizeof path, why), fd, size;

    if (r < 0)
        return r;
    if (mkdir(runtime_dir, 0750) == -1 && errno != EEXIST)
        return why_errno(why, errno, "making the runtime directory %s", runtime_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd == -1)
        return why_errno(why, errno, "opening %s", path);
    if (fcntl(fd, F_OFD_SETLK, &lock) == -1) {
        if (errno == EAGAIN || errno == EACCES)
            r = why_set(why, -EBUSY, "umbeld (pid %ld) already runs on %s: stop it first, or give this one another runtime_dir",
                        pid_in(fd), runtime_dir);
        else
            r = why_errno(why, errno, "locking %s", path);
        close(fd);
        return r;
    }
    size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == -1 || pwrite(fd, text, (size_t)size, 0) != size) {
        r = why_errno(why, errno, "writing %s", path);
        close(fd);
        return r;
    }
    return fd;
}

int admin_lock_is_held(const char *runtime_dir, struct why *why)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[PATH_MAX];
    int r = lock_path(runtime_dir, path, sizeof path, why), fd;

    if (r < 0)
        return r;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd == -1)
        return why_errno(why, errno, "opening %s", path);
    if (fcntl(fd, F_OFD_GETLK, &lock) == -1)
        r = why_errno(why, errno, "asking about %s", path);
    else
        r = lock.l_type != F_UNLCK;
    close(fd);
    return r;
}
