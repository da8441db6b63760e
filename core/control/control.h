/* control/control.h - the words between the core and its hosts, over one unix stream socket each.
 *
 * A frame: 16 bytes of header {u32 size of the body, u16 type, u16 zero, u64 tag}, then the body: fields in a fixed order, numbers as
 * 8 bytes, texts as 4 bytes of length and the bytes, all in the machine's own byte order (both ends are the same machine and, by the
 * version in HELLO, the same release).  A tag joins an answer to its request.
 * The core treats what comes from a host as hostile: every length is bounded before it is used, a malformed frame ends the host. */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/span.h"

#define CONTROL_VERSION 3u
#define CONTROL_HEADER 16u
#define CONTROL_BODY_MAX (4u << 20) /* a question of 1 MiB with its memory fits well */
#define CONTROL_TEXT_MAX 255u       /* names, ids, sessions, keys */
#define CONTROL_CREDENTIALS_MAX 8u     /* ways in which one client says who it is */
#define CONTROL_CREDENTIAL_MAX 4096u   /* bytes of one: no key is longer, so a longer one is nobody's */
#define CONTROL_GRANT_HELD (1ull << 63) /* a grant that the core keeps a place for until LEAVE */
#define CONTROL_VALUE_MAX 4096u     /* a kept value */
#define CONTROL_KEPT_MAX 20000u     /* kept values of one transport */

enum control_type {
    /* host to core */
    CONTROL_HELLO = 1, /* u64 CONTROL_VERSION, text plugin name, text plugin version */
    CONTROL_READY,     /* the plugin is open: clients are served */
    CONTROL_AUTH,      /* u64 count, then count times: u64 kind, text value; then text the client's address, "" = none */
    CONTROL_ASK,       /* u64 grant, u64 flags, text session, text model, text messages, text parameters */
    CONTROL_RESUME,    /* u64 grant, text stream id */
    CONTROL_WATCH,     /* u64 grant, text session ("" = every one): which of its streams run now */
    CONTROL_STOP,      /* u64 grant, text stream id */
    CONTROL_READERS,   /* u64 slot, u64 generation, u64 readers this host has for the stream */
    CONTROL_DRAINED,   /* no client is left */
    CONTROL_KEEP,      /* text key, text value ("" forgets): what the next process of this worker is told */
    CONTROL_REPLIED,   /* to COMMAND: text error ("" = done), text JSON members */
    CONTROL_CONFINED,  /* before HELLO: text what its sandbox holds, for lists */
    CONTROL_LEAVE,     /* u64 grant: its client is gone; for those with CONTROL_GRANT_HELD */
    /* core to host */
    CONTROL_WELCOME = 64, /* see below */
    CONTROL_KEPT,         /* before WELCOME: text key, text value */
    CONTROL_AUTHED,       /* u64 error, u64 grant, text app, text for the client */
    CONTROL_BEGAN,        /* to ASK and RESUME: u64 error, u64 slot, u64 generation, text for the client */
    CONTROL_WATCHED,      /* u64 error, text for the client, u64 count, then count times: u64 slot, u64 generation */
    CONTROL_STOPPED,      /* u64 error */
    CONTROL_DRAIN,        /* u64 ms */
    CONTROL_RELOAD,       /* text log level, u64 1 = JSON lines; re-read certificates */
    CONTROL_COMMAND,      /* text word, u64 count, then count times: text argument */
    CONTROL_FILE,         /* before WELCOME and RELOAD: text path, text content */
    CONTROL_RETIRE        /* u64 UMBEL_RETIRE_*, u64 ms: another process takes this one's place */
};

/* WELCOME: text transport, text options (JSON of the section), text tls_cert, text tls_key, u64 max_connections, u64 connect_rate,
 * u64 slow_client_s, u64 drain_ms, text folder of the stats pages */

/* Descriptors a host inherits, by number. */
enum {
    CONTROL_FD_CHANNEL = 3,
    CONTROL_FD_RING,
    CONTROL_FD_JOURNAL,
    CONTROL_FD_STATS,
    CONTROL_FD_READER_PAGE,
    CONTROL_FD_WAKE,
    CONTROL_FD_LISTEN /* and following */
};

/* Writing: a body grows in one buffer.  Errors stick (failed); free with control_out_free. */
struct control_out {
    char *data;
    size_t size, capacity;
    bool failed;
};
void control_begin(struct control_out *out, enum control_type type, uint64_t tag); /* forgets what was there */
void control_put(struct control_out *out, uint64_t number);
void control_put_text(struct control_out *out, const char *text, size_t size);
bool control_end(struct control_out *out); /* sets the size; false when memory or CONTROL_BODY_MAX ran out: do not send */
void control_out_free(struct control_out *out);

/* Reading one body.  After any failure every further read answers 0 / empty and failed stays set. */
struct control_in {
    const char *at, *end;
    bool failed;
};
uint64_t control_get(struct control_in *in);
struct span control_get_text(struct control_in *in, size_t max);
/* control_get_string - a text without zero bytes into ret_text, zero-terminated; more than room - 1 bytes fail. */
void control_get_string(struct control_in *in, char *ret_text, size_t room);
bool control_done(const struct control_in *in); /* everything was there and nothing is left over */

/* Cutting a byte stream into frames.  frame(owner, type, tag, in) returns 0 or a negative value to stop. */
struct control_parser {
    char *data; /* an incomplete frame */
    size_t size, capacity;
};
typedef int control_frame(void *owner, uint32_t type, uint64_t tag, struct control_in *in);
/* control_feed - 0; -EPROTO: not a frame, or too large; -ENOMEM; or what frame returned. */
int control_feed(struct control_parser *parser, const char *bytes, size_t size, control_frame *frame, void *owner);
void control_parser_free(struct control_parser *parser);

#endif
