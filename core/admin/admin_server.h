/* admin/admin_server.h - the daemon's end of RUNTIME_DIR/admin.sock.
 *
 * One connection is one command: a JSON line in (admin_call.h), any number of JSON lines out, the last with "ok", then it is closed:
 *
 *   {"command":"stream cancel","arguments":["chatcmpl-..."]}        {"event":"text","text":"..."}
 *                                                                   {"ok":true,...}  or  {"ok":false,"error":"...","hint":"..."}
 *
 *   READING --a line--> RUNNING --admin_finish, admin_fail--> closed after the reply is sent (at most 5 s)
 *      | 10 s, malformed   | the peer is gone, or too slow
 *      v                   v
 *   error reply, closed   gone() called, request invalid; without admin_on_gone: kept, deaf, until it is finished
 *
 * Owner: the loop's thread; no callback nests in another: gone() is always called from the loop, never from inside admin_send().
 * Bounds: ADMIN_CONNECTIONS_MAX at once (one more is told so and closed), a request line of ADMIN_LINE_MAX, ADMIN_SEND_MAX bytes
 * waiting for a reader. */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <umbel/json.h>

#include "core/admin/admin_call.h"
#include "core/base/why.h"
#include "core/uring/uring_loop.h"

#define ADMIN_CONNECTIONS_MAX 16u
#define ADMIN_REQUEST_TIMEOUT_MS 10000u
#define ADMIN_SEND_MAX ((size_t)4 << 20)

struct admin_server;
struct admin_request; /* one command in progress */

/* A command has come; its words and arguments fit its row in admin_commands.def.  arguments are borrowed until the handler returns:
 * copy what is kept.  The request lives until admin_finish, admin_fail or gone(). */
typedef void admin_handler(void *owner, struct admin_request *request, const struct umbel_json *arguments);

struct admin_counts {
    uint64_t connections, commands; /* that came, since open */
    uint64_t malformed;             /* requests refused: not JSON, unknown, wrong arguments, too long, too late */
    uint64_t refused;               /* connections beyond ADMIN_CONNECTIONS_MAX */
    uint64_t pauses;                /* times no connection was taken for a while, for want of descriptors */
    uint64_t dropped;               /* readers too slow for their replies */
    uint32_t open;                  /* connections now */
};

/* admin_server_open - makes the socket and listens.  The caller holds admin_lock(runtime_dir).  request_timeout_ms: from connection to
 * the whole request line; 0 = ADMIN_REQUEST_TIMEOUT_MS.  0 or -errno with words. */
int admin_server_open(struct uring_loop *loop, const char *runtime_dir, uint32_t request_timeout_ms, struct admin_server **ret_server,
                      struct why *why);

/* admin_server_close - stops listening, removes the socket, closes all connections (gone() of running requests is called in here; a
 * running one without it stays valid until it is finished, into nowhere).  NULL is fine. */
void admin_server_close(struct admin_server *server);

/* admin_server_handle - who does the command of these words ("stream cancel": a row with role OPERATE; asserted).  The last one counts. */
void admin_server_handle(struct admin_server *server, const char *words, admin_handler *handler, void *owner);

void admin_server_counts(const struct admin_server *server, struct admin_counts *ret_counts);

/* admin_send - an intermediate line: size bytes of one JSON value, without the line's end.  0; -EPIPE: the peer is gone; -ENOBUFS: it
 * does not read, and is dropped.  After either gone() follows. */
int admin_send(struct admin_request *request, const char *json_line, size_t size);

/* admin_unsent - bytes of lines that the peer has not taken yet; 0 once it is gone. */
size_t admin_unsent(const struct admin_request *request);

/* admin_finish - {"ok":true,MEMBERS}; json_members like "\"stream\":\"...\"" or NULL.  admin_fail - {"ok":false,"error":...,"hint":...};
 * hint NULL: none.  The request is invalid from here; gone() is not called. */
void admin_finish(struct admin_request *request, const char *json_members);
void admin_fail(struct admin_request *request, const char *error, const char *hint);

/* admin_on_gone - whom to tell, once, that nobody waits for the reply any more; the request is invalid when gone() returns, and must
 * not be finished in it. */
void admin_on_gone(struct admin_request *request, void (*gone)(void *owner), void *owner);

#endif
