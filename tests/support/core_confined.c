/* support/core_confined.c - gives up what umbeld gives up, then tries what it must not be able to do and what it must.
 *
 *   umbel-core-confined on|log|off          one line of JSON: {"report": "...", "NAME": "DONE" | "EPERM" | "SIGSYS" | ...}
 *   umbel-core-confined older PROGRAM ...   runs a program as if a core with an older list had executed it
 *
 * Each attempt has a process of its own.  off: the same attempts without confinement, to see that they are real. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sandbox/sandbox.h"
#include "core/sandbox/sandbox_core.h"

#define MARK_CALL 0x554d4243
#define MARK_OLDEST 1024

static int result(long r)
{
    return r == -1 ? errno : 0;
}

/* ---- what must not be possible ---- */

static int try_ptrace(void) { return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL)); }
static int try_personality(void) { return result(syscall(SYS_personality, 0xffffffffu)); }
static int try_keyctl(void) { return result(syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -2 /* process */, 1)); }
static int try_add_key(void) { return result(syscall(SYS_add_key, "user", "umbel-test", "x", 1, -2)); }
static int try_request_key(void) { return result(syscall(SYS_request_key, "user", "umbel-test-none", NULL, -2)) == EPERM ? EPERM : 0; }
static int try_pidfd_getfd(void)
{
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return result(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}
static int try_process_vm_read(void)
{
    char from = 'x', to = 0;
    struct iovec local = {&to, 1}, remote = {&from, 1};
    return result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}
static int try_mknod(void)
{
    int r = result(mknodat(AT_FDCWD, "fifo", S_IFIFO | 0600, 0));
    unlink("fifo");
    return r;
}
static int try_handle(void)
{
    struct {
        struct file_handle head;
        unsigned char room[128];
    } handle = {.head.handle_bytes = 128};
    int mount;
    int r = result(name_to_handle_at(AT_FDCWD, ".", &handle.head, &mount, 0));
    return r == EOPNOTSUPP ? 0 : r; /* the folder's file system: but it was asked */
}
static int try_namespace(void)
{
    long pid = syscall(SYS_clone, (unsigned long)CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid == 0)
        _exit(0);
    return result(pid);
}
static int try_clone3(void)
{
    char nothing[64] = {0};
    return syscall(SYS_clone3, nothing, 8) == -1 && errno == ENOSYS ? ENOSYS : 0; /* too small: the kernel would say EINVAL */
}
static int try_packet(void) { return result(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)); }
static int try_raw(void) { return result(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP)); }
static int try_raw6(void) { return result(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP)); }
static int try_other_type(void) { return socket(AF_INET, SOCK_RDM | SOCK_CLOEXEC, 0) == -1 && errno == EPERM ? EPERM : 0; }
static int try_uevents(void) { return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 15 /* NETLINK_KOBJECT_UEVENT */)); }
static int try_other_family(void)
{
    int r = result(socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    return r == EPERM ? EPERM : 0;
}
static int try_code_map(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}
static int try_code_protect(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}
static int try_limits_of_others(void)
{
    struct rlimit limit;
    return result(prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit));
}
static int try_tracer(void) { return result(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)) == EPERM ? EPERM : 0; }
static int try_dumpable(void) { return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }
static int try_tiocsti(void) { return ioctl(STDIN_FILENO, TIOCSTI, "x") == -1 && errno == EPERM ? EPERM : 0; }
static int try_priority(void) { return result(setpriority(PRIO_PROCESS, 0, 5)); }
static int try_scheduler(void)
{
    const struct sched_param parameters = {0};
    return result(sched_setscheduler(0, SCHED_BATCH, &parameters));
}
static int try_shared_memory(void)
{
    int id = shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT);
    if (id != -1)
        shmctl(id, IPC_RMID, NULL);
    return result(id);
}
static int try_quota(void) { return syscall(SYS_quotactl, 0, NULL, 0, NULL) == -1 && errno == EPERM ? EPERM : 0; }
static int try_hostname(void)
{
    char name[256];
    return gethostname(name, sizeof name) == 0 ? result(sethostname(name, strlen(name))) : errno;
}
static int try_kernel_log(void) { return result(syscall(SYS_syslog, 10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0)); }
static int try_openat2(void) { return syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) == -1 && errno == ENOSYS ? ENOSYS : 0; }

/* Those that kill.  The arguments are such that nothing happens where they are allowed. */
#define NEVER(name, ...)                                                                                                            \
    static int try_##name(void) { (void)syscall(SYS_##name, __VA_ARGS__); return 0; }
NEVER(acct, "/nothing/of/this/name")
NEVER(bpf, -1, NULL, 0)
NEVER(chroot, "/nothing/of/this/name")
NEVER(clock_settime, -1, NULL)
NEVER(delete_module, "", 0)
NEVER(finit_module, -1, "", 0)
NEVER(fsopen, "nothing", -1)
NEVER(init_module, NULL, 0, "")
NEVER(kexec_load, 0, 0, NULL, -1L)
NEVER(mount, NULL, "/nothing/of/this/name", NULL, 0, NULL)
NEVER(move_mount, -1, "", -1, "", -1)
NEVER(open_by_handle_at, -1, NULL, 0)
NEVER(open_tree, -1, "", -1)
NEVER(perf_event_open, NULL, 0, -1, -1, 0)
NEVER(pivot_root, "/nothing/of/this/name", "/nothing/of/this/name")
NEVER(process_vm_writev, 0, NULL, 0, NULL, 0, -1)
NEVER(reboot, 0, 0, 0, NULL)
NEVER(setns, -1, 0)
NEVER(settimeofday, NULL, NULL)
NEVER(swapoff, "/nothing/of/this/name")
NEVER(swapon, "/nothing/of/this/name", 0)
NEVER(umount2, "/nothing/of/this/name", 0)
NEVER(unshare, 0)
NEVER(userfaultfd, -1)
#if defined(__x86_64__)
static int try_other_abi(void)
{
    int r;
    __asm__ volatile("int $0x80" : "=a"(r) : "0"(20) : "memory"); /* getpid as a 32-bit program calls it */
    return 0;
}
#endif

/* ---- what must go on working ---- */

static int wait_for(pid_t pid)
{
    int status;
    return pid == -1 ? errno : waitpid(pid, &status, 0) != pid ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
static int do_exec(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(errno);
    }
    return wait_for(pid);
}
static int do_spawn(void)
{
    char *const argv[] = {(char[]){"true"}, NULL};
    pid_t pid;
    int r = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ);
    return r ? r : wait_for(pid);
}
static void *thread(void *owner)
{
    pthread_setname_np(pthread_self(), "a-name");
    return owner;
}
static int do_thread(void)
{
    pthread_t id;
    int r = pthread_create(&id, NULL, thread, NULL);
    return r ? r : pthread_join(id, NULL);
}
static int do_pidfd(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), r = result(pidfd);
    siginfo_t info;
    if (r == 0)
        r = result(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0));
    else
        kill(pid, SIGKILL);
    return r ? r : result(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED));
}
/* As umbel-host does it: whom root started becomes another user first. */
static int do_host(void)
{
    struct sandbox_settings settings = {.connections = 64, .memory_mb = 64};
    char report[SANDBOX_REPORT_MAX] = "";
    struct why why = {""};
    if (sandbox_user_choose("", &settings, &why) < 0 ||
        sandbox_enter(&settings, &(struct sandbox_keep){.plugin = "/bin/true", .stats_folder = -1, .death_signal = SIGTERM}, report, &why) < 0)
        return EPROTO;
    if (settings.change_user && geteuid() == 0)
        return EACCES;
    return strstr(report, ", seccomp") && socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) == -1 ? 0 : EBADMSG;
}
static int do_files(void)
{
    struct stat st;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open("one", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = result(fd);
    if (r == 0 && (write(fd, "x", 1) != 1 || fsync(fd) == -1 || fdatasync(fd) == -1 || posix_fallocate(fd, 0, 4096) != 0 ||
                   fcntl(fd, F_OFD_SETLK, &lock) == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1 || ftruncate(fd, 0) == -1 ||
                   fchmod(fd, 0640) == -1 || fchown(fd, geteuid(), (gid_t)-1) == -1 || rename("one", "two") == -1 || stat("two", &st) == -1 ||
                   mkdir("folder", 0700) == -1 || rmdir("folder") == -1 || unlink("two") == -1))
        r = errno;
    return r;
}
static int do_descriptors(void)
{
    sigset_t set;
    int fds[2];
    struct itimerspec spec = {.it_value.tv_nsec = 1};
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    int memory = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (memory == -1 || ftruncate(memory, 4096) == -1 || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE) == -1 || timer == -1 ||
        timerfd_settime(timer, 0, &spec, NULL) == -1 || signalfd(-1, &set, SFD_CLOEXEC) == -1 || eventfd(0, EFD_CLOEXEC) == -1 ||
        epoll_create1(EPOLL_CLOEXEC) == -1 || pipe2(fds, O_CLOEXEC) == -1)
        return errno;
    return 0;
}
static int do_sockets(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int pair[2], listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener == -1 || client == -1 || bind(listener, (struct sockaddr *)&address, size) == -1 || listen(listener, 1) == -1 ||
        getsockname(listener, (struct sockaddr *)&address, &size) == -1 || connect(client, (struct sockaddr *)&address, size) == -1 ||
        accept4(listener, NULL, NULL, SOCK_CLOEXEC) == -1 || send(client, "x", 1, MSG_NOSIGNAL) != 1)
        return errno;
    if (socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) == -1 || socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) == -1 ||
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) == -1 || socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) == -1 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
        return errno;
    return 0;
}
static int do_names(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int r = getaddrinfo("localhost", "80", &hints, &found);
    if (r == 0)
        freeaddrinfo(found);
    return r != 0 ? EHOSTUNREACH : getpwnam("root") ? 0 : ENOENT;
}
static int do_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return errno;
    limit.rlim_cur /= 2;
    return result(setrlimit(RLIMIT_NOFILE, &limit));
}
/* Is io_uring refused by us?  The kernel may refuse it by itself, and then with the same word. */
static int do_io_uring(void)
{
    char parameters[120] = {0};
    long fd = syscall(SYS_io_uring_setup, 2, parameters);
    return fd >= 0 ? 0 : errno;
}

#define FORBIDDEN(name) {#name, try_##name}
#define WORKS(name) {#name, do_##name}
static const struct {
    const char *name;
    int (*attempt)(void);
} attempts[] = {
    FORBIDDEN(ptrace), FORBIDDEN(personality), FORBIDDEN(keyctl), FORBIDDEN(add_key), FORBIDDEN(request_key), FORBIDDEN(pidfd_getfd),
    FORBIDDEN(process_vm_read), FORBIDDEN(mknod), FORBIDDEN(handle), FORBIDDEN(namespace), FORBIDDEN(clone3), FORBIDDEN(openat2),
    FORBIDDEN(packet), FORBIDDEN(raw), FORBIDDEN(raw6), FORBIDDEN(other_type), FORBIDDEN(uevents), FORBIDDEN(other_family), FORBIDDEN(code_map),
    FORBIDDEN(code_protect), FORBIDDEN(limits_of_others), FORBIDDEN(tracer), FORBIDDEN(dumpable), FORBIDDEN(tiocsti), FORBIDDEN(priority),
    FORBIDDEN(scheduler), FORBIDDEN(shared_memory), FORBIDDEN(quota), FORBIDDEN(hostname), FORBIDDEN(kernel_log), FORBIDDEN(acct),
    FORBIDDEN(bpf), FORBIDDEN(chroot), FORBIDDEN(clock_settime), FORBIDDEN(delete_module), FORBIDDEN(finit_module), FORBIDDEN(fsopen),
    FORBIDDEN(init_module), FORBIDDEN(kexec_load), FORBIDDEN(mount), FORBIDDEN(move_mount), FORBIDDEN(open_by_handle_at),
    FORBIDDEN(open_tree), FORBIDDEN(perf_event_open), FORBIDDEN(pivot_root), FORBIDDEN(process_vm_writev), FORBIDDEN(reboot),
    FORBIDDEN(setns), FORBIDDEN(settimeofday), FORBIDDEN(swapoff), FORBIDDEN(swapon), FORBIDDEN(umount2), FORBIDDEN(unshare),
    FORBIDDEN(userfaultfd),
#if defined(__x86_64__)
    FORBIDDEN(other_abi),
#endif
    WORKS(exec), WORKS(spawn), WORKS(thread), WORKS(pidfd), WORKS(host), WORKS(files), WORKS(descriptors), WORKS(sockets), WORKS(names),
    WORKS(limits), WORKS(io_uring),
};

static void tell(const char *name, int (*attempt)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        setpgid(0, 0);
        _exit(attempt());
    }
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    const char *word = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "DONE";
    printf(",\"%s\":\"%s%s\"", name, WIFSIGNALED(status) ? "SIG" : "", word ? word : "?");
}

/* As a core of before the first list would have left it. */
static int run_as_older(char *const argv[])
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK_CALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | MARK_OLDEST),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == -1) {
        perror("the filter");
        return EXIT_FAILURE;
    }
    execv(argv[0], argv);
    perror(argv[0]);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    char report[SANDBOX_REPORT_MAX] = "", folder[] = "/tmp/umbel-confined-XXXXXX";

    if (argc > 2 && strcmp(argv[1], "older") == 0)
        return run_as_older(argv + 2);
    if (argc != 2 || !mkdtemp(folder) || chdir(folder) == -1) {
        fputs("usage: umbel-core-confined on|log|off | older PROGRAM [ARGUMENT...]\n", stderr);
        return EXIT_FAILURE;
    }
    bool good = sandbox_core_enter(sandbox_core_mode(argv[1]), report);
    printf("{\"report\":\"%s\",\"good\":%s", report, good ? "true" : "false");
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        fflush(stdout);
        tell(attempts[i].name, attempts[i].attempt);
    }
    puts("}");
    chdir("/");
    rmdir(folder);
    return EXIT_SUCCESS;
}
