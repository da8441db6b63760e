/* support/without_io_uring.c - runs a program where io_uring_setup is refused, as many containers do it: for the integration
 * tests.
 *
 *   umbel-without-io-uring EPERM|ENOSYS PROGRAM [ARGUMENT...]
 *
 * The program and all its children inherit the filter.  Exit codes: the program's; 125 if it could not be started. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_OURS 125

static int forbid(uint32_t refusal)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | refusal),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1)
        return -errno;
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t refusal = argc > 2 && strcmp(argv[1], "EPERM") == 0    ? EPERM
                       : argc > 2 && strcmp(argv[1], "ENOSYS") == 0 ? ENOSYS
                                                                    : 0;
    int r;

    if (refusal == 0) {
        fprintf(stderr, "usage: umbel-without-io-uring EPERM|ENOSYS PROGRAM [ARGUMENT...]\n");
        return EXIT_OURS;
    }
    r = forbid(refusal);
    if (r < 0) {
        fprintf(stderr, "cannot install the filter: %s\n", strerror(-r));
        return EXIT_OURS;
    }
    execv(argv[2], argv + 2);
    fprintf(stderr, "cannot run %s: %s\n", argv[2], strerror(errno));
    return EXIT_OURS;
}
