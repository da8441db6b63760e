#include "core/uring/uring_probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/number.h"

/* Completions may come faster than one turn submits: multishot receives are many to one. */
#define COMPLETIONS_PER_ENTRY 4u
#define COMPLETIONS_MIN 4096u

static int read_disabled(void)
{
    char *text;
    size_t size;
    uint64_t number;
    int value = -1;

    if (fd_read_file("/proc/sys/kernel/io_uring_disabled", 64, &text, &size) == 0) {
        if (number_parse_u64(text, strcspn(text, "\n"), &number) && number <= 2)
            value = (int)number;
        free(text);
    }
    return value;
}

static const char *kernel_release(struct utsname *name)
{
    return uname(name) == 0 ? name->release : "of unknown version";
}

int uring_probe_words(int code, int disabled, struct why *why)
{
    struct utsname name;

    switch (code) {
    case -EPERM:
    case -EACCES:
        if (disabled == 2)
            return why_set(why, code,
                           "io_uring is switched off on this machine (kernel.io_uring_disabled = 2): "
                           "sysctl -w kernel.io_uring_disabled=0");
        if (disabled == 1)
            return why_set(why, code,
                           "io_uring is for privileged processes only (kernel.io_uring_disabled = 1): "
                           "sysctl -w kernel.io_uring_disabled=0, or put this user into kernel.io_uring_group");
        return why_set(why, code,
                       "io_uring_setup is forbidden (%s), usually by a container's seccomp profile: allow io_uring_setup, "
                       "io_uring_enter and io_uring_register in it (systemd: SystemCallFilter=@system-service has them)",
                       strerror(-code));
    case -ENOSYS:
        return why_set(why, code,
                       "this kernel (%s) has no io_uring, or a seccomp profile hides it: Linux 6.1 or newer with CONFIG_IO_URING "
                       "is needed, and io_uring_setup, io_uring_enter, io_uring_register allowed",
                       kernel_release(&name));
    case -EINVAL:
    case -EOPNOTSUPP:
        return why_set(why, code, "the io_uring of this kernel (%s) is too old: Linux 6.1 or newer is needed",
                       kernel_release(&name));
    case -ENOMEM:
        return why_set(why, code,
                       "no memory for io_uring: raise the locked-memory limit (systemd: LimitMEMLOCK=infinity, "
                       "else ulimit -l) or the memory limit");
    case -EMFILE:
    case -ENFILE:
        return why_set(why, code,
                       "no descriptor left for io_uring: raise the open-files limit (systemd: LimitNOFILE=, else ulimit -n)");
    default:
        return why_errno(why, -code, "io_uring cannot be set up");
    }
}

static int check_features(struct io_uring *io, unsigned features, struct why *why)
{
    static const struct {
        int opcode;
        const char *name;
    } needed[] = {{IORING_OP_CONNECT, "connect"}, {IORING_OP_RECV, "receive"}, {IORING_OP_SEND, "send"},
                  {IORING_OP_POLL_ADD, "poll"},   {IORING_OP_WRITE, "write"},  {IORING_OP_ASYNC_CANCEL, "cancel"},
                  {IORING_OP_CLOSE, "close"}};
    const unsigned wanted =
        IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
    struct io_uring_probe *probe;
    int r = 0;

    if ((features & wanted) != wanted)
        return uring_probe_words(-EINVAL, -1, why);
    probe = io_uring_get_probe_ring(io);
    if (!probe)
        return why_set(why, -ENOMEM, "io_uring does not say what it can do");
    for (size_t i = 0; i < sizeof needed / sizeof needed[0] && r == 0; i++)
        if (!io_uring_opcode_supported(probe, needed[i].opcode))
            r = why_set(why, -EOPNOTSUPP, "the io_uring of this kernel cannot %s: Linux 6.1 or newer is needed", needed[i].name);
    io_uring_free_probe(probe);
    return r;
}

int uring_probe_open(uint32_t entries, struct io_uring *ret_io, struct why *why)
{
    static const unsigned flags[] = {
        IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
            IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
    };
    struct io_uring_params parameters;
    int r = -EINVAL;

    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && r == -EINVAL; i++) {
        memset(&parameters, 0, sizeof parameters);
        parameters.flags = flags[i] | IORING_SETUP_R_DISABLED; /* until uring_restrict */
        parameters.cq_entries =
            entries * COMPLETIONS_PER_ENTRY > COMPLETIONS_MIN ? entries * COMPLETIONS_PER_ENTRY : COMPLETIONS_MIN;
        r = io_uring_queue_init_params(entries, ret_io, &parameters);
    }
    if (r < 0)
        return uring_probe_words(r, read_disabled(), why);
    r = check_features(ret_io, parameters.features, why);
    if (r < 0)
        io_uring_queue_exit(ret_io);
    return r;
}

/* One completion, at most a second away; a result of the kernel's own making never takes that long. */
static int next_completion(struct io_uring *io, int32_t *ret_value, uint32_t *ret_flags)
{
    struct __kernel_timespec second = {.tv_sec = 1};
    struct io_uring_cqe *cqe;
    int r;

    do
        r = io_uring_submit_and_wait_timeout(io, &cqe, 1, &second, NULL);
    while (r == -EINTR);
    if (r < 0)
        return r;
    *ret_value = cqe->res;
    *ret_flags = cqe->flags;
    io_uring_cqe_seen(io, cqe);
    return 0;
}

int uring_probe_receive(struct io_uring *io, struct uring_buffers *buffers, struct why *why)
{
    struct io_uring_sqe *sqe;
    int32_t value = 0;
    uint32_t flags = 0;
    int r, pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
        return why_errno(why, errno, "no socket pair to try io_uring with");
    if (write(pair[1], "x", 1) != 1) {
        r = why_errno(why, errno, "cannot write to a socket pair");
        goto out;
    }
    sqe = io_uring_get_sqe(io);
    io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFERS_GROUP;
    io_uring_sqe_set_data64(sqe, 0);
    r = next_completion(io, &value, &flags);
    if (r == 0 && value != 1)
        r = value < 0 ? value : -EIO;
    if (r == 0 && (!(flags & IORING_CQE_F_MORE) || !(flags & IORING_CQE_F_BUFFER) ||
                   *uring_buffers_at(buffers, flags >> IORING_CQE_BUFFER_SHIFT) != 'x'))
        r = -EOPNOTSUPP;
    if (flags & IORING_CQE_F_BUFFER)
        uring_buffers_give(buffers, flags >> IORING_CQE_BUFFER_SHIFT);
    if (r < 0) {
        uring_probe_words(r, -1, why);
        goto out;
    }
    /* The end of file ends the operation, so nothing of the trial is left in flight. */
    shutdown(pair[1], SHUT_WR);
    do
        r = next_completion(io, &value, &flags);
    while (r == 0 && (flags & IORING_CQE_F_MORE));
    if (r < 0)
        why_errno(why, -r, "io_uring does not end a receive");
out:
    close(pair[0]);
    close(pair[1]);
    return r;
}
