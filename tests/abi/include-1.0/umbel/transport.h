/* umbel/transport.h - what a transport plugin exports: one symbol, `umbel_transport`, a table that begins with its size and ABI version.
 *
 *     const struct umbel_transport umbel_transport = { .struct_size = sizeof umbel_transport, .abi_major = UMBEL_ABI_MAJOR, ... };
 *
 * Everything up to `open` is data: the host checks it before it calls anything.
 * Threads: [loop] = the host's only thread, never concurrent, must not block.  History: 1.0 first. */
#ifndef UMBEL_TRANSPORT_H
#define UMBEL_TRANSPORT_H

#include <umbel/config.h>
#include <umbel/host.h>
#include <umbel/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* umbel_transport.needs: what the host's sandbox must leave open */
#define UMBEL_NEEDS_OUTBOUND 1u /* connects to other hosts (name resolution, sockets) */

struct umbel_transport {
    uint32_t struct_size;               /* sizeof when the plugin was compiled: the host reads no further */
    uint16_t abi_major, abi_minor;      /* UMBEL_ABI_MAJOR, UMBEL_ABI_MINOR */
    const char *name;                   /* [a-z0-9-]+, static storage */
    const char *version;                /* for people */
    const char *summary;                /* one line for people */
    const struct umbel_option *options; /* static storage */
    uint32_t option_count;
    uint32_t option_size;               /* sizeof(struct umbel_option) when compiled: the stride of the table */
    uint32_t needs;                     /* UMBEL_NEEDS_* */
    uint32_t reserved;                  /* 0 */

    /* Starts serving on the host's listening sockets.  Borrows host and config until close().  Returns 0 and sets *ret_self, or -errno
     * after having logged why.  [loop] */
    int (*open)(const struct umbel_host *host, const struct umbel_config *config, void **ret_self);

    /* Accept nothing new, let begun answers end, close what is idle with the protocol's own goodbye.  deadline_ms: after it the host
     * calls close().  The plugin calls host->drained() when its last client has gone.  [loop] */
    void (*drain)(void *self, uint32_t deadline_ms);

    /* Re-reads files named in the config (TLS certificates).  Optional.  Returns 0, or -errno and keeps the old ones.  [loop] */
    int (*reload)(void *self);

    /* Frees everything; no host call is legal afterwards.  NULL is fine.  [loop] */
    void (*close)(void *self);

    /* An operator's command for this transport (umbelctl): command is a word of the plugin's own, arguments are texts.  Answer once, now
     * or later, with host->reply(id, ...).  Optional: NULL if struct_size stops before it.  [loop] */
    void (*command)(void *self, uint64_t id, const char *command, const char *const *arguments, uint32_t count);
};

#define UMBEL_TRANSPORT_SYMBOL "umbel_transport"
#define UMBEL_TRANSPORT_SIZE_1_0 (offsetof(struct umbel_transport, close) + sizeof(void (*)(void *)))

#ifdef __cplusplus
}
#endif
#endif
