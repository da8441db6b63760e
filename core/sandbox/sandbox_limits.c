/* sandbox/sandbox_limits.c - resource limits.  RLIMIT_AS is not among them: ring and journal are mapped shared and may be gigabytes that
 * cost this process nothing, and sanitizers reserve terabytes.  RLIMIT_FSIZE is not either: standard error may be a long file. */
#include "core/sandbox/sandbox_layers.h"

#include <sys/resource.h>

#define FDS_BESIDE 256u    /* ring, journal, listeners, the loop's own */
#define FDS_OUTBOUND 1024u /* kept connections to a service */
#define DATA_BESIDE ((rlim_t)128 << 20)

static void lower(int which, rlim_t limit)
{
    struct rlimit now;

    if (getrlimit((__rlimit_resource_t)which, &now) == -1)
        return;
    if (limit > now.rlim_max)
        limit = now.rlim_max;
    now = (struct rlimit){limit, limit};
    setrlimit((__rlimit_resource_t)which, &now);
}

void sandbox_limits_set(const struct sandbox_settings *settings)
{
    lower(RLIMIT_CORE, 0);
    lower(RLIMIT_MEMLOCK, 0);
    lower(RLIMIT_MSGQUEUE, 0);
    lower(RLIMIT_RTPRIO, 0);
    lower(RLIMIT_NICE, 0);
    lower(RLIMIT_NOFILE, (rlim_t)settings->connections + FDS_BESIDE + (sandbox_calls_out(settings) ? FDS_OUTBOUND : 0));
    if (SANDBOX_SANITIZER)
        return; /* they need threads, processes and address space of their own */
    if (!sandbox_calls_out(settings))
        lower(RLIMIT_NPROC, 0); /* names are resolved on threads; without names there are none */
    /* Private memory, whether touched or not: what a leak can take between two looks of the core. */
    if (settings->memory_mb)
        lower(RLIMIT_DATA, ((rlim_t)settings->memory_mb << 21) + DATA_BESIDE);
}
