#include <stdlib.h>
#include <string.h>

#include "core/config/config.h"
#include "core/config/config_tree.h"

static void list_clear(struct config_list *list)
{
    config_wipe_list(list->items, list->count);
    *list = (struct config_list){0};
}

static void upstream_clear(struct config_upstream *upstream)
{
    config_wipe(upstream->api_key);
    free(upstream->name);
    free(upstream->dialect);
    free(upstream->base_url);
    free(upstream->ca_file);
    free(upstream->proxy);
    free(upstream->client_cert);
    free(upstream->client_key);
    list_clear(&upstream->models);
    list_clear(&upstream->quirks);
}

static void app_clear(struct config_app *app)
{
    free(app->name);
    free(app->model);
    free(app->system);
    list_clear(&app->upstreams);
    list_clear(&app->keys);
    list_clear(&app->key_names);
    free(app->authorize.url);
    config_wipe(app->authorize.secret);
    free(app->authorize.ca_file);
}

static void value_clear(struct config_value *value)
{
    free(value->name);
    config_wipe(value->text); /* a SECRET, or what the operator thought harmless */
    list_clear(&value->list);
    for (size_t i = 0; i < value->section_count; i++)
        config_section_free(&value->sections[i]);
    free(value->sections);
}

void config_section_free(struct config_section *section)
{
    for (size_t i = 0; section && i < section->value_count; i++)
        value_clear(&section->values[i]);
    if (!section)
        return;
    free(section->values);
    free(section->title);
    *section = (struct config_section){0};
}

static void transport_clear(struct config_transport *transport)
{
    for (size_t i = 0; i < transport->listen_count; i++) {
        free(transport->listen[i].text);
        free(transport->listen[i].host);
    }
    free(transport->listen);
    free(transport->name);
    free(transport->plugin);
    free(transport->plugin_path);
    free(transport->tls_cert);
    free(transport->tls_key);
    list_clear(&transport->apps);
    list_clear(&transport->app_names);
    config_section_free(&transport->options);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->upstream_count; i++)
        upstream_clear(&config->upstreams[i]);
    for (size_t i = 0; i < config->app_count; i++)
        app_clear(&config->apps[i]);
    for (size_t i = 0; i < config->transport_count; i++)
        transport_clear(&config->transports[i]);
    free(config->upstreams);
    free(config->apps);
    free(config->transports);
    free(config->path);
    free(config->runtime_dir);
    free(config->state_dir);
    free(config->log_level);
    free(config->access_log);
    free(config->io);
    free(config->host_user);
    free(config->sandbox);
    free(config->metrics.at.text);
    free(config->metrics.at.host);
    free(config->playground.at.text);
    free(config->playground.at.host);
    free(config->metrics_listen);
    free(config->playground_listen);
    free(config->playground_app);
    free(config->playground_im_view);
    free(config);
}
