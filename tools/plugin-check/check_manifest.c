/* plugin-check/check_manifest.c - what can be said of any plugin: its table, and that it opens and closes without leaving anything. */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/host/plugin_check.h"
#include "tools/plugin-check/check_cases.h"
#include "tools/plugin-check/check_rig.h"

#define ROUNDS 50u
#define LEAK_BYTES 256u /* a round; a process opens its plugin once, and libwebsockets keeps 160 of each context */

/* The real host, with its sandbox: what a constructor needs and may not do shows here.  What it says is in the report. */
static void ask_real_host(const struct umbel_transport *transport)
{
    char host[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", host, sizeof host - sizeof "/umbel-host");
    Dl_info info;
    int status = 0;

    if (n <= 0 || getenv("LD_PRELOAD") || !dladdr(transport, &info))
        return; /* a plugin with a sanitizer is not for a host without */
    host[n] = '\0';
    memcpy(strrchr(host, '/'), "/umbel-host", sizeof "/umbel-host");
    if (access(host, X_OK) == -1)
        return;
    pid_t child = fork();
    if (child == 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execl(host, host, "--manifest", info.dli_fname, (char *)NULL);
        _exit(CHECK_BROKEN);
    }
    if (child == -1 || waitpid(child, &status, 0) == -1 || status != 0)
        rig_fail("umbel-host --manifest refuses it:");
}

void case_manifest(const struct umbel_transport *transport, const struct plan *plan)
{
    struct umbel_transport copy;
    struct why why = {""};

    (void)plan;
    if (plugin_check(transport, &copy, &why) < 0)
        rig_fail("%s", why.text);
    if (copy.needs & ~(UMBEL_NEEDS_OUTBOUND | UMBEL_NEEDS_STATS | UMBEL_NEEDS_ALONE))
        rig_fail("needs is %#x: bits that this umbel does not know", copy.needs);
    if (copy.reserved)
        rig_fail("reserved is %u, expected 0", copy.reserved);
    if (strpbrk(copy.summary, "\r\n") || strpbrk(copy.version, "\r\n"))
        rig_fail("version and summary must be one line each");
    ask_real_host(transport);
    rig_note("%s %s, ABI %u.%u, %u options", copy.name, copy.version, copy.abi_major, copy.abi_minor, copy.option_count);
}

static void rounds(struct rig *rig, size_t *ret_heap, unsigned *ret_fds)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        rig_open(rig);
        rig_turn(rig, 0);
        rig_close(rig);
    }
    *ret_heap = rig_heap();
    *ret_fds = rig_fds();
}

void case_open(const struct umbel_transport *transport, const struct plan *plan)
{
    struct rig rig = {.transport = transport, .plan = plan};
    size_t heap[3], grown[2];
    unsigned fds[3];

    for (size_t i = 0; i < 3; i++) /* libraries keep things when they are first used: the first rounds do not count */
        rounds(&rig, &heap[i], &fds[i]);
    for (size_t i = 0; i < 2; i++)
        grown[i] = heap[i + 1] > heap[i] ? heap[i + 1] - heap[i] : 0;
    if (fds[2] > fds[0])
        rig_fail("%u descriptors are left open after open() and close() %u times", fds[2] - fds[0], 2 * ROUNDS);
    if (grown[0] >= ROUNDS * LEAK_BYTES && grown[1] >= ROUNDS * LEAK_BYTES)
        rig_fail("open() and close() leave %zu bytes each time", grown[1] / ROUNDS);
}
