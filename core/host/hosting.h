/* host/hosting.h - the host process's own state: one plugin, one loop, one thread.
 *
 *   control channel --> clients (who may ask) --> readers (a client's place on a stream) --> feeds (a stream with readers here)
 *   ring --> feeds: what is new, merged --> encoded once per variant --> written to each reader that is level and ready
 *   journal --> feeds that were lapped; readers that were full, came late or came back
 * Objects that callbacks may still stand on are only marked dead and freed at the end of the turn (hosting_sweep). */
#ifndef HOSTING_H
#define HOSTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbel/host.h>
#include <umbel/transport.h>

#include "core/base/kept.h"
#include "core/base/list.h"
#include "core/base/why.h"
#include "core/config/config.h"
#include "core/control/control.h"
#include "core/host/host_files.h"
#include "core/host/host_send.h"
#include "core/host/host_trail.h"
#include "core/metrics/host_stats.h"
#include "core/metrics/process_stats.h"
#include "core/metrics/trail.h"
#include "core/ring/journal_reader.h"
#include "core/ring/ring_reader.h"
#include "core/ring/ring_wake.h"
#include "core/sandbox/sandbox.h"

struct event;
struct event_base;
struct bufferevent;

#define HOSTING_HOOKS_MAX 8u
#define HOSTING_RING_TURN 4096u              /* ring records taken in one turn */
#define HOSTING_CATCHUP_TURN 256u            /* merged deliveries made in one turn; more when more readers had news in it */
#define HOSTING_TEXT_MAX 65536u              /* bytes of one merged event, unless the reader wants less */
#define HOSTING_PENDING_MAX (1u << 20)       /* bytes of a feed's news in one turn */
#define HOSTING_REQUEST_BUCKETS 4096u
#define HOSTING_WATCH_BUCKETS 4096u
#define HOSTING_ENDED_MAX 4096u              /* ended answers that a client remembers while the core looks what runs: see host_watch.c */
#define HOSTING_WATCH_EARLY 8u               /* answers that begin before the core has allowed a watch: more are looked for in the journal */
#define HOSTING_RESUME_BUCKETS 1024u
#define HOSTING_CHANNEL_MAX (16u << 20)      /* bytes waiting for the core: over it requests are refused */
#define HOSTING_ID_SIZE 42                   /* "chatcmpl-", 32 digits, zero */

struct umbel_client {
    struct hosting *hosting;
    const struct umbel_codec *codec;
    void *self, *data;
    uint64_t grant; /* 0 until authorized */
    bool dead, row_dirty;
    uint32_t row;
    uint64_t delivered, questions;
    struct list link;     /* hosting.clients, or hosting.dead_clients */
    struct list unasked;  /* hosting.unasked: its authorize was not sent, the loop will say so */
    uint32_t unasked_error;
    char peer[64]; /* for authorize services; "" = not known */
    struct list readers;  /* umbel_reader.in_client */
    struct list watches;  /* host_watch.in_client */
    struct list requests; /* host_request.in_client */
    char app[JOURNAL_NAME_MAX];
    char stream[HOSTING_ID_SIZE]; /* the newest answer, for lists */
    uint64_t position;
    uint32_t watches_asked;    /* WATCH requests without an answer */
    struct journal_ref *ended; /* answers whose end it was told since the first of them, at most HOSTING_ENDED_MAX */
    uint32_t ended_count, ended_room;
};

/* One question to the core that has no answer yet. */
enum host_request_kind {
    HOST_REQUEST_AUTH,
    HOST_REQUEST_ASK,
    HOST_REQUEST_GIVEN_UP, /* was an ASK: its answer is one that the client may watch, no more */
    HOST_REQUEST_RESUME,
    HOST_REQUEST_WATCH,
    HOST_REQUEST_STOP
};
struct host_request {
    uint64_t number; /* the tag on the channel */
    enum host_request_kind kind;
    struct umbel_client *client; /* NULL: gone or abandoned */
    uint64_t tag;                /* the plugin's */
    uint64_t position;           /* RESUME */
    struct list in_resumes;      /* RESUME: hosting.resumes[] by the stream's id ... */
    char stream[HOSTING_ID_SIZE]; /* ... which is this */
    struct host_request *next;
    struct list in_client;
};

struct host_watch {
    struct umbel_client *client;
    uint64_t tag;
    uint64_t begun_ns;
    uint64_t request; /* its WATCH that the core has not answered yet: until then nothing is shown; 0: allowed */
    struct journal_ref early[HOSTING_WATCH_EARLY]; /* what would have been */
    uint32_t early_count;                          /* more than fit: see the journal */
    bool dead;
    struct host_watch *next; /* bucket */
    struct list in_client;
    char session[JOURNAL_SESSION_MAX];
};

struct host_news { /* one merged event that the feed's level readers have not had yet */
    uint32_t kind;
    size_t offset, size; /* in host_feed.bytes */
    uint64_t position, arrival_ns;
};

struct host_feed {
    struct hosting *hosting;
    struct journal_cursor cursor;  /* everything before it has been taken, into news or earlier */
    struct journal_cursor flushed; /* everything before it has been offered to the level readers */
    struct umbel_stream stream;
    char id[HOSTING_ID_SIZE];
    struct journal_identity identity;
    struct journal_ending ending;
    bool closed;    /* ending is known and cursor stands at the end of the log */
    bool dirty;     /* in hosting.dirty */
    bool unfinished_sync;
    struct list in_dirty, in_reports, in_feeds;
    struct list readers; /* umbel_reader.in_feed */
    uint32_t reader_count, told;
    uint64_t told_ns;
    struct host_trail trail;
    struct host_news *news;
    size_t news_count, news_capacity;
    struct umbel_out bytes;
};

struct umbel_reader {
    struct host_feed *feed;
    struct umbel_client *client;
    uint64_t tag;
    struct umbel_reader_options options;
    struct journal_cursor cursor; /* its own place while it is not level */
    uint64_t begun_at;            /* position at which it began */
    bool level, ready, opened, dead, queued;
    struct list in_feed, in_client, in_catchup;
};

struct hosting {
    struct umbel_host api; /* what the plugin sees; api.context = this */
    struct umbel_transport transport; /* checked copy */
    void *plugin, *self;
    char name[80];
    struct event_base *base;
    struct event *wake_event, *tick_event, *wait_event;
    struct bufferevent *channel;
    struct control_parser parser;
    struct control_out out;
    struct ring_memory ring_memory, journal_memory, page_memory;
    struct ring_reader ring;
    struct journal_reader journal;
    struct ring_reader_page *page;
    struct stats_page *stats;
    struct trail *trail; /* NULL: this core makes no room for events */
    struct process_stats process;
    int stats_fd; /* the folder of stats pages, when the plugin needs them; else -1 */
    char confined[SANDBOX_REPORT_MAX];
    struct host_files files;
    char stats_folder[4096]; /* where everybody's pages are, for a plugin that needs them */
    struct config_section section; /* the plugin's options and the common ones */
    char transport_name[JOURNAL_NAME_MAX];
    uint32_t listener_count, max_connections, connect_rate;
    struct kept *kept;
    struct host_send *send; /* NULL: carriers write each for itself */

    struct {
        int (*turn)(void *arg);
        void *arg;
    } hooks[HOSTING_HOOKS_MAX];
    uint32_t hook_count;

    struct host_feed **feeds; /* by journal slot */
    struct list all_feeds, dirty, reports, catchup;
    struct list clients, dead_clients;
    uint32_t client_count, watch_count, reader_count, feed_count;
    struct host_request *requests[HOSTING_REQUEST_BUCKETS];
    struct list resumes[HOSTING_RESUME_BUCKETS]; /* RESUME requests without an answer, by the stream's id */
    uint64_t next_request; /* begins at random: the number also tells other processes' questions from ours (journal_identity.asker) */
    uint32_t *shown; /* by journal slot: the generation of the newest stream that watchers were shown; 0 = none */
    struct host_watch *watches[HOSTING_WATCH_BUCKETS];
    uint32_t interest_uses[64 * RING_INTEREST_WORDS];
    struct list dead_readers, dead_watches, unasked;
    char *scratch;            /* HOSTING_TEXT_MAX bytes for reading back */
    size_t scratch_size;
    struct umbel_out encoded; /* for one reader alone */
    bool leaving; /* draining by CONTROL_RETIRE: a DRAIN still counts */
    bool welcomed, draining, drained, core_gone, failing, done;
    int exit_status;
    uint64_t drain_until_ns;
    struct {
        uint8_t address[16];
        uint64_t second;
        uint32_t count;
    } rates[4096];
};

/* host_feed.c */
struct host_feed *host_feed_get(struct hosting *hosting, struct journal_ref ref); /* NULL: stale or no memory */
/* host_feeds_take - takes at most max records from the ring; a lap counts as one.  true: there may be more. */
bool host_feeds_take(struct hosting *hosting, uint64_t max);
void host_feed_sync(struct host_feed *feed);       /* takes what the journal has beyond the feed's place */
void host_feeds_fail(struct hosting *hosting);     /* the core is gone: every running answer ends honestly */
void host_reports(struct hosting *hosting, uint64_t now_ns);
void host_feed_report_later(struct host_feed *feed);
bool host_grow_scratch(struct hosting *hosting, size_t size);

/* host_reader.c */
/* host_reader_try - gives the client a place on the stream and tells the plugin (began).  Else why not, with a line for the client. */
uint32_t host_reader_try(struct hosting *hosting, struct umbel_client *client, uint64_t tag, struct journal_ref ref, uint64_t position,
                         const char **ret_text);
/* host_reader_begin - the same for who has asked for it; tells the plugin also why not (refused). */
void host_reader_begin(struct hosting *hosting, struct umbel_client *client, uint64_t tag, struct journal_ref ref, uint64_t position);
void host_reader_kill(struct umbel_reader *reader);
void host_reader_lost(struct umbel_reader *reader); /* it cannot have the rest: its end, verdict 0 */
void host_reader_queue(struct umbel_reader *reader); /* for reading back, if it is not yet there */
void host_reader_make_ready(struct umbel_reader *reader);

/* host_deliver.c */
void host_feeds_flush(struct hosting *hosting); /* delivers news and makes merged deliveries; bounded */
bool host_feeds_busy(const struct hosting *hosting);

/* host_encode.c */
int host_encode_news(const struct host_feed *feed, const struct umbel_reader *reader, struct umbel_out *out);
int host_encode_one(const struct host_feed *feed, const struct umbel_reader *reader, uint32_t kind, const char *data, size_t size,
                    uint64_t position, struct umbel_out *out);
int host_encode_open(const struct host_feed *feed, const struct umbel_reader *reader, struct umbel_out *out);
int host_encode_ending(const struct host_feed *feed, const struct umbel_reader *reader, struct umbel_out *out);

/* host_client.c */
struct umbel_client *host_client_open(const struct umbel_host *host, const struct umbel_codec *codec, void *self, void *data,
                                      const char *peer);
void host_client_close(struct umbel_client *client);
void host_authorize(struct umbel_client *client, const struct umbel_credential *credentials, uint32_t count);
int host_ask(struct umbel_client *client, uint64_t tag, const struct umbel_request *request);
int host_resume(struct umbel_client *client, uint64_t tag, const char *stream_id, uint64_t position);
void host_abandon(struct umbel_client *client, uint64_t tag);
int host_stop_stream(struct umbel_client *client, uint64_t tag, const char *stream_id);
void host_client_rows(struct hosting *hosting);
void host_leave_grant(struct hosting *hosting, uint64_t grant); /* its client is gone, or was gone when it came */
void host_tell_unasked(struct hosting *hosting); /* clients whose authorize could not be sent */

/* host_watch.c */
int host_watch_init(struct hosting *hosting); /* after the ring and the journal were opened; 0 or -ENOMEM */
int host_watch(struct umbel_client *client, uint64_t tag, const char *session);
void host_unwatch(struct umbel_client *client, uint64_t tag);
void host_watch_leave(struct umbel_client *client); /* all its watches */
void host_watch_opened(struct hosting *hosting, struct journal_ref ref); /* a stream has begun: who watches its session? */
void host_watch_missed(struct hosting *hosting);                         /* the same for all whose OPEN a lap took away */
/* The core's answer to a watch.  host_watch_answered - allowed: the watch, or NULL if it is gone.  Refused: it is gone from now on, and the
 * plugin is told.  Then each ref that was running when the core heard of it, and the end of that list. */
struct host_watch *host_watch_answered(struct umbel_client *client, uint64_t number, uint32_t error, const char *text);
void host_watch_runs(struct host_watch *watch, struct journal_ref ref);
void host_watch_listed(struct host_watch *watch);
void host_watch_settled(struct umbel_client *client); /* one WATCH less without an answer */
/* host_watch_ended - the client was told the end of this answer. */
void host_watch_ended(struct umbel_client *client, struct journal_ref ref);
/* host_watch_own - an answer that the client has asked for and given up is one to be watched. */
void host_watch_own(struct umbel_client *client, struct journal_ref ref);

/* host_channel.c */
int host_channel_open(struct hosting *hosting, struct why *why);
void host_channel_close(struct hosting *hosting);
struct control_out *host_channel_begin(struct hosting *hosting, enum control_type type, uint64_t tag);
int host_channel_send(struct hosting *hosting); /* 0; -EAGAIN: too much waits; -EMSGSIZE; -EPIPE */
int host_channel_send_secret(struct hosting *hosting); /* as host_channel_send; the frame is wiped once it is sent */
int host_channel_send_always(struct hosting *hosting); /* the same without EAGAIN: for small frames of a bounded number */
struct host_request *host_request_new(struct hosting *hosting, enum host_request_kind kind, struct umbel_client *client, uint64_t tag);
void host_request_free(struct hosting *hosting, struct host_request *request);
struct host_request *host_request_find(struct hosting *hosting, uint64_t number);
/* host_request_resumes - this request is a RESUME of that stream; host_request_is_resumed - there is one of it without an answer. */
void host_request_resumes(struct hosting *hosting, struct host_request *request, const char *stream_id);
bool host_request_is_resumed(const struct hosting *hosting, const char *stream_id);
void host_request_init(struct hosting *hosting);

/* host_pages.c: host->stats */
int host_pages(const struct umbel_host *host, const struct umbel_stats_visitor *visitor, void *arg);

/* host_leave.c: how this process ends while clients are there.  0 or -EPROTO. */
int host_leave_drain(struct hosting *hosting, uint64_t ms);
int host_leave_retire(struct hosting *hosting, struct control_in *in);
/* host_leave_flush - what was kept and reported in the last turn reaches the core, within a second. */
void host_leave_flush(struct hosting *hosting);

/* host_defaults.c: options that this plugin knows and the core did not send, because it checked the configuration with an older plugin.
 * 0; -EINVAL (one of them is required, told to the log), -ENOMEM. */
int host_defaults_add(const struct umbel_transport *transport, struct config_section *section);

/* host_services.c */
void host_services_fill(struct hosting *hosting);

/* host_loop.c */
int hosting_run(struct hosting *hosting); /* until drained or the core is gone; returns the exit status */
void hosting_sweep(struct hosting *hosting);

#endif
