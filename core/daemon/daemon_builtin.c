#include "core/daemon/daemon_builtin.h"

#include "core/config/config_manifest.h"
#include "core/daemon/daemon_playground.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One row a section.  What the file cannot say of it stands here. */
struct builtin {
    const char *name; /* of the section, and of its transport */
    const char *plugin;
    size_t single; /* offset of its config_single in struct config */
    uint32_t max_connections, connect_rate, slow_client_s, drain_ms;
    bool outlives_drain; /* it is watched while the others drain: it ends with the core */
    int (*fill)(const struct config *config, struct config_transport *transport, struct why *why); /* its plugin's options; NULL = it has none */
};

static const struct builtin builtins[] = {
    {"metrics", "metrics", offsetof(struct config, metrics), 64, 1000, 10, 1000, true, NULL},
    {"playground", "playground", offsetof(struct config, playground), 256, 1000, 10, 1000, false, daemon_playground_fill},
};
#define BUILTIN_MEMORY_MB 256u
#define BUILTINS (sizeof builtins / sizeof builtins[0])

static const struct config_single *single_of(const struct config *config, const struct builtin *builtin)
{
    return (const void *)((const char *)config + builtin->single);
}

static int check_names(const struct config *config, struct why *why)
{
    for (size_t i = 0; i < config->transport_count; i++)
        for (size_t k = 0; k < BUILTINS; k++)
            if (strcmp(config->transports[i].name, builtins[k].name) == 0)
                return why_set(why, -EINVAL, "%s:%u: transport %s has the name that %s { } is served under, expected a name of its own, write "
                               "transport my-%s",
                               config->path, config->transports[i].line, builtins[k].name, builtins[k].name, builtins[k].name);
    return 0;
}

static int copy_listen(const struct config_listen *from, struct config_transport *transport)
{
    transport->listen = calloc(1, sizeof *transport->listen);
    if (!transport->listen)
        return -ENOMEM;
    transport->listen_count = 1;
    *transport->listen = *from;
    transport->listen->text = strdup(from->text);
    transport->listen->host = strdup(from->host);
    return transport->listen->text && transport->listen->host ? 0 : -ENOMEM;
}

static int add(struct config *config, const struct builtin *builtin, config_manifest_lookup *lookup, void *owner, struct why *why)
{
    const struct config_single *single = single_of(config, builtin);
    struct config_transport *more = realloc(config->transports, (config->transport_count + 1) * sizeof *more), *transport;
    struct config_manifest parsed = {0};
    struct why detail = {""};
    char *manifest;

    if (!more)
        return why_set(why, -ENOMEM, "no memory");
    config->transports = more;
    transport = &more[config->transport_count++]; /* half-made ones are freed with the configuration */
    *transport = (struct config_transport){.workers = 1,
                                           .max_connections = builtin->max_connections,
                                           .max_questions = builtin->max_connections, /* none of them asks */
                                           .connect_rate = builtin->connect_rate,
                                           .slow_client_s = builtin->slow_client_s,
                                           .drain_ms = builtin->drain_ms,
                                           .memory_mb = BUILTIN_MEMORY_MB,
                                           .line = single->line,
                                           .builtin = true,
                                           .outlives_drain = builtin->outlives_drain};
    transport->name = strdup(builtin->name);
    transport->plugin = strdup(builtin->plugin);
    transport->tls_cert = strdup("");
    transport->tls_key = strdup("");
    if (!transport->name || !transport->plugin || !transport->tls_cert || !transport->tls_key || copy_listen(&single->at, transport) < 0)
        return why_set(why, -ENOMEM, "no memory");
    int r = lookup(owner, builtin->plugin, &transport->plugin_path, &manifest, &detail);
    if (r < 0)
        return why_set(why, -EINVAL, "%s:%u: %s cannot be served: %s", config->path, single->line, builtin->name, detail.text);
    r = config_manifest_parse(builtin->plugin, manifest, &parsed, why);
    free(manifest); /* it comes with umbel: its options are those that fill knows */
    transport->needs = parsed.needs;
    config_manifest_clear(&parsed);
    return r == 0 && builtin->fill ? builtin->fill(config, transport, why) : r;
}

int daemon_builtin_add(struct config *config, config_manifest_lookup *lookup, void *owner, struct why *why)
{
    int r = check_names(config, why);

    for (size_t i = 0; i < BUILTINS && r == 0; i++)
        if (single_of(config, &builtins[i])->at.text)
            r = add(config, &builtins[i], lookup, owner, why);
    return r;
}

size_t daemon_builtin_count(const struct config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->transport_count; i++)
        count += config->transports[i].builtin;
    return count;
}
