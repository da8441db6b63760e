/* carrier/ws_progress.c - alone in its file because the kernel's tcp_info and the C library's cannot be included together. */
#include "core/carrier/ws_progress.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint64_t ws_progress_acked(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == -1 ? 0 : info.tcpi_bytes_acked;
}
