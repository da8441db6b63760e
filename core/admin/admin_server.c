#include "core/admin/admin_server.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/admin/admin_line.h"
#include "core/admin/admin_socket.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/uring/uring_socket.h"

#define ACCEPT_PAUSE_MS 100u /* without a descriptor for the next connection */
#define COMPLAIN_S 60u       /* between two lines about it */

enum request_state { REQUEST_READING, REQUEST_RUNNING, REQUEST_GONE };

struct admin_request {
    struct admin_server *server; /* NULL once that is closed */
    struct uring_loop *loop;
    struct list link;
    struct uring_socket *socket; /* NULL when the peer is gone */
    struct admin_line line;
    enum request_state state;
    struct uring_timer timer; /* READING: the request is late; RUNNING: the peer was found gone inside admin_send */
    void (*gone)(void *owner);
    void *gone_owner;
};

struct admin_server {
    struct uring_loop *loop;
    struct uring_watch *watch; /* NULL while it pauses */
    struct uring_timer again;  /* ends the pause */
    uint64_t complained_ns;
    struct list requests;
    int listen_fd;
    uint32_t request_timeout_ms;
    char runtime_dir[4096];
    struct admin_counts counts;
    struct {
        admin_handler *handler;
        void *owner;
    } commands[ADMIN_COMMAND_COUNT];
};

static void request_free(struct admin_request *request)
{
    uring_timer_clear(request->loop, &request->timer);
    if (list_is_linked(&request->link))
        list_remove(&request->link);
    if (request->server)
        request->server->counts.open--;
    admin_line_free(&request->line);
    free(request);
}

/* The peer will hear nothing more.  Without a gone() the handler does not know, so the request waits, deaf, for its end. */
static void request_gone(struct admin_request *request)
{
    void (*gone)(void *owner) = request->gone;
    bool running = request->state == REQUEST_RUNNING;

    uring_socket_close(request->socket);
    request->socket = NULL;
    uring_timer_clear(request->loop, &request->timer);
    request->state = REQUEST_GONE;
    if (running && !gone)
        return;
    request->gone = NULL;
    if (running)
        gone(request->gone_owner);
    request_free(request);
}

static int send_line(struct admin_request *request, struct umbel_out *out)
{
    int r = out->failed;

    umbel_out_text(out, "\n");
    if (r == 0)
        r = out->failed ? out->failed : uring_socket_send(request->socket, out->data, out->size);
    return r;
}

static void request_end(struct admin_request *request, struct umbel_out *out)
{
    if (request->socket && send_line(request, out) == 0)
        uring_socket_close_after_send(request->socket);
    else
        uring_socket_close(request->socket);
    umbel_out_free(out);
    request_free(request);
}

int admin_send(struct admin_request *request, const char *json_line, size_t size)
{
    struct umbel_out out = {0};
    int r;

    assert(request->state != REQUEST_READING);
    if (request->state == REQUEST_GONE || uring_timer_is_set(&request->timer))
        return -EPIPE;
    umbel_out_put(&out, json_line, size);
    r = send_line(request, &out);
    umbel_out_free(&out);
    if (r == 0)
        return 0;
    if (r == -ENOBUFS) {
        log_warn("admin: a command's reader does not read: dropped with %zu bytes waiting", uring_socket_unsent(request->socket));
        if (request->server)
            request->server->counts.dropped++;
    }
    uring_timer_set(request->loop, &request->timer, 0); /* gone() comes from the loop, not from in here */
    return r == -ENOBUFS ? r : -EPIPE;
}

size_t admin_unsent(const struct admin_request *request)
{
    return request->socket ? uring_socket_unsent(request->socket) : 0;
}

void admin_finish(struct admin_request *request, const char *json_members)
{
    struct umbel_out out = {0};

    assert(request->state != REQUEST_READING);
    umbel_out_text(&out, "{\"ok\":true");
    if (json_members && json_members[0]) {
        umbel_out_text(&out, ",");
        umbel_out_text(&out, json_members);
    }
    umbel_out_text(&out, "}");
    request_end(request, &out);
}

void admin_fail(struct admin_request *request, const char *error, const char *hint)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, "{\"ok\":false,\"error\":");
    umbel_out_json(&out, error, strlen(error));
    if (hint && hint[0]) {
        umbel_out_text(&out, ",\"hint\":");
        umbel_out_json(&out, hint, strlen(hint));
    }
    umbel_out_text(&out, "}");
    request_end(request, &out);
}

void admin_on_gone(struct admin_request *request, void (*gone)(void *owner), void *owner)
{
    request->gone = gone;
    request->gone_owner = owner;
}

static void refuse(struct admin_request *request, const char *error, const char *hint)
{
    request->server->counts.malformed++;
    log_debug("admin: request refused: %s", error);
    admin_fail(request, error, hint);
}

static int request_line(void *owner, const char *line, size_t size)
{
    struct admin_request *request = owner;
    struct admin_server *server = request->server;
    char hint[WHY_MAX];
    struct admin_call call;
    struct why why;

    if (admin_call_read(line, size, &call, &why, hint) < 0) {
        refuse(request, why.text, hint);
        return -ECANCELED;
    }
    if (!server->commands[call.command->id].handler) {
        refuse(request, "this umbeld does not offer that command", "is it the same version as umbelctl?");
    } else {
        server->counts.commands++;
        uring_timer_clear(server->loop, &request->timer);
        request->state = REQUEST_RUNNING;
        server->commands[call.command->id].handler(server->commands[call.command->id].owner, request, call.arguments);
    }
    umbel_json_free(call.json);
    return -ECANCELED; /* one line is all there is; the request may be gone already */
}

static void socket_received(void *owner, const char *bytes, size_t size)
{
    struct admin_request *request = owner;
    int r;

    if (request->state != REQUEST_READING)
        return; /* nothing more is expected; what comes is dropped */
    r = admin_line_feed(&request->line, bytes, size, request_line, request);
    if (r == -EMSGSIZE)
        refuse(request, "the request line is longer than 1 MiB", NULL);
    else if (r < 0 && r != -ECANCELED)
        refuse(request, "no memory for the request", NULL);
}

/* Whether the peer closed the connection, or only its sending half and still listens (as `nc` and `socat` do after their input's end). */
static bool peer_listens(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};

    return poll(&look, 1, 0) >= 0 && !(look.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void socket_closed(void *owner, int error)
{
    struct admin_request *request = owner;

    if (error == 0 && request->state == REQUEST_RUNNING && peer_listens(uring_socket_fd(request->socket)))
        return;
    request_gone(request);
}

static const struct uring_socket_ops request_ops = {.received = socket_received, .closed = socket_closed};

static void timer_fired(struct uring_timer *timer)
{
    struct admin_request *request = list_entry(timer, struct admin_request, timer);

    if (request->state == REQUEST_READING)
        refuse(request, "no request line came in time", "send one JSON line that ends with a newline");
    else
        request_gone(request);
}

static void log_peer(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (log_level() >= LOG_DEBUG && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        log_debug("admin: connection of pid %ld, uid %ld, gid %ld", (long)peer.pid, (long)peer.uid, (long)peer.gid);
}

static void turn_away(struct admin_server *server, int fd)
{
    static const char text[] = "{\"ok\":false,\"error\":\"too many admin connections are open\","
                               "\"hint\":\"end one of the running umbelctl commands, or try again\"}\n";

    server->counts.refused++;
    ssize_t n = send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)n; /* a courtesy */
    close(fd);
}

static void take_connection(struct admin_server *server, int fd)
{
    struct admin_request *request;

    server->counts.connections++;
    log_peer(fd);
    if (server->counts.open >= ADMIN_CONNECTIONS_MAX) {
        turn_away(server, fd);
        return;
    }
    request = calloc(1, sizeof *request);
    if (!request) {
        turn_away(server, fd);
        return;
    }
    request->server = server;
    request->loop = server->loop;
    request->timer.fired = timer_fired;
    server->counts.open++;
    list_append(&server->requests, &request->link);
    if (uring_socket_adopt(server->loop, fd, &request_ops, request, &request->socket) < 0) {
        request_free(request);
        return;
    }
    uring_socket_set_send_limit(request->socket, ADMIN_SEND_MAX);
    uring_timer_set(server->loop, &request->timer, server->request_timeout_ms * CLOCK_MS);
}

static void listener_readable(void *owner, int fd);

static void listen_again(struct uring_timer *timer)
{
    struct admin_server *server = list_entry(timer, struct admin_server, again);

    if (uring_watch_open(server->loop, server->listen_fd, listener_readable, server, &server->watch) < 0) {
        server->watch = NULL;
        uring_timer_set(server->loop, &server->again, ACCEPT_PAUSE_MS * CLOCK_MS);
    }
}

/* The connection stays in the kernel's queue and the socket readable: without a pause the loop would spin. */
static void pause_listening(struct admin_server *server, int error)
{
    uint64_t now_ns = clock_now_ns();

    uring_watch_close(server->watch);
    server->watch = NULL;
    server->counts.pauses++;
    uring_timer_set(server->loop, &server->again, ACCEPT_PAUSE_MS * CLOCK_MS);
    if (server->complained_ns && now_ns - server->complained_ns < COMPLAIN_S * CLOCK_S)
        return;
    server->complained_ns = now_ns;
    log_warn("admin: no connection can be taken (%s); it is tried again. Raise the limit of open files (LimitNOFILE)", strerror(error));
}

static void listener_readable(void *owner, int fd)
{
    struct admin_server *server = owner;

    for (unsigned i = 0; i < ADMIN_CONNECTIONS_MAX; i++) { /* the rest in the next turn: others want the loop, too */
        int taken = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (taken == -1 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            pause_listening(server, errno);
        if (taken == -1)
            return;
        take_connection(server, taken);
    }
}

int admin_server_open(struct uring_loop *loop, const char *runtime_dir, uint32_t request_timeout_ms, struct admin_server **ret_server,
                      struct why *why)
{
    struct admin_server *server = calloc(1, sizeof *server);
    int r;

    if (!server)
        return why_set(why, -ENOMEM, "no memory for the admin socket");
    server->loop = loop;
    server->listen_fd = -1;
    server->again.fired = listen_again;
    server->request_timeout_ms = request_timeout_ms ? request_timeout_ms : ADMIN_REQUEST_TIMEOUT_MS;
    list_init(&server->requests);
    if (snprintf(server->runtime_dir, sizeof server->runtime_dir, "%s", runtime_dir) >= (int)sizeof server->runtime_dir) {
        r = why_set(why, -ENAMETOOLONG, "the runtime directory's name is too long");
        goto fail;
    }
    r = admin_socket_listen(runtime_dir, why);
    if (r < 0)
        goto fail;
    server->listen_fd = r;
    r = uring_watch_open(loop, server->listen_fd, listener_readable, server, &server->watch);
    if (r < 0) {
        why_errno(why, -r, "watching the admin socket");
        goto fail;
    }
    *ret_server = server;
    return 0;
fail:
    fd_close(&server->listen_fd);
    free(server);
    return r;
}

void admin_server_close(struct admin_server *server)
{
    if (!server)
        return;
    uring_watch_close(server->watch);
    uring_timer_clear(server->loop, &server->again);
    admin_socket_unlink(server->runtime_dir);
    fd_close(&server->listen_fd);
    while (!list_is_empty(&server->requests)) {
        struct admin_request *request = list_entry(server->requests.next, struct admin_request, link);

        list_remove(&request->link);
        request->server = NULL;
        if (request->state != REQUEST_GONE)
            request_gone(request);
    }
    free(server);
}

void admin_server_handle(struct admin_server *server, const char *words, admin_handler *handler, void *owner)
{
    const struct admin_command *command = admin_command_named(words);

    assert(command && command->role == ADMIN_OPERATE);
    server->commands[command->id].handler = handler;
    server->commands[command->id].owner = owner;
}

void admin_server_counts(const struct admin_server *server, struct admin_counts *ret_counts)
{
    *ret_counts = server->counts;
}
