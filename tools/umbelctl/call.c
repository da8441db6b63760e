#include "tools/umbelctl/call.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/admin/admin_call.h"
#include "core/admin/admin_line.h"
#include "core/admin/admin_socket.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/metrics/stats_view.h"
#include "tools/umbelctl/pages.h"

#define REPLY_MAX ((size_t)16 << 20) /* a whole answer may be one line */

struct conversation {
    const struct ctl *ctl;
    struct call *call;
    int fd, code;
    bool ended;
    uint64_t heard_ns; /* when the daemon last said something */
};

static int send_request(struct conversation *talk)
{
    const struct ctl *ctl = talk->ctl;
    struct umbel_out out = {0};
    size_t sent = 0;
    int r = CTL_OK;

    admin_call_write(&out, ctl->command->words, ctl->words, ctl->word_count, ctl->option_name, ctl->option_value, ctl->option_count);
    if (out.failed || out.size > ADMIN_LINE_MAX)
        r = ctl_complain(CTL_FAILED, NULL, out.failed ? "out of memory" : "the request is longer than 1 MiB");
    while (r == CTL_OK && sent < out.size) {
        ssize_t n = send(talk->fd, out.data + sent, out.size - sent, MSG_NOSIGNAL);

        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EPIPE || errno == ECONNRESET)
            break; /* refused early; the reply says why */
        else if (errno != EINTR)
            r = ctl_complain(CTL_FAILED, "umbelctl status tells whether umbeld is stuck", "sending the command: %s", strerror(errno));
    }
    umbel_out_free(&out);
    return r;
}

static int reply_line(void *owner, const char *line, size_t size)
{
    struct conversation *talk = owner;
    char why[200];
    struct umbel_json *json = umbel_json_parse(line, size, why, sizeof why);

    talk->heard_ns = clock_now_ns();
    if (!json) {
        talk->code = ctl_complain(CTL_FAILED, "is umbelctl of the same version as umbeld?", "the daemon's reply is not JSON: %s", why);
        return -EBADMSG;
    }
    if (umbel_json_type(umbel_json_member(json, "ok")) == UMBEL_JSON_BOOL) {
        talk->call->reply = json;
        talk->ended = true;
        talk->code = umbel_json_bool(umbel_json_member(json, "ok"), 0) ? CTL_OK : CTL_FAILED;
        return -ECANCELED;
    }
    if (talk->call->event)
        talk->code = talk->call->event(talk->call->owner, json);
    umbel_json_free(json);
    return talk->code == CTL_OK ? 0 : -ECANCELED;
}

/* Whether the core has given no sign of life for the whole patience. */
static bool is_stuck(const struct ctl *ctl)
{
    struct stats_view *view;
    char path[PATH_MAX];
    struct stats_who who;
    uint64_t now = clock_now_ns();

    if (snprintf(path, sizeof path, "%s/stats/core", ctl->runtime_dir) >= (int)sizeof path || stats_view_open(path, &view, NULL) < 0)
        return true;
    stats_view_who(view, &who);
    stats_view_close(view);
    return now > who.beat_ns && now - who.beat_ns > PAGES_STUCK_NS;
}

/* Waits for bytes.  False after a complaint: the daemon's patience is not ours. */
static bool wait_for_bytes(struct conversation *talk)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = talk->fd, .events = POLLIN};
        int n = poll(&poll_fd, 1, 1000);

        if (n > 0)
            return true;
        if (clock_now_ns() - talk->heard_ns < CALL_PATIENCE_S * CLOCK_S)
            continue;
        if (talk->call->may_take_long && !is_stuck(talk->ctl))
            continue;
        talk->code = ctl_complain(CTL_FAILED, "umbelctl status tells whether it is stopped or stuck", "umbeld did not answer for %d s",
                                  CALL_PATIENCE_S);
        return false;
    }
}

static void read_replies(struct conversation *talk)
{
    struct admin_line line = {.max = REPLY_MAX};
    char bytes[65536];

    while (!talk->ended && wait_for_bytes(talk)) {
        ssize_t n = recv(talk->fd, bytes, sizeof bytes, 0);

        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0) {
            talk->code = ctl_complain(CTL_FAILED, "its log says more", "umbeld ended the connection before its reply was complete");
            break;
        }
        int r = admin_line_feed(&line, bytes, (size_t)n, reply_line, talk);
        if (r == -EMSGSIZE || r == -ENOMEM)
            talk->code = ctl_complain(CTL_FAILED, NULL, "the daemon's reply is too long");
        if (r < 0)
            break;
    }
    admin_line_free(&line);
}

int call_daemon(const struct ctl *ctl, struct call *call)
{
    struct conversation talk = {.ctl = ctl, .call = call, .code = CTL_OK, .heard_ns = clock_now_ns()};
    struct why why = {""};
    int r = pages_running(ctl);

    call->reply = NULL;
    if (r != CTL_OK)
        return r;
    talk.fd = admin_socket_connect(ctl->runtime_dir, &why);
    if (talk.fd < 0)
        return ctl_complain(CTL_FAILED,
                            talk.fd == -EACCES   ? "run it as root or as a member of the daemon's group"
                            : talk.fd == -EAGAIN ? "umbelctl status tells whether umbeld is stopped or stuck"
                                                 : "umbeld may be just starting or ending: try again",
                            "%s", why.text);
    r = send_request(&talk);
    if (r == CTL_OK) {
        read_replies(&talk);
        r = talk.code;
    }
    fd_close(&talk.fd);
    return r;
}

int call_complain(const struct umbel_json *reply)
{
    return ctl_complain(CTL_FAILED, umbel_json_member_text(reply, "hint", NULL), "%s",
                        umbel_json_member_text(reply, "error", "the daemon refused, and did not say why"));
}
