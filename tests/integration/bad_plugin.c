/* A plugin that is bad in one way, for upgrade.test.mjs: BAD_REFUSED, BAD_CONSTRUCTOR, BAD_OPEN, BAD_CRASH, BAD_LATER, BAD_HANG; else it
 * only accepts nothing. */
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include <umbel/transport.h>

#if BAD_CONSTRUCTOR
__attribute__((constructor)) static void load(void)
{
    abort();
}
#endif

static int bad_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    (void)host, (void)config;
#if BAD_OPEN
    return -22;
#elif BAD_CRASH
    abort();
#elif BAD_HANG
    for (;;)
        pause();
#elif BAD_LATER
    alarm(2); /* SIGALRM ends the process */
#endif
    *ret_self = (void *)1;
    return 0;
}

static void bad_drain(void *self, uint32_t ms)
{
    (void)self, (void)ms;
}

static void bad_close(void *self)
{
    (void)self;
}

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
#if BAD_REFUSED
                                                .abi_major = UMBEL_ABI_MAJOR + 1,
#else
                                                .abi_major = UMBEL_ABI_MAJOR,
#endif
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = NAME,
                                                .version = "6.6.6",
                                                .summary = "bad on purpose",
                                                .option_size = sizeof(struct umbel_option),
                                                .open = bad_open,
                                                .drain = bad_drain,
                                                .close = bad_close};
