/* umbel/carrier.h - what UMBEL_WS_TRANSPORT, UMBEL_HTTP_TRANSPORT and UMBEL_TCP_TRANSPORT are made of: the functions and the table that every
 * codec over one carrier would write alike.  Plugins include ws.h, http.h or tcp.h, not this; one that does more writes its own table
 * (umbel/transport.h).
 *
 * For each carrier two macros, at the end of one file of the plugin and with a semicolon behind them:
 *     UMBEL_TCP_TRANSPORT(codec, .name = "...", .version = "...", .summary = "...")
 *         a codec without anything of its own: self is NULL in its callbacks.
 *     UMBEL_TCP_TRANSPORT_WITH(struct mine, codec, setup, cleanup, .name = ...)
 *         a codec with a struct mine, zeroed, which is self in all callbacks:
 *         int setup(struct mine *mine, const struct umbel_host *host, const struct umbel_config *config)
 *             before the carrier opens: reads options, keeps host.  0, or -errno after having logged why: then open() fails with it.
 *         void cleanup(struct mine *mine)
 *             after the carrier has closed, also if setup() or the carrier failed: frees what mine owns, not mine itself.
 * codec: the carrier's table of callbacks, static.  The rest are members of struct umbel_transport, in their order: name, version, summary;
 * UMBEL_OPTIONS(table) for options; needs.  The macros define open, drain, retire, reload (where the carrier has it) and close, and export the
 * table.  Names that they take: umbel_transport, and umbel_plugin_... of the file.  C17, or C++20, which wants the members in the order of the
 * struct.  History: 1.2 first. */
#ifndef UMBEL_CARRIER_H
#define UMBEL_CARRIER_H

#include <stddef.h>
#include <umbel/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

/* umbel_plugin_new - memory for a plugin's own struct, zeroed, given back by umbel_plugin_free (NULL is fine).  0 or -ENOMEM.  In libumbel. */
UMBEL_EXPORT int umbel_plugin_new(size_t size, void **ret_plugin);
UMBEL_EXPORT void umbel_plugin_free(void *plugin);

#ifdef __cplusplus
}
#endif

/* UMBEL_OPTIONS - the three members of struct umbel_transport that tell of a table of options. */
#define UMBEL_OPTIONS(table)                                                                                                         \
    .options = (table), .option_count = (uint32_t)(sizeof(table) / sizeof *(table)), .option_size = (uint32_t)sizeof *(table)

/* self is the carrier itself. */
#define UMBEL_CARRIER_ALONE(kind, codec)                                                                                             \
    static struct umbel_##kind *umbel_plugin_carrier(void *self)                                                                     \
    {                                                                                                                                \
        return (struct umbel_##kind *)self;                                                                                          \
    }                                                                                                                                \
    static void umbel_plugin_close(void *self)                                                                                       \
    {                                                                                                                                \
        umbel_##kind##_close(umbel_plugin_carrier(self));                                                                            \
    }                                                                                                                                \
    static int umbel_plugin_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)                  \
    {                                                                                                                                \
        struct umbel_##kind *carrier = NULL;                                                                                         \
        int r = umbel_##kind##_open(host, config, &(codec), NULL, &carrier);                                                         \
                                                                                                                                     \
        if (r >= 0)                                                                                                                  \
            *ret_self = carrier;                                                                                                     \
        return r;                                                                                                                    \
    }                                                                                                                                \
    UMBEL_CARRIER_LEAVING(kind)

/* self is the codec's own struct, with the carrier behind it. */
#define UMBEL_CARRIER_WITH(kind, type, codec, setup, cleanup)                                                                        \
    struct umbel_plugin_self {                                                                                                       \
        type own; /* first: a pointer to it is one to this */                                                                        \
        struct umbel_##kind *carrier;                                                                                                \
    };                                                                                                                               \
    static struct umbel_##kind *umbel_plugin_carrier(void *self)                                                                     \
    {                                                                                                                                \
        return ((struct umbel_plugin_self *)self)->carrier;                                                                          \
    }                                                                                                                                \
    static void umbel_plugin_close(void *self)                                                                                       \
    {                                                                                                                                \
        struct umbel_plugin_self *plugin = (struct umbel_plugin_self *)self;                                                         \
                                                                                                                                     \
        if (!plugin)                                                                                                                 \
            return;                                                                                                                  \
        umbel_##kind##_close(plugin->carrier);                                                                                       \
        cleanup(&plugin->own);                                                                                                       \
        umbel_plugin_free(plugin);                                                                                                   \
    }                                                                                                                                \
    static int umbel_plugin_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)                  \
    {                                                                                                                                \
        void *memory = NULL;                                                                                                         \
        int r = umbel_plugin_new(sizeof(struct umbel_plugin_self), &memory);                                                         \
        struct umbel_plugin_self *plugin = (struct umbel_plugin_self *)memory;                                                       \
                                                                                                                                     \
        if (r >= 0)                                                                                                                  \
            r = setup(&plugin->own, host, config);                                                                                   \
        if (r >= 0)                                                                                                                  \
            r = umbel_##kind##_open(host, config, &(codec), &plugin->own, &plugin->carrier);                                         \
        if (r >= 0)                                                                                                                  \
            *ret_self = plugin;                                                                                                      \
        else                                                                                                                         \
            umbel_plugin_close(plugin);                                                                                              \
        return r;                                                                                                                    \
    }                                                                                                                                \
    UMBEL_CARRIER_LEAVING(kind)

#define UMBEL_CARRIER_LEAVING(kind)                                                                                                  \
    static void umbel_plugin_drain(void *self, uint32_t deadline_ms)                                                                 \
    {                                                                                                                                \
        umbel_##kind##_drain(umbel_plugin_carrier(self), deadline_ms);                                                               \
    }                                                                                                                                \
    static void umbel_plugin_retire(void *self, uint32_t step, uint32_t ms)                                                          \
    {                                                                                                                                \
        umbel_##kind##_retire(umbel_plugin_carrier(self), step, ms);                                                                 \
    }

#define UMBEL_CARRIER_RELOAD(kind)                                                                                                   \
    static int umbel_plugin_reload(void *self)                                                                                       \
    {                                                                                                                                \
        return umbel_##kind##_reload(umbel_plugin_carrier(self));                                                                    \
    }

/* reload_function: NULL, or that of UMBEL_CARRIER_RELOAD. */
#define UMBEL_CARRIER_TABLE(reload_function, ...)                                                                                    \
    UMBEL_EXPORT extern const struct umbel_transport umbel_transport;                                                                \
    const struct umbel_transport umbel_transport = {.struct_size = (uint32_t)sizeof(struct umbel_transport),                         \
                                                    .abi_major = UMBEL_ABI_MAJOR,                                                    \
                                                    .abi_minor = UMBEL_ABI_MINOR,                                                    \
                                                    __VA_ARGS__,                                                                     \
                                                    .open = umbel_plugin_open,                                                       \
                                                    .drain = umbel_plugin_drain,                                                     \
                                                    .reload = (reload_function),                                                     \
                                                    .close = umbel_plugin_close,                                                     \
                                                    .retire = umbel_plugin_retire}

#endif
