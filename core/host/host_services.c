/* host/host_services.c - the table of functions that a plugin is given. */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/host/hosting.h"

#define RUNTIME_COUNTER_HELP "counted by the plugin"

static struct hosting *of(const struct umbel_host *host)
{
    return host->context;
}

__attribute__((format(printf, 4, 5))) static void service_log(const struct umbel_host *host, uint32_t level, const char *stream,
                                                              const char *format, ...)
{
    char text[LOG_LINE_MAX];
    va_list args;

    (void)host;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_line(level >= UMBEL_LOG_ERROR && level <= UMBEL_LOG_DEBUG ? (enum log_level)level : LOG_ERROR, stream, "%s", text);
}

static int service_on_turn(const struct umbel_host *host, int (*turn)(void *arg), void *arg)
{
    struct hosting *hosting = of(host);

    if (hosting->hook_count == HOSTING_HOOKS_MAX)
        return -ENOSPC;
    hosting->hooks[hosting->hook_count].turn = turn;
    hosting->hooks[hosting->hook_count++].arg = arg;
    return 0;
}

static int service_listener(const struct umbel_host *host, uint32_t index)
{
    return index < of(host)->listener_count ? CONTROL_FD_LISTEN + (int)index : -1;
}

/* Counts arrivals per address and second in a table of fixed size; two addresses on one entry only make the limit looser. */
static int service_admit(const struct umbel_host *host, const struct sockaddr *address)
{
    struct hosting *hosting = of(host);
    uint8_t key[16] = {0};
    uint32_t hash = 2166136261u;
    uint64_t second = clock_now_ns() / CLOCK_S;

    if (address->sa_family == AF_INET)
        memcpy(key, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr))
        memcpy(key, (const char *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr + 12, 4); /* came to [::], from IPv4 */
    else if (address->sa_family == AF_INET6)
        memcpy(key, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 8); /* a /64 is one customer */
    else
        return 1;
    for (size_t i = 0; i < sizeof key; i++)
        hash = (hash ^ key[i]) * 16777619u;
    hash %= sizeof hosting->rates / sizeof hosting->rates[0];
    if (hosting->rates[hash].second != second || memcmp(hosting->rates[hash].address, key, sizeof key) != 0) {
        memcpy(hosting->rates[hash].address, key, sizeof key);
        hosting->rates[hash].second = second;
        hosting->rates[hash].count = 0;
    }
    if (hosting->rates[hash].count >= hosting->connect_rate) {
        stats_add(hosting->stats, HOST_CLIENTS_REFUSED, 1);
        return 0;
    }
    hosting->rates[hash].count++;
    return 1;
}

static const struct config_value *option(const struct umbel_config *config, const char *name)
{
    return config_section_find((const struct config_section *)(const void *)config, name);
}

static const char *service_config_text(const struct umbel_config *config, const char *name)
{
    const struct config_value *value = option(config, name);

    return value && value->text ? value->text : "";
}

static int64_t service_config_integer(const struct umbel_config *config, const char *name)
{
    const struct config_value *value = option(config, name);

    return value ? value->integer : 0;
}

static const char *service_config_item(const struct umbel_config *config, const char *name, uint32_t index)
{
    const struct config_value *value = option(config, name);

    return value && index < value->list.count ? value->list.items[index] : NULL;
}

static const struct umbel_config *service_config_section(const struct umbel_config *config, const char *name, uint32_t index)
{
    const struct config_value *value = option(config, name);

    return value && index < value->section_count ? (const struct umbel_config *)(const void *)&value->sections[index] : NULL;
}

static const char *service_config_title(const struct umbel_config *section)
{
    const char *title = ((const struct config_section *)(const void *)section)->title;

    return title ? title : "";
}

static const struct umbel_stream *service_reader_stream(const struct umbel_reader *reader)
{
    return &reader->feed->stream;
}

static uint64_t service_reader_position(const struct umbel_reader *reader)
{
    return reader->level ? reader->feed->flushed.text : reader->cursor.text;
}

static void service_count(const struct umbel_host *host, const char *name, uint64_t add)
{
    uint32_t counter = stats_name_counter(of(host)->stats, name, RUNTIME_COUNTER_HELP, false);

    if (counter != UINT32_MAX)
        stats_add(of(host)->stats, counter, add);
    host_trail_counted(of(host), name);
}

static int service_keep(const struct umbel_host *host, const char *key, const void *value, uint64_t size)
{
    struct hosting *hosting = of(host);

    if (!*key || strlen(key) > CONTROL_TEXT_MAX || size > CONTROL_VALUE_MAX)
        return -EMSGSIZE;
    int r = kept_set(hosting->kept, key, value, (size_t)size);
    if (r < 0)
        return r;
    struct control_out *out = host_channel_begin(hosting, CONTROL_KEEP, 0);
    control_put_text(out, key, strlen(key));
    control_put_text(out, value, (size_t)size);
    return host_channel_send(hosting);
}

struct visit {
    void (*visit)(void *arg, const char *key, const void *value, uint64_t size);
    void *arg;
};

static void visit_one(void *owner, const char *key, const void *value, size_t size)
{
    const struct visit *visit = owner;

    visit->visit(visit->arg, key, value, size);
}

static void service_kept(const struct umbel_host *host, void (*visit)(void *arg, const char *key, const void *value, uint64_t size),
                         void *arg)
{
    struct visit one = {visit, arg};

    kept_visit(of(host)->kept, visit_one, &one);
}

static void service_reply(const struct umbel_host *host, uint64_t id, const char *error, const char *members)
{
    struct control_out *out = host_channel_begin(of(host), CONTROL_REPLIED, id);

    control_put_text(out, error ? error : "", error ? strlen(error) : 0);
    control_put_text(out, members ? members : "", members ? strlen(members) : 0);
    host_channel_send(of(host)); /* if it cannot be sent the operator is told by the core's time limit */
}

static void service_drained(const struct umbel_host *host)
{
    of(host)->drained = true;
}

void host_services_fill(struct hosting *hosting)
{
    hosting->api = (struct umbel_host){.struct_size = sizeof hosting->api,
                                       .abi_major = UMBEL_ABI_MAJOR,
                                       .abi_minor = UMBEL_ABI_MINOR,
                                       .context = hosting,
                                       .base = hosting->base,
                                       .transport = hosting->transport_name,
                                       .log = service_log,
                                       .on_turn = service_on_turn,
                                       .listener = service_listener,
                                       .admit = service_admit,
                                       .config_text = service_config_text,
                                       .config_integer = service_config_integer,
                                       .config_item = service_config_item,
                                       .config_section = service_config_section,
                                       .config_title = service_config_title,
                                       .client_open = host_client_open,
                                       .client_close = host_client_close,
                                       .authorize = host_authorize,
                                       .ask = host_ask,
                                       .watch = host_watch,
                                       .unwatch = host_unwatch,
                                       .resume = host_resume,
                                       .abandon = host_abandon,
                                       .stop = host_stop_stream,
                                       .reader_ready = host_reader_make_ready,
                                       .reader_leave = host_reader_kill,
                                       .reader_stream = service_reader_stream,
                                       .reader_position = service_reader_position,
                                       .count = service_count,
                                       .keep = service_keep,
                                       .kept = service_kept,
                                       .reply = service_reply,
                                       .drained = service_drained,
                                       .stats = host_pages,
                                       .send = host_send_put,
                                       .send_now = host_send_now};
}
