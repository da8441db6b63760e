/* daemon/daemon_entry.c - who may enter: credentials to grants.  Keys are compared in constant time and never logged. */
#include <string.h>

#include <umbel/host.h>

#include "core/daemon/daemon.h"

/* Takes the same time for every pair of equal length; lengths are not secret. */
static bool same_secret(struct span a, const char *b)
{
    size_t size = strlen(b);
    unsigned char differ = 0;

    if (a.size != size || size == 0)
        return false;
    for (size_t i = 0; i < size; i++)
        differ |= (unsigned char)((unsigned char)a.data[i] ^ (unsigned char)b[i]);
    return differ == 0;
}

static uint64_t make_grant(uint32_t app, size_t key)
{
    return (uint64_t)key << 32 | (app + 1u);
}

int daemon_find_app(const struct daemon *daemon, const char *name)
{
    for (size_t i = 0; i < daemon->config->app_count; i++)
        if (strcmp(daemon->config->apps[i].name, name) == 0)
            return (int)i;
    return -1;
}

static bool listed(const struct config_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

/* Looks through all keys of all apps of the transport, whatever it finds on the way. */
static uint64_t find_key(const struct daemon *daemon, const struct config_transport *transport, struct span value)
{
    uint64_t grant = 0;

    for (uint32_t a = 0; a < daemon->config->app_count; a++) {
        const struct config_app *app = &daemon->config->apps[a];
        if (!listed(&transport->apps, app->name))
            continue;
        for (size_t k = 0; k < app->keys.count; k++)
            if (same_secret(value, app->keys.items[k]) && !grant)
                grant = make_grant(a, k + 1);
    }
    return grant;
}

uint64_t daemon_authorize(const struct daemon *daemon, const struct daemon_transport *transport,
                          const struct umbel_credential_view *credentials, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct umbel_credential_view *c = &credentials[i];
        uint64_t grant = 0;
        if (c->kind == UMBEL_CREDENTIAL_APP) {
            for (uint32_t a = 0; a < daemon->config->app_count && !grant; a++)
                if (span_is(c->value, daemon->config->apps[a].name) &&
                    listed(&transport->config->app_names, daemon->config->apps[a].name))
                    grant = make_grant(a, 0);
        } else if (c->kind == UMBEL_CREDENTIAL_KEY || c->kind == UMBEL_CREDENTIAL_PUBLIC_ID) {
            grant = find_key(daemon, transport->config, c->value);
        }
        if (grant)
            return grant;
    }
    return 0;
}

bool daemon_serves(const struct daemon *daemon, const struct daemon_transport *transport, uint32_t app)
{
    return app < daemon->config->app_count && listed(&transport->config->app_names, daemon->config->apps[app].name);
}

bool daemon_grant_app(const struct daemon *daemon, const struct daemon_transport *transport, uint64_t grant, uint32_t *ret_app)
{
    uint32_t app = (uint32_t)grant;

    if (app == 0 || !daemon_serves(daemon, transport, app - 1))
        return false;
    *ret_app = app - 1;
    return true;
}
