/* support/chaos_try.c - everything a plugin has no business to do, tried once each. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/chaos.h"

#define RING_FD 4
#define JOURNAL_FD 5
#define STATS_FD 6 /* /dev/null by the time that a plugin runs */
#define WAKE_FD 8
#define FORKS 64

struct against {
    pid_t core;
    uint16_t port;
    char key[512], conf[512], stats[512];
    char admin[sizeof((struct sockaddr_un *)0)->sun_path];
};

/* Each returns 0 when it could be done, else the errno. */
static int result(long r)
{
    return r == -1 ? errno : 0;
}

static int open_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd == -1)
        return errno;
    close(fd);
    return 0;
}

static int open_of_core(const struct against *against, const char *file)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)against->core, file);
    return open_path(path, O_RDONLY);
}

static int try_shadow(const struct against *a) { (void)a; return open_path("/etc/shadow", O_RDONLY); }
static int try_passwd(const struct against *a) { (void)a; return open_path("/etc/passwd", O_RDONLY); }
static int try_key(const struct against *a) { return open_path(a->key, O_RDONLY); }
static int try_conf(const struct against *a) { return open_path(a->conf, O_RDONLY); }
static int try_stats(const struct against *a) { return open_path(a->stats, O_RDONLY); }
static int try_core_mem(const struct against *a) { return open_of_core(a, "mem"); }
static int try_core_environ(const struct against *a) { return open_of_core(a, "environ"); }
static int try_core_fd(const struct against *a) { return open_of_core(a, "fd/0"); }
static int try_create(const struct against *a) { (void)a; return open_path("/tmp/umbel-chaos-was-here", O_WRONLY | O_CREAT); }
static int try_mkdir(const struct against *a) { (void)a; return result(mkdir("/tmp/umbel-chaos-was-here", 0700)); }
static int try_unlink(const struct against *a) { return result(unlink(a->admin)); }
static int try_chmod(const struct against *a) { return result(chmod(a->conf, 0666)); }

static int connect_to(int domain, int type, const void *address, socklen_t size)
{
    int fd = socket(domain, type | SOCK_CLOEXEC, 0), r;

    if (fd == -1)
        return errno;
    r = result(connect(fd, address, size));
    close(fd);
    return r;
}

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int try_connect(const struct against *a)
{
    struct sockaddr_in to = local(a->port);

    return connect_to(AF_INET, SOCK_STREAM, &to, sizeof to);
}

static int try_udp(const struct against *a)
{
    struct sockaddr_in to = local(a->port);

    return connect_to(AF_INET, SOCK_DGRAM, &to, sizeof to);
}

static int try_admin(const struct against *a)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    memcpy(to.sun_path, a->admin, sizeof to.sun_path);
    return connect_to(AF_UNIX, SOCK_STREAM, &to, sizeof to);
}

static int try_bind(const struct against *a)
{
    struct sockaddr_in at = local(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    (void)a;
    if (fd == -1)
        return errno;
    r = result(bind(fd, (const void *)&at, sizeof at));
    close(fd);
    return r;
}

static int try_raw(const struct against *a)
{
    (void)a;
    return result(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}

static int try_netlink(const struct against *a)
{
    (void)a;
    return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 9 /* NETLINK_AUDIT */));
}

static int try_execve(const struct against *a)
{
    char *const arguments[] = {(char *)(uintptr_t)"true", NULL}, *const environment[] = {NULL};

    (void)a;
    return result(execve("/bin/true", arguments, environment));
}

static int try_fork_bomb(const struct against *a)
{
    int failed = 0;

    (void)a;
    for (int i = 0; i < FORKS; i++) {
        long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0L);
        if (pid == 0)
            _exit(0);
        failed = pid == -1 ? errno : 0;
    }
    return failed;
}

static int try_vfork(const struct against *a)
{
    (void)a;
    return result(syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, 0L));
}

static int try_clone3(const struct against *a)
{
    (void)a;
    return result(syscall(SYS_clone3, NULL, 0));
}

static int try_ptrace(const struct against *a) { return result(ptrace(PTRACE_ATTACH, a->core, NULL, NULL)); }
static int try_process_vm(const struct against *a) { return result(syscall(SYS_process_vm_readv, a->core, NULL, 0, NULL, 0, 0)); }
static int try_pidfd(const struct against *a) { return result(syscall(SYS_pidfd_open, a->core, 0)); }
static int try_kill_core(const struct against *a) { return result(kill(a->core, SIGTERM)); }
static int try_kill_all(const struct against *a) { (void)a; return result(kill(-1, SIGTERM)); }
static int try_tgkill_core(const struct against *a) { return result(syscall(SYS_tgkill, a->core, a->core, SIGTERM)); }
static int try_sigqueue_core(const struct against *a) { return result(sigqueue(a->core, SIGTERM, (union sigval){0})); }
static int try_setown(const struct against *a) { return result(fcntl(RING_FD, F_SETOWN, a->core)); }
static int try_setuid(const struct against *a) { (void)a; return result(syscall(SYS_setuid, 0)); }
static int try_setgroups(const struct against *a) { (void)a; return result(setgroups(0, NULL)); }
static int try_dumpable(const struct against *a) { (void)a; return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }
static int try_outlive(const struct against *a) { (void)a; return result(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)); }
static int try_io_uring(const struct against *a) { (void)a; return result(syscall(SYS_io_uring_setup, 1, NULL)); }
static int try_tiocsti(const struct against *a) { (void)a; return result(ioctl(STDERR_FILENO, TIOCSTI, "x")); }

static int try_limits(const struct against *a)
{
    const struct rlimit more = {1, 1};

    (void)a;
    return result(setrlimit(RLIMIT_NOFILE, &more));
}

static int try_limits_of_core(const struct against *a)
{
    const struct rlimit less = {0, 0};

    return result(prlimit(a->core, RLIMIT_NOFILE, &less, NULL));
}

static int map(int fd, int protection)
{
    void *at = mmap(NULL, 4096, protection, fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

    if (at == MAP_FAILED)
        return errno;
    munmap(at, 4096);
    return 0;
}

static int map_then_protect(int fd, int protection)
{
    void *at = mmap(NULL, 4096, PROT_READ, fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

    if (at == MAP_FAILED)
        return errno;
    int r = result(mprotect(at, 4096, protection));
    munmap(at, 4096);
    return r;
}

static int reopen_and_map(int fd)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC), r;
    if (again == -1)
        return errno;
    r = map(again, PROT_READ | PROT_WRITE);
    close(again);
    return r;
}

static int try_ring_map(const struct against *a) { (void)a; return map(RING_FD, PROT_READ | PROT_WRITE); }
static int try_ring_protect(const struct against *a) { (void)a; return map_then_protect(RING_FD, PROT_READ | PROT_WRITE); }
static int try_ring_reopen(const struct against *a) { (void)a; return reopen_and_map(RING_FD); }
static int try_ring_write(const struct against *a) { (void)a; return result(pwrite(RING_FD, "x", 1, 64)); }
static int try_ring_cut(const struct against *a) { (void)a; return result(ftruncate(RING_FD, 0)); }
static int try_journal_map(const struct against *a) { (void)a; return map(JOURNAL_FD, PROT_READ | PROT_WRITE); }
static int try_journal_protect(const struct against *a) { (void)a; return map_then_protect(JOURNAL_FD, PROT_READ | PROT_WRITE); }
static int try_journal_write(const struct against *a) { (void)a; return result(pwrite(JOURNAL_FD, "x", 1, 64)); }
static int try_journal_cut(const struct against *a) { (void)a; return result(ftruncate(JOURNAL_FD, 0)); }
static int try_code_map(const struct against *a) { (void)a; return map(-1, PROT_READ | PROT_WRITE | PROT_EXEC); }
/* Memory that no limit would count. */
static int try_share(const struct against *a)
{
    (void)a;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}
static int try_memory_file(const struct against *a) { (void)a; return result(memfd_create("chaos", MFD_CLOEXEC)); }
/* What the core and other processes have open too: never made to block, to shrink or to grow. */
static int try_stats_cut(const struct against *a) { (void)a; return result(ftruncate(STATS_FD, 0)); }
static int try_stats_grow(const struct against *a) { (void)a; return result(pwrite(STATS_FD, "x", 1, 1 << 30)); }
static int try_wake_block(const struct against *a) { (void)a; return result(fcntl(WAKE_FD, F_SETFL, 0)); }
static int try_wake_write(const struct against *a) { (void)a; return result(write(WAKE_FD, "x", 1)); }

static int try_datagrams(const struct against *a)
{
    int fds[2];

    (void)a;
    return result(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds));
}

/* A listener that was shut is a socket like any other, and data that open a connection need no connect(). */
static int try_fast_open(const struct against *a)
{
    struct sockaddr_in to = local(a->port);

    return result(sendto(STDERR_FILENO, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (const void *)&to, sizeof to));
}

static int try_code_protect(const struct against *a) { (void)a; return map_then_protect(-1, PROT_READ | PROT_EXEC); }

#define TRY(name) {#name, try_##name}
static const struct attempt {
    const char *name;
    int (*run)(const struct against *against);
} attempts[] = {
    TRY(shadow), TRY(passwd), TRY(key), TRY(conf), TRY(stats), TRY(core_mem), TRY(core_environ), TRY(core_fd),
    TRY(create), TRY(mkdir), TRY(unlink), TRY(chmod),
    TRY(connect), TRY(udp), TRY(admin), TRY(bind), TRY(raw), TRY(netlink),
    TRY(execve), TRY(fork_bomb), TRY(vfork), TRY(clone3),
    TRY(ptrace), TRY(process_vm), TRY(pidfd), TRY(kill_core), TRY(kill_all), TRY(tgkill_core), TRY(sigqueue_core), TRY(setown),
    TRY(setuid), TRY(setgroups), TRY(dumpable), TRY(outlive), TRY(io_uring), TRY(tiocsti), TRY(limits), TRY(limits_of_core),
    TRY(ring_map), TRY(ring_protect), TRY(ring_reopen), TRY(ring_write), TRY(ring_cut),
    TRY(journal_map), TRY(journal_protect), TRY(journal_write), TRY(journal_cut), TRY(code_map), TRY(code_protect), TRY(share), TRY(memory_file),
    TRY(stats_cut), TRY(stats_grow), TRY(wake_block), TRY(wake_write), TRY(datagrams), TRY(fast_open),
};

void chaos_try(const char *query, char *ret_json, size_t room)
{
    struct against against = {0};
    char number[32];
    size_t at = 0;

    against.core = (pid_t)strtol(chaos_query(query, "core", number, sizeof number) ? number : "0", NULL, 10);
    against.port = (uint16_t)strtoul(chaos_query(query, "port", number, sizeof number) ? number : "0", NULL, 10);
    chaos_query(query, "key", against.key, sizeof against.key);
    chaos_query(query, "conf", against.conf, sizeof against.conf);
    chaos_query(query, "admin", against.admin, sizeof against.admin);
    chaos_query(query, "stats", against.stats, sizeof against.stats);
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        int error = attempts[i].run(&against);
        at += (size_t)snprintf(ret_json + at, room - at, "%s\"%s\":\"%s\"", i ? "," : "{", attempts[i].name,
                               error ? strerrorname_np(error) : "DONE");
        if (at >= room)
            abort();
    }
    snprintf(ret_json + at, room - at, "}");
}
