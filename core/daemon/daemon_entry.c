/* daemon/daemon_entry.c - who may enter: credentials to grants.  Keys are compared in constant time and never logged. */
#include <string.h>

#include <umbel/host.h>

#include "core/daemon/daemon.h"
#include "core/daemon/daemon_authorize.h"
#include "core/daemon/daemon_grants.h"

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

/* Number of the app in its slot, number of the key (0: none): both stay what they are when the configuration changes. */
static uint64_t make_grant(uint32_t app, uint32_t key)
{
    return (uint64_t)key << 32 | (app + 1u);
}

int daemon_find_app(const struct daemon *daemon, const char *name)
{
    for (uint32_t a = 0; a < daemon->app_count; a++)
        if (!daemon->apps[a].removed && strcmp(daemon->apps[a].config->name, name) == 0)
            return (int)a;
    return -1;
}

int daemon_only_app(const struct daemon *daemon)
{
    return daemon->config->app_count == 1 ? daemon_find_app(daemon, daemon->config->apps[0].name) : -1;
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

    for (uint32_t a = 0; a < daemon->app_count; a++) {
        const struct config_app *app = daemon->apps[a].config;
        if (daemon->apps[a].removed || (!daemon->apps[a].lent && !listed(&transport->apps, app->name)))
            continue;
        for (size_t k = 0; k < app->keys.count; k++)
            if (same_secret(value, app->keys.items[k]) && !grant)
                grant = make_grant(a, daemon->apps[a].key_numbers[k]);
    }
    return grant;
}

uint64_t daemon_find_grant(const struct daemon *daemon, const struct daemon_transport *transport,
                           const struct umbel_credential_view *credentials, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct umbel_credential_view *c = &credentials[i];
        uint64_t grant = 0;
        if (c->kind == UMBEL_CREDENTIAL_APP) {
            for (uint32_t a = 0; a < daemon->app_count && !grant; a++)
                if (span_is(c->value, daemon->apps[a].config->name) && !daemon->apps[a].lent && daemon_serves(daemon, transport, a))
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
    return app < daemon->app_count && !daemon->apps[app].removed &&
           (daemon->apps[app].lent || listed(&transport->config->app_names, daemon->apps[app].config->name));
}

bool daemon_grant_app(const struct daemon *daemon, const struct daemon_transport *transport, uint64_t grant, uint32_t *ret_app)
{
    int app = daemon_grant_was(daemon, grant);
    struct daemon_grant_view view;
    size_t key;

    if (grant & CONTROL_GRANT_HELD) {
        if (!daemon_grants_view(daemon, grant, &view) || view.host->transport != transport || !daemon_serves(daemon, transport, view.app) ||
            !daemon_authorize_wanted(daemon, view.app))
            return false; /* also when the service it came from has been taken away */
        *ret_app = view.app;
        return true;
    }
    if (app < 0 || !daemon_serves(daemon, transport, (uint32_t)app))
        return false;
    if (grant >> 32 && !daemon_grant_key(daemon, grant, &key))
        return false; /* the key it was given for has been taken away */
    *ret_app = (uint32_t)app;
    return true;
}

bool daemon_grant_key(const struct daemon *daemon, uint64_t grant, size_t *ret_index)
{
    int app = daemon_grant_was(daemon, grant);

    return app >= 0 && !(grant & CONTROL_GRANT_HELD) && grant >> 32 && daemon_app_key(&daemon->apps[app], (uint32_t)(grant >> 32), ret_index);
}

int daemon_grant_was(const struct daemon *daemon, uint64_t grant)
{
    struct daemon_grant_view view;
    uint32_t app = (uint32_t)grant;

    if (grant & CONTROL_GRANT_HELD)
        return daemon_grants_view(daemon, grant, &view) ? (int)view.app : -1;
    return app > 0 && app <= daemon->app_count ? (int)(app - 1) : -1;
}
