#include "core/daemon/daemon_upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/daemon_handover.h"
#include "core/daemon/daemon_manifest.h"

#define LOOK_MS 100u

/* One command under way.  It lives until all its transports are through, also when nobody waits any more. */
struct upgrade {
    struct list link; /* daemon.upgrades */
    struct daemon *daemon;
    struct admin_request *request; /* NULL: nobody waits */
    struct daemon_manifest *manifest;
    struct uring_timer look;
    char name[64];     /* of a transport or a plugin */
    char version[64];  /* of the file */
    size_t room, pending, taken, failed; /* of parts */
    char words[WHY_MAX];
    struct part {
        struct upgrade *upgrade;
        struct daemon_transport *transport;
        const char *step; /* told last */
        bool done;
    } parts[];
};

static bool is_meant(const struct daemon_transport *transport, const char *name)
{
    return !transport->removed && (strcmp(transport->config->name, name) == 0 || strcmp(transport->config->plugin, name) == 0);
}

static void put_text(struct umbel_out *out, const char *member, const char *text)
{
    umbel_out_printf(out, ",\"%s\":", member);
    umbel_out_json(out, text, strlen(text));
}

static void put_workers(struct umbel_out *out, const struct daemon_transport *transport, bool leaving)
{
    bool first = true;

    umbel_out_printf(out, ",\"%s\":[", leaving ? "old" : "new");
    list_for_each(link, spare, &transport->workers)
    {
        const struct daemon_host *h = list_entry(link, struct daemon_host, link);
        if (h->host.pid <= 0 || leaving != (h->role == DAEMON_LEAVES || h->role == DAEMON_WAITS))
            continue;
        umbel_out_text(out, first ? "{\"name\":" : ",{\"name\":");
        umbel_out_json(out, h->host.name, strlen(h->host.name));
        umbel_out_printf(out, ",\"pid\":%d", (int)h->host.pid);
        put_text(out, "version", h->version);
        umbel_out_printf(out, ",\"answers\":%u}", answer_host_count(transport->daemon->answers, h->number));
        first = false;
    }
    umbel_out_text(out, "]");
}

static void tell(struct upgrade *upgrade, const struct daemon_transport *transport, const char *event, const char *words)
{
    struct umbel_out line = {0};

    if (!upgrade->request)
        return;
    umbel_out_printf(&line, "{\"event\":\"%s\"", event);
    put_text(&line, "transport", transport->config->name);
    if (words)
        put_text(&line, "error", words);
    put_workers(&line, transport, true);
    put_workers(&line, transport, false);
    umbel_out_text(&line, "}");
    if (!line.failed)
        admin_send(upgrade->request, line.data, line.size);
    umbel_out_free(&line);
}

static void upgrade_free(struct upgrade *upgrade)
{
    uring_timer_clear(upgrade->daemon->loop, &upgrade->look);
    daemon_manifest_cancel(upgrade->manifest);
    list_remove(&upgrade->link);
    free(upgrade);
}

void daemon_upgrade_end(struct daemon *daemon)
{
    list_for_each(link, spare, &daemon->upgrades)
        upgrade_free(list_entry(link, struct upgrade, link));
}

static void finish(struct upgrade *upgrade)
{
    struct umbel_out members = {0};

    umbel_out_printf(&members, "\"taken\":%zu,\"kept\":%zu", upgrade->taken, upgrade->failed);
    if (*upgrade->version)
        put_text(&members, "version", upgrade->version);
    umbel_out_put(&members, "", 1);
    if (upgrade->request && upgrade->failed)
        admin_fail(upgrade->request, upgrade->words, "the old processes serve on: nothing has changed for their clients");
    else if (upgrade->request)
        admin_finish(upgrade->request, members.failed ? NULL : members.data);
    umbel_out_free(&members);
    upgrade_free(upgrade);
}

static void part_done(void *owner, int result, const char *words)
{
    struct part *part = owner;
    struct upgrade *upgrade = part->upgrade;

    part->done = true;
    if (result == 0) {
        upgrade->taken++;
        tell(upgrade, part->transport, "taken", NULL);
    } else {
        upgrade->failed++;
        snprintf(upgrade->words, sizeof upgrade->words, "%s", words);
        tell(upgrade, part->transport, "kept", words);
    }
    if (--upgrade->pending == 0)
        finish(upgrade);
}

static void look(struct uring_timer *timer)
{
    struct upgrade *upgrade = list_entry(timer, struct upgrade, look);
    size_t count = upgrade->pending + upgrade->taken + upgrade->failed;

    uring_timer_set(upgrade->daemon->loop, &upgrade->look, LOOK_MS * CLOCK_MS);
    for (size_t i = 0; i < count; i++) {
        struct part *part = &upgrade->parts[i];
        const char *step = part->done ? "" : daemon_handover_step(part->transport);
        if (*step && step != part->step)
            tell(upgrade, part->transport, step, NULL);
        part->step = step;
    }
}

static void gone(void *owner)
{
    ((struct upgrade *)owner)->request = NULL; /* the hand-over goes on */
}

static void begin_all(struct upgrade *upgrade)
{
    struct why why = {""};

    list_for_each(link, spare, &upgrade->daemon->transports)
    {
        struct daemon_transport *transport = list_entry(link, struct daemon_transport, link);
        size_t at = upgrade->pending + upgrade->failed;
        struct part *part = &upgrade->parts[at];
        if (at == upgrade->room || !is_meant(transport, upgrade->name))
            continue;
        *part = (struct part){.upgrade = upgrade, .transport = transport, .step = ""};
        int r = transport->out ? why_set(&why, -EBUSY, "transport %s is drained: umbelctl start brings it back, with the new file",
                                         transport->config->name)
                               : daemon_handover_begin(upgrade->daemon, transport, NULL, part_done, part, &why);
        if (r == 0) {
            upgrade->pending++;
            continue;
        }
        part->done = true;
        upgrade->failed++;
        snprintf(upgrade->words, sizeof upgrade->words, "%s", why.text);
    }
    if (upgrade->pending == 0)
        finish(upgrade);
    else
        uring_timer_set(upgrade->daemon->loop, &upgrade->look, 1);
}

static void told(void *owner, int r, const struct umbel_json *manifest, const char *words)
{
    struct upgrade *upgrade = owner;

    upgrade->manifest = NULL;
    if (r < 0) {
        upgrade->failed++;
        snprintf(upgrade->words, sizeof upgrade->words, "%s", words);
        log_error("the plugin of %s is not taken: %s", upgrade->name, words);
        finish(upgrade);
        return;
    }
    snprintf(upgrade->version, sizeof upgrade->version, "%s", umbel_json_member_text(manifest, "version", ""));
    begin_all(upgrade);
}

static struct upgrade *upgrade_new(struct daemon *daemon, struct admin_request *request, const char *name,
                                   const struct daemon_transport **ret_first)
{
    const struct daemon_transport *first = NULL;
    size_t count = 0;

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    list_for_each(link, spare, &daemon->transports)
    {
        const struct daemon_transport *transport = list_entry(link, struct daemon_transport, link);
        if (!is_meant(transport, name))
            continue;
        first = first ? first : transport;
        count++;
    }
    struct upgrade *upgrade = count ? calloc(1, sizeof *upgrade + count * sizeof upgrade->parts[0]) : NULL;
    if (!upgrade) {
        admin_fail(request, count ? "no memory" : "no transport and no plugin in use has this name",
                   "umbelctl plugin list and umbelctl host list show them");
        return NULL;
    }
    *upgrade = (struct upgrade){.daemon = daemon, .request = request, .look = {.fired = look}, .room = count};
    list_append(&daemon->upgrades, &upgrade->link);
    snprintf(upgrade->name, sizeof upgrade->name, "%s", name);
    admin_on_gone(request, gone, upgrade);
    *ret_first = first;
    return upgrade;
}

static void plugin_upgrade(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const struct daemon_transport *first;
    struct upgrade *upgrade = upgrade_new(daemon, request, admin_argument(arguments, 0), &first);
    struct why why = {""};

    if (!upgrade)
        return;
    int r = daemon_manifest_ask(daemon, first->config->plugin, first->config->plugin_path, told, upgrade, &upgrade->manifest, &why);
    if (r < 0)
        told(upgrade, r, NULL, why.text);
}

/* restart NAME: a hand-over to processes of the same plugin; what does not run is started. */
static void restart(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const struct daemon_transport *first;
    struct upgrade *upgrade = upgrade_new(daemon, request, admin_argument(arguments, 0), &first);

    if (upgrade)
        begin_all(upgrade);
}

/* ---- plugin list ---- */

struct listing {
    struct daemon *daemon;
    struct admin_request *request;
    struct daemon_manifest *manifest;
    size_t at; /* transports looked at */
    bool any;
    struct umbel_out members;
};

static void list_next(struct listing *listing);

static void listing_free(void *owner)
{
    struct listing *listing = owner;

    daemon_manifest_cancel(listing->manifest);
    umbel_out_free(&listing->members);
    free(listing);
}

static struct daemon_transport *transport_at(const struct daemon *daemon, size_t index)
{
    list_for_each(link, spare, &daemon->transports)
        if (index-- == 0)
            return list_entry(link, struct daemon_transport, link);
    return NULL;
}

static bool is_first_of_plugin(const struct daemon *daemon, const struct daemon_transport *transport)
{
    list_for_each(link, spare, &daemon->transports)
    {
        const struct daemon_transport *each = list_entry(link, struct daemon_transport, link);
        if (!each->removed && strcmp(each->config->plugin, transport->config->plugin) == 0)
            return each == transport;
    }
    return false;
}

static const char *running_version(const struct daemon_transport *transport)
{
    list_for_each(link, spare, &transport->workers)
    {
        const struct daemon_host *h = list_entry(link, struct daemon_host, link);
        if (h->role == DAEMON_SERVES && *h->version)
            return h->version;
    }
    return "";
}

static void put_plugin(struct listing *listing, const struct daemon_transport *first, const struct umbel_json *manifest, const char *words)
{
    struct umbel_out *out = &listing->members;
    bool more = false;

    umbel_out_text(out, listing->any ? ",{\"name\":" : "{\"name\":");
    umbel_out_json(out, first->config->plugin, strlen(first->config->plugin));
    put_text(out, "version", running_version(first));
    put_text(out, "file_version", manifest ? umbel_json_member_text(manifest, "version", "") : "");
    put_text(out, "abi", manifest ? umbel_json_member_text(manifest, "abi", "") : "");
    put_text(out, "error", words);
    put_text(out, "path", first->config->plugin_path);
    umbel_out_text(out, ",\"transports\":[");
    list_for_each(link, spare, &listing->daemon->transports)
    {
        const struct daemon_transport *each = list_entry(link, struct daemon_transport, link);
        if (each->removed || strcmp(each->config->plugin, first->config->plugin) != 0)
            continue;
        umbel_out_text(out, more ? "," : "");
        umbel_out_json(out, each->config->name, strlen(each->config->name));
        more = true;
    }
    umbel_out_text(out, "]}");
    listing->any = true;
}

static void list_told(void *owner, int r, const struct umbel_json *manifest, const char *words)
{
    struct listing *listing = owner;
    struct daemon_transport *transport = transport_at(listing->daemon, listing->at);

    (void)r;
    listing->manifest = NULL;
    if (transport && !transport->removed)
        put_plugin(listing, transport, manifest, words);
    listing->at++;
    list_next(listing);
}

static void list_next(struct listing *listing)
{
    struct daemon_transport *transport;
    struct why why = {""};

    for (; (transport = transport_at(listing->daemon, listing->at)); listing->at++) {
        if (!is_first_of_plugin(listing->daemon, transport))
            continue;
        if (daemon_manifest_ask(listing->daemon, transport->config->plugin, transport->config->plugin_path, list_told, listing,
                                &listing->manifest, &why) == 0)
            return;
        put_plugin(listing, transport, NULL, why.text);
    }
    umbel_out_text(&listing->members, "]");
    umbel_out_put(&listing->members, "", 1);
    if (listing->members.failed)
        admin_fail(listing->request, "no memory", NULL);
    else
        admin_finish(listing->request, listing->members.data);
    listing_free(listing);
}

static void plugin_list(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct listing *listing = calloc(1, sizeof *listing);

    (void)arguments;
    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (!listing) {
        admin_fail(request, "no memory", NULL);
        return;
    }
    *listing = (struct listing){.daemon = daemon, .request = request};
    admin_on_gone(request, listing_free, listing);
    umbel_out_text(&listing->members, "\"plugins\":[");
    list_next(listing);
}

void daemon_upgrade_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "plugin upgrade", plugin_upgrade, daemon);
    admin_server_handle(daemon->admin, "plugin list", plugin_list, daemon);
    admin_server_handle(daemon->admin, "restart", restart, daemon);
}
