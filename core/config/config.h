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
    char *name, *dialect, *base_url, *api_key /* resolved; wiped at free */, *ca_file;
    char *proxy;                    /* URL, or "env": from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or "": none */
    char *client_cert, *client_key; /* what this side shows of itself, PEM; both or neither ("") */
    struct config_list models, quirks;
    uint32_t max_concurrent, queue, connect_timeout_ms, first_token_timeout_ms, idle_timeout_ms, total_timeout_ms;
    uint32_t line;
};

/* All 0: no limit.  `limits` holds for an app altogether, `key_limits` for each client key or hook user by itself. */
struct config_limits {
    uint32_t concurrent, requests_per_minute, prompt_bytes, output_tokens;
    uint32_t tokens_per_day;
};

/* The operator's own service that says who may ask. */
struct config_authorize {
    char *url;    /* "" = off */
    char *secret; /* sent to that service as Authorization: Bearer; wiped at free */
    char *ca_file;
    uint32_t timeout_ms, cache_s /* how long an answer without a cache_s of its own is kept; 0 = never */, cache_entries;
    bool fail_open; /* on_failure = open: who cannot be asked about may enter */
};

enum config_orphan { CONFIG_ORPHAN_CANCEL, CONFIG_ORPHAN_FINISH, CONFIG_ORPHAN_DRAIN };

struct config_app {
    char *name;
    struct config_list upstreams; /* names, each exists */
    char *model, *system;
    struct config_list keys;      /* resolved client keys */
    struct config_list key_names; /* one each, never a secret: NAME of env:NAME, the file's base name of file:PATH, else key-N */
    enum config_orphan on_orphan;
    uint32_t orphan_grace_ms, history_sync_ms;
    bool history;
    bool continue_on_failure; /* an upstream fails within an answer: the next one goes on from the text so far */
    struct config_limits limits, key_limits;
    struct config_authorize authorize;
    uint32_t line;
};

/* One option value of a transport, in the order of its plugin's table. */
struct config_value {
    char *name;
    uint32_t type;            /* UMBEL_OPTION_* */
    char *text;               /* TEXT, SECRET (resolved) */
    bool file;                /* TEXT: an absolute path whose content the host is given */
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
    uint32_t workers, max_connections, max_questions, connect_rate, slow_client_s, drain_ms, memory_mb;
    uint32_t needs;                          /* UMBEL_NEEDS_*, by its plugin's manifest */
    char *tls_cert, *tls_key;                /* "" = clear text */
    struct config_section options;           /* the plugin's own */
    struct config_list app_names;            /* apps, anonymous_app and every nested `app`: who may enter here */
    uint32_t line;
    bool builtin;        /* made of a section of the core's own (daemon/daemon_builtin.h), not of the file's transports */
    bool outlives_drain; /* serves on while the others let their clients go */
};

/* Where a section of the core's own is served; at.text NULL = off. */
struct config_single {
    struct config_listen at;
    uint32_t line;
};

struct config {
    bool runtime_dir_given; /* by the command line, which wins over the file */
    char *path, *runtime_dir, *state_dir;
    char *log_level; /* error, warn, info, debug */
    bool log_json;
    char *access_log; /* "" = off, "-" = standard output, else a path */
    char *io; /* auto, io_uring, epoll */
    char *host_user; /* "" = the default */
    char *sandbox;   /* on, log, off */
    uint32_t coalesce_us, ring_slots, journal_mb, linger_s, history_days, history_mb;
    struct config_upstream *upstreams;
    size_t upstream_count;
    struct config_app *apps;
    size_t app_count;
    struct config_transport *transports;
    size_t transport_count;
    char *metrics_listen, *playground_listen; /* "" = off */
    char *playground_app, *playground_im_view; /* "" = not said */
    bool playground_offer_key;
    struct config_single metrics, playground; /* the same, checked and taken apart */
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
