#include "core/daemon/daemon_playground.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The protocols of the page, and where their plugins serve clients; path NULL: the transport's option of that name says it. */
static const struct {
    const char *plugin, *scheme, *path;
} protocols[] = {{"ws-bmob", "ws", "/1/ai"}, {"http-chunked-wxapp", "http", NULL}, {"ws-chatgpt", "ws", "/"}};
#define PROTOCOLS (sizeof protocols / sizeof protocols[0])

/* The next value of a section whose array is long enough. */
static struct config_value *add_value(struct config_section *section, uint32_t type, const char *name)
{
    struct config_value *value = &section->values[section->value_count++];

    *value = (struct config_value){.name = strdup(name), .type = type};
    return value;
}

static int add_text(struct config_section *section, uint32_t type, const char *name, const char *text)
{
    struct config_value *value = add_value(section, type, name);

    value->text = strdup(text);
    return value->name && value->text ? 0 : -ENOMEM;
}

static const char *text_of(const struct config_section *section, const char *name)
{
    const struct config_value *value = config_section_find(section, name);

    return value && value->text ? value->text : "";
}

static bool is_app_in(const struct config_list *names, const char *app)
{
    for (size_t i = 0; i < names->count; i++)
        if (!*app || strcmp(names->items[i], app) == 0)
            return true;
    return false;
}

/* The first address that a browser can reach; NULL: there is none. */
static const struct config_listen *address_of(const struct config_transport *transport)
{
    for (size_t i = 0; i < transport->listen_count; i++)
        if (!transport->listen[i].is_unix)
            return &transport->listen[i];
    return NULL;
}

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* "wss://HOST:PORT/1/ai"; a transport that listens everywhere has the page's own host, *. */
static int add_url(struct config_section *section, const struct config_transport *transport, size_t protocol, const struct config_listen *at)
{
    const char *path = protocols[protocol].path ? protocols[protocol].path : text_of(&transport->options, "path");
    bool v6 = strchr(at->host, ':') != NULL;
    char *url;
    int r;

    if (asprintf(&url, "%s%s://%s%s%s:%u%s", protocols[protocol].scheme, transport->tls_cert[0] ? "s" : "", v6 && !is_any(at->host) ? "[" : "",
                 is_any(at->host) ? "*" : at->host, v6 && !is_any(at->host) ? "]" : "", at->port, path) < 0)
        return -ENOMEM;
    r = add_text(section, UMBEL_OPTION_TEXT, "url", url);
    free(url);
    return r;
}

static int add_way(struct config_value *ways, const struct config_transport *transport, size_t protocol, const struct config_listen *at)
{
    struct config_section *section = &ways->sections[ways->section_count++];
    int r;

    section->title = strdup(transport->name);
    section->values = calloc(3, sizeof *section->values);
    if (!section->title || !section->values)
        return -ENOMEM;
    if ((r = add_text(section, UMBEL_OPTION_TEXT, "protocol", transport->plugin)) < 0 || (r = add_url(section, transport, protocol, at)) < 0)
        return r;
    return add_text(section, UMBEL_OPTION_TEXT, "note", text_of(&transport->options, "max_stream_note"));
}

static int add_ways(const struct config *config, const char *app, struct config_section *options)
{
    struct config_value *ways = add_value(options, UMBEL_OPTION_SECTION, "way");
    int r = 0;

    ways->sections = calloc(config->transport_count + 1, sizeof *ways->sections);
    if (!ways->sections || !ways->name)
        return -ENOMEM;
    for (size_t i = 0; i < config->transport_count && r == 0; i++) {
        const struct config_transport *transport = &config->transports[i];
        const struct config_listen *at = address_of(transport);
        for (size_t k = 0; k < PROTOCOLS && r == 0; k++)
            if (at && !transport->builtin && strcmp(transport->plugin, protocols[k].plugin) == 0 && is_app_in(&transport->app_names, app))
                r = add_way(ways, transport, k, at);
    }
    return r;
}

/* Does a bot of this app deliver what was asked elsewhere? */
static bool is_mirrored(const struct config *config, const char *app)
{
    for (size_t i = 0; i < config->transport_count; i++) {
        const struct config_value *bots = config_section_find(&config->transports[i].options, "bot");
        for (size_t k = 0; bots && strcmp(config->transports[i].plugin, "im-custom-message") == 0 && k < bots->section_count; k++) {
            const struct config_value *mirror = config_section_find(&bots->sections[k], "mirror");
            if (mirror && mirror->integer && (!*app || strcmp(text_of(&bots->sections[k], "app"), app) == 0))
                return true;
        }
    }
    return false;
}

/* The app that the page is for: the one it names, else the only one; "" if there are several. */
static const struct config_app *app_of(const struct config *config)
{
    if (!config->playground_app[0])
        return config->app_count == 1 ? &config->apps[0] : NULL;
    for (size_t i = 0; i < config->app_count; i++)
        if (strcmp(config->apps[i].name, config->playground_app) == 0)
            return &config->apps[i];
    return NULL;
}

__attribute__((format(printf, 3, 4))) static int wrong(const struct config *config, struct why *why, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return why_set(why, -EINVAL, "%s:%u: %s", config->path, config->playground.line, text);
}

static bool is_loopback(const struct config_listen *at)
{
    return !at->is_unix && (strncmp(at->host, "127.", 4) == 0 || strcmp(at->host, "::1") == 0);
}

static int check(const struct config *config, const struct config_app *app, struct why *why)
{
    if (config->playground_app[0] && !app)
        return wrong(config, why, "playground names app %s, expected one that exists, write app %s { ... }", config->playground_app,
                     config->playground_app);
    if (!config->playground_offer_key)
        return 0;
    if (!is_loopback(&config->playground.at))
        return wrong(config, why, "playground gives a client key to whoever opens %s, expected an address of this machine only, write "
                     "listen = \"127.0.0.1:%u\" or offer_key = off",
                     config->playground.at.text, config->playground.at.port ? config->playground.at.port : 8080);
    if (!app)
        return wrong(config, why, "playground has offer_key and there are several apps, expected to know whose key, write app = NAME");
    if (app->keys.count == 0)
        return wrong(config, why, "playground has offer_key but app %s has no keys, expected one to offer, write keys = { ... } there", app->name);
    return 0;
}

int daemon_playground_fill(const struct config *config, struct config_transport *transport, struct why *why)
{
    const struct config_app *app = app_of(config);
    const char *name = app ? app->name : "";
    struct config_section *options = &transport->options;
    int r = check(config, app, why);

    if (r < 0)
        return r;
    options->title = strdup(transport->name);
    options->values = calloc(5, sizeof *options->values);
    if (!options->title || !options->values)
        return why_set(why, -ENOMEM, "no memory");
    if ((r = add_text(options, UMBEL_OPTION_TEXT, "app", name)) < 0 ||
        (r = add_text(options, UMBEL_OPTION_SECRET, "key", config->playground_offer_key ? app->keys.items[0] : "")) < 0 ||
        (r = add_text(options, UMBEL_OPTION_TEXT, "im_view", config->playground_im_view)) < 0 || (r = add_ways(config, name, options)) < 0)
        return why_set(why, r, "no memory");
    struct config_value *mirrors = add_value(options, UMBEL_OPTION_BOOL, "im_mirrors");
    mirrors->integer = is_mirrored(config, name);
    return mirrors->name ? 0 : why_set(why, -ENOMEM, "no memory");
}
