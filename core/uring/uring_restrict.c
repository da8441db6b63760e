#include "core/uring/uring_restrict.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPERATION(number) {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = (number)}
#define FLAGS(bits) {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = (bits)}
#define REGISTRATION(number) {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = (number)}

/* liburing 2.3 declares functions for these two and does not export them. */
static int ring_register(const struct io_uring *io, unsigned what, const void *list, unsigned count)
{
    return syscall(SYS_io_uring_register, io->ring_fd, what, list, count) == -1 ? -errno : 0;
}

int uring_restrict(struct io_uring *io, struct why *why)
{
    struct io_uring_restriction list[] = {
        OPERATION(IORING_OP_CONNECT),
        OPERATION(IORING_OP_RECV),
        OPERATION(IORING_OP_SEND),
        OPERATION(IORING_OP_POLL_ADD),
        OPERATION(IORING_OP_WRITE), /* eventfds of hosts */
        OPERATION(IORING_OP_ASYNC_CANCEL),
        OPERATION(IORING_OP_CLOSE),
        FLAGS(IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS),
        REGISTRATION(IORING_UNREGISTER_PBUF_RING),
    };
    int r = ring_register(io, IORING_REGISTER_RESTRICTIONS, list, sizeof list / sizeof list[0]);

    if (r < 0)
        return why_errno(why, -r, "io_uring does not let itself be limited to what the engine needs");
    r = ring_register(io, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return r < 0 ? why_errno(why, -r, "io_uring cannot be enabled") : 0;
}
