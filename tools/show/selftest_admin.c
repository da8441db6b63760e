/* The admin socket's end: one request, lines of JSON until one has what is wanted. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/admin/admin_call.h"
#include "core/admin/admin_line.h"
#include "core/admin/admin_socket.h"
#include "core/base/fd.h"
#include "tools/show/selftest.h"

#define REPLY_MAX ((size_t)1 << 20)
#define REPLY_MS 30000

/* The first line of the conversation. */
static int keep_line(void *owner, const char *line, size_t size)
{
    struct umbel_json **reply = owner;
    char why[160];

    *reply = umbel_json_parse(line, size, why, sizeof why);
    return -ECANCELED;
}

/* The first line of the reply to a request, or NULL.  *ret_fd: the connection, still open. */
static struct umbel_json *ask(const struct selftest *test, const char *command, const char *const *names, const char *const *values, size_t count,
                              int *ret_fd, struct why *why)
{
    struct admin_line line = {.max = REPLY_MAX};
    struct umbel_json *reply = NULL;
    struct umbel_out out = {0};
    char bytes[4096];
    int fd = admin_socket_connect(test->runtime_dir, why);

    *ret_fd = fd;
    if (fd < 0)
        return NULL;
    admin_call_write(&out, command, NULL, 0, names, values, count);
    bool sent = !out.failed && send(fd, out.data, out.size, MSG_NOSIGNAL) == (ssize_t)out.size;
    umbel_out_free(&out);
    if (!sent)
        why_set(why, -EIO, "the daemon does not take the command");
    while (sent && !reply) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&waiting, 1, REPLY_MS) == 1 ? recv(fd, bytes, sizeof bytes, 0) : -1;

        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0 || (admin_line_feed(&line, bytes, (size_t)n, keep_line, &reply) < 0 && !reply)) {
            why_set(why, -EIO, "the daemon does not answer");
            break;
        }
    }
    admin_line_free(&line);
    return reply;
}

int selftest_open(struct selftest *test, unsigned port, struct umbel_json **ret_open)
{
    char text[16];
    const char *names[4] = {"port"}, *values[4] = {text};
    size_t count = 1;
    struct why why = {""};
    struct umbel_json *reply;

    snprintf(text, sizeof text, "%u", port);
    if (test->live)
        names[count] = "live", values[count++] = test->live;
    if (test->app)
        names[count] = "app", values[count++] = test->app;
    if (test->only)
        names[count] = "transport", values[count++] = test->only;
    reply = ask(test, "selftest", names, values, count, &test->admin, &why);
    if (!reply) {
        fprintf(stderr, "umbelctl: %s\n", why.text);
        return test->admin == -ENOENT || test->admin == -ECONNREFUSED ? 3 : 1;
    }
    if (strcmp(umbel_json_member_text(reply, "event", ""), "open") != 0) {
        fprintf(stderr, "umbelctl: %s\n  %s\n", umbel_json_member_text(reply, "error", "the daemon's reply is not understood"),
                umbel_json_member_text(reply, "hint", ""));
        umbel_json_free(reply);
        return 1;
    }
    snprintf(test->key, sizeof test->key, "%s", umbel_json_member_text(reply, "key", ""));
    snprintf(test->model, sizeof test->model, "%s", umbel_json_member_text(reply, "model", ""));
    *ret_open = reply;
    return 0;
}

bool selftest_im_check(const struct selftest *test, const char *transport, char *ret_what, size_t room)
{
    static const char *const names[] = {"transport"};
    struct why why = {""};
    int fd;
    struct umbel_json *reply = ask(test, "im check", names, &transport, 1, &fd, &why);
    bool good = umbel_json_bool(umbel_json_member(reply, "ok"), 0);

    if (!good)
        snprintf(ret_what, room, "%s", reply ? umbel_json_member_text(reply, "error", "im check failed") : why.text);
    umbel_json_free(reply);
    if (fd >= 0)
        fd_close(&fd);
    return good;
}
