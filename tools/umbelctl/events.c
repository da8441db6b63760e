#include "tools/umbelctl/events.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/admin/admin_lock.h"
#include "core/base/number.h"
#include "tools/umbelctl/text.h"

static void close_source(struct events *events, size_t i)
{
    trail_view_close(events->source[i].view);
    events->source[i] = events->source[--events->sources];
}

/* 0, or -errno with words; a host's page without events is no error. */
static int open_source(struct events *events, const char *name, bool host, struct why *why)
{
    struct events_source *source;
    int r;

    if (events->sources == EVENTS_SOURCES_MAX)
        return why_set(why, -ENOSPC, "more than %u hosts: the rest is left out", EVENTS_SOURCES_MAX - 1);
    source = &events->source[events->sources];
    *source = (struct events_source){.host = host, .seen = true};
    if (snprintf(source->path, sizeof source->path, "%s/stats/%s%s", events->runtime_dir, host ? "host-" : "", host ? name : "events") >=
        (int)sizeof source->path)
        return why_set(why, -ENAMETOOLONG, "the runtime directory's name is too long");
    text_clean(name, strlen(name), 0, source->name, sizeof source->name);
    r = trail_view_open(source->path, &source->view, why);
    if (r < 0)
        return r;
    source->next = trail_view_oldest(source->view);
    events->sources++;
    return 0;
}

static struct events_source *source_named(struct events *events, const char *name)
{
    for (size_t i = 0; i < events->sources; i++)
        if (events->source[i].host && strcmp(events->source[i].name, name) == 0)
            return &events->source[i];
    return NULL;
}

/* New hosts come, old ones go; a file that another has replaced is read no further. */
static void look_for_hosts(struct events *events)
{
    struct why why;
    char path[512];
    DIR *folder = NULL;

    for (size_t i = 0; i < events->sources; i++)
        events->source[i].seen = !events->source[i].host || trail_view_is_current(events->source[i].view, events->source[i].path);
    for (size_t i = events->sources; i-- > 0;)
        if (!events->source[i].seen)
            close_source(events, i);
    if (snprintf(path, sizeof path, "%s/stats", events->runtime_dir) < (int)sizeof path)
        folder = opendir(path);
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        size_t size = strlen(entry->d_name);

        if (strncmp(entry->d_name, "host-", 5) == 0 && !(size > 4 && strcmp(entry->d_name + size - 4, ".new") == 0) &&
            !source_named(events, entry->d_name + 5))
            open_source(events, entry->d_name + 5, true, &why); /* one that cannot be read has nothing to say */
    }
    if (folder)
        closedir(folder);
}

int events_open(const struct ctl *ctl, struct events *ret_events)
{
    struct why why = {""};
    int r;

    memset(ret_events, 0, sizeof *ret_events);
    ret_events->runtime_dir = ctl->runtime_dir;
    r = open_source(ret_events, "core", false, &why);
    if (r == -ENOENT)
        return ctl_complain(admin_lock_is_held(ctl->runtime_dir, &why) == 1 ? CTL_FAILED : CTL_NOT_RUNNING,
                            "start it: umbeld -c /etc/umbel/umbel.conf   or name its runtime_dir: umbelctl -s DIR",
                            "no umbeld has left events in %s", ctl->runtime_dir);
    if (r < 0)
        return ctl_complain(CTL_FAILED, r == -EACCES ? "run it as root or as a member of the daemon's group" : "a start of umbeld makes it anew",
                            "%s", why.text);
    return CTL_OK;
}

static bool is_host_kind(unsigned kind)
{
#define IS_HOST_C false
#define IS_HOST_H true
#define IS_HOST(id, word, by, help) IS_HOST_##by,
    static const bool by_host[TRAIL_KIND_COUNT] = {false, TRAIL_KINDS(IS_HOST)};

    return kind < TRAIL_KIND_COUNT && by_host[kind];
}

static struct ctl_event *add(struct events *events)
{
    if (events->count == events->capacity) {
        size_t capacity = events->capacity ? events->capacity * 2 : 256;
        struct ctl_event *more = realloc(events->event, capacity * sizeof *more);

        if (!more) {
            events->failed = true;
            return NULL;
        }
        events->event = more;
        events->capacity = capacity;
    }
    return &events->event[events->count++];
}

static bool has_stream(const struct trail_record *record)
{
    static const uint8_t none[sizeof record->stream];

    return memcmp(record->stream, none, sizeof none) != 0;
}

/* A host can only tell what hosts do, and only about itself. */
static void take(struct events *events, const struct events_source *source, uint64_t n)
{
    struct trail_record record;
    enum trail_seen seen = trail_view_read(source->view, n, &record);
    struct ctl_event *event;

    if (seen != TRAIL_SEEN || record.kind == 0 || (source->host && !is_host_kind(record.kind))) {
        events->lost += seen != TRAIL_NOT_YET;
        return;
    }
    event = add(events);
    if (!event)
        return;
    *event = (struct ctl_event){.record = record, .number = n};
    memcpy(event->source, source->name, sizeof event->source);
    if (source->host)
        trail_text(&event->record, TRAIL_T_HOST, source->name);
    if (has_stream(&record)) {
        memcpy(event->id, "chatcmpl-", 9);
        number_format_hex(record.stream, sizeof record.stream, event->id + 9);
    }
}

static void read_source(struct events *events, struct events_source *source)
{
    uint64_t head = trail_view_head(source->view), oldest = trail_view_oldest(source->view);

    if (source->next > head)
        source->next = oldest; /* damaged, or begun anew */
    if (source->next < oldest) {
        events->lost += oldest - source->next;
        source->next = oldest;
    }
    for (; source->next < head; source->next++)
        take(events, source, source->next);
}

static int by_time(const void *a, const void *b)
{
    const struct ctl_event *x = a, *y = b;
    const uint64_t keys[][2] = {{x->record.wall_ms, y->record.wall_ms}, {x->record.time_ns, y->record.time_ns}, {x->number, y->number}};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    return strcmp(x->source, y->source);
}

static int by_stream(const void *a, const void *b)
{
    const struct ctl_event *const *x = a, *const *y = b;

    return memcmp((*x)->record.stream, (*y)->record.stream, sizeof (*x)->record.stream);
}

static void raise_to(uint64_t *value, uint64_t other)
{
    if (other > *value)
        *value = other;
}

/* The end of an answer is told by the core, how late it came by the hosts. */
static void join_lags(struct events *events)
{
    const struct ctl_event **delivered = calloc(events->count ? events->count : 1, sizeof(struct ctl_event *));
    size_t count = 0;

    if (!delivered)
        return;
    for (size_t i = 0; i < events->count; i++)
        if (events->event[i].record.kind == TRAIL_DELIVERED)
            delivered[count++] = &events->event[i];
    qsort(delivered, count, sizeof(struct ctl_event *), by_stream);
    for (size_t i = 0; i < events->count && count > 0; i++) {
        struct ctl_event *event = &events->event[i];
        const struct ctl_event *key = event;
        const struct ctl_event **found =
            event->record.kind == TRAIL_ENDED ? bsearch(&key, delivered, count, sizeof(struct ctl_event *), by_stream) : NULL;

        while (found && found > delivered && by_stream(found - 1, &key) == 0)
            found--;
        for (; found && found < delivered + count && by_stream(found, &key) == 0; found++)
            for (unsigned v = TRAIL_V_LAG_P50; v <= TRAIL_V_LAG_MAX; v++)
                raise_to(&event->record.value[v], (*found)->record.value[v]);
    }
    free(delivered);
}

void events_poll(struct events *events)
{
    events->count = 0;
    look_for_hosts(events);
    for (size_t i = 0; i < events->sources; i++)
        read_source(events, &events->source[i]);
    if (events->count > 1)
        qsort(events->event, events->count, sizeof *events->event, by_time);
    join_lags(events);
}

void events_close(struct events *events)
{
    while (events->sources > 0)
        close_source(events, events->sources - 1);
    free(events->event);
}
