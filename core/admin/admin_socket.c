#include "core/admin/admin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"

#define BACKLOG 16

/* Fills in the address.  A name too long for it is reached by the directory's descriptor, which the caller closes after use. */
static int make_address(const char *runtime_dir, struct sockaddr_un *address, int *ret_dir_fd, struct why *why)
{
    size_t room = sizeof address->sun_path;
    int dir_fd = -1;

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (snprintf(address->sun_path, room, "%s/admin.sock", runtime_dir) >= (int)room) {
        dir_fd = open(runtime_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd == -1)
            return why_errno(why, errno, "opening %s", runtime_dir);
        snprintf(address->sun_path, room, "/proc/self/fd/%d/admin.sock", dir_fd);
    }
    *ret_dir_fd = dir_fd;
    return 0;
}

int admin_socket_listen(const char *runtime_dir, struct why *why)
{
    struct sockaddr_un address;
    int dir_fd, fd, r = make_address(runtime_dir, &address, &dir_fd, why);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1 || (unlink(address.sun_path) == -1 && errno != ENOENT) ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) == -1 ||
        chmod(address.sun_path, 0660) == -1 || listen(fd, BACKLOG) == -1) {
        r = why_errno(why, errno, "making the admin socket %s/admin.sock", runtime_dir);
        fd_close(&fd);
    }
    fd_close(&dir_fd);
    return r < 0 ? r : fd;
}

int admin_socket_connect(const char *runtime_dir, struct why *why)
{
    struct timeval limit = {.tv_sec = ADMIN_CONNECT_S}; /* a stopped daemon's backlog may be full: connect would wait for ever */
    struct sockaddr_un address;
    int dir_fd, fd, r = make_address(runtime_dir, &address, &dir_fd, why);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == -1 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) == -1) {
        r = why_errno(why, errno, "connecting to %s/admin.sock", runtime_dir);
        fd_close(&fd);
    }
    fd_close(&dir_fd);
    return r < 0 ? r : fd;
}

void admin_socket_unlink(const char *runtime_dir)
{
    struct sockaddr_un address;
    int dir_fd;

    if (make_address(runtime_dir, &address, &dir_fd, NULL) < 0)
        return;
    unlink(address.sun_path);
    fd_close(&dir_fd);
}
