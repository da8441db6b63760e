/* config/config.h - the operator's file, loaded, checked and resolved: plain values, no libconfuse beyond this module.
 * Every error is one line `FILE:LINE: what, what was expected, what to write`. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/config.h>

#include "core/base/why.h"

struct config_list {
    char **items; /* owned, zero-terminated strings */
    size_t count;
};

struct config_upstream {
    char *name, *dialect, *base_url, *api_key /* resolved; wiped at free */, *ca_file, *proxy;
    struct config_list models, quirks;
    uint32_t max_concurrent, queue, connect_timeout_ms, first_token_timeout_ms, idle_timeout_ms, total_timeout_ms;
    uint32_t line;
};

enum config_orphan { CONFIG_ORPHAN_CANCEL, CONFIG_ORPHAN_FINISH, CONFIG_ORPHAN_DRAIN };

struct config_app {
    char *name;
    struct config_list upstreams; /* names, each exists */
    char *model, *system;
    struct config_list keys;      /* resolved client keys */
    enum config_orphan on_orphan;
    uint32_t orphan_grace_ms, history_sync_ms;
    bool history;
    uint32_t line;
};

/* One option value of a transport, in the order of its plugin's table. */
struct config_value {
    char *name;
    uint32_t type;            /* UMBEL_OPTION_* */
    char *text;               /* TEXT, SECRET (resolved) */
    int64_t integer;          /* INTEGER, BOOL */
    struct config_list list;  /* LIST */
    struct config_section *sections; /* SECTION */
    size_t section_count;
};
struct config_section {
    char *title;
    struct config_value *values;
    size_t value_count;
};

struct config_listen {
    char *text;    /* as written: "127.0.0.1:8801", "[::]:80", "unix:/run/x.sock" */
    char *host;    /* without brackets; path for unix */
    uint16_t port;
    bool is_unix;
};

struct config_transport {
    char *name, *plugin, *plugin_path /* found .so */;
    struct config_listen *listen;
    size_t listen_count;
    struct config_list apps;                 /* names, each exists */
    uint32_t workers, max_connections, connect_rate, slow_client_s, drain_ms;
    char *tls_cert, *tls_key;                /* "" = clear text */
    struct config_section options;           /* the plugin's own */
    struct config_list app_names;            /* apps, anonymous_app and every nested `app`: who may enter here */
    uint32_t line;
};

struct config {
    char *path, *runtime_dir, *state_dir;
    char *log_level; /* error, warn, info, debug */
    bool log_json;
    char *io; /* auto, io_uring, epoll */
    uint32_t ring_slots, journal_mb, linger_s, history_days, history_mb;
    struct config_upstream *upstreams;
    size_t upstream_count;
    struct config_app *apps;
    size_t app_count;
    struct config_transport *transports;
    size_t transport_count;
    char *metrics_listen, *playground_listen; /* "" = off */
};

/* What the loader asks about plugins: fills *ret_path with where NAME.so is and *ret_manifest with the JSON text that
 * `umbel-host --manifest` printed (both malloc'ed, freed by the loader).  -ENOENT with words (what exists, what to write) or another error. */
typedef int config_manifest_lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why);

/* config_load - reads, checks, resolves.  Returns 0, or -EINVAL (-ENOMEM) with the one line.  Warnings (readable secrets, short keys,
 * unset variables) go to warn(owner, line), which may be NULL.  One load at a time in a process (libconfuse has global
 * state).  Relative paths start from the directory of the file they stand in. */
int config_load(const char *path, config_manifest_lookup *lookup, void *owner, void (*warn)(void *owner, const char *line),
                struct config **ret_config, struct why *why);
void config_free(struct config *config); /* wipes secrets; NULL is fine */

/* config_section_json - a section's values as JSON, for the host's ears only (it contains that transport's secrets). */
struct umbel_out;
void config_section_json(const struct config_section *section, struct umbel_out *out);

/* config_section_parse - the reverse, in the host. */
struct umbel_json;
int config_section_parse(const struct umbel_json *json, struct config_section *ret_section);
void config_section_free(struct config_section *section);
const struct config_value *config_section_find(const struct config_section *section, const char *name);

/* config_options_json - a plugin's option table as JSON (what umbel-host --manifest prints under "options"). */
void config_options_json(const struct umbel_option *options, size_t count, struct umbel_out *out);

#endif
