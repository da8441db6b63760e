/* sandbox/sandbox_landlock.c - Landlock by system call: no library carries it on the distributions we build for. */
#include "core/sandbox/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/fd.h"

/* The kernel's struct as of ABI 6; headers may be older.  Older kernels are given less of it. */
struct ruleset {
    uint64_t fs, net, scoped;
};
#define RULESET_SIZE_FS 8u
#define RULESET_SIZE_NET 16u

#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)     /* ABI 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define NET_BIND_TCP UINT64_C(1)         /* ABI 4 */
#define NET_CONNECT_TCP UINT64_C(2)
#define SCOPE_ABSTRACT_UNIX UINT64_C(1) /* ABI 6 */
#define SCOPE_SIGNAL UINT64_C(2)

#define READ LANDLOCK_ACCESS_FS_READ_FILE
#define LIST LANDLOCK_ACCESS_FS_READ_DIR

/* What every host may open.  A folder means all that is below it.  What is not there is passed over. */
static const struct path {
    const char *path;
    uint64_t access;
} paths_base[] = {
    /* the dynamic loader, and libwebsockets looking for its loop */
    {"/lib", READ | LIST},
    {"/lib64", READ | LIST},
    {"/usr/lib", READ | LIST},
    {"/usr/lib64", READ | LIST},
    {"/usr/local/lib", READ | LIST},
    {"/etc/ld.so.cache", READ},
    {"/etc/ssl/openssl.cnf", READ},
    {"/etc/pki/tls/openssl.cnf", READ},
    {"/etc/crypto-policies", READ},
    {"/etc/localtime", READ},
    {"/usr/share/zoneinfo", READ},
    {"/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE},
    {"/dev/urandom", READ},
    {"/sys/devices/system/cpu", READ}, /* the allocator counts processors */
};

/* Name resolution and trust, for those that call out.  Not all of /etc: our own configuration may be there. */
static const struct path paths_outbound[] = {
    {"/etc/resolv.conf", READ},
    {"/etc/hosts", READ},
    {"/etc/host.conf", READ},
    {"/etc/nsswitch.conf", READ},
    {"/etc/gai.conf", READ},
    {"/etc/services", READ},
    {"/run/systemd/resolve", READ},
    {"/etc/ssl/certs", READ | LIST},
    {"/etc/ssl/cert.pem", READ},
    {"/etc/pki/tls/certs", READ | LIST},
    {"/etc/pki/ca-trust/extracted", READ | LIST},
    {"/usr/share/ca-certificates", READ | LIST},
    {"/usr/local/share/ca-certificates", READ | LIST},
};

static const struct path paths_sanitizer[] = {{"/proc", READ | LIST}};

static void allow_fd(int ruleset, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    struct stat st;

    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= ~(uint64_t)LIST; /* the kernel refuses a folder's right on a file */
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0u);
}

static void allow(int ruleset, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd == -1)
        return;
    allow_fd(ruleset, fd, access);
    fd_close(&fd);
}

static void allow_all(int ruleset, const struct path *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        allow(ruleset, paths[i].path, paths[i].access);
}
#define ALLOW_ALL(ruleset, table) allow_all(ruleset, table, sizeof(table) / sizeof(table)[0])

/* The libraries of our own: lib beside the bin of this program, in a build tree or wherever it was installed. */
static void allow_own_libraries(int ruleset)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "/../lib");

    if (n <= 0)
        return;
    path[n] = '\0';
    memcpy(strrchr(path, '/'), "/../lib", sizeof "/../lib");
    allow(ruleset, path, READ | LIST);
}

/* resolv.conf is often a link into a folder where a network manager replaces it: the folder is what stays. */
static void allow_resolver_folder(int ruleset)
{
    char path[PATH_MAX], *slash;

    if (!realpath("/etc/resolv.conf", path) || !(slash = strrchr(path, '/')))
        return;
    *slash = '\0';
    if (strncmp(path, "/run/", 5) == 0)
        allow(ruleset, path, READ);
}

/* Builds with a sanitizer only: its reports go where log_path of its options says, and its leak checker reads /proc. */
static void allow_sanitizer(int ruleset)
{
    static const char *const names[] = {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
    char path[PATH_MAX], *slash;

    ALLOW_ALL(ruleset, paths_sanitizer);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *options = getenv(names[i]), *at = options ? strstr(options, "log_path=") : NULL;
        if (!at)
            continue;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(at + 9, ":"), at + 9);
        if ((slash = strrchr(path, '/')))
            *slash = '\0';
        if (slash && *path)
            allow(ruleset, path, LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG);
    }
}

static struct ruleset ruleset_for(int abi, bool outbound, size_t *ret_size)
{
    struct ruleset ruleset = {.fs = FS_ABI_1};

    *ret_size = abi >= 6 ? sizeof ruleset : abi >= 4 ? RULESET_SIZE_NET : RULESET_SIZE_FS;
    ruleset.fs |= (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
    if (abi >= 4)
        ruleset.net = NET_BIND_TCP | (outbound ? 0 : NET_CONNECT_TCP);
    if (abi >= 6)
        ruleset.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    return ruleset;
}

int sandbox_landlock(const struct sandbox_settings *settings, const struct sandbox_keep *keep)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0u, LANDLOCK_CREATE_RULESET_VERSION), r = 0;
    size_t size;

    if (abi <= 0)
        return abi == 0 ? -ENOSYS : -errno;
    struct ruleset attributes = ruleset_for(abi, sandbox_calls_out(settings), &size);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0u);
    if (ruleset == -1)
        return -errno;
    ALLOW_ALL(ruleset, paths_base);
    allow_own_libraries(ruleset);
    allow(ruleset, keep->plugin, READ);
    if (keep->stats_folder >= 0)
        allow_fd(ruleset, keep->stats_folder, READ | LIST);
    if (sandbox_calls_out(settings)) {
        ALLOW_ALL(ruleset, paths_outbound);
        allow_resolver_folder(ruleset);
    }
    if (SANDBOX_SANITIZER)
        allow_sanitizer(ruleset);
    if (syscall(SYS_landlock_restrict_self, ruleset, 0u) == -1)
        r = -errno;
    fd_close(&ruleset);
    return r < 0 ? r : abi;
}
